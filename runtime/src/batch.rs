//! Batches what crosses between the threads that do I/O and the threads of isolates.
//!
//! Waking another thread costs more than most handlers do, and on a busy core the woken thread displaces the waker at
//! once, so that requests would cross one by one with two context switches each. So a thread that does I/O first does all
//! it has to do, and then wakes the isolates it has sent requests to; an isolate answers all requests it was sent, and then
//! wakes the I/O thread once. A thread with nothing else to do does either at once: batching never waits for more.
//!
//! An I/O thread that has woken isolates would sleep until the first client that was answered sends its next request, and wake
//! up for that alone, on a processor that an isolate is busy on. So when that isolate shares its processor and is quick, the
//! I/O thread lets it go first instead of sleeping, and finds the requests of all of them when it comes back.
//!
//! While requests come one at a time, there is nothing to batch, and each wake is on the way of an answer. An isolate's is
//! sent at once then, and the I/O thread is woken by what it waits for anyway, I/O: woken through its runtime's own queue, a
//! thread wakes a second one of that runtime before it looks at the answer, because there might be more to do.
//!
//! Every I/O thread has a [`Hub`], a task of its tokio runtime. The task may run on another thread of that runtime; nothing
//! depends on where it runs.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use atoll_web::requests::Answer;
use futures::task::AtomicWaker;
use tokio::runtime::{Handle, Id};

use crate::bell::Bell;
use crate::waits::Waits;

/// As long as the thread has run tasks for less than this, it runs those that the last look for I/O has found, too, before
/// isolates are woken.
const SHORT: Duration = Duration::from_micros(100);

/// From so many requests on that quick isolates of the same processor were sent, the I/O thread lets these go first.
const MANY: usize = 4;

thread_local! {
    static SLEEPS_WITHOUT_IO: Cell<bool> = const { Cell::new(false) };
    static HUB: RefCell<Option<(Id, Arc<Hub>)>> = const { RefCell::new(None) };
}

/// The calling thread runs a tokio runtime without I/O.
pub(crate) fn without_io() {
    SLEEPS_WITHOUT_IO.set(true);
}

/// What waits to cross, on behalf of one I/O thread.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    crossing: Mutex<Crossing>,
    task: AtomicWaker,
    /// Wakes the thread out of waiting for I/O; `None` where there is none.
    bell: Option<Bell>,
    /// The thread's requests that wait for their answers.
    pub(crate) waits: Waits,
}

#[derive(Debug, Default)]
struct Crossing {
    /// Isolates to wake when the I/O thread has nothing else to do.
    wakes: Vec<Waker>,
    /// Answers of isolates.
    answers: Vec<Answer>,
    /// The task has ended with its tokio runtime: nothing waits any more.
    closed: bool,
}

impl Hub {
    /// The hub of the calling thread, which must be within a tokio runtime.
    pub(crate) fn of_this_thread() -> Arc<Self> {
        let handle = Handle::current();
        HUB.with_borrow_mut(|slot| match slot {
            Some((id, hub)) if *id == handle.id() && !hub.lock().closed => hub.clone(),
            _ => {
                let (bell, rung) = if SLEEPS_WITHOUT_IO.get() { None } else { Bell::new() }.unzip();
                let hub = Arc::new(Self { bell, ..Self::default() });
                handle.spawn(serve(CloseOnDrop(hub.clone())));
                if let Some(mut rung) = rung {
                    let hub = hub.clone();
                    handle.spawn(async move {
                        let mut answers = Vec::new();
                        while rung.next().await {
                            hub.send(&mut answers);
                        }
                    });
                }
                handle.spawn({
                    let hub = hub.clone();
                    async move { hub.waits.look().await }
                });
                *slot = Some((handle.id(), hub.clone()));
                hub
            }
        })
    }

    /// Hands over answers, waking the I/O threads once for all of them.
    pub(crate) fn deliver(&self, answers: &mut Vec<Answer>) {
        {
            let mut crossing = self.lock();
            if !crossing.closed {
                crossing.answers.append(answers);
                drop(crossing);
                return match &self.bell {
                    Some(bell) if self.waits.is_lonely() => bell.ring(),
                    _ => self.task.wake(),
                };
            }
        }
        answers.drain(..).for_each(Answer::send);
    }

    /// Whether requests of this thread have come one at a time of late.
    pub(crate) fn is_lonely(&self) -> bool {
        self.bell.is_some() && self.waits.is_lonely()
    }

    /// Sends what has been handed over.
    fn send(&self, answers: &mut Vec<Answer>) {
        std::mem::swap(&mut self.lock().answers, answers);
        answers.drain(..).for_each(Answer::send);
    }

    fn wake_later(&self, waker: &Waker) {
        let mut crossing = self.lock();
        if crossing.closed {
            drop(crossing);
            return waker.wake_by_ref();
        }
        crossing.wakes.push(waker.clone());
        // With more than one wake waiting the task knows already.
        if crossing.wakes.len() == 1 {
            drop(crossing);
            self.task.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Crossing> {
        // Every critical section leaves the data whole.
        self.crossing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hub's task.
async fn serve(hub: CloseOnDrop) {
    let hub = &hub.0;
    let mut answers = Vec::new();
    loop {
        std::future::poll_fn(|cx| {
            hub.task.register(cx.waker());
            let crossing = hub.lock();
            match crossing.answers.is_empty() && crossing.wakes.is_empty() {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        })
        .await;
        hub.send(&mut answers);
        if hub.lock().wakes.is_empty() {
            continue;
        }
        // With one request at a time there is nothing to wait for.
        if !hub.waits.look_back() {
            let began = Instant::now();
            // Comes back when the thread has run everything else and has looked for I/O, as the first of what that has woken.
            tokio::task::yield_now().await;
            if began.elapsed() < SHORT {
                tokio::task::yield_now().await;
            }
        }
        let wakes = std::mem::take(&mut hub.lock().wakes);
        wakes.into_iter().for_each(Waker::wake);
        if hub.waits.take_near() >= MANY {
            thread::yield_now();
        }
    }
}

/// Lets everything cross that waits when the task ends.
struct CloseOnDrop(Arc<Hub>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let Crossing { wakes, answers, .. } =
            std::mem::replace(&mut *self.0.lock(), Crossing { closed: true, ..Crossing::default() });
        answers.into_iter().for_each(Answer::send);
        wakes.into_iter().for_each(Waker::wake);
    }
}

/// Wakes an isolate's thread: from an I/O thread when that has done its work, from any other thread at once.
struct BatchedWaker(Waker);

impl Wake for BatchedWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let hub = HUB.try_with(|slot| slot.try_borrow().ok()?.as_ref().map(|(_, hub)| hub.clone()));
        match hub {
            Ok(Some(hub)) => hub.wake_later(&self.0),
            _ => self.0.wake_by_ref(),
        }
    }
}

/// Polls with a waker that batches what I/O threads have to say.
#[derive(Default)]
pub(crate) struct Batched(Option<(Waker, Waker)>);

impl Batched {
    /// Calls `poll` with the batching form of `cx`.
    pub(crate) fn poll<R>(&mut self, cx: &Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> R) -> R {
        let current = self.0.as_ref().is_some_and(|(inner, _)| inner.will_wake(cx.waker()));
        if !current {
            let waker = cx.waker().clone();
            self.0 = Some((waker.clone(), Arc::new(BatchedWaker(waker)).into()));
        }
        let (_, waker) = self.0.as_ref().expect("set above");
        poll(&mut Context::from_waker(waker))
    }
}
