//! The warm pool: generic isolates restored from S0 that wait, each on its own thread, to be given a worker.
//!
//! A claim takes a waiting isolate and wakes its thread; the pool is refilled by a thread of its own, off the request path,
//! one restore at a time. When none waits, claims queue and are served in order as isolates become ready.

use std::collections::{HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use atoll_bundle::BundleHash;
use futures::FutureExt;
use tokio::sync::oneshot;

use crate::abort::Contained;
use crate::batch;
use crate::code_cache::{CodeCache, CodeStarts};
use crate::compile;
use crate::core::Core;
use crate::host::{self, Claim, Purpose};
use crate::isolate::{Isolate, Phase, Shared};
use crate::jobs::{Jobs, KEEP_ALIVE};
use crate::rests::{Rest, Rests};
use crate::stack;
use crate::watchdog::Watchdog;
use crate::{Binding, Engine, HandlerError, Worker};

/// Stack of an isolate's thread: V8 uses up to 984 KiB of it, the rest is for Rust beneath and above.
const STACK: usize = 4 << 20;
/// Bytes of compiled code kept in memory for all bundles together.
const CODE_CACHE_BYTES: usize = 64 << 20;

/// How long the pool leaves the processor to the request that has just taken an isolate, as long as half of the isolates
/// still wait.
const REST: Duration = Duration::from_millis(4);

/// How long the pool waits for an isolate: the engine may have aborted while it was restored.
const RESTORED_WITHIN: Duration = Duration::from_secs(60);

/// How long the pool waits after it could not make an isolate.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// What a [`Pool`] keeps.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// Generic isolates kept restored and waiting. Default 8.
    pub warm: usize,
    /// Directory for files of compiled code, which nobody else may write to; it is made when needed. Default none: compiled
    /// code is in memory only.
    pub code: Option<PathBuf>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self { warm: 8, code: None }
    }
}

#[derive(Default)]
struct Queue {
    waiting: Vec<oneshot::Sender<Claim>>,
    claims: VecDeque<Claim>,
    closed: bool,
}

struct Inner {
    queue: Mutex<Queue>,
    refill: Condvar,
    warm: usize,
    watchdog: Watchdog,
    cache: Arc<CodeCache>,
    rests: Arc<Rests>,
}

/// Generic isolates restored from the snapshot that wait to be given a [`Worker`]. Cheap to clone; the isolates that wait
/// end with the last clone.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
    _close: Arc<CloseOnDrop>,
}

struct CloseOnDrop(Arc<Inner>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.closed = true;
        queue.waiting.clear();
        self.0.refill.notify_all();
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fewer than half of the isolates wait.
    fn is_low(&self, queue: &Queue) -> bool {
        queue.waiting.len() * 2 < self.warm
    }
}

/// Has the pool refilled when it is dropped: after the first answer of an isolate that was claimed.
pub(crate) struct Refill<'a>(&'a Inner);

impl Drop for Refill<'_> {
    fn drop(&mut self) {
        // A filler that is about to wait holds the lock; without it, it would miss this.
        drop(self.0.lock());
        self.0.refill.notify_all();
    }
}

impl Pool {
    /// Starts filling the pool in the background.
    pub fn new(_engine: &Engine, options: PoolOptions) -> Self {
        let inner = Arc::new(Inner {
            queue: Mutex::default(),
            refill: Condvar::new(),
            warm: options.warm,
            watchdog: Watchdog::start(),
            cache: Arc::new(CodeCache::new(CODE_CACHE_BYTES, options.code)),
            rests: Rests::of_the_process(),
        });
        let filler = inner.clone();
        thread::Builder::new()
            .name("pool".into())
            .spawn(move || fill(&filler))
            .expect("the system lets a process start threads");
        Self { inner: inner.clone(), _close: Arc::new(CloseOnDrop(inner)) }
    }

    /// How many isolates wait now.
    pub fn ready(&self) -> usize {
        self.inner.lock().waiting.len()
    }

    /// Whether as many wait as are meant to.
    pub fn is_full(&self) -> bool {
        self.ready() >= self.inner.warm
    }

