//! `cargo xtask dist`: the program that runs fastest. It is built with counters first, the benchmark counts what is used, and
//! the second build is optimised by that, and as a whole (profile `dist` in `Cargo.toml`). Its functions are others than those
//! of a release, so the order in which they lie is recorded anew, and it is linked once more.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::{order, shell, tools};

/// What the benchmark runs to be counted: HTTP/1.1, streams, outbound requests, starts; and by itself the cache, which is asked
/// over TLS and HTTP/2 as well. What is in none of these is optimised for its size.
const TRAINING: [&[&str]; 2] = [&["hello", "json", "stream", "fetch", "cold"], &["cached"]];

/// Builds, counts, and builds again; prints where the program is.
pub fn run() -> anyhow::Result<()> {
    tools::ensure(&tools::FOR_TESTS)?;
    tools::ensure(&tools::FOR_CACHE_BENCHMARK)?;
    let (host, sysroot) = (rustc(&["--print", "host-tuple"])?, rustc(&["--print", "sysroot"])?);
    let profdata = tools::llvm_profdata(Path::new(&sysroot), &host)?;
    let folder = shell::tools_folder().with_file_name("dist");
    let (counts, profile) = (folder.join("counts"), folder.join("atoll.profdata"));

    let counting =
        build("release", &host, &folder.join("counting"), "-Cprofile-generate", &counts, &folder.join("none"))?;
    shell::run(shell::cargo().args(["build", "--release", "--package", "atoll-bench"]))?;
    if counts.exists() {
        fs::remove_dir_all(&counts).with_context(|| format!("cannot delete {}", counts.display()))?;
    }
    for scenarios in TRAINING {
        let mut bench = shell::cargo();
        bench.args(["run", "--release", "--quiet", "--package", "atoll-bench", "--", "--quick", "--atoll"]);
        bench.arg(&counting).args(scenarios).arg("--report").arg(folder.join("training/RESULTS.md"));
        // A file for each process.
        bench.env("LLVM_PROFILE_FILE", counts.join("%p.profraw"));
        fs::create_dir_all(folder.join("training")).context("cannot create a folder for what is measured")?;
        shell::run(&mut bench)?;
    }
    let counted = fs::read_dir(&counts).is_ok_and(|mut files| files.next().is_some());
    ensure!(counted, "what was benchmarked has counted nothing: there is no file in {}", counts.display());
    shell::run(shell::command(profdata).args(["merge", "-o"]).arg(&profile).arg(&counts))?;

    let (guided, functions) = (folder.join("guided"), folder.join("functions.order"));
    // No order: there is none of its functions yet.
    let program = build("dist", &host, &guided, "-Cprofile-use", &profile, &folder.join("none"))?;
    let recorded = order::record(&program)?;
    fs::write(&functions, recorded.join("\n") + "\n")
        .with_context(|| format!("cannot write {}", functions.display()))?;
    let program = build("dist", &host, &guided, "-Cprofile-use", &profile, &functions)?;
    println!("{}", program.display());
    Ok(())
}

/// Builds the command line with that flag of the compiler for what it is made of, but not for what runs in the build, and with
/// functions in that order when there is such a file.
fn build(profile: &str, host: &str, target: &Path, flag: &str, file: &Path, order: &Path) -> anyhow::Result<PathBuf> {
    let mut flags = std::env::var_os("RUSTFLAGS").unwrap_or_default();
    let flag: OsString = [flag.as_ref(), "=".as_ref(), file.as_os_str()].into_iter().collect();
    ensure!(!flag.to_string_lossy().contains(' '), "flags of the compiler cannot have a space: {}", flag.display());
    flags.push(" ");
    flags.push(flag);
    let mut cargo = shell::cargo();
    cargo.args(["build", "--package", "atoll", "--profile", profile, "--target", host, "--target-dir"]).arg(target);
    shell::run(cargo.env("RUSTFLAGS", flags).env("ATOLL_FUNCTIONS_ORDER", order))?;
    Ok(target.join(host).join(profile).join("atoll"))
}

/// What the compiler answers, a line.
fn rustc(arguments: &[&str]) -> anyhow::Result<String> {
    let output = shell::command("rustc").args(arguments).output().context("cannot start rustc")?;
    ensure!(output.status.success(), "rustc {} failed ({})", arguments.join(" "), output.status);
    Ok(String::from_utf8(output.stdout).context("rustc answers in UTF-8")?.trim().to_owned())
}
