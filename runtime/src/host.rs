//! Hosts an isolate on a thread of its own: waits to be claimed, starts the worker's code, dispatches events, ends.
//!
//! The thread parks when nothing is to do. While no request is in flight the event loop is not driven: timers and
//! operations that a finished request left behind stand still.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use atoll_web::event::{HandlerError, LogLevel, LogRecord};
use atoll_web::requests;
use tokio::sync::mpsc;

use crate::Worker;
use crate::alone::Entry;
use crate::batch::{Batched, Hub};
use crate::code_cache::CodeCache;
use crate::compile;
use crate::core::{Core, millis};
use crate::idle::Idle;
use crate::inline;
use crate::isolate::{Fetch, Message, Phase, Shared, Ticket};
use crate::loop_waker::LoopWaker;
use crate::pool::Refill;
use crate::rests::{Rest, Rests, Work};

/// How much CPU time requests may use at most of what the start was allowed and has not taken: as much as Workers let a start
/// take. Code that is loaded when a request asks for it is a part of the start.
const LATE_START: Duration = Duration::from_millis(400);

/// How many events are dispatched before the event loop is driven again.
const BATCH: usize = 64;

/// After so many requests the functions that requests call are taken to be compiled.
const SEASONED: u32 = 4;

/// How long the pool leaves the processor to an isolate that has been started and has answered nothing yet.
const FIRST: Duration = Duration::from_millis(5);

/// How much the events of a batch may take, by the time that they are charged, before what was answered is sent at once.
const HOLD: Duration = Duration::from_micros(200);

/// A worker's claim on an isolate.
pub(crate) struct Claim {
    pub(crate) worker: Worker,
    pub(crate) shared: Arc<Shared>,
    pub(crate) receiver: mpsc::UnboundedReceiver<Message>,
    pub(crate) cache: Arc<CodeCache>,
    pub(crate) rests: Arc<Rests>,
    pub(crate) purpose: Purpose,
    /// When the claim was made.
    pub(crate) made: Instant,
}

/// What an isolate is claimed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To answer events.
    Serve,
    /// To start the worker once, so that there is compiled code for those that serve.
    Compile,
}

/// A request the isolate has begun with.
struct Active {
    key: u64,
    hub: Arc<Hub>,
    inline: bool,
    cpu: Duration,
    /// What it took of the start's CPU time.
    late: Duration,
    responded: Option<Instant>,
    _ticket: Ticket,
}

/// Slots are numbers of the platform's own, low bits first: as good as any hash of them.
#[derive(Default)]
struct SlotHasher(u64);

