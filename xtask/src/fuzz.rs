//! `cargo xtask fuzz`: runs each target of `fuzz/` for a bounded time, on a nightly compiler with AddressSanitizer.
//!
//! What a target finds is kept below the target folder: inputs that reach something new, from which the next run goes on,
//! and those that made it fail.

use anyhow::{Context, bail};

use crate::{shell, tools};

/// How long each target runs when nobody says, seconds.
const SECONDS: u64 = 60;
/// The longest input, bytes: everything that is fuzzed is decided within a few of them.
const LONGEST: usize = 4096;

/// Runs the targets, all when none is named, each for so many seconds: `[SECONDS] [TARGET]…`.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let (seconds, named) = read(arguments);
    let targets = targets()?;
    if let Some(unknown) = named.iter().find(|name| !targets.contains(name)) {
        bail!("there is no fuzz target `{unknown}`; there are: {}", targets.join(", "));
    }
    let cargo_fuzz = tools::cargo_fuzz()?;
    let folder = shell::tools_folder().with_file_name("fuzz");
    let fuzz = |chore: &str| {
        let mut command = shell::command("rustup");
        command.args(["run", "nightly"]).arg(&cargo_fuzz).args(["fuzz", chore, "--target-dir"]).arg(&folder);
        // The cargo that runs this program is another one.
        command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
        command
    };
    shell::run(&mut fuzz("build"))
        .context("the fuzz targets do not build (they need `rustup toolchain install nightly`)")?;
    let mut failed = Vec::new();
    for target in if named.is_empty() { &targets } else { named } {
        let [corpus, found] = ["corpus", "found"].map(|kind| folder.join(kind).join(target));
        for folder in [&corpus, &found] {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let mut command = fuzz("run");
        command.arg(target).arg(&corpus);
        // Inputs to begin with.
        let seeds = shell::root().join("fuzz/seeds").join(target);
        command.args(seeds.is_dir().then_some(seeds));
        command.arg("--").arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={LONGEST}"));
        command.arg(format!("-artifact_prefix={}/", found.display()));
        command.args(["-print_final_stats=1", "-print_funcs=0", "-verbosity=0"]);
        if let Err(error) = shell::run(&mut command) {
            eprintln!("{target}: {error:#}; what made it fail is in {}", found.display());
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("fuzz targets that found something: {}", failed.join(", ")) }
}

/// Seconds and names. A number comes first or not at all.
fn read(arguments: &[String]) -> (u64, &[String]) {
    match arguments.split_first() {
        Some((first, rest)) if first.parse::<u64>().is_ok() => (first.parse().unwrap_or(SECONDS), rest),
        _ => (SECONDS, arguments),
    }
}

/// The targets by name.
fn targets() -> anyhow::Result<Vec<String>> {
    let folder = shell::root().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        names.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_come_first_or_not_at_all() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(read(&[]), (SECONDS, &[][..]));
        assert_eq!(read(&words("5")), (5, &[][..]));
        assert_eq!(read(&words("5 range key")), (5, &words("range key")[..]));
        assert_eq!(read(&words("range")), (SECONDS, &words("range")[..]));
    }

    /// cargo builds only the targets that the manifest names.
    #[test]
    fn every_target_is_in_the_manifest() {
        let manifest = std::fs::read_to_string(shell::root().join("fuzz/Cargo.toml")).unwrap();
        for target in targets().unwrap() {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
        }
    }
}
