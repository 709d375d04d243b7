//! How far ahead of the apps a client may send (RFC 9113 §6.9), and whether it is there at all.
//!
//! A client may send a window's worth until it hears that it was read, which takes as long as the way is: over a long way
//! a fixed window makes uploads slow. So while bodies are read, pings measure how much is read in the time that two
//! questions take there and back: windows are renewed by halves, so in the time of one it may be next to nothing. When it
//! is three quarters of a window, the window is what holds the client up, and grows. What is counted is what apps have
//! read, so a slow one's window stays as it is. Each connection and the node have a limit, and a connection that is idle
//! gives back what it had.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::Connection;
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep};

use crate::load::Load;

/// What a client may send on a stream before the app has read it, bytes, at first.
pub const STREAM_WINDOW: u32 = 512 << 10;
/// The most that comes to.
const LARGEST: u32 = 4 << 20;
/// The window of all streams together, as a multiple of that of one: a body that an app leaves unread does not hold up
/// the others.
pub const STREAMS: u32 = 2;
/// Over how many pings, one after another, it is counted what is read.
const TRIPS: u32 = 2;
/// Between two pings at most, and how long the answer to one is waited for before the client counts as gone.
const PING: Duration = Duration::from_secs(30);

/// Bytes of bodies that apps have read from a connection. Clones are one.
#[derive(Clone, Default)]
pub struct BytesRead(Arc<AtomicU64>);

impl BytesRead {
    /// So many more.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The windows of a connection, and its pings.
pub struct Windows {
    pings: Option<PingPong>,
    /// A ping is under way.
    asking: bool,
    /// How many were answered since what had been read was marked.
    trips: u32,
    /// When the next ping is due, or when the answer to the last one is.
    due: Pin<Box<Sleep>>,
    read: BytesRead,
    /// What had been read when the first of the pings was sent, or the last answered.
    mark: u64,
    /// The window of a stream, bytes.
    stream: u32,
    load: Arc<Load>,
}

impl Windows {
    /// Those of a new connection: a stream has [`STREAM_WINDOW`], all together [`STREAMS`] of them.
    pub fn new(pings: Option<PingPong>, load: Arc<Load>) -> Self {
        let due = Box::pin(sleep(PING));
        Self { pings, asking: false, trips: 0, due, read: BytesRead::default(), mark: 0, stream: STREAM_WINDOW, load }
    }

    /// Where bodies say what was read of them.
    pub fn read(&self) -> &BytesRead {
        &self.read
    }

    /// Does what is to be done, `idle` being whether no request is under way. Ready when the client does not answer a
    /// ping.
    pub fn poll<T>(&mut self, connection: &mut Connection<T, Bytes>, idle: bool, cx: &mut Context<'_>) -> Poll<()>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let Some(pings) = &mut self.pings else { return Poll::Pending };
            if self.asking {
                match pings.poll_pong(cx) {
                    Poll::Ready(Ok(_)) => {
                        let read = self.read.get();
                        self.trips += 1;
                        let more = read.saturating_sub(self.mark);
                        if holds_up(self.stream, more) {
                            self.grow(connection);
                        } else if more > 0 && self.trips < TRIPS {
                            self.ask();
                            continue;
                        }
                        (self.asking, self.trips, self.mark) = (false, 0, read);
                        self.due.as_mut().reset(Instant::now() + PING);
                    }
                    // The connection ends, which shows where its requests are taken.
                    Poll::Ready(Err(_)) => self.pings = None,
                    Poll::Pending => return self.due.as_mut().poll(cx),
                }
                continue;
            }
            let read = self.read.get();
            let worth_it = self.stream < LARGEST && read.saturating_sub(self.mark) >= u64::from(self.stream / 4);
            if !worth_it {
                ready!(self.due.as_mut().poll(cx));
                if idle {
                    self.shrink(connection);
                }
            }
            self.mark = read;
            self.ask();
        }
    }

    fn ask(&mut self) {
        if self.pings.as_mut().is_some_and(|pings| pings.send_ping(Ping::opaque()).is_err()) {
            self.pings = None;
        }
        self.asking = true;
        self.due.as_mut().reset(Instant::now() + PING);
    }

    /// Doubles the windows, if the client has taken in the last change and the node has the memory.
    fn grow<T: AsyncRead + AsyncWrite + Unpin>(&mut self, connection: &mut Connection<T, Bytes>) {
        let more = self.stream.min(LARGEST - self.stream);
        if more == 0 || !self.load.reserve_ahead(u64::from(more * STREAMS)) {
            return;
        }
        if connection.set_initial_window_size(self.stream + more).is_err() {
            return self.load.release_ahead(u64::from(more * STREAMS));
        }
        self.stream += more;
        connection.set_target_window_size(self.stream * STREAMS);
    }

