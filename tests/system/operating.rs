//! What operators see and set: the access log, caps and loops as clients meet them, routes, starts that change nothing,
//! a control plane behind TLS.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::http::{get, try_request};
use crate::support::process::{Ran, atoll};
use crate::support::project::repository;
use crate::support::roles::{ControlPlane, EdgeNode};
use crate::support::{Connection, Project, Up, eventually};

#[test]
fn the_access_log_has_a_line_for_every_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let up = Up::with(&["--access-log", path.to_str().unwrap()]);
    up.deploy_source(
        "logged",
        "export default { fetch(request) { if (request.url.endsWith('/throws')) throw new Error('x');
             return new Response('twelve bytes', { status: 202 }); } };",
    );
    up.post("logged", "/path?secret=1", b"body").expect(202, "twelve bytes");
    let thrown = up.get("logged", "/throws");
    get(up.edge, "nobody.localhost", "/").expect_error(404, "route-not-found");
    let lines: Vec<Value> = eventually("three lines are written", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let whole = text.lines().count() == 3 && text.ends_with('\n');
        whole.then(|| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    });
    // Each is written when its answer has been sent, so their order is not that of the requests.
    let line = |path: &str| lines.iter().find(|line| line["path"] == path).unwrap_or_else(|| panic!("{lines:?}"));
    let (served, failed, lost) = (line("/path"), line("/throws"), line("/"));
    let expected = json!({
        "client": "127.0.0.1", "method": "POST", "host": "logged.localhost", "path": "/path", "status": 202,
        "bytes": 12, "app": "logged", "version": 1,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&served[key], value, "{key} of {served}");
    }
    assert!(served["start"].is_string() && served["error"].is_null(), "{served}");
    assert!(served["ts"].as_u64() > Some(1_700_000_000_000) && served["duration_us"].as_u64() > Some(0), "{served}");
    assert_eq!((&failed["status"], &failed["error"]), (&500.into(), &"handler-exception".into()));
    assert_eq!(failed["id"], thrown.header("atoll-request-id").unwrap(), "{failed}");
    assert_eq!((&lost["status"], &lost["error"], &lost["app"]), (&404.into(), &"route-not-found".into(), &Value::Null));
    assert!(!std::fs::read_to_string(&path).unwrap().contains("secret=1"), "queries are not logged");
}

#[test]
fn an_app_that_fetches_itself_is_cut_off_with_508() {
    let control_plane = ControlPlane::start();
    let node = EdgeNode::start(&control_plane, "north", "[egress]\nallow = [\"127.0.0.0/8\"]\nloop_depth = 4\n");
    let source = "export default { async fetch(request) {
        const depth = Number(request.headers.get('depth') ?? 0) + 1;
        const sent = new Headers(request.headers);
        sent.set('depth', String(depth));
        const inner = await fetch('http://looping.localhost:PORT/', { headers: sent });
        const headers = { depth: inner.headers.get('depth') ?? String(depth), error: inner.headers.get('atoll-error') ?? inner.headers.get('error') };
        return new Response(inner.body, { status: inner.status, headers });
    } };";
    let mut api = control_plane.api();
    let revision = api.deploy("looping", &source.replace("PORT", &node.address.port().to_string()), json!({}));
    api.settle(revision);
    let answer = node.get("looping", "/");
    assert_eq!((answer.status, answer.header("error")), (508, Some("loop-detected")), "{answer:?}");
    assert_eq!(answer.header("depth"), Some("4"), "{answer:?}");
    // A request that says it has gone round too often is not even begun.
    let marks = ["atoll"; 4].join(", ");
    let refused = try_request(node.address, "GET", "looping.localhost", "/", &[("cdn-loop", &marks)], b"").unwrap();
    refused.expect_error(508, "loop-detected");
}

#[test]
fn more_requests_than_an_app_may_have_get_503_and_when_to_come_back() {
    let up = Up::start();
    let source = "export default { fetch(request) {
        if (request.url.endsWith('/short')) return new Response('short');
        return new Response(new ReadableStream({ async pull(controller) {
            await new Promise((resolve) => setTimeout(resolve, 10));
            controller.enqueue(new TextEncoder().encode('.'));
        } }));
    } };";
    up.deploy_with("capped", source, json!({ "limits": { "concurrency": 1, "cpu_ms": 30_000 } }));
    up.deploy_source("other", "export default { fetch: () => new Response('other') };");
    let mut first = Connection::open(up.edge).unwrap();
    first.send_head("GET", "capped.localhost", "/", &[]).unwrap();
    assert_eq!(first.read_head().unwrap().0.status, 200);
    let refused = up.get("capped", "/short");
    refused.expect_error(503, "app-overloaded");
    assert_eq!(refused.header("retry-after"), Some("1"));
    up.get("other", "/").expect(200, "other");
    drop(first);
    eventually("there is room again", || (up.get("capped", "/short").text() == "short").then_some(()));
}

