//! A state on disk as a base and the changes since: what a change costs to keep does not depend on how many apps there
//! are.
//!
//! `state.json` is the base, `state-N.index` its index ([`crate::base`]). Changes are lines of `state-N.log`, where N is
//! the base's generation, so that the changes to one base are never taken for changes to another. When the log has
//! outgrown the base, or when there is time, a new base takes the place of both. A line counts once its newline is on
//! disk: what a crash or a full disk left of one is cut off.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::base;
use crate::durable::{write_durably, write_whole};
use crate::saved::{Change, SavedState};

/// A log may have this size, bytes, before its base is written anew, however small the base is.
const SMALLEST_LIMIT: u64 = 256 << 10;

/// What a log may have, bytes, before it is worth while to write the base anew when there is time: a log is read as a whole
/// when the node starts, and takes a millisecond for each 100 KiB or so.
const SHORT: u64 = 64 << 10;

/// The files of a state.
pub struct Journal {
    folder: PathBuf,
    /// The generation of the base on disk, and its size in bytes.
    base: Option<(u64, u64)>,
    /// Whether the base on disk has its index, or can have none.
    indexed: bool,
    /// The log and its size in bytes as far as it counts, once it was written to.
    log: Option<(File, u64)>,
}

/// The files cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Damaged {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// Why there is no state.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A file cannot be understood.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

impl Journal {
    /// The state in a folder, if there is one.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), base: None, indexed: false, log: None }
    }

    /// Where the base is.
    pub fn base_path(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    fn log_path(&self, generation: u64) -> PathBuf {
        self.folder.join(format!("state-{generation}.log"))
    }

    fn index_path(&self, generation: u64) -> PathBuf {
        self.folder.join(format!("state-{generation}.index"))
    }

    /// Reads the state; `None` when none was ever written.
    pub fn load(&mut self) -> Result<Option<SavedState>, LoadError> {
        (self.base, self.log) = (None, None);
        let path = self.base_path();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let length = text.len() as u64;
        // One that cannot be had is as good as none.
        let index = |generation| fs::read(self.index_path(generation)).ok();
        let read = base::read(text.into(), index).map_err(|error| Damaged { path, problem: error.to_string() })?;
        let base::Read { generation, mut state, indexed } = read;
        let path = self.log_path(generation);
        let log = match File::options().read(true).append(true).open(&path) {
            Ok(log) => Some(log),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(log) = log {
            let lines = fs::read(&path)?;
            let whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in lines[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let damaged = |error: serde_json::Error| Damaged { path: path.clone(), problem: error.to_string() };
                state.apply(serde_json::from_slice::<Change>(line).map_err(damaged)?);
            }
            log.set_len(whole as u64)?;
            self.log = Some((log, whole as u64));
        }
        (self.base, self.indexed) = (Some((generation, length)), indexed);
        Ok(Some(state))
    }

    /// Knows nothing of the disk any more, because another has written there: the next thing to keep is a whole state.
    pub fn forget(&mut self) {
        (self.base, self.log) = (None, None);
    }

    /// Puts aside what cannot be understood; the next state starts anew.
    pub fn put_aside(&mut self) -> PathBuf {
        (self.base, self.log) = (None, None);
        let path = self.base_path();
        let aside = path.with_extension("json.damaged");
        // What cannot be moved is written over.
        let _ = fs::rename(&path, &aside);
        aside
    }

    /// Whether the next thing to keep is a whole state, because there is none or its log has grown too long.
    pub fn wants_base(&self) -> bool {
        match (self.base, &self.log) {
            (None, _) => true,
            (Some((_, base)), Some((_, log))) => *log > base.max(SMALLEST_LIMIT),
            (Some(_), None) => false,
        }
    }

    /// Whether the next start would be quicker if the base were written anew: it has no index, or a log that is not short.
    pub fn is_slow(&self) -> bool {
        self.base.is_some() && (!self.indexed || self.log.as_ref().is_some_and(|(_, length)| *length > SHORT))
    }

    /// Keeps a whole state.
    pub fn write(&mut self, state: &SavedState) -> io::Result<()> {
        // A log that a lost base has left behind must not be taken for the new one's.
        let generation =
            self.base.map(|(generation, _)| generation).or_else(|| self.newest_log()).map_or(1, |old| old + 1);
        let (text, index) = base::compose(generation, state);
        // It comes before the base, whose directory is synced for both. Without it nothing is lost but time.
        let indexed = index.is_none_or(|index| write_whole(&self.index_path(generation), &index, false).is_ok());
        write_durably(&self.base_path(), &text)?;
        (self.base, self.indexed, self.log) = (Some((generation, text.len() as u64)), indexed, None);
        let others = |(_, number): &(_, u64)| *number != generation;
        for (path, _) in self.logs().into_iter().chain(self.numbered("index")).filter(others) {
            // One that stays does no harm.
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    /// Keeps a change to the state that is on disk. When it fails, the state there is the one before the change.
    pub fn append(&mut self, change: &Change) -> io::Result<()> {
        let Some((generation, _)) = self.base else {
            return Err(io::Error::other("there is no state that could change"));
        };
        let mut line = serde_json::to_vec(change).expect("a change has string keys only");
        line.push(b'\n');
        let (mut log, length) = match self.log.take() {
            Some(log) => log,
            None => {
                let log = File::options().create(true).append(true).open(self.log_path(generation))?;
                File::open(&self.folder)?.sync_all()?;
                log.set_len(0)?;
                (log, 0)
            }
        };
        let written = log.write_all(&line).and_then(|()| log.sync_data());
        match written {
            Ok(()) => self.log = Some((log, length + line.len() as u64)),
            Err(error) => {
                // With half a line in it, it can be gone on with only if that can be taken back.
                if log.set_len(length).and_then(|()| log.sync_data()).is_ok() {
                    self.log = Some((log, length));
                } else {
                    self.base = None;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn newest_log(&self) -> Option<u64> {
        self.logs().into_iter().map(|(_, number)| number).max()
    }

    /// All logs with their generations.
    fn logs(&self) -> Vec<(PathBuf, u64)> {
        self.numbered("log")
    }

    /// All files of an extension with their generations.
    fn numbered(&self, extension: &str) -> Vec<(PathBuf, u64)> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let number = |path: &Path| {
            let name = path.file_name()?.to_str()?.strip_prefix("state-")?;
            name.strip_suffix(extension)?.strip_suffix('.')?.parse::<u64>().ok()
        };
        entries.flatten().filter_map(|entry| Some((entry.path(), number(&entry.path())?))).collect()
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
