//! Requests to isolates: choose one, start one, retry once, and end those that are not needed.

pub mod evict;
mod instances;
mod machine;
pub mod scale;
mod start_backoff;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_bundle::{Bundle, BundleHash};
use atoll_runtime::{
    Body, CodeStarts, FetchEvent, FetchResponse, HandlerError, Isolate, Pool, ScheduledEvent, ScheduledOutcome,
    ServiceEvent, Worker,
};
use http::Method;

use self::evict::Room;
pub use self::instances::{Instance, Instances};
use self::instances::{Register, Selected};
pub use self::machine::resident_memory;
use crate::bundles::{BundleStore, BundleUnavailable, off_thread, size_of};
use crate::config::IsolateConfig;
use crate::errors::EdgeError;
use crate::spare::without_body;
use crate::state::VersionEntry;

/// How long the next compilation waits for one.
const COMPILATION: Duration = Duration::from_secs(10);

/// How an isolate came to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It was started for it.
    Cold,
    /// It was there.
    Warm,
}

impl Start {
    /// The word in headers and the access log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Warm => "warm",
        }
    }
}

/// Why an app gave no answer.
#[derive(Clone, Debug)]
pub enum DispatchError {
    /// The node has no isolate for it.
    Edge(EdgeError),
    /// The app's code failed.
    Handler(HandlerError),
}

/// What came of a dispatch.
pub struct Dispatched<T = FetchResponse> {
    /// The answer or the failure.
    pub result: Result<T, DispatchError>,
    /// How the isolate was had; `None` when there was none.
    pub start: Option<Start>,
    /// Keeps the isolate counted as long as the answer is being sent.
    pub instance: Option<Arc<Instance>>,
}

/// Owns the warm pool and all isolates of a node.
pub struct Dispatcher {
    pool: Pool,
    bundles: Arc<BundleStore>,
    register: Arc<Register>,
    max_per_version: usize,
    max_live: usize,
    room: Room,
    ceiling: u64,
    rss: Option<u64>,
    usable: Option<u64>,
}

impl Dispatcher {
    /// A dispatcher without isolates.
    pub fn new(pool: Pool, bundles: Arc<BundleStore>, config: &IsolateConfig) -> Self {
        let max_live = machine::isolate_limit(config.max_live);
        if max_live < config.max_live {
            tracing::warn!(
                configured = config.max_live,
                limit = max_live,
                "the kernel's vm.max_map_count allows fewer isolates than isolates.max_live; raise it with sysctl"
            );
        }
        let room = Room {
            idle_after: Duration::from_secs(config.idle_seconds),
            isolates: max_live,
            memory: config.memory_mb.saturating_mul(1 << 20),
        };
        let ceiling = config.ceiling_mb.saturating_mul(1 << 20);
        let rss = config.rss_mb.map(|mb| mb.saturating_mul(1 << 20));
        let max_per_version = config.max_per_version;
        let usable = machine::usable_memory();
        Self { pool, bundles, register: Arc::default(), max_per_version, max_live, room, ceiling, rss, usable }
    }

    /// Live isolates.
    pub fn live(&self) -> usize {
        self.register.len()
    }

    /// Starts an isolate for a request that is about to be sent, so that it loads while the request goes the rest of its
    /// way. `None` when one runs, or when starting one takes more than a look: then [`send`](Self::send) does it.
    pub fn begin(&self, version: &Arc<VersionEntry>) -> Option<Arc<Instance>> {
        let instances = &version.instances;
        let full = || self.register.len() >= self.max_live;
        if !instances.is_empty() || full() || instances.backoff().check(Instant::now()).is_some() {
            return None;
        }
        let worker = worker(version, version.bundle.clone().or_else(|| self.bundles.at_hand(version.hash))?);
        let (instance, started) = instances.start(&self.register, self.max_per_version, || self.pool.start(worker));
        started.then_some(instance)
    }

