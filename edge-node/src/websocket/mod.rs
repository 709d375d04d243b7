//! WebSockets of clients: handshakes, connections, and their end when the node drains or a version is replaced.

pub mod connection;
pub mod frame;
pub mod handshake;
mod memory;
mod upgrade;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use atoll_runtime::{Close, Socket};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::{Ended, Settings};
use self::frame::Role;
use self::memory::MessageMemory;
pub use self::upgrade::Upgrade;
use crate::answer::Ticket;
use crate::config::WebSocketConfig;

/// For the answer to a handshake to be sent.
const UPGRADE_TIME: Duration = Duration::from_secs(30);

/// For the other side to answer a close.
const CLOSE_TIME: Duration = Duration::from_secs(10);

/// What holds for all WebSockets of a node, those to other hosts too.
#[derive(Clone)]
pub struct Terms {
    message_bytes: usize,
    ping: Duration,
    idle: Duration,
    memory: MessageMemory,
}

/// The WebSockets of a node.
pub struct WebSockets {
    terms: Terms,
    max_per_app: u32,
    grace: Duration,
    drain: CancellationToken,
    kill: CancellationToken,
    tasks: TaskTracker,
    count: AtomicU32,
}

/// A handshake that was granted: its connection, once it is free, and the end that the app gave out.
pub struct Granted {
    /// The app.
    pub app: Arc<str>,
    /// Resolves when the answer was sent.
    pub upgrade: Upgrade,
    /// What the connection is joined to.
    pub socket: Socket,
    /// Cancelled when the version is not served any more.
    pub retired: CancellationToken,
}

impl Terms {
    /// What the operator says.
    pub fn new(config: &WebSocketConfig) -> Self {
        let bytes = |mb: u64| mb.saturating_mul(1 << 20);
        Self {
            message_bytes: usize::try_from(config.message_bytes).unwrap_or(usize::MAX),
            ping: Duration::from_millis(config.ping_ms),
            idle: Duration::from_millis(config.idle_ms),
            memory: MessageMemory::new(bytes(config.memory_mb), bytes(config.app_memory_mb)),
        }
    }

    /// What holds for a connection of an app.
    pub fn of(&self, app: &Arc<str>) -> Settings {
        let Self { message_bytes, ping, idle, ref memory } = *self;
        Settings { message_bytes, ping, idle, close: CLOSE_TIME, memory: memory.of(app) }
    }
}

impl WebSockets {
    /// None yet. When `drain` is cancelled they are closed after the configured grace, when `kill` is at once. Their
    /// tasks are counted by `tasks`.
    pub fn new(
        config: &WebSocketConfig,
        terms: Terms,
        drain: CancellationToken,
        kill: CancellationToken,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let grace = Duration::from_millis(config.grace_ms);
        let max_per_app = config.max_per_app;
        Arc::new(Self { terms, max_per_app, grace, drain, kill, tasks, count: AtomicU32::new(0) })
    }

    /// WebSockets that one app may have open.
    pub fn max_per_app(&self) -> u32 {
        self.max_per_app
    }

    /// Carries a granted WebSocket to its end. `ticket` is given back then.
    pub fn spawn(self: &Arc<Self>, granted: Granted, ticket: Ticket) {
        self.tasks.spawn(self.clone().run(granted, ticket));
    }

    async fn run(self: Arc<Self>, granted: Granted, mut ticket: Ticket) {
        let Granted { app, upgrade, socket, retired } = granted;
        let settings = self.terms.of(&app);
        let upgraded = tokio::select! {
            upgraded = timeout(UPGRADE_TIME, upgrade.done()) => upgraded,
            () = self.kill.cancelled() => return,
        };
        let Ok(Some(io)) = upgraded else {
            socket.fail("the connection was lost");
            return;
        };
        let stop = async {
            let lost = async {
                match &ticket.instance {
                    Some(instance) => instance.isolate.lost().await,
                    None => std::future::pending().await,
                }
            };
            let going = async {
                tokio::select! {
                    () = self.drain.cancelled() => "the node is shutting down",
                    () = retired.cancelled() => "a new version was deployed",
                }
            };
            tokio::select! {
                () = lost => Close::new(1011, "the worker was stopped"),
                reason = going => {
                    sleep(self.moment()).await;
                    Close::new(1001, reason)
                }
            }
        };
        let run = connection::run(io, Role::Server, &socket, &settings, stop);
        let (ended, bytes) = tokio::select! {
            ended = run => ended,
            () = self.kill.cancelled() => (Ended::Lost, 0),
        };
        ticket.finish(bytes, ended.code());
    }

    /// When within the grace one of many connections is closed: not all clients come back at the same moment.
    fn moment(&self) -> Duration {
        const PARTS: u32 = 16;
        let part = self.count.fetch_add(1, Ordering::Relaxed) % PARTS;
        self.grace * (PARTS - part) / PARTS
    }
}
