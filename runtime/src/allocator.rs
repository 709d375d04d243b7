//! Knows how much each isolate's thread has allocated outside of V8.
//!
//! What an isolate holds of the platform (compressors, messages that nobody takes, parts of blobs) is memory that V8 does not
//! know of. An allocator that counts by thread sees all of it, in the middle of a turn as well. It shares its pages between
//! idle isolates.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicI64, Ordering};

use libmimalloc_sys as mimalloc;

thread_local! {
    /// Where to count what the thread allocates; only this thread writes there.
    static COUNT: Cell<*const AtomicI64> = const { Cell::new(ptr::null()) };
}

/// An allocator that does what `A` does and counts what threads of isolates allocate. To be a program's global allocator;
/// without it, memory that V8 does not know of is bounded only as far as the web APIs themselves count it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting<A>(
    /// What allocates.
    pub A,
);

fn count(bytes: usize, sign: i64) {
    let count = COUNT.with(Cell::get);
    if !count.is_null() {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        // SAFETY: whoever set it keeps it alive until it is taken back, on this thread.
        let count = unsafe { &*count };
        count.store(count.load(Ordering::Relaxed).wrapping_add(bytes.wrapping_mul(sign)), Ordering::Relaxed);
    }
}

// SAFETY: `A` does it all; counting allocates nothing.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promise.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promise.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, 1);
        count(layout.size(), -1);
        // SAFETY: the caller's promise.
        unsafe { self.0.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the caller's promise.
        unsafe { self.0.dealloc(at, layout) }
    }
}

/// mimalloc, asked for an alignment only where it would not give it anyway. Its functions for aligned memory take more than is
/// asked for, and find it by a longer way, unless the size happens to be a power of two.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mimalloc;

/// Whether all that mimalloc allocates of this size is aligned so: to 16 bytes (`MI_MAX_ALIGN_SIZE`), and to 8 where it takes no
/// more than 8.
const fn naturally(size: usize, align: usize) -> bool {
    align <= 8 || (align <= 16 && size > 8)
}

// SAFETY: mimalloc's functions do what this trait asks for, and may be mixed with each other.
unsafe impl GlobalAlloc for Mimalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: the caller's promise: a size that is not zero, an alignment that is a power of two.
        unsafe {
            if naturally(size, align) { mimalloc::mi_malloc(size) } else { mimalloc::mi_malloc_aligned(size, align) }
        }
        .cast()
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: as above.
        unsafe {
            if naturally(size, align) { mimalloc::mi_zalloc(size) } else { mimalloc::mi_zalloc_aligned(size, align) }
        }
        .cast()
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (at, align) = (at.cast::<c_void>(), layout.align());
        // SAFETY: as above, and the memory is mimalloc's.
        unsafe {
            if naturally(size, align) {
                mimalloc::mi_realloc(at, size)
            } else {
                mimalloc::mi_realloc_aligned(at, size, align)
            }
        }
        .cast()
    }

    unsafe fn dealloc(&self, at: *mut u8, _: Layout) {
        // SAFETY: the memory is mimalloc's.
        unsafe { mimalloc::mi_free(at.cast()) }
    }
}

/// Leaves the calling thread's pages to whoever allocates next. mimalloc has a page for each of its some 50 sizes that a thread
/// asks for; the pages of a thread that allocates little are mostly free, and only the thread itself can use them as long as it is
/// their owner. What it has allocated stays where it is. It takes 4 µs, and 0.3 µs when the thread allocates again.
pub(crate) fn leave_pages() {
    unsafe extern "C" {
        // As `mimalloc.h` has it: for the end of a thread, but it goes on as a new one would.
        safe fn mi_thread_done();
    }
    mi_thread_done();
}

/// Gives memory back to the system that has not been used for a second. mimalloc looks for it only where a thread gives back a
/// page: on a node that has nothing to do, nobody does. To be called about once a second; goes through the pages of the calling
/// thread.
pub fn give_back_memory() {
    unsafe extern "C" {
        // As `mimalloc.h` has it; the crate declares it only together with all the rest.
        safe fn mi_collect(force: bool);
    }
    mi_collect(false);
}

/// Counts what the calling thread allocates, or no longer.
///
/// # Safety
///
/// What is set must live until it is taken back.
pub(crate) unsafe fn count_this_thread(into: *const AtomicI64) {
    COUNT.with(|count| count.set(into));
}

