//! The handle by which the rest of the node speaks to an isolate, and the state the two sides share.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use atoll_web::event::{
    Event, FetchEvent, FetchResponse, HandlerError, ScheduledEvent, ScheduledOutcome, ServiceEvent,
};
use atoll_web::requests;
use deno_core::v8;
use tokio::sync::{mpsc, oneshot, watch};

use crate::batch::Hub;
use crate::inline::{self, elsewhere};
use crate::park::Parking;
use crate::turn::Meter;

/// An isolate is quick when its events take no longer than this, in nanoseconds of CPU time on average.
const QUICK: u64 = 50_000;

/// Where an isolate is in its life: `Starting => Ready => Ended`, or `Starting => Failed => Ended`.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// The code is being loaded and evaluated.
    Starting,
    /// Events are dispatched.
    Ready,
    /// The code could not be started, or the isolate was stopped: every event from now on gets this error.
    Failed(HandlerError),
    /// The thread is done and the memory returned.
    Ended,
}

/// What the sender side tells the isolate's thread.
pub(crate) enum Message {
    Fetch(Box<Fetch>),
    /// The client of the request with this key has gone.
    Abort(u64),
    /// Look at [`Shared::death`].
    Wake,
}

pub(crate) type Responder = oneshot::Sender<Result<FetchResponse, HandlerError>>;

pub(crate) struct Fetch {
    pub(crate) key: u64,
    pub(crate) event: Event,
    pub(crate) responder: Responder,
    pub(crate) hub: Arc<Hub>,
    /// Who waits for the answer may be polled by the isolate's thread.
    pub(crate) inline: bool,
    pub(crate) ticket: Ticket,
}

/// One request in flight; counted while it exists.
pub(crate) struct Ticket(Arc<Shared>);

impl Ticket {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(shared.clone())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.idle_since.store(self.0.now(), Ordering::Relaxed);
        }
    }
}

/// State of one isolate that its thread, its handles and the watchdog share.
#[derive(Debug)]
pub(crate) struct Shared {
    born: Instant,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) queued: AtomicUsize,
    /// Nanoseconds of CPU time that an event took of late, a moving average.
    pub(crate) cost: AtomicU64,
    /// The processor that its thread was on when it last had something to do.
    processor: AtomicI32,
    /// Milliseconds after `born` at which `in_flight` became zero.
    idle_since: AtomicU64,
    pub(crate) memory: AtomicUsize,
    /// Bytes the thread has allocated outside of V8 and not given back, where a [counting](crate::Counting) allocator says so.
    /// What it has handed to other threads is among them.
    pub(crate) allocated: AtomicI64,
    death: OnceLock<HandlerError>,
    /// Why the code could not be started.
    failure: OnceLock<HandlerError>,
    condemned: watch::Sender<bool>,
    stopped: AtomicBool,
    phase: watch::Sender<Phase>,
    /// Set when a thread is stuck in code that cannot be interrupted: requests stop waiting for it.
    abandoned: watch::Sender<bool>,
    handle: OnceLock<v8::IsolateHandle>,
    /// Set by the signal handler when the engine has aborted on the isolate's thread.
    pub(crate) aborted: AtomicBool,
    /// How the watchdog stops the isolate's thread where it cannot be interrupted.
    pub(crate) parking: Parking,
    pub(crate) meter: OnceLock<Arc<Meter>>,
    waker: Mutex<Option<mpsc::WeakUnboundedSender<Message>>>,
}

impl Shared {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            in_flight: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            cost: AtomicU64::new(0),
            processor: AtomicI32::new(-1),
            idle_since: AtomicU64::new(0),
            memory: AtomicUsize::new(0),
            allocated: AtomicI64::new(0),
            death: OnceLock::new(),
            failure: OnceLock::new(),
            condemned: watch::Sender::new(false),
            stopped: AtomicBool::new(false),
            phase: watch::Sender::new(Phase::Starting),
            abandoned: watch::Sender::new(false),
            handle: OnceLock::new(),
            aborted: AtomicBool::new(false),
            parking: Parking::default(),
            meter: OnceLock::new(),
            waker: Mutex::new(None),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes note of the processor that the calling thread, which is the isolate's, is on.
    pub(crate) fn note_processor(&self) {
        self.processor.store(processor(), Ordering::Relaxed);
    }

