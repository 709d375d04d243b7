//! Ops that read bodies from outside and write bodies that JavaScript makes.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use deno_core::convert::Uint8Array;
use deno_core::{OpState, op2};

use crate::IsolateContext;
use crate::bodies::{Bodies, Reading};
use crate::event::BodyError;
use crate::memory::Meter;
use crate::pipes::Pipes;

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error, deno_error::JsError)]
pub(crate) enum ReadError {
    /// It broke off, or is too large to be held as a whole.
    #[class(type)]
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Its handle names nothing, or it is being read.
    #[class(type)]
    #[error("the body was used already, or the request it belongs to has ended")]
    Gone,
}

/// Bytes as text: UTF-8 decode of the encoding standard, so without a byte order mark and with U+FFFD for what is no
/// UTF-8.
fn decode(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Most is UTF-8, and to see that is faster than to look for what is none.
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn take(state: &mut OpState, handle: u32) -> Result<Bytes, ReadError> {
    state.borrow_mut::<Bodies>().take(handle).and_then(crate::bodies::HostBody::into_bytes).ok_or(ReadError::Gone)
}

fn begin(state: &Rc<RefCell<OpState>>, handle: u32) -> Result<Reading, ReadError> {
    state.borrow_mut().borrow_mut::<Bodies>().begin(handle).ok_or(ReadError::Gone)
}

async fn collect(state: Rc<RefCell<OpState>>, handle: u32) -> Result<Bytes, ReadError> {
    let reading = begin(&state, handle)?;
    let limit = state.borrow().try_borrow::<IsolateContext>().map_or(usize::MAX, |context| context.body_limit);
    let counted = state.borrow().borrow::<Meter>().start();
    let bytes = reading.collect(limit, counted).await;
    state.borrow_mut().borrow_mut::<Bodies>().remove(handle);
    Ok(bytes?)
}

/// A body that is here already, as text.
#[op2]
#[string]
pub(crate) fn op_atoll_body_take_text(state: &mut OpState, #[smi] handle: u32) -> Result<String, ReadError> {
    Ok(decode(&take(state, handle)?))
}

/// A body that is here already, as bytes.
#[op2]
pub(crate) fn op_atoll_body_take_bytes(state: &mut OpState, #[smi] handle: u32) -> Result<Uint8Array, ReadError> {
    Ok(Vec::from(take(state, handle)?).into())
}

/// The rest of a body as text.
#[op2]
#[string]
pub(crate) async fn op_atoll_body_collect_text(
    state: Rc<RefCell<OpState>>,
    #[smi] handle: u32,
) -> Result<String, ReadError> {
    Ok(decode(&collect(state, handle).await?))
}

/// The rest of a body.
#[op2]
pub(crate) async fn op_atoll_body_collect(
    state: Rc<RefCell<OpState>>,
    #[smi] handle: u32,
) -> Result<Uint8Array, ReadError> {
    Ok(Vec::from(collect(state, handle).await?).into())
}

/// The next chunk of a body; `null` at its end.
#[op2]
pub(crate) async fn op_atoll_body_read(
    state: Rc<RefCell<OpState>>,
    #[smi] handle: u32,
) -> Result<Option<Uint8Array>, ReadError> {
    let mut reading = begin(&state, handle)?;
    let chunk = reading.next().await;
    let mut state = state.borrow_mut();
    let bodies = state.borrow_mut::<Bodies>();
    match chunk {
        Some(Ok(chunk)) => {
            bodies.put_back(reading);
            Ok(Some(Vec::from(chunk).into()))
        }
        Some(Err(error)) => {
            bodies.remove(handle);
            Err(error.into())
        }
        None => {
            bodies.remove(handle);
            Ok(None)
        }
    }
}

/// Drops a body.
#[op2(fast)]
pub(crate) fn op_atoll_body_drop(state: &mut OpState, #[smi] handle: u32) {
    state.borrow_mut::<Bodies>().remove(handle);
}

/// A pipe for a body that JavaScript makes, of `length` bytes unless that is negative; 0 when there are too many.
#[op2(fast)]
#[smi]
pub(crate) fn op_atoll_pipe_open(state: &mut OpState, length: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "JavaScript gives a safe integer")]
    let length = (length >= 0.0).then_some(length as u64);
    state.borrow_mut::<Pipes>().open(length).unwrap_or(0)
}

/// Writes a chunk: 0 when there is room for another, 1 when [`op_atoll_pipe_room`] is to be waited for first, 2 when
/// nobody takes chunks any more.
#[op2(fast)]
#[smi]
pub(crate) fn op_atoll_pipe_write(state: &mut OpState, #[smi] pipe: u32, #[buffer] chunk: &[u8]) -> u32 {
    state.borrow_mut::<Pipes>().write(pipe, Bytes::copy_from_slice(chunk)).code()
}

/// Waits until there is room; false when nobody takes chunks any more.
#[op2]
pub(crate) async fn op_atoll_pipe_room(state: Rc<RefCell<OpState>>, #[smi] pipe: u32) -> bool {
    let sender = state.borrow().borrow::<Pipes>().sender(pipe);
    match sender {
        Some(sender) => sender.reserve().await.is_ok(),
        None => false,
    }
}

/// The body is complete.
#[op2(fast)]
pub(crate) fn op_atoll_pipe_close(state: &mut OpState, #[smi] pipe: u32) {
    state.borrow_mut::<Pipes>().close(pipe);
}

/// The body broke off.
#[op2(fast)]
pub(crate) fn op_atoll_pipe_fail(state: &mut OpState, #[smi] pipe: u32, #[string] message: String) {
    state.borrow_mut::<Pipes>().fail(pipe, message);
}
