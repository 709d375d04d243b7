//! Compiles what begins to be served before a request asks for it, one bundle after another, and has what was compiled by a
//! process before at hand, and the apps that it belongs to.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::bundles::off_thread;
use crate::dispatch::Dispatcher;
use crate::state::Serving;

/// So many bytes of compiled code, and of the bundles it is of, are read from disk when a node starts; others when they are
/// asked for.
const AT_HAND: usize = 16 << 20;

/// Of so many bundles at most.
const BUNDLES_AT_HAND: usize = 1024;

/// How long the pool has to have been full before each, so that requests come first.
const CALM: Duration = Duration::from_millis(5);

/// On a node that is never calm, how long each waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a node can do without waits so long when it is started: it comes to serve meanwhile.
const SETTLING: Duration = Duration::from_millis(250);

/// Goes on until it is dropped. What is served already counts as compiled: a node that is started again finds its compiled
/// code on disk. Of too many new versions at once, as a node is told that is new itself, each is compiled when it is asked for.
pub fn run(serving: Arc<Serving>, dispatcher: Arc<Dispatcher>) -> impl Future<Output = ()> {
    let mut applied = serving.applied();
    drop(serving.take_new());
    let snapshot = serving.current().clone();
    async move {
        settled(&dispatcher).await;
        let known = off_thread(move || snapshot.bundles()).await;
        let at_hand = dispatcher.recall(known, BUNDLES_AT_HAND, AT_HAND).await;
        let snapshot = serving.current().clone();
        off_thread(move || snapshot.make_ready(&at_hand)).await;
        while applied.changed().await.is_ok() {
            for version in serving.take_new() {
                calm_or_impatient(&dispatcher).await;
                dispatcher.compile(&version).await;
            }
        }
    }
}

/// Waits until a node that has just been started serves and its pool is full.
pub async fn settled(dispatcher: &Dispatcher) {
    sleep(SETTLING).await;
    calm_or_impatient(dispatcher).await;
}

/// Waits until no start has taken an isolate from the pool for a while, on a node that is never calm for a second.
async fn calm_or_impatient(dispatcher: &Dispatcher) {
    let _ = timeout(PATIENCE, calm(dispatcher)).await;
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
