//! Connections from the world: HTTP/1.1 and HTTP/2 with prior knowledge over TCP, and their orderly end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::request::Client;
use crate::service::Service;

/// All header fields of a request, bytes; more get 431.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// For a request's head, and for the first request of a connection.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// Requests of one HTTP/2 connection under way at once.
const MAX_STREAMS: u32 = 256;
/// After the kernel refused a connection, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until told otherwise, in two steps.
pub struct Listener {
    service: Arc<Service>,
    /// Step one: take no more connections, and end each when its requests are answered.
    drain: CancellationToken,
    /// Step two: end all connections.
    kill: CancellationToken,
    connections: TaskTracker,
    http: Builder<TokioExecutor>,
}

impl Listener {
    /// A listener for `service`. Its tasks are counted by `connections`.
    pub fn new(
        service: Arc<Service>,
        drain: CancellationToken,
        kill: CancellationToken,
        connections: TaskTracker,
    ) -> Arc<Self> {
        let mut http = Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(MAX_HEADER_BYTES);
        http.http2()
            .timer(TokioTimer::new())
            .max_header_list_size(MAX_HEADER_BYTES as u32)
            .max_concurrent_streams(MAX_STREAMS)
            // WebSockets over HTTP/2 (RFC 8441).
            .enable_connect_protocol()
            .adaptive_window(true)
            .keep_alive_interval(HEADER_TIME)
            .keep_alive_timeout(HEADER_TIME);
        Arc::new(Self { service, drain, kill, connections, http })
    }

    /// Takes connections until draining begins.
    pub async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.drain.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.connections.spawn(self.clone().connection(stream, peer));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        // Failing only costs latency.
        let _ = stream.set_nodelay(true);
        let client = Arc::new(Client::new(peer.ip()));
        let active = Arc::new(AtomicBool::new(false));
        let service = service_fn(|request| {
            active.store(true, Ordering::Relaxed);
            let (service, client) = (self.service.clone(), client.clone());
            async move { Ok::<_, Infallible>(service.answer(request, &client).await) }
        });
        let mut connection = pin!(self.http.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let mut first_request = pin!(tokio::time::sleep(HEADER_TIME));
        let (mut waiting, mut draining) = (true, false);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                    return;
                }
                () = self.drain.cancelled(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = self.kill.cancelled() => return,
                () = first_request.as_mut(), if waiting => {
                    waiting = false;
                    if !active.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        }
    }
}
