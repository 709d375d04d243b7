//! How long a slow peer is waited for: silence uses patience up, bytes restore it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Patience with one direction of a connection. Whoever sends, or takes, less than the rate on average while it is
/// waited for uses it up; time in which nobody waits does not count.
pub struct Patience {
    most: Duration,
    left: Duration,
    per_byte: Duration,
    waiting: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// `most` for complete silence, restored by `rate` bytes per second.
    pub fn new(most: Duration, rate: u32) -> Self {
        Self { most, left: most, per_byte: Duration::from_secs(1) / rate.max(1), waiting: None, sleep: None }
    }

    /// Whether the peer is waited for.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// The peer let us wait. Ready when there is no patience left; else wakes the task when there is none.
    pub fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting.is_none() {
            let now = Instant::now();
            self.waiting = Some(now);
            let deadline = now + self.left;
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(deadline),
                None => self.sleep = Some(Box::pin(sleep_until(deadline))),
            }
        }
        self.sleep.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
    }

    /// The peer moved so many bytes. Costs nothing when it was not waited for.
    pub fn moved(&mut self, bytes: u64) {
        let Some(since) = self.waiting.take() else { return };
        let left = self.left.saturating_sub(since.elapsed());
        let restored = self.per_byte.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.left = left.saturating_add(restored).min(self.most);
    }

    /// A new beginning.
    pub fn restore(&mut self) {
        self.waiting = None;
        self.left = self.most;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn silence_uses_it_up() {
        let start = Instant::now();
        let mut patience = Patience::new(Duration::from_millis(20), 1);
        poll_fn(|cx| patience.wait(cx)).await;
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn dripping_uses_it_up_and_a_steady_sender_does_not() {
        let after = |seconds, bytes| {
            let mut patience = Patience::new(Duration::from_secs(10), 100);
            for _ in 0..seconds {
                patience.waiting = Instant::now().checked_sub(Duration::from_secs(1));
                patience.moved(bytes);
            }
            patience.left
        };
        assert!(after(12, 1) < Duration::from_millis(20));
        assert!(after(1000, 200) > Duration::from_secs(9));
        let mut patience = Patience::new(Duration::from_secs(10), 100);
        patience.moved(5);
        assert_eq!(patience.left, Duration::from_secs(10), "nobody waited");
    }
}
