//! Turns: every touch of V8 happens within one.
//!
//! A turn enters the isolate, publishes to the [watchdog](crate::watchdog) when it began and how much CPU it may use, runs,
//! and exits. Turns that follow each other at once may [hold](Bracket::hold) the isolate entered. Because nothing of an isolate
//! is current when its thread does something else, one thread can host several isolates.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deno_core::v8;

use crate::priority::Priority;
use crate::watchdog::Watchdog;

/// How old a reading of the CPU clock may be to begin a turn with. Reading it is a system call, reading the time is not.
const READING_LASTS: u64 = 1_000_000;

/// A turn up to this long, in nanoseconds, is charged by the time that passed instead of the CPU time it used.
const SHORT: u64 = 100_000;

/// What the watchdog reads of an isolate's thread.
#[derive(Debug)]
pub(crate) struct Meter {
    origin: Instant,
    clock: libc::clockid_t,
    /// Nanoseconds after `origin`, plus one, at which the turn under way began; 0 when none is.
    began: AtomicU64,
    /// Reading of the thread's CPU clock, in nanoseconds, at which the turn has used up its budget.
    deadline: AtomicU64,
    /// What the thread's CPU clock read when the turn began.
    began_at_cpu: AtomicU64,
    pub(crate) priority: Priority,
}

impl Meter {
    /// A meter of the calling thread.
    pub(crate) fn of_this_thread() -> Arc<Self> {
        let mut clock = 0;
        // SAFETY: `pthread_self` is always valid, and `clock` outlives the call.
        let failed = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
        assert_eq!(failed, 0, "Linux gives every thread a CPU clock");
        let (began, deadline, began_at_cpu) = Default::default();
        let priority = Priority::of_this_thread();
        Arc::new(Self { origin: Instant::now(), clock, began, deadline, began_at_cpu, priority })
    }

    /// Nanoseconds of CPU time the thread has used; `None` when it has ended.
    pub(crate) fn cpu(&self) -> Option<u64> {
        read_clock(self.clock)
    }

    fn wall(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX - 1) + 1
    }

    /// How long the turn under way has taken.
    pub(crate) fn turn(&self) -> Option<Duration> {
        match self.began.load(Ordering::Relaxed) {
            0 => None,
            began => Some(Duration::from_nanos(self.wall().saturating_sub(began))),
        }
    }

    /// Has a turn that takes long give way to others.
    pub(crate) fn look_at_priority(&self) {
        if !self.priority.is_low()
            && let Some(cpu) = self.cpu()
        {
            let used = cpu.saturating_sub(self.began_at_cpu.load(Ordering::Relaxed));
            self.priority.turn_takes(Duration::from_nanos(used));
        }
    }

    /// Identifies the turn under way; 0 when none is.
    pub(crate) fn turn_id(&self) -> u64 {
        self.began.load(Ordering::SeqCst)
    }

    /// Whether the turn under way has used up its budget.
    pub(crate) fn overdue(&self) -> bool {
        self.turn_id() != 0 && self.cpu().is_some_and(|cpu| cpu > self.deadline.load(Ordering::SeqCst))
    }
}

pub(crate) fn read_clock(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call; an invalid clock is an error, not undefined behaviour.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (failed == 0).then(|| time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}

/// Brackets every use of one isolate on its thread.
#[derive(Clone)]
pub(crate) struct Bracket {
    isolate: v8::UnsafeRawIsolatePtr,
    meter: Arc<Meter>,
    watchdog: Watchdog,
    reading: Rc<Cell<Reading>>,
    /// The isolate stays entered between turns.
    held: Rc<Cell<bool>>,
}

/// A reading of the thread's CPU clock, and when it was taken (both in nanoseconds).
#[derive(Clone, Copy, Default)]
struct Reading {
    cpu: u64,
    at: u64,
}

impl Bracket {
    /// A bracket for `isolate`, which is entered (as it is right after its creation) and is left by this call.
    ///
    /// # Safety
    ///
    /// The isolate must outlive the bracket and every clone of it, and stay on this thread.
    #[expect(unsafe_code, reason = "the caller's promise is what makes entering the isolate sound")]
    pub(crate) unsafe fn leave(isolate: &mut v8::Isolate, meter: Arc<Meter>, watchdog: Watchdog) -> Self {
        // SAFETY: the caller says that the isolate is entered on this thread and outlives the bracket.
        let raw = unsafe {
            isolate.exit();
            isolate.as_raw_isolate_ptr()
        };
        Self { isolate: raw, meter, watchdog, reading: Rc::default(), held: Rc::default() }
    }

    /// Keeps the isolate entered between the turns that follow, until the guard is dropped: to enter and to leave it costs as
    /// much as a short turn.
    pub(crate) fn hold(&self) -> Held {
        let entered = self.enter();
        self.held.set(true);
        Held { held: self.held.clone(), _entered: entered }
    }

    /// Runs `work` with the isolate entered. Returns what it returned and how much CPU time it took, to about a tenth of a
    /// millisecond. When it takes more than `budget` of CPU time, the watchdog terminates it, never early; it is late by
    /// [`READING_LASTS`] at most and by what passes until the watchdog looks.
    pub(crate) fn turn<R>(&self, budget: Duration, work: impl FnOnce() -> R) -> (R, Duration) {
        let start = self.meter.wall();
        let mut reading = self.reading.get();
        if start.saturating_sub(reading.at) > READING_LASTS {
            reading = Reading { cpu: read_clock(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or(0), at: start };
            self.reading.set(reading);
        }
        // The thread cannot have used more CPU time since the reading than has passed.
        let cpu = reading.cpu + start.saturating_sub(reading.at);
        let budget = u64::try_from(budget.as_nanos()).unwrap_or(u64::MAX);
        self.meter.deadline.store(cpu.saturating_add(budget), Ordering::SeqCst);
        self.meter.began_at_cpu.store(cpu, Ordering::Relaxed);
        self.meter.began.store(start, Ordering::SeqCst);
        self.watchdog.notice();
        let exit = (!self.held.get()).then(|| self.enter());
        let result = work();
        drop(exit);
        self.meter.began.store(0, Ordering::SeqCst);
        let end = self.meter.wall();
        let passed = end.saturating_sub(start);
        if passed <= SHORT {
            let took = Duration::from_nanos(passed);
            self.meter.priority.turn_took(took);
            return (result, took);
        }
        let reading = Reading { cpu: read_clock(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or(cpu), at: end };
        self.reading.set(reading);
        let took = Duration::from_nanos(reading.cpu.saturating_sub(cpu));
        self.meter.priority.turn_took(took);
        (result, took)
    }

    /// Enters the isolate until the guard is dropped.
    fn enter(&self) -> Entered {
        // SAFETY: the isolate is alive and belongs to this thread (promised to `leave`), and turns do not nest.
        let isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(self.isolate) };
        // SAFETY: as above; the guard exits in the reverse order.
        unsafe { isolate.enter() };
        Entered(isolate)
    }

    /// Enters the isolate for good, for it to be disposed.
    pub(crate) fn enter_to_dispose(&self) {
        // Whoever waits for its memory should not wait until nobody else wants the processor.
        self.meter.priority.restore();
        self.meter.priority.thread_ends();
        std::mem::forget(self.enter());
    }
}

/// While it lives, the isolate is entered.
pub(crate) struct Held {
    held: Rc<Cell<bool>>,
    _entered: Entered,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.held.set(false);
    }
}

struct Entered(v8::Isolate);

impl Drop for Entered {
    fn drop(&mut self) {
        // SAFETY: the guard was made by entering this isolate on this thread.
        unsafe { self.0.exit() };
    }
}
