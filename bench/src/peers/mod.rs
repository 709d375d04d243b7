//! What is measured: a server that can be started with a number of apps, none of which has run.

pub mod atoll;
pub mod bare_hyper;
pub mod programs;
pub mod workerd;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// The core the server is pinned to while load comes from [`LOAD_CORE`].
pub const SERVER_CORE: usize = 0;
/// The core of the load generator.
pub const LOAD_CORE: usize = 1;

/// The answer of the app that the warm measurement calls.
pub const HELLO: &str = "Hello World\n";

/// Source of the app that the warm measurement calls.
pub fn hello_source() -> String {
    format!("export default {{ fetch() {{ return new Response({HELLO:?}); }} }};\n")
}

/// Source of app number `index` of the cold measurement: it counts its calls, so that the first answer of an isolate
/// differs from its later ones, and no two apps share their code.
pub fn counting_source(index: usize) -> String {
    format!(
        "let calls = 0;\nexport default {{ fetch() {{ calls += 1; return new Response(`app-{index} ${{calls}}\\n`); }} }};\n"
    )
}

/// What app `index` answers to call number `call` of one isolate.
pub fn counting_answer(index: usize, call: usize) -> String {
    format!("app-{index} {call}\n")
}

/// A server to measure.
pub trait Peer {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// What `--version` says, after the name.
    fn version(&self) -> String;
    /// Starts it with `apps` counting apps and the hello app deployed, and returns when it would serve them. None of
    /// them has run. With `core` it runs on that core alone.
    fn start(&self, apps: usize, core: Option<usize>) -> anyhow::Result<Running>;
}

/// A server that runs; killed when dropped.
pub struct Running {
    /// Where the counting apps answer, by [`Running::host`].
    pub apps: SocketAddr,
    /// Where the hello app answers.
    pub hello: SocketAddr,
    /// The hello app's host.
    pub hello_host: String,
    /// The process, whose CPU time and memory are read.
    pub process: Process,
    /// Files that must outlive the process.
    pub _directory: tempfile::TempDir,
}

impl Running {
    /// The host name of counting app `index`.
    pub fn host(&self, index: usize) -> String {
        format!("app-{index}.localhost")
    }
}

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
    fn drop(&mut self) {
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
