//! The disk tier: contents by their SHA-256, and one small file for each key that says which contents it has.
//!
//! A file is written under another name, synced and renamed, contents before the entry that names them, so that a crash
//! leaves whole files or none. Every read is checked against checksums that the file carries. What does not hold is
//! deleted and as good as never stored. Nothing is read at start but what the first requests ask for; a scan in the
//! background counts what there is, and drops what is torn or named by nothing.

mod blob;
mod index;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};

pub use self::blob::{BLOCK, Blob};
use self::index::Index;
use crate::encoding;
use crate::entry::{Content, Entry, Variants};
use crate::key::Key;
use crate::sealed;

/// Names a content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlobRef {
    /// SHA-256 of its bytes.
    pub hash: [u8; 32],
    /// How many there are.
    pub length: u64,
}

/// The disk tier of a cache. All methods block.
pub struct Disk {
    root: PathBuf,
    budget: u64,
    index: Mutex<Index>,
    /// Held while files are changed, so that a content is never deleted while an entry that names it is written.
    changes: Mutex<()>,
    temporary: AtomicU64,
    forgets: AtomicU64,
}

const ENTRIES: &str = "entries";
const CONTENTS: &str = "contents";
const TEMPORARY: &str = "tmp";

impl Disk {
    /// The disk tier in a directory, which is made when it is missing, with at most `budget` bytes. Deletes what a run
    /// before has begun to write and not finished.
    pub fn open(root: &Path, budget: u64) -> io::Result<Self> {
        let temporary = root.join(TEMPORARY);
        if temporary.exists() {
            fs::remove_dir_all(&temporary)?;
        }
        for folder in [ENTRIES, CONTENTS, TEMPORARY] {
            fs::create_dir_all(root.join(folder))?;
        }
        Ok(Self {
            root: root.to_owned(),
            budget,
            index: Mutex::default(),
            changes: Mutex::default(),
            temporary: AtomicU64::new(0),
            forgets: AtomicU64::new(0),
        })
    }

    /// Counts all there is; drops what cannot be read, what nothing names, and what is over the budget. To be called
    /// once, beside the serving of requests. Gives how many files were dropped.
    pub fn scan(&self) -> io::Result<usize> {
        let mut dropped = 0;
        let mut found = Index::default();
        let mut contents = std::collections::HashMap::new();
        for path in files(&self.root.join(CONTENTS))? {
            match (name_hash(&path), blob::check(&path)) {
                // A file elsewhere than its name says would never be found.
                (Some(hash), Ok((length, size))) if path == self.path(CONTENTS, &hash) => {
                    contents.insert(hash, (length, size));
                }
                _ => dropped += usize::from(fs::remove_file(&path).is_ok()),
            }
        }
        for path in files(&self.root.join(ENTRIES))? {
            let entry =
                fs::read(&path).ok().and_then(|bytes| Some((encoding::decode(&bytes).ok()?, bytes.len() as u64)));
            let usable = entry.as_ref().is_some_and(|((key, variants), _)| {
                path == self.path(ENTRIES, &hash_of(key))
                    && blobs(variants)
                        .all(|blob| contents.get(&blob.hash).is_some_and(|(length, _)| *length == blob.length))
            });
            match entry {
                Some(((key, variants), size)) if usable => {
                    let sizes = blobs(&variants).map(|blob| (blob.hash, taken(contents[&blob.hash].1))).collect();
                    found.put(hash_of(&key), key.owner(), taken(size), sizes, written_at(&path));
                }
                _ => dropped += usize::from(fs::remove_file(&path).is_ok()),
            }
        }
        let _changes = self.changes();
        let mut index = self.index();
        // What was stored since the scan began is newer.
        index.merge(found);
        // What was being written meanwhile is named by an entry only now.
        let unnamed: Vec<_> = contents.keys().filter(|hash| !index.names(hash)).copied().collect();
        drop(index);
        for hash in unnamed {
            dropped += usize::from(fs::remove_file(self.path(CONTENTS, &hash)).is_ok());
        }
        self.make_room();
        Ok(dropped)
    }

    /// Bytes in use, as far as they are counted.
    pub fn used(&self) -> u64 {
        self.index().total()
    }

    /// Whether something may be stored under a key: certain only once [`scan`](Self::scan) has ended.
    pub fn may_have(&self, key: &Key) -> bool {
        self.index().may_have(&hash_of(key))
    }

    /// Makes that nothing is found under a key any more, without waiting for the disk. Gives whether there is something
    /// that [`remove_forgotten`](Self::remove_forgotten) has to delete.
    pub fn forget(&self, key: &Key) -> bool {
        let hash = hash_of(key);
        let mut index = self.index();
        let there = index.may_have(&hash);
        if there {
            index.forget(&hash);
        }
        self.forgets.fetch_add(1, Ordering::AcqRel);
        there
    }

    /// How often something was forgotten: what was read while this changed may be it.
    pub fn forgets(&self) -> u64 {
        self.forgets.load(Ordering::Acquire)
    }

    /// Deletes what was forgotten under a key, unless something else has been stored since.
    pub fn remove_forgotten(&self, key: &Key) {
        let _changes = self.changes();
        let hash = hash_of(key);
        if self.index().is_forgotten(&hash) {
            self.remove_entry(&hash);
        }
    }

