//! Futures that go on where what they wait for is done.
//!
//! A connection that waits for an isolate's answer would be woken on an I/O thread, which sleeps when requests come one at a
//! time; to wake it takes longer than to write the answer. So the isolate's thread, which has its answer at hand and is
//! awake, polls the connection itself: it hands the answer to the HTTP layer, and that writes it. Reading the next
//! request is left to the I/O threads, and a request is never begun here ([`elsewhere`]): a connection may carry requests of
//! several apps, and none may wait for another's thread.
//!
//! A future is polled by one thread at a time. Who comes while another polls it leaves a note, and the one who polls has its
//! runtime's threads woken then.

use std::any::Any;
use std::cell::Cell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;
use tokio::runtime::Handle;
use tokio::task::unconstrained;

/// Nobody polls it.
const IDLE: u8 = 0;
/// A thread polls it.
const POLLED: u8 = 1;
/// A thread polls it, and its task came meanwhile.
const MISSED: u8 = 2;
/// Its task is gone. A thread may still be polling it, which drops it then.
const GONE: u8 = 3;

thread_local! {
    /// What is woken on this thread may be polled on it.
    static GIVING: Cell<bool> = const { Cell::new(false) };
    /// This thread polls one in the place of its runtime.
    static INLINE: Cell<bool> = const { Cell::new(false) };
    /// What this thread polls may go on on another.
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

/// Lets `future` go on on threads of isolates that have answered it, beside those of its own tokio runtime, which must be
/// the calling one. Between two polls it must not depend on thread-local state.
///
/// A panic of the future shows when its task is polled.
pub fn inline<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Inline<T> {
    let shared = Arc::new(Shared {
        state: AtomicU8::new(IDLE),
        stage: Mutex::new(Stage::Running(Box::pin(future))),
        task: AtomicWaker::new(),
        runtime: Handle::current(),
    });
    Inline { waker: shared.clone().into(), shared }
}

/// See [`inline`].
pub struct Inline<T: Send + 'static> {
    shared: Arc<Shared<T>>,
    waker: Waker,
}

struct Shared<T> {
    state: AtomicU8,
    /// Locked by who has set `state` to [`POLLED`] only, so nobody waits for it.
    stage: Mutex<Stage<T>>,
    task: AtomicWaker,
    runtime: Handle,
}

enum Stage<T> {
    Running(Pin<Box<dyn Future<Output = T> + Send>>),
    Done(Result<T, Box<dyn Any + Send>>),
    Taken,
}

/// Whether what the calling thread polls may go on where it is answered.
pub(crate) fn is_within() -> bool {
    WITHIN.get()
}

/// Calls `give`, which completes what futures wait for: those that may are polled by this thread, meanwhile.
pub(crate) fn giving(give: impl FnOnce()) {
    let before = GIVING.replace(true);
    give();
    GIVING.set(before);
}

/// Whether the calling thread polls a future in the place of that future's runtime.
pub fn is_inline() -> bool {
    INLINE.get()
}

