//! `atoll edge-node`: an edge node alone; and what starting a node takes wherever it is started.

use std::path::Path;
use std::time::Duration;

use atoll_edge_node::{Config, ControlPlaneConfig, EdgeNode, Inheritance, Secret};
use atoll_runtime::Engine;

use crate::args::EdgeNodeArgs;
use crate::error::CommandError;
use crate::output;
use crate::signals::{Stop, Told};

/// How long requests under way may take to finish when the node is told to stop.
pub const DRAIN: Duration = Duration::from_secs(30);

/// How long a process that takes over may need until it serves.
const TAKE_OVER: Duration = Duration::from_secs(60);

/// Runs until it is told to stop, or another process has taken over.
pub async fn run(args: EdgeNodeArgs, engine: Engine) -> Result<(), CommandError> {
    let mut stop = Stop::listen()?;
    let failed = |error: &dyn std::error::Error| CommandError::new("start-failed", error.to_string());
    // Found before anything replaces the file.
    let program = std::env::current_exe().map_err(|error| failed(&error))?;
    let mut before = Inheritance::receive().map_err(|error| failed(&error))?;
    let config = configure(args)?;
    let data = config.data_dir.as_ref().map(|dir| format!(" data={}", dir.display())).unwrap_or_default();
    let edge = EdgeNode::take_over(config, engine, before.as_mut()).await.map_err(|error| failed(&error))?;
    tokio::select! {
        () = edge.ready() => {}
        () = stop.told() => {
            drain(edge, &mut stop).await;
            return Ok(());
        }
    }
    output::line(format!("ready edge={}{data}", edge.base_url()));
    if let Some(before) = before {
        before.ready();
    }
    serve(&edge, &program, &mut stop).await;
    tracing::info!("stopping: requests under way are finished first; a second signal ends at once");
    drain(edge, &mut stop).await;
    Ok(())
}

/// Does what it is told until there is nothing left to do but to drain.
async fn serve(edge: &EdgeNode, program: &Path, stop: &mut Stop) {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    loop {
        match stop.anything().await {
            Told::Stop => return,
            Told::Reload => edge.reload_certificates(),
            Told::Upgrade => {
                tracing::info!(program = %program.display(), "another process is started to take over");
                match edge.hand_over(program, &arguments, TAKE_OVER).await {
                    Ok(pid) => {
                        tracing::info!(pid, "process {pid} has taken over");
                        return;
                    }
                    Err(error) => tracing::error!(%error, "not taken over: this process goes on"),
                }
            }
        }
    }
}

/// The configuration of the file with the arguments over it.
fn configure(args: EdgeNodeArgs) -> Result<Config, CommandError> {
    let invalid = |message: String| CommandError::new("config-invalid", message);
    let mut config = match &args.role.config {
        None => Config::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| invalid(format!("{} cannot be read: {error}", path.display())))?;
            Config::from_toml(&text).map_err(|error| invalid(format!("{}: {error}", path.display())))?
        }
    };
    if let Some(listen) = args.role.listen {
        config.listen = Some(listen);
    }
    if let Some(data_dir) = args.role.data_dir {
        config.data_dir = Some(data_dir);
    }
    if let Some(name) = args.name {
        config.name = name;
    }
    match (&mut config.control_plane, args.control_plane, args.control_plane_key, args.token) {
        (Some(control_plane), url, key, token) => {
            if let Some(url) = url {
                control_plane.url = url;
            }
            if let Some(key) = key {
                control_plane.key = key.parse().map_err(|error| invalid(format!("--control-plane-key: {error}")))?;
            }
            if let Some(token) = token {
                control_plane.token = Some(Secret(token));
                control_plane.token_file = None;
            }
        }
        (None, Some(url), Some(key), Some(token)) => config.control_plane = Some(follow(&url, &key, token)?),
        (None, None, None, None) => {
            return Err(invalid(
                "an edge node needs a control plane: [control_plane] in the --config file, or --control-plane, --control-plane-key and --token; `atoll up` runs both in one process".into(),
            ));
        }
        (None, ..) => {
            return Err(invalid(
                "--control-plane, --control-plane-key and --token (ATOLL_NODE_TOKEN) go together".into(),
            ));
        }
    }
    config.validate().map_err(|error| invalid(error.to_string()))?;
    Ok(config)
}

/// Which control plane to follow.
pub fn follow(url: &str, key: &str, token: String) -> Result<ControlPlaneConfig, CommandError> {
    let key = key.parse();
    let key = key.map_err(|error| CommandError::new("config-invalid", format!("the control plane's key: {error}")))?;
    Ok(ControlPlaneConfig {
        url: url.to_owned(),
        key,
        token: Some(Secret(token)),
        token_file: None,
        silence_ms: 15_000,
    })
}

/// Adds networks that apps may reach.
pub fn allow_egress(config: &mut Config, networks: &[String]) -> Result<(), CommandError> {
    for network in networks {
        let parsed = network.parse().map_err(|_| {
            let message = format!("--allow-egress {network:?} is no network such as 127.0.0.0/8 or fd00::/8");
            CommandError::new("config-invalid", message)
        })?;
        config.egress.allow.push(parsed);
    }
    Ok(())
}

/// Starts a node.
pub async fn start(config: Config, engine: Engine) -> Result<EdgeNode, CommandError> {
    EdgeNode::start(config, engine).await.map_err(|error| CommandError::new("start-failed", error.to_string()))
}

/// Finishes the requests under way, unless it is told to stop once more.
pub async fn drain(edge: EdgeNode, stop: &mut Stop) {
    tokio::select! {
        drained = edge.shutdown(DRAIN) => {
            if !drained {
                tracing::warn!("requests that were still under way after {} s were cut off", DRAIN.as_secs());
            }
        }
        () = stop.told() => tracing::warn!("told to stop a second time: requests under way are cut off"),
    }
}
