//! TCP that sends large contents of the cache from where they are: `sendfile` instead of a copy of each byte.
//!
//! What is written is looked up among [sealed contents](sealed), if it is long enough. This concerns HTTP/1 in clear text:
//! TLS writes what it has encrypted, and HTTP/2 short frames.
//!
//! What the kernel takes it may keep for long, so how fast a client is shows in what it has [acknowledged](Direct::acknowledged).

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::raw::c_int;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use atoll_http_cache::sealed::{self, SealedFile};
use rustix::fs::sendfile;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::open::UNSENT;

/// The most that one call hands to the kernel, bytes: a client that reads as fast as it is sent to must not keep others
/// waiting.
const MOST: usize = 4 << 20;

/// What `sendfile` says where it has no way to send from a file.
const CANNOT: [ErrorKind; 3] = [ErrorKind::InvalidInput, ErrorKind::Unsupported, ErrorKind::OutOfMemory];

/// Slices shorter than this are not looked for, bytes, unless what was sent last was sealed.
const WORTHWHILE: usize = 64 << 10;
/// What the kernel takes of sealed contents before it has been sent, bytes, for a client that reads fast: as much as its
/// limit of a socket's memory allows, which is 4 MiB by default (`tcp_wmem`). It costs no memory beside that of the cache.
/// With less there is a wake of this process, and of the client, for every few segments, and less is left for the kernel to
/// send when the client's acknowledgements come. A client that becomes slow has a third of it to take before the kernel takes
/// more; that it goes on shows before that, in what it acknowledges.
const FAR: u32 = 4 << 20;
/// A client that makes room within this time reads fast: at least 640 KB/s.
const QUICK: Duration = Duration::from_millis(100);

/// A TCP connection.
pub struct Direct {
    stream: TcpStream,
    /// What was sent last was sealed.
    sealed: bool,
    /// The kernel takes [`FAR`], and not [`UNSENT`].
    far: bool,
    /// Since when there is no room for more of a sealed content.
    full: Option<Instant>,
    /// Bytes that the kernel has taken.
    written: u64,
}

