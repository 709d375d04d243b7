//! The table, the JSON file and the Markdown file of the cache hits.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::{Plan, atoll};
use crate::procfs;
use crate::report::{command_line, figure};
use crate::stats::median;
use crate::warm::Warm;

/// Everything measured in one run.
#[derive(Serialize)]
pub struct Report {
    machine: String,
    command: String,
    versions: Vec<String>,
    /// A line for each cache that was not there.
    missing: Vec<String>,
    plan: Plan,
    /// The turns of each cache, each with a measurement for each size.
    turns: BTreeMap<&'static str, Vec<Vec<Warm>>>,
}

/// A line of the table.
#[derive(Debug, Serialize)]
struct Row {
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
    pub fn add(&mut self, cache: &'static str, turn: Vec<Warm>) {
        self.turns.entry(cache).or_default().push(turn);
    }

    /// By size, the cheapest first.
    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (index, &bytes) in self.plan.sizes.iter().enumerate() {
            let of_size = |turns: &[Vec<Warm>], pick: fn(&Warm) -> f64| -> Vec<f64> {
                turns.iter().map(|turn| pick(&turn[index])).collect()
            };
            let cpu = |turns: &[Vec<Warm>]| of_size(turns, |warm| warm.cpu_us_per_request);
            let nginx = self.turns.get("nginx").map(|turns| median(cpu(turns)));
            let mut of_this: Vec<Row> = self
                .turns
                .iter()
                .map(|(&name, turns)| {
                    let all = cpu(turns);
                    let cpu_us = median(all.iter().copied());
                    Row {
                        bytes,
                        name,
                        cpu_us,
                        least_cpu_us: all.iter().copied().fold(f64::INFINITY, f64::min),
                        greatest_cpu_us: all.iter().copied().fold(0.0, f64::max),
                        requests_per_cpu_second: 1e6 / cpu_us,
                        requests_per_second: median(of_size(turns, |warm| warm.requests_per_second)),
                        multiple_of_nginx: nginx.map(|nginx| cpu_us / nginx),
                    }
                })
                .collect();
            of_this.sort_by(|a, b| a.cpu_us.total_cmp(&b.cpu_us));
            rows.append(&mut of_this);
        }
        rows
    }

    /// The table as Markdown, which is also what is printed, with a line for each cache that was not there.
    fn table(&self) -> String {
        let mut out = String::from(
            "| cache hit, one core | server | CPU time, µs/request | least to greatest | requests per CPU second | \
             requests/s | CPU time as a multiple of nginx's |\n|---|---|---:|---:|---:|---:|---:|\n",
        );
        for row in self.rows() {
            let (cpu, least, greatest) = (figure(row.cpu_us), figure(row.least_cpu_us), figure(row.greatest_cpu_us));
            let (per_cpu, rate) = (row.requests_per_cpu_second, row.requests_per_second);
            let multiple = row.multiple_of_nginx.map_or_else(|| "none".to_owned(), |multiple| format!("{multiple:.2}"));
            let (size, name) = (size(row.bytes), row.name);
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "| {size} | {name} | {cpu} | {least} to {greatest} | {per_cpu:.0} | {rate:.0} | {multiple} |"
            );
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
        let json = serde_json::json!({ "rows": self.rows(), "run": self });
        std::fs::write(path, serde_json::to_string_pretty(&json)?).with_context(|| path.display().to_string())
    }

    /// Writes the table with what is needed to repeat it.
    pub fn write_markdown(&self, path: &Path) -> anyhow::Result<()> {
        let Plan { rounds, connections, load_ms, .. } = self.plan;
        let text = format!(
            "# Cache hits\n\n{table}\nWritten by\n`{command}`.\n\n\
             - Machine: {machine}\n- Versions: {versions}\n\
             - {rounds} turns of each, alternating, fresh processes each time. Every answer checked: all of its bytes, and that\n  \
             it says it is a hit (`Cache-Status`, `X-Cache`, `X-Varnish`).\n\
             - {connections} connections for {seconds} s for each size, HTTP/1.1 without TLS, server and load generator on a core\n  \
             each. CPU time: user and system, of the server's process and its children.\n\
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
