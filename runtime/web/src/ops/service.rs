//! Ops between workers: calls of others, and what this one is called for.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use deno_core::{JsBuffer, OpState, ToJsBuffer, op2};

use crate::IsolateContext;
use crate::event::{
    Binding, Body, Call, Calls, FetchEvent, FetchHead, LONGEST_CALL, LogLevel, OutboundRequest, ServiceEvent,
    ServiceRequest, THROWN, Work,
};
use crate::ops::fetch::FetchError;
use crate::ops::websocket::adopt;
use crate::requests::{self, Requests};
use crate::socket::Socket;
use crate::sockets::Sockets;

/// The number of a service that stands for what [`op_atoll_aim`] has said.
const OWN: u32 = (1 << 30) - 1;

/// An entrypoint that is called.
#[derive(Debug)]
pub(crate) struct Target {
    service: String,
    version: Option<u64>,
    entrypoint: String,
    props: Bytes,
}

impl Target {
    /// The message that has it do some work.
    pub(crate) fn request(self, work: Work, calls: Calls) -> ServiceRequest {
        let Self { service, version, entrypoint, props } = self;
        ServiceRequest { service, version, event: ServiceEvent { entrypoint, props, work, calls } }
    }
}

/// An entrypoint of this worker's own that the next op calls, and its `ctx.props`.
#[derive(Default)]
pub(crate) struct Aim(Option<(String, Bytes)>);

/// The entrypoint that is bound in `env` at the place `service`, from 1; `None` for 0.
pub(crate) fn target(state: &mut OpState, service: u32) -> Result<Option<Target>, FetchError> {
    if service == 0 {
        return Ok(None);
    }
    if service == OWN {
        let aim = state.borrow_mut::<Aim>().0.take();
        let own = state.try_borrow::<IsolateContext>().and_then(|context| context.own.clone());
        let (Some((entrypoint, props)), Some((app, version))) = (aim, own) else { return Err(FetchError::Unavailable) };
        return Ok(Some(Target { service: app.as_ref().to_owned(), version: Some(version), entrypoint, props }));
    }
    let context = state.try_borrow::<IsolateContext>().ok_or(FetchError::Unavailable)?;
    match context.env.get(service as usize - 1) {
        Some((_, Binding::Service { service, entrypoint })) => {
            let (service, entrypoint) = (service.clone(), entrypoint.clone());
            Ok(Some(Target { service, version: None, entrypoint, props: Bytes::new() }))
        }
        _ => Err(FetchError::Unavailable),
    }
}

/// Says which entrypoint of this worker the op means that is called next, at once, with the service [`OWN`], and what its
/// `ctx.props` are, as V8 serialises them; empty for none.
#[op2(fast)]
pub(crate) fn op_atoll_aim(state: &mut OpState, #[string] entrypoint: String, #[buffer] props: &[u8]) {
    state.borrow_mut::<Aim>().0 = Some((entrypoint, Bytes::copy_from_slice(props)));
}

/// `ctx.props` of an event, as V8 serialises them; empty for none.
#[op2]
#[serde]
pub(crate) fn op_atoll_props(state: &mut OpState, #[smi] slot: u32) -> ToJsBuffer {
    let props = state.borrow::<Requests>().get(slot).map(|request| request.props.clone());
    Vec::from(props.unwrap_or_default()).into()
}

/// Counts a call that is made for the request `slot`.
pub(crate) fn begin(state: &mut OpState, slot: u32) -> Result<Calls, FetchError> {
    let calls = state.borrow_mut::<Requests>().calls(slot);
    if calls.take() { Ok(calls) } else { Err(FetchError::Calls) }
}

/// The request as the called worker gets it: it belongs to the one that is being answered.
pub(crate) fn fetch_event(state: &OpState, slot: u32, request: OutboundRequest) -> FetchEvent {
    let OutboundRequest { method, url, headers, body } = request;
    let request_id = requests::request_id(state, slot).unwrap_or_default();
    let cf = state.borrow::<Requests>().get(slot).and_then(|request| request.head.cf.clone());
    let head = FetchHead { method, url: url.into(), headers, added: None, request_id: request_id.into(), cf };
    FetchEvent::new(head, body)
}

