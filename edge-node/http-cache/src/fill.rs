//! A response on its way into the cache: who waits for it, and who reads along while it comes.
//!
//! The first request for a key leads: it asks the app. Requests for the same key meanwhile follow: they wait for the
//! head, and when it is one that they may be answered with, they read the content as it arrives. When it is not, each goes
//! on by itself; when there is none, they share the failure.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;

use crate::entry::Head;
use crate::key::Key;
use crate::sealed;
use crate::storing::Refusal;

/// How far the response is that others wait for. `F` is what a failure is told by.
#[derive(Debug)]
pub enum Progress<F> {
    /// The head has not come.
    Pending,
    /// It has, and others may read along.
    Shared(Arc<Fill>),
    /// It is not for others: each goes on by itself.
    Alone,
    /// The one that led is gone: somebody else may.
    Again,
    /// There is no response: so say all.
    Failed(F),
    /// There is no good one: who has a stale one that may be used, uses it (RFC 5861 §4).
    Stale,
}

impl<F: Clone> Clone for Progress<F> {
    fn clone(&self) -> Self {
        match self {
            Self::Pending => Self::Pending,
            Self::Shared(fill) => Self::Shared(fill.clone()),
            Self::Alone => Self::Alone,
            Self::Again => Self::Again,
            Self::Failed(failure) => Self::Failed(failure.clone()),
            Self::Stale => Self::Stale,
        }
    }
}

struct Flight<F> {
    revision: u64,
    progress: watch::Sender<Progress<F>>,
}

type Shard<F> = Mutex<HashMap<Key, Arc<Flight<F>>>>;

const SHARDS: usize = 16;

/// The responses that are on their way.
pub struct Flights<F> {
    shards: [Shard<F>; SHARDS],
}

impl<F> Default for Flights<F> {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

/// What a request is in a flight.
pub enum Joined<F> {
    /// It asks the app.
    Leads(Lead<F>),
    /// It waits for what is told here.
    Follows(watch::Receiver<Progress<F>>),
}

impl<F> Flights<F> {
    /// Joins the flight for a key or begins one. A flight from before the purge `revision` is not joined.
    pub fn join(self: &Arc<Self>, key: &Key, revision: u64) -> Joined<F> {
        let mut shard = self.shard(key);
        if let Some(flight) = shard.get(key).filter(|flight| flight.revision >= revision) {
            return Joined::Follows(flight.progress.subscribe());
        }
        let flight = Arc::new(Flight { revision, progress: watch::Sender::new(Progress::Pending) });
        shard.insert(key.clone(), flight.clone());
        drop(shard);
        Joined::Leads(Lead { flights: self.clone(), key: key.clone(), flight, settled: false })
    }

    /// Ends the flight for a key for those who come from now on: what it brings is out of date. Those who are in it
    /// stay. The response is not stored, because its [`Lead`] does not hold the key any more.
    pub fn invalidate(&self, key: &[u8]) {
        self.shard_of(key).remove(key);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Arc<Flight<F>>>> {
        self.shard_of(key.as_bytes())
    }

    fn shard_of(&self, key: &[u8]) -> MutexGuard<'_, HashMap<Key, Arc<Flight<F>>>> {
        let sum = key.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        self.shards[sum % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one that asks the app. Dropped before it has said what came of it, it lets another lead.
pub struct Lead<F> {
    flights: Arc<Flights<F>>,
    key: Key,
    flight: Arc<Flight<F>>,
    settled: bool,
}

impl<F> Lead<F> {
    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The purge revision that the response carries.
    pub fn revision(&self) -> u64 {
        self.flight.revision
    }

    /// Tells all who wait, and all who come while this lives.
    pub fn announce(&mut self, progress: Progress<F>) {
        self.settled = true;
        self.flight.progress.send_replace(progress);
    }

    /// Says what came of it to all who wait, and ends the flight.
    pub fn settle(mut self, progress: Progress<F>) {
        self.settled = true;
        self.leave();
        self.flight.progress.send_replace(progress);
    }

    /// Whether what it brings may be stored still: nothing has invalidated the key since.
    pub fn holds(&self) -> bool {
        self.flights.shard(&self.key).get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight))
    }

    fn leave(&self) {
        let mut shard = self.flights.shard(&self.key);
        if shard.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            shard.remove(&self.key);
        }
    }
}

impl<F> Drop for Lead<F> {
    fn drop(&mut self) {
        self.leave();
        if !self.settled {
            self.flight.progress.send_replace(Progress::Again);
        }
    }
}

/// Memory for content that is on its way, bytes.
#[derive(Debug)]
pub struct Budget {
    left: AtomicU64,
}

impl Budget {
    /// So many bytes.
    pub fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(bytes) })
    }

    fn take(&self, bytes: u64) -> bool {
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.is_ok()
    }

    fn give(&self, bytes: u64) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many of them, until they are dropped; `None` when there are not.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reserved> {
        let mut reserved = Reserved { budget: self.clone(), bytes: 0 };
        reserved.grow(bytes).then_some(reserved)
    }

    /// Bytes left.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }
}

