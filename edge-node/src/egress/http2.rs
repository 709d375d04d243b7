//! HTTP/2 to origins (RFC 9113): a connection that carries any number of requests, their bodies both ways, and what an
//! origin says before its answer.
//!
//! h2 is used without hyper because hyper's client keeps interim answers over HTTP/2 to itself.

use std::future::poll_fn;
use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Ping, Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, LINK};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::failure::{Broken, Failure};
use super::pace::Sending;
use super::retry::Lost;
use crate::hints::Hints;

/// Requests under way on a connection.
const STREAMS: u32 = 128;
/// What an origin may send on a stream before it is read, bytes. Whatever is not read of others keeps nobody waiting: the
/// connection's window has room for that of each stream.
const WINDOW: u32 = 1 << 20;
/// Streams that were reset and are remembered for a second. What an origin had on its way for others by then counts as an
/// error of its, of which h2 takes no more than so many from a connection.
const RESET_STREAMS: usize = 1024;
/// What waits to be sent on a stream at most, bytes.
const SEND_BUFFER: usize = 1 << 20;
/// What a stream claims of its connection's window at once, bytes.
const PIECE: usize = 256 << 10;
/// The head of an answer, bytes, as HTTP/2 counts them.
const HEADER_LIST: u32 = 16 << 10;
/// An origin that owes something and says nothing for so long is asked whether it is there, and how long that may take.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

type Pings = (Duration, Duration);

/// A connection. Clones are one; it ends when there is none left and nothing under way.
#[derive(Clone)]
pub struct Http2 {
    sender: SendRequest<Bytes>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// It has ended.
    closed: AtomicBool,
    /// It was ended because the origin did not answer a ping.
    silent: AtomicBool,
    /// Requests under way, those that have a [`Slot`] included.
    open: AtomicUsize,
    /// Counts what comes.
    heard: AtomicU64,
}

impl Http2 {
    /// Begins to speak over a stream. The future beside it is the connection's, to be run until it ends.
    pub async fn open<S>(stream: S) -> Result<(Self, impl Future<Output = ()> + Send + use<S>), h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self::with_pings(stream, PING).await
    }

    async fn with_pings<S>(
        stream: S,
        pings: Pings,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<S>), h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_connection_window_size(STREAMS * WINDOW)
            .initial_window_size(WINDOW)
            .max_concurrent_reset_streams(RESET_STREAMS)
            .max_header_list_size(HEADER_LIST)
            .max_send_buffer_size(SEND_BUFFER);
        let (sender, connection) = builder.handshake(stream).await?;
        let shared = Arc::<Shared>::default();
        Ok((Self { sender, shared: shared.clone() }, run(connection, shared, pings)))
    }

    /// Whether it takes no more requests.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Requests under way.
    pub fn load(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// The right to one more request; `None` when there are as many as it carries, or as the origin takes at once, or it
    /// takes no more.
    pub fn slot(&self) -> Option<Slot> {
        // This clone has sent nothing that it could wait for.
        let ready = self.sender.clone().poll_ready(&mut Context::from_waker(Waker::noop()));
        if matches!(ready, Poll::Ready(Err(_))) {
            self.shared.closed.store(true, Ordering::Release);
        }
        if self.is_closed() {
            return None;
        }
        let most = self.sender.current_max_send_streams().min(STREAMS as usize);
        let one_more = |open| (open < most).then_some(open + 1);
        self.shared.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(self.counted())
    }

    /// The right to one more request, which waits while there are as many as the origin takes at once.
    pub fn crowded_slot(&self) -> Slot {
        self.shared.open.fetch_add(1, Ordering::Relaxed);
        self.counted()
    }

    fn counted(&self) -> Slot {
        Slot { connection: self.clone(), open: Arc::new(Open(self.shared.clone())) }
    }

    /// What became of a request that is not answered.
    fn broken(&self, error: h2::Error) -> Box<Broken> {
        let ended = error.get_io().map(std::io::Error::kind);
        let ended =
            ended.is_some_and(|kind| matches!(kind, BrokenPipe | ConnectionReset | ConnectionAborted | UnexpectedEof));
        // Refused, or beyond what a connection that is shutting down still answers (RFC 9113 §8.7).
        let refused = error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM));
        let lost = if ended || refused { Lost::Unanswered } else { Lost::Otherwise };
        let silent = self.shared.silent.load(Ordering::Acquire);
        let (failure, lost) = if silent { (Failure::Late, Lost::Otherwise) } else { (Failure::Http2(error), lost) };
        Box::new(Broken { failure, lost, unsent: None })
    }
}

