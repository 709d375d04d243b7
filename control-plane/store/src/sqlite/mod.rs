//! The store on SQLite: one file, one writer thread that commits changes one after another, and a few connections that
//! read beside it (WAL).

mod apps;
mod certificates;
mod changes;
mod crons;
mod group;
mod purges;
mod schema;
mod secrets;
mod tokens;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use atoll_bundle::BundleHash;
use atoll_protocol::api::{CronClaim, Deployment, SecretInfo, Target, UnixMillis, Version};
use atoll_protocol::certificates::{CertificateSource, Challenge};
use atoll_protocol::sync::PurgeScope;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction};
use tokio::sync::{Semaphore, watch};

use crate::{
    AppRecord, CertificateRecord, Changes, Deployed, NewDeploy, NewVersion, OpenError, Sealer, Store, StoreError,
    StoreFuture, StoredCertificate, StoredToken,
};
use group::Job;
use schema::Found;

/// How many connections read at the same time.
const READERS: usize = 4;

/// Settings of a [`SqliteStore`].
#[derive(Clone, Debug, Default)]
pub struct SqliteOptions {
    /// The most bytes the database may hold; changes beyond it fail with [`StoreError::Full`]. No limit by default.
    pub max_bytes: Option<u64>,
}

/// The store in a SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    history: String,
    revision: watch::Receiver<u64>,
    readers: Arc<Readers>,
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    writer: Option<JoinHandle<()>>,
}

struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl SqliteStore {
    /// Opens the store in the file at `path`, and creates it there if it does not exist. `history` is the word that a
    /// new store is known by; give random ones. Blocks; must be called within a tokio runtime.
    pub fn open(path: &Path, history: &str, options: &SqliteOptions) -> Result<Self, OpenError> {
        let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                OpenError::Foreign { path: path.into(), problem: "it is no SQLite database".into() }
            }
            _ => OpenError::Storage { path: path.into(), source: error.into() },
        };
        let mut connection = Connection::open(path).map_err(failed)?;
        match schema::prepare(&mut connection, history).map_err(failed)? {
            Found::Ready => {}
            Found::Newer(found) => {
                return Err(OpenError::NewerFormat { path: path.into(), found, supported: schema::FORMAT });
            }
            Found::Foreign => {
                let problem = "it is a database of another program".into();
                return Err(OpenError::Foreign { path: path.into(), problem });
            }
        }
        schema::configure(&connection).map_err(failed)?;
        if let Some(bytes) = options.max_bytes {
            let page: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(failed)?;
            // The pragma answers with the limit that now holds, which may be more: what the file has already.
            connection
                .pragma_update_and_check(None, "max_page_count", (bytes / page).max(1), |_| Ok(()))
                .map_err(failed)?;
        }
        let history = meta(&connection, "history").map_err(failed)?.unwrap_or_default();
        let (revision_sender, revision) = watch::channel(changes::revision(&connection).map_err(failed)?);
        let (jobs, queue) = mpsc::channel::<Box<dyn Job>>();
        let writer = std::thread::Builder::new()
            .name("atoll-store".into())
            .spawn(move || write_all(connection, &queue, &revision_sender))
            .map_err(|error| OpenError::Storage {
                path: path.into(),
                source: StoreError::Storage(format!("the writer thread could not be started: {error}")),
            })?;
        let readers = Readers { path: path.into(), idle: Mutex::default(), permits: Arc::new(Semaphore::new(READERS)) };
        Ok(Self {
            path: path.into(),
            history,
            revision,
            readers: Arc::new(readers),
            jobs: Some(jobs),
            writer: Some(writer),
        })
    }

    /// Runs `change` in a transaction on the writer thread and commits if it gives `Ok`. It may run more than once, and only
    /// the last time counts: changes that wait together share a commit, and when that fails each is made alone.
    fn write<T: Send + 'static>(
        &self,
        change: impl Fn(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let (job, answer) = group::job(change);
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(job));
        Box::pin(async move {
            let stopped = || StoreError::Storage("the writer thread has stopped".into());
            sent.and_then(Result::ok).ok_or_else(stopped)?;
            answer.await.map_err(|_| stopped())?
        })
    }

    /// Runs `query` in a transaction that sees one state of the store.
    fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let readers = Arc::clone(&self.readers);
        Box::pin(async move {
            let permit = Arc::clone(&readers.permits).acquire_owned().await.map_err(|_| closed())?;
            tokio::task::spawn_blocking(move || {
                // Held until the query ends, also when nobody waits for it any more.
                let _permit = permit;
                let mut connection = readers.take()?;
                let result = {
                    let transaction = connection.transaction()?;
                    query(&transaction)
                };
                readers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                result
            })
            .await
            .map_err(|error| StoreError::Storage(format!("a query was stopped: {error}")))?
        })
    }
}

