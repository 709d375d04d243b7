//! The op behind `fetch`: one hop, under the isolate's limits.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use deno_core::{CancelFuture, CancelHandle, JsBuffer, OpState, ResourceId, ToV8, op2, v8};
use http::header::{ACCEPT_ENCODING, HeaderValue, UPGRADE};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use url::Url;

use crate::IsolateContext;
use crate::bodies::{Bodies, HostBody};
use crate::coding::Coding;
use crate::event::{Body, Calls, FetchFailure, LONGEST_CALL, OutboundRequest, Trailers, Work};
use crate::headers::{self, HeaderError};
use crate::memory::Meter;
use crate::ops::service;
use crate::pipes::Pipes;
use crate::requests::Requests;
use crate::sockets::{MOST_OUTBOUND, Sockets};

/// Longer URLs are not remembered, bytes.
const LONGEST_REMEMBERED: usize = 512;

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Why an outbound request failed.
#[derive(Debug, thiserror::Error, deno_error::JsError)]
pub(crate) enum FetchError {
    /// The host would not or could not send it.
    #[class(type)]
    #[error(transparent)]
    Failed(FetchFailure),
    /// One too many.
    #[class(type)]
    #[error("too many subrequests: a request may make at most {0} outbound requests")]
    Subrequests(u32),
    /// The method is no token.
    #[class(type)]
    #[error("invalid method {0:?}")]
    Method(String),
    /// The URL cannot be parsed.
    #[class(type)]
    #[error("invalid URL {0:?}")]
    Url(String),
    /// A header is wrong.
    #[class(inherit)]
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The request's body was used before.
    #[class(type)]
    #[error("the body of the request was used already")]
    BodyUsed,
    /// One WebSocket too many.
    #[class(type)]
    #[error("too many WebSockets: an isolate may have {MOST_OUTBOUND} to other hosts open at once")]
    Sockets,
    /// One call of another worker too many.
    #[class(type)]
    #[error("too many calls of services: a request may lead to at most {} of them", Calls::MOST)]
    Calls,
    /// The arguments of a call, or its result, are too long.
    #[class(range)]
    #[error("{0} has {1} bytes; the limit for calls of services is {LONGEST_CALL}")]
    TooLong(&'static str, usize),
    /// The called worker threw this.
    #[class(generic)]
    #[error("{0}")]
    Remote(String),
    /// There is no worker yet, or no slot for the response's body.
    #[class(type)]
    #[error("outbound requests are not possible here")]
    Unavailable,
    /// The signal aborted it.
    #[class("Interrupted")]
    #[error("the request was aborted")]
    Aborted,
}

impl From<FetchFailure> for FetchError {
    fn from(failure: FetchFailure) -> Self {
        match failure.code {
            "handler-exception" => Self::Remote(failure.message),
            _ => Self::Failed(failure),
        }
    }
}

/// What JavaScript learns of a response: an array of these, which it reads faster than an object made here.
pub(crate) struct Reply {
    status: u16,
    headers: String,
    /// 0 when there is no body.
    body: u32,
    /// Whether the body is here as a whole: 0 when it is not, 2 when it is short as well, else 1.
    here: u32,
    /// The end of a WebSocket; 0 when the response is none.
    socket: u32,
}

impl Reply {
    /// A reply without a body.
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        Self { status: status.as_u16(), headers: headers::to_list(headers.iter()), body: 0, here: 0, socket: 0 }
    }

    /// That there is no response.
    pub(crate) fn none() -> Self {
        Self { status: 0, headers: String::new(), body: 0, here: 0, socket: 0 }
    }

    /// Adds a body.
    pub(crate) fn hold(&mut self, bodies: &mut Bodies, body: HostBody) -> Result<(), FetchError> {
        self.here = u32::from(body.is_here()) << u32::from(body.is_short());
        self.body = bodies.insert(body).ok_or(FetchError::Unavailable)?;
        Ok(())
    }
}

impl<'a> ToV8<'a> for Reply {
    type Error = Infallible;

