//! One thread that watches the CPU clocks of all isolate threads and stops what overstays.
//!
//! Every few milliseconds it looks which isolates are in a turn; those it watches every millisecond until the turn is over. So
//! a turn may overstay by [`ROUND`], and what the thread costs grows slowly with the number of isolates. When no turn has been
//! seen for a while it parks, and the next turn unparks it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::abort;
use crate::isolate::Shared;
use crate::jobs::Jobs;
use crate::memory::Account;
use crate::park::{SIGNAL, Wish};
use crate::rests::{Rest, Rests, Work};
use crate::turn::Meter;
use atoll_web::OffHeap;
use atoll_web::event::HandlerError;

/// How often turns that were seen under way are looked at.
const TICK: Duration = Duration::from_millis(1);
/// How often all isolates are looked at.
const ROUND: Duration = Duration::from_millis(5);
/// Every so many rounds the isolates that are not in a turn are looked at as well: has the engine aborted?
const THOROUGH: u32 = 20;
/// How many rounds without a turn it takes until the thread parks.
const QUIET_ROUNDS: u32 = 100;
/// How long after its termination a turn may go on before its requests stop waiting for it: it is in code that V8 cannot
/// interrupt.
const GRACE: Duration = Duration::from_millis(100);

/// How much CPU time the turn may use then, before its thread is asked to stop for good where it is.
const PATIENCE: Duration = Duration::from_secs(1);
/// How much more it may use before it gets the lowest priority, and is also paused where it cannot stop.
const LONG_PATIENCE: Duration = Duration::from_secs(5);
/// How long it is paused at first, for so many times, and how long then. What it may hold, others wait for that long.
const PAUSES: (Duration, u32, Duration) = (Duration::from_millis(100), 100, Duration::from_secs(1));
/// How long a thread may not run in the middle of a turn, where threads of the engine have stopped.
const STILL: Duration = Duration::from_secs(20);
/// What an isolate holds at least.
const LEAST: usize = 16 << 20;

/// What a turn that overstays has broken.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) shared: Arc<Shared>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) verdict: Arc<Mutex<HandlerError>>,
    pub(crate) account: Arc<Account>,
    pub(crate) off_heap: OffHeap,
    pub(crate) rests: Arc<Rests>,
    pub(crate) app: Arc<str>,
    pub(crate) version: u64,
    /// The app and version, for the log.
    pub(crate) worker: String,
}

/// A turn seen under way.
struct Suspect {
    watched: Watched,
    turn: u64,
    /// What its thread's CPU clock read when that was seen to change last, and when that was.
    clock: (Option<u64>, Instant),
    /// What its thread had allocated when it was seen.
    allocated: i64,
    terminated: Option<Instant>,
    /// From when on its requests do not wait for it any longer.
    stuck: Option<Stuck>,
}

/// A turn that nothing can interrupt.
struct Stuck {
    /// Keeps its app from starting ever more of them.
    rest: Option<Rest>,
    /// What the thread's CPU clock read when its requests were let go.
    begun: u64,
    pauses: u32,
    /// When to do something again.
    next: Instant,
}

impl Stuck {
    /// Takes note of a turn that does not end, and lets its requests go.
    fn begin(watched: &Watched) -> Self {
        watched.shared.abandon();
        Self { rest: None, begun: watched.meter.cpu().unwrap_or(0), pauses: 0, next: Instant::now() }
    }

    /// Tries again to end the turn.
    fn press(&mut self, watched: &Watched) {
        let now = Instant::now();
        let Watched { shared, meter, .. } = watched;
        // While it is paused it may hold the lock that terminating takes.
        if now < self.next || shared.parking.is_pausing() {
            return;
        }
        shared.terminate();
        let Some(used) = meter.cpu().map(|cpu| cpu.saturating_sub(self.begun)) else { return };
        // A thread that gets no processor has not had the time to end.
        if used > nanoseconds(GRACE) / 2 && self.rest.is_none() {
            tracing::warn!(worker = %watched.worker, "code that cannot be interrupted goes on after its limit");
            self.rest = Some(watched.rests.note(&watched.app, Work::Code));
        }
        let Some(over) = used.checked_sub(nanoseconds(PATIENCE)) else { return };
        let pause = if over < nanoseconds(LONG_PATIENCE) {
            Duration::ZERO
        } else {
            // Not at once: what has an end, such as a search in a long string, gives its memory back the sooner. At the lowest
            // priority, on a machine that is busy, it would have it for minutes.
            meter.priority.lowest();
            self.pauses = self.pauses.saturating_add(1);
            if self.pauses <= PAUSES.1 { PAUSES.0 } else { PAUSES.2 }
        };
        self.next = now + pause + ROUND;
        shared.parking.pauses_last(pause);
        shared.parking.wish(if pause.is_zero() { Wish::Stop } else { Wish::StopOrPause });
        meter.priority.signal(SIGNAL);
    }
}

