//! The load generator: a number of kept-alive connections, one request at a time on each, every answer checked.
//!
//! It runs as a process of its own so that it can be pinned to a core that the server does not use.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http;
use crate::peer::{LOAD_CORE, pinned};
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
    #[arg(long)]
    expect: String,
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

/// Runs the generator in a process pinned to [`LOAD_CORE`].
pub fn run(
    address: SocketAddr,
    host: &str,
    connections: usize,
    time: Duration,
    expect: &str,
) -> anyhow::Result<Outcome> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program's own path")?);
    command.args(["load", "--address", &address.to_string(), "--host", host]);
    command.args(["--connections", &connections.to_string(), "--milliseconds", &time.as_millis().to_string()]);
    command.args(["--expect", expect]);
    let output = pinned(command, LOAD_CORE).output().context("cannot start the load generator under taskset")?;
    ensure!(output.status.success(), "the load run failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    serde_json::from_slice(&output.stdout).context("the load generator's output")
}

/// Entry point of the generator's process.
#[allow(clippy::print_stdout, reason = "the outcome is read from this process's standard output")]
pub fn main(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let latencies = Rc::new(RefCell::new(Vec::new()));
    let start = Instant::now();
    let until = start + Duration::from_millis(options.milliseconds);
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", options.host);
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut tasks = Vec::new();
        for _ in 0..options.connections {
            let latencies = latencies.clone();
            let request = request.clone();
            let (address, expect) = (options.address, options.expect.clone());
            tasks.push(tokio::task::spawn_local(async move {
                connection(address, &request, expect.as_bytes(), until, &latencies).await
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

async fn connection(
    address: SocketAddr,
    request: &str,
    expect: &[u8],
    until: Instant,
    latencies: &RefCell<Vec<f64>>,
) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    let mut received = Vec::with_capacity(4096);
    while Instant::now() < until {
        let sent = Instant::now();
        stream.write_all(request.as_bytes()).await.context("cannot send")?;
        received.clear();
        let (head, body) = loop {
            let read = stream.read_buf(&mut received).await.context("cannot receive")?;
            ensure!(read > 0, "the server closed a connection within an answer");
            if let Some(answer) = http::parse(&received)? {
                break answer;
            }
        };
        latencies.borrow_mut().push(sent.elapsed().as_secs_f64() * 1e6);
        ensure!(head.status == 200, "status {}: {}", head.status, String::from_utf8_lossy(&body));
        ensure!(body == expect, "a wrong answer: {:?}", String::from_utf8_lossy(&body));
    }
    Ok(())
}
