//! The ops behind AES-GCM with initialisation vectors that `deno_crypto` does not take.

use deno_core::convert::Uint8Array;
use deno_core::op2;
use deno_error::JsErrorBox;

use crate::gcm::{self, GcmError};

fn failed(error: GcmError) -> JsErrorBox {
    JsErrorBox::new("DOMExceptionOperationError", error.to_string())
}

/// `data` encrypted, with a tag of `tag_length` bytes.
#[op2]
pub(crate) fn op_atoll_gcm_seal(
    #[buffer] key: &[u8],
    #[buffer] iv: &[u8],
    #[buffer] aad: &[u8],
    #[smi] tag_length: u32,
    #[buffer] data: &[u8],
) -> Result<Uint8Array, JsErrorBox> {
    gcm::seal(key, iv, aad, tag_length as usize, data).map(Into::into).map_err(failed)
}

/// What was sealed; an `OperationError` when it is not authentic.
#[op2]
pub(crate) fn op_atoll_gcm_open(
    #[buffer] key: &[u8],
    #[buffer] iv: &[u8],
    #[buffer] aad: &[u8],
    #[smi] tag_length: u32,
    #[buffer] data: &[u8],
) -> Result<Uint8Array, JsErrorBox> {
    gcm::open(key, iv, aad, tag_length as usize, data).map(Into::into).map_err(failed)
}
