//! The table, the JSON file and the Markdown file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::procfs;
use crate::stats::{median, percentile};
use crate::warm::{Plan, Turn, Warm};

/// Everything measured in one run.
#[derive(Serialize)]
pub struct Report {
    machine: String,
    command: String,
    versions: Vec<String>,
    plan: Plan,
    turns: BTreeMap<&'static str, Vec<Turn>>,
    hello: BTreeMap<&'static str, Vec<Warm>>,
}

/// A line of the table.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    name: &'static str,
    unit: &'static str,
    atoll: f64,
    workerd: f64,
    /// How many times better atoll is; below 1, worse.
    ratio: f64,
}

/// A line of the table of warm figures.
#[derive(Debug, Serialize)]
struct WarmRow {
    name: &'static str,
    requests_per_second: f64,
    cpu_us: f64,
    least_cpu_us: f64,
    greatest_cpu_us: f64,
}

#[derive(Clone, Copy)]
enum Better {
    Lower,
    Higher,
}

/// Says on standard error what is going on.
#[allow(clippy::print_stderr, reason = "a command-line program")]
pub fn progress(text: &str) {
    eprintln!("{text}");
}

impl Report {
    /// An empty report.
    pub fn new(plan: &Plan, versions: Vec<String>) -> Self {
        let (machine, command) = (procfs::machine(), command_line());
        Self { machine, command, versions, plan: plan.clone(), turns: BTreeMap::new(), hello: BTreeMap::new() }
    }

    /// Adds a peer's turn.
    pub fn add(&mut self, peer: &'static str, turn: Turn) {
        self.turns.entry(peer).or_default().push(turn);
    }

    /// Adds a turn of a server that can only be warm.
    pub fn add_hello(&mut self, server: &'static str, warm: Warm) {
        self.hello.entry(server).or_default().push(warm);
    }

    /// The warm figures of everybody: name, requests per second, CPU time per request and its least and greatest.
    fn warm_rows(&self) -> Vec<WarmRow> {
        let turns = self.turns.iter().map(|(name, turns)| (*name, turns.iter().map(|turn| &turn.warm).collect()));
        let hello = self.hello.iter().map(|(name, turns)| (*name, turns.iter().collect::<Vec<_>>()));
        let row = |(name, turns): (&'static str, Vec<&Warm>)| {
            let cpu: Vec<f64> = turns.iter().map(|warm| warm.cpu_us_per_request).collect();
            WarmRow {
                name,
                requests_per_second: median(turns.iter().map(|warm| warm.requests_per_second)),
                cpu_us: median(cpu.iter().copied()),
                least_cpu_us: cpu.iter().copied().fold(f64::INFINITY, f64::min),
                greatest_cpu_us: cpu.iter().copied().fold(0.0, f64::max),
            }
        };
        let mut rows: Vec<WarmRow> = turns.chain(hello).map(row).collect();
        rows.sort_by(|a, b| a.cpu_us.total_cmp(&b.cpu_us));
        rows
    }

    /// The warm figures as Markdown.
    fn warm_table(&self) -> String {
        let rows = self.warm_rows();
        let atoll = rows.iter().find(|row| row.name == "atoll").map_or(f64::NAN, |row| row.cpu_us);
        let mut out = String::from(
            "| warm hello, one core | CPU time, µs/request | least to greatest | requests/s | CPU time as a multiple of atoll's |\n\
             |---|---:|---:|---:|---:|\n",
        );
        for row in rows {
            let (cpu, least, greatest) = (figure(row.cpu_us), figure(row.least_cpu_us), figure(row.greatest_cpu_us));
            let (rate, ratio) = (row.requests_per_second, row.cpu_us / atoll);
            // Writing to a string cannot fail.
            let _ = writeln!(out, "| {} | {cpu} | {least} to {greatest} | {rate:.0} | {ratio:.2} |", row.name);
        }
        out
    }

