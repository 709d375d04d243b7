//! One pooled HTTP client for the outbound requests of all apps.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use atoll_runtime::{Body, FetchFailure, OutboundRequest, OutboundResponse};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderValue, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::address_policy::AddressPolicy;
use super::connector::{ConnectError, Connector};
use super::websocket;
use crate::body::{Outgoing, incoming};
use crate::config::EgressConfig;
use crate::headers::{add_loop_mark, loop_depth, remove_hop_by_hop};
use crate::websocket::connection::Settings;

/// Outbound `fetch` under the operator's policy.
pub struct Egress {
    client: Client<Connector, Outgoing>,
    /// For connections that become WebSockets.
    upgrading: Connector,
    websocket: Settings,
    runtime: Handle,
    loop_limit: usize,
}

impl Egress {
    /// A client whose connections and tasks live on the current tokio runtime.
    pub fn new(config: &EgressConfig, websocket: Settings) -> Self {
        let policy = AddressPolicy::new(config.allow.clone());
        let timeout = Duration::from_millis(config.connect_timeout_ms);
        let connector = Connector::new(policy, timeout, &["h2", "http/1.1"]);
        let upgrading = connector.with_alpn(&["http/1.1"]);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(32)
            .http1_max_headers(200)
            .build(connector);
        Self { client, upgrading, websocket, runtime: Handle::current(), loop_limit: config.loop_depth }
    }

    /// Sends one request. The future may be polled on any thread; dropping it gives the request up.
    pub fn fetch(
        &self,
        request: OutboundRequest,
    ) -> impl Future<Output = Result<OutboundResponse, FetchFailure>> + Send + use<> {
        let client = self.client.clone();
        let upgrading = (self.upgrading.clone(), self.websocket.clone());
        let loop_limit = self.loop_limit;
        let task = AbortOnDropHandle::new(self.runtime.spawn(send(client, upgrading, request, loop_limit)));
        async move {
            task.await.unwrap_or_else(|_| {
                Err(FetchFailure { code: "node-stopping", message: "the node is shutting down".into() })
            })
        }
    }
}

async fn send(
    client: Client<Connector, Outgoing>,
    upgrading: (Connector, Settings),
    outbound: OutboundRequest,
    loop_limit: usize,
) -> Result<OutboundResponse, FetchFailure> {
    let host = outbound.url.host_str().unwrap_or_default().to_owned();
    let uri: Uri = outbound.url.as_str().parse().map_err(|_| FetchFailure {
        code: "url-invalid",
        message: format!("{} is not a URL that can be fetched", outbound.url),
    })?;
    let depth = loop_depth(&outbound.headers);
    if depth >= loop_limit {
        return Err(FetchFailure {
            code: "loop-detected",
            message: format!("the request to {host} already passed this platform {depth} times: a loop"),
        });
    }
    // Fetch standard, "HTTP-network-or-cache fetch", steps 8.4 and 8.5.
    let says_empty = matches!(outbound.body, Body::Empty) && (outbound.method == "POST" || outbound.method == "PUT");
    let mut request = Request::new(Outgoing::new(outbound.body));
    *request.method_mut() = outbound.method;
    *request.uri_mut() = uri;
    *request.headers_mut() = outbound.headers;
    let headers = request.headers_mut();
    let asks = websocket::asks(headers);
    remove_hop_by_hop(headers);
    headers.remove(HOST);
    headers.remove(CONTENT_LENGTH);
    if says_empty {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    add_loop_mark(headers);
    if asks {
        let (parts, _) = request.into_parts();
        return websocket::connect(upgrading.0, parts.uri, parts.headers, upgrading.1).await;
    }

    let response = client.request(request).await.map_err(|error| failure(&host, &error))?;
    let (mut parts, body) = response.into_parts();
    remove_hop_by_hop(&mut parts.headers);
    Ok(OutboundResponse { status: parts.status, headers: parts.headers, body: incoming(body) })
}

pub(super) fn failure(host: &str, error: &(dyn Error + 'static)) -> FetchFailure {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(connect) = error.downcast_ref::<ConnectError>() {
            return FetchFailure { code: connect.code(), message: connect.to_string() };
        }
        if let Some(http) = error.downcast_ref::<hyper::Error>() {
            let (code, problem) = if http.is_parse() {
                ("protocol", "answered with something that is not HTTP")
            } else if http.is_timeout() {
                ("timeout", "did not answer in time")
            } else if http.is_user() {
                ("request-body", "was not sent the whole request: its body failed")
            } else {
                ("closed", "closed the connection before it answered")
            };
            return FetchFailure { code, message: format!("{host} {problem}") };
        }
        cause = error.source();
    }
    FetchFailure { code: "connect", message: format!("the request to {host} failed") }
}
