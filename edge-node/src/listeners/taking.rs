//! How long a stream of HTTP/2 or HTTP/3 is waited for whose client opens no window.
//!
//! A client says that it has read when it wants to: many when half of a window is empty, and a window may have megabytes.
//! Others of its streams may be first where it reads slowly. So whoever has been sent much may be silent for longer, as
//! long as it takes to read that slowly; but not for ever, because who reads nothing at all looks the same.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::config::ConnectionConfig;
use crate::client::Client;

/// The longest silence, as a multiple of that of a client which was sent nothing.
const MOST: u32 = 10;

/// Patience with one stream.
pub struct Taking {
    /// What is left of it at most, and what is left.
    most: Duration,
    left: Duration,
    per_byte: Duration,
    /// What was sent since it was last counted, bytes.
    sent: u64,
}

impl Taking {
    /// A client may be silent for `write_timeout_ms`, and for a second more for every `min_rate` bytes that it is sent.
    pub fn new(config: &ConnectionConfig) -> Self {
        let silence = Duration::from_millis(config.write_timeout_ms);
        let per_byte = Duration::from_secs(1) / config.min_rate.max(1);
        Self { most: silence.saturating_mul(MOST), left: silence, per_byte, sent: 0 }
    }

    /// There was room for so many bytes.
    pub fn sent(&mut self, bytes: usize, client: &Client) {
        self.sent += bytes as u64;
        client.add_sent(bytes as u64);
    }

    /// What there was to wait for; `None` when the client is to be given up.
    pub async fn wait<T>(&mut self, client: &Client, room: impl Future<Output = T>) -> Option<T> {
        let mut room = pin!(room);
        let sent = std::mem::take(&mut self.sent);
        self.restore(sent);
        let (begun, mut seen) = (Instant::now(), client.sent());
        loop {
            let since = Instant::now();
            if let Ok(there) = timeout(self.left, room.as_mut()).await {
                self.left = self.left.saturating_sub(since.elapsed());
                return Some(there);
            }
            // What others were sent meanwhile, this one had to wait for.
            let now = client.sent();
            self.left = Duration::ZERO;
            self.restore(now - std::mem::replace(&mut seen, now));
            self.left = self.left.min(self.most.saturating_sub(begun.elapsed()));
            if self.left.is_zero() {
                return None;
            }
        }
    }

    fn restore(&mut self, bytes: u64) {
        let restored = self.per_byte.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.left = self.left.saturating_add(restored).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;

    use tokio::time::sleep;

    use super::*;
    use crate::client::Transport;
    use crate::load::Load;

    fn client() -> Client {
        Client::new([127, 0, 0, 1].into(), Transport::default(), Arc::new(Load::new(1, u64::MAX)))
    }

    fn taking(write_timeout_ms: u64, min_rate: u32) -> Taking {
        Taking::new(&ConnectionConfig { write_timeout_ms, min_rate, ..ConnectionConfig::default() })
    }

    #[tokio::test]
    async fn who_was_sent_nothing_is_given_up_after_the_timeout() {
        let (begun, client) = (Instant::now(), client());
        assert_eq!(taking(20, 1000).wait(&client, pending::<()>()).await, None);
        assert!(begun.elapsed() >= Duration::from_millis(20));
    }

    #[tokio::test]
    async fn what_was_sent_gives_time_with_an_end() {
        let client = client();
        let mut slow = taking(20, 1000);
        slow.sent(40, &client);
        let begun = Instant::now();
        assert_eq!(slow.wait(&client, pending::<()>()).await, None);
        assert!(begun.elapsed() >= Duration::from_millis(60));
        let mut slow = taking(20, 1000);
        slow.sent(1 << 30, &client);
        let begun = Instant::now();
        assert_eq!(slow.wait(&client, pending::<()>()).await, None);
        assert!(begun.elapsed() >= Duration::from_millis(200));
    }

    #[tokio::test]
    async fn who_opens_its_window_by_next_to_nothing_uses_its_time_up() {
        let client = client();
        let mut slow = taking(50, 1000);
        let mut waits = 0;
        while slow.wait(&client, sleep(Duration::from_millis(5))).await.is_some() {
            slow.sent(1, &client);
            waits += 1;
        }
        // Four milliseconds of the fifty each, at most.
        assert!(waits <= 13, "{waits}");
    }

    #[tokio::test]
    async fn a_stream_waits_for_others_of_its_connection() {
        let (client, mut waiting, mut other) = (client(), taking(50, 1000), taking(50, 1000));
        let begun = Instant::now();
        let others = async { other.sent(100, &client) };
        let (given_up, ()) = tokio::join!(waiting.wait(&client, pending::<()>()), others);
        assert_eq!(given_up, None);
        assert!(begun.elapsed() >= Duration::from_millis(150));
    }
}
