//! Knows how much each isolate's thread has allocated outside of V8.
//!
//! What an isolate holds of the platform (compressors, messages that nobody takes, parts of blobs) is memory that V8 does not
//! know of. An allocator that counts by thread sees all of it, in the middle of a turn as well.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicI64, Ordering};

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
