//! Static files and their manifests by content hash, on the local disk.
//!
//! Like bundles, an object is checked and durable before its upload is acknowledged, and deleted a day after its upload
//! when no version's manifest names it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use atoll_assets::{MAX_FILE, MAX_MANIFEST, Manifest};
use atoll_bundle::BundleHash;
use atoll_protocol::config::AssetSettings;
use atoll_store::Store;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, path};
use tokio::sync::{OwnedRwLockReadGuard, RwLock, Semaphore};

use crate::error::ApiError;
use crate::time;

/// How long objects that no version names are kept: a deploy uploads first and names afterwards.
const GRACE: Duration = Duration::from_hours(24);
/// The most bytes of an object.
pub(crate) const LIMIT: usize = MAX_FILE as usize;
/// Uploads that are in memory at once.
const UPLOADS: usize = 8;
/// Objects that are looked for at once.
const LOOKS: usize = 16;

const _: () = assert!(MAX_MANIFEST <= LIMIT, "a manifest is an object");

pub(crate) struct Assets {
    files: LocalFileSystem,
    uploads: Semaphore,
    /// Held for reading while objects are uploaded or named, for writing while they are deleted.
    pins: Arc<RwLock<()>>,
}

/// Keeps objects from being deleted.
pub(crate) type Pin = OwnedRwLockReadGuard<()>;

