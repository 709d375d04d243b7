//! Large contents in memory that the kernel sends from where they are.
//!
//! Such a content lies in a file that has no name and no place but memory (`memfd_create`). It is written once, sealed,
//! and mapped for reading; what is handed out are ordinary [`Bytes`] of that mapping. Whoever sends them over a plain
//! socket asks [`find`] for the file behind them and gives that to `sendfile`, which spares the copy of all bytes. How
//! many there are is bounded, for each takes a file descriptor and a mapping; what cannot be had, for want of those or of
//! memory, stays ordinary bytes.

mod map;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Resource, getrlimit};

use self::map::Map;

/// Contents from this size on are sealed, bytes: those that have a large page. Of most smaller ones the copy costs less than
/// sending them from a file.
pub const LARGE: u64 = map::HUGE as u64;
/// Contents of these sizes are sealed when they are asked for often, bytes. The kernel takes them at once (`TCP_NOTSENT_LOWAT`,
/// as the node sets it), and sending them from a file costs less than copying them each time. The file costs about what is
/// spared in a few answers, so it is not for each that is stored.
pub const MEDIUM: RangeInclusive<u64> = 64 << 10..=128 << 10;
/// The most sealed contents of a process; the kernel's limit of mappings, 65,530 by default, is mostly for isolates.
const MOST: usize = 2048;
/// The share of the process's file descriptors that they may take: one in so many.
const SHARE: u64 = 8;
/// Bytes copied at once where a content comes from elsewhere than memory.
const PIECE: u64 = 1 << 20;

static ALL: Registry = Registry::new();

/// The same content, sealed if it is large and that can be had. Copies it, so it blocks for about a millisecond for each
/// 4 MiB.
pub fn keep(content: Bytes) -> Bytes {
    if (content.len() as u64) < LARGE || ALL.find(&content).is_some() {
        return content;
    }
    ALL.seal(most(), |file| file.write_all(&content)).unwrap_or(content)
}

/// The same content, one that is asked for often: sealed if it is [medium](MEDIUM) or large and that can be had. A medium
/// one is, as long as there is not half of the most. Blocks, as [`keep`] does.
pub fn keep_often(content: Bytes) -> Bytes {
    if !MEDIUM.contains(&(content.len() as u64)) || ALL.find(&content).is_some() {
        return keep(content);
    }
    ALL.seal(most() / 2, |file| file.write_all(&content)).unwrap_or(content)
}

/// The pieces of a content of `length` bytes as one, sealed; `None` when it is not large or that cannot be had. Blocks, as
/// [`keep`] does.
pub fn gather(pieces: &[Bytes], length: u64) -> Option<Bytes> {
    if length < LARGE {
        return None;
    }
    ALL.seal(most(), |file| pieces.iter().try_for_each(|piece| file.write_all(piece)))
}

/// A content of `length` bytes that `read` gives parts of: it takes the first byte and how many. Sealed if it is large and
/// that can be had. Blocks.
///
/// # Errors
/// Those of `read`.
pub fn read(length: u64, read: impl Fn(u64, u64) -> io::Result<Vec<u8>>) -> io::Result<Bytes> {
    if length >= LARGE {
        let mut failed = None;
        let sealed = ALL.seal(most(), |file| {
            for start in (0..length).step_by(PIECE as usize) {
                let piece = read(start, PIECE.min(length - start)).map_err(|error| {
                    failed = Some(error);
                    io::ErrorKind::Other
                })?;
                file.write_all(&piece)?;
            }
            Ok(())
        });
        match (sealed, failed) {
            (Some(sealed), _) => return Ok(sealed),
            (None, Some(error)) => return Err(error),
            (None, None) => {}
        }
    }
    read(0, length).map(Bytes::from)
}

/// The file that bytes in memory are of, and where in it they begin; `None` when they are not of one.
pub fn find(bytes: &[u8]) -> Option<(SealedFile, u64)> {
    ALL.find(bytes)
}

/// How many there may be: a share of the file descriptors that this process may have now.
fn most() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(descriptors / SHARE).unwrap_or(usize::MAX).min(MOST)
}

/// A file that holds a content and never changes. Clones are one.
#[derive(Clone, Debug)]
pub struct SealedFile(Arc<File>);

impl AsFd for SealedFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Which addresses are those of sealed contents.
struct Registry(RwLock<BTreeMap<usize, Place>>);

/// A mapping's length and its file, by its first address.
struct Place {
    length: usize,
    file: SealedFile,
}

impl Registry {
    const fn new() -> Self {
        Self(RwLock::new(BTreeMap::new()))
    }

    /// What `write` writes, sealed; `None` when that fails or there are as many as there may be.
    fn seal(&'static self, most: usize, write: impl FnOnce(&mut File) -> io::Result<()>) -> Option<Bytes> {
        if self.len() >= most {
            return None;
        }
        let sealed = || -> io::Result<Sealed> {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let mut file = File::from(memfd_create("atoll-cache", flags)?);
            write(&mut file)?;
            let map = Map::seal(&file)?;
            Ok(Sealed { registry: self, map, file: SealedFile(Arc::new(file)) })
        };
        sealed().ok().filter(|sealed| self.add(sealed, most)).map(Bytes::from_owner)
    }

    fn add(&self, sealed: &Sealed, most: usize) -> bool {
        let mut places = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= most {
            return false;
        }
        let place = Place { length: sealed.map.len(), file: sealed.file.clone() };
        places.insert(sealed.map.as_ptr().addr(), place);
        true
    }

    fn find(&self, bytes: &[u8]) -> Option<(SealedFile, u64)> {
        let address = bytes.as_ptr().addr();
        let places = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (start, place) = places.range(..=address).next_back()?;
        let offset = address - start;
        let within = offset.checked_add(bytes.len()).is_some_and(|end| end <= place.length);
        within.then(|| (place.file.clone(), offset as u64))
    }

    fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A content that is mapped.
struct Sealed {
    registry: &'static Registry,
    map: Map,
    file: SealedFile,
}

impl AsRef<[u8]> for Sealed {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        // Before the mapping ends, so that nobody takes for it what comes to lie at its addresses. One that was not added
        // is alone at its address too.
        self.registry.0.write().unwrap_or_else(PoisonError::into_inner).remove(&self.map.as_ptr().addr());
    }
}

#[cfg(test)]
#[path = "sealed_tests.rs"]
mod tests;
