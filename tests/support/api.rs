//! A client of the control plane's API that takes the short way: one-module bundles, JSON in and out.

use std::net::SocketAddr;

use atoll_bundle::{Bundle, Module, ModuleKind};
use serde_json::{Value, json};

use super::http::{Connection, Response};

/// A client with a token.
pub struct Api {
    address: SocketAddr,
    token: String,
    connection: Option<Connection>,
}

/// A bundle of one module.
pub fn bundle(source: &str) -> Bundle {
    let main = Module { name: "index.js".into(), kind: ModuleKind::EsModule, content: source.to_owned().into() };
    Bundle {
        main: main.name.clone(),
        compatibility_date: "2026-11-01".into(),
        compatibility_flags: Vec::new(),
        modules: vec![main],
    }
}

/// A version's configuration in which everything that says nothing of CPU time has more of it than a busy machine charges:
/// several times what the code takes.
fn patient(mut config: Value) -> Value {
    let Some(limits) = config.as_object_mut().map(|config| config.entry("limits").or_insert_with(|| json!({}))) else {
        return config;
    };
    for (limit, value) in [("cpu_ms", 10_000), ("startup_cpu_ms", 5_000)] {
        if limits.get(limit).is_none() {
            limits[limit] = value.into();
        }
    }
    config
}

impl Api {
    /// A client.
    pub fn new(address: SocketAddr, token: &str) -> Self {
        Self { address, token: token.to_owned(), connection: None }
    }

    /// Sends a request; fails only when the connection does.
    pub fn try_call(&mut self, method: &str, path: &str, body: &[u8]) -> std::io::Result<Response> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.address)?,
        };
        let authorization = format!("Bearer {}", self.token);
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let response = connection.request(method, "localhost", path, &headers, body)?;
        if response.complete && response.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(response)
    }

    /// Sends a request and panics when no answer comes.
    #[track_caller]
    pub fn call(&mut self, method: &str, path: &str, body: &[u8]) -> Response {
        self.try_call(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// `GET`, which has to succeed.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Value {
        let response = self.call("GET", path, b"");
        assert_eq!(response.status, 200, "GET {path}: {}", response.text());
        response.json()
    }

    /// Uploads a bundle and deploys it; `None` when no acknowledgement came back.
    pub fn try_deploy(&mut self, app: &str, source: &str, config: Value) -> Option<Value> {
        let (archive, hash) = bundle(source).pack();
        let uploaded = self.try_call("PUT", &format!("/v1/bundles/{hash}"), &archive).ok()?;
        if !(200..300).contains(&uploaded.status) {
            return None;
        }
        let request = json!({ "bundle": hash, "config": patient(config) }).to_string();
        let answer = self.try_call("POST", &format!("/v1/apps/{app}/deploy"), request.as_bytes()).ok()?;
        ((200..300).contains(&answer.status) && answer.complete).then(|| answer.json())
    }

    /// Uploads a bundle and deploys it. Returns the revision.
    #[track_caller]
    pub fn deploy(&mut self, app: &str, source: &str, config: Value) -> u64 {
        let (archive, hash) = bundle(source).pack();
        let uploaded = self.call("PUT", &format!("/v1/bundles/{hash}"), &archive);
        assert!((200..300).contains(&uploaded.status), "upload: {} {}", uploaded.status, uploaded.text());
        let request = json!({ "bundle": hash, "config": patient(config) }).to_string();
        let answer = self.call("POST", &format!("/v1/apps/{app}/deploy"), request.as_bytes());
        assert!((200..300).contains(&answer.status), "deploy {app}: {} {}", answer.status, answer.text());
        answer.json()["revision"].as_u64().unwrap_or_else(|| panic!("no revision in {}", answer.text()))
    }

    /// Waits until every connected node runs `revision`, and at least one is connected.
    #[track_caller]
    pub fn settle(&mut self, revision: u64) {
        super::eventually(&format!("the nodes run revision {revision}"), || {
            let status = self.get(&format!("/v1/revisions/{revision}?wait_ms=10000"));
            let nodes = status["nodes"].as_array().map_or(0, Vec::len);
            (status["settled"] == true && nodes > 0).then_some(())
        });
    }
}
