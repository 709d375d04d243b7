//! Control plane and edge nodes as processes of their own: following, last good state, signatures, memory.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::support::roles::{ControlPlane, EdgeNode};
use crate::support::wait::strike_after;
use crate::support::{Api, Connection, eventually};
use crate::system::crash::{Random, deploy_until_killed, verify};

fn says(text: &str) -> String {
    format!("export default {{ fetch: () => new Response({text:?}) }};")
}

#[track_caller]
fn answers(node: &EdgeNode, app: &str, text: &str) {
    eventually(&format!("{app} answers {text:?}"), || {
        let response = node.get(app, "/");
        (response.status == 200 && response.text() == text).then_some(())
    });
}

#[test]
fn a_node_serves_restarts_and_catches_up_without_its_control_plane() {
    let mut control_plane = ControlPlane::start();
    let mut node = EdgeNode::start(&control_plane, "north", "");
    let mut api = control_plane.api();
    for app in ["one", "two"] {
        let revision = api.deploy(app, &says("first"), json!({}));
        api.settle(revision);
    }
    let secret = json!({ "value": "kept" }).to_string();
    api.call("PUT", "/v1/apps/one/secrets/KEY", secret.as_bytes());
    api.deploy("one", "export default { fetch: (r, env) => new Response('first ' + env.KEY) };", json!({}));
    answers(&node, "one", "first kept");

    control_plane.process.kill();
    answers(&node, "one", "first kept");
    answers(&node, "two", "first");
    node = node.restart();
    answers(&node, "one", "first kept");
    answers(&node, "two", "first");

    control_plane = control_plane.restart();
    answers(&node, "one", "first kept");
    let mut api = control_plane.api();
    let revision = api.deploy("two", &says("second"), json!({}));
    api.settle(revision);
    answers(&node, "two", "second");
    assert_eq!(api.call("DELETE", "/v1/apps/one", b"").status / 100, 2);
    eventually("a deleted app goes", || (node.get("one", "/").status == 404).then_some(()));
}

#[test]
fn changes_made_while_a_node_was_away_reach_it() {
    let control_plane = ControlPlane::start();
    let mut node = EdgeNode::start(&control_plane, "north", "");
    let mut api = control_plane.api();
    for app in ["kept", "changed", "deleted"] {
        let revision = api.deploy(app, &says("old"), json!({}));
        api.settle(revision);
    }
    node.process.kill();
    api.deploy("changed", &says("new"), json!({}));
    api.call("DELETE", "/v1/apps/deleted", b"");
    api.deploy("added", &says("added"), json!({}));
    node = node.restart();
    answers(&node, "kept", "old");
    answers(&node, "changed", "new");
    answers(&node, "added", "added");
    eventually("the deleted app goes", || (node.get("deleted", "/").status == 404).then_some(()));
}

#[test]
fn a_deploy_reports_every_node_that_runs_it() {
    let control_plane = ControlPlane::start();
    let nodes = [EdgeNode::start(&control_plane, "north", ""), EdgeNode::start(&control_plane, "south", "")];
    let mut api = control_plane.api();
    eventually("both nodes are connected", || {
        let nodes = api.get("/v1/nodes");
        let nodes = nodes.as_array().or_else(|| nodes["nodes"].as_array())?;
        (nodes.iter().filter(|node| node["connected"] == true).count() == 2).then_some(())
    });
    let revision = api.deploy("app", &says("everywhere"), json!({}));
    api.settle(revision);
    let status = api.get(&format!("/v1/revisions/{revision}"));
    assert_eq!(status["settled"], true, "{status}");
    assert_eq!(status["nodes"].as_array().map(Vec::len), Some(2), "{status}");
    for node in &nodes {
        node.get("app", "/").expect(200, "everywhere");
    }
}

