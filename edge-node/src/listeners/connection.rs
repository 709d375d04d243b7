//! One connection from its first byte to its last: PROXY header, TLS, HTTP/1.1 or HTTP/2, and its orderly end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use atoll_runtime::inline::{elsewhere, inline};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use http::header::CONNECTION;
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::{ConnectionConfig, contains};
use super::guard::Guard;
use super::stream::{Socket, Stream};
use super::tls::{CHALLENGE_PROTOCOL, Tls};
use super::{http2, proxy_protocol};
use crate::client::{Client, Transport};
use crate::hints::Hints;
use crate::load::{Connections, Load};
use crate::service::Service;

/// How long an idle HTTP/1 connection of a draining node stays open, for a request that may be on its way already: it is
/// answered with `Connection: close`.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

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
    http1: http1::Builder,
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
        let mut http1 = http1::Builder::new();
        // Heads are timed by the guard, which can answer with 408.
        http1.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(config.header_bytes as usize + 8192);
        let connections = Arc::new(Connections::new(config.max, config.per_client));
        Arc::new(Self { service, drain, kill, tasks, connections, load, config: config.clone(), http1 })
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
    let mut stream = Guard::new(stream, client.clone(), &shared.config);
    match begins(&shared, &mut stream).await {
        Some(true) => http2::serve(&shared, stream, &client).await,
        Some(false) => inline(http1(shared, stream, client)).await,
        None => {}
    }
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

/// Whether the connection speaks HTTP/2; `None` when it ends before it says so.
async fn begins(shared: &Shared, stream: &mut Guard) -> Option<bool> {
    let draining = async {
        shared.drain.cancelled().await;
        sleep(LAST_REQUESTS).await;
    };
    tokio::select! {
        // What has arrived counts, however late this comes to look at it.
        biased;
        begun = poll_fn(|cx| stream.poll_begin(cx)) => match begun {
            Ok(speaks_http2) => Some(speaks_http2),
            Err(error) => {
                tracing::debug!(%error, "connection ended");
                None
            }
        },
        () = draining => None,
        () = sleep(Duration::from_millis(shared.config.idle_timeout_ms)) => None,
        () = shared.kill.cancelled() => None,
    }
}

async fn http1(shared: Arc<Shared>, stream: Guard, client: Arc<Client>) {
    let requests = AtomicU64::new(0);
    let service = service_fn(|mut request: Request<Incoming>| {
        let version = request.version();
        let refusal = client.refusal_of(requests.fetch_add(1, Ordering::Relaxed));
        if let Some(hints) = Hints::wanted(request.method(), version, request.headers()) {
            request.extensions_mut().insert(hints.clone());
            client.hints.set(hints);
        }
        let (service, client) = (shared.service.clone(), client.clone());
        // Whoever runs it moves it several times, and it is some KiB.
        Box::pin(async move {
            elsewhere().await;
            let mut response = service.answer(request, &client, refusal).await;
            if client.is_draining() {
                response.headers_mut().entry(CONNECTION).or_insert(HeaderValue::from_static("close"));
            }
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                client.set_upgraded();
            }
            Ok::<_, Infallible>(response)
        })
    });
    let mut connection = pin!(shared.http1.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let idle = shared.config.idle_timeout_ms;
    let check = |ms| sleep(Duration::from_millis(ms)).map(|()| Signal::Idle).boxed();
    // Asks each of them only when it has something to say: most take a lock to answer, and here it would be for every request.
    let mut signals = FuturesUnordered::from_iter([
        shared.kill.cancelled().map(|()| Signal::Kill).boxed(),
        shared.drain.cancelled().map(|()| Signal::Drain).boxed(),
        check(idle),
    ]);
    let mut ending = false;
    loop {
        let signal = tokio::select! {
            biased;
            Some(signal) = signals.next() => signal,
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(client = %client.address, %error, "connection ended");
                }
                return;
            }
        };
        match signal {
            Signal::Kill => return,
            Signal::Drain if !ending => {
                ending = true;
                client.set_draining();
                signals.push(sleep(LAST_REQUESTS).map(|()| Signal::LastRequests).boxed());
            }
            Signal::LastRequests => {
                // A busy node may come to this late: what has arrived by then is read first.
                if futures::poll!(connection.as_mut()).is_ready() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
            Signal::Idle if !ending => match idle.saturating_sub(client.idle_ms()) {
                // A connection without a request has nothing to finish; this one may still have to say so.
                0 if requests.load(Ordering::Relaxed) == 0 => return,
                0 => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                left => signals.push(check(left)),
            },
            Signal::Drain | Signal::Idle => {}
        }
    }
}

/// What happens to a connection beside its requests.
enum Signal {
    /// All connections end.
    Kill,
    /// The node takes no more connections, and this one is to end.
    Drain,
    /// The requests that may have been on their way then have had their time.
    LastRequests,
    /// It is time to look how long there has been no request.
    Idle,
}
