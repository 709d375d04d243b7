//! Purges: from a request to the nodes, and back.

use atoll_protocol::api::{Changed, RevisionStatus, Scope};
use atoll_protocol::seal::NodeKey;
use atoll_protocol::sync::{Frame, PurgeScope};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::Running;

#[tokio::test]
async fn a_purge_reaches_the_nodes_and_is_acknowledged_by_each() {
    let running = Running::new().await;
    let api = running.admin();
    api.deploy("shop", "1", json!({})).await.ok::<Value>();
    let mut nodes = Vec::new();
    for name in ["n1", "n2"] {
        let mut frames = running.follow(&format!("node={name}&since=0"), &NodeKey::generate().unwrap()).await;
        frames.state().await;
        running.scoped(Scope::Node).await.report(name, 1).await;
        nodes.push(frames);
    }
    let deploy = running.scoped(Scope::Deploy).await;
    let request = json!({ "tags": ["news"], "prefixes": ["Shop.Example/Img/"] });
    let purged: Changed = deploy.post("/v1/apps/shop/purge", request).await.ok();
    assert_eq!((purged.app.as_str(), purged.revision), ("shop", 2));
    let settled = async || api.get("/v1/revisions/2").await.ok::<RevisionStatus>().settled;
    for (frames, name) in nodes.iter_mut().zip(["n1", "n2"]) {
        assert!(!settled().await, "{name} has not said so");
        let Frame::Change { revision: 2, state: Some(state), .. } = frames.state().await else { panic!("no change") };
        let scopes: Vec<_> = state.purges.iter().map(|purge| (purge.revision, purge.scope.clone())).collect();
        // Hosts are the same in any case, paths are not.
        let prefix = PurgeScope::Prefix("shop.example/Img/".into());
        assert!(scopes.contains(&(2, PurgeScope::Tag("news".into()))) && scopes.contains(&(2, prefix)), "{scopes:?}");
        running.scoped(Scope::Node).await.report(name, 2).await;
    }
    assert!(settled().await);
}

#[tokio::test]
async fn what_is_no_purge_is_refused() {
    let running = Running::new().await;
    let api = running.admin();
    api.deploy("shop", "1", json!({})).await.ok::<Value>();
    for (request, word) in [
        (json!({}), "everything"),
        (json!({ "everything": true, "tags": ["a"] }), "everything"),
        (json!({ "tags": ["a,b"] }), "a,b"),
        (json!({ "tags": [""] }), "1 to 1,024"),
        (json!({ "tags": vec!["a"; 101] }), "at most 100"),
        (json!({ "prefixes": ["https://shop.example/"] }), "without a scheme"),
        (json!({ "prefixes": ["/img/"] }), "host"),
        (json!({ "prefixes": ["shop.example/?q"] }), "shop.example/?q"),
    ] {
        let answer = api.send(Method::POST, "/v1/apps/shop/purge", &request).await;
        answer.error(422, "purge-invalid", &[word]);
    }
    let missing = api.send(Method::POST, "/v1/apps/blog/purge", &json!({ "everything": true })).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    for cache in [json!({ "rules": [{ "path": "api/*", "enabled": false }] }), json!({ "key": { "headers": ["a b"] } })]
    {
        let answer = api.deploy("shop", "2", json!({ "config": { "cache": cache } })).await;
        answer.error(422, "cache-settings-invalid", &["cache"]);
    }
}
