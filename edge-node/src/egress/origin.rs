//! One origin as one app sees it: its connections, how many there may be, and its circuit breaker.
//!
//! HTTP/1 connections carry one request at a time: the right to use one is a permit, which a request waits for when all
//! are taken. An HTTP/2 connection has one permit and carries as many requests as it and the origin allow; there is another
//! only when those there are carry as many.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header::{CONNECTION, HOST, LINK, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::ext::on_informational;
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tower::Service;

use super::breaker::{Breaker, BreakerSettings};
use super::connector::{ConnectError, Connector};
use super::failure::{Broken, Failure};
use super::http2::{Http2, Slot};
use super::pace::{Arriving, Progress, Sending};
use super::retry::{self, Lost, Sent};
use crate::body::Outgoing;
use crate::hints::Hints;

/// A connection that nobody has used for so long is closed.
const IDLE: Duration = Duration::from_secs(30);
/// The failures of an origin that nobody asks any more are forgotten so long after the breaker's pause.
const MEMORY: Duration = Duration::from_secs(600);
/// Fields of an answer.
const MOST_HEADERS: usize = 200;

/// How an origin is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Speaks {
    /// What TLS agrees on; HTTP/1.1 without TLS.
    #[default]
    Negotiated,
    /// HTTP/1.1, whatever the origin offers.
    Http1,
    /// HTTP/2, without TLS too (RFC 9113 §3.3).
    Http2,
}

/// What an origin may take.
#[derive(Clone, Copy, Debug)]
pub struct OriginSettings {
    /// Connections at once.
    pub connections: usize,
    /// Requests that wait for one.
    pub queue: usize,
    /// How long they wait, and how long connecting may take.
    pub connect: Duration,
    /// When it is left alone.
    pub breaker: BreakerSettings,
}

/// Where an origin is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host and port.
    pub authority: Authority,
    /// How it is spoken to.
    pub speaks: Speaks,
}

impl Place {
    /// Its root.
    pub fn uri(&self) -> Result<Uri, ConnectError> {
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(self.scheme.clone());
        uri.authority = Some(self.authority.clone());
        uri.path_and_query = Some(PathAndQuery::from_static("/"));
        Uri::from_parts(uri).map_err(|_| ConnectError::Url(format!("{}://{}", self.scheme, self.authority)))
    }
}

/// One request, however it is sent.
pub struct Head {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: PathAndQuery,
    /// What `Host` or `:authority` say.
    pub host: Authority,
    /// All other fields.
    pub headers: HeaderMap,
    /// Who is told of the links in its early hints.
    pub hints: Option<Hints>,
}

/// Connections and memory of one origin.
pub struct Origin {
    place: Place,
    settings: OriginSettings,
    connector: Connector,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Held while an HTTP/2 connection is opened.
    opening: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

struct State {
    idle: Vec<(http1::SendRequest<Sending>, Instant)>,
    /// With the time of their last request.
    http2: Vec<(Http2, Instant)>,
    speaks_http2: bool,
    breaker: Breaker,
    used: Instant,
}

/// A connection that takes a request.
enum Line {
    Http1(http1::SendRequest<Sending>, OwnedSemaphorePermit),
    Http2(Slot),
}

/// Counts for the breaker unless it says what became of its request.
struct Attempt<'a>(Option<&'a Origin>);

impl Attempt<'_> {
    fn ended(mut self, result: Result<(), &Failure>) {
        let Some(origin) = self.0.take() else { return };
        let mut state = origin.state();
        match result {
            Ok(()) => state.breaker.succeeded(),
            Err(failure) if !failure.is_origins() => state.breaker.abandoned(Instant::now()),
            Err(failure) => {
                if state.breaker.failed(Instant::now(), &origin.settings.breaker) {
                    tracing::warn!(origin = %origin.place.authority, %failure, "the origin is left alone for a while");
                }
            }
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(origin) = self.0 {
            origin.state().breaker.abandoned(Instant::now());
        }
    }
}

