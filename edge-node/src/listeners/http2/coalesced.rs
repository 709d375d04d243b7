//! Holds back what h2 writes until it has written all it can: it flushes after each frame of data, and a record of TLS and
//! a system call for each frame cost more than copying it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are held back: two full records of TLS.
const MOST: usize = 32 << 10;
/// A buffer up to this size is kept while there is nothing to send, bytes.
const KEPT: usize = 1 << 10;

/// A stream that h2 and the connection's task share. Flushing it does nothing; who has it polled h2 to the end of its
/// work calls [`poll_send`](Self::poll_send).
pub struct Coalesced<S>(Arc<Mutex<Inner<S>>>);

struct Inner<S> {
    stream: S,
    /// What the node's first settings say of heads, as long as they are not sent.
    header_bytes: Option<u32>,
    held: Vec<u8>,
    /// How much of it is sent.
    sent: usize,
    /// What was sent may wait in the stream.
    unflushed: bool,
}

impl<S> Clone for Coalesced<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: AsyncWrite + Unpin> Coalesced<S> {
    /// Nothing is written yet. Heads of requests may have so many bytes; h2 takes larger ones, and would tell the client so.
    pub fn new(stream: S, header_bytes: u32) -> Self {
        let header_bytes = Some(header_bytes);
        Self(Arc::new(Mutex::new(Inner { stream, header_bytes, held: Vec::new(), sent: 0, unflushed: false })))
    }

    /// Sends all that has been written.
    pub fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_send(cx)
    }
}

impl<S> Coalesced<S> {
    /// Nobody waits for it: one task has all clones.
    fn inner(&self) -> MutexGuard<'_, Inner<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> Inner<S> {
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.held.is_empty()
            && let Some(header_bytes) = self.header_bytes.take()
        {
            set_max_header_list_size(&mut self.held, header_bytes);
        }
        while self.sent < self.held.len() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.held[self.sent..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
            self.unflushed = true;
        }
        self.sent = 0;
        self.held.clear();
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_empty(cx))?;
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        self.held.shrink_to(KEPT);
        Poll::Ready(Ok(()))
    }

    fn poll_hold(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.held.len() >= MOST {
            ready!(self.poll_empty(cx))?;
        }
        let mut taken = 0;
        for buf in bufs {
            let part = &buf[..buf.len().min(MOST - self.held.len())];
            self.held.extend_from_slice(part);
            taken += part.len();
        }
        Poll::Ready(Ok(taken))
    }
}

/// Changes SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113 §6.5.2) in a frame of settings, if that comes first.
fn set_max_header_list_size(frames: &mut [u8], value: u32) {
    let [0, 0, length, 4, 0, _, _, _, _, payload @ ..] = frames else { return };
    let length = usize::from(*length).min(payload.len());
    for setting in payload[..length].chunks_exact_mut(6).filter(|setting| setting[..2] == [0, 6]) {
        setting[2..].copy_from_slice(&value.to_be_bytes());
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Coalesced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalesced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.inner().poll_hold(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_hold(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_written_in_parts_is_sent_at_once_and_whole() {
        let (near, mut far) = duplex(100_000);
        let mut coalesced = Coalesced::new(near, 0);
        for part in ["a", "bc", ""] {
            coalesced.write_all(part.as_bytes()).await.unwrap();
            coalesced.flush().await.unwrap();
        }
        let cx = &mut Context::from_waker(Waker::noop());
        let mut sent = [0; 16];
        let mut read = ReadBuf::new(&mut sent);
        assert!(Pin::new(&mut far).poll_read(cx, &mut read).is_pending());
        assert!(coalesced.poll_send(cx).is_ready());
        assert!(Pin::new(&mut far).poll_read(cx, &mut read).is_ready());
        assert_eq!(read.filled(), b"abc");

        let all: Vec<u8> = (0..5 * MOST / 2).map(|at| (at % 251) as u8).collect();
        let expected = all.clone();
        let mut writing = coalesced.clone();
        let write = async move {
            writing.write_all(&all).await.unwrap();
            writing.shutdown().await.unwrap();
        };
        let mut arrived = Vec::new();
        let (_, count) = tokio::join!(write, far.read_to_end(&mut arrived));
        assert_eq!(count.unwrap(), expected.len());
        assert!(arrived == expected);
        assert!(coalesced.inner().held.capacity() <= KEPT);
    }

    #[tokio::test]
    async fn a_stream_that_takes_nothing_holds_the_writer_up() {
        let (near, mut far) = duplex(10);
        let mut coalesced = Coalesced::new(near, 0);
        let cx = &mut Context::from_waker(Waker::noop());
        let bytes = [7; MOST + 1];
        assert!(matches!(Pin::new(&mut coalesced).poll_write(cx, &bytes), Poll::Ready(Ok(MOST))));
        assert!(Pin::new(&mut coalesced).poll_write(cx, &bytes[MOST..]).is_pending());
        assert!(coalesced.poll_send(cx).is_pending());
        let mut sink = vec![0; MOST];
        let (sent, read) = tokio::join!(std::future::poll_fn(|cx| coalesced.poll_send(cx)), far.read_exact(&mut sink));
        assert!(sent.is_ok() && read.is_ok() && sink == bytes[..MOST]);
        drop(far);
        coalesced.write_all(b"x").await.unwrap();
        assert!(std::future::poll_fn(|cx| coalesced.poll_send(cx)).await.is_err());
    }
}
