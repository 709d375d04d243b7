//! Atoll as a peer: `atoll up` on an empty data directory, apps deployed through its API.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use atoll_bundle::{Bundle, Module, ModuleKind};

use crate::http::Connection;
use crate::peers::{Peer, Process, Running, counting_source, hello_source};

const COMPATIBILITY_DATE: &str = "2026-11-01";

/// The atoll binary.
pub struct Atoll {
    binary: PathBuf,
    version: String,
}

impl Atoll {
    /// Checks that the binary runs.
    pub fn new(binary: PathBuf) -> anyhow::Result<Self> {
        let output = Command::new(&binary).arg("--version").output();
        let output = output.with_context(|| format!("cannot run {}", binary.display()))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Self { binary, version })
    }
}

impl Peer for Atoll {
    fn name(&self) -> &'static str {
        "atoll"
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn start(&self, apps: usize, core: Option<usize>) -> anyhow::Result<Running> {
        let directory = tempfile::tempdir().context("cannot make a data directory")?;
        let mut command = Command::new(&self.binary);
        command.args(["up", "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0", "--data-dir"]).arg(directory.path());
        command.env("RUST_LOG", "warn");
        let mut process = Process::spawn(command, core)?;
        let (edge, api) = process.read_until(ready_line)?;
        let mut api = Api::open(api, directory.path())?;
        let mut revision = api.deploy("hello", hello_source())?;
        for index in 0..apps {
            revision = api.deploy(&format!("app-{index}"), counting_source(index))?;
        }
        api.settle(revision)?;
        Ok(Running { apps: edge, hello: edge, hello_host: "hello.localhost".into(), process, _directory: directory })
    }
}

/// The edge's and the API's address from `ready edge=http://… api=http://… data=…`.
fn ready_line(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let mut words = line.strip_prefix("ready ")?.split(' ');
    let edge = words.next()?.strip_prefix("edge=http://")?.parse().ok()?;
    let api = words.next()?.strip_prefix("api=http://")?.parse().ok()?;
    Some((edge, api))
}

/// The control plane's API, with the admin token.
pub struct Api {
    connection: Connection,
    address: SocketAddr,
    token: String,
}

impl Api {
    /// Connects to the control plane at `address` that keeps its state in `data`.
    pub fn open(address: SocketAddr, data: &Path) -> anyhow::Result<Self> {
        let token = std::fs::read_to_string(data.join("admin.token")).context("admin.token")?;
        Ok(Self { connection: Connection::open(address)?, address, token: token.trim().to_owned() })
    }

    /// The table of a node's configuration by which it follows this control plane.
    pub fn node_table(&mut self) -> anyhow::Result<String> {
        let created = self.call("POST", "/v1/tokens", br#"{ "name": "bench", "scope": "node" }"#)?;
        let (key, token) = (&created["control_plane_key"], &created["token"]);
        Ok(format!("[control_plane]\nurl = \"http://{}\"\nkey = {key}\ntoken = {token}\n", self.address))
    }

    fn call(&mut self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<serde_json::Value> {
        let authorization = format!("Bearer {}", self.token);
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let answer = self.connection.request(method, "localhost", path, &headers, body)?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!((200..300).contains(&answer.status), "{method} {path} answered {}: {text}", answer.status);
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Uploads a one-module bundle and deploys it. Returns the revision.
    pub fn deploy(&mut self, app: &str, source: String) -> anyhow::Result<u64> {
        let main = Module { name: "index.js".into(), kind: ModuleKind::EsModule, content: source.into() };
        let bundle = Bundle {
            main: main.name.clone(),
            compatibility_date: COMPATIBILITY_DATE.into(),
            compatibility_flags: Vec::new(),
            modules: vec![main],
        };
        let (archive, hash) = bundle.pack();
        self.call("PUT", &format!("/v1/bundles/{hash}"), &archive)?;
        let request = serde_json::json!({ "bundle": hash }).to_string();
        let answer = self.call("POST", &format!("/v1/apps/{app}/deploy"), request.as_bytes())?;
        answer["revision"].as_u64().context("the deploy's answer has no revision")
    }

    /// Waits until the node runs `revision`.
    pub fn settle(&mut self, revision: u64) -> anyhow::Result<()> {
        let status = self.call("GET", &format!("/v1/revisions/{revision}?wait_ms=30000"), b"")?;
        ensure!(status["settled"] == true, "the node did not reach revision {revision} within 30 s: {status}");
        Ok(())
    }
}
