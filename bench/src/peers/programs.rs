//! Servers that answer hello world and can do nothing else here: the floor (bare hyper) and what people would use instead
//! (Deno, Bun, Node.js).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::npm;
use crate::peers::{HELLO, Process};

/// The version of npm's `deno` that is measured.
const DENO: &str = "2.9.6";
/// The version of npm's `bun` that is measured.
const BUN: &str = "1.4.5";

/// A server that runs.
pub struct Serving {
    /// Where it answers.
    pub address: SocketAddr,
    /// The process, whose CPU time is read.
    pub process: Process,
    _directory: tempfile::TempDir,
}

/// A server that can be started.
pub struct HelloServer {
    /// Its name in the table.
    pub name: &'static str,
    /// Its name and version.
    pub version: String,
    binary: PathBuf,
    arguments: &'static [&'static str],
    /// The program it runs, where `ANSWER` stands for the answer as a JavaScript string.
    program: &'static str,
}

/// Prints where it listens, as every program here does.
const DENO_PROGRAM: &str = "Deno.serve({ hostname: '127.0.0.1', port: 0, \
    onListen: ({ port }) => console.log(`port ${port}`) }, () => new Response(ANSWER));\n";
const BUN_PROGRAM: &str = "const server = Bun.serve({ hostname: '127.0.0.1', port: 0, \
    fetch() { return new Response(ANSWER); } });\nconsole.log(`port ${server.port}`);\n";
const NODE_PROGRAM: &str = "const server = require('node:http').createServer((request, response) => { \
    response.setHeader('content-type', 'text/plain;charset=UTF-8'); response.end(ANSWER); });\n\
    server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));\n";

/// All of them, fetched into `directory` where they are not on the machine.
pub fn all(directory: &Path) -> anyhow::Result<Vec<HelloServer>> {
    let deno = npm::install(directory, "deno", DENO, "@deno/linux-x64-glibc/deno")?;
    let bun = npm::install(directory, "bun", BUN, "@oven/bun-linux-x64/bin/bun")?;
    let own = std::env::current_exe().context("cannot find this program's own path")?;
    let server = |name, binary: &Path, arguments, program| {
        let version = match name {
            "bare hyper" => format!("hyper, built with this program {}", env!("CARGO_PKG_VERSION")),
            _ => format!("{name} {}", version_of(binary)?),
        };
        anyhow::Ok(HelloServer { name, version, binary: binary.to_owned(), arguments, program })
    };
    Ok(vec![
        server("bare hyper", &own, &["bare-hyper", "--program"], "ANSWER")?,
        server("deno", &deno, &["run", "--allow-net"], DENO_PROGRAM)?,
        server("bun", &bun, &["run"], BUN_PROGRAM)?,
        server("node", Path::new("node"), &[], NODE_PROGRAM)?,
    ])
}

fn version_of(binary: &Path) -> anyhow::Result<String> {
    let output = Command::new(binary).arg("--version").output();
    let output = output.with_context(|| format!("cannot run {}", binary.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let first = text.lines().next().unwrap_or_default();
    Ok(first.trim_start_matches("deno ").split(' ').next().unwrap_or_default().to_owned())
}

impl HelloServer {
    /// Starts it on that core alone.
    pub fn start(&self, core: usize) -> anyhow::Result<Serving> {
        let directory = tempfile::tempdir().context("cannot make a directory for the program")?;
        let file = directory.path().join("hello.cjs");
        let answer = serde_json::to_string(HELLO)?;
        std::fs::write(&file, self.program.replace("ANSWER", &answer)).with_context(|| file.display().to_string())?;
        let mut command = Command::new(&self.binary);
        command.args(self.arguments).arg(&file).env("NO_COLOR", "1");
        let mut process = Process::spawn(command, Some(core))?;
        let port = process.read_until(|line| line.strip_prefix("port ")?.trim().parse::<u16>().ok());
        let port = port.with_context(|| self.name.to_owned())?;
        Ok(Serving { address: SocketAddr::from(([127, 0, 0, 1], port)), process, _directory: directory })
    }
}
