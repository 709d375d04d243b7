//! Following a control plane, and doing without it.

use atoll_edge_node::{EdgeNode, Status};
use atoll_protocol::seal::seal_for;
use atoll_protocol::signing::SigningKey;
use atoll_protocol::sync::{AppState, Frame, SignedFrame};
use atoll_runtime::{CodeStarts, Engine};
use http::Request;
use http_body_util::Full;
use std::time::Duration;

use crate::plane::Plane;
use crate::support::{app, eventually, get, hash, http1, says, send};

/// An app whose versions say their number.
fn version(plane: &Plane, name: &str, number: u64) -> AppState {
    let code = says(&format!("{name} {number}"));
    plane.upload(&code);
    app(name, number, &code)
}

async fn started(plane: &Plane, dir: &std::path::Path, engine: &Engine) -> EdgeNode {
    EdgeNode::start(plane.config(dir), engine.clone()).await.expect("the node starts")
}

/// Snapshot, changes and deletions are served and reported.
pub async fn serves_what_it_is_told(engine: Engine) {
    let plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    plane.opens_with(4, vec![version(&plane, "a", 1), version(&plane, "b", 1)]);
    let node = started(&plane, dir.path(), &engine).await;
    node.ready().await;
    node.applied(4).await;
    assert_eq!(get(&node, "a", "/").await.body, "a 1");
    plane.changes(5, version(&plane, "a", 2)).await;
    node.applied(5).await;
    assert_eq!(get(&node, "a", "/").await.body, "a 2");
    assert_eq!(get(&node, "b", "/").await.body, "b 1");
    plane.says(Frame::Change { revision: 6, app: "b".into(), state: None }).await;
    node.applied(6).await;
    assert_eq!(get(&node, "b", "/").await.error(), "route-not-found");
    eventually("it is reported", async || plane.report().is_some_and(|report| report.revision == 6)).await;
    let report = plane.report().unwrap();
    assert_eq!(report.edge_url, format!("http://{}", node.local_addr()));
    assert_eq!((report.default_domain.as_str(), report.failures.len()), ("localhost", 0));
    let query = plane.syncs().remove(0);
    assert!(query.contains("since=0") && query.contains("node=edge"), "{query}");
}

/// Compiled code of what begins to be served is on disk before anybody has asked for it.
pub async fn compiles_what_begins_to_be_served(engine: Engine) {
    let plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    plane.opens_with(1, vec![version(&plane, "a", 1)]);
    let node = started(&plane, dir.path(), &engine).await;
    let compiled =
        |app: &str, number: u64| dir.path().join("code").join(hash(&says(&format!("{app} {number}"))).to_string());
    eventually("the first version is compiled", async || compiled("a", 1).exists()).await;
    plane.changes(2, version(&plane, "a", 2)).await;
    eventually("the next one is", async || compiled("a", 2).exists()).await;
    assert_eq!(get(&node, "a", "/").await.body, "a 2");
}

/// A node that is started again, even without its control plane, has the compiled code of apps that never ran in memory, and
/// starts them from that.
pub async fn has_compiled_code_at_hand_when_it_starts_again(engine: Engine) {
    let mut plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    plane.opens_with(1, vec![]);
    let node = started(&plane, dir.path(), &engine).await;
    node.applied(1).await;
    plane.changes(2, version(&plane, "a", 1)).await;
    let code = dir.path().join("code").join(hash(&says("a 1")).to_string());
    eventually("it is compiled", async || code.exists()).await;
    plane.stop().await;
    assert!(node.shutdown(Duration::from_secs(60)).await);

    let node = started(&plane, dir.path(), &engine).await;
    eventually("the code is in memory", async || node.code_bytes() > 0).await;
    // The file is not needed any more.
    std::fs::remove_file(code).unwrap();
    assert_eq!(get(&node, "a", "/").await.body, "a 1");
    assert_eq!(node.code_starts(), CodeStarts { memory: 1, disk: 0, none: 0 });
}