    /// Sends a request to an isolate of `version`, first to the one that was [begun](Self::begin) for it. A request without
    /// a body and with a safe method (RFC 9110 §9.2.1) is sent once more when its isolate was stopped through no fault of
    /// its own.
    pub async fn send(
        &self,
        version: &Arc<VersionEntry>,
        event: FetchEvent,
        mut begun: Option<Arc<Instance>>,
    ) -> Dispatched {
        let mut event = Some(event);
        let mut again = true;
        loop {
            let (instance, start) = match begun.take() {
                Some(begun) => (begun, Start::Cold),
                None => match self.acquire(version).await {
                    Ok(acquired) => acquired,
                    Err(error) => return Dispatched { result: Err(error), start: None, instance: None },
                },
            };
            let sent = event.take().expect("an event is left for every round");
            // Only another request can stop the isolate of this one, so a lonely request needs no copy.
            let shared = start == Start::Warm && instance.isolate.in_flight() > 0;
            let spare = if shared && std::mem::take(&mut again) { copy(&sent) } else { None };
            let result = instance.isolate.fetch(sent).await;
            if result.is_err() || start == Start::Cold || !version.instances.backoff().is_clear() {
                version.instances.backoff().record(result.as_ref().err(), Instant::now());
            }
            match (&result, spare) {
                (Err(HandlerError::Stopped(_)), Some(spare)) => event = Some(spare),
                _ => {
                    let result = result.map_err(DispatchError::Handler);
                    return Dispatched { result, start: Some(start), instance: Some(instance) };
                }
            }
        }
    }

    /// Sends a scheduled event to an isolate of `version`, once.
    pub async fn schedule(&self, version: &Arc<VersionEntry>, event: ScheduledEvent) -> Dispatched<ScheduledOutcome> {
        self.once(version, async |isolate| isolate.scheduled(event).await).await
    }

    /// Sends work of another app to an isolate of `version`, once.
    pub async fn service(&self, version: &Arc<VersionEntry>, event: ServiceEvent) -> Dispatched {
        self.once(version, async |isolate| isolate.service(event).await).await
    }

    async fn once<T>(
        &self,
        version: &Arc<VersionEntry>,
        send: impl AsyncFnOnce(&Isolate) -> Result<T, HandlerError>,
    ) -> Dispatched<T> {
        let (instance, start) = match self.acquire(version).await {
            Ok(acquired) => acquired,
            Err(error) => return Dispatched { result: Err(error), start: None, instance: None },
        };
        let result = send(&instance.isolate).await;
        version.instances.backoff().record(result.as_ref().err(), Instant::now());
        let result = result.map_err(DispatchError::Handler);
        Dispatched { result, start: Some(start), instance: Some(instance) }
    }

    /// Starts an isolate of a version that has none, when there is room without ending another.
    pub async fn warm(&self, version: &Arc<VersionEntry>) {
        if self.register.len() < self.max_live {
            // Why it cannot be started, the request that follows is told.
            let _ = self.acquire(version).await;
        }
    }

    async fn acquire(&self, version: &Arc<VersionEntry>) -> Result<(Arc<Instance>, Start), DispatchError> {
        let instances = &version.instances;
        let otherwise = match instances.choose(self.max_per_version) {
            Selected::Use(instance) => return Ok((instance, Start::Warm)),
            Selected::Start { otherwise } => otherwise,
        };
        if let Some(error) = instances.backoff().check(Instant::now()) {
            return Err(DispatchError::Handler(error));
        }
        if !self.make_room() {
            let full = DispatchError::Edge(EdgeError::NodeOverloaded { limit: self.max_live });
            return otherwise.map(|instance| (instance, Start::Warm)).ok_or(full);
        }
        let worker = Box::pin(self.worker(version)).await.map_err(|error| {
            tracing::error!(app = %version.app, version = version.number, %error, "bundle not available");
            DispatchError::Edge(EdgeError::BundleUnavailable { app: version.app.to_string(), version: version.number })
        })?;
        let (instance, started) = instances.start(&self.register, self.max_per_version, || self.pool.start(worker));
        Ok((instance, if started { Start::Cold } else { Start::Warm }))
    }

    async fn worker(&self, version: &VersionEntry) -> Result<Worker, BundleUnavailable> {
        let bundle = match &version.bundle {
            Some(bundle) => bundle.clone(),
            None => self.bundles.load(version.hash).await?,
        };
        Ok(worker(version, bundle))
    }

    /// Whether as many isolates wait to be claimed as are meant to.
    pub fn is_pool_full(&self) -> bool {
        self.pool.is_full()
    }

