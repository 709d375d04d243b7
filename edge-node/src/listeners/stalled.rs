//! Ends HTTP/2 streams whose client takes nothing of an answer that is there (RFC 9113 §10.5): their windows are closed,
//! so nothing shows on the socket.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Instant, sleep_until};

thread_local! {
    /// What the answer polled last on this thread did.
    static LAST: Cell<Seen> = const { Cell::new(Seen::Nothing) };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// It had nothing: the app is waited for.
    Waits,
    /// It gave something: until it is asked again, the client is waited for.
    Gave,
}

/// Told by an answer's body each time it is polled.
pub fn note(gave: bool) {
    LAST.set(if gave { Seen::Gave } else { Seen::Waits });
}

/// Runs the streams of HTTP/2 connections.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    /// How long a client may take nothing.
    pub patience: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let patience = self.patience;
        tokio::spawn(async move {
            let mut stream = pin!(stream);
            let mut client_is_waited_for = false;
            let mut sleep = None;
            poll_fn(|cx| {
                LAST.set(Seen::Nothing);
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                let seen = LAST.get();
                if seen != Seen::Nothing {
                    client_is_waited_for = seen == Seen::Gave;
                }
                if !client_is_waited_for {
                    return Poll::Pending;
                }
                let deadline = Instant::now() + patience;
                let sleep = sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                if seen == Seen::Gave {
                    sleep.as_mut().reset(deadline);
                }
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                // The stream is dropped, which resets it.
                tracing::info!(rule = "stream-stalled", "stream given up");
                Poll::Ready(())
            })
            .await;
        });
    }
}
