//! Where an app's log lines go: to subscribers in this process, and to the control plane for apps that are tailed.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use atoll_protocol::api::{LogLine, UnixMillis};
use atoll_runtime::HandlerError;
use tokio::sync::{broadcast, mpsc};

use crate::dispatch::DispatchError;
use crate::state::VersionEntry;

/// Lines that wait for the control plane; more are dropped and counted.
const FORWARD_QUEUE: usize = 4096;
/// Lines that a slow subscriber in this process may be behind.
const SUBSCRIBER_QUEUE: usize = 4096;

/// The node's log of its apps. Writing to it never waits.
pub struct Logs {
    node: String,
    subscribers: broadcast::Sender<LogLine>,
    tailed: ArcSwap<HashSet<String>>,
    forward: mpsc::Sender<LogLine>,
    dropped: AtomicU64,
}

impl Logs {
    /// An empty log, and the end from which lines for the control plane are taken.
    pub fn new(node: &str) -> (Arc<Self>, mpsc::Receiver<LogLine>) {
        let (forward, queue) = mpsc::channel(FORWARD_QUEUE);
        let logs = Self {
            node: node.to_owned(),
            subscribers: broadcast::Sender::new(SUBSCRIBER_QUEUE),
            tailed: ArcSwap::default(),
            forward,
            dropped: AtomicU64::new(0),
        };
        (Arc::new(logs), queue)
    }

    /// All lines of all apps from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<LogLine> {
        self.subscribers.subscribe()
    }

    /// Sends the lines of these apps to the control plane from now on, and of no others.
    pub fn set_tailed(&self, apps: impl IntoIterator<Item = String>) {
        self.tailed.store(Arc::new(apps.into_iter().collect()));
    }

    /// Whether anybody reads the lines of `app`; when not, there is no need to make them.
    pub fn wanted(&self, app: &str) -> bool {
        self.subscribers.receiver_count() > 0 || self.tailed.load().contains(app)
    }

    /// Takes a line.
    pub fn write(&self, app: &str, version: u64, level: &str, message: String, request_id: Option<String>) {
        if !self.wanted(app) {
            return;
        }
        let line = LogLine {
            at: now(),
            node: self.node.clone(),
            app: app.to_owned(),
            version,
            level: level.to_owned(),
            message,
            request_id,
        };
        if self.tailed.load().contains(app) && self.forward.try_send(line.clone()).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        // Nobody may be listening any more.
        let _ = self.subscribers.send(line);
    }

    /// Writes down why an event of an app had no answer. What ends a whole isolate and what the handler threw, the isolate
    /// says itself.
    pub fn failure(&self, version: &VersionEntry, error: &DispatchError, request_id: &str) {
        let said_already = matches!(
            error,
            DispatchError::Handler(
                HandlerError::Startup { .. }
                    | HandlerError::StartupCpuLimit { .. }
                    | HandlerError::CpuLimit { .. }
                    | HandlerError::MemoryLimit { .. }
                    | HandlerError::Exception { .. }
                    | HandlerError::InvalidResponse(_)
            )
        );
        if said_already || !self.wanted(&version.app) {
            return;
        }
        let mut line = error.message();
        if let Some(stack) = error.stack() {
            let _ = write!(line, "\n{stack}");
        }
        self.write(&version.app, version.number, "error", line, Some(request_id.to_owned()));
    }

    /// Counts lines that were taken from the queue but not delivered.
    pub fn add_dropped(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    /// Lines dropped since the last call.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

/// The current time.
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tailed_apps_are_forwarded_and_overflow_is_counted() {
        let (logs, mut queue) = Logs::new("n");
        logs.write("a", 1, "log", "unseen".into(), None);
        logs.set_tailed(["a".to_owned()]);
        assert!(logs.wanted("a") && !logs.wanted("b"));
        logs.write("b", 1, "log", "unseen".into(), None);
        logs.write("a", 2, "warn", "seen".into(), Some("r".into()));
        let line = queue.try_recv().unwrap();
        assert_eq!((line.version, line.level.as_str(), line.message.as_str()), (2, "warn", "seen"));
        for _ in 0..FORWARD_QUEUE + 3 {
            logs.write("a", 2, "log", "x".into(), None);
        }
        assert_eq!(logs.take_dropped(), 3);
        assert_eq!(logs.take_dropped(), 0);
    }

    #[test]
    fn subscribers_see_all_apps() {
        let (logs, _queue) = Logs::new("n");
        let mut lines = logs.subscribe();
        logs.write("b", 1, "log", "x".into(), None);
        assert_eq!(lines.try_recv().unwrap().app, "b");
    }
}
