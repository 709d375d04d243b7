//! The stream by which a node follows: what it needs to catch up, then every change after its commit.
//!
//! The store's hint says only that something was committed; what is sent is always read from the store, so a missed or
//! doubled hint loses nothing.

use std::sync::Arc;

use atoll_protocol::certificates::CertificateState;
use atoll_protocol::seal::{NodePublicKey, seal_for};
use atoll_protocol::sync::{AppState, Frame, SignedFrame};
use atoll_store::{AppRecord, CertificateRecord, Changes, StoreError};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::auth;
use crate::error::ApiError;
use crate::nodes::Connection;
use crate::plane::Plane;
use crate::stream::{Ended, Lines};
use crate::time;

/// A node that follows.
pub(crate) struct Follower {
    pub(crate) name: String,
    pub(crate) key: NodePublicKey,
    /// The id of the token it came with.
    pub(crate) token: String,
}

/// Checks that secrets can be sealed under a node's key.
pub(crate) fn check_key(key: &str) -> Result<NodePublicKey, ApiError> {
    let wrong = |problem: String| ApiError::bad_request("node-key-invalid", format!("key: {problem}"));
    let key: NodePublicKey = key.parse().map_err(|error: atoll_protocol::ParseKeyError| wrong(error.to_string()))?;
    match seal_for(&key, "", "", 0, "") {
        Ok(_) => Ok(key),
        Err(_) => Err(wrong("it is no X25519 public key that secrets can be sealed for".to_owned())),
    }
}

/// Whether a node with the state of revision `since` of `history` can be sent changes, rather than everything.
fn resumes(since: u64, history: Option<&str>, ours: &str, revision: u64) -> bool {
    since > 0 && since <= revision && history.is_none_or(|history| history == ours)
}

/// What a node gets first: changes when they are enough, else a snapshot.
pub(crate) async fn catch_up(plane: &Plane, since: u64, history: Option<&str>) -> Result<(Changes, bool), StoreError> {
    let changes = plane.store.changes(since).await?;
    if resumes(since, history, plane.store.history(), changes.revision) {
        return Ok((changes, false));
    }
    let everything = if since == 0 { changes } else { plane.store.changes(0).await? };
    Ok((everything, true))
}

/// Feeds a node until its stream ends.
pub(crate) async fn follow(
    plane: Arc<Plane>,
    follower: Follower,
    (since, history): (u64, Option<String>),
    lines: Lines,
    connection: Connection,
) {
    let name = follower.name.clone();
    tracing::info!(node = name, since, "follows");
    if let Err(Stop::Store(error)) = feed(&plane, &follower, since, history.as_deref(), &lines).await {
        tracing::error!(node = name, "its stream ends, because the store failed: {error}");
    }
    drop(connection);
    tracing::info!(node = name, "follows no more");
}

enum Stop {
    Ended,
    Store(StoreError),
}

impl From<Ended> for Stop {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn feed(
    plane: &Arc<Plane>,
    follower: &Follower,
    since: u64,
    history: Option<&str>,
    lines: &Lines,
) -> Result<(), Stop> {
    // The hints are taken before the state is read: what is committed in between shows as a hint.
    let mut hints = plane.store.watch();
    hints.mark_unchanged();
    let mut tails = plane.tails.watch();
    let (changes, whole) = catch_up(plane, since, history).await?;
    let mut at = changes.revision;
    let idle = !whole && changes.apps.is_empty() && changes.certificates.is_empty();
    send(plane, follower, changes, whole, lines).await?;
    if idle {
        lines.send(&sign(plane, &Frame::Heartbeat { revision: at })).await?;
    }
    let tailed = tails.borrow_and_update().iter().cloned().collect();
    lines.send(&sign(plane, &Frame::Tail { apps: tailed })).await?;

    let mut heartbeat = interval_at(Instant::now() + plane.heartbeat, plane.heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = lines.ended() => return Ok(()),
            changed = hints.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let changes = plane.store.changes(at).await?;
                at = changes.revision;
                send(plane, follower, changes, false, lines).await?;
            }
            // The sender belongs to the plane, which outlives this.
            Ok(()) = tails.changed() => {
                let apps = tails.borrow_and_update().iter().cloned().collect();
                lines.send(&sign(plane, &Frame::Tail { apps })).await?;
            }
            _ = heartbeat.tick() => {
                if auth::is_void(plane.store.as_ref(), &follower.token, time::now()).await {
                    tracing::info!(node = follower.name, "its token is not valid any more");
                    return Ok(());
                }
                lines.send(&sign(plane, &Frame::Heartbeat { revision: at })).await?;
            }
        }
    }
}