impl Origin {
    /// An origin without connections.
    pub fn new(place: Place, settings: OriginSettings, connector: Connector) -> Self {
        let state = State {
            idle: Vec::new(),
            http2: Vec::new(),
            speaks_http2: false,
            breaker: Breaker::default(),
            used: Instant::now(),
        };
        Self {
            place,
            settings,
            connector,
            permits: Arc::new(Semaphore::new(settings.connections)),
            waiting: AtomicUsize::new(0),
            opening: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
        }
    }

    /// Sends one request, on another connection once more where [that is safe](retry), and waits for the head of the
    /// answer: `patience` at most after the request was sent.
    pub async fn send(
        self: &Arc<Self>,
        head: Head,
        body: Outgoing,
        patience: Duration,
    ) -> Result<Response<Arriving>, Failure> {
        if !self.state().breaker.admit(Instant::now()) {
            return Err(Failure::Open);
        }
        let attempt = Attempt(Some(self));
        let result = self.exchange(head, body, patience).await;
        attempt.ended(result.as_ref().map(|_| ()));
        result
    }

    /// Sends one request that asks for another protocol, on a connection of its own that `connector` opens, and waits for
    /// the head of the answer: `patience` at most. The connection counts as one of the origin's until it has ended and
    /// what is given beside the answer is dropped.
    pub async fn upgrade(
        &self,
        connector: Connector,
        request: Request<Outgoing>,
        patience: Duration,
    ) -> Result<(Response<Incoming>, Arc<OwnedSemaphorePermit>), Failure> {
        if !self.state().breaker.admit(Instant::now()) {
            return Err(Failure::Open);
        }
        let attempt = Attempt(Some(self));
        let result = self.ask_upgrade(connector, request, patience).await;
        attempt.ended(result.as_ref().map(|_| ()));
        result
    }

    async fn ask_upgrade(
        &self,
        mut connector: Connector,
        request: Request<Outgoing>,
        patience: Duration,
    ) -> Result<(Response<Incoming>, Arc<OwnedSemaphorePermit>), Failure> {
        self.state().used = Instant::now();
        let permit = Arc::new(self.permit().await?);
        let stream = connector.call(self.place.uri()?).await?;
        let mut builder = http1::Builder::new();
        builder.max_headers(MOST_HEADERS);
        let (mut sender, connection) = builder.handshake(stream).await.map_err(Failure::Http)?;
        let held = permit.clone();
        tokio::spawn(async move {
            // It ends when it becomes something else, or the answer was read or dropped.
            let _ = connection.with_upgrades().await;
            drop(held);
        });
        let answered = timeout(patience, sender.send_request(request)).await;
        Ok((answered.map_err(|_| Failure::Late)?.map_err(Failure::Http)?, permit))
    }

    async fn exchange(
        self: &Arc<Self>,
        mut head: Head,
        body: Outgoing,
        patience: Duration,
    ) -> Result<Response<Arriving>, Failure> {
        let has_body = !http_body::Body::is_end_stream(&body);
        let progress = Progress::new();
        let mut body = Some(Sending::new(body, progress.clone()));
        let mut retries = 0;
        loop {
            let (mut line, reused) = self.line().await?;
            let sent = Sent { method: &head.method, has_body, reused, retries };
            let spare = retry::again(Lost::Unanswered, sent).then(|| head.headers.clone());
            let content = body.take().unwrap_or_else(|| Sending::new(Outgoing::empty(), progress.clone()));
            let request = self.request(&line, &mut head, content);
            let answered = progress.until(patience, line.send(request, head.hints.as_ref())).await;
            let broken = match answered {
                None => return Err(Failure::Late),
                Some(Ok(response)) => {
                    self.keep(line);
                    return Ok(response);
                }
                Some(Err(broken)) => broken,
            };
            drop(line);
            let Broken { failure, lost, unsent } = *broken;
            let sent = Sent { method: &head.method, has_body, reused, retries };
            if !retry::again(lost, sent) {
                return Err(failure);
            }
            match (unsent, spare) {
                (Some(request), _) => {
                    let (parts, content) = request.into_parts();
                    head.headers = parts.headers;
                    body = Some(content);
                }
                (None, Some(headers)) => head.headers = headers,
                (None, None) => return Err(failure),
            }
            retries += 1;
        }
    }

