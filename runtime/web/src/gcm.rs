//! AES-GCM (NIST SP 800-38D), fed piece by piece: counter mode with GHASH beside it, so that it gives out what it is given
//! as it comes, and takes an initialisation vector of any length.

use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, EncryptionContext, StreamingEncryptingKey, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::iv::FixedLength;
use ghash::GHash;
use ghash::universal_hash::{KeyInit, UniversalHash};
use thiserror::Error;

const BLOCK: usize = 16;

/// How many bytes of key stream there are until a counter of 32 bits is at `low` again as it was at 0.
fn until_wrap(low: u32) -> u64 {
    ((1 << 32) - u64::from(low)) * BLOCK as u64
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum GcmError {
    /// Keys have 16, 24 or 32 bytes.
    #[error("Invalid key length")]
    KeyLength,
    /// The cipher itself has failed.
    #[error("the cipher failed")]
    Cipher,
    /// The tag is not that of the data.
    #[error("the data is not authentic")]
    Tag,
}

/// One message under way.
pub struct Gcm {
    key: Vec<u8>,
    counter: StreamingEncryptingKey,
    /// The block that the counter began with; its last 32 bits count, the others stay (section 6.5).
    start: [u8; BLOCK],
    /// Bytes of key stream before the 32 bits are through.
    left: u64,
    hash: GHash,
    /// What does not fill a block of the hash yet.
    pending: Vec<u8>,
    /// The first block of the key stream, which hides the tag.
    mask: [u8; BLOCK],
    aad: u64,
    text: u64,
    decrypts: bool,
}

impl Gcm {
    /// A message under `key` of 16, 24 or 32 bytes and `iv` of any length (section 7.1, steps 1 and 2).
    pub fn new(key: &[u8], iv: &[u8], decrypts: bool) -> Result<Self, GcmError> {
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
        let mut gcm = Self {
            key: key.to_vec(),
            counter: counter(key, start)?,
            start,
            left: until_wrap(u32::from_be_bytes([start[12], start[13], start[14], start[15]])),
            hash: GHash::new(&subkey.into()),
            pending: Vec::new(),
            mask: [0; BLOCK],
            aad: 0,
            text: 0,
            decrypts,
        };
        let mut mask = [0; BLOCK];
        gcm.apply(&[0; BLOCK], &mut mask)?;
        gcm.mask = mask;
        Ok(gcm)
    }

    /// Adds data that is authenticated and not encrypted; before any other.
    pub fn authenticate(&mut self, data: &[u8]) {
        self.aad += data.len() as u64;
        self.absorb(data);
    }

    /// Encrypts or decrypts.
    pub fn update(&mut self, data: &[u8]) -> Result<Vec<u8>, GcmError> {
        if self.text == 0 {
            self.pad();
        }
        self.text += data.len() as u64;
        let mut out = vec![0; data.len()];
        self.apply(data, &mut out)?;
        self.absorb(if self.decrypts { data } else { &out });
        Ok(out)
    }

    /// The tag, 16 bytes.
    pub fn tag(mut self) -> Vec<u8> {
        self.pad();
        let mut lengths = [0; BLOCK];
        lengths[..8].copy_from_slice(&(self.aad * 8).to_be_bytes());
        lengths[8..].copy_from_slice(&(self.text * 8).to_be_bytes());
        self.hash.update_padded(&lengths);
        self.hash.finalize().iter().zip(self.mask).map(|(byte, mask)| byte ^ mask).collect()
    }

    /// Adds or takes away the key stream.
    fn apply(&mut self, mut data: &[u8], mut out: &mut [u8]) -> Result<(), GcmError> {
        while !data.is_empty() {
            if self.left == 0 {
                self.start[12..].fill(0);
                self.counter = counter(&self.key, self.start)?;
                self.left = until_wrap(0);
            }
            let take = data.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let (now, later) = data.split_at(take);
            let (room, rest) = out.split_at_mut(take);
            update(&mut self.counter, now, room)?;
            self.left -= take as u64;
            (data, out) = (later, rest);
        }
        Ok(())
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
}

/// `data` encrypted, and the first `tag_length` bytes of its tag.
pub fn seal(key: &[u8], iv: &[u8], aad: &[u8], tag_length: usize, data: &[u8]) -> Result<Vec<u8>, GcmError> {
    let mut gcm = Gcm::new(key, iv, false)?;
    gcm.authenticate(aad);
    let mut out = gcm.update(data)?;
    out.extend(gcm.tag().into_iter().take(tag_length));
    Ok(out)
}

/// What was [sealed](seal). Nothing comes out when the tag is wrong.
pub fn open(key: &[u8], iv: &[u8], aad: &[u8], tag_length: usize, data: &[u8]) -> Result<Vec<u8>, GcmError> {
    let (data, tag) = data.split_at_checked(data.len().wrapping_sub(tag_length)).ok_or(GcmError::Tag)?;
    let mut gcm = Gcm::new(key, iv, true)?;
    gcm.authenticate(aad);
    let out = gcm.update(data)?;
    let right = gcm.tag();
    verify_slices_are_equal(right.get(..tag_length).ok_or(GcmError::Tag)?, tag).map_err(|_| GcmError::Tag)?;
    Ok(out)
}

fn counter(key: &[u8], start: [u8; BLOCK]) -> Result<StreamingEncryptingKey, GcmError> {
    let algorithm = match key.len() {
        16 => &AES_128,
        24 => &AES_192,
        32 => &AES_256,
        _ => return Err(GcmError::KeyLength),
    };
    let key = UnboundCipherKey::new(algorithm, key).map_err(|_| GcmError::Cipher)?;
    let context = EncryptionContext::Iv128(FixedLength::from(start));
    StreamingEncryptingKey::less_safe_ctr(key, context).map_err(|_| GcmError::Cipher)
}

/// A stream cipher's step: as much comes out as goes in.
fn update(key: &mut StreamingEncryptingKey, data: &[u8], out: &mut [u8]) -> Result<(), GcmError> {
    if data.is_empty() {
        return Ok(());
    }
    let mut room = vec![0; data.len() + BLOCK];
    let written = key.update(data, &mut room).map_err(|_| GcmError::Cipher)?.written().len();
    out[..written].copy_from_slice(&room[..written]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_has_32_bits_and_goes_on_from_zero() {
        let key = [7; BLOCK];
        let text = [0x5a; 100];
        let mut wraps = Gcm::new(&key, b"a vector", false).unwrap();
        let mut start = wraps.start;
        start[12..].copy_from_slice(&(u32::MAX - 1).to_be_bytes());
        (wraps.start, wraps.left) = (start, until_wrap(u32::MAX - 1));
        wraps.counter = counter(&key, start).unwrap();
        let out = wraps.update(&text).unwrap();
        // Two blocks before the wrap, then those of a counter at zero with the same first 96 bits.
        let block = |low: u32| {
            let mut at = start;
            at[12..].copy_from_slice(&low.to_be_bytes());
            let mut out = [0; BLOCK];
            update(&mut counter(&key, at).unwrap(), &[0x5a; BLOCK], &mut out).unwrap();
            out
        };
        for (n, low) in [u32::MAX - 1, u32::MAX, 0, 1, 2].into_iter().enumerate() {
            assert_eq!(out[n * BLOCK..(n + 1) * BLOCK], block(low), "block {n}");
        }
    }

    #[test]
    fn what_is_too_short_or_changed_is_refused() {
        for length in [4, 12, 16] {
            let sealed = seal(&[1; 32], b"x", b"aad", length, b"message").unwrap();
            assert_eq!(open(&[1; 32], b"x", b"aad", length, &sealed).unwrap(), b"message");
            assert_eq!(open(&[1; 32], b"y", b"aad", length, &sealed), Err(GcmError::Tag));
            assert_eq!(open(&[1; 32], b"x", b"aad", length, &sealed[..length - 1]), Err(GcmError::Tag));
        }
        assert_eq!(seal(&[1; 17], b"x", b"", 16, b""), Err(GcmError::KeyLength));
    }
}
