//! `atoll apps`, `atoll nodes` and `atoll routes`: what there is.

use super::{app_name, client};
use crate::args::{AppArgs, ClientOnly};
use crate::error::CommandError;
use crate::output;

/// `atoll apps`.
pub async fn list(args: ClientOnly) -> Result<(), CommandError> {
    let apps = client(&args.client)?.apps().await?;
    if args.client.json {
        output::json(&apps);
        return Ok(());
    }
    let rows = apps
        .into_iter()
        .map(|app| {
            let targets = app.deployment.map(|deployment| deployment.targets).unwrap_or_default();
            let versions: Vec<_> = match targets[..] {
                [only] => vec![only.version.to_string()],
                _ => targets.iter().map(|target| format!("{} ({} %)", target.version, target.weight)).collect(),
            };
            [app.name, versions.join(", "), app.urls.first().cloned().unwrap_or_default()]
        })
        .collect();
    output::table(["APP", "VERSION", "URL"], rows, "no apps");
    Ok(())
}

/// `atoll nodes`.
pub async fn nodes(args: ClientOnly) -> Result<(), CommandError> {
    let nodes = client(&args.client)?.nodes().await?;
    if args.client.json {
        output::json(&nodes);
        return Ok(());
    }
    let rows = nodes
        .into_iter()
        .map(|node| {
            let (revision, url) =
                node.report.map_or_else(Default::default, |report| (report.revision.to_string(), report.edge_url));
            let seen = node.last_seen.map_or_else(|| "never".into(), output::time);
            [node.name, if node.connected { "yes" } else { "no" }.into(), revision, url, seen]
        })
        .collect();
    output::table(["NODE", "CONNECTED", "REVISION", "URL", "LAST SEEN"], rows, "no edge nodes");
    Ok(())
}

/// `atoll routes`.
pub async fn routes(args: AppArgs) -> Result<(), CommandError> {
    let name = app_name(args.app, args.env.as_deref())?;
    let client = client(&args.client)?;
    let routes = client.routes(&name).await?;
    if args.client.json {
        output::json(&routes);
        return Ok(());
    }
    let app = client.app(&name).await?;
    routes.routes.iter().for_each(output::line);
    app.urls.iter().for_each(output::line);
    if routes.routes.is_empty() && app.urls.is_empty() {
        output::line("no routes");
    }
    Ok(())
}