fn closed() -> StoreError {
    StoreError::Storage("the store is closed".into())
}

impl Readers {
    fn take(&self) -> Result<Connection, StoreError> {
        if let Some(connection) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(connection);
        }
        let connection = Connection::open(&self.path)?;
        schema::configure(&connection)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }
}

fn write_all(mut connection: Connection, queue: &mpsc::Receiver<Box<dyn Job>>, revision: &watch::Sender<u64>) {
    while let Ok(first) = queue.recv() {
        // Whoever came while the disk was waited for shares the next wait.
        let mut jobs: Vec<_> = std::iter::once(first).chain(queue.try_iter()).take(group::MOST).collect();
        group::run(&mut connection, &mut jobs);
        if let Ok(now) = changes::revision(&connection) {
            revision.send_if_modified(|known| std::mem::replace(known, now) != now);
        }
        // Whoever has the answer finds the revision at its place.
        jobs.into_iter().for_each(|job| job.reply());
    }
}

fn meta(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error.to_string()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error.to_string()),
            _ => Self::Storage(error.to_string()),
        }
    }
}

/// Reads JSON that this program has written.
fn parse<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("{what}: {error}")))
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Storage(error.to_string()))
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).field("history", &self.history).finish_non_exhaustive()
    }
}

impl Drop for SqliteStore {
    /// Waits for the changes that have been asked for, and for the file to be closed.
    fn drop(&mut self) {
        self.jobs = None;
        self.readers.permits.close();
        self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Store for SqliteStore {
    fn history(&self) -> &str {
        &self.history
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.revision.clone()
    }

    fn bind_master_key(&self, fingerprint: String) -> StoreFuture<'_, ()> {
        self.write(move |tx| match meta(tx, "master_key")? {
            Some(known) if known == fingerprint => Ok(()),
            Some(_) => Err(StoreError::WrongMasterKey),
            None => {
                tx.execute("INSERT INTO meta (key, value) VALUES ('master_key', ?1)", [&fingerprint])?;
                Ok(())
            }
        })
    }

    fn changes(&self, since: u64) -> StoreFuture<'_, Changes> {
        self.read(move |tx| changes::since(tx, since))
    }

