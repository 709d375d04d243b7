//! The results of all scenarios in one JSON file, each as it was measured last.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::bench::{Bench, Outcome};
use crate::figure::Figure;
use crate::procfs;
use crate::report::command_line;
use crate::scenarios::Scenario;

/// What is known of every scenario, by its name.
#[derive(Default, Serialize, Deserialize)]
pub struct Results {
    /// The scenarios.
    pub scenarios: BTreeMap<String, Measured>,
}

/// A scenario as it was measured last.
#[derive(Serialize, Deserialize)]
pub struct Measured {
    /// The commit of the checkout that atoll was built from.
    pub commit: String,
    /// How to measure it again.
    pub command: String,
    /// Where it was measured.
    pub machine: String,
    /// What the servers are.
    pub versions: Vec<String>,
    /// Whether the turns were few and short.
    pub quick: bool,
    /// The part of all cores that other processes took meanwhile, 0 to 1.
    pub others: f64,
    /// The figures.
    pub figures: Vec<Figure>,
    /// How it was measured.
    pub notes: Vec<String>,
}

impl Results {
    /// Reads the file; without one there are no results.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        match std::fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| {
                format!("{} is not what this program writes; delete it to begin anew", path.display())
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }

    /// Puts what a scenario measured in the place of what it measured before.
    pub fn put(&mut self, scenario: Scenario, bench: &Bench, others: f64, outcome: Outcome) {
        let Outcome { figures, notes } = outcome;
        let measured = Measured {
            commit: commit(bench.atoll.binary()),
            command: command_line(),
            machine: procfs::machine(),
            versions: bench.versions(),
            quick: bench.quick,
            others,
            figures,
            notes,
        };
        self.scenarios.insert(scenario.as_str().to_owned(), measured);
    }

    /// What is known, in the order of the report.
    pub fn in_order(&self) -> impl Iterator<Item = (Scenario, &Measured)> {
        Scenario::ALL.into_iter().filter_map(|scenario| Some((scenario, self.scenarios.get(scenario.as_str())?)))
    }
}

/// The commit of the checkout in whose target folder the binary lies.
fn commit(binary: &Path) -> String {
    let folder = binary.parent().unwrap_or(Path::new("."));
    let mut git = Command::new("git");
    let output = git.args(["describe", "--always", "--dirty=, changed"]).current_dir(folder).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let text = text.and_then(|text| String::from_utf8(text).ok()).unwrap_or_default();
    if text.trim().is_empty() { "a binary of unknown origin".into() } else { text.trim().to_owned() }
}
