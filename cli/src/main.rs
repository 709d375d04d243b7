//! The `atoll` binary: one program for every role of the platform and for those who deploy to it.

mod args;
mod assets;
mod build;
mod check;
mod client;
mod commands;
mod error;
mod logging;
mod output;
mod project;
mod signals;

use std::process::ExitCode;
use std::time::Duration;

use atoll_runtime::{Counting, Engine, EngineOptions, Mimalloc};
use clap::Parser;

use crate::error::CommandError;

#[global_allocator]
static ALLOCATOR: Counting<Mimalloc> = Counting(Mimalloc);

/// Says what is wrong with the command line, as every other failure is said; or the help that was asked for.
fn misused(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let text = error.render().to_string();
        let lines = text.trim_start_matches("error: ").lines().take_while(|line| !line.is_empty()).map(str::trim);
        CommandError::new("usage-invalid", lines.collect::<Vec<_>>().join(" ")).report_json();
    }
    // Nobody may be there to read it.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    // V8 hands its memory protection to threads that come after it, so it comes first.
    let engine = cli.command.needs_engine().then(|| Engine::init(EngineOptions::default()));
    logging::init(cli.log_format, cli.command.log_level());
    let json = cli.command.json();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            CommandError::new("no-threads", format!("cannot start threads: {error}")).report(json);
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(commands::run(cli.command, engine));
    // What still runs has been told to stop; whatever hangs does not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report(json);
            ExitCode::FAILURE
        }
    }
}