/// Hundreds of changes that arrive together are all brought up, but for the one whose code is wrong; and all are on disk.
pub async fn brings_up_many_at_once(engine: Engine) {
    const MANY: u64 = 400;
    let mut plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    plane.opens_with(1, vec![version(&plane, "gone", 1), version(&plane, "app-7", 1)]);
    let node = started(&plane, dir.path(), &engine).await;
    node.applied(1).await;
    let name = |n: u64| format!("app-{n}");
    for n in 0..MANY {
        plane.upload(&says(&format!("{} 2", name(n))));
    }
    plane.upload_wrong(&says("app-7 2"), &says("evil"));
    for n in 0..MANY {
        plane.changes(2 + n, app(&name(n), 2, &says(&format!("{} 2", name(n))))).await;
        if n == MANY / 2 {
            plane.says(Frame::Change { revision: 2 + n, app: "gone".into(), state: None }).await;
        }
    }
    node.applied(MANY + 1).await;
    let answers = async |node: &EdgeNode| {
        for n in [0, 1, 199, 200, 201, MANY - 1] {
            assert_eq!(get(node, &name(n), "/").await.body, format!("app-{n} 2"));
        }
        assert_eq!(get(node, "app-7", "/").await.body, "app-7 1");
        assert_eq!(get(node, "gone", "/").await.error(), "route-not-found");
    };
    answers(&node).await;
    eventually("it is reported", async || plane.report().is_some_and(|report| report.revision == MANY + 1)).await;
    assert_eq!(plane.report().unwrap().failures.into_keys().collect::<Vec<_>>(), ["app-7"]);
    plane.stop().await;
    assert!(node.shutdown(Duration::from_secs(60)).await);
    let node = started(&plane, dir.path(), &engine).await;
    assert_eq!(*node.status().borrow(), Status { ready: true, revision: MANY + 1, ..Status::default() });
    answers(&node).await;
}

/// A frame with another key's signature changes nothing; the node comes back and goes on.
pub async fn refuses_what_is_not_signed(engine: Engine) {
    let plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    plane.opens_with(1, vec![version(&plane, "a", 1)]);
    let node = started(&plane, dir.path(), &engine).await;
    node.applied(1).await;
    let evil = version(&plane, "a", 2);
    let frame = Frame::Change { revision: 2, app: "a".into(), state: Some(Box::new(evil)) };
    plane.says_signed(SignedFrame::sign(&SigningKey::generate().unwrap(), &frame)).await;
    eventually("the stream is opened anew", async || plane.syncs().len() >= 2).await;
    assert_eq!(get(&node, "a", "/").await.body, "a 1");
    plane.changes(3, version(&plane, "a", 3)).await;
    node.applied(3).await;
    assert_eq!(get(&node, "a", "/").await.body, "a 3");
    assert!(plane.syncs()[1].contains("since=1"), "{:?}", plane.syncs());
}

/// A bundle with another content than announced is not served: the old version is, and the failure is reported.
pub async fn keeps_the_old_version_when_a_bundle_is_wrong(engine: Engine) {
    let plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    plane.opens_with(1, vec![version(&plane, "a", 1), version(&plane, "b", 1)]);
    let node = started(&plane, dir.path(), &engine).await;
    node.applied(1).await;
    let code = says("a 2");
    plane.upload_wrong(&code, &says("evil"));
    plane.changes(2, app("a", 2, &code)).await;
    plane.changes(3, version(&plane, "b", 2)).await;
    node.applied(3).await;
    assert_eq!(get(&node, "a", "/").await.body, "a 1");
    assert_eq!(get(&node, "b", "/").await.body, "b 2");
    eventually("the failure is reported", async || plane.report().is_some_and(|report| report.revision == 3)).await;
    let failures = plane.report().unwrap().failures;
    assert!(failures["a"].contains("hash") && failures.len() == 1, "{failures:?}");
    plane.upload(&code);
    eventually("it is tried again", async || get(&node, "a", "/").await.body == "a 2").await;
    eventually("and reported", async || plane.report().is_some_and(|report| report.failures.is_empty())).await;
}

