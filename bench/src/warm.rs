//! A server under load: requests per second and CPU time per request.

use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;

use crate::bench::Length;
use crate::exchange::Exchange;
use crate::load::{self, Outcome, Target};
use crate::peers::Running;
use crate::procfs;

/// What a load run measured, the server on one core.
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

/// Loads a server with these requests after a load that warms it up. A server that used no CPU time is an error: another
/// process must have answered.
pub fn warm(running: &Running, target: &Target<'_>, script: &[Exchange], length: Length) -> anyhow::Result<Warm> {
    let run = |milliseconds| load::run_script(target, Duration::from_millis(milliseconds), script);
    measure(running, length, run)
}

/// Loads a server with requests for `/`, all answered with the same text.
pub fn warm_text(running: &Running, target: &Target<'_>, expect: &str, length: Length) -> anyhow::Result<Warm> {
    measure(running, length, |milliseconds| load::run(target, Duration::from_millis(milliseconds), expect))
}

fn measure(running: &Running, length: Length, run: impl Fn(u64) -> anyhow::Result<Outcome>) -> anyhow::Result<Warm> {
    run(length.warmup_ms)?;
    let before = procfs::cpu_time_of_all(running.process.id())?;
    let outcome = run(length.load_ms)?;
    let used = procfs::cpu_time_of_all(running.process.id())?.saturating_sub(before);
    ensure!(!used.is_zero(), "the server used no CPU time");
    Ok(Warm::new(&outcome, used))
}

/// Leaves the server alone for a while: this is the pace of the measurement, not waiting for something.
#[expect(clippy::disallowed_methods, reason = "the pace of the measurement")]
pub fn rest(time: Duration) {
    std::thread::sleep(time);
}
