//! Ops of a request under way: what it asks, and its answer.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use deno_core::{OpState, op2};
use deno_error::JsErrorBox;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};

use crate::bodies::Bodies;
use crate::event::{Body, LogLevel, Trailers};
use crate::headers::{self, HeaderError};
use crate::pipes::{Guarded, Pipes};
use crate::requests::{self, Requests};
use crate::sockets::Sockets;

/// The request's headers as a list; empty when the request is finished.
#[op2]
#[string]
pub(crate) fn op_atoll_request_headers(state: &mut OpState, #[smi] slot: u32) -> String {
    state.borrow::<Requests>().get(slot).map(|request| headers::to_list(request.head.fields())).unwrap_or_default()
}

/// `request.cf` as JSON; empty when there is none.
#[op2]
#[string]
pub(crate) fn op_atoll_request_cf(state: &mut OpState, #[smi] slot: u32) -> String {
    state.borrow::<Requests>().get(slot).and_then(|request| request.head.cf.as_deref()).unwrap_or_default().to_owned()
}

/// A handle of the request's body; 0 when there is none or it was taken before.
#[op2(fast)]
#[smi]
pub(crate) fn op_atoll_request_body(state: &mut OpState, #[smi] slot: u32) -> u32 {
    let body = state.borrow_mut::<Requests>().take_body(slot);
    body.and_then(|body| state.borrow_mut::<Bodies>().insert(body)).unwrap_or(0)
}

/// Answers without a body.
#[op2(fast)]
pub(crate) fn op_atoll_respond_empty(
    state: &mut OpState,
    #[smi] slot: u32,
    #[smi] status: u16,
    #[string(onebyte)] list: Cow<[u8]>,
) -> Result<(), HeaderError> {
    let requests = state.borrow_mut::<Requests>();
    let headers = requests.reader.read(&list)?;
    requests.respond(slot, status, headers, None);
    Ok(())
}

/// Answers with a string.
#[op2(fast)]
pub(crate) fn op_atoll_respond_text(
    state: &mut OpState,
    #[smi] slot: u32,
    #[smi] status: u16,
    #[string(onebyte)] list: Cow<[u8]>,
    #[string] text: String,
) -> Result<(), HeaderError> {
    let requests = state.borrow_mut::<Requests>();
    let headers = requests.reader.read(&list)?;
    requests.respond(slot, status, headers, Some(text.into()));
    Ok(())
}

/// Has answers by [`op_atoll_respond_same`] say that they are of this type.
#[op2(fast)]
pub(crate) fn op_atoll_remember_type(
    state: &mut OpState,
    #[string(onebyte)] value: Cow<[u8]>,
) -> Result<(), HeaderError> {
    state.borrow_mut::<Requests>().text_type = Some(headers::value(&value, &CONTENT_TYPE)?);
    Ok(())
}

/// Answers with a string of the type that was remembered last, and no other field.
#[op2(fast)]
pub(crate) fn op_atoll_respond_same(state: &mut OpState, #[smi] slot: u32, #[smi] status: u16, #[string] text: String) {
    let requests = state.borrow_mut::<Requests>();
    // With room for what the node adds.
    let mut headers = HeaderMap::with_capacity(4);
    if let Some(value) = &requests.text_type {
        headers.insert(CONTENT_TYPE, value.clone());
    }
    requests.respond(slot, status, headers, Some(text.into()));
}

/// Answers with bytes.
#[op2(fast)]
pub(crate) fn op_atoll_respond_bytes(
    state: &mut OpState,
    #[smi] slot: u32,
    #[smi] status: u16,
    #[string(onebyte)] list: Cow<[u8]>,
    #[buffer] bytes: &[u8],
) -> Result<(), HeaderError> {
    let requests = state.borrow_mut::<Requests>();
    let headers = requests.reader.read(&list)?;
    requests.respond(slot, status, headers, Some(Bytes::copy_from_slice(bytes)));
    Ok(())
}

/// Answers with what comes through a pipe.
#[op2(fast)]
pub(crate) fn op_atoll_respond_pipe(
    state: &mut OpState,
    #[smi] slot: u32,
    #[smi] status: u16,
    #[string(onebyte)] list: Cow<[u8]>,
    #[smi] pipe: u32,
) -> Result<(), JsErrorBox> {
    // First, so that it ends where the fields are not good.
    let taken = state.borrow_mut::<Pipes>().take(pipe);
    let (stream, length) = taken.ok_or_else(|| JsErrorBox::type_error("the pipe is in use"))?;
    let headers = headers::from_list(&list).map_err(JsErrorBox::from_err)?;
    let body = Guarded::new(stream, length, None);
    state.borrow_mut::<Requests>().respond_stream(slot, status, headers, body, Trailers::default());
    Ok(())
}