    /// How many WebAssembly modules were compiled so far. A module is compiled for the first isolate that runs its bundle;
    /// later ones share the code.
    pub fn wasm_compilations(&self) -> u64 {
        self.inner.cache.wasm.compilations()
    }

    /// Claims an isolate and gives it the worker, without waiting: events sent to the isolate queue until the code is
    /// evaluated, and all fail with the same error when it cannot be. They fail at once when the app has lost as many isolates as
    /// it may.
    pub fn start(&self, worker: Worker) -> Isolate {
        self.claim(worker, Purpose::Serve)
    }

    /// Starts a worker once so that there is compiled code for its bundle, in memory and on disk, before a request needs it:
    /// that of its modules' top level and of the functions it calls, of small bundles that of all functions. What requests
    /// call is added when some have been answered. The worker sees nothing of the world meanwhile and writes no log; secrets
    /// of its `env` are empty, because what its top level makes may become part of that code. Returns what ends when that is
    /// done, whatever came of it; `None` when there is code for the bundle already or the bundle is too large (8 MiB of
    /// JavaScript). Blocks while it looks for that code on disk.
    pub fn compile(&self, worker: Worker) -> Option<Isolate> {
        if !compile::is_worthwhile(&worker.bundle) || self.inner.cache.has(&worker.hash) {
            return None;
        }
        let env = worker.env.iter().map(|(name, binding)| (name.clone(), without_secret(binding))).collect();
        let worker = Worker { host: Arc::new(atoll_web::Nowhere), env, ..worker };
        Some(self.claim(worker, Purpose::Compile))
    }

    /// Reads the compiled code of bundles from disk into memory, as far as there is any: that used last first, at most that of
    /// `most` bundles and `budget` bytes of the 64 MiB that are set aside for it. Returns the bundles whose code is there now.
    /// Blocks.
    pub fn recall(&self, bundles: &HashSet<BundleHash>, most: usize, budget: usize) -> Vec<BundleHash> {
        self.inner.cache.recall(bundles, most, budget)
    }

    /// Where the compiled code of the isolates that were started came from.
    pub fn code_starts(&self) -> CodeStarts {
        self.inner.cache.starts()
    }

    /// How many bytes of compiled code are in memory.
    pub fn code_bytes(&self) -> usize {
        self.inner.cache.bytes()
    }

    /// Deletes the files of compiled code of bundles that are not `needed`, and marks on disk which were used. Blocks.
    pub fn sweep(&self, needed: &HashSet<BundleHash>) {
        self.inner.cache.sweep(&|hash| needed.contains(hash));
    }

    /// How many isolates of this process will never give their memory back, and how many bytes they hold: the engine has aborted
    /// in them, or their code had to be stopped where it cannot be interrupted.
    pub fn losses(&self) -> (usize, usize) {
        self.inner.rests.losses()
    }

    fn claim(&self, worker: Worker, purpose: Purpose) -> Isolate {
        if let Some(refusal) = self.inner.rests.refusal(&worker.app, worker.version) {
            return Isolate::refused(worker.limits.wall, refusal);
        }
        let (isolate, receiver) = Isolate::new(worker.limits.wall);
        let mut claim = Claim {
            worker,
            shared: isolate.shared().clone(),
            receiver,
            cache: self.inner.cache.clone(),
            rests: self.inner.rests.clone(),
            purpose,
            made: Instant::now(),
        };
        loop {
            let (waiting, low) = {
                let mut queue = self.inner.lock();
                let Some(waiting) = queue.waiting.pop() else {
                    queue.claims.push_back(claim);
                    self.inner.refill.notify_all();
                    return isolate;
                };
                (waiting, self.inner.is_low(&queue))
            };
            // Without the lock: a thread that is woken may displace this one, and must not wait for it then.
            match waiting.send(claim) {
                Ok(()) => {
                    // As long as there are others, the isolate itself has the pool refilled, when it has answered.
                    if low {
                        // A filler that is about to wait holds the lock; without it, it would miss this.
                        drop(self.inner.lock());
                        self.inner.refill.notify_all();
                    }
                    return isolate;
                }
                // The thread is gone; the next one may be there.
                Err(returned) => claim = returned,
            }
        }
    }
}

