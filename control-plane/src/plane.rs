//! A control plane from start to shutdown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use atoll_protocol::api::Scope;
use atoll_protocol::signing::SigningKey;
use atoll_store::{SqliteOptions, SqliteStore, Store, StoreError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::acme::{self, Acme};
use crate::assets::Assets;
use crate::bundles::Bundles;
use crate::config::Config;
use crate::data_dir::{DataDir, StartError};
use crate::nodes::Nodes;
use crate::tails::Tails;
use crate::vault::Vault;
use crate::{auth, http, server, time};

/// The store's file in the data directory.
const STORE: &str = "atoll.db";
/// The directory of bundles in the data directory.
const BUNDLES: &str = "bundles";
/// The directory of static files in the data directory.
const ASSETS: &str = "assets";
/// The key that seals the secrets.
const MASTER_KEY: &str = "master.key";
/// The key that signs what nodes get, and its public half in hexadecimal.
const SIGNING_KEY: &str = "signing.key";
const SIGNING_PUBLIC: &str = "signing.pub";
/// The first token, for the operator, and the one for a node in the same process.
const ADMIN_TOKEN: &str = "admin.token";
const NODE_TOKEN: &str = "node.token";
/// The base URL of a running API, for clients on the same machine.
const ENDPOINT: &str = "endpoint";

/// How often bundles that nothing names are looked for.
const COLLECT: Duration = Duration::from_hours(1);
/// And how long after the start for the first time: what serves comes first, and nothing is deployed meanwhile.
const FIRST_COLLECT: Duration = Duration::from_mins(1);

/// What requests work on.
pub(crate) struct Plane {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bundles: Bundles,
    pub(crate) assets: Assets,
    pub(crate) vault: Vault,
    pub(crate) signing: SigningKey,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) tails: Arc<Tails>,
    /// Cancelled when the control plane closes: streams end then.
    pub(crate) closing: CancellationToken,
    /// All tasks that use this.
    pub(crate) tasks: TaskTracker,
    pub(crate) heartbeat: Duration,
    /// Certificates by ACME, when an authority is configured.
    pub(crate) acme: Option<Acme>,
}

/// A running control plane. Dropping it without [`shutdown`](Self::shutdown) cuts its connections.
pub struct ControlPlane {
    plane: Option<Arc<Plane>>,
    data: DataDir,
    address: SocketAddr,
    public_key: String,
    admin_token: String,
    closing: CancellationToken,
    abort: CancellationToken,
    tasks: TaskTracker,
}

impl ControlPlane {
    /// Opens the data directory (creating what it lacks), binds the listener and serves. Nothing is served, and the
    /// directory's lock is let go, when this fails.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let listener = async |address| {
            let bound = TcpListener::bind(address).await;
            bound.map_err(|source| StartError::Listen { address, source })
        };
        let data_dir = config.data_dir.clone();
        let data = blocking(move || DataDir::open(&data_dir)).await?;
        let listener = listener(config.listen).await?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { address: config.listen, source })?;

        let (closing, abort, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        let (data, mut plane) = {
            let (closing, tasks) = (closing.clone(), tasks.clone());
            blocking(move || open(data, &config, closing, tasks)).await?
        };
        plane.store.bind_master_key(plane.vault.fingerprint().to_owned()).await.map_err(|error| match error {
            StoreError::WrongMasterKey => StartError::MasterKey { path: data.file(MASTER_KEY) },
            other => other.into(),
        })?;
        plane.heartbeat = plane.heartbeat.max(Duration::from_millis(1));
        let public_key = plane.signing.public_key().to_string();
        let admin_token = local_token(&data, plane.store.as_ref(), ADMIN_TOKEN, Scope::Admin).await?;
        data.write(SIGNING_PUBLIC, &public_key)?;
        data.write(ENDPOINT, &base_url(address))?;

        let plane = Arc::new(plane);
        tasks.spawn(collect(Arc::clone(&plane)));
        tasks.spawn(acme::run(Arc::clone(&plane)));
        let router = http::router(Arc::clone(&plane));
        tasks.spawn(server::serve(listener, router, tasks.clone(), closing.clone(), abort.clone()));
        tracing::info!(%address, revision = *plane.store.watch().borrow(), "the control plane serves");
        Ok(Self { plane: Some(plane), data, address, public_key, admin_token, closing, abort, tasks })
    }

    /// The address of the listener.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The API's base URL for clients on this machine.
    pub fn base_url(&self) -> String {
        base_url(self.address)
    }

    /// The Ed25519 public key by which nodes know this control plane, in hexadecimal.
    pub fn public_key_hex(&self) -> String {
        self.public_key.clone()
    }

    /// The operator's token, which is also in `DIR/admin.token`.
    pub fn admin_token(&self) -> String {
        self.admin_token.clone()
    }

    /// A token for a node in the same process. It is kept in `DIR/node.token` and is the same at every start.
    pub async fn node_token(&self) -> Result<String, StartError> {
        let plane = self.plane.as_ref().expect("present until shutdown");
        local_token(&self.data, plane.store.as_ref(), NODE_TOKEN, Scope::Node).await
    }

    /// Closes: accepts nothing more, ends all streams at once, and waits until the requests that have begun are
    /// answered, but not longer than `deadline`. Gives whether all were. The data directory is free afterwards.
    pub async fn shutdown(mut self, deadline: Duration) -> bool {
        self.data.remove(ENDPOINT);
        self.closing.cancel();
        self.tasks.close();
        let drained = tokio::time::timeout(deadline, self.tasks.wait()).await.is_ok();
        self.abort.cancel();
        self.tasks.wait().await;
        // With the last task gone this closes the store, which waits for its thread.
        let plane = self.plane.take();
        let _ = tokio::task::spawn_blocking(move || drop(plane)).await;
        drained
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.closing.cancel();
        self.abort.cancel();
    }
}

