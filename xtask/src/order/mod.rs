//! `cargo xtask order`: in which order the linker puts functions. What a request runs is spread over tens of megabytes of
//! code; functions that run together lie together when they are named one after another in `cli/functions.order`, which
//! `cli/build.rs` has the linker read.
//!
//! The program runs under callgrind, which says what calls what, while it answers warm requests and starts apps that never
//! ran.

mod callgrind;
mod traffic;

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use self::callgrind::Profile;
use crate::{shell, tools};

/// The apps that are started cold.
const COLD: usize = 8;
/// Requests to the warm app of each kind, before and while it is counted.
const WARM_UP: usize = 1_000;
const WARM: usize = 4_000;

/// What is not on a request's way: the optimising compilers, which have threads of their own.
const BESIDE_REQUESTS: &[&str] = &["8internal8compiler", "8internal6maglev"];
/// What isolates have done before an app waits for one.
const BESIDE_STARTS: &[&str] = &["4core4Core7restore", "4core4Core8rehearse"];

/// Builds the program, records what it runs, and writes the order anew.
pub fn run() -> anyhow::Result<()> {
    shell::run(shell::cargo().args(["build", "--release", "--package", "atoll"]))?;
    let program = shell::tools_folder().with_file_name("release").join("atoll");
    let order = record(&program)?;
    let file = shell::root().join("cli/functions.order");
    fs::write(&file, order.join("\n") + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    println!("{}: {} functions", file.display(), order.len());
    Ok(())
}

/// Records what a program runs. Returns the symbols of its functions: those of the simplest
/// request, then what else requests run that have a body, then what else starts run.
pub fn record(program: &Path) -> anyhow::Result<Vec<String>> {
    tools::ensure(&tools::FOR_ORDER)?;
    let folder = shell::tools_folder().with_file_name("order");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot delete {}", folder.display()))?;
    }
    let apps = apps(&folder.join("apps"))?;
    let data = folder.join("data");

    // The code of all apps is compiled ahead, as it is on any node a moment after a deploy.
    let mut first = Node::start(shell::command(program), &data, &apps)?;
    let code = data.join("edge/code");
    until(Duration::from_secs(120), "the apps' code to be compiled", || {
        Ok(fs::read_dir(&code).is_ok_and(|files| files.count() >= apps.len()))
    })?;
    first.stop()?;

    let profile = |name: &str| folder.join(name);
    let mut valgrind = shell::command("valgrind");
    valgrind.args(["--tool=callgrind", "--demangle=no", "--instr-atstart=no"]);
    valgrind.arg(format!("--callgrind-out-file={}", profile("callgrind").display())).arg(program);
    let mut node = Node::start(valgrind, &data, &[])?;
    traffic::hello(node.address, WARM_UP)?;
    traffic::documents(node.address, WARM_UP / 4)?;
    node.rest()?;
    node.control(&["-i", "on"])?;
    traffic::hello(node.address, WARM)?;
    node.control(&["--dump=hello"])?;
    traffic::documents(node.address, WARM / 4)?;
    node.control(&["--dump=documents"])?;
    for app in 0..COLD {
        traffic::twice(node.address, &cold(app))?;
        node.rest()?;
    }
    node.control(&["-i", "off"])?;
    node.stop()?;

    // The dumps that were asked for have numbers.
    let parts: [(&str, &[&str], usize); 3] = [
        ("callgrind.1", BESIDE_REQUESTS, WARM / 2),
        ("callgrind.2", BESIDE_REQUESTS, WARM / 8),
        ("callgrind", BESIDE_STARTS, 1),
    ];
    let (mut seen, mut order) = (HashSet::new(), Vec::new());
    for (file, without, least) in parts {
        let functions = Profile::read(&profile(file))?.order(without, least as u64);
        ensure!(!functions.is_empty(), "{} names no function", profile(file).display());
        order.extend(functions.into_iter().filter(|name| seen.insert(name.clone())));
    }
    Ok(order)
}

/// Writes the apps, and returns their folders.
fn apps(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let warm = ("warm".to_owned(), traffic::WARM_APP.to_owned());
    let cold = (0..COLD).map(|app| (cold(app), traffic::cold_app(app)));
    let write = |(name, source): (String, String)| {
        let folder = folder.join(&name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("index.js"), source)?;
        let project = format!("name = \"{name}\"\nmain = \"index.js\"\ncompatibility_date = \"2026-01-01\"\n");
        fs::write(folder.join("wrangler.toml"), project)?;
        Ok(folder)
    };
    std::iter::once(warm).chain(cold).map(write).collect::<std::io::Result<_>>().context("cannot write the apps")
}

fn cold(app: usize) -> String {
    format!("cold-{app}")
}

/// A node with its control plane.
struct Node {
    process: Child,
    address: SocketAddr,
}

impl Node {
    /// Has the program, which is `command` or its last argument, deploy these apps and serve on a free port; waits until it does.
    fn start(mut command: Command, data: &Path, apps: &[PathBuf]) -> anyhow::Result<Self> {
        command.args(["up", "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0", "--data-dir"]).arg(data);
        for app in apps {
            command.arg("--deploy").arg(app);
        }
        command.stdout(Stdio::piped()).env("RUST_LOG", "warn");
        let mut process = command.spawn().context("cannot start the node")?;
        let output = process.stdout.take().context("the node has no output")?;
        for line in BufReader::new(output).lines() {
            let line = line.context("the node's output cannot be read")?;
            let Some(at) = line.strip_prefix("ready edge=http://") else { continue };
            let address = at.split(' ').next().unwrap_or_default().parse().with_context(|| line.clone())?;
            return Ok(Self { process, address });
        }
        bail!("the node ended before it served ({})", process.wait()?)
    }

    /// Waits until the node uses next to no CPU time.
    fn rest(&self) -> anyhow::Result<()> {
        let stat = format!("/proc/{}/stat", self.process.id());
        let used = || -> anyhow::Result<u64> {
            let stat = fs::read_to_string(&stat)?;
            // User and system time, in hundredths of a second, behind the name in brackets.
            let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            fields.skip(11).take(2).map(|field| field.parse::<u64>().context("CPU time is no number")).sum()
        };
        let mut before = used()?;
        until(Duration::from_secs(120), "the node to rest", || {
            let now = used()?;
            Ok(now - std::mem::replace(&mut before, now) < 8)
        })
    }

    fn control(&self, arguments: &[&str]) -> anyhow::Result<()> {
        shell::run(shell::command("callgrind_control").args(arguments).arg(self.process.id().to_string()))
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        shell::run(shell::command("kill").arg(self.process.id().to_string()))?;
        let status = self.process.wait().context("the node does not end")?;
        ensure!(status.success(), "the node ended with {status}");
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It has ended unless something went wrong.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Looks once a second whether something has come to pass.
#[expect(clippy::disallowed_methods, reason = "nobody tells when it has")]
fn until(patience: Duration, what: &str, mut done: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        if done()? {
            return Ok(());
        }
        ensure!(start.elapsed() < patience, "waited {} s for {what}", patience.as_secs());
    }
}
