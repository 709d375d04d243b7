//! Ops of WebSockets: ends that are made, written to, read from and handed on.

use std::borrow::Cow;
use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use deno_core::convert::Uint8Array;
use deno_core::{OpState, ToV8, op2, v8};
use deno_error::JsErrorBox;

use crate::headers;
use crate::memory::Meter;
use crate::requests::Requests;
use crate::socket::{Close, Hold, Message, Received, Refused, Socket};
use crate::sockets::Sockets;

/// What has become of a message that JavaScript sent.
fn code(sent: Result<(), Refused>) -> u32 {
    match sent {
        Ok(()) => 0,
        Err(Refused::Gone) => 1,
        Err(Refused::Full) => 2,
        Err(Refused::TooLong) => 3,
    }
}

/// What comes from the other end: a string, an `ArrayBuffer`, `[code, reason]` for its close, or its loss as
/// `[0, problem]`.
pub(crate) struct Incoming(Received);

impl<'a> ToV8<'a> for Incoming {
    type Error = JsErrorBox;

    fn to_v8<'i>(self, scope: &mut v8::PinScope<'a, 'i>) -> Result<v8::Local<'a, v8::Value>, JsErrorBox> {
        let end = |scope: &mut v8::PinScope<'a, 'i>, code: u16, text: String| {
            let code = v8::Integer::new_from_unsigned(scope, u32::from(code)).into();
            let text = text.to_v8(scope).unwrap_or_else(|never: Infallible| match never {});
            Ok(v8::Array::new_with_elements(scope, &[code, text]).into())
        };
        match self.0 {
            Received::Message(Message::Text(text)) => {
                let text = v8::String::new_from_utf8(scope, text.as_bytes(), v8::NewStringType::Normal);
                text.map(Into::into).ok_or_else(|| JsErrorBox::range_error("the message is too long for a string"))
            }
            Received::Message(Message::Binary(bytes)) => {
                let array = Uint8Array::from(bytes).to_v8(scope)?;
                let array = v8::Local::<v8::Uint8Array>::try_from(array).ok();
                let buffer = array.and_then(|array| array.buffer(scope));
                buffer.map(Into::into).ok_or_else(|| JsErrorBox::range_error("the message is too long for a buffer"))
            }
            Received::Close(Close { code, reason }) => end(scope, code, reason),
            Received::Lost(problem) => end(scope, 0, problem),
        }
    }
}

/// Two connected ends; 0 and 0 when there are too many.
#[op2]
pub(crate) fn op_atoll_socket_pair(state: &mut OpState) -> (u32, u32) {
    let meter = state.borrow::<Meter>().clone();
    state.borrow_mut::<Sockets>().pair(&meter).unwrap_or_default()
}

fn send(state: &OpState, handle: u32, message: Message) -> u32 {
    let sockets = state.borrow::<Sockets>();
    let Some((socket, _)) = sockets.get(handle) else { return code(Err(Refused::Gone)) };
    if sockets.is_crowded(socket) {
        return code(Err(Refused::Full));
    }
    let bytes = message.len();
    code(socket.try_send(message, || {
        let mut counted = [state.borrow::<Meter>().start(), sockets.waiting().start()];
        counted.iter_mut().for_each(|counted| counted.add(bytes));
        Some(Box::new(counted) as Hold)
    }))
}

/// Sends text: 0 when it is on its way, 1 when nobody reads any more, 2 when too much waits, 3 when it is too long.
#[op2(fast)]
#[smi]
pub(crate) fn op_atoll_socket_send_text(state: &mut OpState, #[smi] handle: u32, #[string] text: String) -> u32 {
    send(state, handle, Message::Text(text))
}

/// Sends bytes, as [`op_atoll_socket_send_text`] does text.
#[op2(fast)]
#[smi]
pub(crate) fn op_atoll_socket_send_bytes(state: &mut OpState, #[smi] handle: u32, #[buffer] bytes: &[u8]) -> u32 {
    send(state, handle, Message::Binary(bytes.to_vec()))
}

/// What [`op_atoll_socket_give`] returns for an end that is lost because nobody reads from the session any more.
const LOST: u32 = (1 << 30) - 1;

/// Gives an end that leads out of this isolate to whoever has the other end of `session`, and returns the number by which
/// it is known there. 0, and nothing is changed, when it cannot be given: it is in use, it leads to this isolate, or too
/// many wait to be taken.
#[op2(fast)]
#[smi]
pub(crate) fn op_atoll_socket_give(state: &mut OpState, #[smi] session: u32, #[smi] handle: u32) -> u32 {
    let sockets = state.borrow_mut::<Sockets>();
    let session = sockets.get(session).map(|(session, _)| session.clone());
    let Some(session) = session.filter(|session| session.has_room_to_give()) else { return 0 };
    let Some((socket, removed)) = sockets.take_outbound(handle) else { return 0 };
    state.borrow_mut::<Requests>().disown_outbound(removed.slot, handle);
    session.give(socket).unwrap_or(LOST)
}

