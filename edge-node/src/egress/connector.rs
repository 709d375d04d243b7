//! Connections to origins: the address that was checked is the address that is connected to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address_policy::AddressPolicy;
use super::dns::Dns;
use super::eyeballs::{self, ATTEMPT_DELAY};
use super::roots;

/// Why there is no connection. The text names the host, never an address.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("the name {0} could not be resolved")]
    Dns(String),
    /// The policy forbids every address of the host.
    #[error("connections to {0} are not allowed: it is not a public address")]
    AddressForbidden(String),
    /// The policy forbids the port.
    #[error("connections to port {0} are not allowed")]
    PortForbidden(u16),
    /// No address of the host accepted a connection.
    #[error("{0} could not be connected to")]
    Connect(String),
    /// The time for connecting is over.
    #[error("{0} could not be connected to in time")]
    Timeout(String),
    /// The certificate was refused, or the other side speaks no TLS.
    #[error("no secure connection to {host}: {problem}")]
    Tls {
        /// The host.
        host: String,
        /// What the TLS library says.
        problem: String,
    },
    /// The URL has no host or a scheme that is not `http` or `https`.
    #[error("{0} is not an http or https URL with a host")]
    Url(String),
}

impl ConnectError {
    /// A stable word for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::AddressForbidden(_) => "address-forbidden",
            Self::PortForbidden(_) => "port-forbidden",
            Self::Connect(_) => "connect",
            Self::Timeout(_) => "connect-timeout",
            Self::Tls { .. } => "tls",
            Self::Url(_) => "url-invalid",
        }
    }
}

/// Opens connections under an [`AddressPolicy`]. Cheap to clone.
#[derive(Clone)]
pub struct Connector(Arc<Inner>);

struct Inner {
    policy: AddressPolicy,
    dns: Arc<Dns>,
    tls: TlsConnector,
    timeout: Duration,
}

impl Connector {
    /// A connector whose TLS trusts the system's certificates and offers `alpn`, the best protocol first.
    pub(crate) fn new(policy: AddressPolicy, connect_timeout: Duration, alpn: &[&str]) -> Self {
        Self::with_roots(policy, connect_timeout, alpn, roots::of_system())
    }

    /// The same with these certificates to trust.
    pub(crate) fn with_roots(
        policy: AddressPolicy,
        connect_timeout: Duration,
        alpn: &[&str],
        roots: RootCertStore,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider supports TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let tls = TlsConnector::from(Arc::new(config));
        Self(Arc::new(Inner { policy, dns: Arc::new(Dns::from_system()), tls, timeout: connect_timeout }))
    }
}

impl Connector {
    /// The same with other protocols.
    pub fn with_alpn(&self, alpn: &[&str]) -> Self {
        let mut config = self.0.tls.config().as_ref().clone();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let tls = TlsConnector::from(Arc::new(config));
        let (policy, dns) = (self.0.policy.clone(), self.0.dns.clone());
        Self(Arc::new(Inner { policy, dns, tls, timeout: self.0.timeout }))
    }

    /// A connector to every address, for the platform's own connections and never for an app's; it speaks HTTP/1.1.
    pub fn to_everything(connect_timeout: Duration) -> Self {
        Self::new(AddressPolicy::everything(), connect_timeout, &["http/1.1"])
    }
}

impl tower::Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Stream, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = self.0.clone();
        async move {
            let host = uri.host().unwrap_or_default().to_owned();
            timeout(inner.timeout, inner.connect(uri)).await.unwrap_or(Err(ConnectError::Timeout(host)))
        }
        .boxed()
    }
}

impl Inner {
    async fn connect(&self, uri: Uri) -> Result<Stream, ConnectError> {
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(ConnectError::Url(uri.to_string())),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| ConnectError::Url(uri.to_string()))?;
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        if !self.policy.check_port(port) {
            return Err(ConnectError::PortForbidden(port));
        }
        let addresses = self.dns.resolve(host).await.map_err(|error| ConnectError::Dns(error.0))?;
        let allowed: Vec<IpAddr> = addresses
            .into_iter()
            .filter(|address| match self.policy.check(*address) {
                Ok(()) => true,
                Err(refusal) => {
                    tracing::debug!(host, %address, reason = refusal.as_str(), "address refused");
                    false
                }
            })
            .collect();
        if allowed.is_empty() {
            return Err(ConnectError::AddressForbidden(host.to_owned()));
        }
        let connect = |address| async move {
            let stream = TcpStream::connect(SocketAddr::new(address, port)).await?;
            // Failing only costs latency.
            let _ = stream.set_nodelay(true);
            Ok::<_, io::Error>(stream)
        };
        let tcp = eyeballs::race(&eyeballs::order(allowed), ATTEMPT_DELAY, connect)
            .await
            .ok_or_else(|| ConnectError::Connect(host.to_owned()))?;
        if !secure {
            return Ok(Stream::Plain(TokioIo::new(tcp)));
        }
        let failed = |problem: String| ConnectError::Tls { host: host.to_owned(), problem };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| failed(error.to_string()))?;
        let tls = self.tls.connect(name, tcp).await.map_err(|error| failed(error.to_string()))?;
        Ok(Stream::Tls(Box::new(TokioIo::new(tls))))
    }
}

/// A connection to an origin.
pub enum Stream {
    /// `http:`
    Plain(TokioIo<TcpStream>),
    /// `https:`
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Stream {
    /// Whether TLS has agreed on HTTP/2.
    pub(crate) fn speaks_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.inner().get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.speaks_http2() { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }
}
