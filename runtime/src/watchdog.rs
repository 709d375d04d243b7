//! One thread that watches the CPU clocks of all isolate threads and stops what overstays.
//!
//! While any turn runs it looks once a millisecond; when none has run for a while it parks, and the next turn unparks it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::isolate::Shared;
use crate::jobs::Jobs;
use crate::turn::Meter;
use atoll_web::event::HandlerError;

/// How often running turns are looked at.
const TICK: Duration = Duration::from_millis(1);
/// How many ticks without a turn it takes until the thread parks.
const QUIET_TICKS: u32 = 50;
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
    /// The app and version, for the log.
    pub(crate) worker: String,
}

struct Entry {
    watched: Watched,
    /// The turn that was terminated, and when.
    terminated: Option<(u64, Instant)>,
}

#[derive(Default)]
struct State {
    entries: Mutex<Vec<Entry>>,
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
                let mut quiet = 0;
                while let Some(state) = watched.upgrade() {
                    quiet = if state.look() { 0 } else { quiet + 1 };
                    if quiet < QUIET_TICKS {
                        #[expect(
                            clippy::disallowed_methods,
                            reason = "the tick of this thread, which does nothing else"
                        )]
                        thread::sleep(TICK);
                        continue;
                    }
                    state.parked.store(true, Ordering::SeqCst);
                    // A turn that began before it could see `parked` is seen here.
                    if !state.look() {
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
        self.state.lock().push(Entry { watched, terminated: None });
    }

    /// Stops watching an isolate; its thread is about to end.
    pub(crate) fn forget(&self, shared: &Arc<Shared>) {
        self.state.lock().retain(|entry| !Arc::ptr_eq(&entry.watched.shared, shared));
    }

    /// A turn has begun.
    pub(crate) fn notice(&self) {
        if self.state.parked.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}

impl Entry {
    /// Ends the isolate when its jobs have used more than they may; says whether any have run.
    fn look_at_jobs(&self) -> bool {
        let Watched { shared, jobs, verdict, .. } = &self.watched;
        let (busy, overdue) = jobs.look();
        if overdue && shared.death().is_none() {
            shared.kill(verdict.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone());
        }
        busy
    }
}

impl State {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Looks at every isolate once; says whether any is in a turn.
    fn look(&self) -> bool {
        let mut busy = false;
        let mut entries = self.lock();
        entries.retain(|entry| {
            let aborted = entry.watched.shared.aborted.load(Ordering::SeqCst);
            if aborted {
                tracing::error!(worker = %entry.watched.worker, "the engine aborted; the isolate is lost");
                entry.watched.shared.lose();
            }
            !aborted
        });
        for entry in entries.iter_mut() {
            busy |= entry.look_at_jobs();
            let turn = entry.watched.meter.turn_id();
            if turn == 0 {
                continue;
            }
            busy = true;
            match entry.terminated {
                None if entry.watched.shared.death().is_some() => entry.terminated = Some((turn, Instant::now())),
                None if entry.watched.meter.overdue() => {
                    let verdict = entry.watched.verdict.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    entry.watched.shared.kill(verdict.clone());
                    entry.terminated = Some((turn, Instant::now()));
                }
                Some((terminated, at)) if terminated == turn && at.elapsed() > GRACE => entry.watched.shared.abandon(),
                _ => {}
            }
        }
        busy
    }
}