/// With the control plane gone the node serves on, also after a restart, and catches up when it is back.
pub async fn serves_from_disk_and_catches_up(engine: Engine) {
    let mut plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    plane.opens_with(1, vec![version(&plane, "a", 1)]);
    let node = started(&plane, dir.path(), &engine).await;
    node.applied(1).await;
    plane.stop().await;
    assert_eq!(get(&node, "a", "/").await.body, "a 1");
    assert!(node.shutdown(Duration::from_secs(60)).await);

    let node = started(&plane, dir.path(), &engine).await;
    node.ready().await;
    assert_eq!(get(&node, "a", "/").await.body, "a 1");
    plane.opens_with_nothing();
    plane.start().await;
    eventually("the stream is open again", async || plane.syncs().len() >= 2).await;
    assert!(plane.syncs().last().unwrap().contains("since=1"));
    assert!(plane.syncs().last().unwrap().contains("history=test"));
    eventually("it has caught up", async || {
        plane.changes(2, version(&plane, "a", 2)).await;
        get(&node, "a", "/").await.body == "a 2"
    })
    .await;
}

/// A secret sealed for the node is in `env`, also after a restart without the control plane.
pub async fn opens_secrets(engine: Engine) {
    let mut plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    let node = started(&plane, dir.path(), &engine).await;
    eventually("the stream is open", async || !plane.syncs().is_empty()).await;
    let code = "export default { fetch(request, env) { return new Response(`${env.KEY} ${env.VAR} ${env.N.x}`); } };";
    plane.upload(code);
    let mut state = app("a", 1, code);
    let config = &mut state.versions.get_mut(&1).unwrap().config;
    config.vars.insert("VAR".into(), "text".into());
    config.vars.insert("N".into(), serde_json::json!({ "x": 7 }));
    state.secrets = vec![seal_for(&plane.node_key().unwrap(), "a", "KEY", 1, "s3cret").unwrap()];
    plane.changes(1, state.clone()).await;
    node.applied(1).await;
    assert_eq!(get(&node, "a", "/").await.body, "s3cret text 7");
    state.secrets = vec![seal_for(&plane.node_key().unwrap(), "a", "KEY", 2, "another").unwrap()];
    plane.changes(2, state).await;
    node.applied(2).await;
    assert_eq!(get(&node, "a", "/").await.body, "another text 7");
    plane.stop().await;
    node.shutdown(Duration::from_secs(60)).await;
    let node = started(&plane, dir.path(), &engine).await;
    node.ready().await;
    assert_eq!(get(&node, "a", "/").await.body, "another text 7");
    for entry in std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        let content = std::fs::read(&entry).unwrap();
        assert!(!String::from_utf8_lossy(&content).contains("another"), "secrets are sealed in {}", entry.display());
    }
}

/// Log lines of tailed apps reach the control plane, those of others do not.
pub async fn forwards_tailed_logs(engine: Engine) {
    let plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    let code = "export default { fetch(request) { console.warn('seen', request.url); return new Response('ok'); } };";
    plane.upload(code);
    plane.opens_with(1, vec![app("a", 1, code), app("b", 1, code)]);
    let node = started(&plane, dir.path(), &engine).await;
    node.applied(1).await;
    plane.says(Frame::Tail { apps: vec!["a".into()] }).await;
    eventually("a line arrives", async || {
        get(&node, "b", "/").await;
        get(&node, "a", "/path").await;
        !plane.logs().is_empty()
    })
    .await;
    eventually("all kinds arrive", async || {
        let logs = plane.logs();
        logs.iter().any(|line| line.level == "warn" && line.message.contains("seen"))
            && logs.iter().any(|line| line.level == "request" && line.message.contains("200"))
    })
    .await;
    let logs = plane.logs();
    assert!(logs.iter().all(|line| line.app == "a" && line.node == "edge" && line.version == 1), "{logs:?}");
    assert!(logs.iter().any(|line| line.request_id.is_some()));
}