impl Assets {
    /// Opens the directory, and removes what uploads that were cut off have left there.
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
        Ok(Self { files, uploads: Semaphore::new(UPLOADS), pins: Arc::default() })
    }

    pub(crate) async fn pin(&self) -> Pin {
        Arc::clone(&self.pins).read_owned().await
    }

    /// Reads an upload by `read` when it is its turn, and stores it if its hash is the announced one.
    pub(crate) async fn put(
        &self,
        hash: BundleHash,
        read: impl Future<Output = Result<Bytes, ApiError>>,
    ) -> Result<u64, ApiError> {
        let _permit = self.uploads.acquire().await.map_err(|error| stopped(&error))?;
        let content = read.await?;
        let hashed = content.clone();
        let actual =
            tokio::task::spawn_blocking(move || BundleHash::of(&hashed)).await.map_err(|error| stopped(&error))?;
        if actual != hash {
            let message = format!("the content has hash {actual}, but {hash} was announced; upload it again");
            return Err(ApiError::unprocessable("asset-hash-mismatch", message));
        }
        let size = content.len() as u64;
        let _pin = self.pin().await;
        self.files.put(&location(hash), PutPayload::from_bytes(content)).await?;
        Ok(size)
    }

    pub(crate) async fn size(&self, hash: BundleHash) -> Result<u64, ApiError> {
        Ok(self.files.head(&location(hash)).await.map_err(|error| not_found(hash, error))?.size)
    }

    pub(crate) async fn get(
        &self,
        hash: BundleHash,
    ) -> Result<(u64, BoxStream<'static, object_store::Result<Bytes>>), ApiError> {
        let found = self.files.get(&location(hash)).await.map_err(|error| not_found(hash, error))?;
        Ok((found.meta.size, found.into_stream()))
    }

    /// Those of `hashes` that are not there, in their order.
    pub(crate) async fn missing(&self, hashes: Vec<BundleHash>) -> Result<Vec<BundleHash>, ApiError> {
        let looked = stream::iter(hashes).map(|hash| async move {
            match self.size(hash).await {
                Ok(_) => Ok(None),
                Err(error) if error.status == StatusCode::NOT_FOUND => Ok(Some(hash)),
                Err(error) => Err(error),
            }
        });
        looked.buffered(LOOKS).try_filter_map(|found| std::future::ready(Ok(found))).try_collect().await
    }

    /// An error unless the manifest of these settings, and all it names, is there. To be called with a [`Pin`].
    pub(crate) async fn require(&self, settings: Option<&AssetSettings>) -> Result<(), ApiError> {
        let Some(settings) = settings else { return Ok(()) };
        let manifest = self.manifest(settings.manifest).await.map_err(|error| match error.status {
            StatusCode::NOT_FOUND => ApiError::unprocessable(error.code, error.message),
            _ => error,
        })?;
        let objects = manifest.objects();
        let wrong = stream::iter(objects).map(|(hash, size)| async move {
            match self.size(hash).await {
                Ok(actual) if actual == size => Ok(()),
                Ok(actual) => {
                    let message = format!("the manifest says that {hash} has {size} bytes, but it has {actual}");
                    Err(ApiError::unprocessable("assets-invalid", message))
                }
                Err(error) if error.status == StatusCode::NOT_FOUND => {
                    Err(ApiError::unprocessable(error.code, error.message))
                }
                Err(error) => Err(error),
            }
        });
        wrong.buffer_unordered(LOOKS).try_collect().await
    }

    async fn manifest(&self, hash: BundleHash) -> Result<Manifest, ApiError> {
        let size = self.size(hash).await?;
        if size > MAX_MANIFEST as u64 {
            let message = format!("the manifest has {size} bytes; the limit is {MAX_MANIFEST}");
            return Err(ApiError::unprocessable("assets-invalid", message));
        }
        let found = self.files.get(&location(hash)).await.map_err(|error| not_found(hash, error))?;
        let bytes = found.bytes().await?;
        let decoded = tokio::task::spawn_blocking(move || Manifest::decode(&bytes)).await;
        decoded
            .map_err(|error| stopped(&error))?
            .map_err(|error| ApiError::unprocessable("assets-invalid", error.to_string()))
    }

    /// Deletes objects that no version names and that were uploaded a day ago.
    pub(crate) async fn collect(&self, store: &dyn Store) -> Result<usize, ApiError> {
        self.collect_before(store, time::now().saturating_sub(GRACE.as_millis() as u64)).await
    }

    async fn collect_before(&self, store: &dyn Store, before: u64) -> Result<usize, ApiError> {
        // Nobody uploads an object or names one in a version from here on.
        let _all = self.pins.write().await;
        let mut named = HashSet::new();
        for manifest in store.manifests().await? {
            // A manifest that cannot be read ends the collection: what it names must not go.
            named.extend(self.manifest(manifest).await?.objects().into_iter().map(|(hash, _)| hash));
            named.insert(manifest);
        }
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

fn stopped(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::internal("asset-check-failed", "the static file could not be checked", error.to_string())
}

fn not_found(hash: BundleHash, error: object_store::Error) -> ApiError {
    match error {
        object_store::Error::NotFound { .. } => ApiError::new(
            StatusCode::NOT_FOUND,
            "asset-not-found",
            format!("there is no static file {hash}; upload it with PUT /v1/assets/{hash} first"),
        ),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use atoll_assets::File;
    use atoll_protocol::config::VersionConfig;
    use atoll_store::{NewVersion, SqliteOptions, SqliteStore};

    use super::*;

    #[tokio::test]
    async fn only_old_objects_that_no_manifest_names_are_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("s"), "h", &SqliteOptions::default()).unwrap();
        let assets = Assets::open(&dir.path().join("assets")).unwrap();
        let put = async |bytes: &[u8]| {
            let (hash, bytes) = (BundleHash::of(bytes), Bytes::copy_from_slice(bytes));
            assets.put(hash, std::future::ready(Ok(bytes))).await.unwrap();
            hash
        };
        let (named, idle) = (put(b"named").await, put(b"idle").await);
        let mut manifest = Manifest::default();
        manifest.files.insert("/a".into(), File { hash: named, size: 5, kind: None });
        let manifest = put(&manifest.encode()).await;
        let settings: AssetSettings = serde_json::from_value(serde_json::json!({ "manifest": manifest })).unwrap();
        assets.require(Some(&settings)).await.unwrap();
        let config = VersionConfig { assets: Some(settings), ..VersionConfig::default() };
        let version = NewVersion { bundle: BundleHash::of(b"code"), config, message: None };
        store.create_version("shop".into(), version, 1).await.unwrap();

        assert_eq!(assets.collect(&store).await.unwrap(), 0);
        assert_eq!(assets.collect_before(&store, time::now() + 60_000).await.unwrap(), 1);
        assert_eq!(assets.missing(vec![named, idle, manifest]).await.unwrap(), [idle]);

        // Without the manifest nobody knows what is named.
        assets.files.delete(&location(manifest)).await.unwrap();
        assert!(assets.collect_before(&store, time::now() + 60_000).await.is_err());
        assert!(assets.size(named).await.is_ok());
    }
}
