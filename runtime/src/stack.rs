//! The stack of an isolate's thread.

use std::ffi::c_void;

/// What restoring an isolate and its first answer use of it, in bytes, by what is resident of the stacks of isolates that wait.
const USED: usize = 28 << 10;

/// Has the kernel make that part of the calling thread's stack at once, which takes less time than a fault for each page. Where it
/// cannot (before Linux 5.14), the pages are made as they are touched. To be called near the base of the stack.
pub(crate) fn make() {
    let here = 0_u8;
    let base = (&raw const here).map_addr(|address| address & !0xfff);
    // SAFETY: the stack goes on below this frame, for far longer than that, and this changes nothing of what is in it.
    unsafe {
        libc::madvise(base.wrapping_sub(USED).cast_mut().cast::<c_void>(), USED, libc::MADV_POPULATE_WRITE);
    }
}
