//! Crons: runs the `scheduled` handlers that are due.
//!
//! Every node knows what is due, from the state it serves, and asks the control plane for it; the control plane gives each
//! due time to one node, once. So a due time is never run twice, and no node has to be chosen beforehand. Without an
//! answer the node goes on asking for [`LATEST`]: while the control plane is gone, crons are late, and after that lost.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use atoll_protocol::api::{CronClaim, CronClaims};
use atoll_runtime::ScheduledEvent;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dispatch::{Dispatched, Dispatcher};
use crate::follow::client::ControlPlaneClient;
use crate::logs::Logs;
use crate::request::RequestIds;
use crate::state::Serving;

/// How late something may be run, minutes: what could not be asked for until then is lost. A node that is started again
/// looks so far back.
const LATEST: u64 = 15;
/// Nodes ask within this time after the beginning of a minute, each at its own moment.
const SPREAD: Duration = Duration::from_secs(1);
/// Asked for at once.
const BATCH: usize = 500;
/// Between two times of asking for the same.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// For an app that has as many requests in flight as it may.
const PATIENCE: Duration = Duration::from_secs(60);
const MINUTE_MS: u64 = 60_000;

/// Runs what is due.
pub struct Crons {
    serving: Arc<Serving>,
    dispatcher: Arc<Dispatcher>,
    logs: Arc<Logs>,
    client: Arc<ControlPlaneClient>,
    ids: RequestIds,
    /// Names this process for the control plane.
    holder: String,
    /// What draining waits for.
    runs: TaskTracker,
    drain: CancellationToken,
    kill: CancellationToken,
}

impl Crons {
    /// Of a node that asks this control plane. What it begins is counted by `runs`; it begins nothing more once `drain` is
    /// cancelled, and ends what has begun when `kill` is.
    pub fn new(
        serving: Arc<Serving>,
        dispatcher: Arc<Dispatcher>,
        logs: Arc<Logs>,
        client: Arc<ControlPlaneClient>,
        runs: TaskTracker,
        [drain, kill]: [CancellationToken; 2],
    ) -> Arc<Self> {
        let ids = RequestIds::new();
        let holder = ids.next().to_string();
        Arc::new(Self { serving, dispatcher, logs, client, ids, holder, runs, drain, kill })
    }

    /// Runs until the node drains. `resumed` says that the node served before it was started: then it makes up for what was due
    /// in the meantime, if no other node has.
    pub async fn run(self: Arc<Self>, resumed: bool) {
        let mut done = now_ms() / MINUTE_MS;
        if resumed {
            done = done.saturating_sub(LATEST);
        }
        loop {
            let minute = now_ms() / MINUTE_MS;
            let due = self.due(missed(done, minute));
            for claims in due.chunks(BATCH) {
                let (crons, claims) = (self.clone(), claims.to_vec());
                self.spawn(async move { crons.settle(claims).await });
            }
            // A clock that is put back repeats nothing.
            done = done.max(minute);
            let next = Duration::from_millis(MINUTE_MS - now_ms() % MINUTE_MS) + moment(&self.holder);
            tokio::select! {
                () = sleep(next) => {}
                () = self.drain.cancelled() => return,
            }
        }
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let kill = self.kill.clone();
        self.runs.spawn(async move {
            tokio::select! {
                () = work => {}
                () = kill.cancelled() => {}
            }
        });
    }

    /// What is due in these minutes.
    fn due(&self, minutes: std::ops::RangeInclusive<u64>) -> Vec<CronClaim> {
        let snapshot = self.serving.current();
        let mut due = Vec::new();
        let with_crons: Vec<_> = snapshot.with_crons().collect();
        for minute in minutes {
            for app in &with_crons {
                for cron in app.due(minute) {
                    due.push(CronClaim { app: app.name.to_string(), cron: cron.to_owned(), due: minute * MINUTE_MS });
                }
            }
        }
        due
    }

    /// Asks for the due times until there is an answer or they are too old, and runs those that are given to this node.
    async fn settle(self: &Arc<Self>, mut claims: Vec<CronClaim>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let oldest = now_ms().saturating_sub((LATEST + 1) * MINUTE_MS);
            claims.retain(|claim| claim.due >= oldest);
            if claims.is_empty() {
                tracing::error!("crons are lost: the control plane could not be asked who runs them");
                return;
            }
            let request = CronClaims { holder: self.holder.clone(), claims: claims.clone() };
            match self.client.claim(&request).await {
                Ok(granted) => {
                    for (claim, _) in claims.into_iter().zip(granted).filter(|(_, granted)| *granted) {
                        let crons = self.clone();
                        self.spawn(async move { crons.fire(claim).await });
                    }
                    return;
                }
                Err(error) => tracing::warn!(%error, crons = claims.len(), "crons have to wait"),
            }
            tokio::select! {
                () = sleep(pause) => {}
                // The process after this one asks.
                () = self.drain.cancelled() => return,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn fire(&self, claim: CronClaim) {
        let started = Instant::now();
        let id = self.ids.next().to_string();
        let (version, permit) = loop {
            let app = self.serving.current().apps.get(&claim.app).cloned();
            let Some((app, version)) = app.and_then(|app| Some((app.clone(), app.version_of_cron(&claim)?))) else {
                return;
            };
            if let Some(permit) = app.admit(version.limits.concurrency) {
                break (version, permit);
            }
            if started.elapsed() > PATIENCE {
                let line = format!("cron {:?} was not run: the app has too many requests in flight", claim.cron);
                self.logs.write(&claim.app, version.number, "error", line, Some(id));
                return;
            }
            sleep(FIRST_PAUSE).await;
        };
        let event = ScheduledEvent { cron: claim.cron.clone(), scheduled_ms: claim.due as f64, request_id: id.clone() };
        let Dispatched { result, instance, .. } = self.dispatcher.schedule(&version, event).await;
        let error = match &result {
            Ok(_) => String::new(),
            Err(error) => {
                self.logs.failure(&version, error, &id);
                format!(" {}", error.code())
            }
        };
        let line = format!("scheduled {:?}{error} {:.2} ms", claim.cron, started.elapsed().as_secs_f64() * 1e3);
        self.logs.write(&claim.app, version.number, "request", line, Some(id));
        drop((permit, instance));
    }
}

/// The minutes after `done` up to `now`, but not more than may be made up for.
fn missed(done: u64, now: u64) -> std::ops::RangeInclusive<u64> {
    done.max(now.saturating_sub(LATEST)) + 1..=now
}

/// When after the beginning of a minute this process asks.
fn moment(holder: &str) -> Duration {
    let mut hasher = DefaultHasher::new();
    holder.hash(&mut hasher);
    SPREAD.mul_f64((hasher.finish() % 1000) as f64 / 1e3)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_minute_comes_once_and_old_ones_not_at_all() {
        assert_eq!(missed(10, 11).collect::<Vec<_>>(), [11]);
        assert_eq!(missed(10, 13).collect::<Vec<_>>(), [11, 12, 13]);
        assert_eq!(missed(10, 10).count(), 0);
        assert_eq!(missed(10, 5).count(), 0);
        assert_eq!(missed(10, 1000).collect::<Vec<_>>(), (986..=1000).collect::<Vec<_>>());
        assert_eq!(missed(0, 0).count(), 0);
    }

    #[test]
    fn nodes_ask_soon_after_the_minute_begins() {
        for holder in ["", "a", "0123456789abcdef"] {
            assert!(moment(holder) < SPREAD);
        }
    }
}