/// Calls a method of another worker with arguments that are serialised; so is the result. `session` is an end that goes with
/// the arguments, 0 for none. The second of what is returned is an end that came with the result, which is its first message;
/// the third, whether the result is what the method threw.
#[op2]
#[serde]
pub(crate) async fn op_atoll_service_call(
    state: Rc<RefCell<OpState>>,
    #[smi] slot: u32,
    #[smi] service: u32,
    #[string] method: String,
    #[buffer] arguments: JsBuffer,
    #[smi] session: u32,
) -> Result<(ToJsBuffer, u32, bool), FetchError> {
    if arguments.len() > LONGEST_CALL {
        return Err(FetchError::TooLong("the list of arguments", arguments.len()));
    }
    let (host, request) = {
        let mut state = state.borrow_mut();
        let context = state.try_borrow::<IsolateContext>().ok_or(FetchError::Unavailable)?;
        let (host, limit) = (context.host.clone(), context.subrequests);
        let target = target(&mut state, service)?.ok_or(FetchError::Unavailable)?;
        if !state.borrow_mut::<Requests>().count_subrequest(slot, limit) {
            return Err(FetchError::Subrequests(limit));
        }
        let calls = begin(&mut state, slot)?;
        let request_id = requests::request_id(&state, slot).unwrap_or_default();
        let session = lend(&mut state, session, slot);
        let call = Call { method, arguments: Bytes::copy_from_slice(&arguments), session, request_id };
        (host, target.request(Work::Call(call), calls))
    };
    drop(arguments);
    let answer = host.call(request).await?;
    match answer.body {
        Body::Full(result) => Ok((Vec::from(result).into(), 0, answer.status == THROWN)),
        Body::Socket(socket) => {
            let handle = adopt(&mut state.borrow_mut(), socket, slot).ok_or(FetchError::Unavailable)?;
            Ok((Vec::<u8>::new().into(), handle, false))
        }
        _ => Err(FetchError::Unavailable),
    }
}

/// Takes an end out for another worker. The end that stays ends with the request `slot`.
fn lend(state: &mut OpState, handle: u32, slot: u32) -> Option<Socket> {
    let (socket, kept) = state.borrow_mut::<Sockets>().lend(handle, slot)?;
    if kept != 0 && !state.borrow_mut::<Requests>().own_outbound(slot, kept) {
        state.borrow_mut::<Sockets>().abandon([kept]);
    }
    Some(socket)
}

/// The entrypoint that an event is for.
#[op2]
#[string]
pub(crate) fn op_atoll_entrypoint(state: &mut OpState, #[smi] slot: u32) -> String {
    let request = state.borrow::<Requests>().get(slot);
    request.and_then(|request| request.entrypoint.clone()).unwrap_or_default()
}

/// The method that an event calls, its arguments, and the end that came with them, 0 for none.
#[op2]
#[serde]
pub(crate) fn op_atoll_call(state: &mut OpState, #[smi] slot: u32) -> (String, ToJsBuffer, u32) {
    let Some(call) = state.borrow_mut::<Requests>().take_call(slot) else {
        return (String::new(), Vec::<u8>::new().into(), 0);
    };
    let session = call.session.and_then(|socket| adopt(state, socket, slot)).unwrap_or(0);
    (call.method, Vec::from(call.arguments).into(), session)
}

/// Answers a call with what the method threw, serialised. `line` is for the log.
#[op2(fast)]
pub(crate) fn op_atoll_respond_thrown(
    state: &mut OpState,
    #[smi] slot: u32,
    #[buffer] thrown: &[u8],
    #[string] line: String,
) -> Result<(), FetchError> {
    if thrown.len() > LONGEST_CALL {
        return Err(FetchError::TooLong("the exception", thrown.len()));
    }
    requests::log(state, LogLevel::Error, slot, format!("Uncaught {line}"));
    let thrown = Bytes::copy_from_slice(thrown);
    state.borrow_mut::<Requests>().respond(slot, THROWN.as_u16(), http::HeaderMap::new(), Some(thrown));
    Ok(())
}

/// Answers a call with its result, or with an end (not 0) into which the result was sent. False when the end is in use or
/// the call was answered before.
#[op2(fast)]
pub(crate) fn op_atoll_respond_call(
    state: &mut OpState,
    #[smi] slot: u32,
    #[buffer] result: &[u8],
    #[smi] session: u32,
) -> Result<bool, FetchError> {
    if result.len() > LONGEST_CALL {
        return Err(FetchError::TooLong("the result", result.len()));
    }
    if session != 0 {
        let taken = state.borrow_mut::<Sockets>().take(session, slot);
        let Some((socket, kept)) = taken else { return Ok(false) };
        return Ok(state.borrow_mut::<Requests>().respond_socket(slot, http::HeaderMap::new(), socket, kept));
    }
    let result = Bytes::copy_from_slice(result);
    state.borrow_mut::<Requests>().respond(slot, 200, http::HeaderMap::new(), Some(result));
    Ok(true)
}
