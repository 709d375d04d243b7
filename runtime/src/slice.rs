//! How long the kernel lets an isolate's thread run before somebody else's turn comes.
//!
//! A thread that wakes displaces one with a longer slice at once (Linux 6.12 and later, `sched_setattr(2)`, where
//! `sched_runtime` of an ordinary thread is its slice). So threads whose turns are long get a long slice: whoever has little
//! to do goes first, and what each gets in the long run stays the same. It needs no privilege and can be taken back; an older
//! kernel ignores it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A turn that takes so much CPU time is a long one.
const LONG_TURN: Duration = Duration::from_millis(2);

/// So many long turns lengthen the slice. A worker that starts has one or two, whatever it does later.
const LONG_TURNS: u32 = 4;

/// And a single turn that takes so much CPU time.
const LONGEST_TURN: Duration = Duration::from_millis(15);

/// The slice of a thread with long turns, nanoseconds. The kernel takes up to 100 ms.
const LONG_SLICE: u64 = 20_000_000;

/// After so many short turns in a row the long ones before them are forgotten.
const REFORMED: u32 = 200;

/// The slice of one thread.
#[derive(Debug)]
pub(crate) struct Slice {
    /// The thread's id, until it ends: afterwards another may have it.
    thread: Mutex<Option<libc::pid_t>>,
    long: AtomicBool,
    /// Long turns that are not forgotten.
    long_turns: AtomicU32,
    /// Short turns since the last of them.
    short_turns: AtomicU32,
}

/// The kernel's `struct sched_attr` as far as its first version goes.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

impl Slice {
    /// That of the calling thread.
    pub(crate) fn of_this_thread() -> Self {
        // SAFETY: it takes nothing and cannot fail.
        let id = unsafe { libc::gettid() };
        let thread = Mutex::new(Some(id));
        Self {
            thread,
            long: AtomicBool::default(),
            long_turns: AtomicU32::default(),
            short_turns: AtomicU32::default(),
        }
    }

    /// Whether it is the long one.
    pub(crate) fn is_long(&self) -> bool {
        self.long.load(Ordering::Relaxed)
    }

    /// A turn of the thread has taken so much CPU time.
    pub(crate) fn turn_took(&self, time: Duration) {
        if time >= LONG_TURN {
            self.short_turns.store(0, Ordering::Relaxed);
            let long_turns = self.long_turns.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            if long_turns >= LONG_TURNS || time >= LONGEST_TURN {
                self.lengthen();
            }
        } else if self.long_turns.load(Ordering::Relaxed) > 0
            && self.short_turns.fetch_add(1, Ordering::Relaxed) >= REFORMED
        {
            self.long_turns.store(0, Ordering::Relaxed);
            if self.long.swap(false, Ordering::Relaxed) {
                // The kernel's own choice.
                self.set(0);
            }
        }
    }

    /// A turn that is not over has taken so much CPU time.
    pub(crate) fn turn_takes(&self, time: Duration) {
        if time >= LONGEST_TURN {
            self.lengthen();
        }
    }

    fn lengthen(&self) {
        if !self.long.swap(true, Ordering::Relaxed) {
            self.set(LONG_SLICE);
        }
    }

    /// To be called before the thread ends.
    pub(crate) fn thread_ends(&self) {
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What cannot be set stays as it is: a matter of speed alone.
    fn set(&self, nanoseconds: u64) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(thread) = *thread else { return };
        let mut attributes = Attributes::default();
        let size = size_of::<Attributes>() as u32;
        // SAFETY: the kernel writes `size` bytes at most to what outlives the call.
        let got = unsafe { libc::syscall(libc::SYS_sched_getattr, thread, &raw mut attributes, size, 0) };
        // Threads of another policy, which somebody else has set, are left alone.
        if got != 0 || attributes.policy != libc::SCHED_OTHER.unsigned_abs() {
            return;
        }
        (attributes.size, attributes.runtime) = (size, nanoseconds);
        // SAFETY: the kernel reads `size` bytes of what outlives the call. The thread is there as long as the lock is held.
        unsafe { libc::syscall(libc::SYS_sched_setattr, thread, &raw const attributes, 0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Slice {
        /// What the kernel says; its own choice as well.
        fn get(&self) -> u64 {
            let mut attributes = Attributes::default();
            let thread = self.thread.lock().unwrap().unwrap();
            // SAFETY: as in `set`.
            let got = unsafe {
                libc::syscall(libc::SYS_sched_getattr, thread, &raw mut attributes, size_of::<Attributes>() as u32, 0)
            };
            assert_eq!(got, 0);
            attributes.runtime
        }
    }

    #[test]
    fn long_turns_lengthen_the_slice_and_many_short_ones_take_that_back() {
        let slice = Slice::of_this_thread();
        let own = slice.get();
        for _ in 1..LONG_TURNS {
            slice.turn_took(LONG_TURN);
        }
        slice.turn_took(LONG_TURN / 2);
        assert_eq!(slice.get(), own);
        slice.turn_took(LONG_TURN);
        // A kernel before 6.12 knows no slice of a thread and says 0.
        let long = slice.get();
        assert!(slice.is_long() && (long == LONG_SLICE || (long == own && own == 0)), "{long} after {own}");
        for _ in 0..REFORMED {
            slice.turn_took(Duration::ZERO);
        }
        slice.turn_took(LONG_TURN);
        for _ in 0..REFORMED {
            slice.turn_took(Duration::ZERO);
        }
        assert_eq!(slice.get(), long, "they count from the last long one");
        slice.turn_took(Duration::ZERO);
        assert_eq!((slice.get(), slice.is_long()), (own, false));
        slice.turn_takes(LONG_TURN);
        assert!(!slice.is_long());
        slice.turn_takes(LONGEST_TURN);
        assert_eq!(slice.get(), long, "one that does not end is enough");
        slice.thread_ends();
        slice.turn_took(LONG_TURN);
    }
}
