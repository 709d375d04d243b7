//! Bundles by content hash, as they were uploaded, on the local disk.
//!
//! An archive is checked in full before it is stored, and is durable (file and directory synced) before its upload is
//! acknowledged. Bundles that no version names are deleted after a day.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use atoll_bundle::{Bundle, BundleHash, BundleLimits};
use atoll_store::Store;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::StatusCode;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, path};
use tokio::sync::{OwnedRwLockReadGuard, RwLock, Semaphore};

use crate::error::ApiError;
use crate::time;

/// How long an uploaded bundle waits to be named by a version.
const GRACE: Duration = Duration::from_hours(24);

/// How many uploads are unpacked at a time: each may take the memory of a bundle's uncompressed limit.
const UNPACKING: usize = 4;

/// The bundles.
pub(crate) struct Bundles {
    files: LocalFileSystem,
    limits: BundleLimits,
    unpacking: Semaphore,
    pins: Arc<RwLock<()>>,
}

/// While this lives, no bundle is deleted.
pub(crate) type Pin = OwnedRwLockReadGuard<()>;

impl Bundles {
    /// Opens the directory, and removes what uploads that were cut off left there.
    pub(crate) fn open(directory: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            // The object store writes to NAME#NUMBER and renames that to NAME.
            if entry.file_name().to_string_lossy().contains('#') {
                std::fs::remove_file(entry.path())?;
            }
        }
        let files = LocalFileSystem::new_with_prefix(directory).map_err(std::io::Error::other)?.with_fsync(true);
        Ok(Self { files, limits: BundleLimits::default(), unpacking: Semaphore::new(UNPACKING), pins: Arc::default() })
    }

    /// The most bytes of an archive.
    pub(crate) fn archive_limit(&self) -> usize {
        self.limits.compressed
    }

    /// Keeps all bundles that are there now, until the answer is dropped.
    pub(crate) async fn pin(&self) -> Pin {
        Arc::clone(&self.pins).read_owned().await
    }

    /// Checks and stores an archive that must have this hash.
    pub(crate) async fn put(&self, hash: BundleHash, archive: Bytes) -> Result<(), ApiError> {
        let checked = archive.clone();
        let limits = self.limits;
        let stopped = |error: &dyn std::fmt::Display| {
            ApiError::internal("bundle-check-failed", "the bundle could not be checked", error.to_string())
        };
        let permit = self.unpacking.acquire().await.map_err(|error| stopped(&error))?;
        tokio::task::spawn_blocking(move || Bundle::unpack(&checked, Some(hash), &limits).map(drop))
            .await
            .map_err(|error| stopped(&error))??;
        drop(permit);
        let _pin = self.pin().await;
        self.files.put(&location(hash), PutPayload::from_bytes(archive)).await?;
        Ok(())
    }

    /// The size of the archive with this hash; an error when there is none.
    pub(crate) async fn size(&self, hash: BundleHash) -> Result<u64, ApiError> {
        Ok(self.files.head(&location(hash)).await.map_err(|error| not_found(hash, error))?.size)
    }

    /// An archive's size and bytes.
    pub(crate) async fn get(
        &self,
        hash: BundleHash,
    ) -> Result<(u64, BoxStream<'static, object_store::Result<Bytes>>), ApiError> {
        let found = self.files.get(&location(hash)).await.map_err(|error| not_found(hash, error))?;
        Ok((found.meta.size, found.into_stream()))
    }

    /// Deletes the bundles that no version names and that were uploaded longer ago than the time of grace.
    pub(crate) async fn collect(&self, store: &dyn Store) -> Result<usize, ApiError> {
        self.collect_before(store, time::now().saturating_sub(GRACE.as_millis() as u64)).await
    }

    async fn collect_before(&self, store: &dyn Store, before: u64) -> Result<usize, ApiError> {
        // Nobody uploads a bundle or names one in a version from here on.
        let _all = self.pins.write().await;
        let named = store.bundles().await?;
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

fn location(hash: BundleHash) -> path::Path {
    path::Path::from(hash.to_string())
}

fn not_found(hash: BundleHash, error: object_store::Error) -> ApiError {
    match error {
        object_store::Error::NotFound { .. } => ApiError::new(
            StatusCode::NOT_FOUND,
            "bundle-not-found",
            format!("there is no bundle {hash}; upload it with PUT /v1/bundles/{hash} first"),
        ),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use atoll_bundle::{Module, ModuleKind};
    use atoll_store::{NewVersion, SqliteOptions, SqliteStore};

    use super::*;

    fn bundle(code: &'static str) -> (Bytes, BundleHash) {
        let module = Module {
            name: "index.js".into(),
            kind: ModuleKind::EsModule,
            content: Bytes::from_static(code.as_bytes()),
        };
        Bundle {
            main: "index.js".into(),
            compatibility_date: "2026-01-01".into(),
            compatibility_flags: Vec::new(),
            modules: vec![module],
        }
        .pack()
    }

    #[tokio::test]
    async fn only_old_bundles_that_no_version_names_are_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("s"), "h", &SqliteOptions::default()).unwrap();
        let directory = dir.path().join("bundles");
        let bundles = Bundles::open(&directory).unwrap();
        let ((named, named_hash), (idle, idle_hash)) = (bundle("1"), bundle("2"));
        bundles.put(named_hash, named).await.unwrap();
        bundles.put(idle_hash, idle).await.unwrap();
        let version = NewVersion { bundle: named_hash, config: Default::default(), message: None };
        store.create_version("shop".into(), version, 1).await.unwrap();

        assert_eq!(bundles.collect(&store).await.unwrap(), 0);
        assert_eq!(bundles.collect_before(&store, time::now() + 60_000).await.unwrap(), 1);
        assert!(bundles.size(named_hash).await.is_ok());
        assert_eq!(bundles.size(idle_hash).await.unwrap_err().code, "bundle-not-found");
    }

    #[tokio::test]
    async fn what_a_cut_off_upload_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (archive, hash) = bundle("1");
        Bundles::open(dir.path()).unwrap().put(hash, archive).await.unwrap();
        let rest = dir.path().join(format!("{hash}#1"));
        std::fs::write(&rest, "half").unwrap();
        let bundles = Bundles::open(dir.path()).unwrap();
        assert!(!rest.exists());
        assert!(bundles.size(hash).await.is_ok());
    }
}
