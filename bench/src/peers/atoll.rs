//! Atoll as a peer: `atoll up`, apps deployed through its API before it is started anew.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use atoll_bundle::{Bundle, Module, ModuleKind};

use crate::figure::OURS;
use crate::http::Connection;
use crate::peers::{Peer, Prepared, Process, Running};
use crate::site::{COMPATIBILITY_DATE, Code, Fleet, Site};
use crate::warm::rest;

/// Connections that apps are deployed on at once.
const DEPLOYERS: usize = 8;
/// CPU time that a request may take, milliseconds.
const CPU_MS: u64 = 1000;
/// Requests that each app gets, for the functions they call to be kept: more than the node waits for.
const USES: usize = 6;

/// The atoll binary.
pub struct Atoll {
    name: &'static str,
    binary: PathBuf,
    version: String,
}

impl Atoll {
    /// The program that is measured. Checks that the binary runs.
    pub fn new(binary: PathBuf) -> anyhow::Result<Self> {
        Self::named(OURS, binary)
    }

    /// The one that `cargo xtask dist` has built. Checks that the binary runs.
    pub fn dist(binary: PathBuf) -> anyhow::Result<Self> {
        let dist = Self::named("atoll, dist", binary)?;
        Ok(Self { version: format!("{} by `cargo xtask dist`", dist.version), ..dist })
    }

    fn named(name: &'static str, binary: PathBuf) -> anyhow::Result<Self> {
        let output = Command::new(&binary).arg("--version").output();
        let output = output.with_context(|| format!("cannot run {}", binary.display()))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Self { name, binary, version })
    }

    /// The program's path.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Starts `atoll up` on a data directory, with the address of its API.
    pub fn up(&self, data: Arc<tempfile::TempDir>, core: Option<usize>) -> anyhow::Result<(Running, SocketAddr)> {
        let mut command = Command::new(&self.binary);
        command.args(["up", "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0", "--allow-egress", "127.0.0.0/8"]);
        command.arg("--data-dir").arg(data.path()).env("RUST_LOG", "warn");
        let start = Instant::now();
        let mut process = Process::spawn(command, core)?;
        let (address, api) = process.read_until(ready_line)?;
        let ready = start.elapsed();
        Ok((Running { address, own: Default::default(), process, ready, _directory: data }, api))
    }

    /// Deploys a site with `deploy`, which is given the address of the API and the data directory, and waits for its code.
    pub fn prepare_with(
        &self,
        site: &Site,
        deploy: impl FnOnce(SocketAddr, &Path, &Site) -> anyhow::Result<()>,
    ) -> anyhow::Result<Box<dyn Prepared>> {
        let data = Arc::new(tempfile::tempdir().context("cannot make a data directory")?);
        let (running, api) = self.up(data.clone(), None)?;
        deploy(api, data.path(), site)?;
        if site.code != Code::Whatever {
            compiled(data.path(), site.len())?;
        }
        if site.code == Code::Used {
            use_all(&running, data.path(), site)?;
        }
        running.process.stop()?;
        Ok(Box::new(OnDisk { binary: self.binary.clone(), data }))
    }
}

impl Peer for Atoll {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn prepare(&self, site: &Site) -> anyhow::Result<Box<dyn Prepared>> {
        self.prepare_with(site, |api, data, site| deploy_all(api, data, site).map(drop))
    }
}

/// A data directory that is copied for each start.
struct OnDisk {
    binary: PathBuf,
    data: Arc<tempfile::TempDir>,
}

impl Prepared for OnDisk {
    fn start(&self, core: Option<usize>) -> anyhow::Result<Running> {
        let copy = Arc::new(tempfile::tempdir().context("cannot make a data directory")?);
        let status = Command::new("cp").arg("-a").arg(self.data.path().join(".")).arg(copy.path()).status();
        ensure!(status.context("cannot run cp")?.success(), "cannot copy {}", self.data.path().display());
        let atoll = Atoll { name: OURS, binary: self.binary.clone(), version: String::new() };
        Ok(atoll.up(copy, core)?.0)
    }
}

