//! Hashes and HMAC, fed piece by piece.

use std::cell::RefCell;

use aws_lc_rs::{digest, hmac};
use deno_core::convert::Uint8Array;
use deno_core::{GarbageCollected, op2, v8};
use deno_error::JsErrorBox;
use md5::{Digest, Md5};

/// The block of MD5 in bytes, which is what HMAC pads its key to (RFC 2104).
const MD5_BLOCK: usize = 64;

#[derive(Clone)]
enum Inner {
    Digest(digest::Context),
    Hmac(Box<hmac::Context>),
    Md5(Md5),
    /// With the state that the outer hash begins with.
    HmacMd5(Md5, Md5),
}

/// A hash under way; nothing once it is finished.
pub(crate) struct Hasher(RefCell<Option<Inner>>);

// SAFETY: it holds no reference to anything the engine collects.
unsafe impl GarbageCollected for Hasher {
    fn trace(&self, _visitor: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"Hasher"
    }
}

fn algorithm(name: &str) -> Option<&'static digest::Algorithm> {
    Some(match name {
        "sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "sha224" => &digest::SHA224,
        "sha256" => &digest::SHA256,
        "sha384" => &digest::SHA384,
        "sha512" => &digest::SHA512,
        "sha512-256" => &digest::SHA512_256,
        "sha3-256" => &digest::SHA3_256,
        "sha3-384" => &digest::SHA3_384,
        "sha3-512" => &digest::SHA3_512,
        _ => return None,
    })
}

pub(crate) fn hmac_algorithm(name: &str) -> Option<hmac::Algorithm> {
    Some(match name {
        "sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "sha224" => hmac::HMAC_SHA224,
        "sha256" => hmac::HMAC_SHA256,
        "sha384" => hmac::HMAC_SHA384,
        "sha512" => hmac::HMAC_SHA512,
        _ => return None,
    })
}

fn hmac_md5(key: &[u8]) -> Inner {
    let mut block = [0; MD5_BLOCK];
    if key.len() > MD5_BLOCK {
        block[..16].copy_from_slice(&Md5::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |pad: u8| Md5::new_with_prefix(block.map(|byte| byte ^ pad));
    Inner::HmacMd5(padded(0x36), padded(0x5c))
}

fn open(name: &str, key: Option<&[u8]>) -> Option<Inner> {
    Some(match (name, key) {
        ("md5", None) => Inner::Md5(Md5::new()),
        ("md5", Some(key)) => hmac_md5(key),
        (_, None) => Inner::Digest(digest::Context::new(algorithm(name)?)),
        (_, Some(key)) => {
            let key = hmac::Key::new(hmac_algorithm(name)?, key);
            Inner::Hmac(Box::new(hmac::Context::with_key(&key)))
        }
    })
}

fn finish(inner: Inner) -> Vec<u8> {
    match inner {
        Inner::Digest(context) => context.finish().as_ref().to_vec(),
        Inner::Hmac(context) => context.sign().as_ref().to_vec(),
        Inner::Md5(context) => context.finalize().to_vec(),
        Inner::HmacMd5(inner, outer) => outer.chain_update(inner.finalize()).finalize().to_vec(),
    }
}

/// A hash by its name in lower case, or an HMAC when it `is_keyed`. Throws when there is no such hash.
#[op2]
#[cppgc]
pub(crate) fn op_node_hash_open(
    #[string] name: &str,
    is_keyed: bool,
    #[buffer] key: &[u8],
) -> Result<Hasher, JsErrorBox> {
    let inner = open(name, is_keyed.then_some(key));
    let inner = inner.ok_or_else(|| JsErrorBox::generic("Digest method not supported"))?;
    Ok(Hasher(RefCell::new(Some(inner))))
}

/// Adds data.
#[op2(fast)]
pub(crate) fn op_node_hash_update(#[cppgc] hasher: &Hasher, #[buffer] data: &[u8]) {
    match &mut *hasher.0.borrow_mut() {
        Some(Inner::Digest(context)) => context.update(data),
        Some(Inner::Hmac(context)) => context.update(data),
        Some(Inner::Md5(context) | Inner::HmacMd5(context, _)) => context.update(data),
        None => {}
    }
}

/// Another hash in the same state.
#[op2]
#[cppgc]
pub(crate) fn op_node_hash_copy(#[cppgc] hasher: &Hasher) -> Hasher {
    Hasher(RefCell::new(hasher.0.borrow().clone()))
}

/// The hash of all data; empty when it was taken before.
#[op2]
pub(crate) fn op_node_hash_finish(#[cppgc] hasher: &Hasher) -> Uint8Array {
    hasher.0.borrow_mut().take().map(finish).unwrap_or_default().into()
}

/// Whether two buffers of one length are equal, in a time that does not tell where they differ.
#[op2(fast)]
pub(crate) fn op_node_equal(#[buffer] a: &[u8], #[buffer] b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Fills a buffer from the operating system's generator.
#[op2(fast)]
pub(crate) fn op_node_random(#[buffer] out: &mut [u8]) -> Result<(), JsErrorBox> {
    aws_lc_rs::rand::fill(out).map_err(|_| JsErrorBox::generic("there are no random bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(name: &str, key: Option<&[u8]>, data: &[u8]) -> String {
        let mut inner = open(name, key).unwrap();
        match &mut inner {
            Inner::Md5(context) | Inner::HmacMd5(context, _) => context.update(data),
            Inner::Digest(context) => context.update(data),
            Inner::Hmac(context) => context.update(data),
        }
        finish(inner).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn known_answers() {
        assert_eq!(hex("md5", None, b"abc"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(hex("sha1", None, b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        // RFC 2202, section 2, test cases 2 and 6.
        assert_eq!(hex("md5", Some(b"Jefe"), b"what do ya want for nothing?"), "750c783e6ab0b503eaa86e310a5db738");
        let long: &[u8] = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(hex("md5", Some(&[0xaa; 80]), long), "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
        assert!(open("nope", None).is_none() && open("sha512-256", Some(b"")).is_none());
    }
}
