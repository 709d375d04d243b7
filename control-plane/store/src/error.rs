//! What can go wrong with the store.

use std::path::PathBuf;

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer program has written the data.
    #[error(
        "{} has format {found}, written by a newer version of atoll; this version knows format {supported}. Run the \
         newer version, or restore a backup made by this one",
        path.display()
    )]
    NewerFormat {
        /// The database file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format this program knows.
        supported: i64,
    },
    /// The file is a database of another program, or no database.
    #[error("{} is not a store of atoll: {problem}. Choose another data directory", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The file could not be read or written.
    #[error("{}: {source}", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// What the database said.
        source: StoreError,
    },
}

/// Why a request of the store failed. Nothing has been changed then.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no such app.
    #[error("there is no app {app:?}; deploy it first")]
    AppNotFound {
        /// The name asked for.
        app: String,
    },
    /// The app has no such version.
    #[error("app {app:?} has no version {version}; its newest is {newest}")]
    VersionNotFound {
        /// The app.
        app: String,
        /// The version asked for.
        version: u64,
        /// The newest version there is.
        newest: u64,
    },
    /// The app has no such secret.
    #[error("app {app:?} has no secret {name:?}")]
    SecretNotFound {
        /// The app.
        app: String,
        /// The name asked for.
        name: String,
    },
    /// There is no such token.
    #[error("there is no token with id {id:?}")]
    TokenNotFound {
        /// The id asked for.
        id: String,
    },
    /// There is no such certificate.
    #[error("there is no certificate {name:?}; `atoll certificates list` shows which there are")]
    CertificateNotFound {
        /// The name asked for.
        name: String,
    },
    /// Another app has the route.
    #[error("route {pattern:?} belongs to app {owner:?}; remove it there first, or choose another")]
    RouteTaken {
        /// The route's pattern.
        pattern: String,
        /// The app that has it.
        owner: String,
    },
    /// A secret and a plain variable of a version have the same name in `env`.
    #[error(
        "{name:?} is both a secret and a variable or binding of version {version} of app {app:?}; rename or delete one of them"
    )]
    BindingConflict {
        /// The app.
        app: String,
        /// The name in `env`.
        name: String,
        /// The version with the variable.
        version: u64,
    },
    /// The app has as many secrets as it may have.
    #[error("app {app:?} has {limit} secrets already, which is the limit; delete one first")]
    TooManySecrets {
        /// The app.
        app: String,
        /// How many it may have.
        limit: usize,
    },
    /// A secret's value could not be sealed.
    #[error("the secret could not be sealed: {0}")]
    Seal(String),
    /// The store's secrets are sealed under another master key.
    #[error("the master key is not the one under which this store's secrets are sealed")]
    WrongMasterKey,
    /// The disk is full, or the store's own limit of size is reached.
    #[error("the disk of the control plane is full ({0}); free some space and try again")]
    Full(String),
    /// The storage failed.
    #[error("the storage of the control plane failed: {0}")]
    Storage(String),
    /// The store holds what no version of this program writes.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// A stable word for logs and API errors.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AppNotFound { .. } => "app-not-found",
            Self::VersionNotFound { .. } => "version-not-found",
            Self::SecretNotFound { .. } => "secret-not-found",
            Self::TokenNotFound { .. } => "token-not-found",
            Self::CertificateNotFound { .. } => "certificate-not-found",
            Self::RouteTaken { .. } => "route-taken",
            Self::BindingConflict { .. } => "binding-conflict",
            Self::TooManySecrets { .. } => "too-many-secrets",
            Self::Seal(_) => "secret-seal-failed",
            Self::WrongMasterKey => "master-key-wrong",
            Self::Full(_) => "storage-full",
            Self::Storage(_) => "storage-failed",
            Self::Corrupt(_) => "storage-corrupt",
        }
    }
}