/// Deploys all apps, several at a time, and waits until the node serves them. Says how long that took.
pub fn deploy_all(api: SocketAddr, data: &Path, site: &Site) -> anyhow::Result<Duration> {
    let members: Vec<(String, String)> = site.members().collect();
    let start = Instant::now();
    let revisions = std::thread::scope(|scope| {
        let share = members.len().div_ceil(DEPLOYERS).max(1);
        let deployers: Vec<_> = members
            .chunks(share)
            .map(|members| {
                scope.spawn(move || -> anyhow::Result<u64> {
                    let mut api = Api::open(api, data)?;
                    let mut revision = 0;
                    for (name, source) in members {
                        revision = api.deploy(name, source.clone())?;
                    }
                    Ok(revision)
                })
            })
            .collect();
        let finish = |deployer: std::thread::ScopedJoinHandle<'_, anyhow::Result<u64>>| {
            deployer.join().unwrap_or_else(|_| anyhow::bail!("a thread that deploys panicked"))
        };
        deployers.into_iter().map(finish).collect::<anyhow::Result<Vec<u64>>>()
    })?;
    Api::open(api, data)?.settle(revisions.into_iter().max().unwrap_or_default())?;
    Ok(start.elapsed())
}

/// The files with compiled code.
fn code_files(data: &Path) -> Vec<std::fs::DirEntry> {
    let files = std::fs::read_dir(data.join("edge/code")).into_iter().flatten().filter_map(Result::ok);
    files.filter(|file| file.path().extension().is_none()).collect()
}

/// Waits until the node has compiled so many bundles.
fn compiled(data: &Path, bundles: usize) -> anyhow::Result<()> {
    let patience = Duration::from_secs(60) + Duration::from_millis(500) * bundles as u32;
    until(patience, || code_files(data).len() >= bundles)
        .with_context(|| format!("the node has compiled {} of {bundles} apps", code_files(data).len()))
}

/// Calls every app of the fleets, and waits until the node has written its code anew, with the functions that were called.
fn use_all(running: &Running, data: &Path, site: &Site) -> anyhow::Result<()> {
    let before = std::time::SystemTime::now();
    let mut connection = Connection::open(running.address)?;
    let names: Vec<String> = site.fleets.iter().filter(|fleet| !fleet.is_one()).flat_map(Fleet::names).collect();
    for name in &names {
        for _ in 0..USES {
            let answer = connection.request("GET", &running.app(name).host, "/", &[], b"")?;
            ensure!(answer.status == 200, "{name} answered {}", answer.status);
        }
    }
    let written = |file: &std::fs::DirEntry| {
        file.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|modified| modified > before)
    };
    let count = || code_files(data).iter().filter(|file| written(file)).count();
    until(Duration::from_secs(60), || count() >= names.len())
        .with_context(|| format!("the node has kept what requests called of {} of {} apps", count(), names.len()))
}

fn until(patience: Duration, done: impl Fn() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    while !done() {
        ensure!(Instant::now() < deadline, "not within {} s", patience.as_secs());
        rest(Duration::from_millis(50));
    }
    Ok(())
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
        // A machine that is busy with something else may stretch a request's CPU time past the default; an answer that is
        // cut short would be an error of the measurement.
        let config = serde_json::json!({ "limits": { "cpu_ms": CPU_MS } });
        let request = serde_json::json!({ "bundle": hash, "config": config }).to_string();
        let answer = self.call("POST", &format!("/v1/apps/{app}/deploy"), request.as_bytes())?;
        answer["revision"].as_u64().context("the deploy's answer has no revision")
    }

    /// Waits until the node runs `revision`.
    pub fn settle(&mut self, revision: u64) -> anyhow::Result<()> {
        let path = format!("/v1/revisions/{revision}?wait_ms=30000");
        // A node that is told of thousands of revisions takes its time.
        for _ in 0..10 {
            let status = self.call("GET", &path, b"")?;
            if status["settled"] == true {
                return Ok(());
            }
        }
        anyhow::bail!("the node did not reach revision {revision} within five minutes")
    }
}