/// Takes in what [`op_atoll_socket_give`] has given this side of `session`. It ends with the request `slot`. 0 when there is
/// nothing under this number, or no room.
#[op2(fast)]
#[smi]
pub(crate) fn op_atoll_socket_take(
    state: &mut OpState,
    #[smi] session: u32,
    #[smi] number: u32,
    #[smi] slot: u32,
) -> u32 {
    let given = state.borrow::<Sockets>().get(session).and_then(|(session, _)| session.take_given(number));
    given.and_then(|socket| adopt(state, socket, slot)).unwrap_or(0)
}

/// Takes an end in that another worker has handed over. It ends with the request `slot`.
pub(crate) fn adopt(state: &mut OpState, socket: Socket, slot: u32) -> Option<u32> {
    let meter = state.borrow::<Meter>().clone();
    let sockets = state.borrow_mut::<Sockets>();
    if !sockets.has_room() {
        return None;
    }
    let handle = sockets.adopt(socket, slot, &meter)?;
    if !state.borrow_mut::<Requests>().own_outbound(slot, handle) {
        state.borrow_mut::<Sockets>().abandon([handle]);
        return None;
    }
    Some(handle)
}

/// Closes this end. With `discard` what was sent and not yet taken is thrown away.
#[op2(fast)]
pub(crate) fn op_atoll_socket_close(
    state: &mut OpState,
    #[smi] handle: u32,
    #[smi] code: u16,
    #[string] reason: String,
    discard: bool,
) {
    if let Some((socket, _)) = state.borrow::<Sockets>().get(handle) {
        let close = Close { code, reason };
        if discard { socket.discard(close) } else { socket.close(close) }
    }
}

/// Bytes sent that the other side has not taken.
#[op2(fast)]
#[smi]
pub(crate) fn op_atoll_socket_buffered(state: &mut OpState, #[smi] handle: u32) -> u32 {
    let buffered = state.borrow::<Sockets>().get(handle).map_or(0, |(socket, _)| socket.buffered());
    u32::try_from(buffered).unwrap_or(u32::MAX)
}

/// The code takes an end up.
#[op2(fast)]
pub(crate) fn op_atoll_socket_keep(state: &mut OpState, #[smi] handle: u32) {
    state.borrow_mut::<Sockets>().accept(handle);
}

/// What comes in at an end gives its request no more CPU time.
#[op2(fast)]
pub(crate) fn op_atoll_socket_quiet(state: &mut OpState, #[smi] handle: u32) {
    state.borrow_mut::<Sockets>().quiet(handle);
}

/// The next thing that comes from the other end.
#[op2]
pub(crate) async fn op_atoll_socket_next(state: Rc<RefCell<OpState>>, #[smi] handle: u32) -> Incoming {
    let socket: Option<Rc<Socket>> = {
        let state = state.borrow();
        state.borrow::<Sockets>().get(handle).map(|(socket, _)| socket.clone())
    };
    let Some(socket) = socket else { return Incoming(Received::Lost("the WebSocket is closed".into())) };
    let received = socket.receive().await;
    drop(socket);
    let mut state = state.borrow_mut();
    let slot = state.borrow::<Sockets>().refreshed(handle);
    if slot != 0 {
        state.borrow_mut::<Requests>().message_came(slot);
    }
    Incoming(received)
}

/// The code has seen an end's close, or nobody uses it any more.
#[op2(fast)]
pub(crate) fn op_atoll_socket_done(state: &mut OpState, #[smi] handle: u32) {
    let Some(removed) = state.borrow_mut::<Sockets>().remove(handle) else { return };
    let requests = state.borrow_mut::<Requests>();
    if removed.is_outbound {
        requests.disown_outbound(removed.slot, handle);
    } else if removed.slot != 0 {
        requests.socket_done(removed.slot);
    }
}

/// Answers with an end; status 101. False when the end is in use or the request was answered before.
#[op2(fast)]
pub(crate) fn op_atoll_respond_socket(
    state: &mut OpState,
    #[smi] slot: u32,
    #[string(onebyte)] list: Cow<[u8]>,
    #[smi] handle: u32,
) -> Result<bool, JsErrorBox> {
    let headers = headers::from_list(&list).map_err(JsErrorBox::from_err)?;
    let taken = state.borrow_mut::<Sockets>().take(handle, slot);
    let Some((socket, kept)) = taken else { return Ok(false) };
    let requests = state.borrow_mut::<Requests>();
    Ok(requests.respond_socket(slot, headers, socket, kept))
}
