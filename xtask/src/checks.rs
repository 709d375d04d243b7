//! The checks that are other programs' work.

use crate::{shell, tools};

/// Clippy on every target of every crate, where a warning is an error; and whether the fuzz targets build.
pub fn lint() -> anyhow::Result<()> {
    shell::run(shell::cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    // A workspace of its own that takes some of the sources by their paths; it runs seldom, and is to build when it does.
    let mut fuzz = shell::cargo();
    fuzz.args(["check", "--manifest-path"]).arg(shell::root().join("fuzz/Cargo.toml"));
    shell::run(fuzz.arg("--target-dir").arg(shell::tools_folder().with_file_name("fuzz-check")))
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
