//! What goes into the store and comes out of it, where the API's own types do not fit.

use std::collections::BTreeMap;

use atoll_bundle::BundleHash;
use atoll_protocol::api::{Deployment, TokenInfo, UnixMillis};
use atoll_protocol::config::VersionConfig;
use atoll_protocol::sync::{Purge, VersionState};

use crate::CertificateRecord;

/// An app with everything that serving it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct AppRecord {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: UnixMillis,
    /// The revision of its last change.
    pub revision: u64,
    /// The revision in which an app of this name was deleted last; 0 if none was. It tells this app from those before.
    pub predecessor: u64,
    /// Its route patterns in the order they were given.
    pub routes: Vec<String>,
    /// Whether it also answers at `NAME.<default domain>`.
    pub default_route: bool,
    /// Its current deployment.
    pub deployment: Option<Deployment>,
    /// The versions of the current deployment by number.
    pub versions: BTreeMap<u64, VersionState>,
    /// Its secrets by name.
    pub secrets: Vec<StoredSecret>,
    /// Purges of its cached responses by revision, at most [`MAX_PURGES`](crate::MAX_PURGES) besides the last that covers
    /// everything.
    pub purges: Vec<Purge>,
    /// The key of its secrets, sealed under the master key.
    pub data_key: Option<Vec<u8>>,
    /// It has been deleted: this is its tombstone.
    pub deleted: bool,
}

/// A secret at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSecret {
    /// Its name in `env`.
    pub name: String,
    /// The revision it was set in.
    pub version: u64,
    /// Its value, sealed under the app's data key.
    pub sealed: Vec<u8>,
}

/// What changed after a revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    /// The store's revision when this was read.
    pub revision: u64,
    /// The apps that changed, by the revision of their last change.
    pub apps: Vec<AppRecord>,
    /// The certificates that changed, likewise.
    pub certificates: Vec<CertificateRecord>,
}

/// A version to be created.
#[derive(Clone, Debug)]
pub struct NewVersion {
    /// The bundle with its code.
    pub bundle: BundleHash,
    /// Its settings.
    pub config: VersionConfig,
    /// What the author says of it.
    pub message: Option<String>,
}

/// A version to be created and deployed at once.
#[derive(Clone, Debug)]
pub struct NewDeploy {
    /// The version.
    pub version: NewVersion,
    /// The app's routes from now on.
    pub routes: Vec<String>,
    /// Whether it also answers at `NAME.<default domain>`.
    pub default_route: bool,
}

/// A deploy that has been committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    /// The new version's number.
    pub version: u64,
    /// The app as it is now; its revision is the deploy's.
    pub app: AppRecord,
}

/// A token at rest: the secret itself is not kept.
#[derive(Clone, Debug)]
pub struct StoredToken {
    /// All that may be shown of it.
    pub info: TokenInfo,
    /// SHA-256 of its secret.
    pub digest: [u8; 32],
}

/// A sealed secret and the sealed key under which it is sealed.
pub struct Sealed {
    /// The app's data key, sealed under the master key: the one that was given, or a new one.
    pub data_key: Vec<u8>,
    /// The secret's value, sealed under the data key.
    pub value: Vec<u8>,
}

/// Why a value could not be sealed.
pub struct SealFailed(pub String);

/// Seals a secret's value. Called within the transaction, with the app's sealed data key if it has one, and with the
/// secret's new version; called again when that transaction is.
pub type Sealer = Box<dyn Fn(Option<&[u8]>, u64) -> Result<Sealed, SealFailed> + Send>;