#[cfg(test)]
mod tests {
    use std::alloc::System;

    use super::*;

    #[test]
    fn memory_is_aligned_as_asked_for() {
        let sizes = (1..=64).chain([100, 1000, 1025, 3000, 5000, 8192, 9000, 70_000, 600_000, 3 << 20]);
        for (size, align) in sizes.flat_map(|size| [1, 2, 4, 8, 16, 32, 64, 128, 4096].map(|align| (size, align))) {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: each is given back as it was allocated; what is read was written or is zeroed.
            unsafe {
                // Several at once, so that some have neighbours in their page.
                let all = [(); 3].map(|()| [Mimalloc.alloc(layout), Mimalloc.alloc_zeroed(layout)]);
                for [plain, zeroed] in all {
                    assert!(plain.addr() % align == 0 && zeroed.addr() % align == 0, "{size} {align}");
                    assert_eq!((zeroed.read(), zeroed.add(size - 1).read()), (0, 0));
                    plain.write(7);
                    let larger = Mimalloc.realloc(plain, layout, size + 9);
                    assert!(larger.addr() % align == 0 && larger.read() == 7, "{size} {align}");
                    Mimalloc.dealloc(larger, Layout::from_size_align(size + 9, align).unwrap());
                    Mimalloc.dealloc(zeroed, layout);
                }
            }
        }
    }

    /// Memory of mimalloc's, full of one number.
    struct Block(ptr::NonNull<u8>, usize, u8);

    // SAFETY: it is memory, and nobody else's.
    unsafe impl Send for Block {}

    impl Block {
        fn some(with: u8) -> Vec<Self> {
            let new = |size| {
                // SAFETY: as large as it is asked for.
                let at = unsafe {
                    let at = Mimalloc.alloc(Self::layout(size));
                    at.write_bytes(with, size);
                    at
                };
                Self(ptr::NonNull::new(at).unwrap(), size, with)
            };
            (1..400).map(|number| new(number * 9)).collect()
        }

        fn layout(size: usize) -> Layout {
            Layout::from_size_align(size, 8).unwrap()
        }

        fn all_whole(blocks: &[Self]) -> bool {
            blocks.iter().all(|Self(at, size, with)| {
                // SAFETY: all of it was written.
                let bytes = unsafe { std::slice::from_raw_parts(at.as_ptr(), *size) };
                bytes.iter().all(|byte| byte == with)
            })
        }
    }

    impl Drop for Block {
        fn drop(&mut self) {
            // SAFETY: as it was allocated, once.
            unsafe { Mimalloc.dealloc(self.0.as_ptr(), Self::layout(self.1)) }
        }
    }

    #[test]
    fn a_thread_that_leaves_its_pages_to_others_keeps_its_memory() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let leaver = std::thread::spawn(move || {
            let (mine, given) = (Block::some(1), Block::some(2));
            leave_pages();
            sender.send(given).unwrap();
            // And again, with nothing allocated since, and with blocks on pages that have been left.
            leave_pages();
            let more = Block::some(3);
            assert!(Block::all_whole(&mine) && Block::all_whole(&more));
            drop(mine);
            leave_pages();
            more
        });
        let given = receiver.recv().unwrap();
        let own = Block::some(4);
        assert!(Block::all_whole(&given));
        drop(given);
        // Its thread has ended by then.
        let more = leaver.join().unwrap();
        assert!(Block::all_whole(&more) && Block::all_whole(&own));
    }

    #[test]
    fn what_a_thread_allocates_is_counted_while_it_is_asked_for() {
        let (total, layout) = (AtomicI64::new(0), Layout::from_size_align(100, 8).unwrap());
        let allocator = Counting(System);
        // SAFETY: each is given back as it was allocated, and the count outlives its use.
        unsafe {
            let before = allocator.alloc(layout);
            count_this_thread(&raw const total);
            let first = allocator.alloc_zeroed(layout);
            let first = allocator.realloc(first, layout, 300);
            assert_eq!(total.load(Ordering::Relaxed), 300);
            allocator.dealloc(before, layout);
            assert_eq!(total.load(Ordering::Relaxed), 200);
            count_this_thread(ptr::null());
            allocator.dealloc(first, Layout::from_size_align(300, 8).unwrap());
            assert_eq!(total.load(Ordering::Relaxed), 200);
        }
    }
}
