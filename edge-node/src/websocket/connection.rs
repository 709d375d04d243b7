//! One connection that carries frames, between a byte stream and one end of a [`Socket`].
//!
//! Two loops share it: one reads frames and gives messages to the isolate no faster than it takes them, the other writes
//! what the isolate sends, answers pings and keeps the time. Whichever ends first says how the connection ends.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use atoll_runtime::{Close, Hold, Message, Received, Socket};
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::frame::{Decoder, Encoder, Event, Role};
use super::memory::{AppMemory, Taken};

/// What is read at once while little comes, and while much does; bytes.
const READ: (usize, usize) = (4 << 10, 64 << 10);
/// Frames are gathered up to this before they are written, bytes.
const GATHER: usize = 64 << 10;

/// What holds for connections.
#[derive(Clone)]
pub struct Settings {
    /// The longest message that is taken, bytes.
    pub message_bytes: usize,
    /// After this long without anything from the other side it gets a ping, after twice as long it counts as dead.
    pub ping: Duration,
    /// After this long without a message in either direction the connection is closed.
    pub idle: Duration,
    /// For the other side to answer a close, and to take the last bytes.
    pub close: Duration,
    /// What messages may hold before isolates take them.
    pub memory: AppMemory,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// In order.
    Closed,
    /// The byte stream ended without a close, or the close was not answered.
    Lost,
    /// The other side broke the protocol or a limit.
    Refused,
    /// The other side did not answer a ping, or did not read.
    Unresponsive,
    /// The isolate's end was gone.
    Abandoned,
}

impl Ended {
    /// The word in the access log; `None` for an orderly end.
    pub fn code(self) -> Option<&'static str> {
        match self {
            Self::Closed => None,
            Self::Lost => Some("websocket-lost"),
            Self::Refused => Some("websocket-refused"),
            Self::Unresponsive => Some("websocket-unresponsive"),
            Self::Abandoned => Some("websocket-abandoned"),
        }
    }
}

/// Carries messages until the end. `stop` resolves with the close that this side is to send on its own account. Returns
/// how it ended and the bytes of messages that were written.
pub async fn run<IO>(
    io: IO,
    role: Role,
    socket: &Socket,
    settings: &Settings,
    stop: impl Future<Output = Close>,
) -> (Ended, u64)
where
    IO: AsyncRead + AsyncWrite,
{
    let (mut input, mut output) = tokio::io::split(io);
    let shared = Shared::new();
    let ended = {
        let mut reading = pin!(read(&mut input, role, socket, settings, &shared));
        let mut writing = pin!(write(&mut output, role, socket, settings, &shared, stop));
        tokio::select! {
            end = reading.as_mut() => match end {
                ReadEnd::Closed(close) => {
                    socket.close(close.clone());
                    shared.answer(close);
                    let _ = timeout(settings.close, writing).await;
                    Ended::Closed
                }
                ReadEnd::Lost => lost(socket),
                ReadEnd::Refused(close) => {
                    socket.fail(&close.reason);
                    shared.answer(close);
                    let _ = timeout(settings.close, writing).await;
                    Ended::Refused
                }
            },
            end = writing.as_mut() => match end {
                WriteEnd::Closed(ended) => match timeout(settings.close, reading).await {
                    Ok(ReadEnd::Closed(close)) => {
                        socket.close(close);
                        ended
                    }
                    _ => {
                        socket.fail("the other side did not answer the close");
                        if ended == Ended::Closed { Ended::Lost } else { ended }
                    }
                },
                WriteEnd::Lost => lost(socket),
                WriteEnd::Unresponsive => {
                    socket.fail("the other side does not answer any more");
                    Ended::Unresponsive
                }
            },
        }
    };
    let _ = timeout(settings.close, output.shutdown()).await;
    (ended, shared.written.load(Ordering::Relaxed))
}

fn lost(socket: &Socket) -> Ended {
    socket.fail("the connection was lost");
    Ended::Lost
}

/// What the two loops tell each other.
struct Shared {
    begun: Instant,
    orders: Mutex<Orders>,
    ordered: Notify,
    /// Milliseconds after `begun` at which something came last.
    heard: AtomicU64,
    /// Milliseconds after `begun` at which a message came or went last.
    active: AtomicU64,
    /// The reader waits for the isolate, so that nothing can be heard.
    blocked: AtomicBool,
    written: AtomicU64,
}

/// What the reader wants written.
#[derive(Default)]
struct Orders {
    pong: Option<Vec<u8>>,
    close: Option<Close>,
}

impl Shared {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            orders: Mutex::default(),
            ordered: Notify::new(),
            heard: AtomicU64::new(0),
            active: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            written: AtomicU64::new(0),
        }
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, close: Close) {
        self.orders().close = Some(close);
        self.ordered.notify_one();
    }

    fn mark(&self, what: &AtomicU64) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        what.store(now, Ordering::Relaxed);
    }

    fn at(&self, what: &AtomicU64) -> Instant {
        self.begun + Duration::from_millis(what.load(Ordering::Relaxed))
    }
}

enum ReadEnd {
    Closed(Close),
    Lost,
    /// With what the other side is told.
    Refused(Close),
}