impl Hasher for SlotHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u32(&mut self, slot: u32) {
        // The table looks at the topmost bits as well.
        self.0 = u64::from(slot).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

struct Hosted {
    core: Core,
    worker: Worker,
    shared: Arc<Shared>,
    receiver: mpsc::UnboundedReceiver<Message>,
    cache: Arc<CodeCache>,
    /// CPU time that the start has left, [`LATE_START`] at most. Requests that need more than their own share it.
    unused: Duration,
    /// What a request has of it, as it is named.
    from_start: Duration,
    /// A request under way may have taken of it.
    taken: bool,
    /// Requests finished.
    finished: u32,
    /// What they called need not be added to the compiled code any more.
    seasoned: bool,
    released: bool,
    /// The isolate was condemned within the turn of one request, which has been told.
    alone_to_blame: bool,
    active: HashMap<u32, Active, BuildHasherDefault<SlotHasher>>,
    woken: Arc<LoopWaker>,
    batched: Batched,
    /// Answers given and not sent.
    answers: Vec<requests::Answer>,
    /// An answer was sent.
    has_answered: bool,
    /// Wakes the thread when the earliest `waitUntil` has had its time.
    deadline: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
}

/// Runs a claimed isolate to its end. Returns a note of its second thread when there is one.
pub(crate) async fn run(core: Core, claim: Claim, refill: Refill<'_>) -> Option<Rest> {
    let (jobs, rests) = (core.jobs().clone(), claim.rests.clone());
    let (app, shared) = (claim.worker.app.clone(), claim.shared.clone());
    host(core, claim, refill).await;
    jobs.demote();
    let rest = jobs.has_thread().then(|| rests.note(&app, Work::Job));
    shared.set_phase(Phase::Ended);
    rest
}

async fn host(mut core: Core, claim: Claim, refill: Refill<'_>) {
    let Claim { worker, shared, mut receiver, cache, rests, purpose, made } = claim;
    let (mut phases, adopting) = (Phases { claimed: made.elapsed(), ..Phases::default() }, Instant::now());
    core.adopt(&worker, shared.clone(), cache.clone(), rests.clone());
    phases.adopted = adopting.elapsed();
    if purpose == Purpose::Compile {
        core.keep_expressions();
    }
    core.jobs().allow(worker.limits.startup_cpu);
    let started = tokio::select! {
        biased;
        started = tokio::time::timeout(worker.limits.wall, start(&mut core, &worker, &rests, &mut phases)) => match started {
            Ok(started) => started,
            Err(_) => Err(HandlerError::WallClock { limit_ms: millis(worker.limits.wall) }),
        },
        () = shared.dying() => Ok(Duration::ZERO),
    };
    let unused = match shared.death().cloned().map_or(started, Err) {
        Ok(unused) => unused.min(LATE_START),
        Err(error) => {
            worker.host.log(LogRecord { level: LogLevel::Error, message: describe(&error), request_id: None });
            drop(refill);
            shared.set_phase(Phase::Failed(error.clone()));
            receiver.close();
            while let Some(message) = receiver.recv().await {
                refuse(&shared, message, &error);
            }
            return;
        }
    };
    tracing::debug!(app = %worker.app, version = worker.version, ?phases, ?purpose, "isolate started");
    if purpose == Purpose::Compile {
        let code = core.compiled(&worker.bundle, worker.limits.startup_cpu);
        if shared.death().is_none() {
            cache.keep(&worker.hash, code, compile::is_whole(&worker.bundle));
        }
        return;
    }
    core.set_verdict(HandlerError::CpuLimit { limit_ms: millis(worker.limits.cpu), start_ms: millis(unused) });
    core.jobs().take();
    core.jobs().allow(worker.limits.cpu + unused);
    shared.set_phase(Phase::Ready);
    let woken = Arc::new(LoopWaker::default());
    let mut hosted = Hosted {
        core,
        worker,
        shared: shared.clone(),
        receiver,
        cache,
        unused,
        from_start: unused,
        taken: false,
        finished: 0,
        seasoned: false,
        released: false,
        alone_to_blame: false,
        active: HashMap::default(),
        woken,
        batched: Batched::default(),
        answers: Vec::new(),
        has_answered: false,
        deadline: None,
    };
    requests::hold_answers(&mut hosted.core.state().borrow_mut());
    let mut refill = Some((refill, Box::pin(tokio::time::sleep(FIRST))));
    let mut idle = Idle::default();
    std::future::poll_fn(|cx| {
        let polled = hosted.poll(cx);
        hosted.send_answers();
        if let Some((_, late)) = &mut refill
            && (hosted.has_answered || polled.is_ready() || late.as_mut().poll(cx).is_ready())
        {
            if hosted.has_answered {
                // Whom the answer has woken goes before the pool.
                std::thread::yield_now();
            }
            refill = None;
        }
        if hosted.has_answered && hosted.active.is_empty() {
            idle.poll(cx, hosted.finished);
        }
        polled
    })
    .await;
    hosted.end();
}

/// How long the parts of a start took, for the log.
#[derive(Debug, Default)]
#[expect(dead_code, reason = "read by its Debug form")]
struct Phases {
    claimed: Duration,
    adopted: Duration,
    loaded: Duration,
    evaluated: Duration,
    started: Duration,
}

/// Starts the worker. Returns the CPU time that is left of what this may take.
async fn start(core: &mut Core, worker: &Worker, rests: &Rests, phases: &mut Phases) -> Result<Duration, HandlerError> {
    rests.room(&worker.app).await;
    if let Some(refusal) = rests.refusal(&worker.app, worker.version) {
        return Err(refusal);
    }
    let mut budget = worker.limits.startup_cpu;
    let at = Instant::now();
    let entry = core.load(&worker.bundle.main, &mut budget).await?;
    phases.loaded = at.elapsed();
    // Nothing of what follows waits for anything then.
    let _held = matches!(entry, Entry::Alone { .. }).then(|| core.hold());
    core.prepare(&entry, &mut budget)?;
    core.evaluate(&entry, &mut budget).await?;
    phases.evaluated = at.elapsed().saturating_sub(phases.loaded);
    core.start(&entry, &mut budget)?;
    phases.started = at.elapsed().saturating_sub(phases.loaded + phases.evaluated);
    Ok(budget)
}

fn refuse(shared: &Shared, message: Message, error: &HandlerError) {
    if let Message::Fetch(fetch) = message {
        shared.queued.fetch_sub(1, Ordering::Relaxed);
        let _ = fetch.responder.send(Err(error.clone()));
    }
}

impl Hosted {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waits = false;
        // Entered once for all turns of this call.
        let mut held = None;
        let mut spent = Duration::ZERO;
        self.shared.note_processor();
        for _ in 0..BATCH {
            let Self { receiver, batched, .. } = self;
            match batched.poll(cx, |cx| receiver.poll_recv(cx)) {
                Poll::Ready(Some(Message::Fetch(fetch))) => {
                    held.get_or_insert_with(|| self.core.hold());
                    spent += self.dispatch(*fetch);
                }
                Poll::Ready(Some(Message::Abort(key))) => {
                    held.get_or_insert_with(|| self.core.hold());
                    spent += self.abort(key);
                }
                Poll::Ready(Some(Message::Wake)) => {}
                Poll::Ready(None) => {
                    (self.released, waits) = (true, true);
                    break;
                }
                Poll::Pending => {
                    waits = true;
                    break;
                }
            }
            if self.shared.death().is_some() {
                return Poll::Ready(());
            }
            // The next event of one that is not quick may take long.
            if spent > HOLD || !self.shared.is_quick() {
                self.send_answers();
            }
        }
        // Nobody would wake the thread for the next message: the channel knows its waker only once it had none left.
        if !waits {
            cx.waker().wake_by_ref();
        }
        self.woken.task.register(cx.waker());
        // What was answered at once need not wait for what was not.
        self.send_answers();
        if !self.active.is_empty() && (self.woken.woken.swap(false, Ordering::AcqRel) || held.is_some()) {
            self.drive();
        }
        if self.shared.death().is_some() {
            return Poll::Ready(());
        }
        self.send_answers();
        self.settle();
        self.watch_deadlines(cx);
        self.core.measure();
        if self.finished >= SEASONED && !self.seasoned && self.active.is_empty() && self.receiver.is_empty() {
            self.season();
        }
        if self.shared.death().is_some() || (self.released && self.active.is_empty()) {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Returns the CPU time used.
    fn dispatch(&mut self, fetch: Fetch) -> Duration {
        self.shared.queued.fetch_sub(1, Ordering::Relaxed);
        if fetch.responder.is_closed() {
            return Duration::ZERO;
        }
        let Fetch { key, event, responder, hub, inline, ticket } = fetch;
        self.name_limits();
        let (slot, cpu) = self.core.dispatch(event, responder, self.worker.limits.cpu + self.unused);
        self.note_cost(cpu);
        let Some(slot) = slot else { return cpu };
        match self.shared.death().cloned() {
            // This request's own turn was terminated; the others in flight are told that it was not them.
            Some(death) => {
                self.alone_to_blame = true;
                requests::fail(&mut self.core.state().borrow_mut(), slot, death);
            }
            None => {
                let over = cpu.saturating_sub(self.worker.limits.cpu).min(self.unused);
                self.unused -= over;
                self.taken |= !over.is_zero();
                self.active.insert(
                    slot,
                    Active { key, hub, inline, cpu: cpu - over, late: over, responded: None, _ticket: ticket },
                );
            }
        }
        cpu
    }

    /// What ends the isolate when a request takes more than its CPU time and what it has of the start's: what it took of that
    /// and what is left. The watchdog says the same.
    fn name_limits(&mut self) -> HandlerError {
        let mut left = self.unused;
        if self.taken {
            let most = self.active.values().map(|active| active.late).max().unwrap_or_default();
            self.taken = !most.is_zero();
            left += most;
        }
        let error = HandlerError::CpuLimit { limit_ms: millis(self.worker.limits.cpu), start_ms: millis(left) };
        if std::mem::replace(&mut self.from_start, left) != left {
            self.core.set_verdict(error.clone());
        }
        error
    }

    /// Has requests that took more than their own CPU time take from what the start has left. Says whether that is too little.
    fn take_unused(&mut self) -> bool {
        let limit = self.worker.limits.cpu;
        let mut short = false;
        for active in self.active.values_mut().filter(|active| active.cpu > limit) {
            let taken = (active.cpu - limit).min(self.unused);
            self.unused -= taken;
            active.cpu -= taken;
            active.late += taken;
            self.taken = true;
            short |= active.cpu > limit;
        }
        short
    }

    /// Sends what was answered: to those whose thread this one may stand in for, one by one; to others one directly and several in
    /// one go.
    fn send_answers(&mut self) {
        requests::take_answers(&mut self.core.state().borrow_mut(), &mut self.answers);
        if self.answers.is_empty() {
            return;
        }
        self.has_answered = true;
        let Self { answers, active, .. } = self;
        let inline = |answer: &mut requests::Answer| active.get(&answer.slot).is_some_and(|active| active.inline);
        inline::giving(|| answers.extract_if(.., inline).for_each(requests::Answer::send));
        let hub = self.answers.first().and_then(|first| self.active.get(&first.slot)).map(|active| active.hub.clone());
        match hub {
            Some(hub) if self.answers.len() > 1 || hub.is_lonely() => hub.deliver(&mut self.answers),
            _ => self.answers.drain(..).for_each(requests::Answer::send),
        }
    }

    /// Lets the CPU time of one event count an eighth of what an event is expected to take.
    fn note_cost(&self, cpu: Duration) {
        let new = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX);
        let old = self.shared.cost.load(Ordering::Relaxed);
        self.shared.cost.store(old - old / 8 + new / 8, Ordering::Relaxed);
    }