    fn rows(&self) -> Vec<Row> {
        let all = |peer: &str, pick: fn(&Turn) -> &Vec<f64>, p: f64| {
            let mut values: Vec<f64> = self.turns[peer].iter().flat_map(|turn| pick(turn).iter().copied()).collect();
            values.sort_by(f64::total_cmp);
            percentile(&values, p)
        };
        let mid = |peer: &str, pick: fn(&Turn) -> f64| median(self.turns[peer].iter().map(pick));
        let row = |name, unit, better, value: &dyn Fn(&str) -> f64| {
            let (atoll, workerd) = (value("atoll"), value("workerd"));
            let ratio = match better {
                Better::Lower => workerd / atoll,
                Better::Higher => atoll / workerd,
            };
            Row { name, unit, atoll, workerd, ratio }
        };
        let mib = |bytes: f64| bytes / f64::from(1 << 20);
        vec![
            row("cold start, first byte, p50", "ms", Better::Lower, &|p| all(p, |t| &t.cold_us, 50.0) / 1e3),
            row("cold start, first byte, p99", "ms", Better::Lower, &|p| all(p, |t| &t.cold_us, 99.0) / 1e3),
            row("running app asked at the same pace, p50", "ms", Better::Lower, &|p| {
                all(p, |t| &t.running_us, 50.0) / 1e3
            }),
            row("cold start without a rest between, p50", "ms", Better::Lower, &|p| {
                all(p, |t| &t.burst_us, 50.0) / 1e3
            }),
            row("cold start without a rest between, p99", "ms", Better::Lower, &|p| {
                all(p, |t| &t.burst_us, 99.0) / 1e3
            }),
            row("warm hello, server on one core", "requests/s", Better::Higher, &|p| {
                mid(p, |t| t.warm.requests_per_second)
            }),
            row("warm hello, CPU time of the server", "µs/request", Better::Lower, &|p| {
                mid(p, |t| t.warm.cpu_us_per_request)
            }),
            row("warm hello, latency under that load, p50", "ms", Better::Lower, &|p| mid(p, |t| t.warm.p50_us) / 1e3),
            row("warm hello, latency under that load, p99", "ms", Better::Lower, &|p| mid(p, |t| t.warm.p99_us) / 1e3),
            row("memory per idle app", "MiB", Better::Lower, &|p| mib(mid(p, |t| t.bytes_per_app))),
            row("memory before any app ran", "MiB", Better::Lower, &|p| mib(mid(p, |t| t.base_bytes as f64))),
        ]
    }

    /// The table as Markdown, which is also what is printed.
    fn table(&self) -> String {
        let width = 42;
        let mut out = format!("| {:width$} | {:>10} | {:>10} | {:>6} | unit\n", "measure", "atoll", "workerd", "ratio");
        out.push_str("|---|---:|---:|---:|---\n");
        for row in self.rows() {
            let (atoll, workerd) = (figure(row.atoll), figure(row.workerd));
            let line =
                format!("| {:width$} | {atoll:>10} | {workerd:>10} | {:>6.2} | {}", row.name, row.ratio, row.unit);
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{line}");
        }
        out
    }

    /// Prints the table.
    #[allow(clippy::print_stdout, reason = "a command-line program")]
    pub fn print(&self) {
        println!("{}\n{}\n", self.machine, self.versions.join(", "));
        println!("{}\n{}", self.table(), self.warm_table());
        println!("ratio: how many times better atoll is; below 1, worse");
    }

    /// Writes rows and every single measurement.
    pub fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        let json = serde_json::json!({ "rows": self.rows(), "warm": self.warm_rows(), "run": self });
        std::fs::write(path, serde_json::to_string_pretty(&json)?).with_context(|| path.display().to_string())
    }

    /// Writes the table with what is needed to repeat it.
    pub fn write_markdown(&self, path: &Path) -> anyhow::Result<()> {
        let Plan { rounds, paced_apps, burst_apps, pace_ms, connections, load_ms, .. } = self.plan;
        let text = format!(
            "# Results\n\n{table}\n{warm}\nRatio: how many times better atoll is; below 1, worse. Written by\n`{command}`.\n\n\
             - Machine: {machine}\n- Versions: {versions}\n\
             - {rounds} turns of each, alternating, fresh processes each time; every answer checked.\n\
             - Cold start: the app was deployed and never ran; from writing the request on an open connection to the\n  \
             first byte of the answer. {paced_apps} apps a turn with {pace_ms} ms between them, then {burst_apps} without a rest.\n  \
             workerd loads the apps through its worker loader binding, with the source at hand in the loader.\n\
             - Warm: {connections} connections for {seconds} s, server and load generator on a core each. workerd's app is a\n  \
             service of its own there, not behind the loader. Atoll's process is the whole of `atoll up`, control plane included.\n\
             - Memory per idle app: growth of the resident set from calling {apps} apps once, divided by their number; a\n  \
             second call to each shows that it was still in memory.\n",
            table = self.table(),
            warm = self.warm_table(),
            command = self.command,
            machine = self.machine,
            versions = self.versions.join(", "),
            seconds = load_ms / 1000,
            apps = paced_apps + burst_apps,
        );
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }
}

/// How to start this program the same way again.
pub fn command_line() -> String {
    let flags: Vec<String> = std::env::args().skip(1).collect();
    let command = format!("cargo run --release -p atoll-bench -- {}", flags.join(" "));
    command.trim_end_matches([' ', '-']).to_owned()
}

/// Three significant digits.
pub fn figure(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
