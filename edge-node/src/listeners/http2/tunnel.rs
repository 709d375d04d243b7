//! A stream of HTTP/2 that became a connection (RFC 9113 §8.5, RFC 8441).

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// Bytes that are written at once.
const PIECE: usize = 16 << 10;

/// Stands in the extensions of a request that asks for a tunnel; can be taken once.
#[derive(Clone)]
pub struct TunnelOnAnswer(Arc<Mutex<Option<oneshot::Receiver<Tunnel>>>>);

/// The other end: who answers the request.
pub struct TunnelSetter(oneshot::Sender<Tunnel>);

impl TunnelOnAnswer {
    /// Both ends.
    pub fn pair() -> (Self, TunnelSetter) {
        let (setter, tunnel) = oneshot::channel();
        (Self(Arc::new(Mutex::new(Some(tunnel)))), TunnelSetter(setter))
    }

    /// Resolves when the request has been granted.
    pub fn take(&self) -> Option<oneshot::Receiver<Tunnel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl TunnelSetter {
    /// The request has been granted.
    pub fn set(self, tunnel: Tunnel) {
        // Nobody waits for it where the node is shutting down.
        let _ = self.0.send(tunnel);
    }
}

/// The bytes of both directions.
pub struct Tunnel {
    from: RecvStream,
    to: SendStream<Bytes>,
    /// Has been received and not read.
    unread: Bytes,
}

impl Tunnel {
    /// Both directions of a stream.
    pub fn new(from: RecvStream, to: SendStream<Bytes>) -> Self {
        Self { from, to, unread: Bytes::new() }
    }
}

fn broken(error: h2::Error) -> io::Error {
    if error.is_io() {
        error.into_io().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())
    } else {
        io::Error::other(error)
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.unread.is_empty() {
            match ready!(this.from.poll_data(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(data)) => this.unread = data,
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let taken = this.unread.len().min(buf.remaining());
        buf.put_slice(&this.unread[..taken]);
        this.unread.advance(taken);
        // It fails only on a stream that has been reset, which shows with the next read.
        let _ = this.from.flow_control().release_capacity(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Poll::Ready(reset) = this.to.poll_reset(cx) {
            return Poll::Ready(Err(reset.map_or_else(broken, |reason| broken(reason.into()))));
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        this.to.reserve_capacity(buf.len().min(PIECE));
        while this.to.capacity() == 0 {
            match ready!(this.to.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let taken = this.to.capacity().min(buf.len());
        let sent = this.to.send_data(Bytes::copy_from_slice(&buf[..taken]), false);
        Poll::Ready(sent.map(|()| taken).map_err(broken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's task sends what there is.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.to.send_data(Bytes::new(), true).map_err(broken))
    }
}
