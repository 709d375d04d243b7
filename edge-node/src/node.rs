//! An edge node, assembled.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use atoll_bundle::{Bundle, BundleHash};
use atoll_protocol::api::LogLine;
use atoll_protocol::sync::AppState;
use atoll_runtime::{CodeStarts, Engine, Pool, PoolOptions, give_back_memory, huge_pages};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access_log::AccessLog;
use crate::assets::{AssetStore, LocalAsset};
use crate::bundles::{BundleStore, off_thread};
use crate::cache::FrontCache;
use crate::certificates::ControlledCertificates;
use crate::compress::Compression;
use crate::config::{Config, ConfigError, ControlPlaneConfig};
use crate::crons::Crons;
use crate::disk::{DataDir, DiskError};
use crate::dispatch::{Dispatcher, resident_memory};
use crate::egress::Egress;
use crate::follow::client::ControlPlaneClient;
use crate::follow::{Follower, Status, forward_logs, report};
use crate::listeners::{Bound, Certificates, ListenAddress, NamedSocket, OnName, Shared, TlsFileError};
use crate::load::{Load, memory_ceiling};
use crate::logs::Logs;
use crate::precompile;
use crate::private::{self, Private};
use crate::request::RequestIds;
use crate::saved::SavedState;
use crate::service::{Options, Service};
use crate::services::Services;
use crate::state::Serving;
use crate::upgrade::{self, Inheritance, UpgradeError};
use crate::version::Maker;
use crate::websocket::{self, WebSockets};

