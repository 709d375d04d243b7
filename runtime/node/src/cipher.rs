//! AES in CBC, ECB, CTR and GCM, fed piece by piece. GCM is counter mode with GHASH beside it (NIST SP 800-38D), so that
//! it gives out what it is given as it comes, and takes an initialisation vector of any length.

use std::cell::RefCell;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, EncryptionContext, StreamingDecryptingKey,
    StreamingEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use deno_core::convert::Uint8Array;
use deno_core::{GarbageCollected, op2, v8};
use deno_error::JsErrorBox;
use ghash::GHash;
use ghash::universal_hash::{KeyInit, UniversalHash};

const BLOCK: usize = 16;

enum Inner {
    Encrypt(StreamingEncryptingKey),
    Decrypt(StreamingDecryptingKey),
    Gcm(Box<Gcm>),
}

struct Gcm {
    counter: StreamingEncryptingKey,
    hash: GHash,
    /// What does not fill a block of the hash yet.
    pending: Vec<u8>,
    /// The first block of the key stream, which hides the tag.
    mask: [u8; BLOCK],
    aad: u64,
    text: u64,
    decrypts: bool,
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

fn counter(key: &[u8], start: [u8; BLOCK]) -> Result<StreamingEncryptingKey, JsErrorBox> {
    let key = UnboundCipherKey::new(algorithm(key)?, key).map_err(failed)?;
    StreamingEncryptingKey::less_safe_ctr(key, EncryptionContext::Iv128(FixedLength::from(start))).map_err(failed)
}

fn open(mode: &str, key: &[u8], iv: &[u8], decrypts: bool) -> Result<Inner, JsErrorBox> {
    let bound = || UnboundCipherKey::new(algorithm(key)?, key).map_err(failed);
    Ok(match (mode, decrypts) {
        ("gcm", _) => Inner::Gcm(Box::new(Gcm::new(key, iv, decrypts)?)),
        // Counter mode is its own inverse.
        ("ctr", _) => Inner::Encrypt(counter(key, vector(iv)?)?),
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

impl Gcm {
    fn new(key: &[u8], iv: &[u8], decrypts: bool) -> Result<Self, JsErrorBox> {
        let mut subkey = [0; BLOCK];
        let mut zero = counter(key, [0; BLOCK])?;
        update(&mut zero, &[0; BLOCK], &mut subkey)?;
        let mut start = [0; BLOCK];
        if iv.len() == 12 {
            start[..12].copy_from_slice(iv);
            start[15] = 1;
        } else {
            let mut hash = GHash::new(&subkey.into());
            hash.update_padded(iv);
            let mut lengths = [0; BLOCK];
            lengths[8..].copy_from_slice(&(iv.len() as u64 * 8).to_be_bytes());
            hash.update_padded(&lengths);
            start.copy_from_slice(&hash.finalize());
        }
        let mut counter = counter(key, start)?;
        let mut mask = [0; BLOCK];
        update(&mut counter, &[0; BLOCK], &mut mask)?;
        let hash = GHash::new(&subkey.into());
        Ok(Self { counter, hash, pending: Vec::new(), mask, aad: 0, text: 0, decrypts })
    }

    fn absorb(&mut self, mut data: &[u8]) {
        if !self.pending.is_empty() {
            let take = data.len().min(BLOCK - self.pending.len());
            self.pending.extend_from_slice(&data[..take]);
            data = &data[take..];
            if self.pending.len() < BLOCK {
                return;
            }
            self.hash.update_padded(&self.pending);
            self.pending.clear();
        }
        let whole = data.len() / BLOCK * BLOCK;
        self.hash.update_padded(&data[..whole]);
        self.pending.extend_from_slice(&data[whole..]);
    }

    /// Ends a part: what follows begins a block.
    fn pad(&mut self) {
        self.hash.update_padded(&std::mem::take(&mut self.pending));
    }

    fn update(&mut self, data: &[u8]) -> Result<Vec<u8>, JsErrorBox> {
        if self.text == 0 {
            self.pad();
        }
        self.text += data.len() as u64;
        let mut out = vec![0; data.len()];
        update(&mut self.counter, data, &mut out)?;
        self.absorb(if self.decrypts { data } else { &out });
        Ok(out)
    }

    fn tag(mut self) -> Vec<u8> {
        self.pad();
        let mut lengths = [0; BLOCK];
        lengths[..8].copy_from_slice(&(self.aad * 8).to_be_bytes());
        lengths[8..].copy_from_slice(&(self.text * 8).to_be_bytes());
        self.hash.update_padded(&lengths);
        self.hash.finalize().iter().zip(self.mask).map(|(byte, mask)| byte ^ mask).collect()
    }
}

/// A stream cipher's step: as much comes out as goes in.
fn update(key: &mut StreamingEncryptingKey, data: &[u8], out: &mut [u8]) -> Result<(), JsErrorBox> {
    if data.is_empty() {
        return Ok(());
    }
    let mut room = vec![0; data.len() + BLOCK];
    let written = key.update(data, &mut room).map_err(failed)?.written().len();
    out[..written].copy_from_slice(&room[..written]);
    Ok(())
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
        gcm.aad += data.len() as u64;
        gcm.absorb(data);
    }
}

/// Encrypts or decrypts, as far as whole blocks go.
#[op2]
pub(crate) fn op_node_cipher_update(#[cppgc] cipher: &Cipher, #[buffer] data: &[u8]) -> Result<Uint8Array, JsErrorBox> {
    let mut room = vec![0; data.len() + 2 * BLOCK];
    let written = match &mut *cipher.0.borrow_mut() {
        Some(Inner::Encrypt(key)) => key.update(data, &mut room).map_err(failed)?.written().len(),
        Some(Inner::Decrypt(key)) => key.update(data, &mut room).map_err(failed)?.written().len(),
        Some(Inner::Gcm(gcm)) => return gcm.update(data).map(Into::into),
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
