//! Atoll as a cache: an edge node in a process of its own, so that it alone is measured, with a disk for what is too large
//! for memory.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use super::over::certificate;
use super::{Cache, Hit, Running, object};
use crate::peers::atoll::{Api, Atoll};
use crate::peers::{Peer, Process};

/// Disk of the node's cache, MiB; without it, bodies over 8 MiB are not kept.
pub const DISK_MB: u64 = 1024;

/// The atoll binary.
pub struct Edge {
    binary: PathBuf,
    version: String,
}

impl Edge {
    /// Checks that the binary runs.
    pub fn new(binary: PathBuf) -> anyhow::Result<Self> {
        let version = Atoll::new(binary.clone())?.version();
        Ok(Self { binary, version })
    }

    fn spawn(&self, role: &str, arguments: &[&std::ffi::OsStr], core: Option<usize>) -> anyhow::Result<Process> {
        let mut command = Command::new(&self.binary);
        command.arg(role).args(arguments).env("RUST_LOG", "warn");
        Process::spawn(command, core)
    }
}

impl Cache for Edge {
    fn name(&self) -> &'static str {
        "atoll"
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn hit(&self) -> Hit {
        Hit { header: "cache-status", part: "; hit" }
    }

    fn start(&self, core: usize) -> anyhow::Result<Running> {
        let directory = tempfile::tempdir().context("cannot make a data directory")?;
        let data = directory.path().join("control-plane");
        let arguments = ["--listen".as_ref(), "127.0.0.1:0".as_ref(), "--data-dir".as_ref(), data.as_os_str()];
        let mut control_plane = self.spawn("control-plane", &arguments, None)?;
        let api = control_plane.read_until(|line| address(line, "api=http://"))?;
        let mut api = Api::open(api, &data)?;
        let config = directory.path().join("edge-node.toml");
        let follow = api.node_table()?;
        let [cert, key] = certificate();
        // The node says only the first listener's address, so a free port is chosen for the second.
        let secure = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let text = format!(
            "name = \"cache\"\ndata_dir = {:?}\nlisten = \"127.0.0.1:0\"\n{follow}[front_cache]\ndisk_mb = {DISK_MB}\n\
             [[listeners]]\naddress = \"{secure}\"\ntls = {{ certificates = [{{ cert = {cert:?}, key = {key:?} }}] }}\n",
            directory.path().join("edge")
        );
        std::fs::write(&config, text).with_context(|| config.display().to_string())?;
        let mut process = self.spawn("edge-node", &["--config".as_ref(), config.as_os_str()], Some(core))?;
        let address = process.read_until(|line| address(line, "edge=http://"))?;
        let revision = api.deploy("objects", object::app_source())?;
        api.settle(revision)?;
        let host = "objects.localhost".into();
        Ok(Running { address, secure: Some(secure), host, process, _rest: (vec![control_plane], directory) })
    }
}

/// The address after `key` in `ready KEY… …`.
fn address(line: &str, key: &str) -> Option<SocketAddr> {
    let mut words = line.strip_prefix("ready ")?.split(' ');
    words.find_map(|word| word.strip_prefix(key))?.parse().ok()
}
