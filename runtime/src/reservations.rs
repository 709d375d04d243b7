//! Bounds the addresses that an isolate's code may set aside.
//!
//! A resizable buffer and a WebAssembly memory set aside all the addresses that they may ever need, however little they hold:
//! `new ArrayBuffer(8, { maxByteLength: 2 ** 45 })` takes a quarter of what a process has, and ten thousand small ones as many
//! mappings as a process may have. V8 limits neither, no memory limit sees them, and when there is nothing left, whoever needs a
//! page next ends the process: V8 itself, when it gives pages back.
//!
//! V8 asks the C library for addresses, by `mmap64` with no access, and nothing of it can be put in between. So this module
//! defines that function, and `munmap`, for the whole program: what the linker finds in the program comes before what the C
//! library has. Both do what those of the C library do. Besides, what is set aside on the thread of an isolate while it runs a
//! worker's code is counted until it is given back, and refused beyond a limit. V8 collects garbage then, tries again, and
//! throws a `RangeError`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What may be set aside, bytes and pieces.
#[derive(Clone, Copy, Debug)]
struct Most {
    bytes: usize,
    pieces: usize,
}

/// By one isolate. A memory of WebAssembly sets aside 8 GiB and what guards them.
const OF_ONE: Most = Most { bytes: 256 << 30, pieces: 512 };

/// By all isolates of the process. Its addresses are 128 TiB, its mappings 65,530 where the system's default was not changed,
/// of which a piece takes three at most.
const OF_ALL: Most = Most { bytes: 48 << 40, pieces: 12_000 };

/// What is set aside.
#[derive(Debug, Default)]
pub(crate) struct Reserved {
    bytes: AtomicUsize,
    pieces: AtomicUsize,
}

impl Reserved {
    fn take(&self, bytes: usize, most: Most) -> bool {
        let within = |most: usize| move |used: usize, more: usize| used.checked_add(more).filter(|sum| *sum <= most);
        let take = |count: &AtomicUsize, more: usize, most: usize| {
            count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| within(most)(used, more)).is_ok()
        };
        if !take(&self.bytes, bytes, most.bytes) {
            return false;
        }
        let taken = take(&self.pieces, 1, most.pieces);
        if !taken {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        taken
    }

    fn give(&self, bytes: usize, pieces: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.pieces.fetch_sub(pieces, Ordering::Relaxed);
    }
}

static ALL: Reserved = Reserved { bytes: AtomicUsize::new(0), pieces: AtomicUsize::new(0) };

/// A piece that is set aside.
struct Piece {
    length: usize,
    owner: Arc<Reserved>,
}

/// By address.
static PIECES: Mutex<BTreeMap<usize, Piece>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// Whom to charge for what the thread sets aside.
    static OWNER: Cell<*const Reserved> = const { Cell::new(ptr::null()) };
    /// The thread was refused addresses, and nobody has asked.
    static REFUSED: Cell<bool> = const { Cell::new(false) };
    /// The thread looks at the pieces: what the allocator maps meanwhile is none.
    static LOOKING: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, what the calling thread sets aside is charged to one owner.
pub(crate) struct Charged {
    owner: Arc<Reserved>,
}

impl Charged {
    /// Charges a new owner.
    pub(crate) fn new() -> Self {
        let owner = Arc::<Reserved>::default();
        OWNER.with(|set| set.set(Arc::as_ptr(&owner)));
        Self { owner }
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        // It is this owner, whose reference is about to be given back.
        debug_assert_eq!(OWNER.with(Cell::get), Arc::as_ptr(&self.owner));
        OWNER.with(|set| set.set(ptr::null()));
    }
}

/// Whether the calling thread was refused addresses since this was asked last.
pub(crate) fn was_refused() -> bool {
    REFUSED.with(Cell::take)
}

/// Looks at the pieces, unless the thread does so already.
fn look<R>(work: impl FnOnce(&mut BTreeMap<usize, Piece>) -> R) -> Option<R> {
    if LOOKING.with(|looking| looking.replace(true)) {
        return None;
    }
    let result = work(&mut PIECES.lock().unwrap_or_else(PoisonError::into_inner));
    LOOKING.with(|looking| looking.set(false));
    Some(result)
}

/// Notes that addresses were given back: parts of pieces, or whole ones.
fn forget(pieces: &mut BTreeMap<usize, Piece>, start: usize, length: usize) {
    let end = start.saturating_add(length);
    let touched = |(at, piece): (&usize, &Piece)| (at + piece.length > start).then_some(*at);
    while let Some(at) = pieces.range(..end).next_back().and_then(touched) {
        let Some(Piece { length, owner }) = pieces.remove(&at) else { return };
        let (before, after) = (start.saturating_sub(at), (at + length).saturating_sub(end));
        let left = [(at, before), (end, after)].map(|(at, length)| (length > 0).then_some((at, length)));
        let count = left.iter().flatten().count();
        for (at, length) in left.into_iter().flatten() {
            pieces.insert(at, Piece { length, owner: owner.clone() });
        }
        let bytes = length - before - after;
        for reserved in [&*owner, &ALL] {
            // Of a piece that is cut in the middle two are left.
            reserved.pieces.fetch_add(count.saturating_sub(1), Ordering::Relaxed);
            reserved.give(bytes, usize::from(count == 0));
        }
        if before > 0 {
            return;
        }
    }
}