/// Runs what waits for the disk beside the runtime's own threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| StartError::System(format!("the start was stopped: {error}")))?
}

fn open(
    data: DataDir,
    config: &Config,
    closing: CancellationToken,
    tasks: TaskTracker,
) -> Result<(DataDir, Plane), StartError> {
    let acme = config.acme.clone().map(Acme::new).transpose()?;
    let no_randomness = || StartError::System("the system gives no randomness".into());
    let options = SqliteOptions { max_bytes: config.store_max_bytes };
    let history = auth::random_hex::<16>().ok_or_else(no_randomness)?;
    let store = SqliteStore::open(&data.private_file(STORE)?, &history, &options)?;

    let vault = data.read_or_create(MASTER_KEY, || Vault::generate().ok_or_else(no_randomness))?;
    let vault = Vault::from_text(&vault).map_err(|problem| StartError::Key { path: data.file(MASTER_KEY), problem })?;
    let new_key = || {
        let key = SigningKey::generate().and_then(|key| key.to_pkcs8());
        key.map(|key| STANDARD.encode(key)).map_err(|error| StartError::System(error.to_string()))
    };
    let signing = signing_key(&data.file(SIGNING_KEY), &data.read_or_create(SIGNING_KEY, new_key)?)?;

    let directory = data.file(BUNDLES);
    let bundles = Bundles::open(&directory).map_err(|source| StartError::File { path: directory.clone(), source })?;
    let directory = data.file(ASSETS);
    let assets = Assets::open(&directory).map_err(|source| StartError::File { path: directory.clone(), source })?;
    data.sync().map_err(|source| StartError::File { path: directory, source })?;
    let plane = Plane {
        store: Arc::new(store),
        bundles,
        assets,
        vault,
        signing,
        nodes: Arc::default(),
        tails: Arc::default(),
        closing,
        tasks,
        heartbeat: config.heartbeat,
        acme,
    };
    Ok((data, plane))
}

fn signing_key(path: &Path, text: &str) -> Result<SigningKey, StartError> {
    let wrong = |problem: String| StartError::Key { path: path.to_owned(), problem };
    let pkcs8 = STANDARD.decode(text).map_err(|error| wrong(format!("it is not base64: {error}")))?;
    SigningKey::from_pkcs8(&pkcs8).map_err(|error| wrong(error.to_string()))
}

/// The token in a file of the data directory. A new one is made when the file is missing or its token is not good any
/// more, in place of what was in the file: who can write the data directory owns the control plane anyway.
async fn local_token(data: &DataDir, store: &dyn Store, file: &str, scope: Scope) -> Result<String, StartError> {
    if let Some(token) = data.read(file)?
        && auth::is_good(store, &token, time::now()).await
    {
        return Ok(token);
    }
    let (token, stored) = auth::mint(&format!("DIR/{file}"), scope, time::now(), None)
        .ok_or_else(|| StartError::System("the system gives no randomness".into()))?;
    store.create_token(stored, true).await?;
    data.write(file, &token)?;
    Ok(token)
}

/// Where a client on this machine reaches a listener.
fn base_url(address: SocketAddr) -> String {
    let host = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    format!("http://{}", SocketAddr::new(host, address.port()))
}

/// Deletes bundles and static files that nothing names, now and then.
async fn collect(plane: Arc<Plane>) {
    let mut interval = tokio::time::interval_at(Instant::now() + FIRST_COLLECT, COLLECT);
    loop {
        tokio::select! {
            () = plane.closing.cancelled() => return,
            _ = interval.tick() => {}
        }
        match plane.bundles.collect(plane.store.as_ref()).await {
            Ok(0) => {}
            Ok(deleted) => tracing::info!(deleted, "bundles that no version names are gone"),
            Err(error) => tracing::warn!("bundles that no version names could not be deleted: {error:?}"),
        }
        match plane.assets.collect(plane.store.as_ref()).await {
            Ok(0) => {}
            Ok(deleted) => tracing::info!(deleted, "static files that no version names are gone"),
            Err(error) => tracing::warn!("static files that no version names could not be deleted: {error:?}"),
        }
    }
}
