//! From what an app gave, or failed to give, to the HTTP response; and what is to be done when it is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use atoll_protocol::api::ERROR_HEADER;
use atoll_runtime::{Body, BodyError, FetchResponse, HandlerError};
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::access_log::{AccessLog, Record};
use crate::body::Outgoing;
use crate::client::InFlight;
use crate::dispatch::{DispatchError, Instance};
use crate::errors::EdgeError;
use crate::headers::remove_hop_by_hop;
use crate::state::Permit;

const ATOLL_ERROR: HeaderName = HeaderName::from_static(ERROR_HEADER);

/// An app's answer as HTTP to a request with `method`. A WebSocket is answered [elsewhere](crate::websocket); here it is
/// one that nobody asked for.
/// Framing is this node's business, whatever the app set.
pub fn from_app(method: &Method, answer: FetchResponse) -> Result<Response<Outgoing>, HandlerError> {
    let status = answer.status;
    if matches!(answer.body, Body::Socket(_)) {
        return Err(HandlerError::InvalidResponse("it has a webSocket, but the request was not a handshake".into()));
    }
    if status.is_informational() {
        return Err(HandlerError::InvalidResponse(format!("the status {status} cannot end a request")));
    }
    let mut headers = answer.headers;
    remove_hop_by_hop(&mut headers);
    let announced = headers.remove(CONTENT_LENGTH);
    // RFC 9110 §6.4.1: these never have content, but all except 204 may say how much there would be.
    let bodiless = method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let mut body = answer.body;
    if bodiless || status == StatusCode::RESET_CONTENT {
        let length = match &body {
            Body::Full(bytes) => Some(HeaderValue::from(bytes.len())),
            Body::Stream { length, .. } => length.map(HeaderValue::from),
            Body::Empty | Body::Socket(_) => announced.filter(valid_length),
        };
        if let Some(length) = length.filter(|_| method == Method::HEAD && !is_empty_status(status)) {
            headers.insert(CONTENT_LENGTH, length);
        }
        body = Body::Empty;
    }
    let mut response = Response::new(Outgoing::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn is_empty_status(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

fn valid_length(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|text| text.parse::<u64>().is_ok())
}

/// The answer in an app's stead, as plain text with the error's code in a header.
pub fn from_error(method: &Method, error: &DispatchError, stacks: bool) -> Response<Outgoing> {
    let (status, code) = (error.status(), error.code());
    let mut text = format!("{}\n", error.message());
    if stacks && let Some(stack) = error.stack() {
        text.push_str(stack);
        text.push('\n');
    }
    let body = Bytes::from(text);
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(ATOLL_ERROR, HeaderValue::from_static(code));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    if status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    let body = if method == Method::HEAD {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Body::Empty
    } else {
        Body::Full(body)
    };
    let mut response = Response::new(Outgoing::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The answer to a certificate authority's challenge (RFC 8555 §8.3).
pub fn challenge(method: &Method, answer: String) -> Response<Outgoing> {
    let length = HeaderValue::from(answer.len());
    let body = if method == Method::HEAD { Body::Empty } else { Body::Full(answer.into()) };
    let mut response = Response::new(Outgoing::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if method == Method::HEAD {
        headers.insert(CONTENT_LENGTH, length);
    }
    response
}

/// The same URL at `https:` and this port. 308 keeps method and body (RFC 9110 §15.4.9).
pub fn to_https(parts: &Parts, host: &str, port: u16) -> Response<Outgoing> {
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let target = if target.starts_with('/') { target } else { "/" };
    let url = if port == 443 { format!("https://{host}{target}") } else { format!("https://{host}:{port}{target}") };
    let mut response = Response::new(Outgoing::new(Body::Empty));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    if let Ok(url) = HeaderValue::from_str(&url) {
        response.headers_mut().insert(LOCATION, url);
    }
    response
}

impl DispatchError {
    /// A stable word for headers, logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Edge(error) => error.code(),
            Self::Handler(error) => error.code(),
        }
    }

    /// The status a client sees.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Edge(error) => error.status(),
            Self::Handler(error) => error.status(),
        }
    }

    /// What a client is told.
    pub fn message(&self) -> String {
        match self {
            Self::Edge(error) => error.to_string(),
            Self::Handler(error) => error.to_string(),
        }
    }

    /// Where in the app's code it happened, when that is known.
    pub fn stack(&self) -> Option<&str> {
        match self {
            Self::Handler(HandlerError::Exception { stack, .. } | HandlerError::Startup { stack, .. }) => {
                Some(stack.as_str()).filter(|stack| !stack.is_empty())
            }
            _ => None,
        }
    }
}

impl From<EdgeError> for DispatchError {
    fn from(error: EdgeError) -> Self {
        Self::Edge(error)
    }
}

/// What a request holds until its answer is sent or given up.
#[derive(Default)]
pub struct Ticket {
    /// Its place among the app's requests.
    pub permit: Option<Permit>,
    /// Its place among the requests of its connection and of the node.
    pub in_flight: Option<InFlight>,
    /// Its isolate.
    pub instance: Option<Arc<Instance>>,
    /// Its line for the access log, complete but for bytes and duration. In memory of its own: an answer is moved often.
    pub log: Option<Box<(AccessLog, Record, Instant)>>,
}

impl Ticket {
    /// Writes the line for the access log, once.
    pub fn finish(&mut self, bytes: u64, error: Option<&'static str>) {
        if let Some((log, mut record, started)) = self.log.take().map(|log| *log) {
            record.bytes = bytes;
            record.duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            record.error = error.or(record.error);
            log.write(record);
        }
    }
}

/// The body of an answer on its way.
pub struct Answer {
    body: Outgoing,
    sent: u64,
    ticket: Ticket,
    /// Why it broke off, until what came before that could be sent.
    broken: Option<BodyError>,
}

impl Answer {
    /// A body that gives the ticket back at its end.
    pub fn new(body: Outgoing, ticket: Ticket) -> Self {
        Self { body, sent: 0, ticket, broken: None }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            // Whoever sends it gives up what it has not written yet, be it the head, when it hears of an error. It writes
            // when there is nothing to read.
            Some(Err(error)) => {
                self.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            frame => {
                if let Some(Ok(frame)) = &frame {
                    self.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.ticket.finish(self.sent, None);
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    fn answer(status: u16, body: Body, headers: &[(&'static str, &'static str)]) -> FetchResponse {
        FetchResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect(),
            body,
        }
    }

    fn stream(length: Option<u64>) -> Body {
        Body::Stream { stream: futures::stream::pending().boxed(), length, trailers: Default::default() }
    }

    #[test]
    fn framing_headers_of_an_app_are_dropped() {
        let fields = [("content-length", "99"), ("transfer-encoding", "chunked"), ("connection", "x-a"), ("x-a", "1")];
        let response = from_app(&Method::GET, answer(200, Body::Full("abc".into()), &fields)).unwrap();
        assert!(response.headers().is_empty());
        assert_eq!(response.body().size_hint().exact(), Some(3));
    }

    #[test]
    fn answers_to_head_say_a_length_and_send_nothing() {
        for (body, length) in [
            (Body::Full("abc".into()), Some("3")),
            (stream(Some(7)), Some("7")),
            (stream(None), None),
            (Body::Empty, Some("99")),
        ] {
            let response = from_app(&Method::HEAD, answer(200, body, &[("content-length", "99")])).unwrap();
            assert_eq!(response.headers().get(CONTENT_LENGTH).map(|value| value.to_str().unwrap()), length);
            assert!(response.body().is_end_stream());
        }
        let nonsense = from_app(&Method::HEAD, answer(200, Body::Empty, &[("content-length", "x")])).unwrap();
        assert!(nonsense.headers().is_empty());
    }

    #[test]
    fn statuses_without_content_have_none() {
        for status in [204, 205, 304] {
            let response = from_app(&Method::GET, answer(status, stream(Some(3)), &[("content-length", "3")])).unwrap();
            assert!(response.body().is_end_stream() && response.headers().is_empty(), "{status}");
        }
        assert!(from_app(&Method::GET, answer(101, Body::Empty, &[])).is_err());
    }

    #[test]
    fn errors_carry_code_advice_and_a_stack_only_when_asked() {
        let error = DispatchError::Handler(HandlerError::Exception {
            message: "Error: no".into(),
            stack: "at src/a.ts:1:2".into(),
            pass_through: false,
        });
        let size = |stacks| from_error(&Method::GET, &error, stacks).body().size_hint().exact().unwrap();
        assert!(size(true) > size(false));
        let overloaded = DispatchError::Edge(EdgeError::AppOverloaded { app: "a".into(), limit: 1 });
        let response = from_error(&Method::HEAD, &overloaded, false);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert_eq!(response.headers()[ATOLL_ERROR], "app-overloaded");
        assert!(response.body().is_end_stream());
        let method = DispatchError::Edge(EdgeError::MethodNotAllowed("TRACE".into()));
        assert!(from_error(&Method::TRACE, &method, false).headers().contains_key(ALLOW));
    }
}