    /// The request as its connection's version of HTTP has it. What is added for the one does no harm in the other.
    fn request(&self, line: &Line, head: &mut Head, body: Sending) -> Request<Sending> {
        let mut headers = std::mem::take(&mut head.headers);
        let mut request = Request::new(body);
        *request.method_mut() = head.method.clone();
        match line {
            Line::Http1(..) => {
                *request.uri_mut() = Uri::from(head.target.clone());
                if let Ok(host) = HeaderValue::from_str(head.host.as_str()) {
                    headers.insert(HOST, host);
                }
                if let Some(hints) = head.hints.clone() {
                    on_informational(&mut request, move |interim| {
                        if interim.status() == StatusCode::EARLY_HINTS {
                            hints.tell(interim.headers().get_all(LINK));
                        }
                    });
                }
                // RFC 9110 §10.1.4.
                if headers.contains_key(TE) {
                    headers.insert(CONNECTION, HeaderValue::from_static("te"));
                }
            }
            Line::Http2(_) => {
                *request.version_mut() = Version::HTTP_2;
                headers.remove(HOST);
                headers.remove(CONNECTION);
                let mut parts = http::uri::Parts::default();
                parts.scheme = Some(self.place.scheme.clone());
                parts.authority = Some(head.host.clone());
                parts.path_and_query = Some(head.target.clone());
                if let Ok(uri) = Uri::from_parts(parts) {
                    *request.uri_mut() = uri;
                }
            }
        }
        *request.headers_mut() = headers;
        request
    }

    /// A connection, and whether it has carried a request before.
    async fn line(&self) -> Result<(Line, bool), Failure> {
        if let Some(slot) = self.http2() {
            return Ok((Line::Http2(slot), true));
        }
        // Where one connection is enough, the others wait for it.
        let shares = self.place.speaks == Speaks::Http2 || self.state().speaks_http2;
        let opening = match shares {
            true => timeout(self.settings.connect, self.opening.lock()).await.map(Some),
            false => Ok(None),
        };
        if let Some(slot) = self.http2() {
            return Ok((Line::Http2(slot), true));
        }
        if (opening.is_err() || self.permits.available_permits() == 0)
            && let Some(slot) = self.crowded()
        {
            return Ok((Line::Http2(slot), true));
        }
        let _opening = opening.map_err(|_| ConnectError::Timeout(self.place.authority.host().to_owned()))?;
        let permit = self.permit().await?;
        if let Some(slot) = self.http2() {
            return Ok((Line::Http2(slot), true));
        }
        if let Some(sender) = self.idle() {
            return Ok((Line::Http1(sender, permit), true));
        }
        match self.open(permit).await {
            Ok(line) => Ok((line, false)),
            // An origin need not take as many connections as there may be.
            Err(failure) => self.crowded().map(|slot| (Line::Http2(slot), true)).ok_or(failure),
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let place = InQueue::new(&self.waiting);
        if place.before >= self.settings.queue {
            return Err(Failure::Busy);
        }
        match timeout(self.settings.connect, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Failure::Busy),
        }
    }

    async fn open(&self, permit: OwnedSemaphorePermit) -> Result<Line, Failure> {
        let stream = self.connector.clone().call(self.place.uri()?).await?;
        if stream.speaks_http2() || self.place.speaks == Speaks::Http2 {
            let (connection, running) = Http2::open(TokioIo::new(stream)).await.map_err(Failure::Http2)?;
            tokio::spawn(async move {
                running.await;
                drop(permit);
            });
            let slot = connection.crowded_slot();
            let mut state = self.state();
            state.http2.push((connection, Instant::now()));
            state.speaks_http2 = true;
            return Ok(Line::Http2(slot));
        }
        let mut builder = http1::Builder::new();
        builder.max_headers(MOST_HEADERS);
        let (sender, connection) = builder.handshake(stream).await.map_err(Failure::Http)?;
        tokio::spawn(connection);
        Ok(Line::Http1(sender, permit))
    }

