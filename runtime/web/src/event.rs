//! The messages that cross the boundary of an isolate: what it is sent, what it answers, what it asks of the world.
//!
//! Nothing of an HTTP server, of TLS or of the control plane crosses it, so that an isolate's host can live on another
//! thread today and in another process later without a change to either side.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

pub use crate::caches::{CacheRequest, CachedResponse};
pub use crate::calls::{Call, Calls, LONGEST_CALL, ServiceEvent, ServiceRequest, THROWN, Work};
use crate::socket::Socket;

/// Why a body ended before its end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BodyError {
    /// The other side went away.
    #[error("the connection closed before the body was complete")]
    Closed,
    /// The body passed a limit, in bytes.
    #[error("the body is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The producer of the body failed: a stream that errored, an isolate that was stopped.
    #[error("{0}")]
    Failed(String),
}

/// A stream of chunks. Polling it is the back-pressure: a chunk is produced when the consumer asks.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// The trailer section of a body (RFC 9110 §6.5): fields that are known when its last chunk was taken. Clones are the same
/// trailers. Code in the isolate never sees them; they go along with a body that is passed on unread.
#[derive(Clone, Debug, Default)]
pub struct Trailers(Option<Arc<OnceLock<HeaderMap>>>);

impl Trailers {
    /// Trailers that may still come.
    pub fn awaited() -> Self {
        Self(Some(Arc::default()))
    }

    /// They have come. What was never awaited is dropped.
    pub fn set(&self, fields: HeaderMap) {
        if let Some(trailers) = &self.0 {
            // There is one trailer section only.
            let _ = trailers.set(fields);
        }
    }

    /// The fields, when there are any and they have come.
    pub fn get(&self) -> Option<&HeaderMap> {
        self.0.as_ref()?.get()
    }
}

/// A message body, in either direction.
pub enum Body {
    /// No body, as of a GET request or a 204 response: `request.body` is `null`.
    Empty,
    /// The whole body at once.
    Full(Bytes),
    /// Chunks as they come.
    Stream {
        /// The chunks.
        stream: BodyStream,
        /// The total length in bytes when it is known in advance (`Content-Length`).
        length: Option<u64>,
        /// What comes after the last chunk.
        trailers: Trailers,
    },
    /// No body but the connection itself, after a response with the status 101: one end of a WebSocket.
    Socket(Socket),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream { length, .. } => write!(f, "Stream({length:?})"),
            Self::Socket(socket) => write!(f, "{socket:?}"),
        }
    }
}

/// What a request is but for its body.
#[derive(Clone, Debug, Default)]
pub struct FetchHead {
    /// The request method.
    pub method: Method,
    /// The absolute URL as the client addressed it, for example `http://hello.localhost:8080/a?b`.
    pub url: String,
    /// Request headers without hop-by-hop fields.
    pub headers: HeaderMap,
    /// More of them, the same for many requests. None of their names is among `headers`.
    pub added: Option<Fields>,
    /// Identifies the request in logs (`Atoll-Request-Id`, access log, `tail`).
    pub request_id: RequestId,
    /// `request.cf`: what the node knows of the client, as a JSON object in text form; `None` leaves it undefined.
    pub cf: Option<Arc<str>>,
}

/// Identifies a request in logs.
#[derive(Clone, Debug)]
pub enum RequestId {
    /// Written with 16 hexadecimal digits.
    Number(u64),
    /// As it is.
    Text(Box<str>),
}

impl Default for RequestId {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl From<&str> for RequestId {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for RequestId {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number:016x}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Header fields that several requests share.
pub type Fields = Arc<[(HeaderName, HeaderValue)]>;

impl FetchHead {
    /// All header fields.
    pub fn fields(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let added = self.added.iter().flat_map(|added| added.iter().map(|(name, value)| (name, value)));
        self.headers.iter().chain(added)
    }

