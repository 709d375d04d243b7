//! How the variants of a key are written to disk, and read back from bytes that may be anything.
//!
//! Little-endian; a text or list is preceded by its length as 32 bits. `MAGIC`, CRC-32 of the rest, key, variants. A
//! reader takes nothing that the writer could not have written, and never more memory than the input has bytes.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::disk::BlobRef;
use crate::entry::{Content, Entry, Head, MAX_VARIANTS, Variants};
use crate::fields::Fields;
use crate::freshness::Policy;
use crate::key::Key;

const MAGIC: &[u8; 8] = b"ATOLLC1\n";

/// The bytes are no variants as this version writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They begin otherwise, or end too early or too late.
    #[error("it is no entry of this cache's format, or a part of one")]
    Format,
    /// The checksum is wrong.
    #[error("its checksum is wrong")]
    Checksum,
}

/// The key and its variants that have their content on disk, as bytes.
pub fn encode(key: &Key, variants: &Variants) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    put_bytes(&mut out, key.as_bytes());
    let on_disk: Vec<_> =
        variants.entries().iter().filter_map(|entry| Some((entry, entry.content.disk.as_ref()?))).collect();
    put_length(&mut out, on_disk.len());
    for (entry, blob) in on_disk {
        put_head(&mut out, &entry.head);
        out.extend_from_slice(&blob.hash);
        out.extend_from_slice(&blob.length.to_le_bytes());
    }
    let mut file = Vec::with_capacity(out.len() + 12);
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    file.extend_from_slice(&out);
    file
}