impl Direct {
    /// A connection, of which the kernel takes [`UNSENT`].
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, sealed: false, far: false, full: None, written: 0 }
    }

    /// Bytes that the client's machine has said to have got, of all that were written; none when the kernel does not tell.
    pub fn acknowledged(&self) -> Option<u64> {
        Some(self.written.saturating_sub(unacknowledged(self.stream.as_fd())?))
    }

    /// The connection is given up: what the kernel still has for the client is dropped as soon as this is, instead of kept
    /// for minutes in case that it reads on.
    pub fn give_up(&self) {
        // Failing only costs memory.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// How much the kernel takes from here on. Failing only costs time or memory.
    fn set_far(&mut self, far: bool) {
        if self.far != far {
            self.far = far;
            let _ = SockRef::from(&self.stream).set_tcp_notsent_lowat(if far { FAR } else { UNSENT });
        }
    }

    /// Sends bytes of a sealed content, as many as the kernel takes. `None` when it cannot do that with such a file.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        file: &SealedFile,
        offset: u64,
        length: usize,
    ) -> Poll<Option<io::Result<usize>>> {
        loop {
            match self.stream.poll_write_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Pending => {
                    self.full.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
            let mut offset = offset;
            let sent = || Ok(sendfile(&self.stream, file, Some(&mut offset), length.min(MOST))?);
            return Poll::Ready(match self.stream.try_io(Interest::WRITABLE, sent) {
                // That it takes less than all does not say that it takes no more now, so it is asked again.
                Ok(sent @ 1..) => {
                    if let Some(since) = self.full.take() {
                        self.set_far(since.elapsed() < QUICK);
                    }
                    Some(Ok(sent))
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
                // Not with this socket, or not now: it is copied.
                Ok(0) => None,
                Err(error) if CANNOT.contains(&error.kind()) => None,
                Err(error) => Some(Err(error)),
            });
        }
    }

    /// Writes what stands before a sealed content, and leaves the segment open for that.
    fn poll_write_before(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
            let sent = || Ok(sendmsg(&self.stream, bufs, &mut SendAncillaryBuffer::default(), flags)?);
            match self.stream.try_io(Interest::WRITABLE, sent) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// Writes, each part in its way.
    fn poll_out(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        // The last bytes of a content go the way of the others.
        let least = if self.sealed { 1 } else { WORTHWHILE };
        let sealed = |buf: &IoSlice<'_>| if buf.len() >= least { sealed::find(buf) } else { None };
        let found = bufs.iter().enumerate().find_map(|(at, buf)| Some((at, sealed(buf)?)));
        self.sealed = found.is_some();
        let Some((at, (file, offset))) = found else {
            self.set_far(false);
            self.full = None;
            return Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        };
        let before: usize = bufs[..at].iter().map(|buf| buf.len()).sum();
        if before > 0 {
            let written = ready!(self.poll_write_before(cx, &bufs[..at]))?;
            if written < before {
                return Poll::Ready(Ok(written));
            }
        }
        let sent = match self.poll_send(cx, &file, offset, bufs[at].len()) {
            Poll::Ready(Some(sent)) => Poll::Ready(sent),
            Poll::Ready(None) => Pin::new(&mut self.stream).poll_write(cx, &bufs[at]),
            Poll::Pending => Poll::Pending,
        };
        match sent {
            Poll::Ready(Ok(sent)) => Poll::Ready(Ok(before + sent)),
            // What was written before counts now; an error shows with the next write.
            Poll::Pending | Poll::Ready(Err(_)) if before > 0 => Poll::Ready(Ok(before)),
            other => other,
        }
    }
}

/// Bytes that the kernel has of a connection and that its peer has not acknowledged (`SIOCOUTQ`, tcp(7)).
#[allow(unsafe_code, reason = "see below")]
fn unacknowledged(socket: BorrowedFd<'_>) -> Option<u64> {
    let mut bytes: c_int = 0;
    // SAFETY: `TIOCOUTQ`, as `SIOCOUTQ` is called for all that are written to, takes a pointer to an integer, to which it
    // writes and which is there as long as the call; the descriptor is open because it is borrowed.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    u64::try_from(bytes).ok().filter(|_| done == 0)
}

impl AsFd for Direct {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl AsyncRead for Direct {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Direct {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.poll_out(cx, bufs);
        if let Poll::Ready(Ok(bytes)) = written {
            this.written += bytes as u64;
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    async fn pair() -> (Direct, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpSocket::new_v4().unwrap();
        client.set_recv_buffer_size(64 << 10).unwrap();
        let (client, accepted) = tokio::join!(client.connect(listener.local_addr().unwrap()), listener.accept());
        (Direct::new(accepted.unwrap().0), client.unwrap())
    }

    fn sealed(length: usize) -> Bytes {
        let content = sealed::keep((0..length).map(|at| (at * 31 + (at >> 8)) as u8).collect());
        assert!(sealed::find(&content).is_some());
        content
    }

    #[tokio::test]
    async fn what_is_sealed_is_sent_from_its_file() {
        let (mut direct, mut client) = pair().await;
        let content = sealed(3 << 20);
        let (file, offset) = sealed::find(&content[9..]).unwrap();
        let mut read = vec![0; content.len() - 9];
        let send = async {
            let mut at = 0;
            while at < content.len() - 9 {
                let left = content.len() - 9 - at;
                let sent = poll_fn(|cx| direct.poll_send(cx, &file, offset + at as u64, left)).await;
                at += sent.expect("the kernel can").unwrap();
            }
        };
        let (_, received) = tokio::join!(send, client.read_exact(&mut read));
        received.unwrap();
        assert!(read == content[9..]);
    }

    #[tokio::test]
    async fn all_arrives_in_its_order() {
        let (mut direct, mut client) = pair().await;
        let (one, other) = (sealed(2 << 20), sealed(3 << 20));
        let plain = Bytes::from(vec![7; 300_000]);
        let parts = [
            Bytes::from_static(b"head"),
            plain.clone(),
            one.slice(5..),
            "a".into(),
            other.clone(),
            one,
            plain,
            "z".into(),
        ];
        let expected = parts.concat();
        let send = async {
            let mut left = &expected[..];
            let mut parts = parts.to_vec();
            while !parts.is_empty() {
                let bufs: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
                let mut written = poll_fn(|cx| Pin::new(&mut direct).poll_write_vectored(cx, &bufs)).await.unwrap();
                assert!(written > 0);
                left = &left[written..];
                while parts.first().is_some_and(|part| part.len() <= written) {
                    written -= parts.remove(0).len();
                }
                if let Some(first) = parts.first_mut() {
                    let _ = first.split_to(written);
                }
            }
            assert!(left.is_empty());
            direct.write_all(&other).await.unwrap();
            direct.shutdown().await.unwrap();
        };
        let mut read = Vec::new();
        let (_, received) = tokio::join!(send, client.read_to_end(&mut read));
        received.unwrap();
        assert!(read[..expected.len()] == expected && read[expected.len()..] == other);
    }

    #[tokio::test]
    async fn a_client_that_has_gone_is_an_error() {
        let (mut direct, client) = pair().await;
        drop(client);
        let content = sealed(4 << 20);
        let failed = async { while direct.write(&content).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(60), failed).await.expect("it is noticed");
    }
}
