//! A future that is polled only when it has something to say.
//!
//! A task that waits for several things polls all of them whenever it is woken for one. What happens once in the life of a
//! connection, if at all, should not be asked about for each of its requests: most such futures take a lock to answer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// Polls what it holds once, and then only after it has asked for that.
pub struct Quiet<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
    /// The bell as the future knows it.
    waker: Waker,
}

struct Bell {
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F: Future> Quiet<F> {
    /// Nothing is polled yet.
    pub fn new(future: F) -> Self {
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { future: Box::pin(future), waker: bell.clone().into(), bell }
    }

    /// Waits for another future from now on.
    pub fn set(&mut self, future: F) {
        self.future.set(future);
        self.bell.rung.store(true, Ordering::Release);
    }
}

impl<F: Future> Future for Quiet<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // In this order, or a bell that rings in between would wake nobody.
        self.bell.task.register(cx.waker());
        if !self.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let Self { future, waker, .. } = &mut *self;
        future.as_mut().poll(&mut Context::from_waker(waker))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn it_is_polled_once_and_then_when_it_asks() {
        let (sender, receiver) = oneshot::channel();
        let mut polls = 0;
        let mut receiver = Box::pin(receiver);
        let mut quiet = Quiet::new(std::future::poll_fn(|cx| {
            polls += 1;
            receiver.as_mut().poll(cx)
        }));
        for _ in 0..3 {
            assert!((&mut quiet).now_or_never().is_none());
        }
        sender.send(7).unwrap();
        assert_eq!((&mut quiet).now_or_never(), Some(Ok(7)));
        drop(quiet);
        assert_eq!(polls, 2);
    }

    #[tokio::test]
    async fn it_wakes_the_task_that_polled_it_last() {
        let (sender, receiver) = oneshot::channel();
        let mut quiet = Quiet::new(receiver);
        assert!((&mut quiet).now_or_never().is_none());
        let waiting = tokio::spawn(quiet);
        tokio::task::yield_now().await;
        sender.send(1).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(1));
    }

    #[test]
    fn what_is_put_in_its_place_is_polled() {
        let mut quiet = Quiet::new(std::future::ready(1).left_future());
        quiet.set(std::future::pending().right_future());
        assert!((&mut quiet).now_or_never().is_none());
        quiet.set(std::future::ready(2).left_future());
        assert_eq!((&mut quiet).now_or_never(), Some(2));
    }
}