#[test]
fn state_with_a_wrong_signature_is_refused() {
    let control_plane = ControlPlane::start();
    let mut api = control_plane.api();
    let node = EdgeNode::start(&control_plane, "north", "");
    let revision = api.deploy("app", &says("right"), json!({}));
    api.settle(revision);
    let table = control_plane.table("north");
    let key = table.lines().find_map(|line| line.strip_prefix("key = ")).unwrap().trim_matches('"').to_owned();
    // RFC 8032, section 7.1, test 1: a valid key, of somebody else.
    let wrong = table.replace(&key, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let node = node.reconfigured(&wrong);
    eventually("the node says why", || node.process.log().contains("signature-invalid").then_some(()));
    api.deploy("app", &says("forged"), json!({}));
    api.deploy("new", &says("forged"), json!({}));
    for _ in 0..20 {
        node.get("app", "/").expect(200, "right");
        node.get("new", "/").expect_error(404, "route-not-found");
    }
    let node = node.reconfigured(&table);
    answers(&node, "new", "forged");
}

#[test]
fn a_damaged_state_file_is_replaced() {
    let control_plane = ControlPlane::start();
    let mut node = EdgeNode::start(&control_plane, "north", "");
    let mut api = control_plane.api();
    let revision = api.deploy("app", &says("whole"), json!({}));
    api.settle(revision);
    node.process.kill();
    let state = node.data().join("state.json");
    let text = std::fs::read(&state).unwrap();
    std::fs::write(&state, &text[..text.len() / 2]).unwrap();
    node = node.restart();
    answers(&node, "app", "whole");
}

#[test]
fn every_acknowledged_deploy_survives_kill_9_of_either_role() {
    let mut random = Random::new();
    let mut control_plane = ControlPlane::start();
    let mut node = EdgeNode::start(&control_plane, "north", "");
    let mut acknowledged = BTreeMap::new();
    let (mut next, mut kills) = (1, 0);
    while acknowledged.values().map(Vec::len).sum::<usize>() < 50 || kills < 8 {
        let mut api = control_plane.api();
        let delay = random.below(Duration::from_millis(400));
        std::thread::scope(|scope| {
            let (first, second) = (&mut control_plane.process, &mut node.process);
            scope.spawn(move || {
                strike_after(delay / 2);
                second.kill();
                strike_after(delay / 2);
                first.kill();
            });
            deploy_until_killed(&mut api, 7, &mut next, &mut acknowledged);
        });
        // The node starts while the control plane is away, with what it had.
        node = node.restart();
        control_plane = control_plane.restart();
        kills += 1;
    }
    verify(&mut control_plane.api(), &acknowledged);
    for (app, deploys) in &acknowledged {
        let least = deploys.last().unwrap().1;
        eventually(&format!("{app} answers with what was deployed last"), || {
            let response = node.get(app, "/");
            let number = response.text().strip_prefix("deploy ")?.parse::<u64>().ok()?;
            (response.status == 200 && number >= least).then_some(())
        });
    }
}

fn deploy_many(api: &mut Api, apps: usize) {
    let mut revision = 0;
    for index in 0..apps {
        // Each holds 1 MB, so that what is not evicted shows.
        let source = format!(
            "const held = new Array(131072).fill({index}.5); export default {{ fetch: () => new Response('app {index} ' + held.length) }};"
        );
        revision = api.deploy(&format!("app-{index}"), &source, json!({}));
    }
    api.settle(revision);
}

#[test]
fn memory_follows_the_eviction_limit() {
    const APPS: usize = 300;
    let control_plane = ControlPlane::start();
    let node = EdgeNode::start(&control_plane, "small", "[isolates]\nwarm = 2\nmax_live = 20\n");
    deploy_many(&mut control_plane.api(), APPS);
    let mut connection = Connection::open(node.address).unwrap();
    let mut call = |index: usize| {
        let response = connection.request("GET", &format!("app-{index}.localhost"), "/", &[], b"").unwrap();
        response.expect(200, &format!("app {index} 131072"));
    };
    (0..40).for_each(&mut call);
    let full = eventually_steady(&node);
    (40..APPS).for_each(&mut call);
    eventually("memory comes back to what twenty isolates take", || {
        (node.process.resident_mib() < full + 100).then_some(())
    });
    (0..5).for_each(&mut call);
}

/// Resident memory once it has stopped changing, MiB.
fn eventually_steady(node: &EdgeNode) -> u64 {
    let (mut last, mut same) = (0, 0);
    eventually("memory is steady", || {
        let now = node.process.resident_mib();
        same = if now.abs_diff(last) <= 2 { same + 1 } else { 0 };
        last = now;
        (same == 20).then_some(now)
    })
}
