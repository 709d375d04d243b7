//! Runtimes that run one program (Deno, Bun, Node.js), which serves one app: what people would use instead.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::npm;
use crate::peers::{Peer, Prepared, Process, Running};
use crate::site::Site;

/// The version of npm's `deno` that is measured.
const DENO: &str = "2.9.6";
/// The version of npm's `bun` that is measured.
const BUN: &str = "1.4.5";
/// The version of npm's `@hono/node-server`, the adapter by which Node.js serves an app's `fetch`.
const NODE_SERVER: &str = "2.1.8";

/// Each prints where it listens.
const DENO_PROGRAM: &str = "import app from './app.mjs';\n\
    Deno.serve({ hostname: '127.0.0.1', port: 0, onListen: ({ port }) => console.log(`port ${port}`) },\n  \
    (request) => app.fetch(request));\n";
const BUN_PROGRAM: &str = "import app from './app.mjs';\n\
    const server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: (request) => app.fetch(request) });\n\
    console.log(`port ${server.port}`);\n";
const NODE_PROGRAM: &str = "import { serve } from 'ADAPTER';\nimport app from './app.mjs';\n\
    serve({ fetch: (request) => app.fetch(request), hostname: '127.0.0.1', port: 0 },\n  \
    ({ port }) => console.log(`port ${port}`));\n";

/// A runtime that serves one app.
pub struct Program {
    name: &'static str,
    version: String,
    binary: PathBuf,
    arguments: &'static [&'static str],
    program: String,
}

/// Deno, Bun and Node.js, fetched into `directory` where they are not on the machine.
pub fn all(directory: &Path) -> anyhow::Result<[Program; 3]> {
    let deno = npm::install(directory, "deno", DENO, "@deno/linux-x64-glibc/deno")?;
    let bun = npm::install(directory, "bun", BUN, "@oven/bun-linux-x64/bin/bun")?;
    let adapter = npm::install(directory, "@hono/node-server", NODE_SERVER, "@hono/node-server/dist/index.mjs")?;
    let adapter = adapter.to_str().context("a path that is not text")?;
    let program = |name, binary: &Path, arguments, program: &str| {
        let version = format!("{name} {}", version_of(binary)?);
        anyhow::Ok(Program { name, version, binary: binary.to_owned(), arguments, program: program.to_owned() })
    };
    Ok([
        program("deno", &deno, &["run", "--allow-net"], DENO_PROGRAM)?,
        program("bun", &bun, &["run"], BUN_PROGRAM)?,
        program("node", Path::new("node"), &[], &NODE_PROGRAM.replace("ADAPTER", adapter))?,
    ])
}

fn version_of(binary: &Path) -> anyhow::Result<String> {
    let output = Command::new(binary).arg("--version").output();
    let output = output.with_context(|| format!("cannot run {}", binary.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let first = text.lines().next().unwrap_or_default();
    Ok(first.trim_start_matches("deno ").split(' ').next().unwrap_or_default().to_owned())
}

impl Program {
    /// The command that runs a file.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(self.arguments).env("NO_COLOR", "1").env("NODE_ENV", "production");
        command
    }
}

impl Peer for Program {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn prepare(&self, site: &Site) -> anyhow::Result<Box<dyn Prepared>> {
        ensure!(site.len() == 1, "{} serves one app", self.name);
        let directory = tempfile::tempdir().context("cannot make a directory for the program")?;
        let program = match site.node_program {
            Some(program) if self.name == "node" => program,
            _ => &self.program,
        };
        let main = directory.path().join("main.mjs");
        std::fs::write(&main, program).with_context(|| main.display().to_string())?;
        for (_, source) in site.members() {
            std::fs::write(directory.path().join("app.mjs"), source)?;
        }
        let name = site.fleets[0].name().to_owned();
        let mut command = self.command();
        command.arg(&main);
        Ok(Box::new(Written { name, command, directory: Arc::new(directory) }))
    }
}

/// A program in a file.
pub struct Written {
    /// The app's name.
    pub name: String,
    /// What runs it; it prints `port PORT`.
    pub command: Command,
    /// Its files.
    pub directory: Arc<tempfile::TempDir>,
}

impl Prepared for Written {
    fn start(&self, core: Option<usize>) -> anyhow::Result<Running> {
        let start = Instant::now();
        let mut process = Process::spawn(again(&self.command), core)?;
        let port = process.read_until(|line| line.strip_prefix("port ")?.trim().parse::<u16>().ok());
        let port = port.with_context(|| format!("{:?}", self.command.get_program()))?;
        let ready = start.elapsed();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let own = [(self.name.clone(), address)].into();
        Ok(Running { address, own, process, ready, _directory: self.directory.clone() })
    }
}

/// The same program, arguments and environment.
fn again(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args());
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            copy.env(key, value);
        }
    }
    copy
}
