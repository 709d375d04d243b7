//! Large contents in memory that the kernel sends from where they are.
//!
//! Such a content lies in a file that has no name and no place but memory (`memfd_create`). It is written once, sealed,
//! and mapped for reading; what is handed out are ordinary [`Bytes`] of that mapping. Whoever sends them over a plain
//! socket asks [`find`] for the file behind them and gives that to `sendfile`, which spares the copy of all bytes. How
//! many there are is bounded, for each takes a file descriptor and a mapping; what cannot be had, for want of those or of
//! memory, stays ordinary bytes.
//!
//! The kernel counts, looks up and gives back page by page what it sends, so contents lie on large pages: large ones on their
//! own, and those medium ones that are asked for often share some, one behind the other (`Shelf`).

mod map;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::ops::{Range, RangeInclusive};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use bytes::Bytes;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Resource, getrlimit};

use self::map::{Map, Shelf};

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
/// The most large pages that medium contents share. Each is held as long as one of its contents is, so this bounds what
/// those that are gone take: 16 MiB beside what the cache counts.
const SHELVES: usize = 8;
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
    let most = most() / 2;
    ALL.shelve(most, &content).or_else(|| ALL.seal(most, |file| file.write_all(&content))).unwrap_or(content)
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
struct Registry {
    places: RwLock<BTreeMap<usize, Place>>,
    shelves: Mutex<Shelves>,
}

/// The large pages that contents share.
struct Shelves {
    /// Those that may still be there.
    all: Vec<Weak<Shelved>>,
    /// There was no large page when one was wanted last. Another is asked for when one of those there are is gone.
    none_left: bool,
}

/// A mapping's length and its file, by its first address.
struct Place {
    length: usize,
    file: SealedFile,
}

impl Registry {
    const fn new() -> Self {
        let shelves = Shelves { all: Vec::new(), none_left: false };
        Self { places: RwLock::new(BTreeMap::new()), shelves: Mutex::new(shelves) }
    }

    /// What `write` writes, sealed; `None` when that fails or there are as many as there may be.
    fn seal(&'static self, most: usize, write: impl FnOnce(&mut File) -> io::Result<()>) -> Option<Bytes> {
        if self.len() >= most {
            return None;
        }
        let sealed = || -> io::Result<Sealed> {
            let mut file = in_memory()?;
            write(&mut file)?;
            let map = Map::seal(&file)?;
            Ok(Sealed { registry: self, map, file: SealedFile(Arc::new(file)) })
        };
        let added = |sealed: &Sealed| self.add(sealed.map.as_ptr().addr(), sealed.map.len(), &sealed.file, most);
        sealed().ok().filter(added).map(Bytes::from_owner)
    }

    /// The same content on a large page with others; `None` when there is no room or as many as there may be.
    fn shelve(&'static self, most: usize, content: &[u8]) -> Option<Bytes> {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        let before = shelves.all.len();
        shelves.all.retain(|shelf| shelf.strong_count() > 0);
        shelves.none_left &= shelves.all.len() == before;
        let there = shelves.all.iter().rev().filter_map(Weak::upgrade);
        let placed = |shelf: Arc<Shelved>| Some((shelf.shelf.put(content)?, shelf));
        let (place, shelf) = match there.filter_map(placed).next() {
            Some(placed) => placed,
            None if shelves.none_left || shelves.all.len() >= SHELVES => return None,
            None => {
                let Some(shelf) = self.new_shelf(most) else {
                    shelves.none_left = true;
                    return None;
                };
                shelves.all.push(Arc::downgrade(&shelf));
                placed(shelf)?
            }
        };
        Some(Bytes::from_owner(OnShelf { shelf, place }))
    }

    fn new_shelf(&'static self, most: usize) -> Option<Arc<Shelved>> {
        if self.len() >= most {
            return None;
        }
        let file = in_memory().ok()?;
        let shelved = Shelved { registry: self, shelf: Shelf::new(&file)? };
        let file = SealedFile(Arc::new(file));
        self.add(shelved.shelf.address(), map::HUGE, &file, most).then(|| Arc::new(shelved))
    }

    fn add(&self, address: usize, length: usize, file: &SealedFile, most: usize) -> bool {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= most {
            return false;
        }
        places.insert(address, Place { length, file: file.clone() });
        true
    }

    fn remove(&self, address: usize) {
        self.places.write().unwrap_or_else(PoisonError::into_inner).remove(&address);
    }

    fn find(&self, bytes: &[u8]) -> Option<(SealedFile, u64)> {
        let address = bytes.as_ptr().addr();
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let (start, place) = places.range(..=address).next_back()?;
        let offset = address - start;
        let within = offset.checked_add(bytes.len()).is_some_and(|end| end <= place.length);
        within.then(|| (place.file.clone(), offset as u64))
    }

    fn len(&self) -> usize {
        self.places.read().unwrap_or_else(PoisonError::into_inner).len()
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
        self.registry.remove(self.map.as_ptr().addr());
    }
}

/// A large page that contents share.
struct Shelved {
    registry: &'static Registry,
    shelf: Shelf,
}

impl Drop for Shelved {
    fn drop(&mut self) {
        // As above.
        self.registry.remove(self.shelf.address());
    }
}

/// A content on one.
struct OnShelf {
    shelf: Arc<Shelved>,
    place: Range<usize>,
}

impl AsRef<[u8]> for OnShelf {
    fn as_ref(&self) -> &[u8] {
        self.shelf.shelf.get(&self.place)
    }
}

/// An empty file that is in memory only.
fn in_memory() -> io::Result<File> {
    Ok(File::from(memfd_create("atoll-cache", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?))
}

#[cfg(test)]
#[path = "sealed_tests.rs"]
mod tests;