async fn read(
    from: &mut (impl AsyncRead + Unpin),
    role: Role,
    socket: &Socket,
    settings: &Settings,
    shared: &Shared,
) -> ReadEnd {
    let mut decoder = Decoder::new(role, settings.message_bytes);
    let mut input = BytesMut::new();
    let mut size = READ.0;
    let mut taken = None;
    loop {
        loop {
            match decoder.next(&mut input) {
                Ok(None) => break,
                Ok(Some(Event::Message(message))) => {
                    if !settings.memory.take(&mut taken, message.len()) {
                        return busy();
                    }
                    shared.mark(&shared.active);
                    deliver(socket, message, taken.take(), shared).await;
                }
                // Of several pings only the latest need be answered (RFC 6455 §5.5.3).
                Ok(Some(Event::Ping(payload))) => {
                    shared.orders().pong = Some(payload);
                    shared.ordered.notify_one();
                }
                Ok(Some(Event::Pong)) => {}
                Ok(Some(Event::Close(close))) => return ReadEnd::Closed(close),
                Err(violation) => return ReadEnd::Refused(Close::new(violation.code(), &violation.to_string())),
            }
        }
        if !settings.memory.take(&mut taken, decoder.held()) {
            return busy();
        }
        if input.is_empty() && input.capacity() > size {
            input = BytesMut::new();
        }
        input.reserve(size);
        match from.read_buf(&mut input).await {
            Ok(0) | Err(_) => return ReadEnd::Lost,
            Ok(read) => size = if read >= size { READ.1 } else { READ.0 },
        }
        shared.mark(&shared.heard);
    }
}

/// Gives a message to the isolate, when it has room. One that is gone reads nothing; the writer sees that.
async fn deliver(socket: &Socket, message: Message, taken: Option<Taken>, shared: &Shared) {
    shared.blocked.store(true, Ordering::Relaxed);
    socket.send(message, taken.map(|taken| Box::new(taken) as Hold)).await;
    shared.mark(&shared.heard);
    shared.blocked.store(false, Ordering::Relaxed);
}

fn busy() -> ReadEnd {
    ReadEnd::Refused(Close::new(1013, "too many large messages are on their way; try again later"))
}

enum WriteEnd {
    /// A close was sent.
    Closed(Ended),
    Lost,
    Unresponsive,
}

async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    role: Role,
    socket: &Socket,
    settings: &Settings,
    shared: &Shared,
    stop: impl Future<Output = Close>,
) -> WriteEnd {
    let encoder = Encoder::new(role);
    let mut stop = pin!(stop);
    let mut out = Vec::new();
    let mut pinged = shared.begun;
    loop {
        let heard = if shared.blocked.load(Ordering::Relaxed) { Instant::now() } else { shared.at(&shared.heard) };
        let idle = shared.at(&shared.active) + settings.idle;
        let due = idle.min(heard + if pinged > heard { settings.ping * 2 } else { settings.ping });
        let mut end = None;
        tokio::select! {
            biased;
            () = shared.ordered.notified() => {
                let orders = std::mem::take(&mut *shared.orders());
                if let Some(payload) = orders.pong {
                    encoder.pong(&payload, &mut out);
                }
                if let Some(close) = orders.close {
                    encoder.close(&close, &mut out);
                    end = Some(Ended::Closed);
                }
            }
            close = stop.as_mut() => {
                let ended = if close.code == 1011 { Ended::Abandoned } else { Ended::Closed };
                socket.close(close.clone());
                encoder.close(&close, &mut out);
                end = Some(ended);
            }
            received = socket.receive() => end = gather(received, socket, &encoder, shared, &mut out),
            () = sleep_until(due) => {
                let now = Instant::now();
                if now >= idle {
                    let close = Close::new(1001, "no message has come or gone for too long");
                    socket.close(close.clone());
                    encoder.close(&close, &mut out);
                    end = Some(Ended::Closed);
                } else if !shared.blocked.load(Ordering::Relaxed) {
                    let heard = shared.at(&shared.heard);
                    if pinged > heard && now >= heard + settings.ping * 2 {
                        return WriteEnd::Unresponsive;
                    }
                    if pinged <= heard && now >= heard + settings.ping {
                        pinged = now;
                        encoder.ping(&mut out);
                    }
                }
            }
        }
        match flush(to, &mut out, settings.ping * 2).await {
            Flushed::All => {}
            Flushed::Lost => return WriteEnd::Lost,
            Flushed::Stuck => return WriteEnd::Unresponsive,
        }
        if let Some(ended) = end {
            return WriteEnd::Closed(ended);
        }
    }
}

/// Encodes what came from the isolate, and what has come besides. Says how the connection ends when it does.
fn gather(first: Received, socket: &Socket, encoder: &Encoder, shared: &Shared, out: &mut Vec<u8>) -> Option<Ended> {
    let mut next = Some(first);
    while let Some(received) = next {
        match received {
            Received::Message(message) => {
                encoder.message(&message, out);
                shared.written.fetch_add(message.len() as u64, Ordering::Relaxed);
                shared.mark(&shared.active);
            }
            Received::Close(close) => {
                encoder.close(&close, out);
                return Some(Ended::Closed);
            }
            Received::Lost(problem) => {
                encoder.close(&Close::new(1011, &problem), out);
                return Some(Ended::Abandoned);
            }
        }
        next = if out.len() < GATHER { socket.try_receive() } else { None };
    }
    None
}

enum Flushed {
    All,
    Lost,
    /// Nothing was taken for too long.
    Stuck,
}

async fn flush(to: &mut (impl AsyncWrite + Unpin), out: &mut Vec<u8>, patience: Duration) -> Flushed {
    let mut at = 0;
    while at < out.len() {
        match timeout(patience, to.write(&out[at..])).await {
            Ok(Ok(written @ 1..)) => at += written,
            Ok(_) => return Flushed::Lost,
            Err(_) => return Flushed::Stuck,
        }
    }
    if !out.is_empty() {
        match timeout(patience, to.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Flushed::Lost,
            Err(_) => return Flushed::Stuck,
        }
        out.clear();
        // An idle connection keeps no buffer.
        out.shrink_to(0);
    }
    Flushed::All
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
