//! A control plane in this process, and a client that speaks HTTP with it.

use std::path::Path;
use std::time::Duration;

use atoll_bundle::{Bundle, BundleHash, Module, ModuleKind};
use atoll_control_plane::{Config, ControlPlane};
use atoll_protocol::api::{NodeReport, Scope, TokenCreated};
use atoll_protocol::seal::NodeKey;
use atoll_protocol::signing::PublicKey;
use atoll_protocol::sync::{Frame, SignedFrame};
use bytes::{Bytes, BytesMut};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The longest that anything in a test may take.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Waits for what a test cannot go on without.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Looks again and again, until there is what a test cannot go on without.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    soon(what, async {
        loop {
            if let Some(found) = look().await {
                break found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// A configuration on a port of its own.
pub fn config(dir: &Path) -> Config {
    Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::new(dir) }
}

/// A control plane and the directory it is on.
pub struct Running {
    pub plane: ControlPlane,
    pub dir: tempfile::TempDir,
}

impl Running {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        change(&mut config);
        Self { plane: ControlPlane::start(config).await.unwrap(), dir }
    }

    /// Stops it and starts another on the same directory.
    pub async fn restart(self) -> Self {
        assert!(self.plane.shutdown(DEADLINE).await);
        let plane = ControlPlane::start(config(self.dir.path())).await.unwrap();
        Self { plane, dir: self.dir }
    }

    /// A client with the operator's token.
    pub fn admin(&self) -> Api {
        self.client(&self.plane.admin_token())
    }

    pub fn client(&self, token: &str) -> Api {
        Api::new(&self.plane.base_url(), token)
    }

    /// A client with a token of this scope.
    pub async fn scoped(&self, scope: Scope) -> Api {
        let request = json!({ "name": "test", "scope": scope });
        let created: TokenCreated = self.admin().send(Method::POST, "/v1/tokens", &request).await.ok();
        self.client(&created.token)
    }

    /// The key that frames must be signed with.
    pub fn key(&self) -> PublicKey {
        self.plane.public_key_hex().parse().unwrap()
    }

    /// Follows as a node would.
    pub async fn follow(&self, query: &str, key: &NodeKey) -> Frames {
        let api = self.client(&self.plane.node_token().await.unwrap());
        let path = format!("/v1/sync?key={}&{query}", key.public_key());
        Frames { lines: api.stream(&path).await, key: self.key() }
    }
}

/// A client of the API.
#[derive(Clone)]
pub struct Api {
    http: Client<HttpConnector, Full<Bytes>>,
    base: String,
    token: String,
}

/// An answer that has been read.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub fn ok<T: DeserializeOwned>(&self) -> T {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks status and code, header and body alike, and that the message has these words.
    #[track_caller]
    pub fn error(&self, status: u16, code: &str, words: &[&str]) {
        assert_eq!(self.status, status, "{self:?}");
        let error = &self.json()["error"];
        assert_eq!(error["code"], code, "{self:?}");
        assert_eq!(self.headers["atoll-error"], code, "{self:?}");
        let message = error["message"].as_str().unwrap();
        for word in words {
            assert!(message.contains(word), "{word:?} is missing: {message}");
        }
    }
}

impl Api {
    pub fn new(base: &str, token: &str) -> Self {
        let http = Client::builder(TokioExecutor::new()).build_http();
        Self { http, base: base.to_owned(), token: token.to_owned() }
    }

    /// The same client over HTTP/2 with prior knowledge.
    pub fn http2(&self) -> Self {
        let http = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        Self { http, ..self.clone() }
    }

    async fn request(&self, method: Method, path: &str, body: Bytes) -> http::Response<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {}", self.token));
        }
        let request = request.body(Full::new(body)).unwrap();
        soon(path, self.http.request(request)).await.unwrap()
    }

    /// An answer, or `None` when the server goes away before there is one.
    pub async fn try_call(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Option<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Full::new(body.into()))
            .unwrap();
        let (parts, body) = soon(path, self.http.request(request)).await.ok()?.into_parts();
        let body = soon(path, body.collect()).await.ok()?.to_bytes();
        Some(Answer { status: parts.status, headers: parts.headers, body })
    }

    pub async fn call(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let (parts, body) = self.request(method, path, body.into()).await.into_parts();
        let body = soon(path, body.collect()).await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, "").await
    }

    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.call(method, path, body.to_string()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, &body).await
    }

    pub async fn stream(&self, path: &str) -> Lines {
        let response = self.request(Method::GET, path, Bytes::new()).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        Lines { body: response.into_body(), buffer: BytesMut::new() }
    }

    pub async fn upload(&self, code: &str) -> BundleHash {
        let (archive, hash) = bundle(code);
        let stored = self.call(Method::PUT, &format!("/v1/bundles/{hash}"), archive.clone()).await;
        assert_eq!(stored.ok::<Value>(), json!({ "bundle": hash, "size": archive.len() }));
        hash
    }

    /// Uploads and deploys; the answer to the deploy.
    pub async fn deploy(&self, app: &str, code: &str, more: Value) -> Answer {
        let mut request = json!({ "bundle": self.upload(code).await });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post(&format!("/v1/apps/{app}/deploy"), request).await
    }

    /// Reports as a node; panics unless the report is taken.
    pub async fn report(&self, node: &str, revision: u64) {
        let report = NodeReport {
            revision,
            edge_url: "http://127.0.0.1:8080".into(),
            default_domain: "localhost".into(),
            failures: Default::default(),
            certificate_failures: Default::default(),
        };
        let answer = self.post(&format!("/v1/nodes/{node}/report"), json!(report)).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{answer:?}");
    }
}

