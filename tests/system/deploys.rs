//! Deploying while traffic runs, rolling back.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;

use crate::support::{Connection, Up, eventually};

/// A version that says its number in several chunks, with turns of the event loop between them.
fn versioned(number: u64) -> String {
    format!(
        r#"const VERSION = "v{number};";
           export default {{ fetch() {{
             let left = 5;
             return new Response(new ReadableStream({{ async pull(controller) {{
               await new Promise((resolve) => setTimeout(resolve, 1));
               controller.enqueue(new TextEncoder().encode(VERSION));
               if (--left === 0) controller.close();
             }} }}), {{ headers: {{ version: "{number}" }} }});
           }} }};"#
    )
}

#[test]
fn deploying_under_load_fails_no_request_and_mixes_no_versions() {
    let up = Up::start();
    // The load is as much as the machine can do, so time on the wall says nothing of one request's use of the CPU.
    let config = json!({ "limits": { "cpu_ms": 5000, "concurrency": 10_000 } });
    up.deploy_with("app", &versioned(1), config.clone());
    let over = AtomicBool::new(false);
    let newest = AtomicU64::new(0);
    let answered = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut connection = Connection::open(up.edge).unwrap();
                while !over.load(Ordering::Relaxed) {
                    let response = connection.request("GET", "app.localhost", "/", &[], b"").expect("an answer");
                    assert_eq!(response.status, 200, "{} {}", response.error(), response.text());
                    let version = response.header("version").expect("a version").to_owned();
                    assert!(response.complete, "a response of version {version} was cut off");
                    assert_eq!(response.text(), format!("v{version};").repeat(5));
                    newest.fetch_max(version.parse().unwrap(), Ordering::Relaxed);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let wrk = scope.spawn(|| {
            let url = format!("http://{}/", up.edge);
            let mut wrk = Command::new("wrk");
            wrk.args(["-t1", "-c8", "-d4s", "--timeout", "60s", "-H", "Host: app.localhost", &url]).output().ok()
        });
        for version in 2..=8 {
            let seen = answered.load(Ordering::Relaxed);
            eventually("the load goes on", || (answered.load(Ordering::Relaxed) > seen + 50).then_some(()));
            up.deploy_with("app", &versioned(version), config.clone());
        }
        eventually("the last version answers", || (newest.load(Ordering::Relaxed) == 8).then_some(()));
        let wrk = wrk.join().unwrap();
        over.store(true, Ordering::Relaxed);
        // wrk is a second pair of eyes where it is installed.
        if let Some(output) = wrk {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("requests in"), "{said}");
            assert!(!said.contains("Non-2xx") && !said.contains("Socket errors"), "{said}");
        }
    });
    up.get("app", "/").expect(200, &"v8;".repeat(5));
}

#[test]
fn a_rollback_brings_the_old_version_back() {
    let up = Up::start();
    for number in 1..=3 {
        up.deploy_with("app", &versioned(number), json!({}));
    }
    assert_eq!(up.get("app", "/").header("version"), Some("3"));
    let answers = |version: &str| {
        eventually(&format!("version {version} answers"), || {
            (up.get("app", "/").header("version") == Some(version)).then_some(())
        });
    };
    up.run(&["rollback", "--app", "app", "--json"]).json();
    answers("2");
    up.run(&["rollback", "3", "--app", "app", "--json"]).json();
    answers("3");
    up.run(&["rollback", "9", "--app", "app"]).fails_saying(&["9"]);
    answers("3");
    let versions = up.run(&["versions", "app", "--json"]).json().to_string();
    for number in 1..=3 {
        assert!(versions.contains(&format!("\"number\":{number}")), "{versions}");
    }
}

#[test]
fn two_versions_share_the_requests_by_weight() {
    let up = Up::start();
    for number in 1..=2 {
        up.deploy_with("app", &versioned(number), json!({}));
    }
    let mut api = up.api();
    let body = json!({ "targets": [{ "version": 1, "weight": 50 }, { "version": 2, "weight": 50 }] }).to_string();
    let answer = api.call("POST", "/v1/apps/app/deployments", body.as_bytes());
    assert!((200..300).contains(&answer.status), "{}", answer.text());
    api.settle(answer.json()["revision"].as_u64().expect("a revision"));
    for wrong in [json!([{ "version": 1, "weight": 40 }]), json!([{ "version": 7, "weight": 100 }]), json!([])] {
        let body = json!({ "targets": wrong }).to_string();
        let answer = api.call("POST", "/v1/apps/app/deployments", body.as_bytes());
        assert!((400..500).contains(&answer.status), "{wrong}: {} {}", answer.status, answer.text());
        assert!(!answer.error().is_empty());
    }
    // Both versions stay valid answers; a client keeps the one it has.
    let first = up.get("app", "/");
    assert_eq!(first.status, 200);
    for _ in 0..10 {
        assert_eq!(up.get("app", "/").header("version"), first.header("version"), "sticky by client address");
    }
}
