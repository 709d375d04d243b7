//! Ops behind `DecompressionStream`: output comes in bounded pieces, when it is asked for.

use bytes::Bytes;
use deno_core::convert::Uint8Array;
use deno_core::{OpState, op2};

use crate::coding::{Coding, Decoder};
use crate::event::BodyError;
use crate::handles::Handles;

/// The decoders of an isolate.
#[derive(Default)]
pub(crate) struct Decoders(Handles<Decoder>);

/// Why data cannot be decompressed.
#[derive(Debug, thiserror::Error, deno_error::JsError)]
#[class(type)]
pub(crate) enum DecodeError {
    /// It is invalid or ends early.
    #[error(transparent)]
    Invalid(#[from] BodyError),
    /// Something follows its end.
    #[error("there is more data after the end of the compressed data")]
    Rest,
}

/// A decoder for one of the formats `gzip`, `deflate`, `deflate-raw`, `brotli`; 0 for any other, and when there are too
/// many.
#[op2(fast)]
#[smi]
pub(crate) fn op_atoll_decode_open(state: &mut OpState, #[string] format: &str) -> u32 {
    let coding = match format {
        "gzip" => Coding::Gzip,
        "deflate" => Coding::Deflate,
        "deflate-raw" => Coding::DeflateRaw,
        "brotli" => Coding::Brotli,
        _ => return 0,
    };
    state.borrow_mut::<Decoders>().0.insert(Decoder::new(coding)).unwrap_or(0)
}

/// Gives input, after [`op_atoll_decode_read`] has asked for it with `null`.
#[op2]
pub(crate) fn op_atoll_decode_write(
    state: &mut OpState,
    #[smi] handle: u32,
    #[anybuffer] chunk: &[u8],
) -> Result<(), DecodeError> {
    match state.borrow_mut::<Decoders>().0.get_mut(handle) {
        Some(decoder) if decoder.is_done() && !chunk.is_empty() => Err(DecodeError::Rest),
        Some(decoder) => {
            decoder.write(Bytes::copy_from_slice(chunk));
            Ok(())
        }
        None => Ok(()),
    }
}

/// Says that there is no more input.
#[op2(fast)]
pub(crate) fn op_atoll_decode_finish(state: &mut OpState, #[smi] handle: u32) {
    if let Some(decoder) = state.borrow_mut::<Decoders>().0.get_mut(handle) {
        decoder.finish();
    }
}

/// The next output; `null` when there is none before more input.
#[op2]
pub(crate) fn op_atoll_decode_read(state: &mut OpState, #[smi] handle: u32) -> Result<Option<Uint8Array>, DecodeError> {
    let Some(decoder) = state.borrow_mut::<Decoders>().0.get_mut(handle) else { return Ok(None) };
    match decoder.read()? {
        Some(bytes) => Ok(Some(Vec::from(bytes).into())),
        None if decoder.is_done() && decoder.has_rest() => Err(DecodeError::Rest),
        None => Ok(None),
    }
}

/// Drops a decoder.
#[op2(fast)]
pub(crate) fn op_atoll_decode_drop(state: &mut OpState, #[smi] handle: u32) {
    state.borrow_mut::<Decoders>().0.remove(handle);
}
