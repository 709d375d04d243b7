//! Static files and their manifests by content hash. An object is checked before it is stored; those that no version's
//! manifest names are deleted.

use std::collections::HashSet;
use std::path::Path;

use atoll_assets::{MAX_FILE, MAX_MANIFEST, Manifest};
use atoll_bundle::BundleHash;
use atoll_protocol::config::AssetSettings;
use atoll_store::Store;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use tokio::sync::Semaphore;

use crate::error::ApiError;
use crate::objects::Objects;

/// The most bytes of an object.
pub(crate) const LIMIT: usize = MAX_FILE as usize;
/// Uploads that are in memory at once.
const UPLOADS: usize = 8;
/// Objects that are looked for at once.
const LOOKS: usize = 16;

const _: () = assert!(MAX_MANIFEST <= LIMIT, "a manifest is an object");

/// The static files and their manifests.
pub(crate) struct Assets {
    /// Their contents.
    pub(crate) objects: Objects,
    uploads: Semaphore,
}

impl Assets {
    /// Opens the directory.
    pub(crate) fn open(directory: &Path) -> std::io::Result<Self> {
        Ok(Self { objects: Objects::open(directory, not_found)?, uploads: Semaphore::new(UPLOADS) })
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
        self.objects.put(hash, content).await?;
        Ok(size)
    }

    /// Those of `hashes` that are not there, in their order.
    pub(crate) async fn missing(&self, hashes: Vec<BundleHash>) -> Result<Vec<BundleHash>, ApiError> {
        let looked = stream::iter(hashes).map(|hash| async move {
            match self.objects.size(hash).await {
                Ok(_) => Ok(None),
                Err(error) if error.status == StatusCode::NOT_FOUND => Ok(Some(hash)),
                Err(error) => Err(error),
            }
        });
        looked.buffered(LOOKS).try_filter_map(|found| std::future::ready(Ok(found))).try_collect().await
    }

    /// An error unless the manifest of these settings, and all it names, is there. To be called with a
    /// [`Pin`](crate::objects::Pin).
    pub(crate) async fn require(&self, settings: Option<&AssetSettings>) -> Result<(), ApiError> {
        let Some(settings) = settings else { return Ok(()) };
        let objects = self.manifest(settings.manifest).await?.objects();
        let wrong = stream::iter(objects).map(|(hash, size)| async move {
            let actual = self.objects.named_size(hash).await?;
            if actual != size {
                let message = format!("the manifest says that {hash} has {size} bytes, but it has {actual}");
                return Err(ApiError::unprocessable("assets-invalid", message));
            }
            Ok(())
        });
        wrong.buffer_unordered(LOOKS).try_collect().await
    }

    async fn manifest(&self, hash: BundleHash) -> Result<Manifest, ApiError> {
        let size = self.objects.named_size(hash).await?;
        if size > MAX_MANIFEST as u64 {
            let message = format!("the manifest has {size} bytes; the limit is {MAX_MANIFEST}");
            return Err(ApiError::unprocessable("assets-invalid", message));
        }
        let bytes = self.objects.read(hash).await?;
        let decoded = tokio::task::spawn_blocking(move || Manifest::decode(&bytes)).await;
        decoded
            .map_err(|error| stopped(&error))?
            .map_err(|error| ApiError::unprocessable("assets-invalid", error.to_string()))
    }

    /// Deletes what no version names.
    pub(crate) async fn collect(&self, store: &dyn Store) -> Result<usize, ApiError> {
        self.objects.collect(self.named(store)).await
    }

    /// The manifests of all versions, and all they name.
    async fn named(&self, store: &dyn Store) -> Result<HashSet<BundleHash>, ApiError> {
        let mut named = HashSet::new();
        for manifest in store.manifests().await? {
            // A manifest that cannot be read ends the collection: what it names must not go.
            named.extend(self.manifest(manifest).await?.objects().into_iter().map(|(hash, _)| hash));
            named.insert(manifest);
        }
        Ok(named)
    }
}

fn stopped(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::internal("asset-check-failed", "the static file could not be checked", error.to_string())
}

fn not_found(hash: BundleHash) -> ApiError {
    let message = format!("there is no static file {hash}; upload it with PUT /v1/assets/{hash} first");
    ApiError::new(StatusCode::NOT_FOUND, "asset-not-found", message)
}

#[cfg(test)]
mod tests {
    use atoll_assets::File;
    use atoll_protocol::config::VersionConfig;
    use atoll_store::{NewVersion, SqliteOptions, SqliteStore};

    use super::*;
    use crate::time;

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
        let later = time::now() + 60_000;
        assert_eq!(assets.objects.collect_before(later, assets.named(&store)).await.unwrap(), 1);
        assert_eq!(assets.missing(vec![named, idle, manifest]).await.unwrap(), [idle]);

        // Without the manifest nobody knows what is named.
        std::fs::remove_file(dir.path().join("assets").join(manifest.to_string())).unwrap();
        assert!(assets.objects.collect_before(later, assets.named(&store)).await.is_err());
        assert!(assets.objects.size(named).await.is_ok());
    }
}