/// The right to a request on a connection.
pub struct Slot {
    connection: Http2,
    open: Arc<Open>,
}

impl Slot {
    /// Sends a request and waits for the head of its answer; links of early hints are told on the way. Dropping the future,
    /// or the answer before its end, resets the stream.
    pub async fn send(
        &self,
        request: Request<Sending>,
        hints: Option<&Hints>,
    ) -> Result<Response<Arriving>, Box<Broken>> {
        let connection = &self.connection;
        let mut sender = match connection.sender.clone().ready().await {
            Ok(sender) => sender,
            Err(error) => {
                // It is shutting down: the next request finds another connection.
                connection.shared.closed.store(true, Ordering::Release);
                let unsent = Some(request);
                return Err(Box::new(Broken { failure: Failure::Http2(error), lost: Lost::Unsent, unsent }));
            }
        };
        let (mut parts, body) = request.into_parts();
        if let Some(length) = body.size_hint().exact().filter(|length| *length > 0 || says_empty(&parts.method)) {
            parts.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
        }
        let ends = body.is_end_stream();
        let (answer, to) =
            sender.send_request(Request::from_parts(parts, ()), ends).map_err(|error| connection.broken(error))?;
        let failed = Arc::<AtomicBool>::default();
        let mut sending = None;
        if !ends {
            let (failed, open) = (failed.clone(), self.open.clone());
            let mut upload = Box::pin(async move {
                upload(to, body, failed).await;
                drop(open);
            });
            // Most bodies are there and fit into the window.
            if futures::poll!(upload.as_mut()).is_pending() {
                sending = Some(AbortOnDropHandle::new(tokio::spawn(upload)));
            }
        }
        let answered = head(answer, hints).await.map_err(|error| match failed.load(Ordering::Acquire) {
            true => Box::new(Broken { failure: Failure::Body, lost: Lost::Otherwise, unsent: None }),
            false => connection.broken(error),
        });
        let (parts, stream) = answered?.into_parts();
        self.open.heard();
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let body = Arriving { stream: Some(stream), has_data: true, left: length, sending, open: self.open.clone() };
        Ok(Response::from_parts(parts, body))
    }
}

/// Whether a request without a body says that it has none (RFC 9110 §8.6).
fn says_empty(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::CONNECT)
}

/// Runs a connection to its end, which comes too when the origin owes an answer and does not answer a ping.
async fn run<S>(mut connection: Connection<S, Bytes>, shared: Arc<Shared>, (silence, answer): Pings)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut pings = connection.ping_pong();
    let (mut asked, mut heard) = (false, 0);
    let mut due = pin!(sleep(silence));
    loop {
        let pong = async {
            match &mut pings {
                Some(pings) if asked => poll_fn(|cx| pings.poll_pong(cx)).await.is_ok(),
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            // Whoever waits for an answer on it is told.
            _ = &mut connection => break,
            answered = pong => {
                // When it is not, the connection ends.
                asked &= !answered;
                due.as_mut().reset(Instant::now() + silence);
            }
            () = due.as_mut() => {
                if asked {
                    shared.silent.store(true, Ordering::Release);
                    break;
                }
                let before = std::mem::replace(&mut heard, shared.heard.load(Ordering::Relaxed));
                let owes = shared.open.load(Ordering::Relaxed) > 0 && before == heard;
                asked = owes && pings.as_mut().is_some_and(|pings| pings.send_ping(Ping::opaque()).is_ok());
                due.as_mut().reset(Instant::now() + if asked { answer } else { silence });
            }
        }
    }
    shared.closed.store(true, Ordering::Release);
}