/// A part of a [`Budget`], given back when it is dropped.
#[derive(Debug)]
pub struct Reserved {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reserved {
    /// Takes more; `false`, and nothing taken, when there is not so much.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let taken = self.budget.take(bytes);
        self.bytes += if taken { bytes } else { 0 };
        taken
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.give(self.bytes);
    }
}

/// What each piece of a content that is kept counts besides its bytes: about what it takes of memory. Else one that comes
/// byte by byte would take a hundred times what it counts.
const PIECE_COST: u64 = 128;

/// Content that is no longer kept is buffered up to this many bytes for its slowest reader.
const WINDOW: u64 = 256 << 10;

/// The content did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response that was being read along broke off: {0}")]
pub struct BrokenOff(pub Arc<str>);

/// A response whose content is coming.
#[derive(Debug)]
pub struct Fill {
    /// Its head.
    pub head: Arc<Head>,
    /// Bytes of its content, when the app said how many.
    pub length: Option<u64>,
    state: Mutex<State>,
    arrived: watch::Sender<()>,
    consumed: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    chunks: VecDeque<Bytes>,
    /// Chunks that were dropped at the front.
    dropped: u64,
    /// Bytes in `chunks`.
    buffered: u64,
    /// All bytes that came.
    total: u64,
    end: Option<Result<(), BrokenOff>>,
    kept: Result<(), Refusal>,
    readers: HashMap<u64, u64>,
    next_reader: u64,
}

impl Fill {
    /// A response that is about to come, and the end that writes it. Content over `limit` bytes is not kept.
    pub fn new(head: Arc<Head>, length: Option<u64>, limit: u64, budget: Arc<Budget>) -> (Arc<Self>, Writer) {
        let kept = if length.is_some_and(|length| length > limit) { Err(Refusal::TooLarge) } else { Ok(()) };
        let state = State {
            chunks: VecDeque::new(),
            dropped: 0,
            buffered: 0,
            total: 0,
            end: None,
            kept,
            readers: HashMap::new(),
            next_reader: 0,
        };
        let (arrived, consumed) = (watch::Sender::new(()), watch::Sender::new(()));
        let fill = Arc::new(Self { head, length, state: Mutex::new(state), arrived, consumed });
        (fill.clone(), Writer { fill, limit, budget, taken: 0 })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader from the first byte; `None` when that is gone.
    pub fn reader(self: &Arc<Self>) -> Option<Reader> {
        let mut state = self.state();
        if state.dropped > 0 || matches!(state.end, Some(Err(_))) {
            return None;
        }
        let id = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(id, 0);
        drop(state);
        Some(Reader { arrived: self.arrived.subscribe(), fill: self.clone(), id, at: 0 })
    }
}

impl State {
    /// Drops what all readers have, when it is not kept.
    fn trim(&mut self) {
        if self.kept.is_ok() {
            return;
        }
        let first = self.readers.values().min().copied().unwrap_or(u64::MAX);
        while self.dropped < first
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.dropped += 1;
            self.buffered -= chunk.len() as u64;
        }
    }
}

/// Writes the content of a [`Fill`]. Dropped before its end, it breaks the content off.
pub struct Writer {
    fill: Arc<Fill>,
    limit: u64,
    budget: Arc<Budget>,
    taken: u64,
}

impl Writer {
    /// Adds bytes.
    pub fn push(&mut self, chunk: Bytes) {
        let size = chunk.len() as u64;
        let mut state = self.fill.state();
        state.total += size;
        if state.kept.is_ok() {
            if state.total > self.limit {
                state.kept = Err(Refusal::TooLarge);
            } else if !self.budget.take(size + PIECE_COST) {
                state.kept = Err(Refusal::Busy);
            } else {
                self.taken += size + PIECE_COST;
            }
            if state.kept.is_err() {
                self.budget.give(std::mem::take(&mut self.taken));
            }
        }
        state.chunks.push_back(chunk);
        state.buffered += size;
        state.trim();
        drop(state);
        self.fill.arrived.send_replace(());
    }

