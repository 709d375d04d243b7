//! What a node tells its control plane: what it runs, and the log lines of apps that are tailed.

use std::sync::Arc;
use std::time::Duration;

use atoll_protocol::api::{LogLine, NodeReport};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Status;
use super::client::ControlPlaneClient;
use crate::logs::{Logs, now};

/// The longest time between two reports.
const EVERY: Duration = Duration::from_secs(10);
/// Before a report that was not taken is sent again.
const AGAIN: Duration = Duration::from_secs(1);
/// Log lines sent at once.
const BATCH: usize = 256;

/// Reports on every change of the status and every 10 s, until cancelled.
pub async fn report(
    client: Arc<ControlPlaneClient>,
    mut status: watch::Receiver<Status>,
    edge_url: String,
    default_domain: String,
    cancel: CancellationToken,
) {
    let reporting = async {
        loop {
            let now = status.borrow_and_update().clone();
            // Without a stream the report would not be believed, and without a state there is nothing to report.
            let mut wait = EVERY;
            if now.ready && now.connections > 0 {
                let report = NodeReport {
                    revision: now.revision,
                    edge_url: edge_url.clone(),
                    default_domain: default_domain.clone(),
                    failures: now.failures,
                    certificate_failures: now.certificate_failures,
                };
                if let Err(error) = client.report(&report).await {
                    tracing::debug!(%error, "report not taken");
                    wait = AGAIN;
                }
            }
            if let Ok(Err(_)) = timeout(wait, status.changed()).await {
                return;
            }
        }
    };
    tokio::select! {
        () = reporting => {}
        () = cancel.cancelled() => {}
    }
}

/// Sends log lines in batches as they come, until cancelled. Lines that cannot be delivered are dropped, and how many
/// were is said in a line of its own before the next batch, in the log of the app whose line comes first.
pub async fn forward_logs(
    client: Arc<ControlPlaneClient>,
    logs: Arc<Logs>,
    mut queue: mpsc::Receiver<LogLine>,
    cancel: CancellationToken,
) {
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        tokio::select! {
            received = queue.recv_many(&mut batch, BATCH) => if received == 0 { return },
            () = cancel.cancelled() => return,
        }
        let lines = batch.len() as u64;
        let dropped = logs.take_dropped();
        if dropped > 0
            && let Some(first) = batch.first()
        {
            let message =
                format!("{dropped} log lines of this node were dropped: they came faster than they were taken");
            let notice = LogLine { at: now(), level: "warn".into(), message, request_id: None, ..first.clone() };
            batch.insert(0, notice);
        }
        if let Err(error) = client.logs(&batch).await {
            tracing::debug!(%error, lines, "log lines not taken");
            logs.add_dropped(lines + dropped);
        }
    }
}
