//! `atoll certificates`.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use atoll_protocol::api::UnixMillis;
use atoll_protocol::certificates::{CertificateChanged, CertificateInfo, CertificateRequest, CertificateSource};
use serde_json::json;

use super::client;
use crate::args::{CertificatesArgs, CertificatesCommand};
use crate::client::Client;
use crate::error::CommandError;
use crate::output::{self, Progress};

/// How long nodes are waited for, milliseconds.
const WAIT_MS: u64 = 30_000;

/// Runs the command.
pub async fn run(args: CertificatesArgs) -> Result<(), CommandError> {
    match args.command {
        CertificatesCommand::Add { name, cert, key, client: target } => {
            let request = CertificateRequest { chain: read(&cert)?, key: read(&key)? };
            let client = client(&target)?;
            let set = client.put_certificate(&name, &request).await?;
            settled(&client, &set, "is served", target.json).await
        }
        CertificatesCommand::Remove { name, client: target } => {
            let client = client(&target)?;
            let gone = client.delete_certificate(&name).await?;
            settled(&client, &gone, "is removed", target.json).await
        }
        CertificatesCommand::Renew { name, client: target } => {
            client(&target)?.renew_certificate(&name).await?;
            if target.json {
                output::json(&json!({ "name": name, "renewing": true }));
            } else {
                output::line(format!("{name} is asked for; `atoll certificates list` shows how it goes"));
            }
            Ok(())
        }
        CertificatesCommand::List(args) => {
            let certificates = client(&args.client)?.certificates().await?;
            if args.client.json {
                output::json(&certificates);
            } else {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                list(certificates, u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
            }
            Ok(())
        }
    }
}

fn read(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path).map_err(|error| {
        let problem = format!("{} cannot be read: {error}; it has to be PEM", path.display());
        CommandError::new("certificate-unreadable", problem)
    })
}

/// Waits until the nodes that are connected have a change, and says which do not serve it.
async fn settled(client: &Client, changed: &CertificateChanged, what: &str, json: bool) -> Result<(), CommandError> {
    let progress = Progress::new("waiting for the nodes", json);
    let status = client.revision(changed.revision, WAIT_MS).await?;
    drop(progress);
    let (mut done, mut waiting, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for node in status.nodes {
        let report = node.report.filter(|report| report.revision >= changed.revision);
        match report.map(|report| report.certificate_failures.get(&changed.name).cloned()) {
            None => waiting.push(node.name),
            Some(None) => done.push(node.name),
            Some(Some(problem)) => failed.push((node.name, problem)),
        }
    }
    if json {
        let failed: serde_json::Map<_, _> = failed.into_iter().map(|(node, problem)| (node, problem.into())).collect();
        output::json(&json!({
            "name": changed.name, "revision": changed.revision, "nodes": done, "waiting": waiting, "failed": failed,
        }));
        return Ok(());
    }
    output::line(format!("{} {what} on {}", changed.name, output::count(done.len(), "node")));
    if !waiting.is_empty() {
        output::warning(format!("not yet on {}", waiting.join(", ")));
    }
    for (node, problem) in failed {
        output::warning(format!("{node} serves on what it had: {problem}"));
    }
    Ok(())
}

fn list(certificates: Vec<CertificateInfo>, now: UnixMillis) {
    let mut notes = Vec::new();
    let row = |certificate: CertificateInfo| {
        let source = match certificate.source {
            CertificateSource::Upload => "upload",
            CertificateSource::Acme => "acme",
        };
        for (node, problem) in &certificate.failures {
            notes.push(format!("{}: {node} serves on what it had: {problem}", certificate.name));
        }
        let mut state = if certificate.facts.is_some() { "served" } else { "wanted" };
        let mut next = String::new();
        if let Some(facts) = &certificate.facts {
            let life = facts.not_after.saturating_sub(facts.not_before);
            if facts.not_after <= now {
                state = "expired";
            } else if certificate.renewal.is_none() && now >= facts.not_before.saturating_add(life / 3 * 2) {
                let until = output::time(facts.not_after);
                notes.push(format!("{}: it is valid until {until}; add another under this name", certificate.name));
            }
        }
        if let Some(renewal) = certificate.renewal {
            next = match renewal.next {
                None => "no route".into(),
                Some(at) if at <= now => "now".into(),
                Some(at) => output::time(at),
            };
            if let Some(problem) = renewal.problem {
                notes.push(format!(
                    "{}: failed {}: {problem}",
                    certificate.name,
                    output::count(renewal.failures as usize, "time")
                ));
                state = "failing";
            } else if renewal.ordered {
                state = "ordered";
            }
        }
        let (names, issuer, until) = match certificate.facts {
            Some(facts) => (facts.names.join(" "), facts.issuer, output::time(facts.not_after)),
            None => (String::new(), String::new(), String::new()),
        };
        [certificate.name, source.into(), names, until, state.into(), next, issuer]
    };
    let rows = certificates.into_iter().map(row).collect();
    output::table(["NAME", "FROM", "HOSTS", "VALID UNTIL", "STATE", "NEXT", "ISSUER"], rows, "no certificates");
    for note in notes {
        output::warning(note);
    }
}
