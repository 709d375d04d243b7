//! Bundles by content hash, as they were uploaded. An archive is checked in full before it is stored; those that no version
//! names are deleted.

use std::collections::HashSet;
use std::path::Path;

use atoll_bundle::{Bundle, BundleHash, BundleLimits};
use atoll_store::Store;
use bytes::Bytes;
use http::StatusCode;
use tokio::sync::Semaphore;

use crate::error::ApiError;
use crate::objects::Objects;

/// How many uploads are unpacked at a time: each may take the memory of a bundle's uncompressed limit.
const UNPACKING: usize = 4;

/// The bundles.
pub(crate) struct Bundles {
    /// The archives.
    pub(crate) objects: Objects,
    limits: BundleLimits,
    unpacking: Semaphore,
}

impl Bundles {
    /// Opens the directory.
    pub(crate) fn open(directory: &Path) -> std::io::Result<Self> {
        let objects = Objects::open(directory, not_found)?;
        Ok(Self { objects, limits: BundleLimits::default(), unpacking: Semaphore::new(UNPACKING) })
    }

    /// The most bytes of an archive.
    pub(crate) fn archive_limit(&self) -> usize {
        self.limits.compressed
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
        self.objects.put(hash, archive).await
    }

    /// Deletes the bundles that no version names.
    pub(crate) async fn collect(&self, store: &dyn Store) -> Result<usize, ApiError> {
        self.objects.collect(named(store)).await
    }
}

async fn named(store: &dyn Store) -> Result<HashSet<BundleHash>, ApiError> {
    Ok(store.bundles().await?)
}

fn not_found(hash: BundleHash) -> ApiError {
    let message = format!("there is no bundle {hash}; upload it with PUT /v1/bundles/{hash} first");
    ApiError::new(StatusCode::NOT_FOUND, "bundle-not-found", message)
}

#[cfg(test)]
mod tests {
    use atoll_bundle::{Module, ModuleKind};
    use atoll_store::{NewVersion, SqliteOptions, SqliteStore};

    use super::*;
    use crate::time;

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
        let bundles = Bundles::open(&dir.path().join("bundles")).unwrap();
        let ((used, used_hash), (idle, idle_hash)) = (bundle("1"), bundle("2"));
        bundles.put(used_hash, used).await.unwrap();
        bundles.put(idle_hash, idle).await.unwrap();
        let version = NewVersion { bundle: used_hash, config: Default::default(), message: None };
        store.create_version("shop".into(), version, 1).await.unwrap();

        assert_eq!(bundles.collect(&store).await.unwrap(), 0);
        let later = time::now() + 60_000;
        assert_eq!(bundles.objects.collect_before(later, named(&store)).await.unwrap(), 1);
        assert!(bundles.objects.size(used_hash).await.is_ok());
        assert_eq!(bundles.objects.size(idle_hash).await.unwrap_err().code, "bundle-not-found");
    }
}
