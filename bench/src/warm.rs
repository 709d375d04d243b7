//! One turn of one peer: cold starts, memory, warm load.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;

use crate::http::Connection;
use crate::load::{self, Outcome, Target};
use crate::peers::programs::HelloServer;
use crate::peers::{HELLO, Peer, Running, SERVER_CORE, counting_answer};
use crate::procfs;

/// How much is measured.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Turns of each peer.
    pub rounds: usize,
    /// Apps that are started once, one after the other with [`Plan::pace`] between them.
    pub paced_apps: usize,
    /// Apps that are started once each, one right after the other.
    pub burst_apps: usize,
    /// Rest between two paced cold starts, milliseconds: time to fill a pool up again.
    pub pace_ms: u64,
    /// Connections of the warm load.
    pub connections: usize,
    /// Length of the warm load, milliseconds.
    pub load_ms: u64,
    /// Length of the load that warms up, milliseconds.
    pub warmup_ms: u64,
}

impl Plan {
    /// For figures.
    pub fn full() -> Self {
        Self {
            rounds: 3,
            paced_apps: 200,
            burst_apps: 100,
            pace_ms: 20,
            connections: 32,
            load_ms: 10_000,
            warmup_ms: 3_000,
        }
    }

    /// To see that it works.
    pub fn quick() -> Self {
        Self { rounds: 1, paced_apps: 30, burst_apps: 20, load_ms: 2_000, warmup_ms: 1_000, ..Self::full() }
    }
}

/// What a turn measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Turn {
    /// First byte of each paced cold start, microseconds.
    pub cold_us: Vec<f64>,
    /// First byte of each cold start right after another, microseconds.
    pub burst_us: Vec<f64>,
    /// What an app that is running takes at the pace of `cold_us`, microseconds.
    pub running_us: Vec<f64>,
    /// Resident memory per app that has run once and is idle, bytes.
    pub bytes_per_app: f64,
    /// Resident memory before any app ran, bytes.
    pub base_bytes: u64,
    /// The hello app under load.
    pub warm: Warm,
}

/// What the warm load measured, the server on one core.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Warm {
    /// Requests per second.
    pub requests_per_second: f64,
    /// CPU time of the server per request, microseconds.
    pub cpu_us_per_request: f64,
    /// Median latency, microseconds.
    pub p50_us: f64,
    /// 99th percentile of the latency, microseconds.
    pub p99_us: f64,
}

impl Warm {
    /// What a load run says of a server that used so much CPU time under it.
    pub fn new(outcome: &Outcome, used: Duration) -> Self {
        Self {
            requests_per_second: outcome.requests as f64 / outcome.seconds,
            cpu_us_per_request: used.as_secs_f64() * 1e6 / outcome.requests as f64,
            p50_us: outcome.p50_us,
            p99_us: outcome.p99_us,
        }
    }
}

/// Measures `peer` once, with fresh processes.
pub fn run(peer: &dyn Peer, plan: &Plan) -> anyhow::Result<Turn> {
    let apps = plan.paced_apps + plan.burst_apps;
    let server = peer.start(apps, None)?;
    let cold = cold(&server, plan)?;
    drop(server);
    let server = peer.start(0, Some(SERVER_CORE))?;
    let warm = warm(server.hello, &server.hello_host, server.process.id(), plan)?;
    Ok(Turn { warm, ..cold })
}

/// Measures a server that can only be warm, with a fresh process.
pub fn run_hello(server: &HelloServer, plan: &Plan) -> anyhow::Result<Warm> {
    let running = server.start(SERVER_CORE)?;
    warm(running.address, "hello.localhost", running.process.id(), plan)
}

/// Calls every app once, then once more to see that it stayed.
fn cold(server: &Running, plan: &Plan) -> anyhow::Result<Turn> {
    let mut connection = Connection::open(server.apps)?;
    // The hello app goes first, so that the machine's and the server's own first times are not an app's cold start.
    let mut hello = Connection::open(server.hello)?;
    let answer = hello.request("GET", &server.hello_host, "/", &[], b"")?;
    ensure!(answer.status == 200 && answer.body == HELLO.as_bytes(), "the hello app answered {}", answer.status);
    let pace = Duration::from_millis(plan.pace_ms);
    rest(pace * 25);
    let base = procfs::resident(server.process.id())?;
    let call = |connection: &mut Connection, index: usize, count: usize| {
        let answer = connection.request("GET", &server.host(index), "/", &[], b"")?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let expected = counting_answer(index, count);
        ensure!(
            answer.status == 200 && text == expected,
            "app {index}, call {count}: expected {expected:?}, got {} {text:?}",
            answer.status
        );
        Ok(answer.first_byte.as_secs_f64() * 1e6)
    };
    let mut turn = Turn { base_bytes: base, ..Turn::default() };
    for index in 0..plan.paced_apps {
        rest(pace);
        turn.cold_us.push(call(&mut connection, index, 1)?);
    }
    let apps = plan.paced_apps + plan.burst_apps;
    for index in plan.paced_apps..apps {
        turn.burst_us.push(call(&mut connection, index, 1)?);
    }
    rest(pace * 25);
    let grown = procfs::resident(server.process.id())?.saturating_sub(base);
    turn.bytes_per_app = grown as f64 / apps as f64;
    for index in 0..apps {
        if index < plan.paced_apps {
            rest(pace);
        }
        let took = call(&mut connection, index, 2)?;
        if index < plan.paced_apps {
            turn.running_us.push(took);
        }
    }
    Ok(turn)
}

/// Leaves the server alone for a while: this is the pace of the measurement, not waiting for something.
#[expect(clippy::disallowed_methods, reason = "the pace of the measurement")]
pub fn rest(time: Duration) {
    std::thread::sleep(time);
}

/// Loads the hello app from another core.
fn warm(address: SocketAddr, host: &str, process: u32, plan: &Plan) -> anyhow::Result<Warm> {
    let target = Target { address, host, connections: plan.connections };
    let run = |milliseconds| load::run(&target, Duration::from_millis(milliseconds), HELLO);
    run(plan.warmup_ms)?;
    let before = procfs::cpu_time(process)?;
    let outcome = run(plan.load_ms)?;
    let used = procfs::cpu_time(process)?.saturating_sub(before);
    Ok(Warm::new(&outcome, used))
}
