//! The second thread of an isolate, on which jobs of `crypto.subtle` run one after another: how much CPU time they take.
//!
//! A job cannot be interrupted. What it takes is charged to its request, the watchdog ends the isolate as soon as it is
//! more than any request has left, and the rest of the job runs at the lowest priority. An app that has left such
//! [rests](crate::rests) behind gets no further isolate before they are through.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::priority::LOWEST;
use crate::turn::read_clock;

/// How long the thread waits for another job.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// The CPU time of an isolate's jobs.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    state: Mutex<State>,
    /// A thread has been there since the time was last taken.
    used: AtomicBool,
    /// Nanoseconds that have been taken.
    taken: AtomicU64,
    /// Nanoseconds that may have been used before the isolate ends.
    deadline: AtomicU64,
    /// What was used when the watchdog looked last.
    seen: AtomicU64,
}

/// All in nanoseconds.
#[derive(Debug, Default)]
struct State {
    thread: Option<Worker>,
    /// What threads have used that have ended.
    ended: u64,
    /// What was not for the tenant.
    exempt: u64,
    /// The clock when the work that is not for the tenant began.
    exempting: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Worker {
    clock: libc::clockid_t,
    id: libc::pid_t,
}

impl State {
    fn used(&self) -> u64 {
        let now = self.exempting.or_else(|| read_clock(self.thread?.clock)).unwrap_or(0);
        (self.ended + now).saturating_sub(self.exempt)
    }
}

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called by the thread when it starts.
    pub(crate) fn thread_started(&self) {
        let mut clock = 0;
        // SAFETY: `pthread_self` is always valid, and `clock` outlives the call.
        let failed = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
        // SAFETY: it takes nothing and cannot fail.
        let id = unsafe { libc::gettid() };
        self.lock().thread = (failed == 0).then_some(Worker { clock, id });
        self.used.store(true, Ordering::SeqCst);
    }

    /// To be called by the thread before it ends.
    pub(crate) fn thread_ends(&self) {
        let mut state = self.lock();
        state.ended += state.thread.take().and_then(|worker| read_clock(worker.clock)).unwrap_or(0);
    }

    /// Runs work of the platform on the thread.
    pub(crate) fn exempt<R>(&self, work: impl FnOnce() -> R) -> R {
        let begun = read_clock(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or(0);
        self.lock().exempting = Some(begun);
        let result = work();
        let mut state = self.lock();
        state.exempting = None;
        state.exempt += read_clock(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or(0).saturating_sub(begun);
        result
    }

    /// What was used since this was called last.
    pub(crate) fn take(&self) -> Duration {
        if !self.used.load(Ordering::SeqCst) {
            return Duration::ZERO;
        }
        let state = self.lock();
        let used = state.used();
        let new = used.saturating_sub(self.taken.swap(used, Ordering::SeqCst));
        self.used.store(state.thread.is_some(), Ordering::SeqCst);
        Duration::from_nanos(new)
    }

    /// Lets jobs use so much, beyond what was taken, before the isolate ends.
    pub(crate) fn allow(&self, budget: Duration) {
        let budget = u64::try_from(budget.as_nanos()).unwrap_or(u64::MAX);
        self.deadline.store(self.taken.load(Ordering::Relaxed).saturating_add(budget), Ordering::Relaxed);
    }

    /// Whether jobs have run since the last look, and whether they have used more than they may.
    pub(crate) fn look(&self) -> (bool, bool) {
        if !self.used.load(Ordering::SeqCst) {
            return (false, false);
        }
        let used = self.lock().used();
        (self.seen.swap(used, Ordering::SeqCst) != used, used > self.deadline.load(Ordering::Relaxed))
    }

    /// Lets everybody else go first: what still runs is for nobody.
    pub(crate) fn demote(&self) {
        if let Some(worker) = self.lock().thread {
            // SAFETY: it takes no pointers. The thread is there as long as the lock is held and it has not been taken out.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, worker.id.unsigned_abs(), LOWEST) };
        }
    }

    /// Whether the thread is there.
    pub(crate) fn has_thread(&self) -> bool {
        self.lock().thread.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;

    /// Uses CPU time of the calling thread.
    fn burn(time: Duration) {
        let begun = read_clock(libc::CLOCK_THREAD_CPUTIME_ID).unwrap();
        let end = begun + u64::try_from(time.as_nanos()).unwrap();
        while read_clock(libc::CLOCK_THREAD_CPUTIME_ID).unwrap() < end {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn the_time_of_jobs_is_taken_once_and_that_of_the_platform_never() {
        let jobs = Arc::new(Jobs::default());
        let on_a_thread = |work: fn(&Jobs)| {
            let jobs = jobs.clone();
            std::thread::spawn(move || {
                jobs.thread_started();
                work(&jobs);
                jobs.thread_ends();
            })
            .join()
            .unwrap();
        };
        assert_eq!(jobs.take(), Duration::ZERO);
        on_a_thread(|_| burn(Duration::from_millis(20)));
        let taken = jobs.take();
        assert!(taken >= Duration::from_millis(20), "{taken:?}");
        assert_eq!(jobs.take(), Duration::ZERO);
        let begun = Instant::now();
        on_a_thread(|jobs| jobs.exempt(|| burn(Duration::from_millis(200))));
        assert!(begun.elapsed() >= Duration::from_millis(200));
        let taken = jobs.take();
        assert!(taken < Duration::from_millis(200), "{taken:?}");
    }

    #[test]
    fn more_than_was_allowed_is_seen_while_the_job_runs() {
        let jobs = Arc::new(Jobs::default());
        jobs.allow(Duration::from_millis(5));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                jobs.thread_started();
                burn(Duration::from_millis(10));
                assert_eq!(jobs.look(), (true, true));
                jobs.allow(Duration::from_secs(60));
                assert!(!jobs.look().1);
                jobs.thread_ends();
            });
        });
        assert!(!jobs.has_thread());
    }
}
