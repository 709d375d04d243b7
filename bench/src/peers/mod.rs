//! What is measured: a server that can be started with apps, as often as there are turns.

pub mod atoll;
pub mod bare_hyper;
pub mod programs;
pub mod workerd;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::load::Target;
use crate::site::Site;

/// The core the server is pinned to while load comes from [`LOAD_CORE`].
pub const SERVER_CORE: usize = 0;
/// The core of the load generator.
pub const LOAD_CORE: usize = 1;

/// A server to measure.
pub trait Peer {
    /// Its name in the tables.
    fn name(&self) -> &'static str;
    /// Its name and version.
    fn version(&self) -> String;
    /// Makes ready what it is started with, on disk.
    fn prepare(&self, site: &Site) -> anyhow::Result<Box<dyn Prepared>>;
}

/// A server that can be started any number of times, each time as the first time.
pub trait Prepared {
    /// Starts it and returns when it would serve its apps. With `core` it runs on that core alone.
    fn start(&self, core: Option<usize>) -> anyhow::Result<Running>;
}

/// A server that runs; killed when dropped.
pub struct Running {
    /// Where apps answer that are not in `own`.
    pub address: SocketAddr,
    /// Where apps answer that have an address of their own.
    pub own: BTreeMap<String, SocketAddr>,
    /// The process, whose CPU time and memory are read.
    pub process: Process,
    /// From starting the process to its saying that it serves.
    pub ready: Duration,
    /// Files that must outlive the process.
    pub _directory: Arc<tempfile::TempDir>,
}

/// Where an app answers.
#[derive(Clone, Debug)]
pub struct Place {
    /// The address to connect to.
    pub address: SocketAddr,
    /// The host to name.
    pub host: String,
}

impl Running {
    /// Where the app of that name answers.
    pub fn app(&self, name: &str) -> Place {
        let address = *self.own.get(name).unwrap_or(&self.address);
        Place { address, host: format!("{name}.localhost") }
    }
}

impl Place {
    /// The app, on so many connections.
    pub fn target(&self, connections: usize) -> Target<'_> {
        Target { address: self.address, host: &self.host, connections }
    }
}

/// The most time that a process has to end when it is asked to.
const END: Duration = Duration::from_secs(10);

/// A child process that does not outlive this value.
pub struct Process(Child);

impl Process {
    /// Starts `command` with standard output piped; `core` pins it and every thread it will have.
    pub fn spawn(command: Command, core: Option<usize>) -> anyhow::Result<Self> {
        let mut command = match core {
            None => command,
            Some(core) => pinned(command, core),
        };
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        Ok(Self(child.with_context(|| format!("cannot start {:?}", command.get_program()))?))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> anyhow::Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }

    /// Asks it to end and waits until it has.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.ask_to_end()?;
        self.0.wait()?;
        Ok(())
    }

    fn ask_to_end(&self) -> anyhow::Result<()> {
        let status = Command::new("kill").arg(self.id().to_string()).status().context("cannot run kill")?;
        ensure!(status.success(), "cannot send a signal to process {}", self.id());
        Ok(())
    }

    /// Reads lines of its standard output until `find` has found what it wants.
    pub fn read_until<T>(&mut self, mut find: impl FnMut(&str) -> Option<T>) -> anyhow::Result<T> {
        let output = self.0.stdout.take().context("the output was read before")?;
        let mut lines = BufReader::new(output).lines();
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Some(line) = lines.next().transpose().context("cannot read the server's output")? {
            if let Some(found) = find(&line) {
                // Later output goes nowhere, but the pipe must stay open or the server would get EPIPE.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(found);
            }
            if Instant::now() > deadline {
                break;
            }
        }
        bail!("the server did not say that it serves (exit status {:?})", self.0.try_wait()?)
    }
}

impl Drop for Process {
    /// Asks it to end, as its user would, so that it does what it does at its end; one that does not is killed.
    #[expect(clippy::disallowed_methods, reason = "a condition, polled with a deadline")]
    fn drop(&mut self) {
        if self.is_running().is_ok_and(|runs| runs) && self.ask_to_end().is_ok() {
            let deadline = Instant::now() + END;
            while Instant::now() < deadline {
                if !self.is_running().is_ok_and(|runs| runs) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        // It may have ended by itself; then there is nothing left to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The same command under `taskset`, which replaces itself with it and keeps the process id.
pub fn pinned(command: Command, core: usize) -> Command {
    let mut wrapped = Command::new("taskset");
    wrapped.arg("-c").arg(core.to_string()).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(key, value),
            None => wrapped.env_remove(key),
        };
    }
    wrapped
}
