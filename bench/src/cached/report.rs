//! The table, the JSON file and the Markdown file of the cache hits.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::over::{Over, STREAMS};
use super::{Hits, Plan, SMALL, Turn, atoll};
use crate::procfs;
use crate::report::{command_line, figure};
use crate::stats::median;

/// Everything measured in one run.
#[derive(Serialize)]
pub struct Report {
    machine: String,
    command: String,
    versions: Vec<String>,
    /// A line for each cache that was not there.
    missing: Vec<String>,
    plan: Plan,
    /// The turns of each cache.
    turns: BTreeMap<&'static str, Vec<Turn>>,
}

/// A line of the table.
#[derive(Debug, Serialize)]
struct Row {
    over: Over,
    bytes: usize,
    name: &'static str,
    cpu_us: f64,
    least_cpu_us: f64,
    greatest_cpu_us: f64,
    requests_per_cpu_second: f64,
    requests_per_second: f64,
    /// CPU time as a multiple of nginx's; none without nginx.
    multiple_of_nginx: Option<f64>,
}

impl Report {
    /// An empty report.
    pub fn new(plan: &Plan, versions: Vec<String>, missing: Vec<String>) -> Self {
        let (machine, command) = (procfs::machine(), command_line());
        Self { machine, command, versions, missing, plan: plan.clone(), turns: BTreeMap::new() }
    }

    /// Adds a cache's turn.
    pub fn add(&mut self, cache: &'static str, turn: Turn) {
        self.turns.entry(cache).or_default().push(turn);
    }

    /// By protocol and size, the cheapest first.
    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for over in Over::ALL {
            for &bytes in &self.plan.sizes {
                rows.append(&mut self.rows_of(over, bytes));
            }
        }
        rows
    }

    fn rows_of(&self, over: Over, bytes: usize) -> Vec<Row> {
        let of = |turns: &[Turn], pick: fn(&Hits) -> f64| -> Vec<f64> {
            let all = turns.iter().flat_map(|turn| &turn.hits);
            all.filter(|hits| hits.over == over && hits.bytes == bytes).map(pick).collect()
        };
        let cpu = |turns: &[Turn]| of(turns, |hits| hits.cpu_us);
        let nginx = self.turns.get("nginx").map(|turns| cpu(turns)).filter(|all| !all.is_empty()).map(median);
        let row = |(&name, turns): (&&'static str, &Vec<Turn>)| {
            let all = cpu(turns);
            if all.is_empty() {
                return None;
            }
            let cpu_us = median(all.iter().copied());
            Some(Row {
                over,
                bytes,
                name,
                cpu_us,
                least_cpu_us: all.iter().copied().fold(f64::INFINITY, f64::min),
                greatest_cpu_us: all.iter().copied().fold(0.0, f64::max),
                requests_per_cpu_second: 1e6 / cpu_us,
                requests_per_second: median(of(turns, |hits| hits.requests_per_second)),
                multiple_of_nginx: nginx.map(|nginx| cpu_us / nginx),
            })
        };
        let mut rows: Vec<Row> = self.turns.iter().filter_map(row).collect();
        rows.sort_by(|a, b| a.cpu_us.total_cmp(&b.cpu_us));
        rows
    }

    /// Resident memory for each object, the least first.
    fn memory(&self) -> Vec<(&'static str, f64)> {
        let of = |turns: &[Turn]| median(turns.iter().map(|turn| turn.bytes_per_object));
        let mut all: Vec<_> = self.turns.iter().map(|(&name, turns)| (name, of(turns))).collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1));
        all
    }

    /// The table as Markdown, which is also what is printed, with a line for each cache that was not there.
    fn table(&self) -> String {
        let mut out = String::from(
            "| cache hit, one core | over | server | CPU time, µs/request | least to greatest | requests per CPU second | \
             requests/s | CPU time as a multiple of nginx's |\n|---|---|---|---:|---:|---:|---:|---:|\n",
        );
        for row in self.rows() {
            let (cpu, least, greatest) = (figure(row.cpu_us), figure(row.least_cpu_us), figure(row.greatest_cpu_us));
            let (per_cpu, rate) = (row.requests_per_cpu_second, row.requests_per_second);
            let multiple = row.multiple_of_nginx.map_or_else(|| "none".to_owned(), |multiple| format!("{multiple:.2}"));
            let (size, over, name) = (size(row.bytes), row.over.as_str(), row.name);
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "| {size} | {over} | {name} | {cpu} | {least} to {greatest} | {per_cpu:.0} | {rate:.0} | {multiple} |"
            );
        }
        let objects = self.plan.objects;
        let _ = write!(out, "\n| {objects} objects of {SMALL} bytes | memory for each, bytes |\n|---|---:|\n");
        for (name, bytes) in self.memory() {
            let _ = writeln!(out, "| {name} | {bytes:.0} |");
        }
        for line in &self.missing {
            let _ = write!(out, "\n{line}.\n");
        }
        out
    }

    /// Prints the table.
    #[allow(clippy::print_stdout, reason = "a command-line program")]
    pub fn print(&self) {
        println!("{}\n{}\n\n{}", self.machine, self.versions.join(", "), self.table());
    }

    /// Writes rows and every single measurement.
    pub fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        let json = serde_json::json!({ "rows": self.rows(), "bytes_per_object": self.memory(), "run": self });
        std::fs::write(path, serde_json::to_string_pretty(&json)?).with_context(|| path.display().to_string())
    }

    /// Writes the table with what is needed to repeat it.
    pub fn write_markdown(&self, path: &Path) -> anyhow::Result<()> {
        let Plan { rounds, connections, load_ms, .. } = self.plan;
        let text = format!(
            "# Cache hits\n\n{table}\nWritten by\n`{command}`.\n\n\
             - Machine: {machine}\n- Versions: {versions}\n\
             - {rounds} turns of each, alternating, fresh processes each time. Without TLS every answer checked: all of its bytes, and that\n  \
             it says it is a hit (`Cache-Status`, `X-Cache`, `X-Varnish`).\n\
             - {connections} requests under way for {seconds} s for each size, server and load generator on a core each: over\n  \
             HTTP/1.1 each on a connection of its own, over HTTP/2 {STREAMS} on each. CPU time: user and system, of the server's\n  \
             process and its children. The load with TLS is h2load's, which looks at statuses; the first answers are checked\n  \
             whole. TLS 1.3, the same certificate. Varnish does not speak TLS.\n\
             - Memory: growth of the resident memory of all processes, for each object after the first tenth. nginx keeps bodies\n  \
             in files, whose pages in the kernel's cache do not count.\n\
             - Atoll: the process of an edge node, with a disk cache of {disk} MiB, where bodies over 8 MiB are kept; smaller\n  \
             ones are in memory. The objects come from an app.\n\
             - nginx: one process, `proxy_cache`, files by `sendfile`, with `open_file_cache`, no access log.\n\
             - Varnish: memory storage, one thread pool, no VCL but the origin.\n",
            table = self.table(),
            command = self.command,
            machine = self.machine,
            versions = self.versions.join(", "),
            seconds = load_ms as f64 / 1000.0,
            disk = atoll::DISK_MB,
        );
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }
}

/// Bytes for people.
fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}
