//! Strings from bytes and bytes from strings, in the encodings of `Buffer`.
//!
//! Bytes are written into memory that the script has allocated, so that the isolate's limit holds for them.

use deno_core::{op2, v8};

/// An encoding of `Buffer`; the numbers are those of `js/buffer.js`.
#[derive(Clone, Copy)]
enum Encoding {
    Utf8,
    Latin1,
    Ascii,
    Hex,
    Base64,
    Base64Url,
    Utf16,
}

impl Encoding {
    fn of(code: u32) -> Self {
        match code {
            1 => Self::Latin1,
            2 => Self::Ascii,
            3 => Self::Hex,
            4 => Self::Base64,
            5 => Self::Base64Url,
            6 => Self::Utf16,
            _ => Self::Utf8,
        }
    }
}

/// The string that `bytes` stand for; `null` when it is longer than a string can be.
#[op2]
pub(crate) fn op_node_text<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    #[buffer] bytes: &[u8],
    #[smi] encoding: u32,
) -> v8::Local<'s, v8::Value> {
    let longest = v8::String::MAX_LENGTH;
    let kind = v8::NewStringType::Normal;
    let text = match Encoding::of(encoding) {
        Encoding::Utf8 if bytes.is_ascii() => v8::String::new_from_one_byte(scope, bytes, kind),
        Encoding::Utf8 => v8::String::new_from_utf8(scope, bytes, kind),
        Encoding::Latin1 => v8::String::new_from_one_byte(scope, bytes, kind),
        Encoding::Ascii if bytes.is_ascii() => v8::String::new_from_one_byte(scope, bytes, kind),
        Encoding::Ascii => {
            let low: Vec<u8> = bytes.iter().map(|byte| byte & 0x7f).collect();
            v8::String::new_from_one_byte(scope, &low, kind)
        }
        Encoding::Hex if bytes.len() > longest / 2 => None,
        Encoding::Hex => v8::String::new_from_one_byte(scope, &hex(bytes), kind),
        Encoding::Base64 | Encoding::Base64Url if bytes.len() > longest / 4 * 3 => None,
        Encoding::Base64 => v8::String::new_from_one_byte(scope, &base64(bytes, STANDARD, true), kind),
        Encoding::Base64Url => v8::String::new_from_one_byte(scope, &base64(bytes, URL_SAFE, false), kind),
        Encoding::Utf16 => {
            let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
            v8::String::new_from_two_byte(scope, &units, kind)
        }
    };
    text.map_or_else(|| v8::null(scope).into(), Into::into)
}

/// Writes what `text` stands for into `out`, as far as it fits, and returns how many bytes were written. A character of
/// UTF-8 or UTF-16 is written whole or not at all; of hexadecimal and base64 text, what comes before the first fault.
#[op2(fast)]
#[smi]
pub(crate) fn op_node_write(
    scope: &mut v8::PinScope<'_, '_>,
    text: v8::Local<'_, v8::String>,
    #[buffer] out: &mut [u8],
    #[smi] encoding: u32,
) -> u32 {
    let written = match Encoding::of(encoding) {
        Encoding::Utf8 => text.write_utf8_v2(scope, out, v8::WriteFlags::kReplaceInvalidUtf8, None),
        Encoding::Latin1 | Encoding::Ascii => {
            let length = out.len().min(text.length());
            text.write_one_byte_v2(scope, 0, &mut out[..length], v8::WriteFlags::empty());
            length
        }
        Encoding::Utf16 => {
            let mut units = vec![0; (out.len() / 2).min(text.length())];
            text.write_v2(scope, 0, &mut units, v8::WriteFlags::empty());
            for (pair, unit) in out.as_chunks_mut::<2>().0.iter_mut().zip(&units) {
                *pair = unit.to_le_bytes();
            }
            units.len() * 2
        }
        Encoding::Hex => from_hex(&characters(scope, text, out.len().saturating_mul(2)), out),
        Encoding::Base64 | Encoding::Base64Url => from_base64(&characters(scope, text, usize::MAX), out),
    };
    u32::try_from(written).unwrap_or(u32::MAX)
}

/// The first `most` UTF-16 units of `text`; those beyond ASCII become a character that no encoding has.
fn characters(scope: &v8::Isolate, text: v8::Local<'_, v8::String>, most: usize) -> Vec<u8> {
    let length = text.length().min(most);
    if text.is_onebyte() {
        let mut bytes = vec![0; length];
        text.write_one_byte_v2(scope, 0, &mut bytes, v8::WriteFlags::empty());
        return bytes;
    }
    let mut units = vec![0; length];
    text.write_v2(scope, 0, &mut units, v8::WriteFlags::empty());
    units.into_iter().map(|unit| u8::try_from(unit).unwrap_or(0xff)).collect()
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}

fn from_hex(text: &[u8], out: &mut [u8]) -> usize {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut written = 0;
    for (pair, byte) in text.as_chunks::<2>().0.iter().zip(out) {
        let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else { break };
        *byte = high << 4 | low;
        written += 1;
    }
    written
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64(bytes: &[u8], alphabet: &[u8; 64], pads: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            out.push(alphabet[bits >> (18 - 6 * index) & 63]);
        }
        if pads {
            out.extend(std::iter::repeat_n(b'=', 3 - chunk.len()));
        }
    }
    out
}

/// Both alphabets at once; characters of neither are skipped, and the first `=` ends the text.
fn from_base64(text: &[u8], out: &mut [u8]) -> usize {
    let (mut bits, mut count, mut written) = (0u32, 0, 0);
    for c in text {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            let Some(byte) = out.get_mut(written) else { break };
            *byte = (bits >> count & 0xff) as u8;
            written += 1;
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(decode: fn(&[u8], &mut [u8]) -> usize, text: &str, room: usize) -> Vec<u8> {
        let mut out = vec![0; room];
        let written = decode(text.as_bytes(), &mut out);
        out.truncate(written);
        out
    }

    #[test]
    fn base64_is_written_and_read_back() {
        for length in 0..70 {
            let bytes: Vec<u8> = (0..length).map(|n: u8| n.wrapping_mul(37) ^ 0xa5).collect();
            let text = String::from_utf8(base64(&bytes, STANDARD, true)).unwrap();
            assert_eq!(decoded(from_base64, &text, 100), bytes);
            let text = String::from_utf8(base64(&bytes, URL_SAFE, false)).unwrap();
            assert_eq!(decoded(from_base64, &text, 100), bytes);
        }
    }

    #[test]
    fn base64_is_read_leniently() {
        assert_eq!(decoded(from_base64, "aGVs bG8\n", 10), b"hello");
        assert_eq!(decoded(from_base64, "aGVsbG8=aGVs", 10), b"hello");
        assert_eq!(decoded(from_base64, "_-8", 10), [0xff, 0xef]);
        assert_eq!(decoded(from_base64, "aGVsbG8", 3), b"hel");
        assert_eq!(decoded(from_base64, "=", 3), b"");
    }

    #[test]
    fn hexadecimal_ends_at_the_first_fault() {
        assert_eq!(decoded(from_hex, "00ffAb", 10), [0, 255, 0xab]);
        assert_eq!(decoded(from_hex, "00fg11", 10), [0]);
        assert_eq!(decoded(from_hex, "abc", 10), [0xab]);
        assert_eq!(decoded(from_hex, "ababab", 2), [0xab, 0xab]);
        assert_eq!(hex(&[0, 255, 0xab]), b"00ffab");
    }
}