/// A state file that cannot be read, or of which a byte has changed, costs a full resync, not the node.
pub async fn survives_a_damaged_state(engine: Engine) {
    let plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    plane.opens_with(1, vec![version(&plane, "a", 1)]);
    let node = started(&plane, dir.path(), &engine).await;
    node.applied(1).await;
    node.shutdown(Duration::from_secs(60)).await;
    let (path, aside) = (dir.path().join("state.json"), dir.path().join("state.json.damaged"));
    let half = |text: &[u8]| text[..text.len() / 2].to_vec();
    let another = |text: &[u8]| String::from_utf8_lossy(text).replace("\"a\"", "\"b\"").into_bytes();
    for damage in [&half as &dyn Fn(&[u8]) -> Vec<u8>, &another] {
        std::fs::write(&path, damage(&std::fs::read(&path).unwrap())).unwrap();
        let syncs = plane.syncs().len();
        let node = started(&plane, dir.path(), &engine).await;
        node.applied(1).await;
        assert_eq!(get(&node, "a", "/").await.body, "a 1");
        assert_eq!(get(&node, "b", "/").await.error(), "route-not-found");
        assert!(plane.syncs()[syncs].contains("since=0"));
        std::fs::remove_file(&aside).unwrap();
        node.shutdown(Duration::from_secs(60)).await;
    }
}

/// A node that is started again without its control plane serves every app by its hosts and paths as it was last: what was
/// removed stays removed, and what changed is the new one. It does so from the index of its state, without that, and from
/// what a version before has written, which gets an index.
pub async fn is_as_it_was_when_it_starts_again(engine: Engine) {
    const MANY: u64 = 60;
    let mut plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    let name = |n: u64| format!("app-{n}");
    let routed = |number: u64, n: u64| AppState {
        routes: vec![format!("shop.test/{n}/*"), format!("*.{n}.test/*")],
        ..version(&plane, &name(n), number)
    };
    plane.opens_with(1, (0..MANY).map(|n| routed(1, n)).collect());
    let mut node = started(&plane, dir.path(), &engine).await;
    node.applied(1).await;
    plane.changes(2, routed(2, 7)).await;
    plane.says(Frame::Change { revision: 3, app: name(8), state: None }).await;
    plane.changes(4, version(&plane, "new", 1)).await;
    plane.changes(5, AppState { routes: vec!["shop.test/8/*".into()], ..version(&plane, &name(9), 3) }).await;
    node.applied(5).await;
    plane.stop().await;

    let answers = async |node: &EdgeNode| {
        let client = http1();
        let ask = async |host: &str, path: &str| {
            let request = Request::get(format!("{}{path}", node.base_url())).header("host", host);
            send(&client, request.body(Full::default()).unwrap()).await
        };
        for n in (0..MANY).filter(|n| !(8..=9).contains(n)) {
            let says = format!("app-{n} {}", if n == 7 { 2 } else { 1 });
            assert_eq!(ask(&format!("app-{n}.localhost"), "/").await.body, says);
            assert_eq!(ask("shop.test", &format!("/{n}/x")).await.body, says);
            assert_eq!(ask(&format!("a.b.{n}.test"), "/").await.body, says);
        }
        assert_eq!(
            ask("shop.test", "/8/x").await.body,
            "app-9 3",
            "it has taken the place of the one that was removed"
        );
        assert_eq!(ask("new.localhost", "/").await.body, "new 1");
        for (host, path) in [("app-8.localhost", "/"), ("a.8.test", "/"), ("a.9.test", "/"), ("shop.test", "/9/x")] {
            assert_eq!(ask(host, path).await.error(), "route-not-found", "{host}{path}");
        }
    };
    answers(&node).await;
    let files = |extension: &str| {
        let files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|found| found == extension)).collect::<Vec<_>>()
    };
    let forget_index = || files("index").iter().for_each(|path| std::fs::remove_file(path).unwrap());
    for kind in ["indexed", "without its index", "of a version before"] {
        assert!(node.shutdown(Duration::from_secs(60)).await);
        match kind {
            "without its index" => forget_index(),
            "of a version before" => {
                forget_index();
                let path = dir.path().join("state.json");
                let text = std::fs::read_to_string(&path).unwrap();
                let (beginning, rest) = text.split_once(",\"checksum\":\"").unwrap();
                let (_, rest) = rest.split_once("\",").unwrap();
                std::fs::write(&path, format!("{beginning},{rest}")).unwrap();
            }
            _ => assert_eq!((files("index").len(), files("log").len()), (1, 1)),
        }
        node = started(&plane, dir.path(), &engine).await;
        assert_eq!(*node.status().borrow(), Status { ready: true, revision: 5, ..Status::default() }, "{kind}");
        answers(&node).await;
        eventually("there is an index", async || files("index").len() == 1).await;
    }
}