    /// Sees to it that there is compiled code for a version, before a request needs it. What does not compile, the first
    /// request is told.
    pub async fn compile(&self, version: &VersionEntry) {
        let Ok(worker) = self.worker(version).await else { return };
        let pool = self.pool.clone();
        if let Some(isolate) = off_thread(move || pool.compile(worker)).await {
            let _ = tokio::time::timeout(COMPILATION, isolate.lost()).await;
        }
    }

    /// Reads compiled code of bundles from disk, before a request needs it, and their modules: of those used last, at most
    /// of `most` bundles and `budget` bytes of each. Returns whose modules and code are at hand.
    pub async fn recall(&self, bundles: HashSet<BundleHash>, most: usize, budget: usize) -> HashSet<BundleHash> {
        let pool = self.pool.clone();
        let recalled = off_thread(move || pool.recall(&bundles, most, budget)).await;
        let (mut used, mut at_hand) = (0, HashSet::new());
        for hash in recalled {
            // What is not there is named when it is needed.
            let Ok(bundle) = self.bundles.load(hash).await else { continue };
            used += size_of(&bundle);
            if used > budget as u64 {
                break;
            }
            at_hand.insert(hash);
        }
        tracing::debug!(bundles = at_hand.len(), bytes = self.pool.code_bytes(), "compiled code is at hand");
        at_hand
    }

    /// Where the compiled code of isolates that were started came from.
    pub fn code_starts(&self) -> CodeStarts {
        self.pool.code_starts()
    }

    /// How many bytes of compiled code are in memory.
    pub fn code_bytes(&self) -> usize {
        self.pool.code_bytes()
    }

    /// Deletes compiled code of bundles that are not `needed`.
    pub async fn sweep(&self, needed: HashSet<BundleHash>) {
        let pool = self.pool.clone();
        off_thread(move || pool.sweep(&needed)).await;
    }

    /// Ends idle isolates when there are as many as may live; a few at once, so that not every start has to look.
    fn make_room(&self) -> bool {
        if self.register.len() < self.max_live {
            return true;
        }
        let spare = (self.max_live / 32).max(1);
        self.evict(&Room { isolates: self.max_live - spare, ..self.room });
        self.register.len() < self.max_live
    }

    /// Ends what is idle too long or too large. To be called about once a second.
    pub fn tidy(&self) {
        self.evict(&self.room);
        let ceiling = evict::ceiling(self.ceiling, self.pool.losses().1 as u64);
        for id in evict::excess(&self.register.views(), ceiling) {
            tracing::warn!(id, "an isolate is stopped: all isolates together use too much memory");
            self.register.stop(id, "the node's isolates use too much memory together");
        }
        let resident = resident_memory();
        if let Some(usable) = self.usable.filter(|usable| resident > *usable) {
            // Who holds little is not what this is about; what was given back may take a while to leave the process.
            for id in evict::hogs(&self.register.views(), resident - usable, usable / 16) {
                tracing::warn!(id, resident, "an isolate is stopped: the process uses nearly all memory there is");
                self.register.stop(id, "the node has too little memory");
            }
        }
        let Some(ceiling) = self.rss else { return };
        if resident > ceiling {
            let used = self.register.views().iter().map(|view| view.memory).sum::<u64>();
            self.evict(&Room { memory: used.saturating_sub(resident - ceiling), ..self.room });
        }
    }

    fn evict(&self, room: &Room) {
        for (id, reason) in evict::plan(&self.register.views(), room) {
            tracing::debug!(id, reason = reason.as_str(), "isolate ends");
            self.register.release(id);
        }
    }

    /// Stops all isolates at once, and waits until they are gone.
    pub async fn stop_all(&self, reason: &str) {
        self.register.stop_all(reason).await;
    }
}

fn worker(version: &VersionEntry, bundle: Arc<Bundle>) -> Worker {
    Worker {
        app: version.app.clone(),
        version: version.number,
        bundle,
        hash: version.hash,
        env: version.env.clone(),
        limits: version.limits.for_isolate(),
        host: version.host.clone(),
    }
}

/// The same request once more, when sending it twice does no harm.
fn copy(event: &FetchEvent) -> Option<FetchEvent> {
    let safe = matches!(event.head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    (safe && matches!(event.body, Body::Empty)).then(|| without_body(event))
}
