//! Compiles what begins to be served before a request asks for it, one bundle after another, and has what was compiled by a
//! process before at hand.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use atoll_bundle::BundleHash;
use tokio::time::{Instant, sleep, timeout};

use crate::dispatch::Dispatcher;
use crate::state::{Serving, Snapshot, VersionEntry};

/// More new versions at once, as a node is told that is new itself, are compiled when they are asked for.
const MOST: usize = 256;

/// So many bundles' compiled code is read from disk when a node starts; that of others when it is asked for.
const AT_HAND: usize = 4096;

/// How long the pool has to have been full before each, so that requests come first.
const CALM: Duration = Duration::from_millis(5);

/// On a node that is never calm, how long each waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// Goes on until it is dropped. What is served already counts as compiled: a node that is started again finds its compiled
/// code on disk.
pub fn run(serving: Arc<Serving>, dispatcher: Arc<Dispatcher>) -> impl Future<Output = ()> {
    let mut applied = serving.applied();
    let mut known: HashSet<BundleHash> = in_service(&serving.current()).map(|version| version.hash).collect();
    async move {
        dispatcher.recall(known.iter().copied().take(AT_HAND).collect()).await;
        while applied.changed().await.is_ok() {
            let snapshot = serving.current().clone();
            let new: Vec<Arc<VersionEntry>> =
                in_service(&snapshot).filter(|version| !known.contains(&version.hash)).cloned().collect();
            known = in_service(&snapshot).map(|version| version.hash).collect();
            drop(snapshot);
            if new.len() > MOST {
                continue;
            }
            for version in new {
                let _ = timeout(PATIENCE, calm(&dispatcher)).await;
                dispatcher.compile(&version).await;
            }
        }
    }
}

/// Waits until no start has taken an isolate from the pool for a while.
async fn calm(dispatcher: &Dispatcher) {
    let mut since = None;
    loop {
        since = if dispatcher.is_pool_full() { since.or_else(|| Some(Instant::now())) } else { None };
        if since.is_some_and(|since| since.elapsed() >= CALM) {
            return;
        }
        sleep(CALM).await;
    }
}

/// Versions with code.
fn in_service(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<VersionEntry>> {
    let versions = snapshot.apps.values().flat_map(|app| app.in_service());
    versions.filter(|version| version.has_code())
}