    /// All header fields in one map.
    pub fn all_headers(&mut self) -> &mut HeaderMap {
        for (name, value) in self.added.take().iter().flat_map(|added| added.iter()) {
            self.headers.append(name, value.clone());
        }
        &mut self.headers
    }
}

/// A request for the app's `fetch` handler.
#[derive(Debug)]
pub struct FetchEvent {
    /// All but the body; shared with whoever may have to send it once more.
    pub head: Arc<FetchHead>,
    /// The request body.
    pub body: Body,
}

/// A timer's event for the app's `scheduled` handler.
#[derive(Clone, Debug)]
pub struct ScheduledEvent {
    /// The cron expression that is due, as the project file has it.
    pub cron: String,
    /// The time it was due, in milliseconds since the Unix epoch.
    pub scheduled_ms: f64,
    /// Identifies the event in logs.
    pub request_id: String,
}

/// What became of a [`ScheduledEvent`] whose handler has not failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduledOutcome {
    /// The handler has called `controller.noRetry()`.
    pub no_retry: bool,
}

/// What an isolate handles.
#[derive(Debug)]
pub enum Event {
    /// A request.
    Fetch(FetchEvent),
    /// A timer.
    Scheduled(ScheduledEvent),
    /// Work that another worker has for an entrypoint of this one.
    Service(Box<ServiceEvent>),
}

impl From<FetchEvent> for Event {
    fn from(event: FetchEvent) -> Self {
        Self::Fetch(event)
    }
}

impl From<ScheduledEvent> for Event {
    fn from(event: ScheduledEvent) -> Self {
        Self::Scheduled(event)
    }
}

impl From<ServiceEvent> for Event {
    fn from(event: ServiceEvent) -> Self {
        Self::Service(Box::new(event))
    }
}

impl FetchEvent {
    /// A request that asks for nothing: what stands in the place of one for other events.
    pub(crate) fn nothing(request_id: &str) -> Self {
        Self::new(FetchHead { request_id: request_id.into(), ..FetchHead::default() }, Body::Empty)
    }

    /// A request.
    pub fn new(head: FetchHead, body: Body) -> Self {
        Self { head: Arc::new(head), body }
    }

    /// The head, to be changed. It is copied first where it is shared.
    pub fn head_mut(&mut self) -> &mut FetchHead {
        Arc::make_mut(&mut self.head)
    }
}

/// A handler's answer.
#[derive(Debug)]
pub struct FetchResponse {
    /// The status: 200 to 599, or 101 when the body is a [`Body::Socket`].
    pub status: StatusCode,
    /// Response headers; `Content-Length` and `Transfer-Encoding` are the listener's business.
    pub headers: HeaderMap,
    /// The response body. Dropping an unfinished stream tells the isolate that the client has gone.
    pub body: Body,
}

/// What a message says of the start's share of a request's CPU time.
fn from_start(ms: u64) -> String {
    match ms {
        0 => String::new(),
        ms => format!(", and the {ms} ms that its start had left"),
    }
}

/// Why a handler gave no answer. Each has its own HTTP status, a stable code for the `Atoll-Error` header, logs and
/// metrics, and a message for the app's owner.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HandlerError {
    /// The handler threw, or its promise was rejected.
    #[error("the handler threw an exception: {message}")]
    Exception {
        /// `String(exception)`.
        message: String,
        /// The stack with positions mapped through source maps, empty when the thrown value had none.
        stack: String,
        /// `ctx.passThroughOnException()` was called: answer from the origin when the app has one.
        pass_through: bool,
    },
    /// The handler returned something that is not a `Response`, or used the response's body before.
    #[error("the handler did not return a usable Response: {0}")]
    InvalidResponse(String),
    /// The worker only adds listeners for events, and none called `event.respondWith(response)`: answer from the origin
    /// when the app has one.
    #[error(
        "no listener of the fetch event called event.respondWith(response), and no origin can answer: that takes `origin` in the project file, and a request whose body the code has not begun to read, unless it was announced as at most 8 KiB"
    )]
    Unanswered,
    /// Nothing the handler waits for can happen any more: its promise will never settle.
    #[error("the handler's promise can never settle: it waits for nothing that is still under way")]
    Hung,
    /// The code could not be loaded: a syntax error, a missing export, an import that does not resolve, an exception at
    /// the top level.
    #[error("the worker failed to start: {message}")]
    Startup {
        /// What went wrong.
        message: String,
        /// Stack or position, empty when there is none.
        stack: String,
    },
    /// Evaluating the modules took more CPU than allowed.
    #[error("the worker used more than its {limit_ms} ms of CPU time to start")]
    StartupCpuLimit {
        /// The limit in milliseconds.
        limit_ms: u64,
    },
    /// The request used more CPU than allowed.
    #[error("the worker used more than its {limit_ms} ms of CPU time for one request{}", from_start(*start_ms))]
    CpuLimit {
        /// The limit in milliseconds.
        limit_ms: u64,
        /// What the start of the isolate had left of its own limit for this request, milliseconds.
        start_ms: u64,
    },
    /// The isolate used more memory than allowed: V8 heap and off-heap buffers together.
    #[error("the worker used more than its {limit_mb} MB of memory")]
    MemoryLimit {
        /// The limit in MiB.
        limit_mb: u64,
    },
    /// The code made the engine abort, by a hole of the engine's; the isolate is lost.
    #[error("the worker's code made the JavaScript engine abort")]
    EngineAbort,
    /// Code of the app goes on after its limit where nothing can interrupt it, or was stopped there for good, in as many
    /// isolates as an app may lose that way.
    #[error(
        "code of this app runs where it cannot be interrupted, in a built-in function that was given a huge length; no isolate is started for it now"
    )]
    CodeStuck,
    /// No response within the wall-clock limit.
    #[error("the worker did not answer within {limit_ms} ms")]
    WallClock {
        /// The limit in milliseconds.
        limit_ms: u64,
    },
    /// The isolate was stopped while this request was in flight, through no fault of the request: another request broke
    /// a limit, or the node is shutting down.
    #[error("the worker was stopped while it handled this request: {0}")]
    Stopped(String),
}

