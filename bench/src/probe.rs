//! One request after another at a pace, for latencies beside a load.
//!
//! It runs as a process of its own, favoured by the scheduler where that is allowed, so that what it measures is the server
//! waiting for the processor and not itself.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::http::Connection;
use crate::peers::Place;
use crate::warm::rest;

/// Whom to ask for how long.
#[derive(clap::Args)]
pub struct Options {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    host: String,
    /// How long, milliseconds.
    #[arg(long)]
    milliseconds: u64,
    /// Between an answer and the next request, milliseconds.
    #[arg(long)]
    pace_ms: u64,
    /// The body of every answer.
    #[arg(long)]
    expect: String,
}

/// Asks an app for `/`. Returns the time to the first byte of each answer, milliseconds. All were right.
pub fn run(place: &Place, time: Duration, pace: Duration, expect: &str) -> anyhow::Result<Vec<f64>> {
    let own = std::env::current_exe().context("cannot find this program's own path")?;
    let mut command = Command::new("nice");
    command.args(["-n", "-10"]).arg(own);
    command.args(["probe", "--address", &place.address.to_string(), "--host", &place.host, "--expect", expect]);
    command.args(["--milliseconds", &time.as_millis().to_string(), "--pace-ms", &pace.as_millis().to_string()]);
    let output = command.output().context("cannot run nice")?;
    ensure!(output.status.success(), "a probe failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    serde_json::from_slice(&output.stdout).context("the probe's output")
}

/// Entry point of the probe's process.
#[expect(clippy::print_stdout, reason = "the latencies are read from this process's standard output")]
pub fn main(options: &Options) -> anyhow::Result<()> {
    let mut connection = Connection::open(options.address)?;
    let until = Instant::now() + Duration::from_millis(options.milliseconds);
    let mut latencies = Vec::new();
    while Instant::now() < until {
        rest(Duration::from_millis(options.pace_ms));
        let answer = connection.request("GET", &options.host, "/", &[], b"")?;
        let right = answer.status == 200 && answer.body == options.expect.as_bytes();
        ensure!(right, "{} answered {}: {}", options.host, answer.status, String::from_utf8_lossy(&answer.body));
        latencies.push(answer.first_byte.as_secs_f64() * 1e3);
    }
    ensure!(!latencies.is_empty(), "no request was answered");
    println!("{}", serde_json::to_string(&latencies)?);
    Ok(())
}
