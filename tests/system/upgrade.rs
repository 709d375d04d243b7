//! One process takes a node over from another, under load.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;
use tempfile::TempDir;

use crate::support::process::{Atoll, atoll};
use crate::support::roles::ControlPlane;
use crate::support::{eventually, http};

const HELLO: &str = "export default { fetch() { return new Response('hello'); } };";

/// A node whose program can be replaced, with an app.
struct Node {
    control_plane: ControlPlane,
    process: Atoll,
    address: std::net::SocketAddr,
    directory: TempDir,
}

impl Node {
    fn start() -> Self {
        let control_plane = ControlPlane::start();
        let directory = TempDir::new().unwrap();
        // A program of its own, so that it can be replaced.
        let program = directory.path().join("atoll");
        std::fs::hard_link(atoll().get_program(), &program)
            .or_else(|_| std::fs::copy(atoll().get_program(), &program).map(|_| ()))
            .unwrap();
        let config = directory.path().join("edge-node.toml");
        let data = directory.path().join("data");
        let table = control_plane.table("north");
        let text =
            format!("name = \"north\"\ndata_dir = {data:?}\nlisten = \"127.0.0.1:0\"\n{table}[isolates]\nwarm = 2\n");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(&program);
        command.env_remove("RUST_LOG").arg("edge-node").arg("--config").arg(&config);
        let mut process = Atoll::spawn(&mut command);
        let address =
            process.line_with(|line| line.split(' ').find_map(|word| word.strip_prefix("edge=http://")?.parse().ok()));
        let mut api = control_plane.api();
        let revision = api.deploy("hello", HELLO, json!({}));
        api.settle(revision);
        Self { control_plane, process, address, directory }
    }

    fn hello(&self) {
        http::get(self.address, "hello.localhost", "/").expect(200, "hello");
    }
}

/// Ends a process that this test's node has started, when the test is over.
struct Successor(u32);

impl Drop for Successor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = Command::new("kill").args(["-s", "KILL", &self.0.to_string()]).status();
    }
}

/// Waits until the log says who has taken over.
fn successor(process: &Atoll) -> Successor {
    let said = || {
        let log = process.log();
        let at = log.find(" has taken over")?;
        log[..at].rsplit(' ').next()?.parse().ok()
    };
    Successor(eventually("another process has taken over", said))
}

#[test]
fn an_upgrade_under_load_fails_no_request() {
    let mut node = Node::start();
    let url = format!("http://{}/", node.address);
    let mut load = Command::new("wrk");
    load.args(["-t1", "-c8", "-d8s", "--timeout", "60s", "-H", "Host: hello.localhost", &url]);
    let load = load.stdout(Stdio::piped()).spawn().unwrap();
    eventually("there is load", || (http::get(node.address, "hello.localhost", "/").status == 200).then_some(()));
    node.process.signal("USR2");
    let successor = successor(&node.process);
    assert!(node.process.wait().success(), "the process before ends well");
    node.hello();
    let report = load.wait_with_output().unwrap();
    let report = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(report.contains("Requests/sec"), "{report}");
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");

    let mut api = node.control_plane.api();
    let revision = api.deploy("hello", "export default { fetch() { return new Response('new'); } };", json!({}));
    api.settle(revision);
    http::get(node.address, "hello.localhost", "/").expect(200, "new");
    let status = Command::new("kill").args(["-s", "TERM", &successor.0.to_string()]).status().unwrap();
    assert!(status.success(), "it still runs");
    eventually("the port is free", || std::net::TcpStream::connect(node.address).is_err().then_some(()));
}

/// How many requests `h2load` says it has sent, and how many of them were answered with 200. Those that it does not send
/// because its connection takes no more streams do not count: it opens no other.
fn counts(report: &str) -> (u64, u64) {
    let number = |line: &str, what: &str| -> u64 {
        let line = report.lines().find_map(|all| all.strip_prefix(line)).unwrap_or_else(|| panic!("{report}"));
        let part = line.split(", ").find_map(|part| part.strip_suffix(what));
        part.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("{what} in {line}"))
    };
    (number("requests:", " started"), number("status codes:", " 2xx"))
}

#[test]
fn http2_clients_lose_nothing_in_an_upgrade_and_a_deploy() {
    let mut node = Node::start();
    let url = format!("http://{}/", node.address);
    let over = AtomicBool::new(false);
    let answered = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let mut load = Command::new("h2load");
                load.args(["-n400", "-c4", "-m8", "-H", ":authority: hello.localhost"]).arg(&url);
                let report = String::from_utf8_lossy(&load.output().unwrap().stdout).into_owned();
                let (sent, well) = counts(&report);
                // What a connection has queued and not sent when GOAWAY comes counts as started too: up to eight on each
                // of four connections.
                let unsent = if report.contains("Process Request Failure") { 32 } else { 0 };
                assert!(sent - well <= unsent && report.contains(" 0 3xx, 0 4xx, 0 5xx"), "{report}");
                answered.fetch_add(well, Ordering::Relaxed);
            }
        });
        // Whatever comes of it, the load ends.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let goes_on = || {
                let seen = answered.load(Ordering::Relaxed);
                eventually("the load goes on", || (answered.load(Ordering::Relaxed) > seen).then_some(()));
            };
            goes_on();
            let mut api = node.control_plane.api();
            for version in 0..3 {
                let code = format!("export default {{ fetch() {{ return new Response('{version}'); }} }};");
                let revision = api.deploy("hello", &code, json!({}));
                api.settle(revision);
            }
            node.process.signal("USR2");
            let successor = successor(&node.process);
            assert!(node.process.wait().success(), "the process before ends well");
            goes_on();
            http::get(node.address, "hello.localhost", "/").expect(200, "2");
            successor
        }));
        over.store(true, Ordering::Relaxed);
        done.map(Some).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
}

#[test]
fn a_process_that_cannot_serve_does_not_take_over() {
    let mut node = Node::start();
    let program = node.directory.path().join("atoll");
    let broken = node.directory.path().join("broken");
    std::fs::write(&broken, "#!/bin/sh\nexit 3\n").unwrap();
    std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(&broken, &program).unwrap();
    node.process.signal("USR2");
    eventually("the log says so", || node.process.log().contains("not taken over").then_some(()));
    assert!(node.process.alive());
    node.hello();

    // The state is this process's again.
    let mut api = node.control_plane.api();
    let revision = api.deploy("hello", "export default { fetch() { return new Response('new'); } };", json!({}));
    api.settle(revision);
    http::get(node.address, "hello.localhost", "/").expect(200, "new");
    let state = std::fs::read_to_string(node.directory.path().join("data/state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["revision"], revision, "what is served is on disk");
}
