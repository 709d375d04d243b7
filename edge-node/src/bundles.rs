//! Bundles on this node: in memory while they are used, on disk for as long as a version needs them, else fetched.
//!
//! Whatever the source, a bundle is used only when its content has the hash it was asked for by.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use atoll_bundle::{Bundle, BundleError, BundleHash, BundleLimits};
use bytes::Bytes;

use crate::durable::write_whole;
use crate::follow::client::{ClientError, ControlPlaneClient};

/// Unused files younger than this stay on disk: a change that needs them may be under way.
pub(crate) const GRACE: Duration = Duration::from_secs(600);

/// Why a bundle cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BundleUnavailable {
    /// The node has no control plane to fetch it from.
    #[error("bundle {0} is not on this node")]
    Missing(BundleHash),
    /// The control plane did not give it.
    #[error("bundle {hash} could not be fetched")]
    Fetch {
        /// The bundle.
        hash: BundleHash,
        /// Why.
        source: ClientError,
    },
    /// What the control plane gave is not it.
    #[error("bundle {hash} as the control plane sent it was refused")]
    Refused {
        /// The bundle.
        hash: BundleHash,
        /// Why.
        source: BundleError,
    },
    /// It could not be written to disk.
    #[error("bundle {hash} could not be kept in {path}")]
    Write {
        /// The bundle.
        hash: BundleHash,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// All bundles of a node.
pub struct BundleStore {
    /// `DIR/bundles`; without one, bundles are in memory only.
    dir: Option<PathBuf>,
    origin: Option<Arc<ControlPlaneClient>>,
    memory: Mutex<Memory>,
    /// Files have been written whose directory is not on disk yet.
    unsynced: AtomicBool,
}

impl BundleStore {
    /// A store that keeps archives under `dir`, at most `memory` bytes of decoded bundles, and asks `origin` for others.
    pub fn new(dir: Option<PathBuf>, origin: Option<Arc<ControlPlaneClient>>, memory: u64) -> Self {
        let memory = Mutex::new(Memory { limit: memory, ..Memory::default() });
        Self { dir, origin, memory, unsynced: AtomicBool::new(false) }
    }

    /// The bundle, if it is in memory.
    pub fn at_hand(&self, hash: BundleHash) -> Option<Arc<Bundle>> {
        self.memory().get(hash)
    }

    /// The bundle, from the nearest place that has it. Afterwards it is on disk and in memory.
    pub async fn load(&self, hash: BundleHash) -> Result<Arc<Bundle>, BundleUnavailable> {
        if let Some(bundle) = self.at_hand(hash) {
            return Ok(bundle);
        }
        let (bundle, size) = self.obtain(hash, true).await?;
        Ok(self.memory().put(hash, bundle, size))
    }

    /// Sees to it that the bundle is on disk: for good after [`keep_fetched`](Self::keep_fetched). Many are fetched faster
    /// so than if each waited until its directory is on disk too.
    pub async fn fetch(&self, hash: BundleHash, in_memory: bool) -> Result<(), BundleUnavailable> {
        if self.memory().get(hash).is_some() {
            return Ok(());
        }
        let (bundle, size) = self.obtain(hash, false).await?;
        if in_memory || self.dir.is_none() {
            self.memory().put(hash, bundle, size);
        }
        Ok(())
    }

    /// Makes what was [fetched](Self::fetch) durable.
    pub async fn keep_fetched(&self) -> io::Result<()> {
        let Some(dir) = self.dir.clone() else { return Ok(()) };
        if !self.unsynced.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let synced = off_thread(move || fs::File::open(dir)?.sync_all()).await;
        if synced.is_err() {
            self.unsynced.store(true, Ordering::SeqCst);
        }
        synced
    }

    /// Which of these are not on disk.
    pub async fn missing(&self, hashes: HashSet<BundleHash>) -> Vec<BundleHash> {
        let Some(dir) = self.dir.clone() else { return Vec::new() };
        off_thread(move || {
            let mut missing = hashes;
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                if let Some(hash) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                    missing.remove(&hash);
                }
            }
            missing.into_iter().collect()
        })
        .await
    }

    async fn obtain(&self, hash: BundleHash, durably: bool) -> Result<(Arc<Bundle>, u64), BundleUnavailable> {
        if let Some(path) = self.path(hash)
            && let Some(found) = off_thread(move || read(&path, hash)).await
        {
            return Ok(found);
        }
        let origin = self.origin.as_ref().ok_or(BundleUnavailable::Missing(hash))?;
        let archive = origin.bundle(hash).await.map_err(|source| BundleUnavailable::Fetch { hash, source })?;
        let path = self.path(hash);
        // Before it is written: who is about to sync the directory may have to do so once more.
        self.unsynced.fetch_or(!durably && path.is_some(), Ordering::SeqCst);
        off_thread(move || {
            let (bundle, _) = Bundle::unpack(&archive, Some(hash), &BundleLimits::default())
                .map_err(|source| BundleUnavailable::Refused { hash, source })?;
            if let Some(path) = path {
                let written = write_whole(&path, &archive, durably);
                written.map_err(|source| BundleUnavailable::Write { hash, path, source })?;
            }
            let size = size_of(&bundle);
            Ok((Arc::new(bundle), size))
        })
        .await
    }

    /// Deletes archives that are not in `needed`, except young ones.
    pub async fn sweep(&self, needed: HashSet<BundleHash>) {
        let Some(dir) = self.dir.clone() else { return };
        off_thread(move || sweep(&dir, &needed)).await;
    }

    fn path(&self, hash: BundleHash) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join(hash.to_string()))
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does what blocks beside the runtime's own threads.
pub async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// `None` when the file is not there or damaged; a damaged one is removed, so that it is fetched again.
fn read(path: &Path, hash: BundleHash) -> Option<(Arc<Bundle>, u64)> {
    let archive = Bytes::from(fs::read(path).ok()?);
    match Bundle::unpack(&archive, Some(hash), &BundleLimits::default()) {
        Ok((bundle, _)) => {
            let size = size_of(&bundle);
            Some((Arc::new(bundle), size))
        }
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "a kept bundle is damaged and is removed");
            let _ = fs::remove_file(path);
            None
        }
    }
}