/// A change that goes back in revisions is refused, and everything is asked for again.
pub async fn asks_again_when_frames_go_back(engine: Engine) {
    let plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    plane.opens_with(5, vec![version(&plane, "a", 1)]);
    let node = started(&plane, dir.path(), &engine).await;
    node.applied(5).await;
    plane.changes(4, version(&plane, "a", 2)).await;
    eventually("the stream is opened anew", async || plane.syncs().len() >= 2).await;
    assert!(plane.syncs()[1].contains("since=0"));
    assert_eq!(get(&node, "a", "/").await.body, "a 1");
}

/// Two nodes that are started again make up for what was due in the meantime, each due time on one of them, once.
pub async fn runs_what_is_due_once(engine: Engine) {
    let code = "const ran = []; export default {
        scheduled(controller) { ran.push(`${controller.cron} ${controller.scheduledTime}`); },
        fetch() { return Response.json(ran); } };";
    let mut plane = Plane::new().await;
    plane.upload(code);
    let mut state = app("a", 1, code);
    for version in state.versions.values_mut() {
        // The second is never due.
        version.config.crons = vec!["* * * * *".into(), "0 0 31 2 *".into()];
    }
    plane.opens_with(1, vec![state]);
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let start = async || {
        let mut nodes = Vec::new();
        for dir in &dirs {
            let mut config = plane.config(dir.path());
            config.isolates.max_per_version = 1;
            nodes.push(EdgeNode::start(config, engine.clone()).await.expect("the node starts"));
        }
        nodes
    };
    // What was due before a node knew the app is not its business.
    for node in start().await {
        node.applied(1).await;
        node.shutdown(Duration::ZERO).await;
    }
    let known = plane.crons().len();
    assert!(known <= 2, "{:?}", plane.crons());
    let nodes = start().await;
    let all = async || {
        let mut all = Vec::new();
        for node in &nodes {
            all.extend(serde_json::from_str::<Vec<String>>(&get(node, "a", "/").await.body).unwrap());
        }
        all
    };
    eventually("what was due is run", async || all().await.len() >= 15 - known).await;
    let mut ran = all().await;
    ran.sort();
    let count = ran.len();
    ran.dedup();
    assert_eq!(ran.len(), count, "{ran:?}");
    for line in &ran {
        let due: u64 = line.strip_prefix("* * * * * ").expect(line).parse().expect(line);
        assert!(due.is_multiple_of(60_000) && plane.crons().contains(&("a".into(), "* * * * *".into(), due)), "{line}");
    }
    plane.stop().await;
}
