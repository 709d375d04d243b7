//! One thread that watches the CPU clocks of all isolate threads and stops what overstays.
//!
//! Every few milliseconds it looks which isolates are in a turn; those it watches every millisecond until the turn is over. So
//! a turn may overstay by [`ROUND`], and what the thread costs grows slowly with the number of isolates. When no turn has been
//! seen for a while it parks, and the next turn unparks it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::isolate::Shared;
use crate::jobs::{Jobs, Rest, Rests};
use crate::turn::Meter;
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

/// What a turn that overstays has broken.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) shared: Arc<Shared>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) verdict: Arc<Mutex<HandlerError>>,
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
    terminated: Option<Instant>,
    /// From when on its requests do not wait for it any longer, what keeps its app from starting ever more of them.
    rest: Option<Rest>,
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
                        rest(TICK);
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
        let mut aborted = Vec::new();
        let mut busy = self.active.swap(false, Ordering::Relaxed);
        for entry in self.lock().iter() {
            busy |= entry.look_at_jobs();
            let turn = entry.meter.turn_id();
            let known = || suspects.iter().any(|suspect| Arc::ptr_eq(&suspect.watched.shared, &entry.shared));
            if turn != 0 && !known() {
                suspects.push(Suspect { watched: entry.clone(), turn, terminated: None, rest: None });
            } else if thorough && turn == 0 && entry.shared.aborted.load(Ordering::SeqCst) {
                aborted.push(entry.clone());
            }
        }
        aborted.iter().for_each(|entry| self.lose(entry));
        busy
    }

    /// Looks at a turn; says whether to look again.
    fn look_at(&self, suspect: &mut Suspect) -> bool {
        let Suspect { watched, turn, terminated, rest } = suspect;
        if watched.shared.aborted.load(Ordering::SeqCst) {
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
            Some(at) => {
                // Whatever caught the termination has taken it away, and JavaScript may have been called again.
                watched.shared.terminate();
                if at.elapsed() > GRACE && rest.is_none() {
                    tracing::warn!(worker = %watched.worker, "code that cannot be interrupted goes on after its limit");
                    *rest = Some(watched.rests.note(&watched.app));
                    watched.meter.priority.lowest();
                    watched.shared.abandon();
                }
            }
            None => {}
        }
        watched.meter.look_at_priority();
        true
    }

    /// The engine has aborted in an isolate.
    fn lose(&self, watched: &Watched) {
        tracing::error!(worker = %watched.worker, "the engine aborted; the isolate is lost");
        watched.rests.lose(&watched.app, watched.version);
        watched.shared.lose();
        self.forget(&watched.shared);
    }
}
