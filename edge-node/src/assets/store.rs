//! Static files on this node: on disk for as long as a version needs them, in memory while they are asked for, else
//! fetched. Whatever the source, content is used only when it has the hash it was asked for by.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use atoll_assets::{MAX_FILE, MAX_MANIFEST, Manifest, ManifestError, Site};
use atoll_bundle::BundleHash;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use moka::sync::Cache;
use tokio::sync::Semaphore;

use crate::bundles::{off_thread, sweep};
use crate::compress::CodedContents;
use crate::durable::write_durably;
use crate::follow::client::{ClientError, ControlPlaneClient};

/// Objects fetched at once for one version.
const PARALLEL: usize = 8;
/// Objects fetched at once for all versions; each is in memory for as long.
const FETCHES: usize = 8;
/// Large files whose content is checked at once; each is in memory for as long.
const CHECKS: usize = 2;
/// Files up to this size are kept in memory, bytes.
pub(super) const IN_MEMORY: u64 = 2 << 20;

/// Why a static file or manifest cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum AssetUnavailable {
    /// The node has no control plane to fetch it from.
    #[error("static file {0} is not on this node")]
    Missing(BundleHash),
    /// The control plane did not give it.
    #[error("static file {hash} could not be fetched")]
    Fetch {
        /// The file.
        hash: BundleHash,
        /// Why.
        source: ClientError,
    },
    /// What the control plane gave is not it.
    #[error("static file {hash} as the control plane sent it has hash {actual} and was refused")]
    Refused {
        /// The file.
        hash: BundleHash,
        /// The hash of what came.
        actual: BundleHash,
    },
    /// The manifest cannot be read.
    #[error("manifest {hash} was refused")]
    Manifest {
        /// The manifest.
        hash: BundleHash,
        /// Why.
        source: ManifestError,
    },
    /// It could not be written to disk.
    #[error("static file {hash} could not be kept in {path}")]
    Write {
        /// The file.
        hash: BundleHash,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A file's content.
pub enum Content {
    /// In memory.
    Memory(Bytes),
    /// On disk, of this many bytes, which are those of the hash.
    Disk(Arc<File>, u64),
}

/// A static file of this machine.
#[derive(Clone, Debug)]
pub enum LocalAsset {
    /// It is read when it is asked for.
    File(PathBuf),
    /// It is in memory.
    Bytes(Bytes),
}

/// Those of the app that is installed, and of what was installed before, for which requests may be under way.
#[derive(Default)]
struct LocalFiles {
    now: HashMap<BundleHash, LocalAsset>,
    before: HashMap<BundleHash, LocalAsset>,
}

impl LocalFiles {
    fn get(&self, hash: BundleHash) -> Option<LocalAsset> {
        self.now.get(&hash).or_else(|| self.before.get(&hash)).cloned()
    }
}

/// All static files of a node.
pub struct AssetStore {
    /// `DIR/assets`; without one, only local files are there.
    dir: Option<PathBuf>,
    origin: Option<Arc<ControlPlaneClient>>,
    /// Files of this machine that are served as they are, for `atoll dev`.
    local: Mutex<LocalFiles>,
    sites: Mutex<HashMap<BundleHash, Weak<Site>>>,
    contents: Cache<BundleHash, Bytes>,
    /// Files too large for memory whose content has been checked since the node started.
    checked: Mutex<HashSet<BundleHash>>,
    checks: Semaphore,
    fetches: Semaphore,
    /// Compressed contents.
    pub(super) variants: Arc<CodedContents<BundleHash, ()>>,
}

impl AssetStore {
    /// A store that keeps objects under `dir`, at most `memory` bytes of contents and as many of compressed ones, and asks
    /// `origin` for others.
    pub fn new(dir: Option<PathBuf>, origin: Option<Arc<ControlPlaneClient>>, memory: u64) -> Arc<Self> {
        let weight = |_: &BundleHash, bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX).saturating_add(128);
        Arc::new(Self {
            dir,
            origin,
            local: Mutex::default(),
            sites: Mutex::default(),
            contents: Cache::builder().max_capacity(memory).weigher(weight).build(),
            checked: Mutex::default(),
            checks: Semaphore::new(CHECKS),
            fetches: Semaphore::new(FETCHES),
            variants: CodedContents::new(memory),
        })
    }

    /// Serves these files of this machine by their hashes, and of those from before only the last.
    pub fn set_local(&self, files: HashMap<BundleHash, LocalAsset>) {
        let mut local = lock(&self.local);
        local.before = std::mem::replace(&mut local.now, files);
    }

    /// Brings the manifest and all that it names to this node's disk.
    pub async fn fetch_all(&self, manifest: BundleHash) -> Result<(), AssetUnavailable> {
        let manifest = self.manifest(manifest).await?;
        let Some(dir) = self.dir.clone() else { return Ok(()) };
        let objects = manifest.objects();
        let missing = off_thread(move || {
            let is_missing = |(hash, size): &(BundleHash, u64)| {
                !fs::metadata(dir.join(hash.to_string())).is_ok_and(|file| file.is_file() && file.len() == *size)
            };
            objects.into_iter().filter(is_missing).collect::<Vec<_>>()
        })
        .await;
        stream::iter(missing)
            .map(|(hash, _)| self.fetch(hash))
            .buffer_unordered(PARALLEL)
            .try_for_each(|_| async { Ok(()) })
            .await
    }

    /// A manifest's site, made once for all that use it.
    pub async fn site(&self, manifest: BundleHash) -> Result<Arc<Site>, AssetUnavailable> {
        if let Some(site) = lock(&self.sites).get(&manifest).and_then(Weak::upgrade) {
            return Ok(site);
        }
        let read = self.manifest(manifest).await?;
        let wrong = |source| AssetUnavailable::Manifest { hash: manifest, source };
        let site = Arc::new(off_thread(move || Site::new(read)).await.map_err(wrong)?);
        let mut sites = lock(&self.sites);
        sites.retain(|_, site| site.strong_count() > 0);
        if let Some(first) = sites.get(&manifest).and_then(Weak::upgrade) {
            return Ok(first);
        }
        sites.insert(manifest, Arc::downgrade(&site));
        Ok(site)
    }

    async fn manifest(&self, hash: BundleHash) -> Result<Manifest, AssetUnavailable> {
        let bytes = self.object(hash, MAX_MANIFEST as u64).await?;
        let decoded = off_thread(move || Manifest::decode(&bytes)).await;
        decoded.map_err(|source| AssetUnavailable::Manifest { hash, source })
    }

    /// A file's content.
    pub async fn content(&self, hash: BundleHash, size: u64) -> Result<Content, AssetUnavailable> {
        if let Some(bytes) = self.contents.get(&hash) {
            return Ok(Content::Memory(bytes));
        }
        if let Some((bytes, whole)) = self.local_content(hash).await {
            if whole && size <= IN_MEMORY {
                self.contents.insert(hash, bytes.clone());
            }
            return Ok(Content::Memory(bytes));
        }
        if size > IN_MEMORY && self.dir.is_some() {
            return self.large(hash, size).await;
        }
        let bytes = self.object(hash, MAX_FILE).await?;
        self.contents.insert(hash, bytes.clone());
        Ok(Content::Memory(bytes))
    }

    /// A file that is read piece by piece, after its content has been checked once.
    async fn large(&self, hash: BundleHash, size: u64) -> Result<Content, AssetUnavailable> {
        if lock(&self.checked).contains(&hash)
            && let Some(file) = self.open(hash).await
        {
            return Ok(Content::Disk(Arc::new(file), size));
        }
        {
            // It is never closed.
            let _turn = self.checks.acquire().await;
            let checked = lock(&self.checked).contains(&hash);
            if !checked || self.open(hash).await.is_none() {
                self.object(hash, MAX_FILE).await?;
                lock(&self.checked).insert(hash);
            }
        }
        let file = self.open(hash).await.ok_or(AssetUnavailable::Missing(hash))?;
        Ok(Content::Disk(Arc::new(file), size))
    }

    /// What a local file has now, and whether that is what it had when it was taken note of.
    async fn local_content(&self, hash: BundleHash) -> Option<(Bytes, bool)> {
        let local = lock(&self.local).get(hash)?;
        off_thread(move || {
            let bytes = match local {
                LocalAsset::File(path) => Bytes::from(fs::read(path).ok()?),
                LocalAsset::Bytes(bytes) => bytes,
            };
            let whole = BundleHash::of(&bytes) == hash;
            Some((bytes, whole))
        })
        .await
    }

    async fn open(&self, hash: BundleHash) -> Option<File> {
        let path = self.path(hash)?;
        off_thread(move || File::open(path).ok()).await
    }

    /// An object from the disk, else from the control plane; afterwards it is on disk.
    async fn object(&self, hash: BundleHash, limit: u64) -> Result<Bytes, AssetUnavailable> {
        if let Some((bytes, true)) = self.local_content(hash).await {
            return Ok(bytes);
        }
        if let Some(path) = self.path(hash)
            && let Some(bytes) = off_thread(move || read(&path, hash, limit)).await
        {
            return Ok(bytes);
        }
        self.fetch(hash).await
    }

    async fn fetch(&self, hash: BundleHash) -> Result<Bytes, AssetUnavailable> {
        let origin = self.origin.as_ref().ok_or(AssetUnavailable::Missing(hash))?;
        // It is never closed.
        let _turn = self.fetches.acquire().await;
        let bytes = origin.asset(hash).await.map_err(|source| AssetUnavailable::Fetch { hash, source })?;
        let path = self.path(hash);
        off_thread(move || {
            let actual = BundleHash::of(&bytes);
            if actual != hash {
                return Err(AssetUnavailable::Refused { hash, actual });
            }
            if let Some(path) = path {
                write_durably(&path, &bytes).map_err(|source| AssetUnavailable::Write { hash, path, source })?;
            }
            Ok(bytes)
        })
        .await
    }

    /// Deletes objects that no manifest of `manifests` names, except young ones; none at all when a manifest cannot be read.
    pub async fn sweep(&self, manifests: HashSet<BundleHash>) {
        let Some(dir) = self.dir.clone() else { return };
        let needed = off_thread(move || {
            let mut needed = manifests.clone();
            for hash in manifests {
                let bytes = fs::read(dir.join(hash.to_string())).ok()?;
                needed.extend(Manifest::decode(&bytes).ok()?.objects().into_iter().map(|(hash, _)| hash));
            }
            sweep(&dir, &needed);
            Some(needed)
        })
        .await;
        if let Some(needed) = needed {
            // One that is young stays on disk and is checked again when it is asked for.
            lock(&self.checked).retain(|hash| needed.contains(hash));
        }
    }

    fn path(&self, hash: BundleHash) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join(hash.to_string()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `None` when the file is not there or damaged; a damaged one is removed, so that it is fetched again.
fn read(path: &Path, hash: BundleHash, limit: u64) -> Option<Bytes> {
    let length = fs::metadata(path).ok()?.len();
    let bytes = if length > limit { Bytes::new() } else { Bytes::from(fs::read(path).ok()?) };
    if BundleHash::of(&bytes) == hash {
        return Some(bytes);
    }
    tracing::error!(path = %path.display(), "a kept static file is damaged and is removed");
    let _ = fs::remove_file(path);
    None
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::bundles::GRACE;

    fn keep(dir: &Path, bytes: &[u8]) -> BundleHash {
        let hash = BundleHash::of(bytes);
        write_durably(&dir.join(hash.to_string()), bytes).unwrap();
        hash
    }

    fn manifest(dir: &Path, files: &[(&str, &[u8])]) -> BundleHash {
        let mut manifest = Manifest::default();
        for (path, bytes) in files {
            let file = atoll_assets::File { hash: keep(dir, bytes), size: bytes.len() as u64, kind: None };
            manifest.files.insert((*path).into(), file);
        }
        keep(dir, &manifest.encode())
    }

    #[tokio::test]
    async fn a_damaged_file_is_not_served() {
        let dir = tempfile::tempdir().unwrap();
        let store = AssetStore::new(Some(dir.path().into()), None, 1 << 20);
        let (small, large) = (vec![1_u8; 10], vec![2_u8; 3 << 20]);
        let hashes = [keep(dir.path(), &small), keep(dir.path(), &large)];
        for (hash, content) in hashes.iter().zip([&small, &large]) {
            for _ in 0..2 {
                match store.content(*hash, content.len() as u64).await.unwrap() {
                    Content::Memory(bytes) => assert_eq!(&bytes[..], &content[..]),
                    Content::Disk(file, length) => {
                        let mut bytes = vec![0; content.len()];
                        std::os::unix::fs::FileExt::read_exact_at(&*file, &mut bytes, 0).unwrap();
                        assert!(bytes == *content && length == 3 << 20);
                    }
                }
            }
        }
        let store = AssetStore::new(Some(dir.path().into()), None, 1 << 20);
        fs::write(dir.path().join(hashes[0].to_string()), "other").unwrap();
        assert!(matches!(store.content(hashes[0], 10).await, Err(AssetUnavailable::Missing(_))));
        assert!(!dir.path().join(hashes[0].to_string()).exists());
        fs::write(dir.path().join(hashes[1].to_string()), "other").unwrap();
        assert!(matches!(store.content(hashes[1], 3 << 20).await, Err(AssetUnavailable::Missing(_))));
    }

    #[tokio::test]
    async fn a_sweep_spares_what_a_manifest_names() {
        let dir = tempfile::tempdir().unwrap();
        let named = manifest(dir.path(), &[("/a", b"a"), ("/b", b"b")]);
        let idle = manifest(dir.path(), &[("/a", b"a"), ("/c", b"c")]);
        for entry in fs::read_dir(dir.path()).unwrap() {
            let file = File::options().write(true).open(entry.unwrap().path()).unwrap();
            file.set_modified(SystemTime::now() - GRACE * 2).unwrap();
        }
        let count = || fs::read_dir(dir.path()).unwrap().count();
        let store = AssetStore::new(Some(dir.path().into()), None, 1 << 20);
        store.sweep([named, BundleHash::of(b"not here")].into()).await;
        assert_eq!(count(), 5, "a manifest that cannot be read may name anything");
        store.sweep([named].into()).await;
        assert_eq!(count(), 3);
        assert!(!dir.path().join(idle.to_string()).exists());
        store.fetch_all(named).await.unwrap();
        fs::remove_file(dir.path().join(BundleHash::of(b"b").to_string())).unwrap();
        assert!(matches!(store.fetch_all(named).await, Err(AssetUnavailable::Missing(_))));
    }

    #[tokio::test]
    async fn a_sweep_forgets_which_files_were_whole_that_nothing_names() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, gone) = (vec![1_u8; 3 << 20], vec![2_u8; 3 << 20]);
        let named = manifest(dir.path(), &[("/kept", &kept)]);
        let hashes = [BundleHash::of(&kept), keep(dir.path(), &gone)];
        let store = AssetStore::new(Some(dir.path().into()), None, 1 << 20);
        for hash in hashes {
            assert!(matches!(store.content(hash, 3 << 20).await, Ok(Content::Disk(..))));
        }
        assert_eq!(lock(&store.checked).len(), 2);
        store.sweep([named, BundleHash::of(b"not here")].into()).await;
        assert_eq!(lock(&store.checked).len(), 2);
        store.sweep([named].into()).await;
        assert_eq!(*lock(&store.checked), HashSet::from([hashes[0]]));
        assert!(
            matches!(store.content(hashes[1], 3 << 20).await, Ok(Content::Disk(..))),
            "it is young, and checked again"
        );
    }

    #[tokio::test]
    async fn local_files_are_served_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        fs::write(&path, "one").unwrap();
        let hash = BundleHash::of(b"one");
        let store = AssetStore::new(None, None, 1 << 20);
        store.set_local([(hash, LocalAsset::File(path.clone()))].into());
        fs::write(&path, "two").unwrap();
        let content = async |hash| match store.content(hash, 3).await {
            Ok(Content::Memory(bytes)) => bytes,
            _ => panic!("it is in memory"),
        };
        assert_eq!(content(hash).await, "two", "changed since, and not kept");
        fs::write(&path, "one").unwrap();
        assert_eq!(content(hash).await, "one");
    }
}
