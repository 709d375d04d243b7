//! What people read: progress, tables, and the Markdown file.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;

pub use crate::figure::digits as figure;
use crate::figure::{Figure, OURS};
use crate::plot;
use crate::results::{Measured, Results};
use crate::scenarios::Scenario;

/// Says on standard error what is going on.
#[allow(clippy::print_stderr, reason = "a command-line program")]
pub fn progress(text: &str) {
    eprintln!("{text}");
}

/// How to start this program the same way again.
pub fn command_line() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Where a binary lies says nothing to others.
    let mut kept = Vec::new();
    let mut words = arguments.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--atoll" | "--workerd" => drop(words.next()),
            _ => kept.push(word),
        }
    }
    let command = format!("cargo xtask bench {}", kept.join(" "));
    command.trim_end().to_owned()
}

/// Prints a scenario's tables.
#[allow(clippy::print_stdout, reason = "a command-line program")]
pub fn print(scenario: Scenario, measured: &Measured) {
    println!("\n{}\n\n{}", scenario.title(), tables(&measured.figures));
    for figure in &measured.figures {
        for verdict in figure.verdicts() {
            println!("{}: {}: {} ({})", figure.name, verdict.aim, reached(verdict.reached), verdict.measured);
        }
    }
}

/// Writes the Markdown file, and a plot for each scenario into `plots` beside it.
pub fn write(results: &Results, path: &Path) -> anyhow::Result<()> {
    let plots = path.with_file_name("plots");
    std::fs::create_dir_all(&plots).with_context(|| plots.display().to_string())?;
    for (scenario, measured) in results.in_order() {
        let file = plots.join(format!("{}.svg", scenario.as_str()));
        let svg = plot::svg(scenario.title(), &measured.figures);
        std::fs::write(&file, svg).with_context(|| file.display().to_string())?;
    }
    std::fs::write(path, markdown(results)).with_context(|| path.display().to_string())
}

fn markdown(results: &Results) -> String {
    let mut out = String::from(
        "# Results\n\nWritten by `cargo xtask bench`, which measures each scenario in one run: the servers take turns (A, B, A, B, \
         …), each turn\nwith fresh processes, and every answer is checked; a scenario with a wrong answer of ours has no \
         figures. A figure is the\nmedian of the turns, beside it the least and the greatest. `cargo xtask bench SCENARIO` \
         measures one anew. What was tried\nis in [TRIED.md](TRIED.md), cache hits are in [CACHE.md](CACHE.md), every turn \
         of every server in `results.json`.\n\n## Targets\n\n\
         | Scenario | Measure | Target | Measured | |\n|---|---|---|---|---|\n",
    );
    // Writing to a string cannot fail.
    for (scenario, measured) in results.in_order() {
        for figure in &measured.figures {
            for verdict in figure.verdicts() {
                let title = scenario.title();
                let (aim, reached) = (&verdict.aim, reached(verdict.reached));
                let _ = writeln!(out, "| {title} | {} | {aim} | {} | {reached} |", figure.name, verdict.measured);
            }
        }
    }
    for (scenario, measured) in results.in_order() {
        let (title, name) = (scenario.title(), scenario.as_str());
        let _ = write!(out, "\n## {title}\n\n{}", tables(&measured.figures));
        let _ = write!(out, "\n![{title}](plots/{name}.svg)\n\n");
        for note in &measured.notes {
            let _ = writeln!(out, "- {note}");
        }
        let turns = measured.figures.iter().flat_map(|figure| figure.turns.values()).map(Vec::len).max().unwrap_or(0);
        let quick = if measured.quick { ", quick: not for figures" } else { "" };
        let _ = writeln!(
            out,
            "- {turns} turns of each{quick}, measured at commit {} by `{}`.\n- {}, of which other processes took {:.0} % meanwhile. {}.",
            measured.commit,
            measured.command,
            measured.machine,
            measured.others * 100.0,
            measured.versions.join(", ")
        );
    }
    out
}

/// A table of all figures of which several servers have one; one table for each figure would be long.
fn tables(figures: &[Figure]) -> String {
    let mut out = String::from(
        "| Measure | Server | Median | Least to greatest | Atoll is so many times as good |\n|---|---|---:|---:|---:|\n",
    );
    for figure in figures {
        for server in figure.ranking() {
            let (Some(median), Some((least, greatest))) = (figure.median(server), figure.spread(server)) else {
                continue;
            };
            let times = if server == OURS { None } else { figure.times_as_good(server) };
            let times = times.map_or_else(String::new, |times| format!("{times:.2}"));
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "| {} | {server} | {} {} | {} to {} | {times} |",
                figure.name,
                self::figure(median),
                figure.unit,
                self::figure(least),
                self::figure(greatest)
            );
        }
    }
    out
}

fn reached(reached: Option<bool>) -> &'static str {
    match reached {
        Some(true) => "reached",
        Some(false) => "missed",
        None => "not compared",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_has_a_table_and_its_targets() {
        let mut figure = Figure::lower("CPU time", "µs/request").times_as_good_as("workerd", 5.0);
        for (server, value) in [("atoll", 10.0), ("atoll", 12.0), ("atoll", 11.0), ("workerd", 44.0)] {
            figure.add(server, value).unwrap();
        }
        let measured = Measured {
            commit: "abc".into(),
            command: "cargo xtask bench hello".into(),
            machine: "a machine".into(),
            versions: vec!["atoll 1".into()],
            quick: false,
            others: 0.0,
            figures: vec![figure],
            notes: vec!["A note.".into()],
        };
        let text = markdown(&Results { scenarios: [("hello".to_owned(), measured)].into() });
        assert!(text.contains("| CPU time | atoll | 11.0 µs/request | 10.0 to 12.0 |  |"), "{text}");
        assert!(text.contains("| CPU time | workerd | 44.0 µs/request | 44.0 to 44.0 | 4.00 |"), "{text}");
        assert!(text.contains("| 4.00 times as good as workerd | missed |"), "{text}");
        assert!(text.contains("- A note.\n- 3 turns of each, measured at commit abc"), "{text}");
    }
}
