//! `cargo xtask test`: gets what the tests need, runs `cargo test`, and closes with one line of counts.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use anyhow::{Context, bail};

use crate::{shell, tools};

/// How many tests there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
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
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start cargo")?;
    let mut output = BufReader::new(child.stdout.take().context("cargo has no output")?);

    // Lines go through as they come; they need not be UTF-8, since tests may print anything.
    let mut counts = Counts::default();
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        std::io::stdout().write_all(&line)?;
        counts.add(&String::from_utf8_lossy(&line));
        line.clear();
    }
    let status = child.wait()?;

    let Counts { passed, failed, ignored } = counts;
    println!("{passed} passed, {failed} failed, {ignored} skipped");
    match (status.success(), failed, passed) {
        (true, 0, 0) => bail!("no test ran"),
        (true, 0, _) => Ok(()),
        (_, 0, _) => bail!("`cargo test` failed ({status}): see above what did not build or did not end"),
        _ => bail!("tests failed: {failed}"),
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
}
