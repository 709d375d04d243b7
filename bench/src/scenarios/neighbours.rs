//! A light app while another app burns CPU time on every core.

use std::time::Duration;

use crate::bench::{Bench, Outcome, alternate};
use crate::exchange::Exchange;
use crate::figure::Figure;
use crate::peers::Place;
use crate::site::{Fleet, HELLO, Site, hello_source};
use crate::stats::percentile_of;
use crate::warm::rest;
use crate::{load, probe};

/// Between an answer and the next request of the light app.
const PACE: Duration = Duration::from_millis(4);

/// Numbers that a busy request sorts: about ten milliseconds, the same before and after the code is optimised.
const NUMBERS: u64 = 150_000;
/// The remainders among which they are.
const MODULUS: u64 = 100_003;

/// Requests of the busy app at once, for each core.
const BUSY_PER_CORE: usize = 4;

/// Those that host many apps.
pub fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    let rounds = bench.count(3, 1);
    let time = Duration::from_millis(if bench.quick { 1_500 } else { 4_000 });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let figures = vec![
        Figure::lower("p99 beside a busy app as a multiple of the quiet p99", "times").at_most(2.0),
        Figure::lower("p99, quiet", "ms"),
        Figure::lower("p99 beside a busy app", "ms"),
        Figure::lower("p50, quiet", "ms"),
        Figure::lower("p50 beside a busy app", "ms"),
    ];
    let site = Site::of(vec![Fleet::one("light", hello_source()), Fleet::one("busy", busy_source())]);
    let mut outcome = alternate(rounds, &bench.platforms(), &site, figures, |_, prepared| {
        let running = prepared.start(None)?;
        let (light, busy) = (running.app("light"), running.app("busy"));
        probe::run(&light, time / 4, PACE, HELLO)?;
        let quiet = probe::run(&light, time, PACE, HELLO)?;
        let beside = std::thread::scope(|scope| {
            let load = scope.spawn(|| burn(&busy, time + Duration::from_secs(1), cores * BUSY_PER_CORE));
            // The busy app has all its isolates by then.
            rest(Duration::from_millis(700));
            let beside = probe::run(&light, time, PACE, HELLO);
            load.join().unwrap_or_else(|_| anyhow::bail!("the thread of the load panicked"))?;
            beside
        })?;
        let [quiet_p50, quiet_p99] = [50.0, 99.0].map(|p| percentile_of(&quiet, p));
        let [p50, p99] = [50.0, 99.0].map(|p| percentile_of(&beside, p));
        Ok(vec![p99 / quiet_p99, quiet_p99, p99, quiet_p50, p50])
    })?;
    outcome.notes.push(format!(
        "A request of the light app (hello) {} ms after the last answer for {} s, first byte; first alone, then while {} \
         requests of the other app at once each take about ten milliseconds of CPU time. The server has all {cores} cores; \
         clients share them.",
        PACE.as_millis(),
        time.as_secs_f64(),
        cores * BUSY_PER_CORE
    ));
    Ok(outcome)
}

fn busy_source() -> String {
    format!(
        "const numbers = Float64Array.from({{ length: {NUMBERS} }}, (_, index) => (index * 7919) % {MODULUS});\n\
         export default {{ fetch() {{\n  const sorted = numbers.slice().sort();\n  \
         return new Response(`${{sorted[0]}} ${{sorted[{}]}}\\n`);\n}} }};\n",
        NUMBERS / 2
    )
}

/// What a busy request answers.
fn busy_answer() -> String {
    let mut sorted: Vec<u64> = (0..NUMBERS).map(|index| index * 7919 % MODULUS).collect();
    sorted.sort_unstable();
    format!("{} {}\n", sorted[0], sorted[sorted.len() / 2])
}

fn burn(busy: &Place, time: Duration, connections: usize) -> anyhow::Result<()> {
    load::run_script(&busy.target(connections), time, &[Exchange::get(&busy.host, "/", &busy_answer())])?;
    Ok(())
}
