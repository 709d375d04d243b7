//! Origins: apps that are a proxy of one, and gRPC to one.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::project::{Project, repository};
use crate::support::roles::{ControlPlane, EdgeNode};
use crate::support::{Up, npm, origin};

#[test]
fn a_project_without_code_is_a_proxy_with_versions() {
    let address = origin::start(|received| {
        let host = received.headers.iter().find(|(name, _)| name == "host").map(|(_, value)| value.clone());
        (200, format!("{} {} {}", received.method, received.path, host.unwrap_or_default()))
    });
    let up = Up::with(&["--allow-egress", "127.0.0.0/8"]);
    let head = "name = \"shop\"\ncompatibility_date = \"2026-11-01\"\n";
    let proxy = Project::empty().file("wrangler.toml", format!("{head}[atoll]\norigin = \"http://{address}\"\n"));
    up.deploy(proxy.path());
    up.get("shop", "/a/b?c").expect(200, &format!("GET /a/b?c {address}"));
    up.post("shop", "/", b"x").expect(200, &format!("POST / {address}"));

    proxy.write("wrangler.toml", format!("{head}[atoll.origin]\nurl = \"http://{address}\"\npreserve_host = true\n"));
    up.deploy(proxy.path());
    up.get("shop", "/").expect(200, "GET / shop.localhost");

    let code = Project::new("shop").file("src/index.ts", "export default { fetch: () => new Response('code') };");
    up.deploy(code.path());
    up.get("shop", "/").expect(200, "code");
    up.run(&["rollback", "--app", "shop"]).ok();
    up.get("shop", "/").expect(200, "GET / shop.localhost");

    proxy.write("wrangler.toml", format!("{head}[atoll.origin]\nurl = \"shop.example.com\"\n"));
    let arguments = ["deploy", proxy.path().to_str().unwrap()];
    up.run(&arguments).fails_saying(&["origin-invalid", "shop.example.com", "http(s)://host[:port]"]);
    proxy.write("wrangler.toml", format!("{head}main = \"a.js\"\n[atoll]\norigin = \"http://a\"\n"));
    up.run(&arguments).fails_saying(&["`main`", "atoll.origin"]);
}

/// A gRPC service in Node.js, and a client of it.
struct Grpc {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Grpc {
    fn start() -> (Self, Value) {
        let script = npm::node_modules().with_file_name("grpc.mjs");
        let tls = repository("tests/support/tls");
        let mut command = Command::new("node");
        command.arg(script).arg(tls.join("cert.pem")).arg(tls.join("key.pem"));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Node.js");
        let (input, output) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let mut grpc = Self { process, input, output };
        let ports = grpc.line();
        (grpc, ports)
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Calls the service through an app.
    fn call(&mut self, node: SocketAddr, app: &str) -> Value {
        let request = json!({ "address": node.to_string(), "authority": format!("{app}.localhost") });
        writeln!(self.input, "{request}").unwrap();
        self.line()
    }
}

impl Drop for Grpc {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn grpc_goes_through_proxies_and_through_fetch() {
    let (mut grpc, ports) = Grpc::start();
    let control_plane = ControlPlane::start();
    let ca = repository("tests/support/tls/ca.pem");
    let node =
        EdgeNode::start(&control_plane, "north", &format!("[egress]\nallow = [\"127.0.0.0/8\"]\nca_file = {ca:?}\n"));
    let (plain, secure) = (&ports["plain"], &ports["secure"]);
    let mut api = control_plane.api();
    let proxy = |url: String, protocol: &str| json!({ "proxy": { "url": url, "protocol": protocol } });
    api.deploy("plain", "export {};", proxy(format!("http://127.0.0.1:{plain}"), "http2"));
    api.deploy("secure", "export {};", proxy(format!("https://localhost:{secure}"), "auto"));
    let code = "export default { fetch(request) {
        const url = new URL(request.url);
        return fetch(new Request(`https://localhost:PORT${url.pathname}`, request));
    } };";
    let revision = api.deploy("code", &code.replace("PORT", &secure.to_string()), json!({}));
    api.settle(revision);
    for app in ["plain", "secure", "code"] {
        let seen = grpc.call(node.address, app);
        assert_eq!(seen["reversed"], json!({ "answer": "olleh", "code": 0, "length": "5" }), "{app}: {seen}");
        assert_eq!(seen["refused"], json!({ "details": "no word", "code": 3 }), "{app}: {seen}");
        let numbers: Vec<String> = (1..=100).map(|number: u8| number.to_string()).collect();
        assert_eq!(seen["counted"], json!({ "parts": numbers, "code": 0 }), "{app}: {seen}");
        assert_eq!(seen["late"], json!({ "parts": ["waits"], "code": 4 }), "{app}: {seen}");
        assert_eq!(seen["dropped"]["code"], 1, "{app}: {seen}");
        assert_eq!(seen["cancelled"], 2, "{app}: {seen}");
    }
}
