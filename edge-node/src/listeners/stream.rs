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

/// What HTTP is spoken over.
pub enum Stream {
    /// In clear text.
    Clear(Socket),
    /// TLS.
    Tls(Box<TlsStream<Socket>>),
}

stream!(Stream { Clear, Tls });