/// What a bundle takes in memory, bytes.
pub fn size_of(bundle: &Bundle) -> u64 {
    bundle.modules.iter().map(|module| (module.content.len() + module.name.len()) as u64).sum()
}

/// Deletes the files of a directory whose names are not hashes in `needed`, except young ones.
pub(crate) fn sweep(dir: &Path, needed: &HashSet<BundleHash>) {
    for entry in fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name();
        let hash = name.to_str().and_then(|name| name.parse::<BundleHash>().ok());
        if hash.is_some_and(|hash| needed.contains(&hash)) {
            continue;
        }
        let modified = entry.metadata().and_then(|metadata| metadata.modified()).ok();
        let old = modified.is_some_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > GRACE));
        if old {
            // It is tried again with the next sweep.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Decoded bundles, the least recently used going first.
#[derive(Default)]
struct Memory {
    limit: u64,
    used: u64,
    clock: u64,
    bundles: HashMap<BundleHash, Kept>,
    /// Those of `bundles` by their last use.
    by_use: BTreeMap<u64, BundleHash>,
}

struct Kept {
    bundle: Arc<Bundle>,
    size: u64,
    last_use: u64,
}

impl Memory {
    fn get(&mut self, hash: BundleHash) -> Option<Arc<Bundle>> {
        let kept = self.bundles.get_mut(&hash)?;
        self.clock += 1;
        self.by_use.remove(&kept.last_use);
        self.by_use.insert(self.clock, hash);
        kept.last_use = self.clock;
        Some(kept.bundle.clone())
    }

    /// Returns the bundle that is kept: one that came first stays, so that all isolates share it.
    fn put(&mut self, hash: BundleHash, bundle: Arc<Bundle>, size: u64) -> Arc<Bundle> {
        if let Some(bundle) = self.get(hash) {
            return bundle;
        }
        self.clock += 1;
        self.by_use.insert(self.clock, hash);
        self.bundles.insert(hash, Kept { bundle: bundle.clone(), size, last_use: self.clock });
        self.used += size;
        while self.used > self.limit
            && let Some((_, oldest)) = self.by_use.pop_first()
            && let Some(kept) = self.bundles.remove(&oldest)
        {
            self.used -= kept.size;
        }
        bundle
    }
}

#[cfg(test)]
mod tests {
    use atoll_bundle::{Module, ModuleKind};

    use super::*;
    use crate::durable::write_durably;

    fn bundle(code: &str) -> Bundle {
        Bundle {
            main: "index.js".into(),
            compatibility_date: "2026-01-01".into(),
            compatibility_flags: vec![],
            modules: vec![Module {
                name: "index.js".into(),
                kind: ModuleKind::EsModule,
                content: code.to_owned().into(),
            }],
        }
    }

    #[tokio::test]
    async fn a_kept_bundle_is_read_and_a_damaged_one_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (archive, hash) = bundle("1").pack();
        let path = dir.path().join(hash.to_string());
        write_durably(&path, &archive).unwrap();
        let store = BundleStore::new(Some(dir.path().into()), None, 1 << 20);
        assert_eq!(*store.load(hash).await.unwrap(), bundle("1"));
        fs::remove_file(&path).unwrap();
        assert!(store.load(hash).await.is_ok(), "it stays in memory");

        let (other, _) = bundle("2").pack();
        write_durably(&path, &other).unwrap();
        let store = BundleStore::new(Some(dir.path().into()), None, 1 << 20);
        assert!(matches!(store.load(hash).await, Err(BundleUnavailable::Missing(missing)) if missing == hash));
        assert!(!path.exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "no temporary file is left");
    }

    #[tokio::test]
    async fn a_sweep_spares_what_is_needed_or_young() {
        let dir = tempfile::tempdir().unwrap();
        let hashes: Vec<_> = ["1", "2", "3"].map(|code| bundle(code).pack()).into_iter().collect();
        for (archive, hash) in &hashes {
            write_durably(&dir.path().join(hash.to_string()), archive).unwrap();
        }
        for (_, hash) in &hashes[..2] {
            let file = fs::File::options().write(true).open(dir.path().join(hash.to_string())).unwrap();
            file.set_modified(SystemTime::now() - GRACE * 2).unwrap();
        }
        let store = BundleStore::new(Some(dir.path().into()), None, 0);
        store.sweep([hashes[0].1].into()).await;
        let there = hashes.iter().map(|(_, hash)| dir.path().join(hash.to_string()).exists()).collect::<Vec<_>>();
        assert_eq!(there, [true, false, true]);
    }

    #[test]
    fn memory_keeps_the_recently_used_within_its_limit() {
        let mut memory = Memory { limit: 100, ..Memory::default() };
        let hash = |name: &str| BundleHash::of(name.as_bytes());
        memory.put(hash("a"), Arc::new(bundle("a")), 40);
        memory.put(hash("b"), Arc::new(bundle("b")), 40);
        assert!(memory.get(hash("a")).is_some());
        memory.put(hash("c"), Arc::new(bundle("c")), 40);
        assert!(memory.get(hash("b")).is_none());
        assert!(memory.get(hash("a")).is_some() && memory.get(hash("c")).is_some());
        memory.put(hash("d"), Arc::new(bundle("d")), 1000);
        assert_eq!((memory.used, memory.bundles.len(), memory.by_use.len()), (0, 0, 0));
    }
}
