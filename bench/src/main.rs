//! Measures atoll against what people would use instead, on loopback: a scenario each for what a platform is chosen by, in
//! [`scenarios`]. The peers ([`peers`]) come from npm and Debian.
//!
//! The servers take turns (A, B, A, B, …), each turn with fresh processes, so that a machine that gets slower in between
//! cannot favour one. Every answer is compared with what it has to be; a scenario with a wrong one prints no figures.

mod apps;
mod bench;
mod body;
mod cached;
mod calls;
mod exchange;
mod expected;
mod figure;
mod http;
mod load;
mod npm;
mod peers;
mod plot;
mod probe;
mod procfs;
mod report;
mod results;
mod scenarios;
mod site;
mod stats;
mod warm;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::{Parser, Subcommand};

use crate::bench::Bench;
use crate::peers::bare_hyper;
use crate::report::progress;
use crate::results::Results;
use crate::scenarios::Scenario;

/// Measures atoll against what people would use instead, as ratios. A full run writes bench/RESULTS.md, bench/results.json
/// and bench/plots; a quick one writes the same into bench/out.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Fewer and shorter turns: to see that it works, not for figures.
    #[arg(long)]
    quick: bool,
    /// The atoll binary; by default the one beside this program.
    #[arg(long)]
    atoll: Option<PathBuf>,
    /// What `cargo xtask dist` has built, to be measured beside it.
    #[arg(long, value_name = "FILE")]
    dist: Option<PathBuf>,
    /// A workerd binary; by default npm's package is fetched into bench/out/npm.
    #[arg(long)]
    workerd: Option<PathBuf>,
    /// Writes the Markdown file here, the JSON file and the plots beside it.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// What to measure; by default all but `cached`. Results of the others stay as they were measured last.
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<Scenario>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Processes that a measurement starts.
#[derive(Subcommand)]
enum Command {
    /// The load generator, pinned to a core.
    #[command(hide = true)]
    Load(load::Options),
    /// Requests at a pace, beside a load.
    #[command(hide = true)]
    Probe(probe::Options),
    /// A bare hyper server, pinned to a core.
    #[command(hide = true)]
    BareHyper,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Load(options)) => load::main(&options),
        Some(Command::Probe(options)) => probe::main(&options),
        Some(Command::BareHyper) => bare_hyper::main(),
        None => measure(arguments),
    }
}

fn measure(arguments: Arguments) -> anyhow::Result<()> {
    let out = folder("out")?;
    let Arguments { quick, report, mut scenarios, .. } = arguments;
    let atoll = atoll_binary(arguments.atoll.as_deref())?;
    if scenarios.contains(&Scenario::Cached) {
        ensure!(scenarios == [Scenario::Cached], "`cached` has a report of its own: name it alone");
        let report = if quick { report } else { report.or(Some(folder("")?.join("CACHE.md"))) };
        return cached::measure(atoll, quick, &out, report.as_deref());
    }
    if scenarios.is_empty() {
        scenarios.extend(Scenario::ALL);
    }
    scenarios.sort_unstable();
    scenarios.dedup();
    let report = match report {
        Some(report) => report,
        None => if quick { folder("out/quick")? } else { folder("")? }.join("RESULTS.md"),
    };
    let json = report.with_file_name("results.json");
    let mut results = Results::read(&json)?;
    let bench = Bench::new(quick, out, atoll, arguments.dist, arguments.workerd)?;
    let mut failed = Vec::new();
    for scenario in scenarios {
        progress(scenario.as_str());
        let (start, since) = (Instant::now(), procfs::Since::now());
        let outcome = match scenario.measure(&bench) {
            Ok(outcome) => outcome,
            Err(error) => {
                progress(&format!("  no figures: {error:#}"));
                failed.push(scenario.as_str());
                continue;
            }
        };
        results.put(scenario, &bench, since.share_of_others(), outcome);
        report::print(scenario, &results.scenarios[scenario.as_str()]);
        // A later scenario may not come to its end; what was measured until then is kept.
        results.write(&json)?;
        report::write(&results, &report)?;
        progress(&format!("  {} took {:.0} s", scenario.as_str(), start.elapsed().as_secs_f64()));
    }
    progress(&format!("wrote {}", report.display()));
    ensure!(failed.is_empty(), "no figures of {}; what they measured before stays in the report", failed.join(", "));
    Ok(())
}

/// A folder below this package's, made when it is not there.
fn folder(name: &str) -> anyhow::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// The binary to measure: the one named, or the one that was built with the same profile.
fn atoll_binary(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        return path.canonicalize().with_context(|| format!("there is no atoll binary at {}", path.display()));
    }
    let own = std::env::current_exe().context("cannot find this program's own path")?;
    let beside = own.with_file_name("atoll");
    if !beside.exists() {
        bail!(
            "there is no atoll binary at {}; build it with `cargo build --release -p atoll` or name one with --atoll",
            beside.display()
        );
    }
    Ok(beside)
}
