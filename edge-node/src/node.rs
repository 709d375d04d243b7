//! An edge node, assembled.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use atoll_bundle::{Bundle, BundleHash};
use atoll_protocol::api::LogLine;
use atoll_protocol::sync::AppState;
use atoll_runtime::{Engine, Pool, PoolOptions};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access_log::AccessLog;
use crate::bundles::BundleStore;
use crate::cache::FrontCache;
use crate::config::{Config, ConfigError, ControlPlaneConfig};
use crate::disk::{DataDir, DiskError};
use crate::dispatch::Dispatcher;
use crate::egress::Egress;
use crate::follow::client::ControlPlaneClient;
use crate::follow::{Follower, Status, forward_logs, report};
use crate::listener::Listener;
use crate::logs::Logs;
use crate::request::RequestIds;
use crate::saved::SavedState;
use crate::service::{Options, Service};
use crate::state::Serving;
use crate::websocket::{self, WebSockets};

/// How often idle isolates are looked for.
const TIDY: Duration = Duration::from_secs(1);
/// For all isolates to end when the node does.
const ISOLATES_END: Duration = Duration::from_secs(2);
/// How often unused bundles are looked for.
const SWEEP: Duration = Duration::from_secs(600);

/// The node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; {}", remedy(.source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A file that the configuration names cannot be used.
    #[error("{path}, which {key} names, cannot be used: {source}")]
    File {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process uses the port: stop it, or choose another with --listen",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose a higher one with --listen",
        io::ErrorKind::AddrNotAvailable => "the address is not one of this machine: choose another with --listen",
        _ => "choose another address with --listen",
    }
}

/// A running edge node. Dropping it without [`shutdown`](Self::shutdown) ends it at once.
pub struct EdgeNode {
    address: SocketAddr,
    serving: Arc<Serving>,
    dispatcher: Arc<Dispatcher>,
    logs: Arc<Logs>,
    status: watch::Receiver<Status>,
    drain: CancellationToken,
    kill: CancellationToken,
    background: CancellationToken,
    tasks: TaskTracker,
    connections: TaskTracker,
}

impl EdgeNode {
    /// Starts a node on the current tokio runtime: binds the listener, serves the last good state if there is one, and
    /// begins to follow the control plane.
    pub async fn start(config: Config, engine: Engine) -> Result<Self, StartError> {
        config.validate()?;
        let disk = config.data_dir.as_deref().map(DataDir::open).transpose()?.map(Arc::new);
        let client = config.control_plane.as_ref().map(|plane| client(plane, &config.name)).transpose()?;
        let access_log = config.access_log.as_deref().map(open_access_log).transpose()?;
        let listener = TcpListener::bind(config.listen).await;
        let listener = listener.map_err(|source| StartError::Listen { address: config.listen, source })?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { address: config.listen, source })?;

        let websocket = websocket::settings(&config.websocket);
        let egress = Arc::new(Egress::new(&config.egress, websocket.clone()));
        let (logs, log_queue) = Logs::new(&config.name);
        let serving = Arc::new(Serving::new(&config, egress.clone(), logs.clone()));
        let bundle_memory = config.bundles.cache_mb.saturating_mul(1 << 20);
        let bundle_dir = disk.as_ref().map(|disk| disk.bundles());
        let bundles = Arc::new(BundleStore::new(bundle_dir, client.clone(), bundle_memory));
        let pool = Pool::new(&engine, PoolOptions { warm: config.isolates.warm });
        let dispatcher = Arc::new(Dispatcher::new(pool, bundles.clone(), &config.isolates));
        let status = watch::Sender::new(Status { ready: config.control_plane.is_none(), ..Status::default() });
        let cache_dir = disk.as_ref().map(|disk| disk.cache());
        let cache = FrontCache::new(&config.front_cache, cache_dir.as_deref());
        let cache = cache.map_err(|source| StartError::File {
            key: "data_dir",
            path: cache_dir.clone().unwrap_or_default(),
            source,
        })?;
        if config.front_cache.disk_mb > 0 && cache_dir.is_some() {
            let cache = cache.clone();
            tokio::task::spawn_blocking(move || cache.scan());
        }
        let node = Self {
            address,
            serving: serving.clone(),
            dispatcher: dispatcher.clone(),
            logs: logs.clone(),
            status: status.subscribe(),
            drain: CancellationToken::new(),
            kill: CancellationToken::new(),
            background: CancellationToken::new(),
            tasks: TaskTracker::new(),
            connections: TaskTracker::new(),
        };