/// Waits until a thread of the future's own runtime polls it.
pub async fn elsewhere() {
    poll_fn(|cx| {
        if !is_inline() {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl<T: Send + 'static> Shared<T> {
    fn begin(&self) -> bool {
        self.state.compare_exchange(IDLE, POLLED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, Stage<T>> {
        // A poll that panics leaves its future as it is, which is not polled again.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Polls once, in the place of the runtime.
    fn go_on(self: &Arc<Self>) {
        let mut stage = self.lock();
        if let Stage::Running(future) = &mut *stage {
            let waker = Waker::from(self.clone());
            let _runtime = self.runtime.enter();
            GIVING.set(false);
            INLINE.set(true);
            let within = WITHIN.replace(true);
            // What this thread's own runtime allows a poll is not meant.
            let polled =
                catch_unwind(AssertUnwindSafe(|| pin!(unconstrained(future)).poll(&mut Context::from_waker(&waker))));
            match polled {
                Ok(Poll::Pending) => {}
                Ok(Poll::Ready(output)) => *stage = Stage::Done(Ok(output)),
                Err(panic) => *stage = Stage::Done(Err(panic)),
            }
            WITHIN.set(within);
            INLINE.set(false);
            GIVING.set(true);
        }
        let done = matches!(*stage, Stage::Done(_));
        drop(stage);
        match self.state.swap(IDLE, Ordering::AcqRel) {
            MISSED => self.task.wake(),
            GONE => {
                self.state.store(GONE, Ordering::Relaxed);
                *self.lock() = Stage::Taken;
            }
            _ if done => self.task.wake(),
            _ => {}
        }
    }
}

impl<T: Send + 'static> Wake for Shared<T> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if GIVING.get() && self.begin() {
            self.go_on();
        } else {
            self.task.wake();
        }
    }
}

impl<T: Send + 'static> Future for Inline<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let shared = &self.shared;
        shared.task.register(cx.waker());
        while !shared.begin() {
            match shared.state.compare_exchange(POLLED, MISSED, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) | Err(MISSED) => return Poll::Pending,
                // It was let go just now.
                Err(_) => {}
            }
        }
        let mut stage = shared.lock();
        let output = match &mut *stage {
            Stage::Running(future) => {
                let within = WITHIN.replace(true);
                let polled = future.as_mut().poll(&mut Context::from_waker(&self.waker));
                WITHIN.set(within);
                polled.map(Ok)
            }
            Stage::Done(_) => match std::mem::replace(&mut *stage, Stage::Taken) {
                Stage::Done(output) => Poll::Ready(output),
                Stage::Running(_) | Stage::Taken => unreachable!("it was done"),
            },
            Stage::Taken => unreachable!("a future is not polled when it has ended"),
        };
        if output.is_ready() {
            *stage = Stage::Taken;
        }
        drop(stage);
        // Who has come meanwhile has woken the task.
        shared.state.store(IDLE, Ordering::Release);
        output.map(|output| output.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl<T: Send + 'static> Drop for Inline<T> {
    fn drop(&mut self) {
        if self.shared.state.swap(GONE, Ordering::AcqRel) == IDLE {
            *self.shared.lock() = Stage::Taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread::{self, ThreadId};

    use tokio::sync::oneshot;
    use tokio::task::yield_now;

    use super::*;

    /// Sends from a thread of its own, which is said.
    fn give<T: Send + 'static>(sender: oneshot::Sender<T>, value: T) -> ThreadId {
        let given = thread::spawn(move || {
            giving(|| drop(sender.send(value)));
            thread::current().id()
        });
        given.join().unwrap()
    }

    /// A task that has said that it is about to wait for what the sender sends, and runs `then` with it.
    async fn waiting<F, R>(
        then: impl FnOnce(ThreadId) -> F + Send + 'static,
    ) -> (oneshot::Sender<ThreadId>, tokio::task::JoinHandle<R>)
    where
        F: Future<Output = R> + Send + 'static,
        R: Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let (about, waits) = oneshot::channel();
        let task = tokio::spawn(inline(async move {
            let _ = about.send(());
            then(receiver.await.unwrap()).await
        }));
        waits.await.unwrap();
        // On this runtime of one thread the task has been polled to where it waits.
        (sender, task)
    }

    #[tokio::test]
    async fn goes_on_where_it_is_given_what_it_waits_for() {
        let home = thread::current().id();
        let (sender, task) = waiting(|_| async {
            let first = thread::current().id();
            elsewhere().await;
            (first, thread::current().id(), is_inline())
        })
        .await;
        let away = give(sender, home);
        assert_eq!(task.await.unwrap(), (away, home, false));
    }

    #[tokio::test]
    async fn ends_where_it_is_given_what_it_waits_for() {
        let (sender, task) =
            waiting(|_| async { (thread::current().id(), is_inline(), Handle::try_current().is_ok()) }).await;
        let away = give(sender, thread::current().id());
        assert_eq!(task.await.unwrap(), (away, true, true));
    }

    #[tokio::test]
    async fn stays_where_it_is_when_others_wake_it() {
        let home = thread::current().id();
        let (sender, task) = waiting(|_| async { thread::current().id() }).await;
        thread::spawn(move || sender.send(home)).join().unwrap().unwrap();
        assert_eq!(task.await.unwrap(), home);
    }

    #[tokio::test]
    async fn what_it_wakes_stays_where_it_is() {
        let home = thread::current().id();
        let (sender, task) = waiting(|_| async { thread::current().id() }).await;
        let (first, other) = waiting(move |_| async move { sender.send(home).is_ok() }).await;
        give(first, home);
        assert!(other.await.unwrap());
        assert_eq!(task.await.unwrap(), home);
    }

    #[tokio::test]
    async fn panics_show_in_its_task() {
        let (sender, task) = waiting(|_| async { assert!(!is_inline(), "as meant") }).await;
        give(sender, thread::current().id());
        assert!(task.await.unwrap_err().is_panic());
    }

    #[tokio::test]
    async fn is_dropped_by_who_polls_it_when_its_task_is_gone() {
        let (begun, ended) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let (dropped, drops) = oneshot::channel::<()>();
        let barriers = (begun.clone(), ended.clone());
        let (sender, task) = waiting(move |_| async move {
            barriers.0.wait();
            barriers.1.wait();
            std::future::pending::<()>().await;
            drop(dropped);
        })
        .await;
        let given = thread::spawn(move || give(sender, thread::current().id()));
        begun.wait();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        ended.wait();
        given.join().unwrap();
        assert!(drops.await.is_err());
    }

    #[tokio::test]
    async fn its_task_does_not_wait_for_who_polls_it() {
        let (begun, ended) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let barriers = (begun.clone(), ended.clone());
        let (sender, receiver) = oneshot::channel();
        let mut future = pin!(inline(async move {
            let home = receiver.await;
            barriers.0.wait();
            barriers.1.wait();
            home
        }));
        let mut polled = || future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled().is_pending());
        let home = thread::current().id();
        let given = thread::spawn(move || give(sender, home));
        begun.wait();
        assert!(polled().is_pending() && polled().is_pending());
        ended.wait();
        given.join().unwrap();
        assert_eq!(polled(), Poll::Ready(Ok(home)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_is_lost() {
        let (to, from) = std::sync::mpsc::channel::<oneshot::Sender<u32>>();
        let giver = thread::spawn(move || {
            for (number, sender) in (0..).zip(from) {
                giving(|| sender.send(number).unwrap());
            }
        });
        let mut tasks = Vec::new();
        for _ in 0..8 {
            let to = to.clone();
            tasks.push(tokio::spawn(inline(async move {
                for _ in 0..2_000 {
                    let (sender, receiver) = oneshot::channel();
                    to.send(sender).unwrap();
                    receiver.await.unwrap();
                    yield_now().await;
                }
            })));
        }
        drop(to);
        for task in tasks {
            task.await.unwrap();
        }
        giver.join().unwrap();
    }
}