impl HandlerError {
    /// A stable word for headers, logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exception { .. } => "handler-exception",
            Self::InvalidResponse(_) => "handler-invalid-response",
            Self::Unanswered => "handler-unanswered",
            Self::Hung => "handler-hung",
            Self::Startup { .. } => "startup-failed",
            Self::StartupCpuLimit { .. } => "startup-cpu-limit",
            Self::CpuLimit { .. } => "cpu-limit",
            Self::MemoryLimit { .. } => "memory-limit",
            Self::EngineAbort => "engine-abort",
            Self::CodeStuck => "code-stuck",
            Self::WallClock { .. } => "wall-clock-limit",
            Self::Stopped(_) => "isolate-stopped",
        }
    }

    /// The status a client sees: 500 for faults of the code, 503 for limits and stops, 504 for time.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Exception { .. }
            | Self::InvalidResponse(_)
            | Self::Unanswered
            | Self::Hung
            | Self::Startup { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::WallClock { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::StartupCpuLimit { .. }
            | Self::CpuLimit { .. }
            | Self::MemoryLimit { .. }
            | Self::EngineAbort
            | Self::CodeStuck
            | Self::Stopped(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// One hop of an outbound `fetch`: redirects are followed by the isolate's own code, each hop is a request of its own.
#[derive(Debug)]
pub struct OutboundRequest {
    /// The method.
    pub method: Method,
    /// Absolute `http:` or `https:` URL without a fragment.
    pub url: url::Url,
    /// Headers as the handler set them; the host adds `Host`, `CDN-Loop`, framing. `Upgrade: websocket` asks for a
    /// WebSocket; the host makes the handshake (RFC 6455 §4.1), and its [`Body::Socket`] is the answer to a successful one.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

/// The answer to an [`OutboundRequest`].
#[derive(Debug)]
pub struct OutboundResponse {
    /// The status.
    pub status: StatusCode,
    /// Headers as received, without hop-by-hop fields.
    pub headers: HeaderMap,
    /// The body as received (content codings are decoded by the isolate's own code).
    pub body: Body,
}

/// Why an outbound request failed; becomes a `TypeError` in the handler with this message.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct FetchFailure {
    /// A stable word for logs and metrics, for example `address-forbidden`, `dns`, `connect`, `tls`, `subrequest-limit`.
    pub code: &'static str,
    /// For the app's owner; names the host, never an internal address.
    pub message: String,
}

/// How grave a log line is; the `console` method it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// `console.debug`, `console.trace`.
    Debug,
    /// `console.log`, `console.dir`, `console.table`, …
    Log,
    /// `console.info`.
    Info,
    /// `console.warn`.
    Warn,
    /// `console.error`, `console.assert`; exceptions nobody caught; limits that were passed.
    Error,
}

impl LogLevel {
    /// The word used in log records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Log => "log",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A line for the app's log.
#[derive(Clone, Debug)]
pub struct LogRecord {
    /// How grave it is.
    pub level: LogLevel,
    /// The text, formatted as the console would print it, at most 16 KiB.
    pub message: String,
    /// The request it belongs to, when it is known.
    pub request_id: Option<String>,
}

/// What an isolate may ask of the world; one host object per app version on a node. Futures are polled on the isolate's
/// thread and must not block it: an implementation spawns work on its own runtime.
pub trait Host: Send + Sync + 'static {
    /// Sends one outbound request under the node's egress policy.
    fn fetch(&self, request: OutboundRequest) -> BoxFuture<'static, Result<OutboundResponse, FetchFailure>>;

    /// `fetch` of the binding of the app's static files. A host without any fails.
    fn assets_fetch(&self, request: OutboundRequest) -> BoxFuture<'static, Result<OutboundResponse, FetchFailure>> {
        drop(request);
        let message = "there are no static files here".to_owned();
        Box::pin(std::future::ready(Err(FetchFailure { code: "asset-unavailable", message })))
    }

    /// Takes a line for the app's log. Must return at once.
    fn log(&self, record: LogRecord);

    /// Has another worker of this node, or this one, do some work; its answer is a response. What it threw is a failure
    /// with the code `handler-exception`. A host without other workers knows none.
    fn call(&self, request: ServiceRequest) -> BoxFuture<'static, Result<OutboundResponse, FetchFailure>> {
        let message = format!("there is no service {:?} here", request.service);
        Box::pin(std::future::ready(Err(FetchFailure { code: "service-not-found", message })))
    }

    /// `cache.match`: what one of the app's caches holds for a request, `None` when it holds nothing that is fresh. The
    /// host answers conditions (304) and ranges (206, 416) in the request's headers. A host without a store holds
    /// nothing.
    fn cache_match(&self, request: CacheRequest) -> BoxFuture<'static, Result<Option<CachedResponse>, FetchFailure>> {
        drop(request);
        Box::pin(std::future::ready(Ok(None)))
    }

    /// `cache.put`: gives one of the app's caches a response to keep. The host decides by its headers whether and for
    /// how long it is kept; that it is not kept is no error.
    fn cache_put(
        &self,
        request: CacheRequest,
        response: CachedResponse,
    ) -> BoxFuture<'static, Result<(), FetchFailure>> {
        drop((request, response));
        Box::pin(std::future::ready(Ok(())))
    }

    /// `cache.delete`: forgets what one of the app's caches holds for a URL, and says whether there was something.
    fn cache_delete(&self, request: CacheRequest) -> BoxFuture<'static, Result<bool, FetchFailure>> {
        drop(request);
        Box::pin(std::future::ready(Ok(false)))
    }
}

/// A value in `env`.
#[derive(Clone, PartialEq, Eq)]
pub enum Binding {
    /// A string from `vars`.
    Text(String),
    /// Any JSON value from `vars`, in text form.
    Json(String),
    /// A secret: a string that never appears in logs or debug output.
    Secret(String),
    /// Another app of the platform, or the same.
    Service {
        /// Its name.
        service: String,
        /// The entrypoint, `default` when the project file names none.
        entrypoint: String,
    },
    /// The app's static files: an object with `fetch`, answered by [`Host::assets_fetch`].
    Assets,
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({text:?})"),
            Self::Json(json) => write!(f, "Json({json})"),
            Self::Secret(_) => f.write_str("Secret(…)"),
            Self::Service { service, entrypoint } => write!(f, "Service({service}, {entrypoint})"),
            Self::Assets => f.write_str("Assets"),
        }
    }
}

/// `env`: names and values, sorted by name.
pub type Environment = Arc<[(String, Binding)]>;
