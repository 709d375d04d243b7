//! The data directory: one process at a time, keys and tokens that only its owner can read, files that are there whole
//! or not at all.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use atoll_store::{OpenError, StoreError};

use crate::acme::AcmeConfigError;

/// Why a control plane could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process has the data directory.
    #[error(
        "{} is in use by another atoll process; stop that one, or choose another data directory", path.display()
    )]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory could not be made or written to.
    #[error("the data directory {} cannot be used: {source}; name a folder that this user may write to", path.display())]
    Directory {
        /// The data directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The listener could not be bound.
    #[error("cannot listen on {address}: {source}{}", remedy(source))]
    Listen {
        /// The address from the configuration.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A file of the data directory could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A key's file holds something else.
    #[error("{} holds no usable key ({problem}); restore it from a backup", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The key in the file is not the one that the store's secrets are sealed under.
    #[error(
        "{} is not the key under which the secrets in this data directory are sealed; restore that key from a backup",
        path.display()
    )]
    MasterKey {
        /// The file.
        path: PathBuf,
    },
    /// What is configured of the certificate authority cannot be used.
    #[error("the certificate authority cannot be used: {0}")]
    Acme(#[from] AcmeConfigError),
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system's source of randomness or the runtime failed.
    #[error("{0}")]
    System(String),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; stop the program that has the port, or choose another address",
        io::ErrorKind::AddrNotAvailable => "; the address is not one of this machine",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege, choose another",
        _ => "",
    }
}

/// Opens a file for writing and leaves its content as it is.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// An open data directory. The lock is held as long as this lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the directory if need be and takes its lock. The system lets go of the lock when the process ends, in
    /// whatever way.
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        let failed = |source: io::Error| {
            let in_the_way = source.kind() == io::ErrorKind::AlreadyExists;
            let source = if in_the_way { io::ErrorKind::NotADirectory.into() } else { source };
            StartError::Directory { path: path.to_owned(), source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock = private(&path.join("lock")).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        let lock_path = path.join("lock");
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StartError::Locked { path }),
            Err(TryLockError::Error(source)) => Err(StartError::File { path: lock_path, source }),
        }
    }

    /// The path of a file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The path of a file that is created empty if it does not exist, so that only its owner can read what others will
    /// write to it.
    pub(crate) fn private_file(&self, name: &str) -> Result<PathBuf, StartError> {
        let path = self.file(name);
        match private(&path) {
            Ok(_) => Ok(path),
            Err(source) => Err(StartError::File { path, source }),
        }
    }

    /// The text of a file, or `None` if there is no such file.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, StartError> {
        let path = self.file(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StartError::File { path, source }),
        }
    }

    /// Writes a file that only its owner can read; after a crash it is there whole, or as it was before.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), StartError> {
        let path = self.file(name);
        self.replace(&path, &format!("{text}\n")).map_err(|source| StartError::File { path, source })
    }

    fn replace(&self, path: &Path, text: &str) -> io::Result<()> {
        let mut temporary = path.to_owned().into_os_string();
        temporary.push(".new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        self.sync()
    }

    /// Makes the names of the files in the directory durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, name: &str) {
        if let Err(error) = std::fs::remove_file(self.file(name))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = name, "cannot be removed: {error}");
        }
    }

    /// The text of a file, which `make` writes at first.
    pub(crate) fn read_or_create(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<String, StartError>,
    ) -> Result<String, StartError> {
        if let Some(text) = self.read(name)? {
            return Ok(text);
        }
        let text = make()?;
        self.write(name, &text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_process_at_a_time_and_private_files() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let dir = DataDir::open(&path).unwrap();
        let error = DataDir::open(&path).unwrap_err();
        assert!(matches!(error, StartError::Locked { .. }), "{error}");
        assert!(error.to_string().contains("in use by another atoll process"));

        assert_eq!(dir.read("key").unwrap(), None);
        assert_eq!(dir.read_or_create("key", || Ok("first".into())).unwrap(), "first");
        assert_eq!(dir.read_or_create("key", || Ok("second".into())).unwrap(), "first");
        assert_eq!(std::fs::metadata(path.join("key")).unwrap().permissions().mode() & 0o777, 0o600);
        dir.remove("key");
        dir.remove("key");
        assert_eq!(dir.read("key").unwrap(), None);
        drop(dir);
        DataDir::open(&path).unwrap();
    }
}
