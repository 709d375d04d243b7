//! What a deploy makes, and what can be done with it.

use atoll_protocol::api::{
    App, Changed, CronGrants, DeployResponse, Deployment, Node, RevisionStatus, Scope, SecretInfo, Version,
};
use atoll_protocol::seal::NodeKey;
use atoll_protocol::sync::Frame;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Running, bundle, soon, until};

#[tokio::test]
async fn a_deploy_makes_version_deployment_and_urls() {
    let running = Running::new().await;
    let api = running.admin();
    let config = json!({ "vars": { "GREETING": "hi", "LIMITS": { "a": [1] } }, "limits": { "cpu_ms": 20 } });
    let deployed: DeployResponse = api.deploy("shop", "1", json!({ "config": config, "message": "first" })).await.ok();
    assert_eq!((deployed.version, deployed.deployment, deployed.revision), (1, 1, 1));
    assert!(deployed.urls.is_empty(), "no node is connected");

    let _frames = running.follow("node=n1", &NodeKey::generate().unwrap()).await;
    api.report("n1", 1).await;
    let deployed: DeployResponse = api.deploy("shop", "2", json!({ "routes": ["Shop.example/api/*"] })).await.ok();
    assert_eq!((deployed.version, deployed.deployment, deployed.revision), (2, 2, 2));
    assert_eq!(deployed.urls, ["http://shop.localhost:8080/", "http://shop.example:8080/api/"]);

    let app: App = api.get("/v1/apps/shop").await.ok();
    assert_eq!(app.routes, ["shop.example/api/*"]);
    assert_eq!(app.urls, deployed.urls);
    assert_eq!(app.deployment.as_ref().unwrap().targets[0].version, 2);
    assert_eq!(api.get("/v1/apps").await.ok::<Vec<App>>(), [app]);
    let versions: Vec<Version> = api.get("/v1/apps/shop/versions").await.ok();
    assert_eq!(versions.iter().map(|version| version.number).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(json!(versions[1].config)["vars"], config["vars"]);
    assert_eq!(versions[1].message.as_deref(), Some("first"));
}

#[tokio::test]
async fn rollback_and_split_point_at_versions_that_exist() {
    let running = Running::new().await;
    let api = running.admin();
    api.deploy("shop", "1", json!({})).await.ok::<Value>();
    api.deploy("shop", "2", json!({})).await.ok::<Value>();
    let back: Deployment =
        api.post("/v1/apps/shop/deployments", json!({ "targets": [{ "version": 1, "weight": 100 }] })).await.ok();
    assert_eq!((back.number, back.revision, back.targets[0].version), (3, 3, 1));
    let split = json!({ "targets": [{ "version": 1, "weight": 90 }, { "version": 2, "weight": 10 }] });
    api.post("/v1/apps/shop/deployments", split).await.ok::<Deployment>();
    let all: Vec<Deployment> = api.get("/v1/apps/shop/deployments").await.ok();
    assert_eq!(all.iter().map(|made| made.targets.len()).collect::<Vec<_>>(), [2, 1, 1, 1]);

    let missing = json!({ "targets": [{ "version": 9, "weight": 100 }] });
    api.post("/v1/apps/shop/deployments", missing).await.error(404, "version-not-found", &["shop", "9", "newest is 2"]);
    let heavy = json!({ "targets": [{ "version": 1, "weight": 60 }, { "version": 2, "weight": 60 }] });
    api.post("/v1/apps/shop/deployments", heavy).await.error(422, "targets-invalid", &["120", "100"]);
}

#[tokio::test]
async fn a_version_can_wait_for_its_deployment() {
    let running = Running::new().await;
    let api = running.admin();
    let hash = api.upload("1").await;
    let version: Version = api.post("/v1/apps/shop/versions", json!({ "bundle": hash })).await.ok();
    assert_eq!((version.number, version.bundle), (1, hash));
    assert_eq!(api.get("/v1/apps/shop").await.ok::<App>().deployment, None);
}

#[tokio::test]
async fn bundles_come_back_as_they_were_uploaded() {
    let running = Running::new().await;
    let api = running.admin();
    let (archive, hash) = bundle("code");
    let path = format!("/v1/bundles/{hash}");
    assert_eq!(api.call(Method::HEAD, &path, "").await.status, StatusCode::NOT_FOUND);
    api.get(&path).await.error(404, "bundle-not-found", &[&hash.to_string(), "upload"]);
    api.upload("code").await;
    api.upload("code").await;
    let head = api.call(Method::HEAD, &path, "").await;
    assert_eq!(head.headers["content-length"], archive.len().to_string());
    assert_eq!(api.http2().get(&path).await.body, archive);
    let stored = std::fs::read(running.dir.path().join("bundles").join(hash.to_string())).unwrap();
    assert_eq!(stored, archive);
}

#[tokio::test]
async fn routes_belong_to_one_app() {
    let running = Running::new().await;
    let api = running.admin();
    api.deploy("shop", "1", json!({ "routes": ["a.example/*"] })).await.ok::<Value>();
    let refused = api.deploy("blog", "1", json!({ "routes": ["A.example/*"] })).await;
    refused.error(409, "route-taken", &["a.example/*", "shop"]);
    api.get("/v1/apps/blog").await.error(404, "app-not-found", &["blog"]);

    let app: App =
        api.put("/v1/apps/shop/routes", json!({ "routes": ["b.example"], "default_route": false })).await.ok();
    assert_eq!((app.revision, app.default_route), (2, false));
    let routes: Value = api.get("/v1/apps/shop/routes").await.ok();
    assert_eq!(routes, json!({ "routes": ["b.example"], "default_route": false }));
    api.deploy("blog", "1", json!({ "routes": ["a.example/*"] })).await.ok::<Value>();
}

#[tokio::test]
async fn secrets_are_listed_without_values_and_clash_with_variables() {
    let running = Running::new().await;
    let api = running.admin();
    api.deploy("shop", "1", json!({ "config": { "vars": { "PLAIN": "x" } } })).await.ok::<Value>();
    let set: Changed = api.put("/v1/apps/shop/secrets/KEY", json!({ "value": "hidden value" })).await.ok();
    assert_eq!((set.app.as_str(), set.revision), ("shop", 2));
    let listed = api.get("/v1/apps/shop/secrets").await;
    assert_eq!(listed.ok::<Vec<SecretInfo>>()[0].name, "KEY");
    assert!(!String::from_utf8_lossy(&listed.body).contains("hidden"));
    for file in std::fs::read_dir(running.dir.path()).unwrap().map(|file| file.unwrap().path()) {
        if let Ok(bytes) = std::fs::read(&file) {
            assert!(!bytes.windows(12).any(|window| window == b"hidden value"), "in clear in {}", file.display());
        }
    }

    let clash = api.put("/v1/apps/shop/secrets/PLAIN", json!({ "value": "x" })).await;
    clash.error(409, "binding-conflict", &["PLAIN", "version 1", "shop"]);
    let clash = api.deploy("shop", "1", json!({ "config": { "vars": { "KEY": "x" } } })).await;
    clash.error(409, "binding-conflict", &["KEY"]);
    api.call(Method::DELETE, "/v1/apps/shop/secrets/KEY", "").await.ok::<Changed>();
    api.call(Method::DELETE, "/v1/apps/shop/secrets/KEY", "").await.error(404, "secret-not-found", &["KEY"]);
    api.put("/v1/apps/none/secrets/KEY", json!({ "value": "x" })).await.error(404, "app-not-found", &["none"]);
}

#[tokio::test]
async fn a_deleted_app_is_gone_and_its_numbers_are_not_used_again() {
    let running = Running::new().await;
    let api = running.admin();
    api.deploy("shop", "1", json!({ "routes": ["a.example/*"] })).await.ok::<Value>();
    let mut frames = running.follow("node=n1", &NodeKey::generate().unwrap()).await;
    let Frame::Snapshot { history, apps, .. } = frames.state().await else { panic!("no snapshot") };
    let before = apps[0].incarnation.clone();
    assert!(before.contains(&history), "nor does it come again with another control plane: {before}");
    let deleted: Changed = api.call(Method::DELETE, "/v1/apps/shop", "").await.ok();
    assert_eq!(deleted.revision, 2);
    for path in ["", "/versions", "/deployments", "/routes", "/secrets", "/tail"] {
        api.get(&format!("/v1/apps/shop{path}")).await.error(404, "app-not-found", &["shop"]);
    }
    api.call(Method::DELETE, "/v1/apps/shop", "").await.error(404, "app-not-found", &["shop"]);
    assert!(matches!(frames.state().await, Frame::Change { state: None, .. }));
    let again: DeployResponse = api.deploy("shop", "1", json!({})).await.ok();
    assert_eq!((again.version, again.revision), (2, 3));
    let Frame::Change { state: Some(state), .. } = frames.state().await else { panic!("no change") };
    assert_ne!(state.incarnation, before, "nodes can tell it from the one before");
    api.deploy("shop", "2", json!({})).await.ok::<Value>();
    let Frame::Change { state: Some(next), .. } = frames.state().await else { panic!("no change") };
    assert_eq!(next.incarnation, state.incarnation);
}

#[tokio::test]
async fn a_revision_settles_when_the_nodes_run_it() {
    let running = Running::new().await;
    let api = running.admin();
    api.get("/v1/revisions/1").await.error(404, "revision-not-found", &["1", "last is 0"]);
    api.deploy("shop", "1", json!({})).await.ok::<Value>();
    let nobody: RevisionStatus = api.get("/v1/revisions/1?wait_ms=20000").await.ok();
    assert!(nobody.settled && nobody.nodes.is_empty());

    let frames = running.follow("node=n1", &NodeKey::generate().unwrap()).await;
    let behind: RevisionStatus = api.get("/v1/revisions/1").await.ok();
    assert!(!behind.settled && behind.nodes[0].name == "n1");
    let waiting = tokio::spawn({
        let api = api.clone();
        async move { api.get("/v1/revisions/1?wait_ms=20000").await.ok::<RevisionStatus>() }
    });
    api.report("n1", 1).await;
    let settled = soon("the answer", waiting).await.unwrap();
    assert!(settled.settled && settled.nodes[0].report.as_ref().unwrap().revision == 1);

    drop(frames);
    until("the node goes", async || {
        let nodes: Vec<Node> = api.get("/v1/nodes").await.ok();
        (!nodes[0].connected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn services_have_to_exist_and_crons_to_be_crons() {
    let running = Running::new().await;
    let api = running.admin();
    let services = |service: &str| json!({ "config": { "services": { "OTHER": { "service": service } } } });
    api.deploy("front", "1", services("back")).await.error(
        422,
        "service-not-found",
        &["OTHER", "back", "deploy it first"],
    );
    // Itself an app may call from the beginning.
    api.deploy("front", "1", services("front")).await.ok::<Value>();
    api.deploy("back", "1", json!({})).await.ok::<Value>();
    api.deploy("front", "1", services("back")).await.ok::<Value>();
    let both = json!({ "config": { "vars": { "A": 1 }, "services": { "A": { "service": "back" } } } });
    api.deploy("front", "1", both).await.error(422, "service-invalid", &["A is both"]);
    api.deploy("front", "1", services("No Name")).await.error(422, "service-invalid", &["No Name"]);
    let crons = |crons: Value| json!({ "config": { "crons": crons } });
    api.deploy("front", "1", crons(json!(["*/5 * * * *", "0 17 * * SUN"]))).await.ok::<Value>();
    for (wrong, word) in
        [(json!(["x"]), "\"x\""), (json!(["* * * * *", "* * * * *"]), "twice"), (json!(vec!["a"; 33]), "33")]
    {
        api.deploy("front", "1", crons(wrong)).await.error(422, "cron-invalid", &[word]);
    }
}

#[tokio::test]
async fn a_due_time_of_a_cron_is_given_to_one_node_once() {
    let running = Running::new().await;
    let node = running.scoped(Scope::Node).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let due = now / 60_000 * 60_000;
    let claim = |due: u64| json!({ "app": "shop", "cron": "* * * * *", "due": due });
    let ask = async |name: &str, holder: &str, claims: Vec<Value>| {
        let request = json!({ "holder": holder, "claims": claims });
        node.post(&format!("/v1/nodes/{name}/crons"), request).await.ok::<CronGrants>().granted
    };
    assert_eq!(ask("n1", "a", vec![claim(due), claim(due - 60_000)]).await, [true, true]);
    assert_eq!(ask("n2", "b", vec![claim(due), claim(due - 120_000)]).await, [false, true]);
    // Whoever has not heard the answer may ask again; the process after it may not.
    assert_eq!(ask("n1", "a", vec![claim(due)]).await, [true]);
    assert_eq!(ask("n1", "c", vec![claim(due)]).await, [false]);
    assert_eq!(ask("n1", "a", vec![claim(due - 2 * 3_600_000)]).await, [false], "what is forgotten is not given out");
    let answer = running.scoped(Scope::Read).await;
    let request = json!({ "holder": "a", "claims": [] });
    answer.send(Method::POST, "/v1/nodes/n1/crons", &request).await.error(403, "scope-insufficient", &["node"]);
    for (wrong, word) in [
        (json!({ "holder": "", "claims": [] }), "holder"),
        (json!({ "holder": "a", "claims": vec![claim(1); 1001] }), "1001"),
        (json!({ "holder": "a", "claims": [{ "app": "No", "cron": "x", "due": 1 }] }), "No"),
    ] {
        node.send(Method::POST, "/v1/nodes/n1/crons", &wrong).await.error(422, "cron-claim-invalid", &[word]);
    }
}