    fn to_v8<'i>(self, scope: &mut v8::PinScope<'a, 'i>) -> Result<v8::Local<'a, v8::Value>, Self::Error> {
        let parts = [
            v8::Integer::new_from_unsigned(scope, self.status.into()).into(),
            self.headers.to_v8(scope)?,
            v8::Integer::new_from_unsigned(scope, self.body).into(),
            v8::Integer::new_from_unsigned(scope, self.here).into(),
            v8::Integer::new_from_unsigned(scope, self.socket).into(),
        ];
        Ok(v8::Array::new_with_elements(scope, &parts).into())
    }
}

/// The URL that was fetched last: many handlers fetch one again and again.
#[derive(Default)]
pub(crate) struct LastUrl(Option<(String, Url)>);

fn parse(state: &mut OpState, url: String) -> Result<Url, FetchError> {
    if let Some((text, parsed)) = &state.borrow::<LastUrl>().0
        && *text == url
    {
        return Ok(parsed.clone());
    }
    let Ok(parsed) = Url::parse(&url) else { return Err(FetchError::Url(url)) };
    if url.len() <= LONGEST_REMEMBERED {
        state.borrow_mut::<LastUrl>().0 = Some((url, parsed.clone()));
    }
    Ok(parsed)
}

/// What a status is called (RFC 9110 §15); nothing when it has no name.
#[op2]
#[string]
pub(crate) fn op_atoll_status_text(#[smi] status: u16) -> &'static str {
    headers::status(status).canonical_reason().unwrap_or_default()
}

/// Sends a request to its URL's host, or to the worker that is bound in `env` at the place `service`, from 1. Its body is
/// `bytes`, or an unread body from outside (`source` is its handle), or a pipe (its handle with the sign changed), or none
/// of them (0).
#[op2]
#[allow(clippy::too_many_arguments, reason = "one call across the boundary is cheaper than several")]
pub(crate) async fn op_atoll_fetch(
    state: Rc<RefCell<OpState>>,
    #[smi] slot: u32,
    #[string] method: String,
    #[string] url: String,
    #[string] list: String,
    #[buffer] bytes: Option<JsBuffer>,
    #[smi] source: i32,
    #[smi] service: u32,
    #[smi] cancel: ResourceId,
) -> Result<Reply, FetchError> {
    let (host, connections, limit, target) = {
        let mut state = state.borrow_mut();
        let target = service::target(&mut state, service)?;
        let context = state.try_borrow::<IsolateContext>().ok_or(FetchError::Unavailable)?;
        (context.host.clone(), context.gate.clone(), context.subrequests, target)
    };
    let cancel = state.borrow().resource_table.get::<CancelHandle>(cancel).ok();
    let (request, mut permit) = {
        let mut state = state.borrow_mut();
        let mut headers = headers::from_text(&list)?;
        if target.is_none() {
            // The codings that this crate can undo, unless the code says otherwise.
            headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip, br"));
        }
        if let Some(inbound) = state.borrow::<Requests>().get(slot) {
            keep_loop_marks(&mut headers, &inbound.head.headers);
        }
        let request = OutboundRequest {
            method: Method::from_bytes(method.as_bytes()).map_err(|_| FetchError::Method(method))?,
            url: parse(&mut state, url)?,
            headers,
            body: Body::Empty,
        };
        if request.headers.contains_key(UPGRADE) && !state.borrow::<Sockets>().has_room() {
            return Err(FetchError::Sockets);
        }
        if !state.borrow_mut::<Requests>().count_subrequest(slot, limit) {
            return Err(FetchError::Subrequests(limit));
        }
        let (body, permit) = outbound_body(&mut state, bytes, source)?;
        (OutboundRequest { body, ..request }, permit)
    };
    let (target, calls) = match target {
        Some(target) => (Some(target), service::begin(&mut state.borrow_mut(), slot)?),
        None => (None, Calls::default()),
    };
    let send = async {
        if let Some(target) = target {
            // No connection of the node's is taken.
            let event = service::fetch_event(&state.borrow(), slot, request);
            return Ok((host.call(target.request(Work::Fetch(event), calls)).await?, permit.take()));
        }
        // An unread body that is passed on brings its permit along.
        let permit = match permit.take() {
            Some(permit) => permit,
            None => match connections.acquire() {
                Ok(permit) => permit,
                Err(waiting) => {
                    drop(state.borrow_mut().borrow_mut::<Bodies>().lend_permit());
                    waiting.await.map_err(|_| FetchError::Unavailable)?
                }
            },
        };
        Ok::<_, FetchError>((host.fetch(request).await?, Some(permit)))
    };
    let (response, permit) = match cancel {
        Some(cancel) => send.or_cancel(cancel).await.map_err(|_| FetchError::Aborted)??,
        None => send.await?,
    };
    let coding = Coding::of(&response.headers);
    let mut reply = Reply::new(response.status, &response.headers);
    if let Body::Socket(socket) = response.body {
        let mut state = state.borrow_mut();
        let meter = state.borrow::<Meter>().clone();
        reply.socket = state.borrow_mut::<Sockets>().adopt(socket, slot, &meter).ok_or(FetchError::Unavailable)?;
        // Opened without a request, it lives as long as the isolate.
        if slot != 0 && !state.borrow_mut::<Requests>().own_outbound(slot, reply.socket) {
            state.borrow_mut::<Sockets>().remove(reply.socket);
            return Err(FetchError::Unavailable);
        }
        return Ok(reply);
    }
    if let Some(body) = HostBody::new(response.body, slot) {
        let mut state = state.borrow_mut();
        let counted = state.borrow::<Meter>().start();
        let bodies = state.borrow_mut::<Bodies>();
        reply.hold(bodies, body.with(coding, permit).counted(counted))?;
        if connections.contended() {
            drop(bodies.lend_permit());
        }
    }
    Ok(reply)
}