/// Keeps `warm` isolates waiting and serves queued claims, until the pool is closed.
fn fill(inner: &Arc<Inner>) {
    loop {
        {
            let queue = inner.lock();
            let enough =
                |queue: &mut Queue| !queue.closed && queue.claims.is_empty() && queue.waiting.len() >= inner.warm;
            let queue = inner.refill.wait_while(queue, enough).unwrap_or_else(PoisonError::into_inner);
            let plenty = |queue: &mut Queue| !queue.closed && queue.claims.is_empty() && !inner.is_low(queue);
            let waited = inner.refill.wait_timeout_while(queue, REST, plenty);
            let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if queue.closed && queue.claims.is_empty() {
                return;
            }
        }
        let (restored, ready) = std::sync::mpsc::sync_channel(1);
        let pool = inner.clone();
        let spawned = thread::Builder::new().name("isolate".into()).stack_size(STACK).spawn(move || {
            stack::make();
            batch::without_io();
            let jobs = Arc::new(Jobs::default());
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .max_blocking_threads(1)
                .thread_name("isolate-blocking")
                .thread_keep_alive(KEEP_ALIVE)
                .on_thread_start({
                    let jobs = jobs.clone();
                    move || jobs.thread_started()
                })
                .on_thread_stop({
                    let jobs = jobs.clone();
                    move || jobs.thread_ends()
                })
                .build()
                .expect("a runtime without I/O needs nothing of the system");
            let rest = runtime.block_on(serve(&pool, &restored, jobs));
            // Waits for a job that is under way.
            drop(runtime);
            drop(rest);
        });
        match spawned {
            Ok(_) if ready.recv_timeout(RESTORED_WITHIN).is_ok() => {}
            Ok(_) => refuse_claims(inner, "its thread ended, or stopped, before it was restored"),
            Err(error) => refuse_claims(inner, &format!("the system gives no thread: {error}")),
        }
    }
}

/// A binding as the isolate that compiles ahead has it.
fn without_secret(binding: &Binding) -> Binding {
    match binding {
        Binding::Secret(_) => Binding::Secret(String::new()),
        other => other.clone(),
    }
}

/// Refuses whoever waits for an isolate, and waits a while before the next try.
fn refuse_claims(inner: &Inner, problem: &str) {
    tracing::error!(problem, "an isolate could not be restored");
    let claims = std::mem::take(&mut inner.lock().claims);
    for claim in claims {
        let error = HandlerError::Stopped(format!("no isolate could be made: {problem}"));
        claim.shared.set_phase(Phase::Failed(error));
    }
    let queue = inner.lock();
    let _ = inner.refill.wait_timeout_while(queue, RETRY_AFTER, |queue| !queue.closed);
}

/// Waits for a claim and hosts it to its end. Returns a note of the isolate's second thread when that may still work.
async fn serve(pool: &Inner, restored: &std::sync::mpsc::SyncSender<()>, jobs: Arc<Jobs>) -> Option<Rest> {
    // A worker that waits already is its own rehearsal.
    let core = Core::restore(&pool.watchdog, jobs, || pool.lock().claims.is_empty());
    let claim = {
        let mut queue = pool.lock();
        match queue.claims.pop_front() {
            Some(claim) => Ok(claim),
            None => {
                let (sender, receiver) = oneshot::channel();
                if !queue.closed {
                    queue.waiting.push(sender);
                }
                Err(receiver)
            }
        }
    };
    let _ = restored.send(());
    let claim = match claim {
        Ok(claim) => claim,
        Err(receiver) => match receiver.await {
            Ok(claim) => claim,
            // The pool is closed.
            Err(_) => return None,
        },
    };
    let shared: Arc<Shared> = claim.shared.clone();
    let _contained = Contained::new(shared.clone());
    // A panic here is a bug of the platform, not of the tenant; it must not reach beyond this isolate.
    AssertUnwindSafe(host::run(core, claim, Refill(pool))).catch_unwind().await.unwrap_or_else(|_| {
        shared.kill(HandlerError::Stopped("an internal error of the runtime".into()));
        shared.set_phase(Phase::Ended);
        None
    })
}
