//! The HTTP client for all outbound requests: of handlers, and of apps that are a proxy.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use atoll_runtime::{Body, FetchFailure, OutboundRequest, OutboundResponse};
use http::header::{CONTENT_LENGTH, EXPECT, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::address_policy::AddressPolicy;
use super::breaker::BreakerSettings;
use super::connector::Connector;
use super::origin::{Head, OriginSettings, Place, Speaks};
use super::pool::Pool;
use super::{roots, websocket};
use crate::body::{Outgoing, taken};
use crate::config::EgressConfig;
use crate::headers::{add_loop_mark, loop_depth, remove_hop_by_hop};
use crate::websocket::Terms;

/// How long an origin may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until an answer begins, after the request was sent.
    pub answer: Duration,
    /// For each next part of an answer's body.
    pub idle: Duration,
}

/// A request to an origin.
pub struct Outbound {
    /// The app that makes it.
    pub app: Arc<str>,
    /// Where it goes.
    pub place: Place,
    /// The request but for its body. Fields that concern a connection are left out.
    pub head: Head,
    /// Its body.
    pub body: Body,
    /// How long it may take.
    pub patience: Patience,
}

/// Outbound requests under the operator's policy.
pub struct Egress {
    pool: Arc<Pool>,
    websocket: Terms,
    runtime: Handle,
    loop_limit: usize,
    patience: Patience,
}

impl Egress {
    /// A client whose connections and tasks live on the current tokio runtime. Fails when the file with certificates to
    /// trust cannot be used.
    pub fn new(config: &EgressConfig, websocket: Terms) -> io::Result<Self> {
        let millis = Duration::from_millis;
        let policy = AddressPolicy::new(config.allow.clone());
        let roots = roots::with_file(config.ca_file.as_deref())?;
        let connect = millis(config.connect_timeout_ms);
        let connector = Connector::with_roots(policy, connect, &["http/1.1"], roots);
        let settings = OriginSettings {
            connections: config.origin_connections,
            queue: config.origin_queue,
            connect,
            breaker: BreakerSettings { failures: config.breaker_failures, pause: millis(config.breaker_pause_ms) },
        };
        Ok(Self {
            pool: Pool::new(&connector, settings),
            websocket,
            runtime: Handle::current(),
            loop_limit: config.loop_depth,
            patience: Patience { answer: millis(config.answer_timeout_ms), idle: millis(config.idle_timeout_ms) },
        })
    }

    /// How long origins may take unless something else is said.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// Sends one request of an app's code. The future may be polled on any thread; dropping it gives the request up.
    pub fn fetch(
        &self,
        app: &Arc<str>,
        request: OutboundRequest,
    ) -> impl Future<Output = Result<OutboundResponse, FetchFailure>> + Send + use<> {
        let sending = outbound(app, request, self.patience).map(|outbound| self.send(outbound));
        async move { sending?.await }
    }

    /// Sends one request. The future may be polled on any thread; dropping it gives the request up.
    pub fn send(
        &self,
        outbound: Outbound,
    ) -> impl Future<Output = Result<OutboundResponse, FetchFailure>> + Send + use<> {
        let (pool, websocket, loop_limit) = (self.pool.clone(), self.websocket.clone(), self.loop_limit);
        let task = AbortOnDropHandle::new(self.runtime.spawn(exchange(pool, websocket, outbound, loop_limit)));
        async move {
            task.await.unwrap_or_else(|_| {
                Err(FetchFailure { code: "node-stopping", message: "the node is shutting down".into() })
            })
        }
    }
}

/// A request of an app's code: the URL says where it goes and what `Host` says.
fn outbound(app: &Arc<str>, request: OutboundRequest, patience: Patience) -> Result<Outbound, FetchFailure> {
    let OutboundRequest { method, url, headers, body } = request;
    let invalid = || FetchFailure { code: "url-invalid", message: format!("{url} is not a URL that can be fetched") };
    let uri = url.as_str().parse::<Uri>().map_err(|_| invalid())?.into_parts();
    let scheme = uri.scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let authority = without_user(uri.authority.ok_or_else(invalid)?).ok_or_else(invalid)?;
    let place = Place { scheme: scheme.ok_or_else(invalid)?, authority: authority.clone(), speaks: Speaks::Negotiated };
    let target = uri.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
    let head = Head { method, target, host: authority, headers, hints: None };
    Ok(Outbound { app: app.clone(), place, head, body, patience })
}

fn without_user(authority: Authority) -> Option<Authority> {
    match authority.as_str().rsplit_once('@') {
        None => Some(authority),
        Some((_, host)) => host.parse().ok(),
    }
}

async fn exchange(
    pool: Arc<Pool>,
    websocket: Terms,
    outbound: Outbound,
    loop_limit: usize,
) -> Result<OutboundResponse, FetchFailure> {
    let Outbound { app, place, mut head, body, patience } = outbound;
    let host = place.authority.host().to_owned();
    let depth = loop_depth(&head.headers);
    if depth >= loop_limit {
        return Err(FetchFailure {
            code: "loop-detected",
            message: format!("the request to {host} already passed this platform {depth} times: a loop"),
        });
    }
    let asks = websocket::asks(&head.headers);
    let says_empty = matches!(body, Body::Empty);
    prepare(&head.method, &mut head.headers, says_empty);
    let origin = pool.origin(&app, place);
    if asks {
        return websocket::connect(&origin, pool.for_upgrades(), head, patience.answer, websocket.of(&app)).await;
    }
    let answered = origin.send(head, Outgoing::new(body), patience.answer).await;
    let (mut parts, body) = answered.map_err(|failure| failure.told(&host))?.into_parts();
    remove_hop_by_hop(&mut parts.headers);
    let (body, _) = taken(pool.watched.watch(body, patience.idle), u64::MAX);
    Ok(OutboundResponse { status: parts.status, headers: parts.headers, body })
}

/// Leaves out what the connection says itself, and adds what this platform says.
fn prepare(method: &Method, headers: &mut HeaderMap, empty: bool) {
    remove_hop_by_hop(headers);
    headers.remove(HOST);
    headers.remove(CONTENT_LENGTH);
    // Whoever sent it has been told to go on (RFC 9110 §10.1.1).
    headers.remove(EXPECT);
    // Fetch standard, "HTTP-network-or-cache fetch", steps 8.4 and 8.5.
    if empty && (method == Method::POST || method == Method::PUT) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    add_loop_mark(headers);
}
