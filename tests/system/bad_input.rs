//! What the control plane and the processes refuse, and how they say it.

use serde_json::json;

use crate::support::api::bundle;
use crate::support::http::get;
use crate::support::process::{Atoll, Ran, atoll, ready};
use crate::support::{Api, Up, eventually};

/// Starts `up` that cannot start. Returns what it said.
fn cannot_start(arguments: &[&str], data: &std::path::Path) -> Ran {
    let mut command = atoll();
    command.arg("up").args(arguments).arg("--data-dir").arg(data);
    Ran::new(command.output().unwrap(), arguments)
}

#[test]
fn a_port_in_use_is_named_with_the_remedy() {
    let up = Up::start();
    let data = tempfile::tempdir().unwrap();
    let (edge, api) = (up.edge.to_string(), up.api_address.to_string());
    cannot_start(&["--listen", &edge, "--api", "127.0.0.1:0"], data.path()).fails_saying(&[&edge, "--listen"]);
    cannot_start(&["--listen", "127.0.0.1:0", "--api", &api], data.path()).fails_saying(&[&api, "--api"]);
    cannot_start(&["--listen", "127.0.0.1:0", "--api", "127.0.0.1:0"], up.data())
        .fails_saying(&[up.data().to_str().unwrap()]);
}

#[test]
fn a_data_directory_of_a_newer_format_is_left_alone() {
    let mut up = Up::start();
    up.deploy_source("app", "export default { fetch: () => new Response('here') };");
    up.process.kill();
    let database = std::fs::read_dir(up.data()).unwrap().map(|entry| entry.unwrap().path());
    let database = database.into_iter().find(|path| path.extension().is_some_and(|e| e == "db" || e == "sqlite"));
    let database = database.expect("the store's database file in the data directory");
    let python = format!("import sqlite3; c = sqlite3.connect({database:?}); c.execute('PRAGMA user_version = 9999')");
    let status = std::process::Command::new("python3").args(["-c", &python]).status().expect("python3 is needed");
    assert!(status.success());
    cannot_start(&["--listen", "127.0.0.1:0", "--api", "127.0.0.1:0"], up.data()).fails_saying(&["9999", "newer"]);
}

#[test]
fn uploads_are_checked_before_they_are_kept() {
    let up = Up::start();
    let mut api = up.api();
    let (archive, hash) = bundle("export default { fetch() {} };").pack();
    let (_, other) = bundle("export default { fetch: () => 1 };").pack();
    let path = |hash| format!("/v1/bundles/{hash}");
    let refused = |api: &mut Api, path: &str, body: &[u8], status: u16, code: &str| {
        api.call("PUT", path, body).expect_error(status, code);
        assert_eq!(api.call("GET", path, b"").status, 404, "{path} was kept");
    };
    refused(&mut api, &path(other), &archive, 422, "bundle-hash-mismatch");
    refused(&mut api, &path(other), b"no archive", 422, "bundle-malformed");
    refused(&mut api, &path(other), &archive[..archive.len() - 9], 422, "bundle-malformed");
    refused(&mut api, &path(other), &vec![0; 11 << 20], 413, "body-too-large");
    let mut flipped = archive.to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let answer = api.call("PUT", &path(hash), &flipped);
    assert!(answer.status == 422 && answer.error().starts_with("bundle-"), "{} {}", answer.status, answer.text());
    let deploy = json!({ "bundle": hash }).to_string();
    let answer = api.call("POST", "/v1/apps/app/deploy", deploy.as_bytes());
    assert!((400..500).contains(&answer.status) && answer.text().contains(&hash.to_string()), "{}", answer.text());
    assert_eq!(api.call("GET", "/v1/apps/app", b"").status, 404, "half an app");
    assert!((200..300).contains(&api.call("PUT", &path(hash), &archive).status));
    for (app, body, word) in [
        ("App", deploy.clone(), "App"),
        ("app", "{".into(), "JSON"),
        ("app", json!({ "bundle": hash, "colour": 1 }).to_string(), "colour"),
        ("app", json!({ "bundle": "abc" }).to_string(), "bundle"),
        ("app", json!({ "bundle": hash, "routes": ["http://x/*"] }).to_string(), "http://x/*"),
    ] {
        let answer = api.call("POST", &format!("/v1/apps/{app}/deploy"), body.as_bytes());
        assert!((400..500).contains(&answer.status), "{body}: {} {}", answer.status, answer.text());
        assert!(!answer.error().is_empty() && answer.text().contains(word), "{body}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], answer.error());
    }
}

#[test]
fn tokens_expire_are_revoked_and_have_scopes() {
    let up = Up::start();
    let create = |arguments: &[&str]| {
        let created = up.run(&[&["token", "create"][..], arguments, &["--json"]].concat()).json();
        let id = created["info"]["id"].as_str().expect("an id").to_owned();
        (created["token"].as_str().expect("a token").to_owned(), id)
    };
    let client = |token: &str| Api::new(up.api_address, token);

    client("").call("GET", "/v1/apps", b"").expect_error(401, "token-invalid");
    client("atoll_nobody_nothing").call("GET", "/v1/apps", b"").expect_error(401, "token-invalid");

    let request = json!({ "name": "short", "scope": "read", "expires_in": 1 }).to_string();
    let token = up.api().call("POST", "/v1/tokens", request.as_bytes()).json()["token"].as_str().unwrap().to_owned();
    let expired = eventually("the token expires", || {
        let answer = client(&token).call("GET", "/v1/apps", b"");
        (answer.status != 200).then_some(answer)
    });
    expired.expect_error(401, "token-expired");
    let ran = Ran::new(
        atoll().args(["apps", "--api", &format!("http://{}", up.api_address), "--token", &token]).output().unwrap(),
        &["apps"],
    );
    ran.fails_saying(&["token-expired"]);

    let (reader, id) = create(&["reader", "--scope", "read"]);
    assert_eq!(client(&reader).call("GET", "/v1/apps", b"").status, 200);
    let put = client(&reader).call("POST", "/v1/apps/app/deploy", b"{}");
    put.expect_error(403, "scope-insufficient");
    assert!(put.text().contains("deploy"), "{}", put.text());
    let listed = up.run(&["token", "list", "--json"]).json().to_string();
    assert!(listed.contains(&id) && !listed.contains(&reader), "{listed}");
    up.run(&["token", "revoke", &id]).ok();
    client(&reader).call("GET", "/v1/apps", b"").expect_error(401, "token-invalid");
}

#[test]
fn the_api_says_what_it_does_not_have() {
    let up = Up::start();
    let mut api = up.api();
    api.call("GET", "/v1/nothing", b"").expect_error(404, "route-not-found");
    api.call("GET", "/v1/apps/absent", b"").expect_error(404, "app-not-found");
    assert_eq!(api.call("PATCH", "/v1/apps", b"").status, 405);
    let openapi = api.get("/v1/openapi.json");
    assert!(openapi["paths"]["/v1/apps/{app}/deploy"].is_object());
    for command in [
        &["versions", "absent"][..],
        &["rollback", "--app", "absent"],
        &["delete", "absent", "--yes"],
        &["tail", "absent"],
    ] {
        up.run(command).fails_saying(&["absent"]);
    }
}

/// Bytes that do not compress, different for every seed.
fn noise(seed: u64, size: usize) -> String {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + (state >> 58) as u8)
    };
    (0..size).map(|_| next()).collect()
}

