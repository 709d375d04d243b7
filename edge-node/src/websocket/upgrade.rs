//! What becomes of a request's connection when a handshake was granted, over each version of HTTP.

use http::Extensions;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use crate::listeners::{Tunnel, TunnelOnAnswer};

/// A connection that will carry messages.
pub enum Upgrade {
    /// All of one of HTTP/1.1.
    Http1(OnUpgrade),
    /// A stream of one of HTTP/2.
    Http2(oneshot::Receiver<Tunnel>),
}

/// The bytes of a connection.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Upgrade {
    /// Takes what came with a request.
    pub fn take(extensions: &mut Extensions) -> Option<Self> {
        if let Some(tunnel) = extensions.remove::<TunnelOnAnswer>() {
            return tunnel.take().map(Self::Http2);
        }
        extensions.remove::<OnUpgrade>().map(Self::Http1)
    }

    /// Resolves when the answer has been sent; to none when there is no connection any more.
    pub async fn done(self) -> Option<Box<dyn Duplex>> {
        match self {
            Self::Http1(upgrade) => Some(Box::new(TokioIo::new(upgrade.await.ok()?))),
            Self::Http2(tunnel) => Some(Box::new(tunnel.await.ok()?)),
        }
    }
}
