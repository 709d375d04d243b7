//! `atoll purge`: what nodes have cached of an app is not used any more.

use atoll_protocol::api::PurgeRequest;
use serde_json::json;

use super::{app_name, client};
use crate::args::PurgeArgs;
use crate::error::CommandError;
use crate::output::{self, Progress};

/// How long nodes are waited for, milliseconds.
const WAIT_MS: u64 = 30_000;

/// Runs the command, and waits until every node that is connected has done it.
pub async fn run(args: PurgeArgs) -> Result<(), CommandError> {
    let app = app_name(args.app, args.env.as_deref())?;
    let client = client(&args.client)?;
    let progress = Progress::new("purging", args.client.json);
    let request = PurgeRequest { everything: args.everything, tags: args.tag, prefixes: args.prefix };
    let purged = client.purge(&app, &request).await?;
    progress.step("waiting for the nodes");
    let status = client.revision(purged.revision, WAIT_MS).await?;
    drop(progress);
    let done = |node: &&atoll_protocol::api::Node| {
        node.report.as_ref().is_some_and(|report| report.revision >= purged.revision)
    };
    let (done, waiting): (Vec<_>, Vec<_>) = status.nodes.iter().partition(done);
    let names = |nodes: &[&atoll_protocol::api::Node]| nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>();
    let (done, waiting) = (names(&done), names(&waiting));
    if args.client.json {
        output::json(&json!({
            "app": app, "revision": purged.revision, "settled": status.settled, "nodes": done, "waiting": waiting,
        }));
        return Ok(());
    }
    output::line(format!("{app} is purged on {}", output::count(done.len(), "node")));
    if !waiting.is_empty() {
        output::warning(format!("not yet on {}; they do it before they serve anything newer", waiting.join(", ")));
    }
    Ok(())
}