/// `mmap` of POSIX.
///
/// # Safety
///
/// As that of the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap64(
    address: *mut c_void,
    length: libc::size_t,
    protection: libc::c_int,
    flags: libc::c_int,
    file: libc::c_int,
    offset: libc::off64_t,
) -> *mut c_void {
    let map = || {
        // SAFETY: the caller's promise. The system call returns an address, or -1 and sets `errno`.
        let mapped = unsafe { libc::syscall(libc::SYS_mmap, address, length, protection, flags, file, offset) };
        ptr::with_exposed_provenance_mut::<c_void>(mapped as usize)
    };
    let sets_aside = protection == libc::PROT_NONE && flags & libc::MAP_ANONYMOUS != 0 && flags & libc::MAP_FIXED == 0;
    let owner = OWNER.with(Cell::get);
    if !sets_aside || owner.is_null() {
        return map();
    }
    // SAFETY: it is set, on this thread, as long as a `Charged` has the `Arc` whose address this is.
    let owner = unsafe {
        Arc::increment_strong_count(owner);
        Arc::from_raw(owner)
    };
    if !owner.take(length, OF_ONE) {
        return refuse();
    }
    if !ALL.take(length, OF_ALL) {
        owner.give(length, 1);
        return refuse();
    }
    let mapped = map();
    let noted = mapped != libc::MAP_FAILED
        && look(|pieces| pieces.insert(mapped.addr(), Piece { length, owner: owner.clone() })).is_some();
    if !noted {
        owner.give(length, 1);
        ALL.give(length, 1);
    }
    mapped
}

/// Says that there is no memory.
fn refuse() -> *mut c_void {
    REFUSED.with(|refused| refused.set(true));
    // SAFETY: the place of this thread's `errno` is always valid.
    unsafe { *libc::__errno_location() = libc::ENOMEM };
    libc::MAP_FAILED
}

/// `munmap` of POSIX.
///
/// # Safety
///
/// As that of the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn munmap(address: *mut c_void, length: libc::size_t) -> libc::c_int {
    // Before it is done: afterwards another thread may get the addresses.
    if ALL.pieces.load(Ordering::Relaxed) > 0 {
        look(|pieces| forget(pieces, address.addr(), length));
    }
    // SAFETY: the caller's promise.
    let done = unsafe { libc::syscall(libc::SYS_munmap, address, length) };
    if done == 0 { 0 } else { -1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_aside(length: usize) -> *mut c_void {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a mapping at an address of the kernel's choice touches nothing that is there.
        unsafe { mmap64(ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0) }
    }

    fn give_back(at: *mut c_void, length: usize) {
        // SAFETY: what the test has mapped, and nobody uses.
        assert_eq!(unsafe { munmap(at, length) }, 0);
    }

    #[test]
    fn what_is_set_aside_is_counted_until_it_is_given_back() {
        const PAGE: usize = 1 << 16;
        let unlimited = set_aside(OF_ONE.bytes + PAGE);
        assert_ne!(unlimited, libc::MAP_FAILED, "nobody is charged");
        give_back(unlimited, OF_ONE.bytes + PAGE);

        let charged = Charged::new();
        let count = |bytes: usize, pieces: usize| {
            let owner = &charged.owner;
            let seen = (owner.bytes.load(Ordering::Relaxed), owner.pieces.load(Ordering::Relaxed));
            assert_eq!(seen, (bytes, pieces));
        };
        assert_eq!(set_aside(OF_ONE.bytes + PAGE), libc::MAP_FAILED);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::ENOMEM));
        count(0, 0);
        assert!(was_refused() && !was_refused());
        let at = set_aside(10 * PAGE);
        count(10 * PAGE, 1);
        assert_eq!(set_aside(OF_ONE.bytes), libc::MAP_FAILED);
        // As V8 does to have an aligned piece: both ends go. Then the middle.
        give_back(at, PAGE);
        give_back(at.wrapping_byte_add(9 * PAGE), PAGE);
        count(8 * PAGE, 1);
        give_back(at.wrapping_byte_add(4 * PAGE), PAGE);
        count(7 * PAGE, 2);
        give_back(at.wrapping_byte_add(PAGE), 8 * PAGE);
        count(0, 0);

        let many: Vec<_> = (0..OF_ONE.pieces).map(|_| set_aside(PAGE)).collect();
        assert!(many.iter().all(|at| *at != libc::MAP_FAILED));
        assert_eq!(set_aside(PAGE), libc::MAP_FAILED);
        // Whoever gives it back.
        std::thread::scope(|scope| {
            let many: Vec<_> = many.iter().map(|at| at.expose_provenance()).collect();
            scope.spawn(move || many.into_iter().for_each(|at| give_back(ptr::with_exposed_provenance_mut(at), PAGE)));
        });
        count(0, 0);
    }
}
