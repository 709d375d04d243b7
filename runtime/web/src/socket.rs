//! WebSockets as they cross the boundary of an isolate: two ends, and between them one bounded queue of messages in each
//! direction. Nothing of frames, masks or connections is known here.
//!
//! Whoever can wait writes with [`Socket::send`] and is slowed down by a reader that is slow. JavaScript cannot wait; it
//! writes with [`Socket::try_send`], which refuses what would not fit.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

/// The longest message that JavaScript can send, bytes.
pub const LONGEST_MESSAGE: usize = 32 << 20;
/// Bytes that may wait in one direction when the writer cannot wait. One message alone may be longer.
pub const MOST_BUFFERED: usize = 8 << 20;
/// Bytes that wait in one direction before a writer that can wait does. One message alone may be longer.
const ENOUGH: usize = 64 << 10;
/// Sockets that may wait in one direction to be taken.
const MOST_GIVEN: usize = 16;
/// What a message counts besides its bytes, so that empty ones are bounded too.
const OVERHEAD: usize = 64;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Message {
    /// Its payload's length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "an empty message is a message like any other")]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// An orderly end (RFC 6455 §5.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The status code (RFC 6455 §7.4); [`NO_STATUS`](Self::NO_STATUS) when none was given.
    pub code: u16,
    /// Why, at most 123 bytes; empty when nothing was said.
    pub reason: String,
}

impl Close {
    /// "No status code was present"; never in a frame.
    pub const NO_STATUS: u16 = 1005;

    /// A close with a code and a reason.
    pub fn new(code: u16, reason: &str) -> Self {
        Self { code, reason: reason.to_owned() }
    }
}

/// What comes out of a [`Socket`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Message(Message),
    /// The other side has closed; nothing follows.
    Close(Close),
    /// The other side went away without closing, for this reason; nothing follows.
    Lost(String),
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nobody reads any more, or this side has closed.
    Gone,
    /// Too much waits already.
    Full,
    /// The message is longer than [`LONGEST_MESSAGE`].
    TooLong,
}

/// Kept as long as a message waits: what counts its memory.
pub type Hold = Box<dyn Send>;

/// One end of a WebSocket. Dropping it without [`close`](Self::close) tells the other end that it was lost.
pub struct Socket {
    outgoing: Arc<Queue>,
    incoming: Arc<Queue>,
    /// Dropped with the end: whoever gave it out learns that it is gone.
    guard: Option<oneshot::Sender<()>>,
}

impl Socket {
    /// Two ends that are connected to each other.
    pub fn pair() -> (Self, Self) {
        let (one, other) = (Arc::<Queue>::default(), Arc::<Queue>::default());
        let end = |outgoing: &Arc<Queue>, incoming: &Arc<Queue>| Self {
            outgoing: outgoing.clone(),
            incoming: incoming.clone(),
            guard: None,
        };
        (end(&one, &other), end(&other, &one))
    }

    /// Resolves the receiver when this end is dropped.
    pub(crate) fn watch(&mut self) -> oneshot::Receiver<()> {
        let (guard, gone) = oneshot::channel();
        self.guard = Some(guard);
        gone
    }

    /// Sends a message unless too much waits already.
    pub fn try_send(&self, message: Message, hold: impl FnOnce() -> Option<Hold>) -> Result<(), Refused> {
        if message.len() > LONGEST_MESSAGE {
            return Err(Refused::TooLong);
        }
        let mut state = self.outgoing.lock();
        if state.is_done() {
            return Err(Refused::Gone);
        }
        if state.waiting > 0 && state.waiting + message.len() > MOST_BUFFERED {
            return Err(Refused::Full);
        }
        state.push(message, hold());
        Ok(())
    }

