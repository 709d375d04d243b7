//! Mapping files that are in memory, their pages as large as the kernel makes them: a sealed one as a whole ([`Map`]), or one
//! that is filled as time goes on ([`Shelf`]).
//!
//! A file in memory has pages of 4 KiB unless the machine's settings say otherwise, and of each that is sent a reference is
//! counted up by the core that sends and down by the one that is done with it. Of a page of 2 MiB there is one count for
//! all. Such pages are asked for once the content is there (`MADV_COLLAPSE`, Linux 6.1), which the setting for files in
//! memory (`shmem_enabled`) permits unless it is `deny`. Where there are none, the content stays on small ones.

use std::fs::{self, File};
use std::io;
use std::ops::{Deref, Range};
use std::os::fd::AsRawFd;
use std::os::raw::{c_int, c_void};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::{ptr, slice};

use rustix::fs::{SealFlags, fcntl_add_seals};

/// The size of a large page, bytes. What is behind the last whole one of a content stays on small pages.
pub const HUGE: usize = 2 << 20;

/// Where the kernel says whether it gives large pages.
const POLICY: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// Whether this machine is to have large pages: where that says `never`, none are asked for.
static WANTED: LazyLock<bool> =
    LazyLock::new(|| fs::read_to_string(POLICY).is_ok_and(|policy| !policy.contains("[never]")));

/// Addresses at which a file is mapped.
#[derive(Debug)]
struct Room {
    /// Where the addresses begin that are the mapping's own.
    room: *mut c_void,
    /// How many those are.
    space: usize,
    /// How far behind the first of them the file begins.
    offset: usize,
    length: usize,
}

impl Room {
    /// Addresses for a file of that length; where the file is to have large pages, it begins at a multiple of their size.
    #[allow(unsafe_code, reason = "see below")]
    fn reserve(length: usize, large: bool) -> io::Result<Self> {
        let space = length.checked_add(if large { HUGE } else { 0 }).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: A mapping at an address of the kernel's choice touches nothing that is there. Nothing can be read or
        // written at these.
        let room = mapped(unsafe {
            libc::mmap(ptr::null_mut(), space, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        })?;
        let offset = if large { room.addr().next_multiple_of(HUGE) - room.addr() } else { 0 };
        Ok(Self { room, space, offset, length })
    }

    /// Puts the file to its addresses.
    #[allow(unsafe_code, reason = "see below")]
    fn place(&mut self, file: &File, access: c_int, flags: c_int) -> io::Result<()> {
        let flags = flags | libc::MAP_SHARED | libc::MAP_FIXED;
        // SAFETY: The addresses from `offset` on, as many as the file is long, are among those that `reserve` got and that
        // are given back only when this is dropped. Nobody has a reference to what is there, because this is called before
        // there is a way to get one.
        mapped(unsafe { libc::mmap(self.start().cast(), self.length, access, flags, file.as_raw_fd(), 0) }).map(|_| ())
    }

    /// Asks for large pages. Says whether it got them: there may be none, or the kernel knows no such call.
    #[allow(unsafe_code, reason = "see below")]
    fn collapse(&self) -> bool {
        // SAFETY: The kernel moves the content of the file to other pages, which changes none of its bytes. Those at whose
        // addresses it is mapped are found there again.
        unsafe { libc::madvise(self.start().cast(), self.length / HUGE * HUGE, libc::MADV_COLLAPSE) == 0 }
    }

    fn start(&self) -> *mut u8 {
        self.room.cast::<u8>().wrapping_add(self.offset)
    }
}

impl Drop for Room {
    #[allow(unsafe_code, reason = "see below")]
    fn drop(&mut self) {
        // SAFETY: These addresses are this mapping's own, and whoever had a reference to them borrowed it from this.
        // It fails only when the process has as many mappings as it may have, and then they stay as they are.
        let _ = unsafe { libc::munmap(self.room, self.space) };
    }
}

/// All of a file that never changes, to be read.
#[derive(Debug)]
pub struct Map(Room);

impl Map {
    /// Seals a file and maps all of it. Its pages are counted as this process's from the beginning, and so among what the
    /// node sheds load by. Blocks: large pages take longer than copying the content.
    ///
    /// # Errors
    /// Those of the kernel, which maps no empty file.
    pub fn seal(file: &File) -> io::Result<Self> {
        fcntl_add_seals(file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
        // After the seals, so that it stays as long.
        let length = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let large = length >= HUGE && *WANTED;
        let mut room = Room::reserve(length, large)?;
        if large {
            room.place(file, libc::PROT_READ, 0)?;
            room.collapse();
        }
        room.place(file, libc::PROT_READ, libc::MAP_POPULATE)?;
        Ok(Self(room))
    }
}

impl Deref for Map {
    type Target = [u8];

