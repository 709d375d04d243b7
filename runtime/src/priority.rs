//! Threads of isolates with long turns give way to all others.
//!
//! The kernel divides the processor fairly, but whoever wakes may have to wait until the slice of the one that runs is over, at
//! every hop of a request. It does not wait for a thread of a lower priority. So isolates whose turns are long run at a
//! lower one: they get what the others leave, and a node whose processors are all used by them still answers others at once. To
//! lower a priority needs no privilege; to take that back needs `CAP_SYS_NICE` or an `RLIMIT_NICE`, and without them the
//! thread stays as it is until its isolate ends.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A turn that takes so much CPU time is a long one.
const LONG_TURN: Duration = Duration::from_millis(2);

/// So many long turns lower the priority. A worker that starts has one or two, whatever it does later.
const LONG_TURNS: u32 = 4;

/// And a single turn that takes so much CPU time.
const LONGEST_TURN: Duration = Duration::from_millis(15);

/// After so many short turns in a row the long ones before them are forgotten.
const REFORMED: u32 = 200;

/// How much nicer a thread with long turns is than others: of a processor that both want, it gets a tenth.
const NICER: libc::c_int = 10;

/// The niceness of the lowest priority.
pub(crate) const LOWEST: libc::c_int = 19;

/// The priority of one thread.
#[derive(Debug)]
pub(crate) struct Priority {
    /// The thread's id, until it ends: afterwards another may have it.
    thread: Mutex<Option<libc::pid_t>>,
    /// Its niceness when it was made.
    nice: libc::c_int,
    low: AtomicBool,
    /// Long turns that are not forgotten.
    long_turns: AtomicU32,
    /// Short turns since the last of them.
    short_turns: AtomicU32,
}

impl Priority {
    /// That of the calling thread.
    pub(crate) fn of_this_thread() -> Self {
        // SAFETY: it takes nothing and cannot fail.
        let id = unsafe { libc::gettid() };
        Self {
            thread: Mutex::new(Some(id)),
            nice: niceness(id),
            low: AtomicBool::default(),
            long_turns: AtomicU32::default(),
            short_turns: AtomicU32::default(),
        }
    }

    /// Whether it is lowered.
    pub(crate) fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// A turn of the thread has taken so much CPU time.
    pub(crate) fn turn_took(&self, time: Duration) {
        if time >= LONG_TURN {
            self.short_turns.store(0, Ordering::Relaxed);
            let long_turns = self.long_turns.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            if long_turns >= LONG_TURNS || time >= LONGEST_TURN {
                self.lower();
            }
        } else if self.long_turns.load(Ordering::Relaxed) > 0
            && self.short_turns.fetch_add(1, Ordering::Relaxed) >= REFORMED
        {
            self.long_turns.store(0, Ordering::Relaxed);
            if self.is_low() && self.set(self.nice) {
                self.low.store(false, Ordering::Relaxed);
            }
        }
    }

    /// A turn that is not over has taken so much CPU time.
    pub(crate) fn turn_takes(&self, time: Duration) {
        if time >= LONGEST_TURN {
            self.lower();
        }
    }

    fn lower(&self) {
        if !self.low.swap(true, Ordering::Relaxed) {
            self.set(self.nice + NICER);
        }
    }

    /// The lowest there is, for a thread whose work nobody waits for any more.
    pub(crate) fn lowest(&self) {
        self.low.store(true, Ordering::Relaxed);
        self.set(LOWEST);
    }

    /// What it was when the thread was made, where the system lets it: what is left to do is the platform's.
    pub(crate) fn restore(&self) {
        if self.low.swap(false, Ordering::Relaxed) {
            self.set(self.nice);
        }
    }

    /// Sends the thread a signal; says whether it could be sent.
    pub(crate) fn signal(&self, signal: libc::c_int) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the system call takes no pointers. The thread is there as long as the lock is held.
        thread.is_some_and(|id| unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), id, signal) } == 0)
    }

    /// To be called before the thread ends.
    pub(crate) fn thread_ends(&self) {
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Says whether it could be set; what cannot stays as it is.
    fn set(&self, nice: libc::c_int) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: it takes no pointers. The thread is there as long as the lock is held.
        thread.is_some_and(|id| unsafe { libc::setpriority(libc::PRIO_PROCESS, id.unsigned_abs(), nice) } == 0)
    }
}

/// The niceness of a thread. Where it cannot be told, which is not on Linux, it is ordinary.
fn niceness(thread: libc::pid_t) -> libc::c_int {
    // SAFETY: it takes no pointers. -1 may be an error or a niceness, and is taken for the latter.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, thread.unsigned_abs()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_turns_lower_the_priority_and_many_short_ones_take_that_back_where_the_system_lets_them() {
        let on_its_own = std::thread::spawn(|| {
            let priority = Priority::of_this_thread();
            let own = priority.nice;
            let now = || {
                let thread = priority.thread.lock().unwrap().unwrap();
                niceness(thread)
            };
            let low = (own + NICER).min(19);
            for _ in 1..LONG_TURNS {
                priority.turn_took(LONG_TURN);
            }
            priority.turn_took(LONG_TURN / 2);
            assert_eq!((now(), priority.is_low()), (own, false));
            priority.turn_took(LONG_TURN);
            assert_eq!((now(), priority.is_low()), (low, true));
            for _ in 0..REFORMED {
                priority.turn_took(Duration::ZERO);
            }
            priority.turn_took(LONG_TURN);
            for _ in 0..REFORMED {
                priority.turn_took(Duration::ZERO);
            }
            assert_eq!(now(), low, "they count from the last long one");
            priority.turn_took(Duration::ZERO);
            assert_eq!(priority.is_low(), now() == low, "without a privilege it stays");
            if !priority.is_low() {
                priority.turn_takes(LONG_TURN);
                assert_eq!(now(), own);
                priority.turn_takes(LONGEST_TURN);
                assert_eq!(now(), low, "one that does not end is enough");
            }
            priority.lowest();
            assert_eq!((now(), priority.is_low()), (LOWEST, true));
            priority.restore();
            assert!(now() == own || now() == LOWEST, "without a privilege it stays");
            priority.thread_ends();
            assert!(!priority.set(low), "its id may be another's");
        });
        on_its_own.join().unwrap();
    }
}
