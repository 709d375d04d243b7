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

use atoll_runtime::{Engine, EngineOptions};
use clap::Parser;

use crate::error::CommandError;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
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
