//! The private listener: whether the node lives (`/healthz`) and whether it should get traffic (`/readyz`).

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::follow::Status;
use crate::load::Load;

/// For a request's head.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// Connections at once; more wait.
const CONNECTIONS: usize = 64;

/// What the private listener tells of.
pub struct Private {
    /// Whether the node has a state to serve.
    pub status: watch::Receiver<Status>,
    /// Cancelled as soon as the node takes no more connections.
    pub drain: CancellationToken,
    /// Requests and memory.
    pub load: Arc<Load>,
}

impl Private {
    /// Answers until cancelled.
    pub async fn run(self, listener: TcpListener, cancel: CancellationToken) {
        let (this, places) = (Arc::new(self), Arc::new(Semaphore::new(CONNECTIONS)));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = cancel.cancelled() => return,
            };
            let Ok((stream, _)) = accepted else { continue };
            let (this, cancel) = (this.clone(), cancel.clone());
            tokio::spawn(async move {
                let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(this.answer(&request))));
                let mut http = http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(16 << 10);
                tokio::select! {
                    // Whether the asker got its answer is its own business.
                    _ = http.serve_connection(TokioIo::new(stream), service) => {}
                    () = cancel.cancelled() => {}
                }
                drop(place);
            });
        }
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let (status, text) = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, "alive\n"),
            (&Method::GET | &Method::HEAD, "/readyz") => self.readiness(),
            (&Method::GET | &Method::HEAD, _) => (StatusCode::NOT_FOUND, "there are /healthz and /readyz\n"),
            _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"),
        };
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    fn readiness(&self) -> (StatusCode, &'static str) {
        let not = StatusCode::SERVICE_UNAVAILABLE;
        match () {
            () if self.drain.is_cancelled() => (not, "draining\n"),
            () if !self.status.borrow().ready => (not, "starting: no state to serve yet\n"),
            () if self.load.is_shedding() => (not, "overloaded: memory is used up\n"),
            () => (StatusCode::OK, "ready\n"),
        }
    }
}

/// Binds the private listener, or takes over that of the process before.
pub async fn bind(address: SocketAddr, inherited: Option<OwnedFd>) -> io::Result<TcpListener> {
    match inherited.map(std::net::TcpListener::from) {
        None => TcpListener::bind(address).await,
        Some(listener) => {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        }
    }
}
