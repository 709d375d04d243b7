//! The second thread of an isolate, on which jobs of `crypto.subtle` run one after another: how much CPU time they take, and
//! what is left of those that nobody waits for.
//!
//! A job cannot be interrupted. What it takes is charged to its request, the watchdog ends the isolate as soon as it is
//! more than any request has left, and the rest of the job runs at the lowest priority. An app that has left such rests
//! behind, or code that V8 cannot interrupt, gets no further isolate before they are through.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::priority::LOWEST;
use crate::turn::read_clock;

/// How long the thread waits for another job.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// How many threads of ended isolates an app may have that still work, when another isolate is to start.
const MOST_RESTS: usize = 2;

/// In how many isolates of one version the engine may have aborted within [`LOSSES_COUNT`], when another one is to start,
/// and in how many of one app since the process began. Each has left a thread and its memory behind for good.
const MOST_LOST: (usize, usize) = (2, 8);
const LOSSES_COUNT: Duration = Duration::from_secs(600);

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

/// A version, and when the engine aborted in an isolate of it.
type Loss = (u64, Instant);

/// The threads of ended isolates that may still work, by app, and the isolates in which the engine has aborted.
#[derive(Debug, Default)]
pub(crate) struct Rests {
    by_app: Mutex<HashMap<Arc<str>, usize>>,
    fewer: Notify,
    lost: Mutex<HashMap<Arc<str>, Vec<Loss>>>,
}

/// A thread that may still work, until this is dropped.
pub(crate) struct Rest {
    rests: Arc<Rests>,
    app: Arc<str>,
}

impl Rests {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.by_app.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a thread of an isolate that has ended.
    pub(crate) fn note(self: &Arc<Self>, app: &Arc<str>) -> Rest {
        *self.lock().entry(app.clone()).or_default() += 1;
        Rest { rests: self.clone(), app: app.clone() }
    }

    /// Notes that the engine has aborted in an isolate of a version.
    pub(crate) fn lose(&self, app: &Arc<str>, version: u64) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.entry(app.clone()).or_default().push((version, Instant::now()));
    }

    /// Whether too many isolates of the version, or of the app, were lost for another one.
    pub(crate) fn are_too_many_lost(&self, app: &str, version: u64) -> bool {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lost) = lost.get(app) else { return false };
        let counts = |(of, at): &&Loss| *of == version && at.elapsed() < LOSSES_COUNT;
        lost.len() >= MOST_LOST.1 || lost.iter().filter(counts).count() >= MOST_LOST.0
    }

    /// Waits until an app may have another isolate.
    pub(crate) async fn room(&self, app: &str) {
        loop {
            let mut fewer = std::pin::pin!(self.fewer.notified());
            fewer.as_mut().enable();
            if self.lock().get(app).is_none_or(|count| *count < MOST_RESTS) {
                return;
            }
            fewer.await;
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let mut by_app = self.rests.lock();
        if let Some(count) = by_app.get_mut(&self.app) {
            *count -= 1;
            if *count == 0 {
                by_app.remove(&self.app);
            }
        }
        drop(by_app);
        self.rests.fewer.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
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

    #[tokio::test]
    async fn an_app_waits_for_what_it_left_behind() {
        let rests = Arc::new(Rests::default());
        let app: Arc<str> = "app".into();
        let first = rests.note(&app);
        rests.room("app").await;
        let second = rests.note(&app);
        rests.room("other").await;
        let mut waiting = Box::pin(rests.room("app"));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(first);
        waiting.await;
        drop(second);
        assert!(rests.lock().is_empty());
    }
    #[test]
    fn who_makes_the_engine_abort_gets_few_isolates() {
        let rests = Rests::default();
        let app: Arc<str> = "app".into();
        for version in 1..=4 {
            assert!(!rests.are_too_many_lost("app", version));
            rests.lose(&app, version);
            assert!(!rests.are_too_many_lost("app", version));
            rests.lose(&app, version);
            assert!(rests.are_too_many_lost("app", version));
        }
        assert!(rests.are_too_many_lost("app", 5));
        assert!(!rests.are_too_many_lost("other", 1));
    }
}
