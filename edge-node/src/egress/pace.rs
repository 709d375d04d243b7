//! Time-outs of exchanges with origins: how long until an answer begins, and how long a body may be silent.
//!
//! Bodies are read by isolates on threads of their own, where no timer of the node may be polled. So a body that is
//! waited for says since when, and who [watches](Watched) all of them ends those that wait too long.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use atoll_runtime::BodyError;
use bytes::Bytes;
use futures::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::sleep;

use super::http2;
use crate::body::Outgoing;

/// How far the sending of a request has come.
pub struct Progress {
    start: Instant,
    /// When it last went on, milliseconds after `start`.
    last: AtomicU64,
    /// Whether the next part of its body is not there yet: then the origin is not late.
    starved: AtomicBool,
}

impl Progress {
    /// Of a request that begins now.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), last: AtomicU64::new(0), starved: AtomicBool::new(false) })
    }

    fn note(&self, starved: bool) {
        self.starved.store(starved, Ordering::Relaxed);
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    /// Waits for the answer, `patience` at most since the last part of the request was sent.
    pub async fn until<T>(&self, patience: Duration, answer: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(answer);
        let mut wait = patience;
        loop {
            tokio::select! {
                answer = &mut answer => return Some(answer),
                () = sleep(wait) => {}
            }
            if self.starved.load(Ordering::Relaxed) {
                wait = patience;
                continue;
            }
            let idle = self.start.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)));
            wait = patience.saturating_sub(idle);
            if wait.is_zero() {
                return None;
            }
        }
    }
}

/// The body of a request that says how far it has come.
pub struct Sending {
    body: Outgoing,
    progress: Arc<Progress>,
}

impl Sending {
    /// Of `body`.
    pub fn new(body: Outgoing, progress: Arc<Progress>) -> Self {
        Self { body, progress }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.progress.note(frame.is_pending());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether somebody waits for a body, and since when.
#[derive(Default)]
pub struct Waiting {
    /// Since when the next part is waited for; none while it is not.
    since: Mutex<Option<Instant>>,
    expired: AtomicBool,
    waker: AtomicWaker,
}

impl Waiting {
    fn set(&self, since: impl FnOnce(Option<Instant>) -> Option<Instant>) {
        let mut guard = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        *guard = since(*guard);
    }
}

/// The bodies that come from origins.
#[derive(Default)]
pub struct Watched(Mutex<Vec<(Weak<Waiting>, Duration)>>);

impl Watched {
    /// A body that is ended when it is waited for longer than `patience`.
    pub fn watch(&self, body: Arriving, patience: Duration) -> Receiving {
        let waiting = Arc::new(Waiting::default());
        if !body.is_end_stream() {
            self.list().push((Arc::downgrade(&waiting), patience));
        }
        Receiving { body, waiting }
    }

    /// Ends those that are waited for too long. To be called about once a second.
    pub fn look(&self, now: Instant) {
        self.list().retain(|(waiting, patience)| {
            let Some(waiting) = waiting.upgrade() else { return false };
            let since = *waiting.since.lock().unwrap_or_else(PoisonError::into_inner);
            let late = since.is_some_and(|since| now.saturating_duration_since(since) > *patience);
            if late {
                waiting.expired.store(true, Ordering::Release);
                waiting.waker.wake();
            }
            !late
        });
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<(Weak<Waiting>, Duration)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of an answer as its connection has it.
pub enum Arriving {
    /// Over HTTP/1.
    Http1(Incoming),
    /// Over HTTP/2.
    Http2(http2::Arriving),
}

impl Arriving {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(|_| BodyError::Closed),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(|_| BodyError::Closed),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}

/// The body of an answer.
pub struct Receiving {
    body: Arriving,
    waiting: Arc<Waiting>,
}

impl Body for Receiving {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = self.body.poll_frame(cx);
        if frame.is_ready() {
            self.waiting.set(|_| None);
            return frame;
        }
        self.waiting.waker.register(cx.waker());
        if self.waiting.expired.load(Ordering::Acquire) {
            return Poll::Ready(Some(Err(BodyError::Failed("the origin has sent nothing for too long".into()))));
        }
        self.waiting.set(|since| Some(since.unwrap_or_else(Instant::now)));
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const SHORT: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn an_answer_that_does_not_come_is_given_up() {
        let progress = Progress::new();
        assert_eq!(progress.until(SHORT, pending::<()>()).await, None);
        assert_eq!(progress.until(SHORT, async { 1 }).await, Some(1));
    }

    #[tokio::test]
    async fn an_origin_that_waits_for_the_request_is_not_late() {
        let progress = Progress::new();
        progress.note(true);
        let late = sleep(SHORT * 20);
        assert_eq!(progress.until(SHORT, late).await, Some(()));
    }
}