    /// A place on the first connection that has one, so that those there need not be are not used.
    fn http2(&self) -> Option<Slot> {
        let (mut state, now) = (self.state(), Instant::now());
        state.used = now;
        let slot = state.http2.iter_mut().find_map(|(connection, used)| {
            let slot = connection.slot()?;
            *used = now;
            Some(slot)
        });
        state.http2.retain(|(connection, _)| !connection.is_closed());
        slot
    }

    /// A place on the connection that has the fewest requests, be they as many as there may be.
    fn crowded(&self) -> Option<Slot> {
        let state = self.state();
        let open = state.http2.iter().filter(|(connection, _)| !connection.is_closed());
        open.min_by_key(|(connection, _)| connection.load()).map(|(connection, _)| connection.crowded_slot())
    }

    fn idle(&self) -> Option<http1::SendRequest<Sending>> {
        let mut state = self.state();
        // The one used last is the least likely to have been closed.
        while let Some((sender, since)) = state.idle.pop() {
            if sender.is_ready() && since.elapsed() < IDLE {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps a connection for the next request, as soon as the answer was read to its end.
    fn keep(self: &Arc<Self>, line: Line) {
        let Line::Http1(mut sender, permit) = line else { return };
        let origin = self.clone();
        tokio::spawn(async move {
            if sender.ready().await.is_ok() {
                origin.state().idle.push((sender, Instant::now()));
            }
            drop(permit);
        });
    }

    /// Closes connections that nobody uses. Says whether anything of the origin is worth remembering.
    pub fn tidy(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.idle.retain(|(sender, since)| !sender.is_closed() && now.saturating_duration_since(*since) < IDLE);
        let unused = now.saturating_duration_since(state.used);
        state.http2.retain(|(connection, used)| {
            !connection.is_closed() && (connection.load() > 0 || now.saturating_duration_since(*used) < IDLE)
        });
        let has_failed = !state.breaker.is_clear() && unused < self.settings.breaker.pause + MEMORY;
        unused < IDLE
            || has_failed
            || !state.idle.is_empty()
            || self.permits.available_permits() < self.settings.connections
    }

    /// The name or address of its host.
    pub fn host(&self) -> &str {
        self.place.authority.host()
    }

    /// When a connection was last asked for.
    pub fn used(&self) -> Instant {
        self.state().used
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    async fn send(
        &mut self,
        request: Request<Sending>,
        hints: Option<&Hints>,
    ) -> Result<Response<Arriving>, Box<Broken>> {
        match self {
            Self::Http1(sender, _) => Ok(sender.try_send_request(request).await?.map(Arriving::Http1)),
            Self::Http2(slot) => Ok(slot.send(request, hints).await?.map(Arriving::Http2)),
        }
    }
}

/// A place among those who wait.
struct InQueue<'a> {
    waiting: &'a AtomicUsize,
    before: usize,
}

impl<'a> InQueue<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        Self { waiting, before: waiting.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for InQueue<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_forgotten_in_the_end() {
        let breaker = BreakerSettings { failures: 2, pause: Duration::from_secs(5) };
        let settings = OriginSettings { connections: 1, queue: 1, connect: Duration::from_secs(1), breaker };
        let place = Place {
            scheme: Scheme::HTTP,
            authority: Authority::from_static("host.example"),
            speaks: Speaks::Negotiated,
        };
        let origin = Origin::new(place, settings, Connector::to_everything(settings.connect));
        let start = origin.used();
        assert!(origin.tidy(start));
        assert!(!origin.tidy(start + IDLE), "nothing is worth remembering");
        assert!(!origin.state().breaker.failed(start, &breaker));
        assert!(origin.tidy(start + IDLE));
        assert!(origin.state().breaker.failed(start, &breaker));
        assert!(origin.tidy(start + MEMORY));
        assert!(!origin.tidy(start + MEMORY + breaker.pause));
    }
}