    /// Whether its events have been quick of late.
    pub(crate) fn is_quick(&self) -> bool {
        self.cost.load(Ordering::Relaxed) <= QUICK
    }

    /// Whether it is quick, and its thread was on the calling thread's processor when it last had something to do.
    pub(crate) fn is_near(&self) -> bool {
        self.is_quick() && self.processor.load(Ordering::Relaxed) == processor()
    }

    pub(crate) fn attach(&self, handle: v8::IsolateHandle, meter: Arc<Meter>) {
        let _ = self.handle.set(handle);
        let _ = self.meter.set(meter);
    }

    /// Condemns the isolate: whatever JavaScript runs is terminated, and no more will run. The first reason stays.
    /// May be called from any thread, also from within V8's callbacks.
    pub(crate) fn kill(&self, reason: HandlerError) {
        let _ = self.death.set(reason);
        self.stopped.store(true, Ordering::SeqCst);
        self.condemned.send_replace(true);
        self.terminate();
        let waker = self.waker.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(sender) = waker.as_ref().and_then(mpsc::WeakUnboundedSender::upgrade) {
            let _ = sender.send(Message::Wake);
        }
    }

    /// Terminates what JavaScript runs, and nothing else. For an isolate that is condemned.
    pub(crate) fn terminate(&self) {
        if let Some(handle) = self.handle.get() {
            handle.terminate_execution();
        }
    }

    /// Waits until the isolate is condemned.
    pub(crate) async fn dying(&self) {
        let mut condemned = self.condemned.subscribe();
        let _ = condemned.wait_for(|condemned| *condemned).await;
    }

    /// Why the isolate is condemned, if it is.
    pub(crate) fn death(&self) -> Option<&HandlerError> {
        self.death.get()
    }

    /// Gives the isolate up whose thread does not come back. V8 is not called: the thread may hold its locks.
    pub(crate) fn lose(&self, why: HandlerError) {
        let _ = self.death.set(why.clone());
        self.set_phase(Phase::Failed(why));
        self.abandon();
    }

    /// Lets requests go that wait for a thread which does not come back.
    pub(crate) fn abandon(&self) {
        self.abandoned.send_replace(true);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        *self.abandoned.borrow()
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        if matches!(phase, Phase::Failed(_) | Phase::Ended) {
            self.stopped.store(true, Ordering::SeqCst);
        }
        if let Phase::Failed(error) = &phase {
            let _ = self.failure.set(error.clone());
        }
        self.phase.send_replace(phase);
    }
}

/// The number of the processor that the calling thread is on.
fn processor() -> i32 {
    // SAFETY: it takes no arguments and has no conditions.
    unsafe { libc::sched_getcpu() }
}

/// What an isolate is doing, for eviction. Reading it is a few atomic loads.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Requests sent and not finished (response body and `waitUntil` included).
    pub in_flight: usize,
    /// Requests sent that the isolate has not begun with.
    pub queued: usize,
    /// The isolate takes no more requests: it was stopped, broke a limit or failed to start.
    pub stopped: bool,
    /// V8 heap and off-heap bytes, as of the last time it was measured (after a turn, at most every 100 ms).
    pub memory: usize,
    /// Bytes that its thread has allocated outside of V8 and not given back itself: an upper bound of what it holds that
    /// nothing else counts, because others may have given back what they were handed.
    pub allocated: usize,
    /// Since when `in_flight` is zero; `None` while it is not.
    pub idle: Option<Duration>,
}

