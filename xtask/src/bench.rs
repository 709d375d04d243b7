//! `cargo xtask bench`: builds atoll and the benchmark as users run them, and measures.

use crate::{shell, tools};

/// Builds in release mode and runs the benchmark with the arguments.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    tools::ensure(&tools::FOR_TESTS)?;
    if arguments.iter().any(|argument| argument == "cached") {
        tools::ensure(&tools::FOR_CACHE_BENCHMARK)?;
    }
    shell::run(shell::cargo().args(["build", "--release", "--package", "atoll", "--package", "atoll-bench"]))?;
    shell::run(shell::cargo().args(["run", "--release", "--quiet", "--package", "atoll-bench", "--"]).args(arguments))
}