#[test]
fn a_full_disk_refuses_deploys_and_harms_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new("unshare");
    command.args(["-rm", "sh", "-c", "mount -t tmpfs -o size=24m tmpfs \"$0\" && exec \"$@\""]).arg(directory.path());
    let mut probe = std::process::Command::new("unshare");
    probe.args(["-rm", "mount", "-t", "tmpfs", "tmpfs"]).arg(directory.path());
    if !probe.output().is_ok_and(|output| output.status.success()) {
        #[allow(clippy::print_stderr, reason = "why the test shows nothing here")]
        {
            eprintln!("this machine lets no process have a small file system of its own (unshare, tmpfs)");
        }
        return;
    }
    command.arg(env!("CARGO_BIN_EXE_atoll")).args(["up", "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0"]);
    let mut process = Atoll::spawn(command.arg("--data-dir").arg(directory.path()));
    let (edge, api) = ready(&process.line()).expect("the ready line");
    let data = process.inside(directory.path());
    let mut api = Api::new(api, std::fs::read_to_string(data.join("admin.token")).unwrap().trim());
    let good = "export default { fetch: () => new Response('good') };";
    let revision = api.deploy("app", good, json!({}));
    api.settle(revision);
    let ballast = data.join("ballast");
    std::fs::write(&ballast, vec![1; 8 << 20]).unwrap();

    let mut refusal = None;
    for seed in 1..12 {
        let source = format!("export default {{ fetch: () => new Response('{}') }};", noise(seed << 20, 3 << 20));
        let (archive, hash) = bundle(&source).pack();
        let answer = api.call("PUT", &format!("/v1/bundles/{hash}"), &archive);
        if answer.status / 100 != 2 {
            assert_eq!(api.call("GET", &format!("/v1/bundles/{hash}"), b"").status, 404, "half a bundle");
            refusal = Some(answer);
            break;
        }
    }
    let refusal = refusal.expect("24 MB do not hold 33");
    assert_eq!(refusal.status, 507, "{}: {}", refusal.error(), refusal.text());
    assert!(!refusal.error().is_empty());
    get(edge, "app.localhost", "/").expect(200, "good");
    assert!(process.alive());

    std::fs::remove_file(ballast).unwrap();
    let revision = api.deploy("app", "export default { fetch: () => new Response('better') };", json!({}));
    api.settle(revision);
    get(edge, "app.localhost", "/").expect(200, "better");
}
