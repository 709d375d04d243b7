//! Mapping a sealed file, its pages as large as the kernel makes them.
//!
//! A file in memory has pages of 4 KiB unless the machine's settings say otherwise, and of each that is sent a reference is
//! counted up by the core that sends and down by the one that is done with it. Of a page of 2 MiB there is one count for
//! all. Such pages are asked for once the content is there (`MADV_COLLAPSE`, Linux 6.1), which the setting for files in
//! memory (`shmem_enabled`) permits unless it is `deny`. Where there are none, the content stays on small ones.

use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::os::raw::{c_int, c_void};
use std::sync::LazyLock;
use std::{ptr, slice};

use rustix::fs::{SealFlags, fcntl_add_seals};

/// The size of a large page, bytes. What is behind the last whole one of a content stays on small pages.
pub const HUGE: usize = 2 << 20;

/// Where the kernel says whether it gives large pages.
const POLICY: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// Whether this machine is to have large pages: where that says `never`, none are asked for.
static WANTED: LazyLock<bool> =
    LazyLock::new(|| fs::read_to_string(POLICY).is_ok_and(|policy| !policy.contains("[never]")));

/// All of a file that never changes, to be read.
#[derive(Debug)]
pub struct Map {
    /// Where the addresses begin that are the mapping's own.
    room: *mut c_void,
    /// How many those are.
    space: usize,
    /// How far behind the first of them the file begins.
    offset: usize,
    length: usize,
}

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
        // Large pages lie at multiples of their size.
        let mut map = Self::reserve(length, if large { HUGE } else { 0 })?;
        if large {
            map.offset = map.room.addr().next_multiple_of(HUGE) - map.room.addr();
            map.place(file, 0)?;
            map.collapse();
        }
        map.place(file, libc::MAP_POPULATE)?;
        Ok(map)
    }

    /// Addresses for a file of that length and as many more.
    #[allow(unsafe_code, reason = "see below")]
    fn reserve(length: usize, more: usize) -> io::Result<Self> {
        let space = length.checked_add(more).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: A mapping at an address of the kernel's choice touches nothing that is there. Nothing can be read or
        // written at these.
        let room = mapped(unsafe {
            libc::mmap(ptr::null_mut(), space, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        })?;
        Ok(Self { room, space, offset: 0, length })
    }

    /// Puts the file to its addresses.
    #[allow(unsafe_code, reason = "see below")]
    fn place(&mut self, file: &File, flags: c_int) -> io::Result<()> {
        let (at, flags) = (self.start().cast_mut().cast(), flags | libc::MAP_SHARED | libc::MAP_FIXED);
        // SAFETY: The addresses from `offset` on, as many as the file is long, are among those that `reserve` got and that
        // are given back only when this is dropped. Nobody has a reference to what is there, because this is called before
        // there is a way to get one.
        mapped(unsafe { libc::mmap(at, self.length, libc::PROT_READ, flags, file.as_raw_fd(), 0) }).map(|_| ())
    }

    /// Asks for large pages. There may be none, or the kernel knows no such call.
    #[allow(unsafe_code, reason = "see below")]
    fn collapse(&self) {
        // SAFETY: The kernel moves the content of the file to other pages, which changes none of its bytes. Those at whose
        // addresses it is mapped are found there again.
        unsafe { libc::madvise(self.start().cast_mut().cast(), self.length / HUGE * HUGE, libc::MADV_COLLAPSE) };
    }

    fn start(&self) -> *const u8 {
        self.room.cast::<u8>().wrapping_add(self.offset)
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
        unsafe { slice::from_raw_parts(self.start(), self.length) }
    }
}

// SAFETY: What it points to never changes, and only dropping it ends that.
#[allow(unsafe_code, reason = "see above")]
unsafe impl Send for Map {}
// SAFETY: As above.
#[allow(unsafe_code, reason = "see above")]
unsafe impl Sync for Map {}

impl Drop for Map {
    #[allow(unsafe_code, reason = "see below")]
    fn drop(&mut self) {
        // SAFETY: These addresses are this mapping's own, and whoever had a reference to them borrowed it from this.
        // It fails only when the process has as many mappings as it may have, and then they stay as they are.
        let _ = unsafe { libc::munmap(self.room, self.space) };
    }
}

/// What `mmap` gave.
fn mapped(given: *mut c_void) -> io::Result<*mut c_void> {
    if given == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(given) }
}
