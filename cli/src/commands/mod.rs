//! What each command does. The platform's roles (`up`, `control-plane`, `edge-node`, `dev`) run until they are told to
//! stop; all others speak to a control plane and end.

mod apps;
mod certificates;
mod control_plane;
mod delete;
mod deploy;
mod dev;
mod edge_node;
mod init;
mod purge;
mod rollback;
mod secret;
mod tail;
mod token;
mod up;
mod versions;

use std::path::Path;

use atoll_runtime::Engine;

use crate::args::{ClientArgs, Command};
use crate::client::Client;
use crate::client::target::Target;
use crate::error::CommandError;
use crate::project;

/// Runs a command to its end. `engine` is there when the command [needs it](Command::needs_engine).
pub async fn run(command: Command, engine: Option<Engine>) -> Result<(), CommandError> {
    let needed = || CommandError::new("no-engine", "the JavaScript engine was not set up");
    match command {
        Command::Up(args) => up::run(args, engine.ok_or_else(needed)?).await,
        Command::ControlPlane(args) => control_plane::run(args).await,
        Command::EdgeNode(args) => edge_node::run(args, engine.ok_or_else(needed)?).await,
        Command::Dev(args) => dev::run(args, engine.ok_or_else(needed)?).await,
        Command::Init(args) => init::run(args),
        Command::Deploy(args) => deploy::run(args, engine).await,
        Command::Versions(args) => versions::run(args).await,
        Command::Rollback(args) => rollback::run(args).await,
        Command::Tail(args) => tail::run(args).await,
        Command::Purge(args) => purge::run(args).await,
        Command::Delete(args) => delete::run(args).await,
        Command::Secret(args) => secret::run(args).await,
        Command::Certificates(args) => certificates::run(args).await,
        Command::Token(args) => token::run(args).await,
        Command::Nodes(args) => apps::nodes(args).await,
        Command::Apps(args) => apps::list(args).await,
        Command::Routes(args) => apps::routes(args).await,
    }
}

/// A client for what the arguments name.
fn client(args: &ClientArgs) -> Result<Client, CommandError> {
    Ok(Client::new(Target::from_args(args)?)?)
}

/// The app that is meant: the one named, or that of the project in the current folder.
fn app_name(named: Option<String>, environment: Option<&str>) -> Result<String, CommandError> {
    match named {
        Some(name) => Ok(name),
        None => match project::name_of(Path::new("."), environment) {
            Err(project::ProjectError::NotFound(_)) => Err(CommandError::new(
                "app-missing",
                "which app? Name it, or run the command in the folder of its project",
            )),
            other => Ok(other?),
        },
    }
}
