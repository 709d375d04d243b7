//! AES in CBC, ECB, CTR and GCM, fed piece by piece.

use std::cell::RefCell;

use atoll_web::gcm::{Gcm, GcmError};
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, EncryptionContext, StreamingDecryptingKey,
    StreamingEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use deno_core::convert::Uint8Array;
use deno_core::{GarbageCollected, op2, v8};
use deno_error::JsErrorBox;

const BLOCK: usize = 16;

enum Inner {
    Encrypt(StreamingEncryptingKey),
    Decrypt(StreamingDecryptingKey),
    Gcm(Box<Gcm>),
}

/// A cipher under way; nothing once it is finished.
pub(crate) struct Cipher(RefCell<Option<Inner>>);

// SAFETY: it holds no reference to anything the engine collects.
unsafe impl GarbageCollected for Cipher {
    fn trace(&self, _visitor: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"Cipher"
    }
}

fn failed<E>(_: E) -> JsErrorBox {
    JsErrorBox::generic("the cipher failed")
}

fn algorithm(key: &[u8]) -> Result<&'static Algorithm, JsErrorBox> {
    match key.len() {
        16 => Ok(&AES_128),
        24 => Ok(&AES_192),
        32 => Ok(&AES_256),
        _ => Err(JsErrorBox::range_error("Invalid key length")),
    }
}

fn vector(iv: &[u8]) -> Result<[u8; BLOCK], JsErrorBox> {
    iv.try_into().map_err(|_| JsErrorBox::type_error("Invalid initialization vector"))
}

fn gcm(error: GcmError) -> JsErrorBox {
    match error {
        GcmError::KeyLength => JsErrorBox::range_error(error.to_string()),
        GcmError::Cipher | GcmError::Tag => failed(error),
    }
}

fn open(mode: &str, key: &[u8], iv: &[u8], decrypts: bool) -> Result<Inner, JsErrorBox> {
    let bound = || UnboundCipherKey::new(algorithm(key)?, key).map_err(failed);
    Ok(match (mode, decrypts) {
        ("gcm", _) => Inner::Gcm(Box::new(Gcm::new(key, iv, decrypts).map_err(gcm)?)),
        // Counter mode is its own inverse.
        ("ctr", _) => {
            let context = EncryptionContext::Iv128(FixedLength::from(vector(iv)?));
            Inner::Encrypt(StreamingEncryptingKey::less_safe_ctr(bound()?, context).map_err(failed)?)
        }
        ("cbc", false) => {
            let context = EncryptionContext::Iv128(FixedLength::from(vector(iv)?));
            Inner::Encrypt(StreamingEncryptingKey::less_safe_cbc_pkcs7(bound()?, context).map_err(failed)?)
        }
        ("cbc", true) => {
            let context = DecryptionContext::Iv128(FixedLength::from(vector(iv)?));
            Inner::Decrypt(StreamingDecryptingKey::cbc_pkcs7(bound()?, context).map_err(failed)?)
        }
        ("ecb", false) => Inner::Encrypt(StreamingEncryptingKey::ecb_pkcs7(bound()?).map_err(failed)?),
        ("ecb", true) => {
            Inner::Decrypt(StreamingDecryptingKey::ecb_pkcs7(bound()?, DecryptionContext::None).map_err(failed)?)
        }
        _ => return Err(JsErrorBox::generic("Unknown cipher")),
    })
}

/// A cipher of AES in that mode. Throws when key or vector have the wrong length.
#[op2]
#[cppgc]
pub(crate) fn op_node_cipher_open(
    #[string] mode: &str,
    #[buffer] key: &[u8],
    #[buffer] iv: &[u8],
    decrypts: bool,
) -> Result<Cipher, JsErrorBox> {
    Ok(Cipher(RefCell::new(Some(open(mode, key, iv, decrypts)?))))
}

/// Adds data that is authenticated and not encrypted; before any other, and only in GCM.
#[op2(fast)]
pub(crate) fn op_node_cipher_aad(#[cppgc] cipher: &Cipher, #[buffer] data: &[u8]) {
    if let Some(Inner::Gcm(gcm)) = &mut *cipher.0.borrow_mut() {
        gcm.authenticate(data);
    }
}

/// Encrypts or decrypts, as far as whole blocks go.
#[op2]
pub(crate) fn op_node_cipher_update(#[cppgc] cipher: &Cipher, #[buffer] data: &[u8]) -> Result<Uint8Array, JsErrorBox> {
    let mut room = vec![0; data.len() + 2 * BLOCK];
    let written = match &mut *cipher.0.borrow_mut() {
        Some(Inner::Encrypt(key)) => key.update(data, &mut room).map_err(failed)?.written().len(),
        Some(Inner::Decrypt(key)) => key.update(data, &mut room).map_err(failed)?.written().len(),
        Some(Inner::Gcm(message)) => return message.update(data).map(Into::into).map_err(gcm),
        None => return Err(failed(())),
    };
    room.truncate(written);
    Ok(room.into())
}

/// The last block, or in GCM the tag. Throws when the padding is wrong.
#[op2]
pub(crate) fn op_node_cipher_finish(#[cppgc] cipher: &Cipher) -> Result<Uint8Array, JsErrorBox> {
    let mut room = vec![0; 2 * BLOCK];
    let bad = |_| JsErrorBox::generic("bad decrypt");
    let written = match cipher.0.borrow_mut().take() {
        Some(Inner::Encrypt(key)) => key.finish(&mut room).map_err(failed)?.1.written().len(),
        Some(Inner::Decrypt(key)) => key.finish(&mut room).map_err(bad)?.written().len(),
        Some(Inner::Gcm(gcm)) => return Ok(gcm.tag().into()),
        None => return Err(failed(())),
    };
    room.truncate(written);
    Ok(room.into())
}