/// Answers with a body from outside that nobody has read. It is passed on as it came when the response's
/// `Content-Encoding` is still the one it came with and the client takes that coding, else decoded. Returns whether
/// [`op_atoll_response_gone`] is to be waited for.
#[op2(fast)]
pub(crate) fn op_atoll_respond_body(
    state: &mut OpState,
    #[smi] slot: u32,
    #[smi] status: u16,
    #[string(onebyte)] list: Cow<[u8]>,
    #[smi] handle: u32,
) -> Result<bool, JsErrorBox> {
    let body = state.borrow_mut::<Bodies>().take(handle);
    let body = body.ok_or_else(|| JsErrorBox::type_error("the body is being read"))?;
    let mut headers = headers::from_list(&list).map_err(JsErrorBox::from_err)?;
    let requests = state.borrow_mut::<Requests>();
    let (body, permit) = match body.coding() {
        Some(coding)
            if crate::coding::Coding::of(&headers) == Some(coding)
                && requests.get(slot).is_some_and(|request| coding.accepted_by(&request.head.headers)) =>
        {
            body.into_raw()
        }
        Some(_) => {
            headers.remove(CONTENT_ENCODING);
            headers.remove(CONTENT_LENGTH);
            body.into_decoded()
        }
        None => body.into_raw(),
    };
    match body {
        Body::Stream { stream, length, trailers } => {
            requests.respond_stream(slot, status, headers, Guarded::new(stream, length, permit), trailers);
            Ok(true)
        }
        Body::Full(bytes) => Ok(!requests.respond(slot, status, headers, Some(bytes))),
        Body::Empty | Body::Socket(_) => Ok(!requests.respond(slot, status, headers, None)),
    }
}

/// Resolves when the response's stream was taken to its end or dropped by whoever takes it.
#[op2]
pub(crate) async fn op_atoll_response_gone(state: Rc<RefCell<OpState>>, #[smi] slot: u32) {
    let gone = state.borrow_mut().borrow_mut::<Requests>().body_gone(slot);
    if let Some(gone) = gone {
        // The sender is dropped, never used.
        let _ = gone.await;
        let mut state = state.borrow_mut();
        // The end of a WebSocket that the code kept but never took up: nothing can be done with it any more.
        let kept = state.borrow::<Requests>().socket_of(slot);
        if kept != 0 && !state.borrow::<Sockets>().is_accepted(kept) {
            state.borrow_mut::<Sockets>().remove(kept);
            state.borrow_mut::<Requests>().socket_done(slot);
        }
        state.borrow_mut::<Requests>().body_closed(slot);
    }
}

/// Answers with what the handler threw.
#[op2(fast)]
pub(crate) fn op_atoll_respond_exception(
    state: &mut OpState,
    #[smi] slot: u32,
    #[string] message: String,
    #[string] stack: String,
) {
    let line = if stack.is_empty() { message.clone() } else { stack.clone() };
    requests::log(state, LogLevel::Error, slot, format!("Uncaught {line}"));
    state.borrow_mut::<Requests>().respond_exception(slot, message, stack);
}

/// Answers that no listener has answered.
#[op2(fast)]
pub(crate) fn op_atoll_respond_unanswered(state: &mut OpState, #[smi] slot: u32) {
    state.borrow_mut::<Requests>().respond_unanswered(slot);
}

/// The time, in milliseconds since the epoch, and the expression of a scheduled event.
#[op2]
#[serde]
pub(crate) fn op_atoll_scheduled(state: &mut OpState, #[smi] slot: u32) -> (f64, String) {
    let event = state.borrow::<Requests>().get(slot).and_then(|request| request.scheduled.clone());
    event.map(|event| (event.scheduled_ms, event.cron)).unwrap_or_default()
}

/// The handler of a scheduled event is done.
#[op2(fast)]
pub(crate) fn op_atoll_respond_scheduled(state: &mut OpState, #[smi] slot: u32, no_retry: bool) {
    let status = if no_retry { requests::DONE_NO_RETRY } else { requests::DONE };
    state.borrow_mut::<Requests>().respond(slot, status.as_u16(), HeaderMap::new(), None);
}

/// Answers that what the handler returned is no response.
#[op2(fast)]
pub(crate) fn op_atoll_respond_invalid(state: &mut OpState, #[smi] slot: u32, #[string] problem: String) {
    requests::log(state, LogLevel::Error, slot, format!("The handler did not return a usable Response: {problem}"));
    state.borrow_mut::<Requests>().respond_invalid(slot, problem);
}

/// `ctx.passThroughOnException()`.
#[op2(fast)]
pub(crate) fn op_atoll_pass_through(state: &mut OpState, #[smi] slot: u32) {
    state.borrow_mut::<Requests>().pass_through(slot);
}

/// A promise was given to `ctx.waitUntil`; false when the request is finished already.
#[op2(fast)]
pub(crate) fn op_atoll_wait_begin(state: &mut OpState, #[smi] slot: u32) -> bool {
    state.borrow_mut::<Requests>().wait_begin(slot)
}

/// A promise given to `ctx.waitUntil` has settled.
#[op2(fast)]
pub(crate) fn op_atoll_wait_end(state: &mut OpState, #[smi] slot: u32) {
    state.borrow_mut::<Requests>().wait_end(slot);
}
