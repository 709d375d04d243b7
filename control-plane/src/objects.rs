//! Objects by content hash in a directory of the local disk: what bundles and static files have in common.
//!
//! An object is durable (file and directory synced) before its upload is acknowledged, and deleted a day after its upload
//! when nothing names it. Whoever stores one has checked that its content has the hash.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use atoll_bundle::BundleHash;
use atoll_protocol::api::UnixMillis;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::StatusCode;
use object_store::local::LocalFileSystem;
use object_store::{GetResult, ObjectStore, ObjectStoreExt, PutPayload, path};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::error::ApiError;
use crate::time;

/// How long an object waits to be named: a deploy uploads first and names afterwards.
const GRACE: Duration = Duration::from_hours(24);

/// The objects of a directory.
pub(crate) struct Objects {
    files: LocalFileSystem,
    directory: PathBuf,
    /// Held for reading while objects are stored or named, for writing while they are deleted.
    pins: Arc<RwLock<()>>,
    not_found: fn(BundleHash) -> ApiError,
}

/// While this lives, no object is deleted.
pub(crate) type Pin = OwnedRwLockReadGuard<()>;

impl Objects {
    /// Opens the directory. `not_found` says, with the status 404, that an object is not there.
    pub(crate) fn open(directory: &Path, not_found: fn(BundleHash) -> ApiError) -> std::io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let files = LocalFileSystem::new_with_prefix(directory).map_err(std::io::Error::other)?.with_fsync(true);
        Ok(Self { files, directory: directory.to_owned(), pins: Arc::default(), not_found })
    }

    /// Keeps all objects that are there now, until the answer is dropped.
    pub(crate) async fn pin(&self) -> Pin {
        Arc::clone(&self.pins).read_owned().await
    }

    /// Stores an object whose content has this hash.
    pub(crate) async fn put(&self, hash: BundleHash, content: Bytes) -> Result<(), ApiError> {
        let _pin = self.pin().await;
        self.files.put(&location(hash), PutPayload::from_bytes(content)).await?;
        Ok(())
    }

    /// The size of an object, bytes; an error when it is not there.
    pub(crate) async fn size(&self, hash: BundleHash) -> Result<u64, ApiError> {
        Ok(self.files.head(&location(hash)).await.map_err(|error| self.problem(hash, error))?.size)
    }

    /// The size of an object that a request names in its body: an error when it is not there, though nothing is missing at
    /// the request's own address.
    pub(crate) async fn named_size(&self, hash: BundleHash) -> Result<u64, ApiError> {
        self.size(hash).await.map_err(|error| match error.status {
            StatusCode::NOT_FOUND => ApiError::unprocessable(error.code, error.message),
            _ => error,
        })
    }

    /// An object's size and bytes.
    pub(crate) async fn get(
        &self,
        hash: BundleHash,
    ) -> Result<(u64, BoxStream<'static, object_store::Result<Bytes>>), ApiError> {
        let found = self.find(hash).await?;
        Ok((found.meta.size, found.into_stream()))
    }

    /// All of an object's bytes.
    pub(crate) async fn read(&self, hash: BundleHash) -> Result<Bytes, ApiError> {
        Ok(self.find(hash).await?.bytes().await?)
    }

    async fn find(&self, hash: BundleHash) -> Result<GetResult, ApiError> {
        self.files.get(&location(hash)).await.map_err(|error| self.problem(hash, error))
    }

    fn problem(&self, hash: BundleHash, error: object_store::Error) -> ApiError {
        match error {
            object_store::Error::NotFound { .. } => (self.not_found)(hash),
            other => other.into(),
        }
    }

    /// Deletes the objects that are not in `named` and were uploaded longer ago than the time of grace, and says how many
    /// those were; and removes what uploads that were cut off left there. `named` is asked when nobody can store or name an
    /// object any more.
    pub(crate) async fn collect(
        &self,
        named: impl Future<Output = Result<HashSet<BundleHash>, ApiError>>,
    ) -> Result<usize, ApiError> {
        self.collect_before(time::now().saturating_sub(GRACE.as_millis() as u64), named).await
    }

    /// As [`Objects::collect`], for those that were uploaded before a moment.
    pub(crate) async fn collect_before(
        &self,
        before: UnixMillis,
        named: impl Future<Output = Result<HashSet<BundleHash>, ApiError>>,
    ) -> Result<usize, ApiError> {
        let _all = self.pins.write().await;
        let named = named.await?;
        let directory = self.directory.clone();
        // What stays is tried again the next time.
        let _ = tokio::task::spawn_blocking(move || remove_leftovers(&directory)).await;
        let mut deleted = 0;
        let mut files = self.files.list(None);
        while let Some(file) = files.next().await.transpose()? {
            let hash = file.location.as_ref().parse::<BundleHash>();
            let uploaded = u64::try_from(file.last_modified.timestamp_millis()).unwrap_or(0);
            if uploaded < before && hash.is_ok_and(|hash| !named.contains(&hash)) {
                self.files.delete(&file.location).await?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }
}

/// The object store writes to NAME#NUMBER and renames that to NAME. To be called while nothing is stored.
fn remove_leftovers(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().contains('#')
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "what an upload left cannot be removed");
        }
    }
}

fn location(hash: BundleHash) -> path::Path {
    path::Path::from(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(directory: &Path) -> Objects {
        Objects::open(directory, |hash| ApiError::new(StatusCode::NOT_FOUND, "gone", hash.to_string())).unwrap()
    }

    #[tokio::test]
    async fn what_is_not_there_is_an_error_that_fits_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let objects = open(dir.path());
        let hash = BundleHash::of(b"content");
        assert_eq!(objects.size(hash).await.unwrap_err().status, StatusCode::NOT_FOUND);
        assert_eq!(objects.named_size(hash).await.unwrap_err().status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(objects.read(hash).await.unwrap_err().status, StatusCode::NOT_FOUND);
        objects.put(hash, Bytes::from_static(b"content")).await.unwrap();
        assert_eq!(objects.named_size(hash).await.unwrap(), 7);
        assert_eq!(objects.read(hash).await.unwrap(), "content");
    }

    #[tokio::test]
    async fn what_a_cut_off_upload_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let hash = BundleHash::of(b"whole");
        open(dir.path()).put(hash, Bytes::from_static(b"whole")).await.unwrap();
        let rest = dir.path().join(format!("{hash}#1"));
        std::fs::write(&rest, "half").unwrap();
        let objects = open(dir.path());
        assert_eq!(objects.collect_before(0, async { Ok(HashSet::new()) }).await.unwrap(), 0);
        assert!(!rest.exists());
        assert!(objects.size(hash).await.is_ok());
    }
}
