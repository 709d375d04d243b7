//! The streams: what nodes follow, and logs.

use std::time::Duration;

use atoll_protocol::api::{LogLine, Scope, TokenCreated};
use atoll_protocol::seal::NodeKey;
use atoll_protocol::sync::Frame;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::Running;

fn change(frame: Frame) -> (u64, String, bool) {
    match frame {
        Frame::Change { revision, app, state } => (revision, app, state.is_some()),
        other => panic!("{other:?} is no change"),
    }
}

#[tokio::test]
async fn a_node_gets_a_snapshot_then_every_change() {
    let running = Running::new().await;
    let api = running.admin();
    api.deploy("shop", "1", json!({ "routes": ["a.example/*"], "config": { "vars": { "A": 1 } } })).await.ok::<Value>();
    let mut frames = running.follow("node=n1&since=0", &NodeKey::generate().unwrap()).await;
    let Frame::Snapshot { history, revision, apps, .. } = frames.state().await else { panic!("no snapshot") };
    assert_eq!((revision, history.len(), apps.len()), (1, 32, 1));
    assert_eq!((apps[0].name.as_str(), apps[0].revision, apps[0].deployment), ("shop", 1, 1));
    assert_eq!(apps[0].routes, ["a.example/*"]);
    assert_eq!(apps[0].versions[&1].config.vars["A"], 1);
    assert_eq!(frames.tailed().await, [""; 0]);

    api.deploy("blog", "1", json!({})).await.ok::<Value>();
    assert_eq!(change(frames.state().await), (2, "blog".into(), true));
    api.call(Method::DELETE, "/v1/apps/shop", "").await.ok::<Value>();
    assert_eq!(change(frames.state().await), (3, "shop".into(), false));
}

#[tokio::test]
async fn a_node_resumes_where_it_was() {
    let running = Running::new().await;
    let api = running.admin();
    for app in ["a", "b", "c", "a"] {
        api.deploy(app, "1", json!({})).await.ok::<Value>();
    }
    api.call(Method::DELETE, "/v1/apps/b", "").await.ok::<Value>();
    let key = NodeKey::generate().unwrap();
    let history = running.admin().get("/v1/health").await.json()["history"].as_str().unwrap().to_owned();
    let mut frames = running.follow(&format!("node=n1&since=3&history={history}"), &key).await;
    assert_eq!(change(frames.state().await), (4, "a".into(), true));
    assert_eq!(change(frames.state().await), (5, "b".into(), false));

    let mut current = running.follow("node=n1&since=5", &key).await;
    assert_eq!(current.any().await, Some(Frame::Heartbeat { revision: 5 }));
    for (case, query) in [("from the future", "since=6"), ("of another history", "since=3&history=other")] {
        let mut frames = running.follow(&format!("node=n1&{query}"), &key).await;
        let Frame::Snapshot { revision: 5, apps, .. } = frames.state().await else { panic!("{case}: no snapshot") };
        assert_eq!(apps.iter().map(|app| app.name.as_str()).collect::<Vec<_>>(), ["c", "a"]);
    }
}

#[tokio::test]
async fn silence_is_broken_by_heartbeats() {
    let running = Running::with(|config| config.heartbeat = Duration::from_millis(20)).await;
    running.admin().deploy("shop", "1", json!({})).await.ok::<Value>();
    let mut frames = running.follow("node=n1", &NodeKey::generate().unwrap()).await;
    assert_eq!((frames.heartbeat().await, frames.heartbeat().await), (1, 1));
    let mut tail = running.admin().stream("/v1/apps/shop/tail").await;
    for _ in 0..3 {
        assert_eq!(tail.next().await.unwrap(), "");
    }
}

#[tokio::test]
async fn a_secret_reaches_only_the_node_that_asked() {
    let running = Running::new().await;
    let api = running.admin();
    let (node, other) = (NodeKey::generate().unwrap(), NodeKey::generate().unwrap());
    api.deploy("shop", "1", json!({})).await.ok::<Value>();
    let mut frames = running.follow("node=n1", &node).await;
    frames.state().await;
    for value in ["first", "second ✓"] {
        api.put("/v1/apps/shop/secrets/KEY", json!({ "value": value })).await.ok::<Value>();
        let Frame::Change { revision, state, .. } = frames.state().await else { panic!("no change") };
        let state = state.unwrap();
        assert_eq!((state.secrets.len(), state.secrets[0].version), (1, revision));
        assert_eq!(node.open("shop", &state.secrets[0]).unwrap(), value);
        assert!(other.open("shop", &state.secrets[0]).is_err());
    }
    let running = running.restart().await;
    let mut frames = running.follow("node=n2", &other).await;
    let Frame::Snapshot { apps, .. } = frames.state().await else { panic!("no snapshot") };
    assert_eq!(other.open("shop", &apps[0].secrets[0]).unwrap(), "second ✓");
}

#[tokio::test]
async fn a_node_sends_the_logs_that_somebody_reads() {
    let running = Running::new().await;
    let api = running.admin();
    api.deploy("shop", "1", json!({})).await.ok::<Value>();
    let mut frames = running.follow("node=n1", &NodeKey::generate().unwrap()).await;
    assert!(frames.tailed().await.is_empty());
    let mut tail = api.stream("/v1/apps/shop/tail").await;
    assert_eq!(frames.tailed().await, ["shop"]);

    let line = |app: &str, message: &str| json!({ "at": 5, "node": "forged", "app": app, "version": 1, "level": "log", "message": message });
    let node = running.scoped(Scope::Node).await;
    let answer = node.post("/v1/nodes/n1/logs", json!([line("blog", "unread"), line("shop", "hello")])).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let read: LogLine = tail.json().await;
    assert_eq!((read.message.as_str(), read.node.as_str(), read.at), ("hello", "n1", 5));
    drop(tail);
    assert!(frames.tailed().await.is_empty());
}

#[tokio::test]
async fn a_deleted_token_ends_its_streams() {
    let running = Running::with(|config| config.heartbeat = Duration::from_millis(20)).await;
    let api = running.admin();
    api.deploy("shop", "1", json!({})).await.ok::<Value>();
    let made: TokenCreated = api.post("/v1/tokens", json!({ "name": "t", "scope": "deploy" })).await.ok();
    let mut tail = running.client(&made.token).stream("/v1/apps/shop/tail").await;
    tail.next().await.unwrap();
    let path = format!("/v1/tokens/{}", made.info.id);
    assert_eq!(api.call(Method::DELETE, &path, "").await.status, StatusCode::NO_CONTENT);
    while tail.next().await.is_some() {}
}

#[tokio::test]
async fn shutdown_ends_streams_at_once() {
    let running = Running::new().await;
    let api = running.admin();
    api.deploy("shop", "1", json!({})).await.ok::<Value>();
    let mut frames = running.follow("node=n1", &NodeKey::generate().unwrap()).await;
    let mut tail = api.stream("/v1/apps/shop/tail").await;
    frames.state().await;
    assert!(running.plane.shutdown(Duration::from_secs(60)).await, "a request was cut off");
    while frames.any().await.is_some() {}
    while tail.next().await.is_some() {}
}