    /// Waits until more may come: at once for what is kept, else until the slowest reader is near.
    pub async fn room(&self) {
        let mut consumed = self.fill.consumed.subscribe();
        loop {
            consumed.borrow_and_update();
            {
                let state = self.fill.state();
                if state.kept.is_ok() || state.buffered < WINDOW {
                    return;
                }
            }
            // The sender lives in the fill, which this writer holds.
            let _ = consumed.changed().await;
        }
    }

    /// Whether the content is being kept, and if not, why.
    pub fn kept(&self) -> Result<(), Refusal> {
        self.fill.state().kept
    }

    /// Stops keeping the content; readers that are there get all of it.
    pub fn abandon(&mut self, why: Refusal) {
        let mut state = self.fill.state();
        if state.kept.is_ok() {
            state.kept = Err(why);
        }
        state.trim();
        drop(state);
        self.budget.give(std::mem::take(&mut self.taken));
    }

    /// Whether anybody reads.
    pub fn is_read(&self) -> bool {
        !self.fill.state().readers.is_empty()
    }

    /// The end. Gives the content when it was kept and is as long as was said.
    pub fn finish(self) -> Result<Whole, Refusal> {
        let mut state = self.fill.state();
        let long = self.fill.length.is_none_or(|length| length == state.total);
        let end = if long { Ok(()) } else { Err(BrokenOff("it is not as long as announced".into())) };
        let whole = match &end {
            Ok(()) => state.kept.map(|()| (state.chunks.iter().cloned().collect(), state.total)),
            Err(_) => Err(Refusal::Interrupted),
        };
        state.end = Some(end);
        drop(state);
        self.fill.arrived.send_replace(());
        whole.map(|(chunks, length)| Whole { chunks, length, _writer: self })
    }

    /// The content broke off.
    pub fn fail(self, why: &str) {
        self.break_off(why);
    }

    fn break_off(&self, why: &str) {
        let mut state = self.fill.state();
        if state.end.is_none() {
            state.end = Some(Err(BrokenOff(why.into())));
        }
        drop(state);
        self.fill.arrived.send_replace(());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.break_off("the request that brought it was given up");
        self.budget.give(self.taken);
    }
}

/// A content that has come and was kept, in the pieces in which it came. They count towards the budget as long as this
/// lives.
pub struct Whole {
    chunks: Vec<Bytes>,
    length: u64,
    _writer: Writer,
}

impl Whole {
    /// Bytes of all.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// All as one, with `seal` where the kernel can send it from if it is large and there is room for that. Copies it, so it
    /// blocks for about a millisecond for each 4 MiB.
    pub fn join(self, seal: bool) -> Bytes {
        if seal && let Some(sealed) = sealed::gather(&self.chunks, self.length) {
            return sealed;
        }
        let mut whole = BytesMut::with_capacity(usize::try_from(self.length).unwrap_or(0));
        for chunk in &self.chunks {
            whole.extend_from_slice(chunk);
        }
        whole.freeze()
    }
}

/// Reads the content of a [`Fill`] from its start, as it comes.
pub struct Reader {
    fill: Arc<Fill>,
    arrived: watch::Receiver<()>,
    id: u64,
    at: u64,
}

impl Reader {
    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        loop {
            self.arrived.borrow_and_update();
            if let Some(next) = self.poll() {
                return next;
            }
            // The sender lives in the fill, which this reader holds.
            let _ = self.arrived.changed().await;
        }
    }

    fn poll(&mut self) -> Option<Option<Result<Bytes, BrokenOff>>> {
        let mut state = self.fill.state();
        let index = usize::try_from(self.at.saturating_sub(state.dropped)).unwrap_or(usize::MAX);
        if let Some(chunk) = state.chunks.get(index).cloned() {
            self.at += 1;
            state.readers.insert(self.id, self.at);
            state.trim();
            drop(state);
            self.fill.consumed.send_replace(());
            return Some(Some(Ok(chunk)));
        }
        match &state.end {
            Some(Ok(())) => Some(None),
            Some(Err(error)) => Some(Some(Err(error.clone()))),
            None => None,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.fill.state();
        state.readers.remove(&self.id);
        state.trim();
        drop(state);
        self.fill.consumed.send_replace(());
    }
}

#[cfg(test)]
#[path = "fill_tests.rs"]
mod tests;
