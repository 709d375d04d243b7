//! The control plane's truth: apps, versions, deployments, routes, sealed secrets, certificates and tokens behind one
//! trait.
//!
//! Every change of an app or certificate gets a revision inside the transaction that makes it, so revisions are gapless and in commit
//! order, and an acknowledged change is durable. Deleted ones leave a tombstone, so that whoever follows by revision
//! hears of the deletion; their numbers of versions and deployments are never given out again.

mod certificate;
mod error;
mod record;
mod sqlite;

use std::future::Future;
use std::pin::Pin;

pub use certificate::{CertificateRecord, StoredCertificate};
pub use error::{OpenError, StoreError};
pub use record::{
    AppRecord, Changes, Deployed, NewDeploy, NewVersion, SealFailed, Sealed, Sealer, StoredSecret, StoredToken,
};
pub use sqlite::{SqliteOptions, SqliteStore};

use atoll_bundle::BundleHash;
use atoll_protocol::api::{CronClaim, Deployment, SecretInfo, Target, UnixMillis, Version};
use atoll_protocol::certificates::{CertificateSource, Challenge};
use atoll_protocol::sync::PurgeScope;
use std::collections::{BTreeMap, HashSet};
use tokio::sync::watch;

/// What a method of [`Store`] returns.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The most secrets an app may have.
pub const MAX_SECRETS: usize = 256;

/// The most purges of an app that are kept apart. The oldest beyond them become one of everything that came before.
pub const MAX_PURGES: usize = 256;

/// The control plane's state. Methods that change it return when the change is durable; a change whose future is
/// dropped may or may not happen, but never in part. `now` is the caller's clock.
pub trait Store: Send + Sync + 'static {
    /// A random word made when the store was created, which tells its revisions from those of any other store.
    fn history(&self) -> &str;

    /// The revision of the last committed change, updated after every commit. A hint to look at [`changes`](Self::changes):
    /// several commits may show as one update.
    fn watch(&self) -> watch::Receiver<u64>;

    /// Remembers the fingerprint of the key under which secrets are sealed; an error when another one is remembered.
    fn bind_master_key(&self, fingerprint: String) -> StoreFuture<'_, ()>;

    /// The revision, and all apps and certificates whose last change is after `since`, in the order of their last
    /// changes. With `since` 0 that is everything there is; otherwise deleted ones are among them, marked as such.
    fn changes(&self, since: u64) -> StoreFuture<'_, Changes>;

    /// All apps by name.
    fn apps(&self) -> StoreFuture<'_, Vec<AppRecord>>;

    /// One app.
    fn app(&self, app: String) -> StoreFuture<'_, AppRecord>;

    /// Deletes an app with all its versions, deployments, routes and secrets; gives the revision.
    fn delete_app(&self, app: String, now: UnixMillis) -> StoreFuture<'_, u64>;

    /// Creates the app if need be, a version of it, its routes and a deployment of the version alone.
    fn deploy(&self, app: String, deploy: NewDeploy, now: UnixMillis) -> StoreFuture<'_, Deployed>;

    /// Creates the app if need be, and a version of it that serves nothing yet.
    fn create_version(&self, app: String, version: NewVersion, now: UnixMillis) -> StoreFuture<'_, Version>;

    /// An app's versions, newest first.
    fn versions(&self, app: String) -> StoreFuture<'_, Vec<Version>>;

    /// Points an app at versions of it that exist. The weights have been checked.
    fn create_deployment(&self, app: String, targets: Vec<Target>, now: UnixMillis) -> StoreFuture<'_, Deployment>;

    /// An app's deployments, newest first.
    fn deployments(&self, app: String) -> StoreFuture<'_, Vec<Deployment>>;

    /// Replaces an app's routes.
    fn set_routes(
        &self,
        app: String,
        routes: Vec<String>,
        default_route: bool,
        now: UnixMillis,
    ) -> StoreFuture<'_, AppRecord>;

    /// Purges what nodes have cached of an app; gives the revision.
    fn purge(&self, app: String, scopes: Vec<PurgeScope>, now: UnixMillis) -> StoreFuture<'_, u64>;

    /// Gives due times of crons to whoever asks first; says for each whether it is the holder's. The same holder gets the
    /// same answer when it asks again. Nobody gets what is older than [`CRON_KEPT_MS`](atoll_protocol::api::CRON_KEPT_MS).
    fn claim_crons(&self, holder: String, claims: Vec<CronClaim>, now: UnixMillis) -> StoreFuture<'_, Vec<bool>>;

    /// An app's secrets by name, without their values.
    fn secrets(&self, app: String) -> StoreFuture<'_, Vec<SecretInfo>>;

    /// Sets a secret to what `seal` makes of its version; gives the revision, which is also the secret's version.
    fn set_secret(&self, app: String, name: String, seal: Sealer, now: UnixMillis) -> StoreFuture<'_, u64>;

    /// Deletes a secret; gives the revision.
    fn delete_secret(&self, app: String, name: String, now: UnixMillis) -> StoreFuture<'_, u64>;

    /// All certificates by name.
    fn certificates(&self) -> StoreFuture<'_, Vec<CertificateRecord>>;

    /// Stores a certificate in place of what its name stood for, and ends its challenges; gives the revision.
    fn put_certificate(
        &self,
        name: String,
        source: CertificateSource,
        issued: StoredCertificate,
        now: UnixMillis,
    ) -> StoreFuture<'_, u64>;

    /// Sets the challenges that nodes answer for a certificate that is got by ACME, which need not exist yet; gives the
    /// revision, which is an old one when nothing changes.
    fn set_challenges(&self, name: String, challenges: Vec<Challenge>, now: UnixMillis) -> StoreFuture<'_, u64>;

    /// Deletes a certificate; gives the revision.
    fn delete_certificate(&self, name: String, now: UnixMillis) -> StoreFuture<'_, u64>;

    /// What the control plane has noted for itself, which nodes do not hear of.
    fn notes(&self) -> StoreFuture<'_, BTreeMap<String, Vec<u8>>>;

    /// Sets a note, or deletes it.
    fn set_note(&self, key: String, value: Option<Vec<u8>>) -> StoreFuture<'_, ()>;

    /// The route patterns of all apps, sorted.
    fn routes(&self) -> StoreFuture<'_, Vec<String>>;

    /// Adds a token; with `replace`, in place of all tokens that have its name.
    fn create_token(&self, token: StoredToken, replace: bool) -> StoreFuture<'_, ()>;

    /// The token with this id, if there is one.
    fn token(&self, id: String) -> StoreFuture<'_, Option<StoredToken>>;

    /// All tokens, oldest first.
    fn tokens(&self) -> StoreFuture<'_, Vec<StoredToken>>;

    /// Deletes a token.
    fn delete_token(&self, id: String) -> StoreFuture<'_, ()>;

    /// The bundles of all versions of all apps.
    fn bundles(&self) -> StoreFuture<'_, HashSet<BundleHash>>;

    /// The manifests of static files of all versions of all apps.
    fn manifests(&self) -> StoreFuture<'_, HashSet<BundleHash>>;
}
