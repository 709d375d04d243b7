//! The load generator: a number of kept-alive connections, one request at a time on each, every answer checked.
//!
//! It runs as a process of its own so that it can be pinned to a core that the server does not use.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::cached::Hit;
use crate::exchange::{self, Exchange, Message};
use crate::expected::Expected;
use crate::peers::{LOAD_CORE, pinned};
use crate::stats::percentile;

/// What to ask, how often, and what the answer must be.
#[derive(clap::Args)]
pub struct Options {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    host: String,
    #[arg(long)]
    connections: usize,
    /// How long, milliseconds.
    #[arg(long)]
    milliseconds: u64,
    /// The body of every answer.
    #[arg(long, required_unless_present_any = ["object", "script"])]
    pub expect: Option<String>,
    /// A file with a list of [`Exchange`]s, as JSON, that each connection goes through again and again.
    #[arg(long)]
    pub script: Option<PathBuf>,
    /// Asks for the object of so many bytes instead, which must be a hit.
    #[arg(long, requires_all = ["hit_header", "hit_part"], conflicts_with = "expect")]
    pub object: Option<usize>,
    /// The header that says whether it is a hit.
    #[arg(long)]
    pub hit_header: Option<String>,
    /// What that header has in a hit.
    #[arg(long)]
    pub hit_part: Option<String>,
}

/// Whom to ask, on how many connections.
pub struct Target<'a> {
    /// Where it answers.
    pub address: SocketAddr,
    /// The host to name.
    pub host: &'a str,
    /// How many connections.
    pub connections: usize,
}

/// What came of it. There were no errors: with one, there is no outcome.
#[derive(Serialize, Deserialize)]
pub struct Outcome {
    /// Answers received, all of them right.
    pub requests: u64,
    /// How long it took, seconds.
    pub seconds: f64,
    /// Median latency, microseconds.
    pub p50_us: f64,
    /// 99th percentile of the latency, microseconds.
    pub p99_us: f64,
}

/// Runs the generator against something that answers with `expect`.
pub fn run(target: &Target<'_>, time: Duration, expect: &str) -> anyhow::Result<Outcome> {
    start(target, time, &["--expect", expect])
}

/// Runs the generator against a cache that has the object of `size` bytes.
pub fn run_object(target: &Target<'_>, time: Duration, size: usize, hit: Hit) -> anyhow::Result<Outcome> {
    let size = size.to_string();
    start(target, time, &["--object", &size, "--hit-header", hit.header, "--hit-part", hit.part])
}

/// Runs the generator with a list of requests. The host of `target` counts for nothing: each request names its own.
pub fn run_script(target: &Target<'_>, time: Duration, script: &[Exchange]) -> anyhow::Result<Outcome> {
    let file = tempfile::NamedTempFile::new().context("cannot make a file for the requests")?;
    serde_json::to_writer(&file, script)?;
    let path = file.path().to_str().context("a temporary path that is not text")?;
    start(target, time, &["--script", path])
}

/// Runs the generator in a process pinned to [`LOAD_CORE`].
fn start(target: &Target<'_>, time: Duration, expected: &[&str]) -> anyhow::Result<Outcome> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program's own path")?);
    command.args(["load", "--address", &target.address.to_string(), "--host", target.host]);
    command.args(["--connections", &target.connections.to_string(), "--milliseconds", &time.as_millis().to_string()]);
    command.args(expected);
    let output = pinned(command, LOAD_CORE).output().context("cannot start the load generator under taskset")?;
    ensure!(output.status.success(), "the load run failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    serde_json::from_slice(&output.stdout).context("the load generator's output")
}

/// Entry point of the generator's process.
#[allow(clippy::print_stdout, reason = "the outcome is read from this process's standard output")]
pub fn main(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let latencies = Rc::new(RefCell::new(Vec::new()));
    let (address, work) = (options.address, Rc::new(Work::new(options)?));
    let start = Instant::now();
    let until = start + Duration::from_millis(options.milliseconds);
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut tasks = Vec::new();
        for index in 0..options.connections {
            let (latencies, work) = (latencies.clone(), work.clone());
            tasks.push(tokio::task::spawn_local(async move {
                match &*work {
                    Work::Same { request, expected } => connection(address, request, expected, until, &latencies).await,
                    Work::Script(messages) => exchange::connection(address, messages, index, until, &latencies).await,
                }
            }));
        }
        for task in tasks {
            task.await.context("a connection's task panicked")??;
        }
        anyhow::Ok(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let mut latencies = latencies.take();
    ensure!(!latencies.is_empty(), "no request was answered");
    latencies.sort_by(f64::total_cmp);
    let outcome = Outcome {
        requests: latencies.len() as u64,
        seconds,
        p50_us: percentile(&latencies, 50.0),
        p99_us: percentile(&latencies, 99.0),
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

/// What each connection does.
enum Work {
    /// One request without a body.
    Same { request: String, expected: Expected },
    /// These in turn.
    Script(Vec<Message>),
}

impl Work {
    fn new(options: &Options) -> anyhow::Result<Self> {
        if let Some(path) = &options.script {
            let text = std::fs::read(path).with_context(|| path.display().to_string())?;
            let script: Vec<Exchange> = serde_json::from_slice(&text)?;
            ensure!(!script.is_empty(), "a script without a request");
            return Ok(Self::Script(script.iter().map(Message::new).collect()));
        }
        let expected = Expected::new(options)?;
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", expected.path(), options.host);
        Ok(Self::Same { request, expected })
    }
}

async fn connection(
    address: SocketAddr,
    request: &str,
    expected: &Expected,
    until: Instant,
    latencies: &RefCell<Vec<f64>>,
) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    let mut received = Vec::with_capacity(expected.buffer());
    while Instant::now() < until {
        let sent = Instant::now();
        stream.write_all(request.as_bytes()).await.context("cannot send")?;
        received.clear();
        expected.receive(&mut stream, &mut received).await?;
        latencies.borrow_mut().push(sent.elapsed().as_secs_f64() * 1e6);
    }
    Ok(())
}
