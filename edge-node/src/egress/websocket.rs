//! WebSockets to other hosts: the client's handshake (RFC 6455 §4.1) over a connection of its own, under the same policy
//! as every outbound request: it counts among the app's connections to the origin, and for its circuit breaker.

use std::time::Duration;

use atoll_runtime::{Body, FetchFailure, OutboundResponse, Socket};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;

use super::connector::Connector;
use super::failure::failure;
use super::origin::{Head, Origin};
use crate::body::{Outgoing, incoming};
use crate::headers::remove_hop_by_hop;
use crate::websocket::connection::{self, Settings};
use crate::websocket::frame::Role;
use crate::websocket::handshake::{accept, has_token};

/// Whether an outbound request asks for a WebSocket.
pub fn asks(headers: &HeaderMap) -> bool {
    has_token(headers, &UPGRADE, "websocket")
}

/// Sends a handshake with the app's `headers`, over a connection that `connector` opens, and waits for the answer:
/// `patience` at most. An answer other than 101 is an answer like any other.
pub async fn connect(
    origin: &Origin,
    connector: Connector,
    head: Head,
    patience: Duration,
    settings: Settings,
) -> Result<OutboundResponse, FetchFailure> {
    let host = origin.host().to_owned();
    let Head { target, host: authority, mut headers, .. } = head;
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| broken(&host, "could not be greeted: no randomness"))?;
    let key = HeaderValue::from_str(&STANDARD.encode(random)).map_err(|_| broken(&host, "could not be greeted"))?;
    headers.remove(SEC_WEBSOCKET_EXTENSIONS);
    headers.insert(HOST, HeaderValue::from_str(authority.as_str()).map_err(|_| broken(&host, "is no valid host"))?);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, key.clone());
    let offered = headers.clone();
    let mut request = Request::new(Outgoing::new(Body::Empty));
    *request.uri_mut() = Uri::from(target);
    *request.headers_mut() = headers;

    let answered = origin.upgrade(connector, request, patience).await;
    let (mut response, place) = answered.map_err(|failure| failure.told(&host))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (mut parts, body) = response.into_parts();
        remove_hop_by_hop(&mut parts.headers);
        return Ok(OutboundResponse { status: parts.status, headers: parts.headers, body: incoming(body) });
    }
    check(&host, response.headers(), &offered, &key)?;
    let io = hyper::upgrade::on(&mut response).await.map_err(|error| failure(&host, &error))?;
    let (near, far) = Socket::pair();
    tokio::spawn(async move {
        // It ends with the isolate's end of it.
        let stop = std::future::pending();
        connection::run(TokioIo::new(io), Role::Client, &far, &settings, stop).await;
        drop(place);
    });
    let (mut parts, _) = response.into_parts();
    remove_hop_by_hop(&mut parts.headers);
    Ok(OutboundResponse { status: parts.status, headers: parts.headers, body: Body::Socket(near) })
}

/// Whether an answer to a handshake is one (RFC 6455 §4.1, the client's list at its end).
fn check(host: &str, answer: &HeaderMap, offered: &HeaderMap, key: &HeaderValue) -> Result<(), FetchFailure> {
    if !has_token(answer, &UPGRADE, "websocket") || !has_token(answer, &CONNECTION, "upgrade") {
        return Err(broken(host, "answered the handshake without an upgrade to websocket"));
    }
    if answer.get(SEC_WEBSOCKET_ACCEPT) != Some(&accept(key)) {
        return Err(broken(host, "answered the handshake with a wrong Sec-WebSocket-Accept"));
    }
    if answer.get(SEC_WEBSOCKET_EXTENSIONS).is_some_and(|value| !value.is_empty()) {
        return Err(broken(host, "answered the handshake with an extension that was not offered"));
    }
    match answer.get(SEC_WEBSOCKET_PROTOCOL).map(HeaderValue::to_str) {
        None => Ok(()),
        Some(Ok(chosen)) if has_token(offered, &SEC_WEBSOCKET_PROTOCOL, chosen) => Ok(()),
        Some(_) => Err(broken(host, "answered the handshake with a subprotocol that was not offered")),
    }
}

fn broken(host: &str, problem: &str) -> FetchFailure {
    FetchFailure { code: "websocket-handshake", message: format!("{host} {problem}") }
}
