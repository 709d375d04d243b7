//! Where responses are kept: in memory up to a budget, and on disk when there is one.

use std::path::Path;
use std::sync::Arc;
use std::{io, time::Duration};

use bytes::Bytes;
use moka::sync::Cache;

use crate::UnixMillis;
use crate::disk::{self, BlobRef, Disk};
use crate::entry::{Content, Entry, Head, Variants};
use crate::hot::Hot;
use crate::key::Key;
use crate::memory::Memory;
use crate::sealed;

/// How much is kept where.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Memory for stored responses, bytes.
    pub memory: u64,
    /// The largest content that is kept in memory, bytes; larger ones are kept on disk alone.
    pub memory_object: u64,
    /// Contents from this size on go to disk too, bytes.
    pub disk_object: u64,
    /// Responses that stay fresh for so long go to disk too, whatever their size, seconds.
    pub disk_lifetime: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { memory: 256 << 20, memory_object: 8 << 20, disk_object: 64 << 10, disk_lifetime: 3600 }
    }
}

/// How long a key whose answer could not be stored is remembered as such, milliseconds.
const UNCACHEABLE: UnixMillis = 10_000;

/// The store of a node. Cheap to look up; never blocks but in the methods that say so.
pub struct Store {
    memory: Memory,
    uncacheable: Cache<Key, UnixMillis>,
    disk: Option<Arc<Disk>>,
    hot: Hot,
    options: StoreOptions,
}

impl Store {
    /// An empty store without a disk.
    pub fn new(options: StoreOptions) -> Self {
        let memory = Memory::new(options.memory);
        let uncacheable = Cache::builder()
            .max_capacity(8 << 20)
            .weigher(|key: &Key, _: &UnixMillis| u32::try_from(key.as_bytes().len() + 64).unwrap_or(u32::MAX))
            .time_to_live(Duration::from_millis(UNCACHEABLE * 2))
            .build();
        Self { memory, uncacheable, disk: None, hot: Hot::new(), options }
    }

    /// Adds a disk tier in a directory, with at most `budget` bytes. Blocks; [`Disk::scan`] is yet to be called.
    pub fn with_disk(mut self, root: &Path, budget: u64) -> io::Result<Self> {
        self.disk = Some(Arc::new(Disk::open(root, budget)?));
        Ok(self)
    }

    /// The disk tier.
    pub fn disk(&self) -> Option<&Arc<Disk>> {
        self.disk.as_ref()
    }

    /// What is in memory under a key.
    pub fn lookup(&self, key: &Key) -> Option<Arc<Variants>> {
        self.memory.get(key)
    }

