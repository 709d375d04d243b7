//! Measures atoll against `workerd`, both on loopback, in one run: cold start, warm requests per second and core,
//! memory per idle app. Warm requests also against bare hyper, Deno, Bun and Node.js. `cached` measures cache hits against
//! nginx and Varnish instead.
//!
//! The peers take turns (A, B, A, B, …), each turn with fresh processes, so that a machine that gets slower in between
//! cannot favour one. Every answer is compared with what it has to be; a run with a wrong one prints no figures.

mod cached;
mod expected;
mod http;
mod load;
mod npm;
mod peers;
mod procfs;
mod report;
mod stats;
mod warm;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};

use crate::peers::atoll::Atoll;
use crate::peers::workerd::Workerd;
use crate::peers::{Peer, bare_hyper, programs, workerd};
use crate::report::Report;
use crate::warm::Plan;

/// Measures atoll against workerd, in one run, as ratios.
#[derive(Parser)]
struct Arguments {
    /// Fewer apps, fewer and shorter turns: to see that it works, not for figures.
    #[arg(long, global = true)]
    quick: bool,
    /// The atoll binary; by default the one beside this program.
    #[arg(long, global = true)]
    atoll: Option<PathBuf>,
    /// A workerd binary; by default npm's package is fetched into bench/out/npm.
    #[arg(long)]
    workerd: Option<PathBuf>,
    /// Also writes the table, the machine and the versions to this file as Markdown.
    #[arg(long, global = true, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Measures cache hits against nginx and Varnish.
    Cached,
    /// The load generator; the measurement starts it as a process of its own, pinned to a core.
    #[command(hide = true)]
    Load(load::Options),
    /// A bare hyper server; the measurement starts it as a process of its own, pinned to a core.
    #[command(hide = true)]
    BareHyper(bare_hyper::Options),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Load(options)) => load::main(&options),
        Some(Command::BareHyper(options)) => bare_hyper::main(&options),
        Some(Command::Cached) => {
            let atoll = atoll_binary(arguments.atoll.as_deref())?;
            cached::measure(atoll, arguments.quick, &out_directory()?, arguments.report.as_deref())
        }
        None => measure(&arguments),
    }
}

fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let out = out_directory()?;
    let plan = if arguments.quick { Plan::quick() } else { Plan::full() };
    let atoll = Atoll::new(atoll_binary(arguments.atoll.as_deref())?)?;
    let workerd = Workerd::new(match &arguments.workerd {
        Some(path) => path.clone(),
        None => workerd::fetch(&out.join("npm"))?,
    })?;
    let hello = programs::all(&out.join("npm"))?;
    let mut versions = vec![atoll.version(), workerd.version()];
    versions.extend(hello.iter().map(|server| server.version.clone()));
    let mut report = Report::new(&plan, versions);
    for round in 1..=plan.rounds {
        for peer in [&atoll as &dyn Peer, &workerd] {
            report::progress(&format!("round {round} of {}: {}", plan.rounds, peer.name()));
            let turn = warm::run(peer, &plan).with_context(|| format!("{}, round {round}", peer.name()))?;
            report.add(peer.name(), turn);
        }
        for server in &hello {
            report::progress(&format!("round {round} of {}: {}", plan.rounds, server.name));
            report.add_hello(server.name, warm::run_hello(server, &plan).context(server.name)?);
        }
    }
    report.print();
    let json = out.join("results.json");
    report.write_json(&json)?;
    report::progress(&format!("wrote {}", json.display()));
    if let Some(path) = &arguments.report {
        report.write_markdown(path)?;
        report::progress(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// Where results are written and peers are kept.
fn out_directory() -> anyhow::Result<PathBuf> {
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("out");
    std::fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    Ok(out)
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
