//! Running a project's own build, `build.command` of its file, before anything of the project is read.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::errors::BuildError;
use crate::project::Project;
use crate::project::custom_build::CustomBuild;

/// Runs the command and waits for its end. What it prints goes to standard error, because standard output is for
/// answers. `purpose` is `deploy` or `dev`, which the command finds in `WRANGLER_COMMAND`. The command is ended when the
/// future is dropped.
///
/// The packages' programs (`node_modules/.bin`) of the project and of the folders above it come first in `PATH`, as they
/// do where npm runs a script.
pub async fn run(project: &Project, build: &CustomBuild, purpose: &str) -> Result<(), BuildError> {
    let folder = build.cwd.as_ref().map_or_else(|| project.source.clone(), |cwd| project.source.join(cwd));
    let failed = |problem: String| BuildError::Command {
        command: build.command.clone(),
        folder: folder.display().to_string(),
        problem,
    };
    if !folder.is_dir() {
        return Err(failed("there is no such folder (`build.cwd`)".into()));
    }
    let output = std::io::stderr();
    let output = std::os::fd::AsFd::as_fd(&output).try_clone_to_owned();
    let output = output.map_err(|error| failed(format!("standard error cannot be handed to it: {error}")))?;
    let status = Command::new("sh")
        .arg("-c")
        .arg(&build.command)
        .current_dir(&folder)
        .env("PATH", path(&folder))
        .env("WRANGLER_COMMAND", purpose)
        .stdin(Stdio::null())
        .stdout(output)
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| failed(format!("`sh` cannot be run: {error}")))?;
    if status.success() { Ok(()) } else { Err(failed(format!("it ended with {status}"))) }
}

fn path(folder: &Path) -> OsString {
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let programs = folder.ancestors().map(|folder| folder.join("node_modules/.bin")).filter(|path| path.is_dir());
    let all: Vec<PathBuf> = programs.chain(std::env::split_paths(&inherited)).collect();
    // A folder with `:` in its name cannot be in a PATH.
    std::env::join_paths(all).unwrap_or(inherited)
}
