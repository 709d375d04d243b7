//! The transports that connections of a listener come over.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio_rustls::server::TlsStream;

use super::direct::Direct;

/// Hands a method of [`AsyncRead`] or [`AsyncWrite`] to whichever stream it is.
macro_rules! each {
    ($self:ident, $kind:ident { $($variant:ident),+ }, $method:ident $arguments:tt) => {
        match $self.get_mut() { $($kind::$variant(stream) => Pin::new(stream).$method $arguments,)+ }
    };
}

macro_rules! stream {
    ($kind:ident { $($variant:ident),+ }) => {
        impl AsyncRead for $kind {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                each!(self, $kind { $($variant),+ }, poll_read(cx, buf))
            }
        }

        impl AsyncWrite for $kind {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                each!(self, $kind { $($variant),+ }, poll_write(cx, buf))
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                each!(self, $kind { $($variant),+ }, poll_flush(cx))
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                each!(self, $kind { $($variant),+ }, poll_shutdown(cx))
            }

            fn is_write_vectored(&self) -> bool {
                match self { $($kind::$variant(stream) => stream.is_write_vectored(),)+ }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                each!(self, $kind { $($variant),+ }, poll_write_vectored(cx, bufs))
            }
        }
    };
}

/// A socket as it was accepted.
pub enum Socket {
    /// TCP.
    Tcp(Direct),
    /// A Unix socket.
    Unix(UnixStream),
}

stream!(Socket { Tcp, Unix });

impl Socket {
    fn tcp(&self) -> Option<&Direct> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Unix(_) => None,
        }
    }
}

/// What HTTP is spoken over.
pub enum Stream {
    /// In clear text.
    Clear(Socket),
    /// TLS.
    Tls(Box<TlsStream<Socket>>),
}

stream!(Stream { Clear, Tls });

impl Stream {
    fn tcp(&self) -> Option<&Direct> {
        match self {
            Self::Clear(socket) => socket.tcp(),
            Self::Tls(stream) => stream.get_ref().0.tcp(),
        }
    }

    /// Bytes that have reached the client's machine, of all that were sent to it; none where that is not known. Under TLS
    /// these are its records.
    pub fn acknowledged(&self) -> Option<u64> {
        self.tcp()?.acknowledged()
    }

    /// The client gets nothing more, not even what has been written.
    pub fn give_up(&self) {
        if let Some(stream) = self.tcp() {
            stream.give_up();
        }
    }
}