    fn apps(&self) -> StoreFuture<'_, Vec<AppRecord>> {
        self.read(apps::all)
    }

    fn app(&self, app: String) -> StoreFuture<'_, AppRecord> {
        self.read(move |tx| apps::load(tx, &apps::find(tx, &app)?))
    }

    fn delete_app(&self, app: String, now: UnixMillis) -> StoreFuture<'_, u64> {
        self.write(move |tx| apps::delete(tx, &app, now))
    }

    fn deploy(&self, app: String, deploy: NewDeploy, now: UnixMillis) -> StoreFuture<'_, Deployed> {
        self.write(move |tx| apps::deploy(tx, &app, &deploy, now))
    }

    fn create_version(&self, app: String, version: NewVersion, now: UnixMillis) -> StoreFuture<'_, Version> {
        self.write(move |tx| apps::create_version(tx, &app, &version, now))
    }

    fn versions(&self, app: String) -> StoreFuture<'_, Vec<Version>> {
        self.read(move |tx| apps::versions(tx, &app))
    }

    fn create_deployment(&self, app: String, targets: Vec<Target>, now: UnixMillis) -> StoreFuture<'_, Deployment> {
        self.write(move |tx| apps::create_deployment(tx, &app, &targets, now))
    }

    fn deployments(&self, app: String) -> StoreFuture<'_, Vec<Deployment>> {
        self.read(move |tx| apps::deployments(tx, &app))
    }

    fn set_routes(
        &self,
        app: String,
        routes: Vec<String>,
        default_route: bool,
        now: UnixMillis,
    ) -> StoreFuture<'_, AppRecord> {
        self.write(move |tx| apps::set_routes(tx, &app, &routes, default_route, now))
    }

    fn purge(&self, app: String, scopes: Vec<PurgeScope>, now: UnixMillis) -> StoreFuture<'_, u64> {
        self.write(move |tx| purges::purge(tx, &app, &scopes, now))
    }

    fn claim_crons(&self, holder: String, claims: Vec<CronClaim>, now: UnixMillis) -> StoreFuture<'_, Vec<bool>> {
        self.write(move |tx| crons::claim(tx, &holder, &claims, now))
    }

    fn secrets(&self, app: String) -> StoreFuture<'_, Vec<SecretInfo>> {
        self.read(move |tx| secrets::list(tx, &app))
    }

    fn set_secret(&self, app: String, name: String, seal: Sealer, now: UnixMillis) -> StoreFuture<'_, u64> {
        self.write(move |tx| secrets::set(tx, &app, &name, &seal, now))
    }

    fn delete_secret(&self, app: String, name: String, now: UnixMillis) -> StoreFuture<'_, u64> {
        self.write(move |tx| secrets::delete(tx, &app, &name, now))
    }

    fn certificates(&self) -> StoreFuture<'_, Vec<CertificateRecord>> {
        self.read(certificates::all)
    }

    fn put_certificate(
        &self,
        name: String,
        source: CertificateSource,
        issued: StoredCertificate,
        now: UnixMillis,
    ) -> StoreFuture<'_, u64> {
        self.write(move |tx| certificates::put(tx, &name, &source, &issued, now))
    }

    fn set_challenges(&self, name: String, challenges: Vec<Challenge>, now: UnixMillis) -> StoreFuture<'_, u64> {
        self.write(move |tx| certificates::set_challenges(tx, &name, &challenges, now))
    }

    fn delete_certificate(&self, name: String, now: UnixMillis) -> StoreFuture<'_, u64> {
        self.write(move |tx| certificates::delete(tx, &name, now))
    }

    fn notes(&self) -> StoreFuture<'_, BTreeMap<String, Vec<u8>>> {
        self.read(certificates::notes)
    }

    fn set_note(&self, key: String, value: Option<Vec<u8>>) -> StoreFuture<'_, ()> {
        self.write(move |tx| certificates::set_note(tx, &key, value.as_deref()))
    }

    fn routes(&self) -> StoreFuture<'_, Vec<String>> {
        self.read(certificates::routes)
    }

    fn create_token(&self, token: StoredToken, replace: bool) -> StoreFuture<'_, ()> {
        self.write(move |tx| tokens::create(tx, &token, replace))
    }

    fn token(&self, id: String) -> StoreFuture<'_, Option<StoredToken>> {
        self.read(move |tx| tokens::get(tx, &id))
    }

    fn tokens(&self) -> StoreFuture<'_, Vec<StoredToken>> {
        self.read(tokens::list)
    }

    fn delete_token(&self, id: String) -> StoreFuture<'_, ()> {
        self.write(move |tx| tokens::delete(tx, &id))
    }

    fn bundles(&self) -> StoreFuture<'_, HashSet<BundleHash>> {
        self.read(apps::bundles)
    }

    fn manifests(&self) -> StoreFuture<'_, HashSet<BundleHash>> {
        self.read(apps::manifests)
    }
}
