//! Streams whose chunks JavaScript produces: bodies of responses and of outbound requests.
//!
//! A pipe holds at most [`CHUNKS`] chunks nobody has taken yet. JavaScript does not read on from its stream before
//! there is room, so back-pressure reaches the source.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use tokio::sync::{mpsc, oneshot};

use crate::connections::Permit;
use crate::event::{BodyError, BodyStream};
use crate::handles::Handles;

/// How many chunks may wait to be taken.
const CHUNKS: usize = 2;

type Chunk = Result<Bytes, BodyError>;

/// The pipes of an isolate.
#[derive(Default)]
pub(crate) struct Pipes {
    table: Handles<Pipe>,
}

struct Pipe {
    sender: mpsc::Sender<Chunk>,
    receiver: Option<mpsc::Receiver<Chunk>>,
    length: Option<u64>,
    end: Arc<End>,
}

/// How a stream ended: set before its sender goes. Where nothing is set, whoever wrote the stream is no more, and the
/// consumer must not take that for an orderly end.
type End = OnceLock<Result<(), BodyError>>;

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is on its way and there is room for another.
    Room,
    /// It is on its way; wait for room before the next.
    Full,
    /// Nobody takes chunks any more.
    Gone,
}

impl Written {
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Room => 0,
            Self::Full => 1,
            Self::Gone => 2,
        }
    }
}

impl Pipes {
    /// A new pipe for `length` bytes, when that is known; `None` when there are too many.
    pub(crate) fn open(&mut self, length: Option<u64>) -> Option<u32> {
        let (sender, receiver) = mpsc::channel(CHUNKS);
        self.table.insert(Pipe { sender, receiver: Some(receiver), length, end: Arc::default() }).ok()
    }

    /// The consumer's end, once, and its length when that is known.
    pub(crate) fn take(&mut self, pipe: u32) -> Option<(BodyStream, Option<u64>)> {
        let pipe = self.table.get_mut(pipe)?;
        let stream = PipeStream { receiver: pipe.receiver.take()?, end: Some(pipe.end.clone()) };
        Some((Box::pin(stream), pipe.length))
    }

    pub(crate) fn write(&mut self, pipe: u32, chunk: Bytes) -> Written {
        let Some(pipe) = self.table.get(pipe) else { return Written::Gone };
        match pipe.sender.try_send(Ok(chunk)) {
            Ok(()) if pipe.sender.capacity() > 0 => Written::Room,
            Ok(()) => Written::Full,
            // A chunk written without waiting for room would have to be kept somewhere: the writer always waits.
            Err(_) => Written::Gone,
        }
    }

    /// To wait for room with.
    pub(crate) fn sender(&self, pipe: u32) -> Option<mpsc::Sender<Chunk>> {
        self.table.get(pipe).map(|pipe| pipe.sender.clone())
    }

    /// The stream has ended.
    pub(crate) fn close(&mut self, pipe: u32) {
        self.finish(pipe, Ok(()));
    }

    /// The stream broke off.
    pub(crate) fn fail(&mut self, pipe: u32, message: String) {
        self.finish(pipe, Err(BodyError::Failed(message)));
    }

    fn finish(&mut self, pipe: u32, end: Result<(), BodyError>) {
        if let Some(pipe) = self.table.remove(pipe) {
            let _ = pipe.end.set(end);
        }
    }

    /// All streams break off.
    pub(crate) fn fail_all(&mut self, error: &BodyError) {
        for (_, pipe) in std::mem::take(&mut self.table).iter_mut() {
            let _ = pipe.end.set(Err(error.clone()));
        }
    }
}

/// The consumer's end of a pipe.
struct PipeStream {
    receiver: mpsc::Receiver<Chunk>,
    /// Taken when it has been told.
    end: Option<Arc<End>>,
}

impl Stream for PipeStream {
    type Item = Chunk;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Chunk>> {
        if let Some(chunk) = ready!(self.receiver.poll_recv(context)) {
            return Poll::Ready(Some(chunk));
        }
        let end = self.end.take().map(|end| end.get().cloned());
        Poll::Ready(match end {
            None | Some(Some(Ok(()))) => None,
            Some(Some(Err(error))) => Some(Err(error)),
            Some(None) => Some(Err(BodyError::Failed("the isolate ended before the body did".into()))),
        })
    }
}

/// A response's body that tells when it has been taken to its end or dropped.
pub(crate) struct Guarded {
    stream: GuardedStream,
    length: Option<u64>,
    gone: oneshot::Receiver<()>,
}

impl Guarded {
    pub(crate) fn new(stream: BodyStream, length: Option<u64>, permit: Option<Permit>) -> Self {
        let (guard, gone) = oneshot::channel();
        Self { stream: GuardedStream { inner: Some((stream, guard, permit)) }, length, gone }
    }

    /// The stream, its length, and what resolves when the stream is gone.
    pub(crate) fn split(self) -> (BodyStream, Option<u64>, oneshot::Receiver<()>) {
        (Box::pin(self.stream), self.length, self.gone)
    }
}

struct GuardedStream {
    inner: Option<(BodyStream, oneshot::Sender<()>, Option<Permit>)>,
}

impl Stream for GuardedStream {
    type Item = Chunk;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Chunk>> {
        let Some((stream, ..)) = &mut self.inner else { return Poll::Ready(None) };
        let chunk = ready!(stream.as_mut().poll_next(context));
        if !matches!(chunk, Some(Ok(_))) {
            self.inner = None;
        }
        Poll::Ready(chunk)
    }
}
