//! Cold starts one after another without a rest, so that no pool of waiting isolates lasts.

use std::time::Instant;

use anyhow::ensure;

use crate::bench::{Bench, Outcome, alternate};
use crate::calls::{Caller, settle};
use crate::figure::Figure;
use crate::procfs;
use crate::site::{Code, Fleet, HELLO, Site, counting_source, hello_source, member};
use crate::stats::percentile_of;

/// Connections that ask at the same time.
const CONNECTIONS: usize = 2;

/// Those that host many apps.
pub fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    let (rounds, apps) = (bench.count(3, 1), bench.count(200, 60));
    let figures = vec![
        Figure::higher("starts per second of CPU time", "starts/CPU s").times_as_good_as("workerd", 3.0),
        Figure::higher("starts per second", "starts/s"),
        Figure::lower("first byte, p50", "ms"),
        Figure::lower("first byte, p99", "ms"),
    ];
    let fleets = vec![Fleet::one("hello", hello_source()), Fleet::many("cold", counting_source(), apps)];
    let site = Site { code: Code::Compiled, ..Site::of(fleets) };
    let mut outcome = alternate(rounds, &bench.platforms(), &site, figures, |_, prepared| {
        let running = prepared.start(None)?;
        settle(&running, "hello", HELLO)?;
        let (before, start) = (procfs::cpu_time(running.process.id())?, Instant::now());
        let address = &running;
        let latencies = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..CONNECTIONS)
                .map(|share| {
                    let apps = (share..apps).step_by(CONNECTIONS);
                    let mut caller = Caller::open(address)?;
                    Ok(scope.spawn(move || {
                        apps.map(|index| caller.count(&member("cold", index), 1)).collect::<anyhow::Result<Vec<f64>>>()
                    }))
                })
                .collect::<anyhow::Result<_>>()?;
            let mut all = Vec::new();
            for caller in callers {
                all.extend(caller.join().unwrap_or_else(|_| anyhow::bail!("a thread that asks panicked"))?);
            }
            anyhow::Ok(all)
        })?;
        let seconds = start.elapsed().as_secs_f64();
        let used = procfs::cpu_time(running.process.id())?.saturating_sub(before).as_secs_f64();
        ensure!(used > 0.0, "the server used no CPU time");
        let (p50, p99) = (percentile_of(&latencies, 50.0), percentile_of(&latencies, 99.0));
        Ok(vec![apps as f64 / used, apps as f64 / seconds, p50, p99])
    })?;
    outcome.notes.push(format!(
        "{apps} apps that never ran, on {CONNECTIONS} connections, one request right after another; server and client share \
         all cores. The CPU time is that of the whole process from the first request to the last answer."
    ));
    Ok(outcome)
}
