//! The roles apart: a control plane and edge nodes, each a process with its own configuration file and directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use super::api::Api;
use super::http::{self, Response};
use super::process::{Atoll, atoll};

/// `atoll control-plane`.
pub struct ControlPlane {
    /// The process.
    pub process: Atoll,
    /// Where its API answers.
    pub address: SocketAddr,
    directory: Arc<TempDir>,
    rest: String,
}

impl ControlPlane {
    /// Starts one on a new data directory.
    #[track_caller]
    pub fn start() -> Self {
        Self::on(Arc::new(TempDir::new().unwrap()), "127.0.0.1:0", "")
    }

    #[track_caller]
    fn on(directory: Arc<TempDir>, listen: &str, rest: &str) -> Self {
        let data = directory.path().join("data");
        let config = directory.path().join("control-plane.toml");
        std::fs::write(&config, format!("data_dir = {data:?}\nlisten = {listen:?}\n{rest}")).unwrap();
        let command = &mut atoll();
        let (process, address) =
            Atoll::serving(command.arg("control-plane").arg("--config").arg(&config), |line| address(line, "api="));
        Self { process, address, directory, rest: rest.into() }
    }

    /// `kill -9` if it still runs, and a new process on the same data and address.
    #[track_caller]
    pub fn restart(mut self) -> Self {
        self.process.kill();
        Self::on(self.directory.clone(), &self.address.to_string(), &self.rest)
    }

    /// The same control plane with further lines of configuration.
    #[track_caller]
    pub fn reconfigured(mut self, rest: &str) -> Self {
        self.process.kill();
        Self::on(self.directory.clone(), &self.address.to_string(), rest)
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A client with the admin token.
    pub fn api(&self) -> Api {
        let token = std::fs::read_to_string(self.directory.path().join("data/admin.token")).expect("admin.token");
        Api::new(self.address, token.trim())
    }

    /// The configuration's table by which a node follows this control plane.
    #[track_caller]
    pub fn table(&self, name: &str) -> String {
        let request = json!({ "name": name, "scope": "node" }).to_string();
        let created = self.api().call("POST", "/v1/tokens", request.as_bytes());
        assert!((200..300).contains(&created.status), "{}", created.text());
        let created = created.json();
        let (key, token) = (&created["control_plane_key"], &created["token"]);
        format!("[control_plane]\nurl = \"http://{}\"\nkey = {key}\ntoken = {token}\n", self.address)
    }
}

/// `atoll edge-node`.
pub struct EdgeNode {
    /// The process.
    pub process: Atoll,
    /// Where apps answer.
    pub address: SocketAddr,
    directory: Arc<TempDir>,
    name: String,
    rest: String,
}

impl EdgeNode {
    /// Starts one that follows `control_plane`, with further lines of configuration.
    #[track_caller]
    pub fn start(control_plane: &ControlPlane, name: &str, tables: &str) -> Self {
        Self::with(name, &format!("{}{tables}", control_plane.table(name)))
    }

    /// Starts one with these lines after name, data directory and address.
    #[track_caller]
    pub fn with(name: &str, rest: &str) -> Self {
        Self::on(Arc::new(TempDir::new().unwrap()), name, rest, "127.0.0.1:0")
    }

    #[track_caller]
    fn on(directory: Arc<TempDir>, name: &str, rest: &str, listen: &str) -> Self {
        let data = directory.path().join("data");
        let config = directory.path().join("edge-node.toml");
        let text = format!("name = {name:?}\ndata_dir = {data:?}\nlisten = {listen:?}\n{rest}");
        std::fs::write(&config, text).unwrap();
        let command = &mut atoll();
        let (process, address) =
            Atoll::serving(command.arg("edge-node").arg("--config").arg(&config), |line| address(line, "edge="));
        Self { process, address, directory, name: name.into(), rest: rest.into() }
    }

    /// `kill -9` if it still runs, and a new process on the same data and address.
    #[track_caller]
    pub fn restart(mut self) -> Self {
        self.process.kill();
        Self::on(self.directory.clone(), &self.name, &self.rest, &self.address.to_string())
    }

    /// The same node with other lines of configuration.
    #[track_caller]
    pub fn reconfigured(mut self, rest: &str) -> Self {
        self.process.kill();
        Self::on(self.directory.clone(), &self.name, rest, &self.address.to_string())
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        Path::new(self.directory.path()).join("data")
    }

    /// `GET http://APP.localhost/PATH`.
    #[track_caller]
    pub fn get(&self, app: &str, path: &str) -> Response {
        http::get(self.address, &format!("{app}.localhost"), path)
    }
}

/// The address after `KEY=http://` in a ready line.
fn address(line: &str, key: &str) -> Option<SocketAddr> {
    let words = line.strip_prefix("ready ")?.split(' ');
    words.into_iter().find_map(|word| word.strip_prefix(key)?.strip_prefix("http://")?.parse().ok())
}
