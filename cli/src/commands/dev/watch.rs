//! Noticing that a project's files change.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::error::CommandError;

/// How long after a change others are waited for: an editor's save is several.
const SETTLE: Duration = Duration::from_millis(15);

/// Folders whose changes are none of the project's.
const SKIPPED: [&str; 4] = ["node_modules", ".git", ".wrangler", ".atoll"];

/// Watches a project's folder with all folders below it but those of packages and tools.
pub struct Watch {
    watcher: RecommendedWatcher,
    events: mpsc::Receiver<Vec<PathBuf>>,
    /// What has changed since the last time that was told.
    changed: Vec<PathBuf>,
    /// When it is told, unless more changes before.
    settled: Option<Instant>,
}

impl Watch {
    /// Starts watching.
    pub fn start(root: &Path) -> Result<Self, CommandError> {
        let (sender, events) = mpsc::channel(256);
        let failed = |error: notify::Error| {
            CommandError::new("watch-failed", format!("cannot watch {} for changes: {error}", root.display()))
        };
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let paths = match event {
                Ok(event) if matters(&event) => event.paths,
                Ok(_) => return,
                // Events were lost: something may have changed.
                Err(_) => Vec::new(),
            };
            // A full queue has enough in it to cause a build.
            let _ = sender.try_send(paths);
        })
        .map_err(failed)?;
        let mut watch = Self { watcher, events, changed: Vec::new(), settled: None };
        watch.watcher.watch(root, RecursiveMode::NonRecursive).map_err(failed)?;
        watch.add_below(root);
        Ok(watch)
    }

    /// Watches a folder with all folders below it, or a file, beside the project's. One that is not there is no error.
    pub fn add_other(&mut self, path: &Path) {
        if self.watcher.watch(path, RecursiveMode::NonRecursive).is_ok() {
            self.add_below(path);
        }
    }

    /// Watches every folder below `folder`. One that has gone meanwhile is no loss.
    fn add_below(&mut self, folder: &Path) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.add(&entry.path());
            }
        }
    }

    fn add(&mut self, folder: &Path) {
        if !is_skipped(folder) && self.watcher.watch(folder, RecursiveMode::NonRecursive).is_ok() {
            self.add_below(folder);
        }
    }

    /// Waits until something has changed and nothing more does for a moment. Nothing is forgotten when the future is
    /// dropped before.
    pub async fn changed(&mut self) {
        loop {
            let event = match self.settled {
                None => self.events.recv().await,
                Some(at) => match tokio::time::timeout_at(at, self.events.recv()).await {
                    Ok(event) => event,
                    Err(_) => break,
                },
            };
            let Some(paths) = event else { return std::future::pending().await };
            self.changed.extend(paths);
            self.settled = Some(Instant::now() + SETTLE);
        }
        self.settled = None;
        for path in std::mem::take(&mut self.changed) {
            if path.is_dir() {
                self.add(&path);
            }
        }
    }
}

/// Whether changes in a folder are none of the project's.
pub fn is_skipped(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| SKIPPED.iter().any(|skipped| name == *skipped))
}

/// Whether an event can mean that a file has other content.
fn matters(event: &Event) -> bool {
    let kind = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    };
    let skipped = |path: &PathBuf| path.components().any(|part| SKIPPED.iter().any(|name| part.as_os_str() == *name));
    kind && !event.paths.iter().all(skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn notices(watch: &mut Watch) -> bool {
        tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn a_change_is_told_although_the_wait_is_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::start(folder.path()).unwrap();
        std::fs::write(folder.path().join("index.js"), "1").unwrap();
        let told = async {
            loop {
                tokio::select! {
                    biased;
                    () = watch.changed() => return,
                    () = tokio::time::sleep(SETTLE / 5) => {}
                }
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(60), told).await.is_ok());
    }

    #[tokio::test]
    async fn files_in_new_and_old_folders_are_watched_and_packages_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("src")).unwrap();
        std::fs::create_dir_all(root.join("node_modules/a")).unwrap();
        let mut watch = Watch::start(root).unwrap();
        std::fs::write(root.join("node_modules/a/index.js"), "1").unwrap();
        std::fs::write(root.join("src/index.js"), "1").unwrap();
        let first = watch.events.recv().await.unwrap();
        assert!(first.iter().all(|path| path.starts_with(root.join("src"))), "{first:?}");
        std::fs::create_dir(root.join("src/new")).unwrap();
        assert!(notices(&mut watch).await);
        // The event of the folder itself may come in two parts; a file in it is noticed once it is watched.
        while watch.events.try_recv().is_ok() {}
        std::fs::write(root.join("src/new/other.js"), "1").unwrap();
        let paths = watch.events.recv().await.unwrap();
        assert!(paths.iter().any(|path| path.ends_with("src/new/other.js")), "{paths:?}");
    }
}
