//! The first request of an app that was deployed and never ran, on a pool that has had time to fill up: on a machine that does
//! nothing else, whose processors have gone to sleep, and on one that answers other requests meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;

use crate::bench::{Bench, Outcome, alternate};
use crate::calls::{Caller, settle};
use crate::figure::Figure;
use crate::http::Connection;
use crate::peers::Place;
use crate::site::{Code, Fleet, HELLO, Site, counting_source, hello_source, member};
use crate::stats::percentile_of;
use crate::warm::rest;

/// Between two requests: time to fill the pool up again.
const PACE: Duration = Duration::from_millis(20);

/// Between an answer and the next request of the app that is called meanwhile.
const TRAFFIC_PACE: Duration = Duration::from_micros(500);

/// Those that host many apps.
pub fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    let (rounds, apps) = (bench.count(3, 1), bench.count(150, 30));
    let figures = vec![
        Figure::lower("first byte, p50", "ms").at_most(0.5).times_as_good_as("workerd", 10.0),
        Figure::lower("first byte, p99", "ms").at_most(1.0).times_as_good_as("workerd", 10.0),
        Figure::lower("the same apps again at the same pace, p50", "ms"),
        Figure::lower("first byte beside requests to another app, p50", "ms"),
        Figure::lower("first byte beside requests to another app, p99", "ms"),
    ];
    let fleets = vec![
        Fleet::one("hello", hello_source()),
        Fleet::many("cold", counting_source(), apps),
        Fleet::many("beside", counting_source(), apps),
    ];
    let site = Site { code: Code::Compiled, ..Site::of(fleets) };
    let mut outcome = alternate(rounds, &bench.platforms(), &site, figures, |_, prepared| {
        let running = prepared.start(None)?;
        settle(&running, "hello", HELLO)?;
        let mut caller = Caller::open(&running)?;
        let mut pass = |fleet: &str, call: usize| -> anyhow::Result<Vec<f64>> {
            (0..apps)
                .map(|index| {
                    rest(PACE);
                    caller.count(&member(fleet, index), call)
                })
                .collect()
        };
        let (first, again) = (pass("cold", 1)?, pass("cold", 2)?);
        let beside = beside(&running.app("hello"), || pass("beside", 1))?;
        let [p50, p99] = [50.0, 99.0].map(|p| percentile_of(&first, p));
        let [beside_p50, beside_p99] = [50.0, 99.0].map(|p| percentile_of(&beside, p));
        Ok(vec![p50, p99, percentile_of(&again, 50.0), beside_p50, beside_p99])
    })?;
    outcome.notes.push(format!(
        "{apps} apps a turn, {} ms apart, from writing the request on an open connection to the first byte of the answer. \
         Atoll compiled the apps when they were deployed, and was started anew before they are called. workerd loads them \
         through its worker loader binding, with the source at hand in the loader. Then as many other apps, while a second \
         connection asks for hello {} ms after each answer: processors that have something to do do not go to sleep, nor do \
         their caches forget.",
        PACE.as_millis(),
        TRAFFIC_PACE.as_secs_f64() * 1e3
    ));
    Ok(outcome)
}

/// What `measured` returns, while another connection asks an app for hello. An error when one of its answers is wrong.
fn beside<T>(app: &Place, measured: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| -> anyhow::Result<()> {
            let mut connection = Connection::open(app.address)?;
            while !over.load(Ordering::Relaxed) {
                rest(TRAFFIC_PACE);
                let answer = connection.request("GET", &app.host, "/", &[], b"")?;
                ensure!(
                    answer.status == 200 && answer.body == HELLO.as_bytes(),
                    "{} answered {}",
                    app.host,
                    answer.status
                );
            }
            Ok(())
        });
        let measured = measured();
        over.store(true, Ordering::Relaxed);
        traffic.join().unwrap_or_else(|_| anyhow::bail!("the thread of other requests panicked"))?;
        measured
    })
}
