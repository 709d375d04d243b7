//! `atoll versions`.

use super::{app_name, client};
use crate::args::AppArgs;
use crate::error::CommandError;
use crate::output;

/// Runs the command.
pub async fn run(args: AppArgs) -> Result<(), CommandError> {
    let app = app_name(args.app, args.env.as_deref())?;
    let client = client(&args.client)?;
    let versions = client.versions(&app).await?;
    let deployment = client.app(&app).await?.deployment;
    let weight = |version: u64| {
        let targets = deployment.iter().flat_map(|deployment| &deployment.targets);
        targets.filter(|target| target.version == version).map(|target| target.weight).next()
    };
    if args.client.json {
        let versions: Vec<_> = versions
            .iter()
            .map(|version| {
                let mut value = serde_json::to_value(version).expect("versions are JSON");
                value["weight"] = weight(version.number).unwrap_or(0).into();
                value
            })
            .collect();
        output::json(&versions);
        return Ok(());
    }
    let rows = versions
        .iter()
        .map(|version| {
            [
                version.number.to_string(),
                weight(version.number).map_or_else(String::new, |weight| format!("{weight} %")),
                output::time(version.created_at),
                version.bundle.to_string()[..12].to_owned(),
                version.message.clone().unwrap_or_default(),
            ]
        })
        .collect();
    output::table(["VERSION", "SERVING", "CREATED", "BUNDLE", "MESSAGE"], rows, "no versions");
    Ok(())
}
