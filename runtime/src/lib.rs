//! V8 isolates that run a bundle's `fetch` handler: snapshot, warm pool, module loading, limits.
//!
//! This crate knows nothing of HTTP servers or of the control plane. An [`Isolate`] is sent [`FetchEvent`]s and answers
//! with [`FetchResponse`]s; what its code asks of the world goes to the [`Host`] of its [`Worker`].

pub use atoll_web::event::*;

mod api {
    use std::sync::Arc;
    use std::time::Duration;

    use atoll_bundle::{Bundle, BundleHash};

    use super::*;

    /// How V8 is set up, once per process.
    #[derive(Clone, Debug, Default)]
    pub struct EngineOptions {}

    /// V8, initialised. Cheap to clone.
    #[derive(Clone, Debug)]
    pub struct Engine(());

    impl Engine {
        /// Initialises V8. Must be called on the main thread before any other thread exists (memory protection keys are
        /// inherited at thread creation), so before a tokio runtime is built. Later calls return the same engine.
        pub fn init(_options: EngineOptions) -> Self {
            unimplemented!()
        }
    }

    /// What one isolate and one request may use.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Limits {
        /// CPU time per request. Default 50 ms.
        pub cpu: Duration,
        /// CPU time to load and evaluate the modules. Default 400 ms.
        pub startup_cpu: Duration,
        /// Wall clock until the response's head, and for `waitUntil` after the response. Default 30 s.
        pub wall: Duration,
        /// V8 heap and off-heap memory together, bytes. Default 128 MiB.
        pub memory: usize,
        /// Outbound requests per request. Default 50.
        pub subrequests: u32,
        /// Outbound requests of one isolate under way at once; more wait. Default 6.
        pub connections: u32,
    }

    impl Default for Limits {
        fn default() -> Self {
            Self {
                cpu: Duration::from_millis(50),
                startup_cpu: Duration::from_millis(400),
                wall: Duration::from_secs(30),
                memory: 128 << 20,
                subrequests: 50,
                connections: 6,
            }
        }
    }

    /// What an isolate is to run.
    #[derive(Clone)]
    pub struct Worker {
        /// The app's name, for logs and stack traces.
        pub app: Arc<str>,
        /// The version's number.
        pub version: u64,
        /// Its code.
        pub bundle: Arc<Bundle>,
        /// The code's hash, under which compiled code is cached.
        pub hash: BundleHash,
        /// `env`.
        pub env: Environment,
        /// What it may use.
        pub limits: Limits,
        /// What it may ask of the world.
        pub host: Arc<dyn Host>,
    }

    /// The size of a [`Pool`].
    #[derive(Clone, Debug)]
    pub struct PoolOptions {
        /// Generic isolates kept restored and waiting. Default 8.
        pub warm: usize,
    }

    impl Default for PoolOptions {
        fn default() -> Self {
            Self { warm: 8 }
        }
    }

    /// Generic isolates restored from the snapshot that wait to be given a [`Worker`]. Cheap to clone.
    #[derive(Clone)]
    pub struct Pool(());

    impl Pool {
        /// Starts filling the pool in the background.
        pub fn new(_engine: &Engine, _options: PoolOptions) -> Self {
            unimplemented!()
        }

        /// How many isolates wait now.
        pub fn ready(&self) -> usize {
            unimplemented!()
        }

        /// Claims an isolate and gives it the worker, without waiting: events sent to the isolate queue until the code
        /// is evaluated, and all fail with the same error when it cannot be.
        pub fn start(&self, _worker: Worker) -> Isolate {
            unimplemented!()
        }
    }

    /// What an isolate is doing, for dispatch and eviction. Reading it is a few atomic loads.
    #[derive(Clone, Copy, Debug)]
    pub struct Load {
        /// Requests sent and not finished (response body and `waitUntil` included).
        pub in_flight: usize,
        /// Requests sent that the isolate has not begun with.
        pub queued: usize,
        /// How long the turn of JavaScript under way has taken (wall clock); `None` when none is.
        pub turn: Option<Duration>,
        /// The isolate takes no more requests: it was stopped, broke a limit or failed to start.
        pub stopped: bool,
        /// V8 heap and off-heap bytes, as of the last time it was measured (after a turn, at most every 100 ms).
        pub memory: usize,
        /// Since when `in_flight` is zero; `None` while it is not.
        pub idle: Option<Duration>,
    }

    /// A handle to an isolate that runs (or is about to run) one worker. Cheap to clone; when the last handle is
    /// dropped and the last request is finished, the isolate ends.
    #[derive(Clone)]
    pub struct Isolate(());

    impl Isolate {
        /// Sends a request. Dropping the future, or the answer's unfinished body, tells the handler that the client has
        /// gone (`request.signal` aborts).
        pub async fn fetch(&self, _event: FetchEvent) -> Result<FetchResponse, HandlerError> {
            unimplemented!()
        }

        /// Waits until the worker's code is evaluated, or says why it could not be.
        pub async fn started(&self) -> Result<(), HandlerError> {
            unimplemented!()
        }

        /// What it is doing.
        pub fn load(&self) -> Load {
            unimplemented!()
        }

        /// Stops it now: requests in flight fail with [`HandlerError::Stopped`].
        pub fn stop(&self, _reason: &str) {
            unimplemented!()
        }

        /// Waits until the isolate is gone and its memory returned.
        pub async fn ended(&self) {
            unimplemented!()
        }
    }
}
pub use api::*;