/// Asks the app's static files. Counts as an outbound request of the request that makes it.
#[op2]
pub(crate) async fn op_atoll_assets_fetch(
    state: Rc<RefCell<OpState>>,
    #[smi] slot: u32,
    #[string] method: String,
    #[string] url: String,
    #[string] list: String,
) -> Result<Reply, FetchError> {
    let request = OutboundRequest {
        method: Method::from_bytes(method.as_bytes()).map_err(|_| FetchError::Method(method))?,
        url: Url::parse(&url).map_err(|_| FetchError::Url(url))?,
        headers: headers::from_text(&list)?,
        body: Body::Empty,
    };
    let host = {
        let mut state = state.borrow_mut();
        let context = state.try_borrow::<IsolateContext>().ok_or(FetchError::Unavailable)?;
        let (host, limit) = (context.host.clone(), context.subrequests);
        if !state.borrow_mut::<Requests>().count_subrequest(slot, limit) {
            return Err(FetchError::Subrequests(limit));
        }
        host
    };
    let response = host.assets_fetch(request).await?;
    let mut reply = Reply::new(response.status, &response.headers);
    if let Some(body) = HostBody::new(response.body, slot) {
        let mut state = state.borrow_mut();
        reply.hold(state.borrow_mut::<Bodies>(), body.coded(Coding::of(&response.headers)))?;
    }
    Ok(reply)
}

/// What the inbound request says of the platforms it has passed, an outbound one says too: code cannot hide a loop
/// (RFC 8586 §3).
fn keep_loop_marks(outbound: &mut HeaderMap, inbound: &HeaderMap) {
    if inbound.contains_key(CDN_LOOP) {
        outbound.remove(CDN_LOOP);
        for value in inbound.get_all(CDN_LOOP) {
            outbound.append(CDN_LOOP, value.clone());
        }
    }
}

fn outbound_body(
    state: &mut OpState,
    bytes: Option<JsBuffer>,
    source: i32,
) -> Result<(Body, Option<crate::connections::Permit>), FetchError> {
    if let Some(bytes) = bytes {
        return Ok((Body::Full(Bytes::copy_from_slice(&bytes)), None));
    }
    if source > 0 {
        let body = state.borrow_mut::<Bodies>().take(source.unsigned_abs()).ok_or(FetchError::BodyUsed)?;
        return Ok(body.into_decoded());
    }
    if source < 0 {
        let (stream, length) = state.borrow_mut::<Pipes>().take(source.unsigned_abs()).ok_or(FetchError::BodyUsed)?;
        return Ok((Body::Stream { stream, length, trailers: Trailers::default() }, None));
    }
    Ok((Body::Empty, None))
}
