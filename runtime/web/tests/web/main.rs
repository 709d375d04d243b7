//! The web platform, seen from code that runs in an isolate: every case in a runtime made from the sources and in one
//! restored from a snapshot.
//!
//! V8 wants to be initialised on the main thread, and building a snapshot sets its flags, so the cases run in processes
//! of their own, which this program starts: `build FILE`, then `plain` and `snapshot FILE`. An argument that is none of
//! these selects the cases whose name contains it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test harness reports on its standard output")]

mod cases;
mod support;

use std::process::{Command, ExitCode};

use support::Source;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["build", file] => support::build_snapshot(file.as_ref()),
        ["plain", filter @ ..] => run(Source::Scripts, filter),
        ["snapshot", file, filter @ ..] => run(Source::restored(file.as_ref()), filter),
        _ if words.contains(&"--list") => {
            println!("web: test");
            ExitCode::SUCCESS
        }
        _ => {
            let filter: Vec<&str> = words.into_iter().filter(|word| !word.starts_with('-') && *word != "web").collect();
            supervise(&filter)
        }
    }
}

/// Runs this program again in each of its modes.
fn supervise(filter: &[&str]) -> ExitCode {
    let program = std::env::current_exe().expect("a running program has a path");
    let directory = std::env::temp_dir().join(format!("atoll-web-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("the temporary directory can be written");
    let file = directory.join("snapshot.bin");
    let file = file.to_str().expect("the temporary directory has a UTF-8 name");
    let ran = |arguments: &[&str]| {
        let status = Command::new(&program).args(arguments).args(filter).status().expect("the program can be started");
        if !status.success() {
            eprintln!("web {}: {status}", arguments[0]);
        }
        status.success()
    };
    let plain = ran(&["plain"]);
    let built = Command::new(&program).args(["build", file]).status().expect("the program can be started").success();
    let restored = built && ran(&["snapshot", file]);
    let _ = std::fs::remove_dir_all(&directory);
    if plain && restored { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(source: Source, filter: &[&str]) -> ExitCode {
    deno_core::JsRuntime::init_platform(None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a tokio runtime");
    let mut failed = Vec::new();
    let mut count = 0;
    for (name, case) in cases::all() {
        if !filter.is_empty() && !filter.iter().any(|part| name.contains(part)) {
            continue;
        }
        count += 1;
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                tokio::time::timeout(std::time::Duration::from_secs(60), case(source)).await.expect("in time");
            });
        }));
        if outcome.is_err() {
            eprintln!("FAILED {name} ({})", source.name());
            failed.push(name);
        }
    }
    println!("{}: {} of {count} cases passed", source.name(), count - failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
