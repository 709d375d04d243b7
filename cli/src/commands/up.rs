//! `atoll up`: control plane and edge node in one process.

use std::path::Path;
use std::time::Duration;

use atoll_control_plane::{Config as ControlPlaneConfig, ControlPlane};
use atoll_edge_node::{CertificateFiles, Config as EdgeConfig, EdgeNode, ListenerConfig, TlsConfig};
use atoll_runtime::Engine;

use super::edge_node::{self, DRAIN};
use super::{control_plane, deploy};
use crate::args::UpArgs;
use crate::client::Client;
use crate::client::target::{Target, default_data_dir};
use crate::error::CommandError;
use crate::output::{self, Progress};
use crate::signals::{Stop, Told};

/// How long the control plane may take to end its connections.
pub const CONTROL_PLANE_DRAIN: Duration = Duration::from_secs(5);

/// Runs until it is told to stop.
pub async fn run(args: UpArgs, engine: Engine) -> Result<(), CommandError> {
    let mut stop = Stop::listen()?;
    let data_dir = args.data_dir.clone().unwrap_or_else(default_data_dir);
    let config = ControlPlaneConfig { listen: args.api, ..ControlPlaneConfig::new(&data_dir) };
    let control_plane =
        ControlPlane::start(config).await.map_err(|error| control_plane::start_error(&error, "--api"))?;
    let served = serve(&args, &data_dir, &control_plane, engine, &mut stop).await;
    control_plane.shutdown(CONTROL_PLANE_DRAIN).await;
    served
}

async fn serve(
    args: &UpArgs,
    data_dir: &Path,
    control_plane: &ControlPlane,
    engine: Engine,
    stop: &mut Stop,
) -> Result<(), CommandError> {
    let api = control_plane.base_url();
    let token =
        control_plane.node_token().await.map_err(|error| CommandError::new("start-failed", error.to_string()))?;
    let mut config = EdgeConfig {
        name: "local".into(),
        listen: args.tls_cert.is_none().then_some(args.listen),
        listeners: secure_listener(args).into_iter().collect(),
        data_dir: Some(data_dir.join("edge")),
        debug_headers: args.debug_headers,
        access_log: args.access_log.as_ref().map(|path| path.display().to_string()),
        control_plane: Some(edge_node::follow(&api, &control_plane.public_key_hex(), token)?),
        ..EdgeConfig::default()
    };
    edge_node::allow_egress(&mut config, &args.allow_egress)?;
    let edge = edge_node::start(config, engine.clone()).await?;
    let ready = async {
        edge.ready().await;
        deploy_all(args, &api, control_plane, &edge, &engine).await
    };
    let deployed = tokio::select! {
        deployed = ready => deployed,
        () = stop.told() => {
            edge.shutdown(DRAIN).await;
            return Ok(());
        }
    };
    if deployed.is_ok() {
        output::line(format!(
            "ready edge={} api=http://{} data={}",
            edge.base_url(),
            control_plane.local_addr(),
            data_dir.display()
        ));
        loop {
            match stop.anything().await {
                Told::Stop => break,
                Told::Reload => edge.reload_certificates(),
                Told::Upgrade => {
                    tracing::warn!("`atoll up` cannot be taken over while it runs: run the roles apart for that");
                }
            }
        }
        tracing::info!("stopping: requests under way are finished first; a second signal ends at once");
    }
    edge_node::drain(edge, stop).await;
    deployed
}

/// The listener with TLS, when there is a certificate.
fn secure_listener(args: &UpArgs) -> Option<ListenerConfig> {
    let (cert, key) = (args.tls_cert.clone()?, args.tls_key.clone()?);
    let tls = TlsConfig { certificates: vec![CertificateFiles { cert, key }], ..TlsConfig::default() };
    Some(ListenerConfig { tls: Some(tls), http3: args.http3, ..ListenerConfig::plain(args.listen) })
}

/// Deploys the projects named on the command line, one after another, until the node here runs each.
async fn deploy_all(
    args: &UpArgs,
    api: &str,
    control_plane: &ControlPlane,
    edge: &EdgeNode,
    engine: &Engine,
) -> Result<(), CommandError> {
    let client = Client::new(Target { api: api.to_owned(), token: control_plane.admin_token() })?;
    for path in &args.deploy {
        let progress = Progress::new(&format!("deploying {}", path.display()), false);
        let prepared = deploy::prepare(path, None, Some(engine), &progress).await?;
        // A start with nothing new makes nothing new.
        let (version, revision) = match deploy::in_service(&client, &prepared).await? {
            Some((app, version)) => (version, app.revision),
            None => {
                let deployed = deploy::put_into_service(&client, &prepared, None, &progress).await?;
                (deployed.response.version, deployed.response.revision)
            }
        };
        edge.applied(revision).await;
        drop(progress);
        let app = &prepared.project.name;
        // The first deploy may come before the control plane has heard where the node is.
        let urls = client.app(app).await?.urls;
        let place = if urls.is_empty() { "no address".into() } else { urls.join(" ") };
        output::note(format!("{app} version {version}: {place}"));
    }
    Ok(())
}