    /// Makes the windows what they were at first.
    fn shrink<T: AsyncRead + AsyncWrite + Unpin>(&mut self, connection: &mut Connection<T, Bytes>) {
        if self.stream > STREAM_WINDOW && connection.set_initial_window_size(STREAM_WINDOW).is_ok() {
            connection.set_target_window_size(STREAM_WINDOW * STREAMS);
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        self.load.release_ahead(u64::from((self.stream - STREAM_WINDOW) * STREAMS));
        self.stream = STREAM_WINDOW;
    }
}

impl Drop for Windows {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Whether a window is what a client waits for, when so many bytes were read while [`TRIPS`] pings went there and back.
fn holds_up(window: u32, read: u64) -> bool {
    read >= u64::from(window / 4 * 3)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use h2::client::SendRequest;
    use http::{Request, Response};
    use tokio::io::DuplexStream;
    use tokio::task::yield_now;

    use super::*;

    #[test]
    fn a_window_holds_up_who_fills_it() {
        assert!(holds_up(1000, 750) && holds_up(1000, 2000));
        assert!(!holds_up(1000, 749) && !holds_up(1000, 0));
    }

    /// The server's end of a connection whose client runs by itself.
    struct Server {
        connection: Connection<DuplexStream, Bytes>,
        windows: Windows,
        idle: bool,
    }

    impl Server {
        async fn connected(load: &Arc<Load>) -> (Self, SendRequest<Bytes>) {
            let (near, far) = tokio::io::duplex(64 << 10);
            let mut builder = h2::server::Builder::new();
            builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(STREAM_WINDOW * STREAMS);
            let mut client = h2::client::Builder::new();
            // So that only the window says what may be sent.
            client.max_send_buffer_size(64 << 20);
            let (connection, client) = tokio::join!(builder.handshake(near), client.handshake(far));
            let (mut connection, (sender, client)) = (connection.unwrap(), client.unwrap());
            tokio::spawn(client);
            let windows = Windows::new(connection.ping_pong(), load.clone());
            (Self { connection, windows, idle: false }, sender)
        }

        /// Goes on until the client has done what it does. Answers all requests, and reads nothing of them.
        async fn during<T>(&mut self, client: impl Future<Output = T>) -> T {
            let (mut client, mut held) = (pin!(client), Vec::new());
            poll_fn(|cx| {
                while let Poll::Ready(Some(Ok((request, mut respond)))) = pin!(self.connection.accept()).poll(cx) {
                    held.push((respond.send_response(Response::new(()), false).unwrap(), request));
                }
                assert!(self.windows.poll(&mut self.connection, self.idle, cx).is_pending());
                client.as_mut().poll(cx)
            })
            .await
        }

        /// What the client may send on a stream, as far as it has heard. So many bytes are read before, and again while a
        /// ping that this sets off is under way.
        async fn window(&mut self, sender: &SendRequest<Bytes>, bytes: usize) -> usize {
            let mut sender = sender.clone().ready().await.unwrap();
            let read = self.windows.read().clone();
            read.add(bytes);
            self.during(async {
                read.add(bytes);
                let (response, mut body) = sender.send_request(Request::new(()), false).unwrap();
                response.await.unwrap();
                body.reserve_capacity(64 << 20);
                poll_fn(|cx| body.poll_capacity(cx)).await.unwrap().unwrap()
            })
            .await
        }

        /// As if [`PING`] had gone by: what is due then is done.
        async fn wait(&mut self) {
            while self.windows.asking || self.windows.read.get() != self.windows.mark {
                self.during(yield_now()).await;
            }
            let due = Instant::now();
            self.windows.due.as_mut().reset(due);
            while self.windows.due.deadline() == due {
                self.during(yield_now()).await;
            }
        }
    }

    #[tokio::test]
    async fn an_idle_connection_gives_back_what_it_had() {
        // As much as the windows take to grow once.
        const MORE: u32 = STREAM_WINDOW * STREAMS;
        let load = Arc::new(Load::new(9, u64::from(MORE) * 16));
        let (mut server, sender) = Server::connected(&load).await;
        let first = STREAM_WINDOW as usize;
        assert_eq!(server.window(&sender, 0).await, first);
        while server.window(&sender, first).await == first {}
        let grown = server.window(&sender, 0).await;
        assert_eq!(grown, first * 2);
        assert!(!load.reserve_ahead(1), "all that there is has been promised");
        // While requests are under way it is not idle, and while it is idle for a short time it keeps what it has.
        server.wait().await;
        assert_eq!(server.window(&sender, 0).await, grown);
        server.idle = true;
        assert_eq!(server.window(&sender, 0).await, grown);
        server.wait().await;
        assert_eq!(server.window(&sender, 0).await, first);
        assert!(load.reserve_ahead(u64::from(MORE)), "the promise is taken back");
        // What was given back is not given back again.
        drop(server);
        assert!(!load.reserve_ahead(1));
    }
}
