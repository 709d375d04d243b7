//! Memory of an app that has run and is idle.

use std::time::Duration;

use crate::bench::{Bench, Outcome, alternate};
use crate::calls::{Caller, settle};
use crate::figure::Figure;
use crate::procfs;
use crate::site::{Fleet, HELLO, Site, counting_source, hello_source, member};
use crate::warm::rest;

/// Those that host many apps.
pub fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    let (rounds, apps) = (bench.count(3, 1), bench.count(200, 60));
    let figures = vec![
        Figure::lower("growth by an idle app", "MiB").times_as_good_as("workerd", 1.0).times_as_good_as("workerd", 2.0),
        Figure::lower("before any app ran", "MiB"),
    ];
    let site = Site::of(vec![Fleet::one("hello", hello_source()), Fleet::many("idle", counting_source(), apps)]);
    let mut outcome = alternate(rounds, &bench.platforms(), &site, figures, |_, prepared| {
        let running = prepared.start(None)?;
        settle(&running, "hello", HELLO)?;
        let resident = || procfs::resident(running.process.id()).map(|bytes| bytes as f64 / f64::from(1 << 20));
        let before = resident()?;
        let mut caller = Caller::open(&running)?;
        for index in 0..apps {
            caller.count(&member("idle", index), 1)?;
        }
        rest(Duration::from_secs(1));
        let grown = (resident()? - before).max(0.0);
        for index in 0..apps {
            caller.count(&member("idle", index), 2)?;
        }
        Ok(vec![grown / apps as f64, before])
    })?;
    outcome.notes.push(format!(
        "Growth of the resident set from calling {apps} apps once, divided by their number; a second call to each shows that \
         it was still in memory. Before: one app has run. Atoll's process is the whole of `atoll up`."
    ));
    Ok(outcome)
}
