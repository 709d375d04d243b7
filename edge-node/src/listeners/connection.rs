//! One connection from its first byte to its last: PROXY header, TLS, HTTP/1.1 or HTTP/2, and its orderly end.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, StatusCode, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use ipnet::IpNet;
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::{ConnectionConfig, contains};
use super::guard::Guard;
use super::proxy_protocol;
use super::stalled::Streams;
use super::stream::{Socket, Stream};
use super::tls::{CHALLENGE_PROTOCOL, Tls};
use crate::client::{Client, Transport};
use crate::hints::Hints;
use crate::load::{Connections, Load};
use crate::service::Service;

/// Between a client's silence on HTTP/2 and a ping, and between that and giving it up.
const PING: Duration = Duration::from_secs(30);

/// How long an idle HTTP/1 connection of a draining node stays open, for a request that may be on its way already: it is
/// answered with `Connection: close`.
const LAST_REQUESTS: Duration = Duration::from_millis(500);

/// What all connections of a node share.
pub struct Shared {
    /// Who answers.
    pub service: Arc<Service>,
    /// Step one of the end: take no more connections, and end each when its requests are answered.
    pub drain: CancellationToken,
    /// Step two: end all connections.
    pub kill: CancellationToken,
    /// The tasks of connections.
    pub tasks: TaskTracker,
    /// Their number.
    pub connections: Arc<Connections>,
    /// Requests and memory.
    pub load: Arc<Load>,
    /// Limits.
    pub config: ConnectionConfig,
    http: Builder<Streams>,
}

impl Shared {
    /// What connections answered by `service` share.
    pub fn new(
        service: Arc<Service>,
        load: Arc<Load>,
        config: &ConnectionConfig,
        [drain, kill]: [CancellationToken; 2],
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let mut http = Builder::new(Streams { patience: Duration::from_millis(config.write_timeout_ms) });
        // Heads are timed by the guard, which can answer with 408.
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(config.header_bytes as usize + 8192);
        http.http2()
            .timer(TokioTimer::new())
            .max_header_list_size(config.header_bytes)
            .max_concurrent_streams(config.streams)
            // WebSockets over HTTP/2 (RFC 8441).
            .enable_connect_protocol()
            .adaptive_window(true)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        let connections = Arc::new(Connections::new(config.max, config.per_client));
        Arc::new(Self { service, drain, kill, tasks, connections, load, config: config.clone(), http })
    }
}

/// What the connections of one listener share.
pub struct Entry {
    /// TLS, when it is spoken.
    pub tls: Option<Arc<Tls>>,
    /// Proxies that say who the client is.
    pub proxies: Vec<IpNet>,
    /// What clients are told whatever TLS agrees on.
    pub transport: Transport,
}

/// Serves one connection. `peer` is none on a Unix socket.
pub async fn serve(shared: Arc<Shared>, entry: Arc<Entry>, socket: Socket, peer: Option<IpAddr>) {
    let mut address = peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mut place = None;
    let behind_proxy = !entry.proxies.is_empty() && peer.is_none_or(|peer| contains(&entry.proxies, peer));
    if !behind_proxy {
        // One too many is closed at once: an answer would cost what the limit saves.
        let Some(admitted) = shared.connections.admit(address) else {
            return tracing::debug!(client = %address, rule = "connections-limit", "connection refused");
        };
        place = Some(admitted);
    }
    let head = Duration::from_millis(shared.config.header_timeout_ms);
    let (stream, transport) = match timeout(head, begin(&entry, socket, behind_proxy, &mut address)).await {
        Ok(Ok(begun)) => begun,
        Ok(Err(error)) => return tracing::debug!(client = %address, %error, "connection refused"),
        Err(_) => return tracing::debug!(client = %address, rule = "handshake-timeout", "connection refused"),
    };
    if place.is_none() {
        let Some(admitted) = shared.connections.admit(address) else {
            return tracing::debug!(client = %address, rule = "connections-limit", "connection refused");
        };
        place = Some(admitted);
    }
    let client = Arc::new(Client::new(address, transport, shared.load.clone()));
    http(&shared, stream, &client).await;
    drop(place);
}

/// Everything before HTTP.
async fn begin(
    entry: &Entry,
    mut socket: Socket,
    behind_proxy: bool,
    address: &mut IpAddr,
) -> io::Result<(Stream, Transport)> {
    if behind_proxy {
        let header = proxy_protocol::read(&mut socket).await?;
        if let Some(source) = header.source {
            *address = source.ip();
        }
    }
    let mut transport = entry.transport.clone();
    let Some(tls) = &entry.tls else { return Ok((Stream::Clear(socket), transport)) };
    let current = tls.current();
    let mut stream = TlsAcceptor::from(current.stream.clone()).accept(socket).await?;
    if stream.get_ref().1.alpn_protocol() == Some(CHALLENGE_PROTOCOL) {
        // The handshake was all that the authority came for.
        stream.shutdown().await?;
        return Err(io::Error::other("a certificate authority's challenge was answered"));
    }
    transport.tls = Some(tls.facts(&current, stream.get_ref().1));
    Ok((Stream::Tls(Box::new(stream)), transport))
}

async fn http(shared: &Shared, stream: Stream, client: &Arc<Client>) {
    let requests = AtomicU64::new(0);
    let service = service_fn(|mut request: Request<Incoming>| {
        let version = request.version();
        client.note(version);
        let refusal = client.refusal_of(requests.fetch_add(1, Ordering::Relaxed));
        if version != Version::HTTP_2
            && let Some(hints) = Hints::wanted(request.method(), version, request.headers())
        {
            request.extensions_mut().insert(hints.clone());
            client.hints.set(hints);
        }
        let (service, client) = (shared.service.clone(), client.clone());
        // Whoever runs it moves it several times, for HTTP/2 into a task of its own, and it is some KiB.
        Box::pin(async move {
            let mut response = service.answer(request, &client, refusal).await;
            if client.is_last(version) {
                response.headers_mut().entry(CONNECTION).or_insert(HeaderValue::from_static("close"));
            }
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                client.set_upgraded();
            }
            Ok::<_, Infallible>(response)
        })
    });
    let stream = TokioIo::new(Guard::new(stream, client.clone(), &shared.config));
    let mut connection = pin!(shared.http.serve_connection_with_upgrades(stream, service));
    let idle = shared.config.idle_timeout_ms;
    let mut idle_check = pin!(sleep(Duration::from_millis(idle)));
    let mut grace = pin!(sleep(Duration::ZERO));
    let (mut ending, mut last_requests) = (false, false);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(client = %client.address, %error, "connection ended");
                }
                return;
            }
            () = shared.drain.cancelled(), if !ending => {
                ending = true;
                client.set_draining();
                if client.speaks_http2() {
                    // GOAWAY tells the client which requests are still answered.
                    connection.as_mut().graceful_shutdown();
                } else {
                    last_requests = true;
                    grace.set(sleep(LAST_REQUESTS));
                }
            }
            () = grace.as_mut(), if last_requests => {
                last_requests = false;
                connection.as_mut().graceful_shutdown();
            }
            () = shared.kill.cancelled() => return,
            () = idle_check.as_mut(), if !ending => {
                let left = idle.saturating_sub(client.idle_ms());
                if left == 0 {
                    // A connection without a request has nothing to finish; this one may still have to say so.
                    if requests.load(Ordering::Relaxed) == 0 {
                        return;
                    }
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                } else {
                    idle_check.set(sleep(Duration::from_millis(left)));
                }
            }
        }
    }
}