/// The head of an answer, after what is told before it.
async fn head(mut answer: ResponseFuture, hints: Option<&Hints>) -> Result<Response<RecvStream>, h2::Error> {
    poll_fn(|cx| {
        // The answer is not asked for before it is there: asking drops interim answers that came meanwhile.
        while let Some(interim) = ready!(answer.poll_informational(cx)?) {
            if let Some(hints) = hints.filter(|_| interim.status() == StatusCode::EARLY_HINTS) {
                hints.tell(interim.headers().get_all(LINK));
            }
        }
        answer.poll_unpin(cx)
    })
    .await
}

/// Sends a body; says whether that failed, and not the origin. That it takes no more is no failure: its answer says why.
async fn upload(mut to: SendStream<Bytes>, mut body: Sending, failed: Arc<AtomicBool>) {
    loop {
        let frame = poll_fn(|cx| match to.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => Pin::new(&mut body).poll_frame(cx).map(Some),
        });
        let frame = match frame.await {
            Some(Some(Ok(frame))) => frame,
            Some(Some(Err(_))) => {
                failed.store(true, Ordering::Release);
                // Whoever waits for the answer is told by this.
                return to.send_reset(Reason::CANCEL);
            }
            Some(None) => {
                let _ = to.send_data(Bytes::new(), true);
                return;
            }
            None => return,
        };
        match frame.into_data() {
            Ok(data) => {
                let last = body.is_end_stream();
                if send_data(&mut to, data, last).await.is_none() || last {
                    return;
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    let _ = to.send_trailers(trailers);
                    return;
                }
            }
        }
    }
}

/// Sends a part of a body as the origin's windows allow; `None` when it takes no more.
async fn send_data(to: &mut SendStream<Bytes>, mut data: Bytes, last: bool) -> Option<()> {
    if data.is_empty() {
        return to.send_data(data, last).ok();
    }
    while !data.is_empty() {
        to.reserve_capacity(data.len().min(PIECE));
        while to.capacity() == 0 {
            let room = poll_fn(|cx| match to.poll_reset(cx) {
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending => to.poll_capacity(cx),
            });
            room.await?.ok()?;
        }
        let piece = data.split_to(to.capacity().min(data.len()));
        to.send_data(piece, last && data.is_empty()).ok()?;
    }
    Some(())
}

/// A request that is under way and counted, until nothing of it or its answer comes any more.
struct Open(Arc<Shared>);

impl Open {
    fn heard(&self) {
        self.0.heard.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer. h2 has checked that it is as long as `Content-Length` says.
pub struct Arriving {
    /// None when all has come.
    stream: Option<RecvStream>,
    has_data: bool,
    /// What is left of it, when its length is known.
    left: Option<u64>,
    /// The rest of the request, which ends with an answer that is given up.
    sending: Option<AbortOnDropHandle<()>>,
    open: Arc<Open>,
}

impl Arriving {
    fn end(&mut self) {
        self.stream = None;
        if let Some(sending) = self.sending.take() {
            // An origin may answer before it has read everything.
            drop(sending.detach());
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        if self.has_data {
            if let Some(data) = ready!(stream.poll_data(cx)?) {
                // It fails only if more is given back than there was.
                let _ = stream.flow_control().release_capacity(data.len());
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                self.open.heard();
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            self.has_data = false;
        }
        let trailers = ready!(stream.poll_trailers(cx)?);
        self.end();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = &mut *self;
        let next = ready!(this.poll_next(cx));
        let Some(Err(error)) = &next else { return Poll::Ready(next) };
        // An origin that has answered in full and wants no more of the request says so like this (RFC 9113 §8.1). It also
        // takes back what it has begun, which must not pass for the whole.
        let complete = match error.reason() {
            Some(Reason::NO_ERROR) => this.left.is_none_or(|left| left == 0),
            _ => this.left == Some(0),
        };
        this.stream = None;
        this.sending = None;
        Poll::Ready(if complete { None } else { next })
    }

    fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.is_end_stream() => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
#[path = "http2_tests.rs"]
mod tests;