        if let (Some(plane), Some(client), Some(disk)) = (&config.control_plane, client, disk) {
            let follower = Follower {
                client,
                key: plane.key,
                node_key: Arc::new(disk.node_key()?),
                disk,
                bundles: bundles.clone(),
                serving,
                logs: logs.clone(),
                status,
                silence: Duration::from_millis(plane.silence_ms),
                tasks: node.tasks.clone(),
            };
            node.follow(follower, &config, log_queue);
        }
        let service = Service {
            serving: node.serving.clone(),
            dispatcher: dispatcher.clone(),
            cache,
            egress,
            logs,
            access_log,
            options: Options {
                debug_headers: config.debug_headers,
                expose_stacks: config.expose_stacks,
                scheduled_endpoint: config.scheduled_endpoint,
                loop_limit: config.egress.loop_depth,
            },
            websockets: WebSockets::new(
                &config.websocket,
                websocket,
                node.drain.clone(),
                node.kill.clone(),
                node.connections.clone(),
            ),
            ids: RequestIds::new(),
        };
        let connections = node.connections.clone();
        let accepting = Listener::new(Arc::new(service), node.drain.clone(), node.kill.clone(), connections);
        node.tasks.spawn(accepting.accept(listener));
        node.tasks.spawn(tidy(dispatcher, node.background.clone()));
        tracing::info!(%address, node = config.name, "edge node listening");
        Ok(node)
    }

    fn follow(&self, follower: Follower, config: &Config, log_queue: mpsc::Receiver<LogLine>) {
        let (cancel, tasks) = (&self.background, &self.tasks);
        let saved = follower.resume();
        let edge_url = config.edge_url.clone().unwrap_or_else(|| format!("http://{}", self.address));
        let (client, status) = (follower.client.clone(), follower.status.subscribe());
        tasks.spawn(report(client.clone(), status, edge_url, config.default_domain.clone(), cancel.clone()));
        tasks.spawn(forward_logs(client, self.logs.clone(), log_queue, cancel.clone()));
        let warm_up = warm_up(follower.bundles.clone(), follower.disk.clone(), saved.clone(), tasks.clone());
        let cancelled = cancel.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = warm_up => {}
                () = cancelled.cancelled() => {}
            }
        });
        tasks.spawn(follower.run(saved, cancel.clone()));
    }

    /// Where the node listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the node serves a state: that of the disk, or the first one from the control plane.
    pub async fn ready(&self) {
        let mut status = self.status.clone();
        // Without a follower the sender is gone and the last value stands.
        let _ = status.wait_for(|status| status.ready).await;
    }

    /// Waits until the node serves `revision` or a later one.
    pub async fn applied(&self, revision: u64) {
        let mut applied = self.serving.applied();
        let _ = applied.wait_for(|applied| *applied >= revision).await;
    }

    /// What the node tells its control plane of itself.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Isolates that live now.
    pub fn live_isolates(&self) -> usize {
        self.dispatcher.live()
    }

    /// Serves an app from memory in place of what it was, for `atoll dev`: all its versions run `bundle` with these
    /// secrets. Requests under way finish with the code they began with. Nothing of it is kept on disk.
    pub fn install(&self, mut app: AppState, bundle: Bundle, secrets: &BTreeMap<String, String>) {
        let hash = BundleHash::of(&bundle.encode());
        for version in app.versions.values_mut() {
            version.bundle = hash;
        }
        self.serving.install(&app, Arc::new(bundle), secrets);
    }

    /// All log lines of all apps from now on.
    pub fn logs(&self) -> broadcast::Receiver<LogLine> {
        self.logs.subscribe()
    }

    /// Takes no more connections, finishes the requests under way, and ends; after `deadline` without waiting for them
    /// any longer. Says whether all were finished.
    pub async fn shutdown(self, deadline: Duration) -> bool {
        self.drain.cancel();
        self.connections.close();
        let drained = timeout(deadline, self.connections.wait()).await.is_ok();
        self.kill.cancel();
        self.connections.wait().await;
        self.background.cancel();
        self.tasks.close();
        // Afterwards the data directory is free for another process.
        self.tasks.wait().await;
        // An isolate whose thread is stuck in code that cannot be interrupted is left behind.
        let _ = timeout(ISOLATES_END, self.dispatcher.stop_all("the node is shutting down")).await;
        drained
    }
}

impl Drop for EdgeNode {
    fn drop(&mut self) {
        self.drain.cancel();
        self.kill.cancel();
        self.background.cancel();
    }
}

fn client(plane: &ControlPlaneConfig, node: &str) -> Result<Arc<ControlPlaneClient>, StartError> {
    let token = match (&plane.token, &plane.token_file) {
        (Some(token), _) => token.0.clone(),
        (None, Some(path)) => std::fs::read_to_string(path).map_err(|source| StartError::File {
            key: "control_plane.token_file",
            path: path.clone(),
            source,
        })?,
        (None, None) => String::new(),
    };
    let client = ControlPlaneClient::new(&plane.url, node, &token).ok_or_else(|| ConfigError::Value {
        key: "control_plane.token",
        value: "…".into(),
        problem: "a token is one line of letters, digits and underscores, as `atoll token create` prints it".into(),
    })?;
    Ok(Arc::new(client))
}

fn open_access_log(target: &str) -> Result<AccessLog, StartError> {
    let failed = |source| StartError::File { key: "access_log", path: target.into(), source };
    AccessLog::open(target).map_err(failed)
}

async fn tidy(dispatcher: Arc<Dispatcher>, cancel: CancellationToken) {
    let mut every = interval(TIDY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every.tick() => dispatcher.tidy(),
            () = cancel.cancelled() => return,
        }
    }
}

/// Reads the bundles of the last good state into memory, so that first requests need not wait for the disk; then deletes
/// unused ones from time to time.
async fn warm_up(bundles: Arc<BundleStore>, disk: Arc<DataDir>, saved: SavedState, tasks: TaskTracker) {
    for hash in saved.bundles() {
        if let Err(error) = bundles.load(hash).await {
            tracing::warn!(%error, "a bundle of the last good state is not there");
        }
    }
    drop(saved);
    let mut every = interval(SWEEP);
    loop {
        every.tick().await;
        let disk = disk.clone();
        if let Ok(Some(state)) = tasks.spawn_blocking(move || disk.load()).await {
            bundles.sweep(state.bundles()).await;
        }
    }
}
