//! Compiles what begins to be served before a request asks for it, one bundle after another.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use atoll_bundle::BundleHash;

use crate::dispatch::Dispatcher;
use crate::state::{Serving, Snapshot, VersionEntry};

/// More new versions at once, as a node is told that is new itself, are compiled when they are asked for.
const MOST: usize = 256;

/// After each, so that the processor and the warm pool are the requests' for most of the time.
const PAUSE: Duration = Duration::from_millis(100);

/// Goes on until it is dropped. What is served already counts as compiled: a node that is started again finds its compiled
/// code on disk.
pub fn run(serving: Arc<Serving>, dispatcher: Arc<Dispatcher>) -> impl Future<Output = ()> {
    let mut applied = serving.applied();
    let mut known: HashSet<BundleHash> = in_service(&serving.current()).map(|version| version.hash).collect();
    async move {
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
                dispatcher.compile(&version).await;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Versions with code.
fn in_service(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<VersionEntry>> {
    let versions = snapshot.apps.values().flat_map(|app| app.in_service());
    versions.filter(|version| version.has_code())
}