/// A bundle with this code as its only module.
pub fn bundle(code: &str) -> (Bytes, BundleHash) {
    let content = Bytes::copy_from_slice(code.as_bytes());
    let module = Module { name: "index.js".into(), kind: ModuleKind::EsModule, content };
    let (main, compatibility_date) = ("index.js".into(), "2026-11-01".into());
    Bundle { main, compatibility_date, compatibility_flags: Vec::new(), modules: vec![module] }.pack()
}

/// A stream of lines.
pub struct Lines {
    body: Incoming,
    buffer: BytesMut,
}

impl Lines {
    /// The next line, empty ones too; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                return Some(line.freeze().slice(..end));
            }
            let frame = soon("a line", self.body.frame()).await?;
            self.buffer.extend_from_slice(&frame.ok()?.into_data().ok()?);
        }
    }

    /// The next line that is not empty.
    pub async fn json<T: DeserializeOwned>(&mut self) -> T {
        loop {
            let line = self.next().await.expect("the stream goes on");
            if !line.is_empty() {
                return serde_json::from_slice(&line).unwrap();
            }
        }
    }
}

/// A node's stream, verified.
pub struct Frames {
    lines: Lines,
    key: PublicKey,
}

impl Frames {
    /// The next frame of any kind; `None` when the stream has ended.
    pub async fn any(&mut self) -> Option<Frame> {
        let line = self.lines.next().await?;
        Some(serde_json::from_slice::<SignedFrame>(&line).unwrap().verify(&self.key).unwrap())
    }

    /// The next frame that tells of state.
    pub async fn state(&mut self) -> Frame {
        loop {
            match self.any().await.expect("the stream goes on") {
                Frame::Heartbeat { .. } | Frame::Tail { .. } => {}
                frame => return frame,
            }
        }
    }

    /// The next frame that says whose logs are wanted.
    pub async fn tailed(&mut self) -> Vec<String> {
        loop {
            if let Frame::Tail { apps } = self.any().await.expect("the stream goes on") {
                return apps;
            }
        }
    }

    /// The next heartbeat's revision.
    pub async fn heartbeat(&mut self) -> u64 {
        loop {
            if let Frame::Heartbeat { revision } = self.any().await.expect("the stream goes on") {
                return revision;
            }
        }
    }
}
