//! Ops between workers: calls of others, and what this one is called for.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use deno_core::{JsBuffer, OpState, ToJsBuffer, op2};

use crate::IsolateContext;
use crate::event::{
    Binding, Body, Call, Calls, FetchEvent, LONGEST_CALL, OutboundRequest, ServiceEvent, ServiceRequest, Work,
};
use crate::ops::fetch::FetchError;
use crate::requests::{self, Requests};

/// The app and entrypoint that are bound in `env` at the place `service`, from 1; `None` for 0.
pub(crate) fn target(context: &IsolateContext, service: u32) -> Result<Option<(String, String)>, FetchError> {
    let Some(at) = service.checked_sub(1) else { return Ok(None) };
    match context.env.get(at as usize) {
        Some((_, Binding::Service { service, entrypoint })) => Ok(Some((service.clone(), entrypoint.clone()))),
        _ => Err(FetchError::Unavailable),
    }
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
    let cf = state.borrow::<Requests>().get(slot).and_then(|request| request.cf.clone());
    FetchEvent { method, url: url.into(), headers, body, request_id, cf }
}

/// Calls a method of another worker with arguments that are serialised; so is the result.
#[op2]
#[serde]
pub(crate) async fn op_atoll_service_call(
    state: Rc<RefCell<OpState>>,
    #[smi] slot: u32,
    #[smi] service: u32,
    #[string] method: String,
    #[buffer] arguments: JsBuffer,
) -> Result<ToJsBuffer, FetchError> {
    if arguments.len() > LONGEST_CALL {
        return Err(FetchError::TooLong("the list of arguments", arguments.len()));
    }
    let (host, request) = {
        let mut state = state.borrow_mut();
        let context = state.try_borrow::<IsolateContext>().ok_or(FetchError::Unavailable)?;
        let (host, limit) = (context.host.clone(), context.subrequests);
        let (service, entrypoint) = target(context, service)?.ok_or(FetchError::Unavailable)?;
        if !state.borrow_mut::<Requests>().count_subrequest(slot, limit) {
            return Err(FetchError::Subrequests(limit));
        }
        let calls = begin(&mut state, slot)?;
        let request_id = requests::request_id(&state, slot).unwrap_or_default();
        let call = Call { method, arguments: Bytes::copy_from_slice(&arguments), request_id };
        let event = ServiceEvent { entrypoint, work: Work::Call(call), calls };
        (host, ServiceRequest { service, event })
    };
    drop(arguments);
    match host.call(request).await?.body {
        Body::Full(result) => Ok(Vec::from(result).into()),
        _ => Err(FetchError::Unavailable),
    }
}

/// The entrypoint that an event is for.
#[op2]
#[string]
pub(crate) fn op_atoll_entrypoint(state: &mut OpState, #[smi] slot: u32) -> String {
    let request = state.borrow::<Requests>().get(slot);
    request.and_then(|request| request.entrypoint.clone()).unwrap_or_default()
}

/// The method that an event calls, and its arguments.
#[op2]
#[serde]
pub(crate) fn op_atoll_call(state: &mut OpState, #[smi] slot: u32) -> (String, ToJsBuffer) {
    let call = state.borrow_mut::<Requests>().take_call(slot);
    let (method, arguments) = call.map(|call| (call.method, Vec::from(call.arguments))).unwrap_or_default();
    (method, arguments.into())
}

/// Answers a call with its result.
#[op2(fast)]
pub(crate) fn op_atoll_respond_call(
    state: &mut OpState,
    #[smi] slot: u32,
    #[buffer] result: &[u8],
) -> Result<(), FetchError> {
    if result.len() > LONGEST_CALL {
        return Err(FetchError::TooLong("the result", result.len()));
    }
    let result = Bytes::copy_from_slice(result);
    state.borrow_mut::<Requests>().respond(slot, 200, http::HeaderMap::new(), Some(result));
    Ok(())
}