/// The names by which another process knows what is no listener.
const LOCK: &str = "lock";
const PRIVATE: &str = "private";
/// How often idle isolates are looked for.
const TIDY: Duration = Duration::from_secs(1);
/// For all isolates to end when the node does.
const ISOLATES_END: Duration = Duration::from_secs(2);
/// How often the state on disk is looked at: whether it could be read faster if it were written anew.
const TIDY_STATE: Duration = Duration::from_secs(60);
/// How often unused bundles are looked for.
const SWEEP: Duration = Duration::from_secs(600);
/// And how long after the start for the first time: it reads all of the state and the names of all files.
const FIRST_SWEEP: Duration = Duration::from_secs(60);

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
        address: ListenAddress,
        /// Why not.
        source: io::Error,
    },
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsFileError),
    /// There are no file descriptors left.
    #[error("a listening socket cannot be kept for the process after this one: {0}")]
    Duplicate(#[source] io::Error),
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
    addresses: Vec<Option<SocketAddr>>,
    disk: Option<Arc<DataDir>>,
    /// The listening sockets, to be handed to another process; closed when this one takes no more connections.
    sockets: Vec<NamedSocket>,
    /// Which of them speak TLS.
    secure: Vec<bool>,
    private: Option<SocketAddr>,
    certificates: Option<Certificates>,
    serving: Arc<Serving>,
    assets: Arc<AssetStore>,
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
        Self::take_over(config, engine, None).await
    }

    /// The same in the place of the process before, with what it has sent.
    pub async fn take_over(
        config: Config,
        engine: Engine,
        inheritance: Option<&mut Inheritance>,
    ) -> Result<Self, StartError> {
        config.validate()?;
        let mut inherited = inheritance.map(|before| std::mem::take(&mut before.sockets)).unwrap_or_default();
        let mut inherit = |name: &str| {
            let at = inherited.iter().position(|(known, _)| known == name)?;
            Some(inherited.swap_remove(at).1)
        };
        let lock = inherit(LOCK).map(File::from);
        let private = inherit(PRIVATE);
        let disk = config.data_dir.as_deref().map(|path| DataDir::open(path, lock)).transpose()?.map(Arc::new);
        let client = config.control_plane.as_ref().map(|plane| client(plane, &config.name)).transpose()?;
        let access_log = config.access_log.as_deref().map(open_access_log).transpose()?;
        let private = match config.private_listen {
            None => None,
            Some(address) => Some(
                private::bind(address, private)
                    .await
                    .map_err(|source| StartError::Listen { address: ListenAddress::Tcp(address), source })?,
            ),
        };
        let websocket = websocket::Terms::new(&config.websocket);
        let egress = Egress::new(&config.egress, websocket.clone()).map_err(|source| StartError::File {
            key: "egress.ca_file",
            path: config.egress.ca_file.clone().unwrap_or_default(),
            source,
        })?;
        let egress = Arc::new(egress);
        let (logs, log_queue) = Logs::new(&config.name);
        let asset_memory = config.assets.memory_mb.saturating_mul(1 << 20);
        let assets = AssetStore::new(disk.as_ref().map(|disk| disk.assets()), client.clone(), asset_memory);
        let cache_dir = disk.as_ref().map(|disk| disk.cache());
        let variant_memory = config.compression.memory_mb.saturating_mul(1 << 20);
        let cache = FrontCache::new(&config.front_cache, variant_memory, cache_dir.as_deref());
        let cache = cache.map_err(|source| StartError::File {
            key: "data_dir",
            path: cache_dir.clone().unwrap_or_default(),
            source,
        })?;
        if config.front_cache.disk_mb > 0 && cache_dir.is_some() {
            let cache = cache.clone();
            tokio::task::spawn_blocking(move || cache.scan());
        }
        let services = Services::new(logs.clone());
        let maker = Maker::new(&config, egress.clone(), logs.clone(), services.clone(), cache.clone(), assets.clone());
        let serving = Arc::new(Serving::new(maker));
        let bundle_memory = config.bundles.cache_mb.saturating_mul(1 << 20);
        let bundle_dir = disk.as_ref().map(|disk| disk.bundles());
        let bundles = Arc::new(BundleStore::new(bundle_dir, client.clone(), bundle_memory));
        let certificates = Arc::new(ControlledCertificates::default());
        let status = watch::Sender::new(Status { ready: config.control_plane.is_none(), ..Status::default() });
        let (served, tasks) = (status.subscribe(), TaskTracker::new());
        let mut following = None;
        if let (Some(plane), Some(client), Some(disk)) = (&config.control_plane, client, &disk) {
            let follower = Follower {
                client,
                key: plane.key,
                node_key: Arc::new(disk.node_key()?),
                disk: disk.clone(),
                bundles: bundles.clone(),
                assets: assets.clone(),
                serving: serving.clone(),
                certificates: certificates.clone(),
                logs: logs.clone(),
                status,
                silence: Duration::from_millis(plane.silence_ms),
                tasks: tasks.clone(),
            };
            // Before threads are begun that this one would have to share its processor with.
            let saved = follower.resume();
            following = Some((follower, saved));
        }
        if config.huge_pages {
            huge_pages::move_code();
        }
        let code = disk.as_ref().map(|disk| disk.code());
        let pool = Pool::new(&engine, PoolOptions { warm: config.isolates.warm, code });
        let dispatcher = Arc::new(Dispatcher::new(pool, bundles.clone(), &config.isolates));
        services.connect(&serving, &dispatcher);
        let on_name: OnName = {
            let (serving, dispatcher) = (serving.clone(), dispatcher.clone());
            Arc::new(move |name| warm(&serving, &dispatcher, name))
        };
        let listeners = config.all_listeners();
        let bound = Bound::open(&listeners, &mut inherited, &on_name, &certificates)?;
        let mut sockets = bound.duplicate().map_err(StartError::Duplicate)?;
        if let Some(listener) = &private {
            sockets.push((PRIVATE.into(), listener.as_fd().try_clone_to_owned().map_err(StartError::Duplicate)?));
        }
        let addresses = bound.addresses();
        let shed = config.connections.shed_mb.map_or_else(memory_ceiling, |mb| mb.saturating_mul(1 << 20));
        let load = Arc::new(Load::new(config.connections.max_requests, shed));
        let mut node = Self {
            secure: listeners.iter().map(|listener| listener.tls.is_some()).collect(),
            addresses,
            disk: disk.clone(),
            sockets,
            private: private.as_ref().and_then(|listener| listener.local_addr().ok()),
            serving: serving.clone(),
            assets: assets.clone(),
            dispatcher: dispatcher.clone(),
            logs: logs.clone(),
            status: served,
            drain: CancellationToken::new(),
            kill: CancellationToken::new(),
            background: CancellationToken::new(),
            tasks,
            connections: TaskTracker::new(),
            certificates: None,
        };

        if let Some((follower, saved)) = following {
            node.follow(follower, saved, &config, log_queue);
        }
        let service = Service {
            serving: node.serving.clone(),
            certificates,
            dispatcher: dispatcher.clone(),
            cache,
            compression: Compression::new(config.compression.enabled, config.compression.streams),
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
        let tokens = [node.drain.clone(), node.kill.clone()];
        let connections = node.connections.clone();
        let shared = Shared::new(Arc::new(service), load.clone(), &config.connections, tokens, connections);
        node.certificates = Some(bound.run(&shared, &node.tasks, &node.background));
        if let Some(listener) = private {
            let private = Private { status: node.status(), drain: node.drain.clone(), load: load.clone() };
            node.tasks.spawn(private.run(listener, node.background.clone()));
        }
        node.tasks.spawn(tidy(dispatcher, load, node.background.clone()));
        let listening: Vec<String> = node.addresses.iter().flatten().map(SocketAddr::to_string).collect();
        tracing::info!(addresses = listening.join(" "), node = config.name, "edge node listening");
        Ok(node)
    }

    fn follow(&self, follower: Follower, saved: SavedState, config: &Config, log_queue: mpsc::Receiver<LogLine>) {
        let (cancel, tasks) = (&self.background, &self.tasks);
        let crons = Crons::new(
            self.serving.clone(),
            self.dispatcher.clone(),
            self.logs.clone(),
            follower.client.clone(),
            self.connections.clone(),
            [self.drain.clone(), self.kill.clone()],
        );
        tasks.spawn(crons.run(saved.revision > 0));
        let edge_url = config.edge_url.clone().unwrap_or_else(|| self.base_url());
        let (client, status) = (follower.client.clone(), follower.status.subscribe());
        tasks.spawn(report(client.clone(), status, edge_url, config.default_domain.clone(), cancel.clone()));
        tasks.spawn(forward_logs(client, self.logs.clone(), log_queue, cancel.clone()));
        let precompile = precompile::run(self.serving.clone(), self.dispatcher.clone());
        let stores = (follower.bundles.clone(), follower.assets.clone(), self.dispatcher.clone());
        let warm_up = warm_up(stores, self.serving.clone(), follower.disk.clone(), tasks.clone());
        let cancelled = cancel.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = async { tokio::join!(warm_up, precompile); } => {}
                () = cancelled.cancelled() => {}
            }
        });
        let (disk, still_used, cancel) = (follower.disk.clone(), tasks.clone(), cancel.clone());
        tasks.spawn(async move {
            follower.run(saved, cancel).await;
            // The next start finds it as it is read fastest.
            tidy_state(&disk, &still_used).await;
        });
    }

    /// Where the node listens: the first listener with an IP address; port 0 of the unspecified one when there is none.
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses.iter().flatten().next().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// The URL at which clients of this machine reach that listener.
    pub fn base_url(&self) -> String {
        let first = self.addresses.iter().position(Option::is_some).unwrap_or_default();
        let scheme = if self.secure.get(first) == Some(&true) { "https" } else { "http" };
        format!("{scheme}://{}", self.local_addr())
    }

    /// Where each listener listens, in the order of the configuration; none for Unix sockets.
    pub fn addresses(&self) -> &[Option<SocketAddr>] {
        &self.addresses
    }

    /// Where the private listener listens.
    pub fn private_addr(&self) -> Option<SocketAddr> {
        self.private
    }

    /// Starts `program` in the place of this process: hands it the listening sockets and waits until it serves, at most
    /// `patience`. Returns its process id; [shut down](Self::shutdown) is then what is left to do here. When it fails,
    /// this node goes on as if nothing had been.
    pub async fn hand_over(
        &self,
        program: &Path,
        arguments: &[OsString],
        patience: Duration,
    ) -> Result<u32, UpgradeError> {
        let copy = |(name, socket): &NamedSocket| Ok((name.clone(), socket.try_clone()?));
        let sockets = self.sockets.iter().map(copy).collect::<io::Result<Vec<_>>>();
        let mut sockets = sockets.map_err(UpgradeError::HandOver)?;
        if let Some(disk) = &self.disk {
            tidy_state(disk, &self.tasks).await;
            sockets.push((LOCK.into(), disk.share_lock().map_err(UpgradeError::HandOver)?));
            // Two processes must not write one state.
            disk.release();
        }
        let handed_over = upgrade::hand_over(program, arguments, sockets, patience).await;
        if handed_over.is_err()
            && let Some(disk) = self.disk.clone()
            && let Ok(Err(error)) = self.tasks.spawn_blocking(move || disk.reclaim()).await
        {
            tracing::error!(code = "state-not-written", %error, "the state of the time of the upgrade is not on disk");
        }
        handed_over
    }

    /// Reads certificates and keys again. One that cannot be used is named in the log, and the old one goes on.
    pub fn reload_certificates(&self) {
        if let Some(certificates) = &self.certificates {
            certificates.reload();
        }
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

    /// Where the compiled code of the isolates that were started came from.
    pub fn code_starts(&self) -> CodeStarts {
        self.dispatcher.code_starts()
    }

    /// How many bytes of compiled code are in memory.
    pub fn code_bytes(&self) -> usize {
        self.dispatcher.code_bytes()
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

    /// Serves these files of this machine, by the SHA-256 of their contents, to apps that are
    /// [installed](Self::install): the manifests that their versions name and all that those name. Files of before are
    /// forgotten.
    pub fn set_local_assets(&self, files: HashMap<BundleHash, LocalAsset>) {
        self.assets.set_local(files);
    }

    /// All log lines of all apps from now on.
    pub fn logs(&self) -> broadcast::Receiver<LogLine> {
        self.logs.subscribe()
    }

    /// Takes no more connections, finishes the requests under way, and ends; after `deadline` without waiting for them
    /// any longer. Says whether all were finished.
    pub async fn shutdown(mut self, deadline: Duration) -> bool {
        self.drain.cancel();
        self.sockets.clear();
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

async fn tidy(dispatcher: Arc<Dispatcher>, load: Arc<Load>, cancel: CancellationToken) {
    let mut every = interval(TIDY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every.tick() => {
                dispatcher.tidy();
                give_back_memory();
                if load.observe(resident_memory()) {
                    let shedding = load.is_shedding();
                    tracing::warn!(shedding, "requests are refused while the memory is used up");
                }
            }
            () = cancel.cancelled() => return,
        }
    }
}

/// Fetches what is missing of the bundles of the last good state, so that first requests need not wait for it; then deletes
/// unused ones, and tidies up the state, from time to time.
async fn warm_up(
    (bundles, assets, dispatcher): (Arc<BundleStore>, Arc<AssetStore>, Arc<Dispatcher>),
    serving: Arc<Serving>,
    disk: Arc<DataDir>,
    tasks: TaskTracker,
) {
    // The node comes to serve first, and its pool to be full.
    precompile::settled(&dispatcher).await;
    let snapshot = serving.current().clone();
    let needed = off_thread(move || snapshot.bundles()).await;
    for hash in bundles.missing(needed).await {
        if let Err(error) = bundles.load(hash).await {
            tracing::warn!(%error, "a bundle of the last good state is not there");
        }
    }
    let mut every = interval_at(Instant::now() + FIRST_SWEEP, SWEEP);
    let mut tidy = interval(TIDY_STATE);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = tidy.tick() => {
                tidy_state(&disk, &tasks).await;
                continue;
            }
        }
        let disk = disk.clone();
        if let Ok(Some((needed, manifests))) = tasks.spawn_blocking(move || Some(disk.load()?.named())).await {
            bundles.sweep(needed.clone()).await;
            dispatcher.sweep(needed).await;
            assets.sweep(manifests).await;
        }
    }
}

/// Sees to it that the state on disk can be read fast.
async fn tidy_state(disk: &Arc<DataDir>, tasks: &TaskTracker) {
    let disk = disk.clone();
    // What it cannot do is no reason to stop.
    let _ = tasks.spawn_blocking(move || disk.tidy()).await;
}

/// Starts an isolate of the app behind a name that a TLS client has just asked for, so that the request finds it there.
fn warm(serving: &Serving, dispatcher: &Arc<Dispatcher>, name: &str) {
    let snapshot = serving.current();
    let Some(version) = snapshot.find(name, "/").and_then(|app| app.version_for(name.as_bytes())) else {
        return;
    };
    if version.has_code() && version.instances.is_empty() {
        let (dispatcher, version) = (dispatcher.clone(), version.clone());
        tokio::spawn(async move { dispatcher.warm(&version).await });
    }
}
