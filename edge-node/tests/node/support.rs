//! Nodes, apps and clients for tests.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::Read;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use atoll_bundle::{Bundle, BundleHash, Module, ModuleKind};
use atoll_edge_node::{Config, EdgeNode};
use atoll_protocol::api::Target;
use atoll_protocol::sync::{AppState, VersionState};
use atoll_runtime::Engine;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A configuration for a test's node: any free port, few isolates.
pub fn config() -> Config {
    let mut config = Config { listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))), ..Config::default() };
    config.isolates.warm = 1;
    // So that what a busy machine charges an app for is no reason to stop it.
    config.limits.cpu_ms = 10_000;
    config.limits.startup_cpu_ms = 5_000;
    config.limits.wall_ms = 120_000;
    config.huge_pages = false;
    config
}

/// A node with these apps, each one module of JavaScript.
pub async fn node(config: Config, engine: &Engine, apps: &[(&str, &str)]) -> EdgeNode {
    let node = EdgeNode::start(config, engine.clone()).await.expect("the node starts");
    node.ready().await;
    for (name, code) in apps {
        node.install(app(name, 1, code), bundle(code), &BTreeMap::new());
    }
    node
}

/// An app with one version.
pub fn app(name: &str, version: u64, code: &str) -> AppState {
    AppState {
        name: name.into(),
        incarnation: format!("test.{name}"),
        revision: version,
        routes: vec![],
        default_route: true,
        deployment: version,
        targets: vec![Target { version, weight: 100 }],
        versions: [(version, VersionState { bundle: hash(code), config: Box::default() })].into(),
        secrets: vec![],
        purges: vec![],
    }
}

/// The bundle of one module.
pub fn bundle(code: &str) -> Bundle {
    let content = Bytes::from(code.to_owned());
    Bundle {
        main: "index.js".into(),
        compatibility_date: "2026-01-01".into(),
        compatibility_flags: vec![],
        modules: vec![Module { name: "index.js".into(), kind: ModuleKind::EsModule, content }],
    }
}

/// Its hash.
pub fn hash(code: &str) -> BundleHash {
    BundleHash::of(&bundle(code).encode())
}

/// A handler that answers with a text.
pub fn says(text: &str) -> String {
    format!("export default {{ fetch() {{ return new Response({text:?}); }} }};")
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// A header's value, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The error's code.
    pub fn error(&self) -> &str {
        self.header("atoll-error")
    }
}

/// A client whose names all lead to this machine.
pub type TestClient = Client<HttpConnector<Here>, Full<Bytes>>;

/// Resolves every name to the loopback address.
#[derive(Clone)]
pub struct Here;

impl tower::Service<Name> for Here {
    type Response = std::iter::Once<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(std::iter::once(SocketAddr::from(([127, 0, 0, 1], 0)))))
    }
}

/// A client over HTTP/1.1.
pub fn http1() -> TestClient {
    Client::builder(TokioExecutor::new()).build(HttpConnector::new_with_resolver(Here))
}

/// A client over HTTP/2 with prior knowledge.
pub fn http2() -> TestClient {
    Client::builder(TokioExecutor::new()).http2_only(true).build(HttpConnector::new_with_resolver(Here))
}

/// A request builder for an app on a node.
pub fn request(node: &EdgeNode, app: &str, path: &str) -> http::request::Builder {
    Request::builder().uri(format!("http://{app}.localhost:{}{path}", node.local_addr().port()))
}

/// Sends a request and reads the whole answer.
pub async fn send(client: &TestClient, request: Request<Full<Bytes>>) -> Answer {
    let response = client.request(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    let body = String::from_utf8(body.to_vec()).expect("text");
    Answer { status: parts.status, headers: parts.headers, body }
}

/// `GET http://APP.localhost/path`.
pub async fn get(node: &EdgeNode, app: &str, path: &str) -> Answer {
    send(&http1(), request(node, app, path).body(Full::default()).expect("a request")).await
}

/// Sends bytes and returns everything that comes until the node closes the connection or falls silent after an answer.
pub async fn raw(node: &EdgeNode, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(node.local_addr()).await.expect("a connection");
    stream.write_all(bytes).await.expect("sent");
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match tokio::time::timeout(Duration::from_secs(60), stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) | Err(_) => break,
            Ok(Ok(read)) => answer.extend_from_slice(&buffer[..read]),
        }
        if answer.windows(4).any(|window| window == b"\r\n\r\n") {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// What a receiver makes of content in a coding, of which the end may be missing.
pub fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // What can be decoded before the input ends is there all the same.
    let _ = match coding {
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
        "zstd" => zstd::stream::read::Decoder::new(bytes).expect("a decoder").read_to_end(&mut out),
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
        _ => return bytes.to_vec(),
    };
    out
}

/// Polls until the condition holds.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