fn put_head(out: &mut Vec<u8>, head: &Head) {
    let policy = &head.policy;
    out.extend_from_slice(&head.status.as_u16().to_le_bytes());
    let flags = u8::from(policy.validate_always) | u8::from(policy.must_revalidate) << 1 | u8::from(policy.strict) << 2;
    out.push(flags);
    for number in [
        policy.response_time,
        policy.initial_age_ms,
        policy.lifetime,
        policy.stale_while_revalidate,
        policy.stale_if_error,
        head.revision,
    ] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    put_bytes(out, head.place.as_bytes());
    put_length(out, head.tags.len());
    for tag in &head.tags {
        put_bytes(out, tag.as_bytes());
    }
    put_length(out, head.vary.len());
    for (name, value) in &head.vary {
        put_bytes(out, name.as_str().as_bytes());
        out.push(u8::from(value.is_some()));
        if let Some(value) = value {
            put_bytes(out, value);
        }
    }
    put_length(out, head.headers.len());
    for (name, value) in head.headers.iter() {
        put_bytes(out, name.as_str().as_bytes());
        put_bytes(out, value.as_bytes());
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    // Nothing that is stored comes near the end of 32 bits.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// The key and its variants.
pub fn decode(bytes: &[u8]) -> Result<(Key, Variants), DecodeError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(DecodeError::Format)?;
    let (checksum, rest) = rest.split_first_chunk::<4>().ok_or(DecodeError::Format)?;
    if crc32fast::hash(rest) != u32::from_le_bytes(*checksum) {
        return Err(DecodeError::Checksum);
    }
    decode_payload(rest).ok_or(DecodeError::Format)
}

/// What follows the checksum. Separate so that its robustness does not hide behind the checksum.
pub fn decode_payload(bytes: &[u8]) -> Option<(Key, Variants)> {
    let mut input = Input(bytes);
    let key = Key::from_bytes(input.bytes()?);
    let count = input.length()?;
    if count > MAX_VARIANTS {
        return None;
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let head = Arc::new(input.head()?);
        let hash = *input.take::<32>()?;
        let length = input.number()?;
        entries.push(Arc::new(Entry { head, content: Content { memory: None, disk: Some(BlobRef { hash, length }) } }));
    }
    input.0.is_empty().then(|| (key, Variants::new(entries)))
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// A length that the rest of the input can hold, an item taking at least a byte.
    fn length(&mut self) -> Option<usize> {
        let length = usize::try_from(u32::from_le_bytes(*self.take()?)).ok()?;
        (length <= self.0.len()).then_some(length)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn flag(&mut self) -> Option<bool> {
        match self.take()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn head(&mut self) -> Option<Head> {
        let status = StatusCode::from_u16(u16::from_le_bytes(*self.take()?)).ok()?;
        let [flags] = *self.take()?;
        let policy = Policy {
            response_time: self.number()?,
            initial_age_ms: self.number()?,
            lifetime: self.number()?,
            validate_always: flags & 1 != 0,
            must_revalidate: flags & 2 != 0,
            strict: flags & 4 != 0,
            stale_while_revalidate: self.number()?,
            stale_if_error: self.number()?,
        };
        let revision = self.number()?;
        let place = self.text()?.into();
        let mut tags: Vec<Box<str>> = Vec::new();
        for _ in 0..self.length()? {
            tags.push(self.text()?.into());
        }
        let mut vary = Vec::new();
        for _ in 0..self.length()? {
            let name = HeaderName::from_bytes(self.bytes()?).ok()?;
            let value = if self.flag()? { Some(self.bytes()?.into()) } else { None };
            vary.push((name, value));
        }
        let mut headers = HeaderMap::new();
        for _ in 0..self.length()? {
            let name = HeaderName::from_bytes(self.bytes()?).ok()?;
            headers.try_append(name, HeaderValue::from_bytes(self.bytes()?).ok()?).ok()?;
        }
        let headers = Fields::copied(&headers);
        Some(Head::restored(status, headers, policy, vary.into(), tags.into(), place, revision))
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::*;
    use crate::key::{KeySettings, Namespace, key};
    use crate::storing::judge;

    fn sample() -> (Key, Variants) {
        let mut response = HeaderMap::new();
        for (name, value) in [
            ("cache-control", "s-maxage=60, stale-if-error=5"),
            ("cache-tag", "a, b"),
            ("vary", "accept, x-none"),
            ("x-twice", "1"),
            ("x-twice", "2"),
        ] {
            response.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        response.append("x-bytes", HeaderValue::from_bytes(b"\xfe").unwrap());
        let request = HeaderMap::from_iter([(http::header::ACCEPT, HeaderValue::from_static("*/*"))]);
        let storable = judge(&Method::GET, &request, StatusCode::NOT_FOUND, &response, 5, 9).unwrap();
        let head = Head::new(StatusCode::NOT_FOUND, &response, storable, &request, "http://a/b", 7);
        let disk = Some(BlobRef { hash: [9; 32], length: 11 });
        let entry = Arc::new(Entry { head: Arc::new(head), content: Content { memory: None, disk } });
        let key = key(Namespace::of(&[b"n"]), &KeySettings::default(), "http://a/b", &HeaderMap::new()).unwrap();
        (key, Variants::default().with(entry))
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (key, variants) = sample();
        let (read_key, read) = decode(&encode(&key, &variants)).unwrap();
        assert_eq!(read_key, key);
        let (old, new) = (&variants.entries()[0], &read.entries()[0]);
        assert_eq!((&new.head.headers, &new.head.policy), (&old.head.headers, &old.head.policy));
        assert_eq!((&new.head.vary, &new.head.tags, new.head.revision), (&old.head.vary, &old.head.tags, 7));
        assert_eq!((new.head.status, new.content.disk.clone()), (old.head.status, old.content.disk.clone()));
    }

    #[test]
    fn a_torn_or_changed_file_is_refused() {
        let (key, variants) = sample();
        let whole = encode(&key, &variants);
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err(), "cut at {length}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(decode(&changed).is_err(), "changed at {at}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0..300_usize) {
            let _ = decode_payload(&bytes);
            let (key, variants) = sample();
            let mut changed = encode(&key, &variants).split_off(12);
            for (offset, byte) in bytes.iter().take(8).enumerate() {
                if let Some(place) = changed.get_mut(at + offset) {
                    *place = *byte;
                }
            }
            let _ = decode_payload(&changed);
        }
    }
}
