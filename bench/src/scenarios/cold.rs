//! The first request of an app that was deployed and never ran, on a pool that has had time to fill up.

use std::time::Duration;

use crate::bench::{Bench, Outcome, alternate};
use crate::calls::{Caller, settle};
use crate::figure::Figure;
use crate::site::{Code, Fleet, HELLO, Site, counting_source, hello_source, member};
use crate::stats::percentile_of;
use crate::warm::rest;

/// Between two requests: time to fill the pool up again.
const PACE: Duration = Duration::from_millis(20);

/// Those that host many apps.
pub fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    let (rounds, apps) = (bench.count(3, 1), bench.count(150, 30));
    let figures = vec![
        Figure::lower("first byte, p50", "ms").at_most(0.5).times_as_good_as("workerd", 10.0),
        Figure::lower("first byte, p99", "ms").at_most(1.0).times_as_good_as("workerd", 10.0),
        Figure::lower("the same apps again at the same pace, p50", "ms"),
    ];
    let fleets = vec![Fleet::one("hello", hello_source()), Fleet::many("cold", counting_source(), apps)];
    let site = Site { code: Code::Compiled, ..Site::of(fleets) };
    let mut outcome = alternate(rounds, &bench.platforms(), &site, figures, |_, prepared| {
        let running = prepared.start(None)?;
        settle(&running, "hello", HELLO)?;
        let mut caller = Caller::open(&running)?;
        let mut pass = |call: usize| -> anyhow::Result<Vec<f64>> {
            (0..apps)
                .map(|index| {
                    rest(PACE);
                    caller.count(&member("cold", index), call)
                })
                .collect()
        };
        let (first, again) = (pass(1)?, pass(2)?);
        Ok(vec![percentile_of(&first, 50.0), percentile_of(&first, 99.0), percentile_of(&again, 50.0)])
    })?;
    outcome.notes.push(format!(
        "{apps} apps a turn, {} ms apart, from writing the request on an open connection to the first byte of the answer. \
         Atoll compiled the apps when they were deployed, and was started anew before they are called. workerd loads them \
         through its worker loader binding, with the source at hand in the loader.",
        PACE.as_millis()
    ));
    Ok(outcome)
}
