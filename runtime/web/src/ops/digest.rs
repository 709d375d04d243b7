//! The ops behind `crypto.DigestStream` and `crypto.subtle.timingSafeEqual`.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
use deno_core::convert::Uint8Array;
use deno_core::{OpState, op2};
use md5::{Digest as _, Md5};

use crate::handles::Handles;

/// The digests of an isolate that are not finished.
#[derive(Default)]
pub(crate) struct Digests(Handles<Digest>);

/// One digest.
pub(crate) enum Digest {
    Sha(Context),
    Md5(Md5),
}

/// A digest by the name of its algorithm, in upper case; 0 when the name is unknown or there are too many.
#[op2(fast)]
#[smi]
pub(crate) fn op_atoll_digest_open(state: &mut OpState, #[string] algorithm: &str) -> u32 {
    let algorithm = match algorithm {
        "MD5" => return state.borrow_mut::<Digests>().0.insert(Digest::Md5(Md5::new())).unwrap_or(0),
        "SHA-1" => &SHA1_FOR_LEGACY_USE_ONLY,
        "SHA-256" => &SHA256,
        "SHA-384" => &SHA384,
        "SHA-512" => &SHA512,
        _ => return 0,
    };
    state.borrow_mut::<Digests>().0.insert(Digest::Sha(Context::new(algorithm))).unwrap_or(0)
}

/// Takes bytes in.
#[op2(fast)]
pub(crate) fn op_atoll_digest_write(state: &mut OpState, #[smi] handle: u32, #[buffer] bytes: &[u8]) {
    match state.borrow_mut::<Digests>().0.get_mut(handle) {
        Some(Digest::Sha(context)) => context.update(bytes),
        Some(Digest::Md5(context)) => context.update(bytes),
        None => {}
    }
}

/// The digest of all that was taken in; empty when it was finished before.
#[op2]
pub(crate) fn op_atoll_digest_finish(state: &mut OpState, #[smi] handle: u32) -> Uint8Array {
    let digest = match state.borrow_mut::<Digests>().0.remove(handle) {
        Some(Digest::Sha(context)) => context.finish().as_ref().to_vec(),
        Some(Digest::Md5(context)) => context.finalize().to_vec(),
        None => Vec::new(),
    };
    digest.into()
}

/// Forgets a digest.
#[op2(fast)]
pub(crate) fn op_atoll_digest_drop(state: &mut OpState, #[smi] handle: u32) {
    state.borrow_mut::<Digests>().0.remove(handle);
}

/// Whether two buffers of one length hold the same bytes, in a time that depends on the length only.
#[op2(fast)]
pub(crate) fn op_atoll_same_bytes(#[buffer] left: &[u8], #[buffer] right: &[u8]) -> bool {
    verify_slices_are_equal(left, right).is_ok()
}