    #[allow(unsafe_code, reason = "a mapping is sound only if nobody changes its file, which the seals see to")]
    fn deref(&self) -> &[u8] {
        // SAFETY: `seal` mapped as many bytes of the file at this address, and they are there until this is dropped. What a
        // mapping shows must not change as long as it is borrowed. The kernel lets nobody write to a file with these seals
        // or change its length, in whatever way and through whichever descriptor, and the seals cannot be taken off; adding
        // them fails while there is a mapping that could write. So the bytes are the same until the mapping ends.
        // A socket may still have pages to send by then: those are counted references of the kernel's own, to pages that
        // nobody can write to any more and that are given to nobody else before they are dropped.
        unsafe { slice::from_raw_parts(self.0.start(), self.0.length) }
    }
}

// SAFETY: What it points to never changes, and only dropping it ends that.
#[allow(unsafe_code, reason = "see above")]
unsafe impl Send for Map {}
// SAFETY: As above.
#[allow(unsafe_code, reason = "see above")]
unsafe impl Sync for Map {}

/// Contents put one behind the other in a file of one large page. None of them changes or makes room for another.
#[derive(Debug)]
pub struct Shelf {
    room: Room,
    /// How many bytes from the beginning on are taken. What is behind them is written by who has locked this, only.
    taken: Mutex<usize>,
}

/// Contents begin at multiples of this, as files do in memory.
const ALIGNED: usize = 4096;

impl Shelf {
    /// An empty one, in an empty file. `None` when there is no large page for it. Blocks for about a millisecond.
    pub fn new(file: &File) -> Option<Self> {
        if !*WANTED {
            return None;
        }
        file.set_len(HUGE as u64).ok()?;
        let mut room = Room::reserve(HUGE, true).ok()?;
        // Only a page that is there can become a part of a large one.
        room.place(file, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_POPULATE).ok()?;
        // This mapping is the last that can write.
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
        (room.collapse() && fcntl_add_seals(file, seals).is_ok()).then(|| Self { room, taken: Mutex::new(0) })
    }

    /// Puts a content behind the others; where it lies. `None` when there is not enough room.
    #[allow(unsafe_code, reason = "see below")]
    pub fn put(&self, content: &[u8]) -> Option<Range<usize>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let start = taken.next_multiple_of(ALIGNED);
        let end = start.checked_add(content.len()).filter(|end| *end <= HUGE)?;
        // SAFETY: The file has `HUGE` bytes, which its seals keep it from losing, and all are mapped at `start()` to be
        // written. Nobody reads those that are not taken or writes to them, because the lock is held, and `content` is a
        // reference, so none of it is there.
        unsafe { ptr::copy_nonoverlapping(content.as_ptr(), self.room.start().add(start), content.len()) };
        *taken = end;
        Some(start..end)
    }

    /// What was put there.
    ///
    /// # Panics
    /// When it is not within what is taken.
    #[allow(unsafe_code, reason = "see below")]
    pub fn get(&self, place: &Range<usize>) -> &[u8] {
        let taken = *self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(place.start <= place.end && place.end <= taken, "a place of another shelf");
        // SAFETY: These bytes are mapped as long as this is there, and were written before they counted as taken. None of
        // those is written again: `put` writes behind them, and its mapping is the only one that can write, for whoever
        // opens the file anew or has its descriptor is kept from it by the seal. A socket may have pages to send when this
        // is gone: nobody has a mapping any more by which they could be written then.
        unsafe { slice::from_raw_parts(self.room.start().add(place.start), place.len()) }
    }

    /// Its first address.
    pub fn address(&self) -> usize {
        self.room.start().addr()
    }
}

// SAFETY: What is taken never changes, and what is not is used by one thread at a time, which the lock sees to.
#[allow(unsafe_code, reason = "see above")]
unsafe impl Send for Shelf {}
// SAFETY: As above.
#[allow(unsafe_code, reason = "see above")]
unsafe impl Sync for Shelf {}

/// What `mmap` gave.
fn mapped(given: *mut c_void) -> io::Result<*mut c_void> {
    if given == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(given) }
}