    /// Waits for room and sends a message. False when nobody reads any more.
    pub async fn send(&self, message: Message, hold: Option<Hold>) -> bool {
        let mut message = Some((message, hold));
        poll_fn(|cx| {
            let mut state = self.outgoing.lock();
            if state.is_done() {
                return Poll::Ready(false);
            }
            if state.waiting >= ENOUGH {
                state.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            if let Some((message, hold)) = message.take() {
                state.push(message, hold);
            }
            Poll::Ready(true)
        })
        .await
    }

    /// Ends this direction in order. What was sent before still arrives. Only the first end counts.
    pub fn close(&self, close: Close) {
        self.outgoing.lock().end(Received::Close(close));
    }

    /// Ends this direction because of a failure. What was sent before still arrives.
    pub fn fail(&self, problem: &str) {
        self.outgoing.lock().end(Received::Lost(problem.to_owned()));
    }

    /// Ends this direction in order, and throws away what waits to be read.
    pub fn discard(&self, close: Close) {
        let mut state = self.outgoing.lock();
        if !state.is_done() {
            state.clear();
        }
        state.end(Received::Close(close));
    }

    /// Nothing of this end is wanted any more: the other end learns that it is lost, and a pending
    /// [`receive`](Self::receive) returns.
    pub fn abandon(&self, problem: &str) {
        self.fail(problem);
        let mut state = self.incoming.lock();
        state.unread = true;
        state.clear();
        state.last = Some(Received::Lost(problem.to_owned()));
        state.wake_reader();
        state.wake_writer();
        let given = std::mem::take(&mut state.given);
        // Their other ends are told, which may be anywhere.
        drop(state);
        drop(given);
    }

    /// Whether [`give`](Self::give) takes another socket.
    pub fn has_room_to_give(&self) -> bool {
        self.outgoing.lock().given.len() < MOST_GIVEN
    }

    /// Gives the other end another socket, which is none of its own. Returns the number under which it can be
    /// [taken](Self::take_given) there; `None`, and the socket is lost, when nobody reads any more or too many wait already.
    pub fn give(&self, socket: Socket) -> Option<u32> {
        let mut state = self.outgoing.lock();
        if state.is_done() || state.given.len() >= MOST_GIVEN {
            // Not dropped while the queue is locked: its other end is told, whoever has it.
            drop(state);
            drop(socket);
            return None;
        }
        state.last_given = state.last_given.wrapping_add(1);
        let number = state.last_given;
        state.given.insert(number, socket);
        Some(number)
    }

    /// Takes a socket that the other end has [given](Self::give), once.
    pub fn take_given(&self, number: u32) -> Option<Socket> {
        self.incoming.lock().given.remove(&number)
    }

    /// What comes next. After [`Received::Close`] or [`Received::Lost`] it is [`Received::Lost`] for ever.
    pub async fn receive(&self) -> Received {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// As [`receive`](Self::receive).
    pub fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Received> {
        let mut state = self.incoming.lock();
        match state.next() {
            Some(received) => Poll::Ready(received),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// What has arrived already.
    pub fn try_receive(&self) -> Option<Received> {
        self.incoming.lock().next()
    }

    /// Bytes sent from this end that the other has not taken, framing not counted.
    pub fn buffered(&self) -> usize {
        let state = self.outgoing.lock();
        state.waiting - state.messages.len() * OVERHEAD
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.abandon("the other side went away");
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({} bytes waiting)", self.buffered())
    }
}

/// One direction.
#[derive(Default)]
struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    messages: VecDeque<(Message, Option<Hold>)>,
    /// Sockets that go along, by their numbers, until they are taken.
    given: BTreeMap<u32, Socket>,
    last_given: u32,
    /// Bytes of all messages, overhead counted.
    waiting: usize,
    /// What comes after the last message.
    end: Option<Received>,
    /// What is said when the end was told.
    last: Option<Received>,
    /// Nobody reads any more.
    unread: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the data whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_done(&self) -> bool {
        self.unread || self.end.is_some() || self.last.is_some()
    }

    fn push(&mut self, message: Message, hold: Option<Hold>) {
        self.waiting += message.len() + OVERHEAD;
        self.messages.push_back((message, hold));
        self.wake_reader();
    }

    fn end(&mut self, end: Received) {
        if !self.is_done() {
            self.end = Some(end);
            self.wake_reader();
            self.wake_writer();
        }
    }

    fn next(&mut self) -> Option<Received> {
        if let Some((message, _hold)) = self.messages.pop_front() {
            self.waiting -= message.len() + OVERHEAD;
            if self.waiting < ENOUGH {
                self.wake_writer();
            }
            if self.messages.is_empty() {
                self.messages.shrink_to(4);
            }
            return Some(Received::Message(message));
        }
        if let Some(end) = self.end.take() {
            self.last = Some(Received::Lost("the WebSocket is closed".into()));
            return Some(end);
        }
        self.last.clone()
    }

    fn clear(&mut self) {
        self.messages = VecDeque::new();
        self.waiting = 0;
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
