//! 10,000 apps deployed, 1,000 of them live: what the rest cost.

use std::time::Duration;

use anyhow::ensure;

use crate::bench::{Bench, Length, Outcome};
use crate::calls::{Caller, settle};
use crate::figure::{Figure, OURS};
use crate::peers::atoll::deploy_all;
use crate::peers::{Peer, Prepared, Running, SERVER_CORE};
use crate::procfs;
use crate::report::progress;
use crate::site::{Fleet, HELLO, Site, counting_answer, counting_source, hello_source, member};
use crate::warm::{rest, warm_text};

const CONNECTIONS: usize = 32;
/// Apps of the node that ours is compared with.
const FEW: usize = 10;

/// Ours alone: with many apps against with few.
pub fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    let length = bench.length(Length { rounds: 2, load_ms: 3_000, warmup_ms: 1_500 });
    let (lots, live) = (bench.count(10_000, 1_000), bench.count(1_000, 100));
    let few_name = format!("{OURS} with {FEW} apps");
    let live_name = format!("{OURS} with {live} of them live");
    let mut cpu = Figure::lower("warm hello, CPU time", "µs/request").times_as_good_as(&few_name, 1.0 / 1.1);
    let mut ready =
        Figure::lower("from the start of the process to serving", "ms").times_as_good_as(&few_name, 1.0 / 1.5);
    let mut resident = Figure::lower("memory, no app has run but hello", "MiB");
    let mut deployed = Figure::lower("memory by an app that is not live", "KiB");
    let mut grown = Figure::lower("memory by a live app", "MiB");
    let mut stayed = Figure::higher("apps that were live at their second call", "apps");
    let mut rate = Figure::higher("deploys", "apps/s");

    let few = bench.atoll.prepare(&site(FEW))?;
    progress(&format!("  deploying {lots} apps"));
    let (many, seconds) = deploy(bench, lots)?;
    rate.add(OURS, lots as f64 / seconds)?;
    for round in 1..=length.rounds {
        progress(&format!("  round {round} of {}", length.rounds));
        let (few_start, mib) = turn(few.as_ref(), &few_name, length, &mut cpu, &mut ready, &mut resident)?;
        drop(few_start);
        let (running, with_many) = turn(many.as_ref(), OURS, length, &mut cpu, &mut ready, &mut resident)?;
        deployed.add(OURS, ((with_many - mib) * 1024.0 / (lots - FEW) as f64).max(0.0))?;
        let before = mebibytes(&running)?;
        let kept = start_live(&running, live)?;
        stayed.add(OURS, kept as f64)?;
        grown.add(OURS, (mebibytes(&running)? - before).max(0.0) / live as f64)?;
        let warm = warm_text(&running, &running.app("hello").target(CONNECTIONS), HELLO, length)?;
        cpu.add(&live_name, warm.cpu_us_per_request)?;
    }
    let note = format!(
        "`atoll up` with {lots} apps (`atoll` in the tables) against one with {FEW}, each of the apps with code of its own; \
         {live} of the apps answer one request each, then another. Deploying all of them on eight connections, with an \
         upload and a deploy for each, and waiting until the node serves them took {seconds:.1} s. {CONNECTIONS} connections \
         for {} s, server and load generator on a core each; the node also starts on one core.",
        length.load_ms as f64 / 1e3
    );
    Ok(Outcome { figures: vec![cpu, ready, resident, deployed, grown, stayed, rate], notes: vec![note] })
}

fn site(apps: usize) -> Site {
    Site::of(vec![Fleet::one("hello", hello_source()), Fleet::many("many", counting_source(), apps)])
}

/// A data directory with so many apps, and how many seconds it took to deploy them.
fn deploy(bench: &Bench, apps: usize) -> anyhow::Result<(Box<dyn Prepared>, f64)> {
    let mut seconds = 0.0;
    let prepared = bench.atoll.prepare_with(&site(apps), |api, data, site| {
        seconds = deploy_all(api, data, site)?.as_secs_f64();
        Ok(())
    })?;
    Ok((prepared, seconds))
}

/// Starts a node, notes how long that took and its memory, and loads it.
fn turn(
    prepared: &dyn Prepared,
    name: &str,
    length: Length,
    cpu: &mut Figure,
    ready: &mut Figure,
    resident: &mut Figure,
) -> anyhow::Result<(Running, f64)> {
    let running = prepared.start(Some(SERVER_CORE))?;
    ready.add(name, running.ready.as_secs_f64() * 1e3)?;
    settle(&running, "hello", HELLO)?;
    let mib = mebibytes(&running)?;
    resident.add(name, mib)?;
    let warm = warm_text(&running, &running.app("hello").target(CONNECTIONS), HELLO, length)?;
    cpu.add(name, warm.cpu_us_per_request)?;
    Ok((running, mib))
}

/// Calls so many apps once, and again. Returns how many were still there.
fn start_live(running: &Running, live: usize) -> anyhow::Result<usize> {
    let mut caller = Caller::open(running)?;
    for index in 0..live {
        caller.count(&member("many", index), 1)?;
    }
    rest(Duration::from_secs(1));
    let mut stayed = 0;
    for index in 0..live {
        let app = member("many", index);
        let (text, _) = caller.call(&app)?;
        if text == counting_answer(&app, 2) {
            stayed += 1;
        } else {
            ensure!(text == counting_answer(&app, 1), "{app} answered {text:?}");
        }
    }
    Ok(stayed)
}

fn mebibytes(running: &Running) -> anyhow::Result<f64> {
    Ok(procfs::resident(running.process.id())? as f64 / f64::from(1 << 20))
}
