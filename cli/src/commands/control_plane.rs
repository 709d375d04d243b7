//! `atoll control-plane`: a control plane alone.

use atoll_control_plane::{Config, ControlPlane, StartError};

use super::up::CONTROL_PLANE_DRAIN;
use crate::args::RoleArgs;
use crate::client::target::default_data_dir;
use crate::error::CommandError;
use crate::output;
use crate::signals::Stop;

/// Runs until it is told to stop.
pub async fn run(args: RoleArgs) -> Result<(), CommandError> {
    let mut stop = Stop::listen()?;
    let mut config = match &args.config {
        Some(file) => Config::read(file).map_err(|error| CommandError::new("config-invalid", error.to_string()))?,
        None => Config::new(args.data_dir.clone().unwrap_or_else(default_data_dir)),
    };
    if let Some(data_dir) = args.data_dir {
        config.data_dir = data_dir;
    }
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    let data_dir = config.data_dir.clone();
    let control_plane = ControlPlane::start(config).await.map_err(|error| start_error(&error, "--listen"))?;
    output::line(format!("ready api=http://{} data={}", control_plane.local_addr(), data_dir.display()));
    stop.told().await;
    tokio::select! {
        _ = control_plane.shutdown(CONTROL_PLANE_DRAIN) => {}
        () = stop.told() => {}
    }
    Ok(())
}

/// Why the control plane could not start, with the option that puts it right.
pub fn start_error(error: &StartError, listen_option: &str) -> CommandError {
    let remedy = match error {
        StartError::Listen { .. } => format!(" ({listen_option})"),
        StartError::Locked { .. } | StartError::Directory { .. } => " (--data-dir)".to_owned(),
        _ => String::new(),
    };
    CommandError::new("start-failed", format!("{error}{remedy}"))
}