    /// What is stored under a key; `None` when nothing is, or it is not whole.
    pub fn load(&self, key: &Key) -> Option<Variants> {
        let hash = hash_of(key);
        if self.index().is_forgotten(&hash) {
            return None;
        }
        let path = self.path(ENTRIES, &hash);
        let bytes = fs::read(&path).ok()?;
        match encoding::decode(&bytes) {
            Ok((stored, variants)) if stored == *key => {
                self.index().used(&hash, seconds(SystemTime::now()));
                Some(variants)
            }
            _ => {
                self.remove(key);
                None
            }
        }
    }

    /// Stores a content and gives its name. It is kept only once an entry names it.
    pub fn put(&self, bytes: &[u8]) -> io::Result<BlobRef> {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
        let blob = BlobRef { hash, length: bytes.len() as u64 };
        let path = self.path(CONTENTS, &hash);
        if blob::check(&path).is_ok_and(|(length, _)| length == blob.length) {
            return Ok(blob);
        }
        self.write(&path, |file| blob::write(file, bytes))?;
        Ok(blob)
    }

    /// Makes `variants` what is stored under a key: those of them that have their content on disk.
    pub fn store(&self, key: &Key, variants: &Variants) -> io::Result<()> {
        let hash = hash_of(key);
        let _changes = self.changes();
        let mut sizes = Vec::new();
        for blob in blobs(variants) {
            let (_, size) = blob::check(&self.path(CONTENTS, &blob.hash))?;
            sizes.push((blob.hash, taken(size)));
        }
        if sizes.is_empty() {
            return Ok(());
        }
        let bytes = encoding::encode(key, variants);
        self.write(&self.path(ENTRIES, &hash), |file| file.write_all(&bytes))?;
        let now = seconds(SystemTime::now());
        let unnamed = self.index().put(hash, key.owner(), taken(bytes.len() as u64), sizes, now);
        self.delete_contents(&unnamed);
        self.make_room();
        Ok(())
    }

    /// Opens a content for reading. One that is not whole is deleted.
    pub fn open_blob(&self, blob: &BlobRef) -> io::Result<Blob> {
        let path = self.path(CONTENTS, &blob.hash);
        let opened = Blob::open(&path, blob.length);
        if opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            let _ = fs::remove_file(&path);
        }
        opened
    }

    /// Deletes what is stored under a key.
    pub fn remove(&self, key: &Key) {
        let _changes = self.changes();
        self.remove_entry(&hash_of(key));
    }

    fn remove_entry(&self, hash: &[u8; 32]) {
        let _ = fs::remove_file(self.path(ENTRIES, hash));
        let unnamed = self.index().remove(hash);
        self.delete_contents(&unnamed);
    }

    /// Deletes contents that nothing names. Before the scan has ended nobody knows what names them; it deletes them.
    fn delete_contents(&self, hashes: &[[u8; 32]]) {
        if self.index().is_complete() {
            for hash in hashes {
                let _ = fs::remove_file(self.path(CONTENTS, hash));
            }
        }
    }

    /// Deletes what was not used for longest, or is of the app with the most, until all is within the budget, and a little more, so that not every
    /// store has to. Called with `changes` held.
    fn make_room(&self) {
        let least = {
            let index = self.index();
            if !index.is_complete() || index.total() <= self.budget {
                return;
            }
            index.least_used(self.budget / 10 * 9, seconds(SystemTime::now()))
        };
        for hash in least {
            self.remove_entry(&hash);
        }
    }

    fn write(&self, path: &Path, content: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = self.root.join(TEMPORARY).join(number.to_string());
        let written = (|| {
            let mut file = File::create_new(&temporary)?;
            content(&mut file)?;
            file.sync_data()?;
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::rename(&temporary, path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn path(&self, folder: &str, hash: &[u8; 32]) -> PathBuf {
        let name = hex(hash);
        self.root.join(folder).join(&name[..2]).join(name)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same variants, those on disk of at most `most` bytes with their content in memory. One whose content cannot be
/// read is left out.
pub fn in_memory(disk: &Disk, variants: &Variants, most: u64) -> Variants {
    let read = |entry: &Arc<Entry>| {
        let blob = match &entry.content {
            Content { memory: None, disk: Some(blob) } => blob,
            _ => return Some(entry.clone()),
        };
        let opened = disk.open_blob(blob).ok()?;
        if blob.length > most {
            return Some(entry.clone());
        }
        let memory = Some(sealed::read(blob.length, |start, count| opened.read(start, count)).ok()?);
        Some(Arc::new(Entry { head: entry.head.clone(), content: Content { memory, disk: Some(blob.clone()) } }))
    };
    Variants::new(variants.entries().iter().filter_map(read).collect())
}

/// Bytes that a file of this size takes on the disk.
fn taken(size: u64) -> u64 {
    const BLOCK: u64 = 4096;
    size.div_ceil(BLOCK).saturating_mul(BLOCK)
}

/// When a file was written, seconds since the Unix epoch.
fn written_at(path: &Path) -> u64 {
    fs::metadata(path).and_then(|file| file.modified()).map_or(0, seconds)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn blobs(variants: &Variants) -> impl Iterator<Item = &BlobRef> {
    variants.entries().iter().filter_map(|entry| entry.content.disk.as_ref())
}

fn hash_of(key: &Key) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
    hash
}

fn hex(hash: &[u8; 32]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    hash.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn name_hash(path: &Path) -> Option<[u8; 32]> {
    let name = path.file_name()?.to_str()?.as_bytes();
    let mut hash = [0; 32];
    if name.len() != 64 {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(name.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// All files two levels down.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for below in fs::read_dir(folder)? {
        let below = below?.path();
        if below.is_dir() {
            for file in fs::read_dir(below)? {
                files.push(file?.path());
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
