//! A state on disk as a base and the changes since: what a change costs to keep does not depend on how many apps there
//! are.
//!
//! `state.json` is the base. Changes are lines of `state-N.log`, where N is the base's generation, so that the changes
//! to one base are never taken for changes to another. When the log has outgrown the base, a new base takes the place of
//! both. A line counts once its newline is on disk: what a crash or a full disk left of one is cut off.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::durable::write_durably;
use crate::saved::{Change, SavedState};

/// A log may have this size, bytes, before its base is written anew, however small the base is.
const SMALLEST_LIMIT: u64 = 256 << 10;

/// What a base begins with, before its generation.
const GENERATION: &str = "{\"generation\":";

/// Which log belongs to a base: a field that is written before the state's own. Files of earlier versions have none and no
/// log.
fn generation(base: &[u8]) -> Option<u64> {
    let rest = base.strip_prefix(GENERATION.as_bytes())?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

/// The files of a state.
pub struct Journal {
    folder: PathBuf,
    /// The generation of the base on disk, and its size in bytes.
    base: Option<(u64, u64)>,
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
        Self { folder: folder.to_owned(), base: None, log: None }
    }

    /// Where the base is.
    pub fn base_path(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    fn log_path(&self, generation: u64) -> PathBuf {
        self.folder.join(format!("state-{generation}.log"))
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
        let damaged = |path: &Path, error: serde_json::Error| Damaged { path: path.into(), problem: error.to_string() };
        let mut state: SavedState = serde_json::from_slice(&text).map_err(|error| damaged(&path, error))?;
        let generation = generation(&text).unwrap_or_default();
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
                state.apply(serde_json::from_slice::<Change>(line).map_err(|error| damaged(&path, error))?);
            }
            log.set_len(whole as u64)?;
            self.log = Some((log, whole as u64));
        }
        self.base = Some((generation, text.len() as u64));
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

    /// Keeps a whole state.
    pub fn write(&mut self, state: &SavedState) -> io::Result<()> {
        // A log that a lost base has left behind must not be taken for the new one's.
        let generation =
            self.base.map(|(generation, _)| generation).or_else(|| self.newest_log()).map_or(1, |old| old + 1);
        let fields = serde_json::to_string(state).expect("a state has string keys only");
        let text = fields.replacen('{', &format!("{GENERATION}{generation},"), 1).into_bytes();
        write_durably(&self.base_path(), &text)?;
        (self.base, self.log) = (Some((generation, text.len() as u64)), None);
        for (path, _) in self.logs().into_iter().filter(|(_, number)| *number != generation) {
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
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let number =
            |path: &Path| path.file_name()?.to_str()?.strip_prefix("state-")?.strip_suffix(".log")?.parse::<u64>().ok();
        entries.flatten().filter_map(|entry| Some((entry.path(), number(&entry.path())?))).collect()
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