    /// Returns the CPU time used.
    fn abort(&mut self, key: u64) -> Duration {
        let Some((slot, active)) = self.active.iter().find(|(_, active)| active.key == key) else {
            return Duration::ZERO;
        };
        let (slot, budget) = (*slot, (self.worker.limits.cpu + self.unused).saturating_sub(active.cpu));
        let used = self.core.abort(slot, budget);
        if let Some(active) = self.active.get_mut(&slot) {
            active.cpu += used;
        }
        used
    }

    /// Drives the event loop for a turn, charged to all requests in flight in equal parts.
    fn drive(&mut self) {
        let limit = self.worker.limits.cpu;
        // Each message of a WebSocket may use as much as a request.
        let fresh = requests::take_fresh(&mut self.core.state().borrow_mut());
        let messages = u32::try_from(fresh.len()).unwrap_or(u32::MAX).max(1);
        for slot in fresh {
            if let Some(active) = self.active.get_mut(&slot) {
                active.cpu = Duration::ZERO;
            }
        }
        let least = self.active.values().map(|active| active.cpu).min().unwrap_or_default();
        self.name_limits();
        let budget = (limit.saturating_mul(messages) + self.unused).saturating_sub(least);
        let waker = Waker::from(self.woken.clone());
        let (polled, used) = self.core.poll(&mut Context::from_waker(&waker), budget);
        let share = used / u32::try_from(self.active.len().max(1)).unwrap_or(u32::MAX);
        for active in self.active.values_mut() {
            active.cpu += share;
        }
        self.charge_jobs();
        if self.take_unused() {
            let error = self.name_limits();
            self.shared.kill(error);
            return;
        }
        self.allow_jobs();
        match polled {
            Poll::Ready(Ok(())) => self.fail_hung(),
            Poll::Ready(Err(error)) if self.shared.death().is_none() => {
                let message = format!("uncaught: {error}");
                self.worker.host.log(LogRecord { level: LogLevel::Error, message, request_id: None });
                self.woken.wake_by_ref();
            }
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
    }

    /// Charges what jobs took to the requests whose jobs have ended.
    fn charge_jobs(&mut self) {
        let ended = requests::take_ended_jobs(&mut self.core.state().borrow_mut());
        if ended.is_empty() {
            return;
        }
        let share = self.core.jobs().take() / u32::try_from(ended.len()).unwrap_or(u32::MAX);
        // Those that have not waited for their jobs leave the bill to the others.
        let mut left = Duration::ZERO;
        for slot in ended {
            match self.active.get_mut(&slot) {
                Some(active) => active.cpu += share,
                None => left += share,
            }
        }
        let left = left / u32::try_from(self.active.len().max(1)).unwrap_or(u32::MAX);
        for active in self.active.values_mut() {
            active.cpu += left;
        }
    }

    /// Allows jobs that run what any request has left. One thread runs those of all requests, and may be several ahead.
    fn allow_jobs(&self) {
        let least = self.active.values().map(|active| active.cpu).min().unwrap_or_default();
        let requests = u32::try_from(self.active.len().max(1)).unwrap_or(u32::MAX);
        let own = self.worker.limits.cpu.saturating_sub(least).saturating_mul(requests);
        self.core.jobs().allow(own + self.unused);
    }

    /// Nothing is under way in the isolate: whoever has not answered by now never will.
    fn fail_hung(&mut self) {
        // What was terminated left nothing behind either; its requests are told why when the isolate ends.
        if self.shared.death().is_some() {
            return;
        }
        let mut state = self.core.state().borrow_mut();
        for slot in requests::unanswered(&state, self.active.keys().copied()) {
            requests::fail(&mut state, slot, HandlerError::Hung);
            self.active.remove(&slot);
        }
    }

    /// Forgets finished requests and notes which have answered.
    fn settle(&mut self) {
        let mut state = self.core.state().borrow_mut();
        for slot in requests::take_finished(&mut state) {
            self.active.remove(&slot);
            self.finished = self.finished.saturating_add(1);
        }
        for (slot, active) in &mut self.active {
            if active.responded.is_none() && requests::responded(&state, *slot) {
                active.responded = Some(Instant::now());
            }
        }
    }

    /// Adds the functions that requests call to the bundle's compiled code, once for all isolates of the bundle.
    fn season(&mut self) {
        self.seasoned = true;
        let Worker { hash, bundle, limits, .. } = &self.worker;
        if !self.cache.wants_seasoning(hash) {
            return;
        }
        let code = self.core.compiled(bundle, limits.startup_cpu);
        if self.shared.death().is_none() {
            let (cache, hash) = (self.cache.clone(), *hash);
            let jobs = self.core.jobs().clone();
            tokio::task::spawn_blocking(move || jobs.exempt(|| cache.keep(&hash, code, true)));
        }
    }

    /// Ends `waitUntil` work that has had its time after the response.
    fn watch_deadlines(&mut self, cx: &mut Context<'_>) {
        let wall = self.worker.limits.wall;
        loop {
            let earliest = self.active.values().filter_map(|active| active.responded).min();
            let Some(at) = earliest.map(|responded| responded + wall) else {
                self.deadline = None;
                return;
            };
            let now = Instant::now();
            if at <= now {
                self.expire(now);
                continue;
            }
            let sleep = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at.into())));
            if sleep.deadline().into_std() != at {
                sleep.as_mut().reset(at.into());
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return;
            }
        }
    }

    fn expire(&mut self, now: Instant) {
        let wall = self.worker.limits.wall;
        let mut state = self.core.state().borrow_mut();
        self.active.retain(|slot, active| {
            if active.responded.is_none_or(|responded| responded + wall > now) {
                return true;
            }
            if requests::streaming(&state, *slot) {
                // The response is still being taken; its time begins when that ends.
                active.responded = Some(now);
                return true;
            }
            let message = format!("waitUntil: not finished {} ms after the response; given up", millis(wall));
            let request_id = requests::request_id(&state, *slot);
            self.worker.host.log(LogRecord { level: LogLevel::Warn, message, request_id });
            requests::fail(&mut state, *slot, HandlerError::Hung);
            false
        });
    }

    /// Answers everything that is still waiting, then disposes of the isolate.
    fn end(mut self) {
        if let Some(death) = self.shared.death().cloned() {
            self.worker.host.log(LogRecord { level: LogLevel::Error, message: describe(&death), request_id: None });
            let stopped = HandlerError::Stopped(death.to_string());
            let blamed = if self.alone_to_blame { stopped.clone() } else { death };
            requests::fail_all(&mut self.core.state().borrow_mut(), blamed);
            self.receiver.close();
            while let Ok(message) = self.receiver.try_recv() {
                refuse(&self.shared, message, &stopped);
            }
        }
    }
}

fn describe(error: &HandlerError) -> String {
    match error {
        HandlerError::Startup { stack, .. } if !stack.is_empty() => format!("{error}\n{stack}"),
        _ => error.to_string(),
    }
}