/// Sends changes, or all as a snapshot. Sealing and signing keep a thread busy for as long as there are apps, so they
/// run beside the requests.
async fn send(
    plane: &Arc<Plane>,
    follower: &Follower,
    changes: Changes,
    whole: bool,
    lines: &Lines,
) -> Result<(), Stop> {
    let key = follower.key;
    let plane = Arc::clone(plane);
    let frames = tokio::task::spawn_blocking(move || frames(&plane, &key, changes, whole))
        .await
        .map_err(|error| StoreError::Storage(format!("frames could not be made: {error}")))?;
    Ok(lines.send_all(&frames).await?)
}

fn frames(plane: &Plane, key: &NodePublicKey, changes: Changes, whole: bool) -> Vec<SignedFrame> {
    if whole {
        let apps = changes.apps.into_iter().map(|app| state(plane, key, app)).collect();
        let history = plane.store.history().to_owned();
        let certificates = changes.certificates.into_iter().map(|record| certificate(plane, key, record)).collect();
        return vec![sign(plane, &Frame::Snapshot { history, revision: changes.revision, apps, certificates })];
    }
    let app = |app: AppRecord| {
        let (revision, name) = (app.revision, app.name.clone());
        let state = (!app.deleted).then(|| Box::new(state(plane, key, app)));
        (revision, sign(plane, &Frame::Change { revision, app: name, state }))
    };
    let certificate = |record: CertificateRecord| {
        let (revision, name) = (record.revision, record.name.clone());
        let state = (!record.deleted).then(|| Box::new(certificate(plane, key, record)));
        (revision, sign(plane, &Frame::Certificate { revision, name, state }))
    };
    let mut frames: Vec<_> = changes.apps.into_iter().map(app).collect();
    frames.extend(changes.certificates.into_iter().map(certificate));
    frames.sort_by_key(|(revision, _)| *revision);
    frames.into_iter().map(|(_, frame)| frame).collect()
}

fn certificate(plane: &Plane, node: &NodePublicKey, record: CertificateRecord) -> CertificateState {
    let key = plane.vault.reseal_key(&record, node).unwrap_or_else(|error| {
        // The node says that it cannot serve this one, and goes on with what it has.
        tracing::error!(certificate = record.name, "a node does not get a private key: {error}");
        None
    });
    CertificateState {
        chain: record.issued.map(|issued| issued.chain),
        key,
        name: record.name,
        revision: record.revision,
        challenges: record.challenges,
    }
}

fn state(plane: &Plane, key: &NodePublicKey, app: AppRecord) -> AppState {
    let (secrets, errors) = plane.vault.reseal(&app, key);
    for error in errors {
        // The app's code meets a missing secret; every other app and secret is served.
        tracing::error!(app = app.name, "a node does not get a secret: {error}");
    }
    let (deployment, targets) = app.deployment.map_or((0, Vec::new()), |made| (made.number, made.targets));
    AppState {
        incarnation: format!("{}.{}", plane.store.history(), app.predecessor),
        name: app.name,
        revision: app.revision,
        routes: app.routes,
        default_route: app.default_route,
        deployment,
        targets,
        versions: app.versions,
        secrets,
        purges: app.purges,
    }
}

fn sign(plane: &Plane, frame: &Frame) -> SignedFrame {
    SignedFrame::sign(&plane.signing, frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_resumes_only_within_the_same_history() {
        assert!(resumes(3, None, "ours", 5));
        assert!(resumes(5, Some("ours"), "ours", 5));
        assert!(!resumes(0, Some("ours"), "ours", 5), "a node without state needs everything");
        assert!(!resumes(6, Some("ours"), "ours", 5), "a revision from the future is of another history");
        assert!(!resumes(3, Some("theirs"), "ours", 5));
        assert!(!resumes(3, Some(""), "ours", 5));
    }

    #[test]
    fn a_key_must_be_usable() {
        assert!(check_key(&"09".repeat(32)).is_ok());
        assert_eq!(check_key("09").unwrap_err().code, "node-key-invalid");
        assert_eq!(check_key(&"00".repeat(32)).unwrap_err().code, "node-key-invalid");
    }
}