/// A handle to an isolate that runs (or is about to run) one worker. Cheap to clone; when the last handle is dropped and
/// the last request is finished, the isolate ends.
#[derive(Clone, Debug)]
pub struct Isolate {
    shared: Arc<Shared>,
    sender: mpsc::UnboundedSender<Message>,
    wall: Duration,
}

impl Isolate {
    pub(crate) fn new(wall: Duration) -> (Self, mpsc::UnboundedReceiver<Message>) {
        let shared = Shared::new();
        #[expect(clippy::disallowed_methods, reason = "the caller's concurrency cap bounds the requests in flight")]
        let (sender, receiver) = mpsc::unbounded_channel();
        *shared.waker.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(sender.downgrade());
        (Self { shared, sender, wall }, receiver)
    }

    /// One that has ended before it could begin.
    pub(crate) fn refused(wall: Duration, why: HandlerError) -> Self {
        let (isolate, _) = Self::new(wall);
        isolate.shared.set_phase(Phase::Failed(why));
        isolate.shared.set_phase(Phase::Ended);
        isolate
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Sends a request and waits for the response's head. Dropping the future, or the answer's unfinished body, tells
    /// the handler that the client has gone (`request.signal` aborts). Must be called within a tokio runtime with I/O and time.
    pub async fn fetch(&self, event: FetchEvent) -> Result<FetchResponse, HandlerError> {
        self.send(event.into()).await
    }

    /// Sends a scheduled event and waits until its handler is done; what it gave to `waitUntil` goes on. As
    /// [`fetch`](Self::fetch) otherwise.
    pub async fn scheduled(&self, event: ScheduledEvent) -> Result<ScheduledOutcome, HandlerError> {
        let done = self.send(event.into()).await?;
        Ok(ScheduledOutcome { no_retry: done.status == requests::DONE_NO_RETRY })
    }

    /// Sends work of another worker. As [`fetch`](Self::fetch) otherwise.
    pub async fn service(&self, event: ServiceEvent) -> Result<FetchResponse, HandlerError> {
        self.send(event.into()).await
    }

    async fn send(&self, event: Event) -> Result<FetchResponse, HandlerError> {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        elsewhere().await;
        let key = KEYS.fetch_add(1, Ordering::Relaxed);
        let (responder, mut response) = oneshot::channel();
        let hub = Hub::of_this_thread();
        let ticket = Ticket::new(&self.shared);
        self.shared.queued.fetch_add(1, Ordering::Relaxed);
        let message = Message::Fetch(Box::new(Fetch {
            key,
            event,
            responder,
            hub: hub.clone(),
            inline: inline::is_within(),
            ticket,
        }));
        if self.sender.send(message).is_err() {
            self.shared.queued.fetch_sub(1, Ordering::Relaxed);
            return Err(self.reason());
        }
        let mut abort = AbortOnDrop { sender: Some(&self.sender), key };
        let until = Instant::now().checked_add(self.wall);
        let mut place = None;
        let answered = std::future::poll_fn(|cx| {
            if let Poll::Ready(answered) = Pin::new(&mut response).poll(cx) {
                return Poll::Ready(Some(answered));
            }
            match &place {
                None => place = Some(hub.waits.add(until, &self.shared, cx.waker())),
                Some(_) if self.shared.is_abandoned() || until.is_some_and(|until| until <= Instant::now()) => {
                    return Poll::Ready(None);
                }
                Some(place) => place.renew(cx.waker()),
            }
            Poll::Pending
        });
        match answered.await {
            Some(answered) => {
                abort.sender = None;
                answered.unwrap_or_else(|_| Err(self.reason()))
            }
            None if self.shared.is_abandoned() => Err(self.shared.death().cloned().unwrap_or_else(|| self.reason())),
            None => Err(HandlerError::WallClock { limit_ms: u64::try_from(self.wall.as_millis()).unwrap_or(u64::MAX) }),
        }
    }

    fn reason(&self) -> HandlerError {
        if let Some(error) = self.shared.failure.get() {
            return error.clone();
        }
        match self.shared.death() {
            Some(error) => HandlerError::Stopped(error.to_string()),
            None => HandlerError::Stopped("the isolate ended".into()),
        }
    }

    /// Waits until the worker's code is evaluated, or says why it could not be.
    pub async fn started(&self) -> Result<(), HandlerError> {
        let mut phase = self.shared.phase.subscribe();
        let settled = phase.wait_for(|phase| !matches!(phase, Phase::Starting)).await;
        match settled.as_deref() {
            Ok(Phase::Ready) => Ok(()),
            _ => Err(self.reason()),
        }
    }

    /// What it is doing.
    pub fn load(&self) -> Load {
        let shared = &self.shared;
        let in_flight = shared.in_flight.load(Ordering::Relaxed);
        let since = shared.idle_since.load(Ordering::Relaxed);
        Load {
            in_flight,
            queued: shared.queued.load(Ordering::Relaxed),
            stopped: shared.stopped.load(Ordering::Relaxed),
            memory: shared.memory.load(Ordering::Relaxed),
            allocated: usize::try_from(shared.allocated.load(Ordering::Relaxed)).unwrap_or(0),
            idle: (in_flight == 0).then(|| Duration::from_millis(shared.now().saturating_sub(since))),
        }
    }

    /// How long an event sent now would wait before the isolate begins with it, estimated from what waits already.
    pub fn wait(&self) -> Duration {
        let cost = Duration::from_nanos(self.shared.cost.load(Ordering::Relaxed));
        let queued = self.shared.queued.load(Ordering::Relaxed);
        let turn = self.shared.meter.get().and_then(|meter| meter.turn());
        let queued = cost.saturating_mul(u32::try_from(queued).unwrap_or(u32::MAX));
        turn.unwrap_or_default().saturating_add(queued)
    }

    /// Whether it takes no more requests: it was stopped, broke a limit or failed to start.
    pub fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::Relaxed)
    }

    /// How many requests were sent and are not finished (response body and `waitUntil` included).
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Stops it now: requests in flight fail with [`HandlerError::Stopped`].
    pub fn stop(&self, reason: &str) {
        self.shared.kill(HandlerError::Stopped(reason.to_owned()));
    }

    /// Waits until the isolate is gone and its memory returned.
    pub async fn ended(&self) {
        let mut phase = self.shared.phase.subscribe();
        let _ = phase.wait_for(|phase| matches!(phase, Phase::Ended)).await;
    }

    /// Waits until the isolate runs no more code of its worker: it has ended, was condemned or is stuck for good.
    pub async fn lost(&self) {
        let mut abandoned = self.shared.abandoned.subscribe();
        tokio::select! {
            () = self.shared.dying() => {}
            () = self.ended() => {}
            _ = abandoned.wait_for(|abandoned| *abandoned) => {}
        }
    }

    /// A handle that does not keep the isolate alive.
    pub fn downgrade(&self) -> WeakIsolate {
        WeakIsolate { shared: Arc::downgrade(&self.shared), sender: self.sender.downgrade(), wall: self.wall }
    }
}

/// A handle that does not keep its isolate alive.
#[derive(Clone, Debug)]
pub struct WeakIsolate {
    shared: Weak<Shared>,
    sender: mpsc::WeakUnboundedSender<Message>,
    wall: Duration,
}

impl WeakIsolate {
    /// The handle, if another one still exists.
    pub fn upgrade(&self) -> Option<Isolate> {
        Some(Isolate { shared: self.shared.upgrade()?, sender: self.sender.upgrade()?, wall: self.wall })
    }
}

/// Tells the isolate that a client has gone, unless it was disarmed.
struct AbortOnDrop<'a> {
    sender: Option<&'a mpsc::UnboundedSender<Message>>,
    key: u64,
}

impl Drop for AbortOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(sender) = self.sender {
            let _ = sender.send(Message::Abort(self.key));
        }
    }
}
