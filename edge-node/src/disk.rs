//! The node's data directory: its format, its key and the last good state.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use atoll_protocol::seal::NodeKey;

use crate::durable::write_durably;
use crate::journal::{Journal, LoadError};
use crate::saved::{Change, SavedState};

/// The format this program reads and writes.
const FORMAT: u32 = 1;

/// The data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A file or directory cannot be read or written.
    #[error("{path} cannot be {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A newer program has written it.
    #[error(
        "the data directory {path} has format {found}, and this version of atoll reads formats up to {FORMAT}; \
         run the newer version, or use another data directory"
    )]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: String,
    },
    /// Another process uses it.
    #[error("the data directory {0} is in use by another edge node; stop that one, or use another data directory")]
    Locked(PathBuf),
    /// The key file is damaged.
    #[error("{0} is no node key; delete it to get a new one")]
    Key(PathBuf),
    /// Another process is taking the directory over, and wants no change from this one.
    #[error("the data directory {0} is left to another process")]
    Released(PathBuf),
}

/// A data directory that this process has for itself.
pub struct DataDir {
    path: PathBuf,
    state: Mutex<Kept>,
    /// Keeps the lock until the directory is given up.
    lock: File,
}

/// The last good state on disk.
struct Kept {
    journal: Journal,
    /// While another process writes the state: what this one would have written last.
    released: Option<Option<SavedState>>,
}

