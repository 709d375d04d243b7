//! `cargo xtask`: the repository's chores. This module reads the command line; each chore has a module of its own.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its terminal")]

mod bench;
mod checks;
mod dist;
mod fuzz;
mod openapi;
mod order;
mod shell;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

const HELP: &str = "\
The repository's chores.

Usage: cargo xtask CHORE [ARGUMENTS]

  test [ARGUMENTS]   run all tests, installing or naming what they need; ARGUMENTS go to `cargo test`
                     in place of `--workspace`, for example: cargo xtask test -p atoll-bundle
  lint               clippy on everything, warnings are errors
  fmt [--check]      format the sources, or only say whether they are formatted
  tidy               the house rules that no other tool knows
  deny               licences, sources, bans and duplicates of the dependencies (installs cargo-deny)
  openapi [--check]  write the control plane's OpenAPI file anew, or only say whether it is current
  fuzz [SECONDS] [TARGET]...
                     run the fuzz targets, each for so many seconds, 60 unless told (nightly; installs cargo-fuzz)
  bench [--quick] [SCENARIO...]
                     build in release mode, fetch what people would use instead, and measure both in turns: writes
                     bench/RESULTS.md, bench/results.json and bench/plots; --help lists the scenarios
  dist               build the program that runs fastest: optimised as a whole and by a profile of the benchmark; takes
                     several times as long as a build in release mode
  order              record which functions requests and starts run, for the linker to put them together (installs
                     valgrind): writes cli/functions.order
  ci                 what continuous integration runs: test, fmt --check, tidy, deny, lint
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let chore = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let outcome = match (chore.as_deref(), rest.as_slice()) {
        (None | Some("help" | "--help" | "-h"), _) => {
            print!("{HELP}");
            Ok(())
        }
        (Some("test"), rest) => test::run(rest),
        (Some("lint"), []) => checks::lint(),
        (Some("fmt"), []) => checks::fmt(false),
        (Some("fmt"), [check]) if check == "--check" => checks::fmt(true),
        (Some("tidy"), []) => tidy::run(),
        (Some("deny"), []) => checks::deny(),
        (Some("openapi"), []) => openapi::run(false),
        (Some("openapi"), [check]) if check == "--check" => openapi::run(true),
        (Some("fuzz"), rest) => fuzz::run(rest),
        (Some("bench"), rest) => bench::run(rest),
        (Some("dist"), []) => dist::run(),
        (Some("order"), []) => order::run(),
        (Some("ci"), []) => checks::ci(),
        (Some(chore), rest) => {
            eprintln!("cargo xtask: no chore `{}`\n\n{HELP}", [&[chore.to_owned()], rest].concat().join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
