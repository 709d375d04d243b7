//! `atoll rollback`: a deployment that points back.

use atoll_protocol::api::{App, DeploymentRequest, Target, Version};
use serde_json::json;

use super::{app_name, client};
use crate::args::RollbackArgs;
use crate::error::CommandError;
use crate::output::{self, Progress};

/// Runs the command.
pub async fn run(args: RollbackArgs) -> Result<(), CommandError> {
    let app = app_name(args.app, args.env.as_deref())?;
    let client = client(&args.client)?;
    let current = client.app(&app).await?;
    let version = match args.version {
        Some(version) => version,
        None => version_before(&current, &client.versions(&app).await?)?,
    };
    let request = DeploymentRequest { targets: vec![Target { version, weight: 100 }] };
    let progress = Progress::new("rolling back", args.client.json);
    let deployment = client.create_deployment(&app, &request).await?;
    progress.step("waiting for the nodes");
    let status = client.revision(deployment.revision, 30_000).await;
    drop(progress);
    let settled = status.as_ref().is_ok_and(|status| status.settled);
    if args.client.json {
        output::json(&json!({
            "app": app, "version": version, "url": current.urls.first(), "urls": current.urls,
            "deployment": deployment.number, "revision": deployment.revision, "settled": settled,
        }));
    } else {
        output::line(format!("{app} serves version {version} again"));
        if !settled {
            output::warning("not every node has it yet");
        }
    }
    Ok(())
}

/// The version before the lowest one in service.
fn version_before(app: &App, versions: &[Version]) -> Result<u64, CommandError> {
    let serving = app.deployment.as_ref().and_then(|deployment| deployment.targets.iter().map(|t| t.version).min());
    let Some(serving) = serving else {
        return Err(CommandError::new(
            "nothing-deployed",
            format!("{} has nothing in service to go back from", app.name),
        ));
    };
    let before = versions.iter().map(|version| version.number).filter(|number| *number < serving).max();
    before.ok_or_else(|| {
        let message = format!("{} serves version {serving}, and there is none before it; name a version", app.name);
        CommandError::new("no-earlier-version", message)
    })
}
