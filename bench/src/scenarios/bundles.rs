//! The first request of larger apps: Hono with its middleware (about 100 KB) and a page rendered with React (about 1 MB).

use std::time::Duration;

use crate::apps;
use crate::bench::{Bench, Outcome, alternate};
use crate::calls::{Caller, settle};
use crate::figure::{Figure, OURS};
use crate::peers::Peer;
use crate::site::{Code, Fleet, HELLO, Site, hello_source, member};
use crate::stats::percentile_of;
use crate::warm::rest;

/// Between two requests: time to fill the pool up again.
const PACE: Duration = Duration::from_millis(50);

/// Fleet, what it is, and the target of the median, milliseconds.
const KINDS: [(&str, &str, f64); 2] = [("hono", "Hono, 100 KB", 1.0), ("ssr", "React SSR, 1 MB", 3.0)];

/// Those that host many apps. The apps have never run; then, for ours, the same once more after each has answered requests
/// and the node was started anew.
pub fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    let (rounds, apps) = (bench.count(3, 1), bench.count(30, 8));
    let mut fleets = vec![Fleet::one("hello", hello_source())];
    for (fleet, ..) in KINDS {
        fleets.push(Fleet::many(fleet, apps::bundle(&bench.out, fleet)?, apps));
    }
    let mut turn = |_: &dyn Peer, prepared: &dyn crate::peers::Prepared| {
        let running = prepared.start(None)?;
        settle(&running, "hello", HELLO)?;
        let mut caller = Caller::open(&running)?;
        let mut values = Vec::new();
        for (fleet, ..) in KINDS {
            let mut pass = |call: usize| -> anyhow::Result<Vec<f64>> {
                (0..apps)
                    .map(|index| {
                        rest(PACE);
                        caller.count(&member(fleet, index), call)
                    })
                    .collect()
            };
            let (first, again) = (pass(1)?, pass(2)?);
            values.extend([percentile_of(&first, 50.0), percentile_of(&first, 99.0), percentile_of(&again, 50.0)]);
        }
        Ok(values)
    };
    let figures = KINDS.into_iter().flat_map(|(_, what, _)| {
        ["first byte, p50", "first byte, p99", "second request, p50"]
            .map(|p| Figure::lower(format!("{what}: {p}"), "ms"))
    });
    let never = Site { code: Code::Compiled, ..Site::of(fleets) };
    let mut outcome = alternate(rounds, &bench.platforms(), &never, figures.collect(), &mut turn)?;
    let figures = KINDS.into_iter().flat_map(|(_, what, most)| {
        let name = |p: &str| format!("{what}, code on disk has what requests call: {p}");
        [
            Figure::lower(name("first byte, p50"), "ms").at_most(most),
            Figure::lower(name("first byte, p99"), "ms"),
            Figure::lower(name("second request, p50"), "ms"),
        ]
    });
    let used = Site { code: Code::Used, ..never };
    let again = alternate(rounds, &[&bench.atoll as &dyn Peer], &used, figures.collect(), &mut turn)?;
    outcome.figures.extend(again.figures);
    outcome.notes.push(format!(
        "{apps} apps of each kind a turn, {} ms apart; `bench/apps/hono.js` and `bench/apps/ssr.js`, put together by esbuild. \
         The node compiled them when they were deployed, and was started anew before they are called. \"What requests call\": \
         each app had answered a few requests before the node was started anew; only {OURS} keeps code.",
        PACE.as_millis()
    ));
    Ok(outcome)
}