    /// Whether [`load`](Self::load) may find more than [`lookup`](Self::lookup).
    pub fn may_load(&self, key: &Key) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.may_have(key))
    }

    /// What is on disk under a key, from now on in memory too. Blocks.
    pub fn load(&self, key: &Key) -> Option<Arc<Variants>> {
        let disk = self.disk.as_ref()?;
        let forgets = disk.forgets();
        let variants = disk.load(key)?;
        let variants = disk::in_memory(disk, &variants, self.options.memory_object);
        if variants.entries().is_empty() {
            disk.remove(key);
            return None;
        }
        // What came meanwhile is newer.
        let kept = self.memory.update(key, |known| known.is_none().then_some(variants));
        if disk.forgets() != forgets {
            // It may be what was forgotten meanwhile: look again the next time.
            self.memory.remove(key);
            return None;
        }
        kept
    }

    /// Whether a response is to be [persisted](Self::persist) after it is inserted.
    pub fn wants_disk(&self, head: &Head, length: u64) -> bool {
        self.disk.is_some()
            && (length >= self.options.disk_object || head.policy.lifetime >= self.options.disk_lifetime)
    }

    /// Stores a response in memory, in place of the variant that it replaces. Content that is too large for memory, and
    /// is not on disk, is not stored: `false`.
    pub fn insert(&self, key: &Key, entry: Entry) -> bool {
        let content = match entry.content {
            Content { memory: Some(bytes), disk } if bytes.len() as u64 > self.options.memory_object => {
                if disk.is_none() {
                    return false;
                }
                Content { memory: None, disk }
            }
            content => content,
        };
        let entry = Arc::new(Entry { head: entry.head, content });
        self.memory.update(key, |known| Some(known.cloned().unwrap_or_default().with(entry)));
        true
    }

    /// Writes a response to disk, and notes in memory where it is, if it `holds` still by then. Blocks.
    pub fn persist(
        &self,
        key: &Key,
        head: &Arc<Head>,
        content: &Bytes,
        holds: impl FnOnce() -> bool,
    ) -> io::Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let blob = disk.put(content)?;
        if !holds() {
            return Ok(());
        }
        let memory = Some(content.clone()).filter(|content| content.len() as u64 <= self.options.memory_object);
        let memory = memory.map(sealed::keep);
        let known = self.memory.get(key);
        // Another response may have come in its place, or an invalidation.
        let current = known.as_ref().is_some_and(|known| known.entries().iter().any(|e| Arc::ptr_eq(&e.head, head)));
        if memory.is_some() && !current {
            return Ok(());
        }
        self.insert(key, Entry { head: head.clone(), content: Content { memory, disk: Some(blob) } });
        match self.memory.get(key) {
            Some(variants) => disk.store(key, &variants),
            None => Ok(()),
        }
    }

    /// Takes note that all of a content was read from disk. Says whether it is time to [promote](Self::promote) it: an
    /// eighth of the memory is the most that one of them gets.
    pub fn is_hot(&self, blob: &BlobRef) -> bool {
        blob.length <= self.options.memory / 8 && self.hot.note(blob)
    }

    /// Reads the content of a response that is on disk alone into memory too, if the response is still stored. Blocks.
    pub fn promote(&self, key: &Key, head: &Arc<Head>, blob: &BlobRef) -> io::Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let stored = disk.open_blob(blob)?;
        let content = sealed::read(blob.length, |start, count| stored.read(start, count))?;
        self.bring(key, head, &content);
        Ok(())
    }

    /// Moves the content of a response that is in memory to where the kernel can send it from, if it is large, or medium and
    /// sent often, and the response is still stored. Blocks.
    pub fn seal(&self, key: &Key, head: &Arc<Head>) {
        let Some(known) = self.memory.get(key) else { return };
        let Some(entry) = known.entries().iter().find(|entry| Arc::ptr_eq(&entry.head, head)) else { return };
        if let Some(content) = &entry.content.memory {
            self.bring(key, head, &sealed::keep_often(content.clone()));
        }
    }

    /// Puts the content of a response into memory, if the response is still stored. Neither what has come meanwhile nor
    /// what was forgotten is touched, and the newest stays the first.
    fn bring(&self, key: &Key, head: &Arc<Head>, content: &Bytes) {
        self.memory.update(key, |known| {
            let known = known?.entries();
            let is_it = |entry: &Arc<Entry>| Arc::ptr_eq(&entry.head, head);
            let put = |entry: &Arc<Entry>| match is_it(entry) {
                true => {
                    let content = Content { memory: Some(content.clone()), disk: entry.content.disk.clone() };
                    Arc::new(Entry { head: head.clone(), content })
                }
                false => entry.clone(),
            };
            known.iter().any(is_it).then(|| Variants::new(known.iter().map(put).collect()))
        });
    }

    /// Writes to disk what memory has of a key's heads. Blocks.
    pub fn persist_heads(&self, key: &Key) -> io::Result<()> {
        match (&self.disk, self.memory.get(key)) {
            (Some(disk), Some(variants)) => disk.store(key, &variants),
            _ => Ok(()),
        }
    }

    /// Forgets a key: nothing is found under it any more. `true` when there is something on disk that
    /// [`remove_from_disk`](Self::remove_from_disk) has to delete.
    pub fn remove(&self, key: &Key) -> bool {
        let on_disk = self.disk.as_ref().is_some_and(|disk| disk.forget(key));
        // After the disk, so that nobody brings back from there what is forgotten here.
        self.memory.remove(key);
        on_disk
    }

    /// Deletes what was forgotten under a key and is on disk still. Blocks.
    pub fn remove_from_disk(&self, key: &Key) {
        if let Some(disk) = &self.disk {
            disk.remove_forgotten(key);
        }
    }

    /// Remembers that the last answer under a key could not be stored, so that nobody waits for the next one.
    pub fn note_uncacheable(&self, key: &Key, now: UnixMillis) {
        self.uncacheable.insert(key.clone(), now.saturating_add(UNCACHEABLE));
    }

    /// Whether the last answer under a key could not be stored.
    pub fn is_uncacheable(&self, key: &Key, now: UnixMillis) -> bool {
        self.uncacheable.get(key.as_bytes()).is_some_and(|until| now < until)
    }

    /// Forgets that it could not.
    pub fn note_cacheable(&self, key: &Key) {
        self.uncacheable.invalidate(key.as_bytes());
    }

    /// Bytes in memory.
    pub fn memory_used(&self) -> u64 {
        self.memory.used()
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
