//! `cargo xtask test`: gets what the tests need, runs `cargo test`, and closes with one line of counts.
//!
//! The tests share two cores with whatever else the machine does, and many of them are about time that passes. So a few
//! that fail are run once more, alone, and count as passed when they pass then; they are named as flaky, to be mended.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, bail};

use crate::{shell, tools};

/// How many failures are still taken for chance. More have a cause.
const FEW: usize = 3;

/// How many tests there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// What a run of `cargo test` said.
#[derive(Debug, Default)]
struct Outcome {
    counts: Counts,
    /// The names of the tests that failed.
    failures: BTreeSet<String>,
    /// Test binaries that came to their end and had failures.
    failing: usize,
    /// The arguments that select each target which did not succeed, by `cargo test`'s own words.
    targets: Vec<String>,
}

/// Runs the tests that the arguments select, all when there are none.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    tools::ensure(&tools::FOR_TESTS)?;
    if let Err(error) = tools::ensure(&tools::FOR_SOME_TESTS) {
        println!("some tests will be skipped: {error:#}");
    }
    for folder in ["tests/npm", "tests/apps", "tests/differential/oracles"] {
        tools::npm_packages(&shell::root().join(folder))?;
    }

    let mut command = shell::cargo();
    command.args(["test", "--no-fail-fast"]);
    if arguments.is_empty() {
        command.arg("--workspace");
    }
    let (mut status, Outcome { mut counts, failures, failing, targets }) = watch(command.args(arguments))?;

    let few = (1..=FEW).contains(&failures.len()) && failures.len() as u64 == counts.failed;
    if !status.success() && few && failing == targets.len() {
        let mut again = Counts::default();
        let mut passed = true;
        for target in &targets {
            let mut command = shell::cargo();
            command.arg("test").args(target.split(' ')).args(["--", "--exact"]).args(&failures);
            println!("once more, alone: {}", failures.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
            let (ended, outcome) = watch(&mut command)?;
            passed &= ended.success() && outcome.counts.failed == 0;
            again.passed += outcome.counts.passed;
            status = ended;
        }
        if passed && again.passed >= counts.failed {
            for name in &failures {
                println!("flaky: {name} failed, and passed when it was run again");
            }
            counts = Counts { passed: counts.passed + counts.failed, failed: 0, ..counts };
        }
    }

    let Counts { passed, failed, ignored } = counts;
    println!("{passed} passed, {failed} failed, {ignored} skipped");
    match (status.success(), failed, passed) {
        (true, 0, 0) => bail!("no test ran"),
        (true, 0, _) => Ok(()),
        (_, 0, _) => bail!("`cargo test` failed ({status}): see above what did not build or did not end"),
        _ => bail!("tests failed: {failed}"),
    }
}

/// Runs `cargo test` and reads along. Lines go through as they come; they need not be UTF-8, since tests may print
/// anything.
fn watch(command: &mut Command) -> anyhow::Result<(ExitStatus, Outcome)> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let errors = child.stderr.take().context("cargo has no standard error")?;
    let (said, targets) = std::thread::scope(|scope| {
        let targets = scope.spawn(|| {
            let mut targets = Vec::new();
            pass_on(errors, std::io::stderr(), |line| targets.extend(target(line)))?;
            anyhow::Ok(targets)
        });
        let mut outcome = Outcome::default();
        let said = pass_on(output, std::io::stdout(), |line| outcome.add(line)).map(|()| outcome);
        (said, targets.join())
    });
    let mut outcome = said?;
    outcome.targets = targets.map_err(|_| anyhow::anyhow!("reading cargo's standard error panicked"))??;
    Ok((child.wait()?, outcome))
}

fn pass_on(from: impl Read, mut to: impl Write, mut seen: impl FnMut(&str)) -> anyhow::Result<()> {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        seen(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(())
}

/// The target that cargo says has failed: ``error: test failed, to rerun pass `-p atoll-edge-node --test node` ``.
fn target(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("failed, to rerun pass `")?;
    rest.split_once('`').map(|(target, _)| target.to_owned())
}

impl Outcome {
    /// Adds what a line of a test binary says: `test a::b ... FAILED`, or its closing line.
    fn add(&mut self, line: &str) {
        if let Some(name) = line.trim_end().strip_prefix("test ").and_then(|test| test.strip_suffix(" ... FAILED")) {
            self.failures.insert(name.to_owned());
        }
        let before = self.counts.failed;
        self.counts.add(line);
        self.failing += usize::from(self.counts.failed > before);
    }
}

impl Counts {
    /// Adds what a test binary's closing line says:
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`. A binary with a
    /// harness of its own may say less of it, and name what failed.
    fn add(&mut self, line: &str) {
        let Some(result) = line.trim_start().strip_prefix("test result: ") else { return };
        let counts = result.split_once(". ").map_or(result, |(_, counts)| counts);
        for part in counts.split(';') {
            let Some((number, what)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what.split(' ').next().unwrap_or_default() {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_the_closing_lines_of_test_binaries() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests\n",
            "test a ... ok\n",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s\n",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n",
            "test result: 1 passed; 1 failed [\"egress::cuts_loops\"]\n",
        ] {
            counts.add(line);
        }
        assert_eq!(counts, Counts { passed: 14, failed: 3, ignored: 1 });
    }
    #[test]
    fn knows_what_failed_and_where() {
        let mut outcome = Outcome::default();
        for line in [
            "test a::passes ... ok\n",
            "test a::fails ... FAILED\n",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n",
            "test result: 1 passed; 0 failed []\n",
        ] {
            outcome.add(line);
        }
        assert_eq!(outcome.failures.iter().collect::<Vec<_>>(), ["a::fails"]);
        assert_eq!(outcome.failing, 1);
        let line = "error: test failed, to rerun pass `-p atoll-edge-node --test node`\n";
        assert_eq!(target(line).as_deref(), Some("-p atoll-edge-node --test node"));
        assert_eq!(target("error: 2 targets failed:\n"), None);
    }
}