impl Drop for Suspect {
    fn drop(&mut self) {
        // A signal that is still on its way asks for nothing.
        self.watched.shared.parking.wish(Wish::Nothing);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[derive(Default)]
struct State {
    entries: Mutex<Vec<Watched>>,
    /// A turn has begun since the last round.
    active: AtomicBool,
    parked: AtomicBool,
}

/// The watchdog of a process; clones share its thread.
#[derive(Clone)]
pub(crate) struct Watchdog {
    state: Arc<State>,
    thread: Thread,
}

impl Watchdog {
    /// Starts the thread; it ends when the last clone is gone and it has nothing to watch.
    pub(crate) fn start() -> Self {
        let state = Arc::new(State::default());
        let watched = Arc::downgrade(&state);
        let thread = thread::Builder::new()
            .name("watchdog".into())
            .spawn(move || {
                let mut suspects = Vec::new();
                let (mut rounds, mut quiet) = (0_u32, 0);
                let mut looked = None;
                while let Some(state) = watched.upgrade() {
                    if looked.is_none_or(|at: Instant| at.elapsed() >= ROUND) {
                        looked = Some(Instant::now());
                        rounds = rounds.wrapping_add(1);
                        let busy = state.look_around(&mut suspects, rounds.is_multiple_of(THOROUGH));
                        quiet = if busy { 0 } else { quiet + 1 };
                    }
                    suspects.retain_mut(|suspect| state.look_at(suspect));
                    if !suspects.is_empty() {
                        quiet = 0;
                        rest(if suspects.iter().all(|suspect| suspect.stuck.is_some()) { ROUND } else { TICK });
                        continue;
                    }
                    if quiet < QUIET_ROUNDS {
                        rest(ROUND);
                        continue;
                    }
                    state.parked.store(true, Ordering::SeqCst);
                    // A turn that began before it could see `parked` is seen here.
                    if !state.any_turn() {
                        thread::park_timeout(Duration::from_secs(1));
                    }
                    state.parked.store(false, Ordering::SeqCst);
                    quiet = 0;
                }
            })
            .expect("the system lets a process start threads")
            .thread()
            .clone();
        Self { state, thread }
    }

    /// Watches an isolate until [`forget`](Self::forget).
    pub(crate) fn watch(&self, watched: Watched) {
        self.state.lock().push(watched);
    }

    /// Stops watching an isolate; its thread is about to end.
    pub(crate) fn forget(&self, shared: &Arc<Shared>) {
        self.state.forget(shared);
    }

    /// A turn has begun.
    pub(crate) fn notice(&self) {
        if !self.state.active.load(Ordering::Relaxed) {
            self.state.active.store(true, Ordering::Relaxed);
        }
        if self.state.parked.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}

impl Watched {
    /// Whether the thread has not run for a long time, in the middle of a turn: it waits for one that has stopped.
    fn stands_still(&self, clock: &mut (Option<u64>, Instant)) -> bool {
        let now = self.meter.cpu();
        if now != clock.0 {
            *clock = (now, Instant::now());
        }
        clock.1.elapsed() > STILL
    }

    /// Whether the isolate uses too much memory that V8 does not know of, in a turn that began with so much allocated.
    fn holds_too_much(&self, allocated: i64) -> bool {
        let new = self.shared.allocated.load(Ordering::Relaxed).saturating_sub(allocated);
        self.account.is_exceeded_by(self.off_heap.bytes(), usize::try_from(new).unwrap_or(0))
    }

    /// Whether the isolate's thread has stopped for good.
    fn is_lost(&self) -> bool {
        self.shared.aborted.load(Ordering::SeqCst) || self.shared.parking.is_stopped()
    }

    /// Ends the isolate when its jobs have used more than they may; says whether any have run.
    fn look_at_jobs(&self) -> bool {
        let Self { shared, jobs, verdict, .. } = self;
        let (busy, overdue) = jobs.look();
        if overdue && shared.death().is_none() {
            shared.kill(verdict.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone());
        }
        busy
    }
}

/// Lets the tick of the watchdog's thread pass.
#[expect(clippy::disallowed_methods, reason = "the tick of a thread that does nothing else")]
fn rest(time: Duration) {
    thread::sleep(time);
}

impl State {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Watched>> {
        self.entries.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn forget(&self, shared: &Arc<Shared>) {
        self.lock().retain(|entry| !Arc::ptr_eq(&entry.shared, shared));
    }

    fn any_turn(&self) -> bool {
        self.lock().iter().any(|entry| entry.meter.turn_id() != 0)
    }

    /// Adds the turns under way to the suspects. Says whether any turn or job has run since this was called last.
    fn look_around(&self, suspects: &mut Vec<Suspect>, thorough: bool) -> bool {
        let mut lost = Vec::new();
        let mut busy = self.active.swap(false, Ordering::Relaxed);
        for entry in self.lock().iter() {
            busy |= entry.look_at_jobs();
            let turn = entry.meter.turn_id();
            let known = || suspects.iter().any(|suspect| Arc::ptr_eq(&suspect.watched.shared, &entry.shared));
            if turn != 0 && !known() {
                let allocated = entry.shared.allocated.load(Ordering::Relaxed);
                suspects.push(Suspect {
                    watched: entry.clone(),
                    turn,
                    clock: (None, Instant::now()),
                    allocated,
                    terminated: None,
                    stuck: None,
                });
            } else if thorough && turn == 0 && entry.is_lost() {
                lost.push(entry.clone());
            }
        }
        lost.iter().for_each(|entry| self.lose(entry));
        busy
    }

    /// Looks at a turn; says whether to look again.
    fn look_at(&self, suspect: &mut Suspect) -> bool {
        let Suspect { watched, turn, clock, allocated, terminated, stuck } = suspect;
        if watched.is_lost() || (abort::has_stopped_others() && watched.stands_still(clock)) {
            self.lose(watched);
            return false;
        }
        if watched.meter.turn_id() != *turn {
            return false;
        }
        match terminated {
            None if watched.shared.death().is_some() => *terminated = Some(Instant::now()),
            None if watched.meter.overdue() => {
                let verdict = watched.verdict.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                watched.shared.kill(verdict.clone());
                *terminated = Some(Instant::now());
            }
            Some(at) => match stuck {
                Some(stuck) => stuck.press(watched),
                None => {
                    // Whatever caught the termination has taken it away, and JavaScript may have been called again.
                    watched.shared.terminate();
                    if at.elapsed() > GRACE {
                        *stuck = Some(Stuck::begin(watched));
                    }
                }
            },
            // What V8 does not know of makes it collect no garbage, and is measured only between turns.
            None if watched.holds_too_much(*allocated) => {
                watched.shared.kill(watched.account.verdict());
                *terminated = Some(Instant::now());
            }
            None => {}
        }
        watched.meter.look_at_priority();
        true
    }

    /// The thread of an isolate does not come back.
    fn lose(&self, watched: &Watched) {
        let Watched { shared, rests, app, version, worker, .. } = watched;
        let bytes = watched.account.used().max(shared.memory.load(Ordering::Relaxed)).max(LEAST);
        let why = if shared.parking.is_stopped() {
            tracing::error!(%worker, bytes, "code that cannot be interrupted was stopped; the isolate is lost");
            HandlerError::CodeStuck
        } else {
            tracing::error!(%worker, bytes, "the engine aborted; the isolate is lost");
            HandlerError::EngineAbort
        };
        watched.account.headroom.give_back();
        rests.lose(app, *version, bytes, why.clone());
        shared.lose(why);
        self.forget(shared);
    }
}
