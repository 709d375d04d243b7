//! What an isolate's thread does when the isolate has had nothing to do for a while.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::Sleep;

use crate::allocator;

/// An isolate that has had nothing to do for so long is idle. Requests of an app that somebody uses come sooner, and find the
/// thread's memory as they left it.
const IDLE: Duration = Duration::from_secs(1);

/// The same for its first time. What it left of its pages when it was restored is most of what others can use, and many start
/// together when a node or an app's host does.
const FIRST: Duration = Duration::from_millis(50);

/// Notices that an isolate is idle.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// Fires when the isolate is idle, unless it has finished more requests by then than when this was set.
    timer: Option<(u32, Pin<Box<Sleep>>)>,
    /// How many requests it had finished when it was idle last.
    noticed: Option<u32>,
}

impl Idle {
    /// To be polled whenever the isolate has nothing to do, with the number of requests that it has finished. Once for each
    /// time that it is idle, the thread leaves its pages to others.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, finished: u32) {
        while self.noticed != Some(finished) {
            let after = if self.noticed.is_none() { FIRST } else { IDLE };
            let (since, timer) = self.timer.get_or_insert_with(|| (finished, Box::pin(tokio::time::sleep(after))));
            if timer.as_mut().poll(cx).is_pending() {
                return;
            }
            if *since == finished {
                allocator::leave_pages();
                self.noticed = Some(finished);
            }
            self.timer = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn an_isolate_is_idle_when_it_has_finished_nothing_for_a_while() {
        let mut idle = Idle::default();
        for finished in [1, 2] {
            poll_fn(|cx| {
                idle.poll(cx, finished);
                Poll::Ready(())
            })
            .await;
            assert_eq!(idle.noticed, None);
        }
        // The timer that was set for the first request fires in vain.
        let second = Instant::now();
        for (finished, after) in [(2, FIRST), (2, FIRST), (3, IDLE)] {
            poll_fn(|cx| {
                idle.poll(cx, finished);
                if idle.noticed == Some(finished) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            assert!(second.elapsed() >= after && idle.timer.is_none());
        }
    }
}