#[test]
fn routes_are_listed() {
    let up = Up::start();
    let project = Project::new("routed")
        .file("src/index.ts", "export default { fetch: () => new Response(\"x\") };\n")
        .wrangler("routes = [\"Example.com/api/*\", \"*.example.org/*\"]\n");
    up.deploy(project.path());
    let listed = up.run_in(project.path(), &["routes"]).ok().stdout;
    let here = format!("http://routed.localhost:{}/", up.edge.port());
    for line in ["example.com/api/*", "*.example.org/*", &here] {
        assert!(listed.lines().any(|listed| listed == line), "{line} is not in {listed}");
    }
    let as_json = up.run(&["routes", "routed", "--json"]).json();
    assert_eq!(as_json["routes"], json!(["example.com/api/*", "*.example.org/*"]));
    up.run(&["routes", "nobody"]).fails_saying(&["nobody"]);
}

#[test]
fn up_makes_no_new_version_of_what_has_not_changed() {
    let project = |routes: &str, text: &str| {
        let source = format!("export default {{ fetch: () => new Response({text:?}) }};\n");
        Project::new("again").file("src/index.ts", source).wrangler(routes)
    };
    let one = project("routes = [\"Again.example/*\"]\n[vars]\nA = 1\n", "one");
    let mut up = Up::with(&["--deploy", one.path().to_str().unwrap()]);
    let version = |up: &Up| up.api().get("/v1/apps/again")["deployment"]["targets"][0]["version"].clone();
    let revision = up.api().get("/v1/apps/again")["revision"].clone();
    up = up.restart();
    up.get("again", "/").expect(200, "one");
    assert_eq!((version(&up), &up.api().get("/v1/apps/again")["revision"]), (1.into(), &revision));
    one.write("src/index.ts", "export default { fetch: () => new Response(\"two\") };\n");
    up = up.restart();
    up.get("again", "/").expect(200, "two");
    assert_eq!(version(&up), 2);
    let toml = std::fs::read_to_string(one.path().join("wrangler.toml")).unwrap();
    one.write("wrangler.toml", toml.replace("A = 1", "A = 2"));
    up = up.restart();
    assert_eq!(version(&up), 3, "a variable changed");
}

/// TLS in front of the control plane; ends with the test.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_control_plane_behind_tls_is_reached() {
    let up = Up::start();
    up.deploy_source("there", "export default { fetch: () => new Response('x') };");
    let folder = repository("tests/support/tls");
    let mut node = Command::new("node");
    node.arg(folder.join("proxy.mjs")).arg(up.api_address.port().to_string()).stdout(Stdio::piped());
    let mut proxy = Proxy(node.spawn().unwrap());
    let mut port = String::new();
    BufReader::new(proxy.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let token = std::fs::read_to_string(up.data().join("admin.token")).unwrap();
    let run = |host: &str, authority: Option<&str>| {
        let api = format!("https://{host}:{}", port.trim());
        let arguments = ["apps", "--api", &api, "--token", token.trim()];
        let mut command = atoll();
        command.args(arguments).env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        if let Some(authority) = authority {
            command.env("SSL_CERT_FILE", folder.join(authority));
        }
        Ran::new(command.output().unwrap(), &arguments)
    };
    for host in ["127.0.0.1", "localhost"] {
        assert!(run(host, Some("ca.pem")).ok().stdout.contains("there"));
    }
    run("127.0.0.1", None).fails_saying(&["127.0.0.1", "certificate"]);
    run("127.0.0.2", Some("ca.pem")).fails_saying(&["127.0.0.2"]);
    let ftp = ["apps", "--api", "ftp://127.0.0.1", "--token", "atoll_a_b"];
    Ran::new(atoll().args(ftp).output().unwrap(), &ftp).fails_saying(&["https://"]);
}
