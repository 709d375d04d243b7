//! The checks that are other programs' work.

use crate::{shell, tools};

/// Clippy on every target of every crate; a warning is an error.
pub fn lint() -> anyhow::Result<()> {
    shell::run(shell::cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
}

/// Formats the sources, or only says whether they are.
pub fn fmt(check: bool) -> anyhow::Result<()> {
    let mut command = shell::cargo();
    command.args(["fmt", "--all"]);
    if check {
        command.arg("--check");
    }
    shell::run(&mut command)
}

/// What `deny.toml` says of the dependencies.
pub fn deny() -> anyhow::Result<()> {
    let cargo_deny = tools::cargo_deny()?;
    shell::run(shell::command(cargo_deny).args(["--all-features", "check", "bans", "licenses", "sources"]))
}

/// What continuous integration runs.
pub fn ci() -> anyhow::Result<()> {
    shell::run(&mut shell::command(shell::root().join(".ci/run")))
}