impl DataDir {
    /// Opens or makes the directory, checks its format and locks it; with the lock of the process before, shares that.
    pub fn open(path: &Path, inherited: Option<File>) -> Result<Self, DiskError> {
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| DiskError::Io { what, path, source }
        };
        let bundles = path.join("bundles");
        fs::create_dir_all(&bundles).map_err(failed("created", &bundles))?;
        let assets = path.join("assets");
        fs::create_dir_all(&assets).map_err(failed("created", &assets))?;
        let lock_path = path.join("lock");
        let lock = match inherited {
            Some(lock) => lock,
            None => File::create(&lock_path).map_err(failed("created", &lock_path))?,
        };
        // On an inherited lock this changes nothing: it belongs to the open file.
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DiskError::Locked(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed("locked", &lock_path)(source)),
        }
        let format_path = path.join("format");
        match fs::read_to_string(&format_path) {
            Ok(text) if text.trim().parse::<u32>().is_ok_and(|format| format <= FORMAT) => {}
            Ok(text) => {
                let found = text.trim().chars().take(20).collect();
                return Err(DiskError::NewerFormat { path: path.to_owned(), found });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_durably(&format_path, format!("{FORMAT}\n").as_bytes())
                    .map_err(failed("written", &format_path))?;
            }
            Err(source) => return Err(failed("read", &format_path)(source)),
        }
        let kept = Kept { journal: Journal::new(path), released: None };
        Ok(Self { path: path.to_owned(), state: Mutex::new(kept), lock })
    }

    /// The lock, to be handed to the process after this one.
    pub fn share_lock(&self) -> io::Result<OwnedFd> {
        self.lock.as_fd().try_clone_to_owned()
    }

    /// Leaves the state to the process after this one: from here on this one neither reads nor writes it.
    pub fn release(&self) {
        self.kept().released.get_or_insert_default();
    }

    /// Takes the state back from a process that did not come to serve, and keeps what could not be kept meanwhile. What
    /// comes next is kept whole, whatever that process has left.
    pub fn reclaim(&self) -> Result<(), DiskError> {
        let mut kept = self.kept();
        let unwritten = kept.released.take();
        kept.journal.forget();
        match unwritten.flatten() {
            Some(state) => self.write(&mut kept.journal, &state),
            None => Ok(()),
        }
    }

    /// Where bundles are kept.
    pub fn bundles(&self) -> PathBuf {
        self.path.join("bundles")
    }

    /// Where static files are kept.
    pub fn assets(&self) -> PathBuf {
        self.path.join("assets")
    }

    /// Where compiled code is kept.
    pub fn code(&self) -> PathBuf {
        self.path.join("code")
    }

    /// Where the front cache keeps responses.
    pub fn cache(&self) -> PathBuf {
        self.path.join("cache")
    }

    /// The node's key, made at the first start. Only its owner can read the file.
    pub fn node_key(&self) -> Result<NodeKey, DiskError> {
        let path = self.path.join("node.key");
        match fs::read(&path) {
            Ok(bytes) => NodeKey::from_bytes(&bytes).ok_or(DiskError::Key(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let failed = |source| DiskError::Io { what: "written", path: path.clone(), source };
                let key = NodeKey::generate().map_err(|error| failed(io::Error::other(error)))?;
                write_private(&path, &key.to_bytes()).map_err(failed)?;
                Ok(key)
            }
            Err(source) => Err(DiskError::Io { what: "read", path, source }),
        }
    }

    /// The last good state. One that cannot be read is put aside, and the node asks for all of it again.
    pub fn load(&self) -> Option<SavedState> {
        let kept = &mut *self.kept();
        if kept.released.is_some() {
            return None;
        }
        let journal = &mut kept.journal;
        match journal.load() {
            Ok(state) => state,
            Err(LoadError::Io(error)) => {
                let path = journal.base_path();
                tracing::error!(path = %path.display(), %error, "the last good state cannot be read");
                None
            }
            Err(LoadError::Damaged(error)) => {
                let aside = journal.put_aside();
                tracing::error!(
                    %error, aside = %aside.display(),
                    "the last good state is damaged; it is put aside and asked for again"
                );
                None
            }
        }
    }

    /// Whether the next state has to be kept as a whole.
    pub fn wants_whole(&self) -> bool {
        let kept = self.kept();
        kept.released.is_some() || kept.journal.wants_base()
    }

    /// Keeps a state, so that it is there after a crash at any point: the new one or the one before it. While the state
    /// is another process's, it is kept in memory until that one serves or this one takes the state back.
    pub fn save(&self, state: &SavedState) -> Result<(), DiskError> {
        let kept = &mut *self.kept();
        match &mut kept.released {
            Some(unwritten) => {
                *unwritten = Some(state.clone());
                Ok(())
            }
            None => self.write(&mut kept.journal, state),
        }
    }

    /// Writes the state anew if it would take long to read as it is: after many changes, or when its index is missing. What
    /// it says stays the same, so nothing is lost when that fails, and the next time it is tried again. Blocks.
    pub fn tidy(&self) {
        let kept = &mut *self.kept();
        if kept.released.is_some() || !kept.journal.is_slow() {
            return;
        }
        let written = match kept.journal.load() {
            Ok(Some(state)) => self.write(&mut kept.journal, &state).map_err(|error| error.to_string()),
            Ok(None) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = written {
            tracing::warn!(error, "the state could not be written anew for the node to start quickly");
        }
    }

    /// Keeps a change to the state that was kept last, with the same guarantee.
    pub fn save_change(&self, change: &Change) -> Result<(), DiskError> {
        let kept = &mut *self.kept();
        if kept.released.is_some() {
            return Err(DiskError::Released(self.path.clone()));
        }
        let path = kept.journal.base_path();
        kept.journal.append(change).map_err(|source| DiskError::Io { what: "written", path, source })
    }

    fn write(&self, journal: &mut Journal, state: &SavedState) -> Result<(), DiskError> {
        let path = journal.base_path();
        journal.write(state).map_err(|source| DiskError::Io { what: "written", path, source })?;
        if journal.is_slow() {
            tracing::warn!("the index of the state cannot be written; without it the node would start slowly");
        }
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic while it was held has left what is on disk whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let temporary = path.with_extension("tmp");
    // A file left by a start that was cut short may have other permissions.
    let _ = fs::remove_file(&temporary);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn state_and_key_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = SavedState::default();
        (state.history, state.revision) = ("h".into(), 7);
        let public = {
            let data = DataDir::open(dir.path(), None).unwrap();
            assert!(data.load().is_none());
            data.save(&state).unwrap();
            data.node_key().unwrap().public_key()
        };
        let data = DataDir::open(dir.path(), None).unwrap();
        assert_eq!(data.load(), Some(state));
        assert_eq!(data.node_key().unwrap().public_key(), public);
        let mode = fs::metadata(dir.path().join("node.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_state_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path(), None).unwrap();
        fs::write(dir.path().join("state.json"), b"{\"history\":").unwrap();
        assert_eq!(data.load(), None);
        assert!(dir.path().join("state.json.damaged").exists());
        assert!(!dir.path().join("state.json").exists());
    }

    #[test]
    fn a_directory_that_was_released_is_left_alone_until_it_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let at = |revision| {
            let mut state = SavedState::default();
            (state.history, state.revision) = ("h".into(), revision);
            state
        };
        let old = DataDir::open(dir.path(), None).unwrap();
        old.save(&at(1)).unwrap();
        old.release();
        assert!(old.wants_whole(), "a change alone is not kept now");
        let lock = File::from(old.share_lock().unwrap());
        let new = DataDir::open(dir.path(), Some(lock)).unwrap();
        assert_eq!(new.load().unwrap().revision, 1);
        new.save(&at(2)).unwrap();
        old.save(&at(3)).unwrap();
        assert!(old.load().is_none());
        assert!(matches!(old.save_change(&at(4).change()), Err(DiskError::Released(_))));
        assert_eq!(new.load().unwrap().revision, 2);
        drop(new);
        old.reclaim().unwrap();
        assert_eq!(old.load().unwrap().revision, 3, "what could not be kept meanwhile");
        old.save(&at(5)).unwrap();
        assert_eq!(old.load().unwrap().revision, 5);
    }

    #[test]
    fn a_state_is_tidied_up_when_it_would_be_read_slowly() {
        use crate::saved::tests::{app, change};
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"generation":3,"history":"h","revision":3,"apps":{},"pending":{}}"#;
        fs::create_dir_all(dir.path()).unwrap();
        fs::write(dir.path().join("state.json"), text).unwrap();
        let data = DataDir::open(dir.path(), None).unwrap();
        let is_there = |name: &str| dir.path().join(name).exists();
        data.tidy();
        assert!(!is_there("state-4.index"), "nothing was read yet");
        // A directory of a version before.
        let mut state = data.load().unwrap();
        data.tidy();
        assert!(is_there("state-4.index"));
        let written = || fs::metadata(dir.path().join("state.json")).unwrap().modified().unwrap();
        let before = written();
        data.tidy();
        assert_eq!(written(), before, "there is nothing to do");
        for revision in 4..300 {
            state.take(change(revision, "a", Some(app(&"a".repeat(300), revision)))).unwrap();
            state.settle("a");
            data.save_change(&state.change()).unwrap();
            state.kept();
        }
        assert!(is_there("state-4.log"));
        data.release();
        data.tidy();
        assert!(is_there("state-4.log"), "it is another process's");
        data.reclaim().unwrap();
        assert_eq!(data.load().unwrap(), state);
        data.tidy();
        assert!(is_there("state-5.index") && !is_there("state-4.log") && !is_there("state-4.index"));
        assert_eq!(data.load().unwrap(), state);
        // And is gone on from.
        state.take(change(300, "a", None)).unwrap();
        data.save_change(&state.change()).unwrap();
        state.kept();
        assert_eq!((data.load().unwrap(), is_there("state-5.log")), (state, true));
    }

    #[test]
    fn what_another_process_left_is_replaced_by_what_comes_next() {
        let dir = tempfile::tempdir().unwrap();
        let old = DataDir::open(dir.path(), None).unwrap();
        old.save(&SavedState::default()).unwrap();
        old.release();
        fs::write(dir.path().join("state.json"), "half of some").unwrap();
        old.reclaim().unwrap();
        assert!(old.wants_whole());
        old.save(&SavedState::default()).unwrap();
        assert_eq!(old.load(), Some(SavedState::default()));
    }

    #[test]
    fn a_newer_format_a_second_process_and_a_damaged_key_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path(), None).unwrap();
        assert!(matches!(DataDir::open(dir.path(), None), Err(DiskError::Locked(_))));
        fs::write(dir.path().join("node.key"), b"short").unwrap();
        assert!(matches!(data.node_key(), Err(DiskError::Key(_))));
        drop(data);
        fs::write(dir.path().join("format"), "2\n").unwrap();
        let message = DataDir::open(dir.path(), None).err().unwrap().to_string();
        assert!(message.contains("format 2") && message.contains("up to 1"), "{message}");
    }
}
