//! Byte ranges of what is stored (RFC 9110 §14).

use http::header::{CONTENT_TYPE, DATE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderValue, Method};

use crate::date;
use crate::fields::has;

/// More ranges than this in one request are answered with the whole, which is always allowed and cheaper.
pub const MAX_RANGES: usize = 16;

/// First byte and number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// How many; at least 1.
    pub length: u64,
}

/// What a request's `Range` asks of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selected {
    /// All of it: there is no `Range`, or none that counts.
    Whole,
    /// These parts, in the order asked for, none overlapping.
    Parts(Vec<ByteRange>),
    /// Nothing of it is in any range: 416.
    Unsatisfiable,
}

/// What a request asks of a stored 200 with `length` bytes. `If-Range` is honoured by strong comparison
/// (RFC 9110 §13.1.5).
pub fn select(method: &Method, request: &HeaderMap, stored: &HeaderMap, length: u64) -> Selected {
    if !has(request, &RANGE) {
        return Selected::Whole;
    }
    let mut ranges = request.get_all(RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Selected::Whole };
    if *method != Method::GET || !if_range_holds(request, stored) {
        return Selected::Whole;
    }
    parse(range.as_bytes(), length)
}

fn if_range_holds(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let Some(condition) = request.get(IF_RANGE) else { return true };
    let condition = condition.as_bytes();
    if condition.starts_with(b"\"") {
        return stored.get(ETAG).is_some_and(|etag| etag.as_bytes() == condition);
    }
    // A date is a strong validator only if the content could not have changed twice within its second (RFC 9110 §8.8.2.2).
    let (Some(modified), Some(date)) = (date::field(stored, &LAST_MODIFIED), date::field(stored, &DATE)) else {
        return false;
    };
    date > modified && date::parse(condition) == Some(modified)
}

/// The ranges of a `Range` value over `length` bytes. What is not valid, or of another unit, is ignored.
pub fn parse(value: &[u8], length: u64) -> Selected {
    let Some(at) = value.iter().position(|byte| *byte == b'=') else { return Selected::Whole };
    if !value[..at].eq_ignore_ascii_case(b"bytes") {
        return Selected::Whole;
    }
    let mut parts = Vec::new();
    let mut any = false;
    for spec in value[at + 1..].split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|spec| !spec.is_empty()) {
        any = true;
        let Some(range) = one(spec, length) else { return Selected::Whole };
        parts.extend(range);
        if parts.len() > MAX_RANGES {
            return Selected::Whole;
        }
    }
    if !any {
        return Selected::Whole;
    }
    if parts.is_empty() {
        return Selected::Unsatisfiable;
    }
    let mut sorted: Vec<ByteRange> = parts.clone();
    sorted.sort_by_key(|part| part.start);
    // Overlapping ranges are asked for by nobody with good intent (RFC 9110 §14.2).
    let overlap = sorted.windows(2).any(|pair| pair[0].start + pair[0].length > pair[1].start);
    if overlap { Selected::Whole } else { Selected::Parts(parts) }
}

/// `None`: not valid. `Some(None)`: beyond the end.
fn one(spec: &[u8], length: u64) -> Option<Option<ByteRange>> {
    let dash = spec.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (spec[..dash].trim_ascii(), spec[dash + 1..].trim_ascii());
    if first.is_empty() {
        let suffix = number(last)?.min(length);
        return Some((suffix > 0).then(|| ByteRange { start: length - suffix, length: suffix }));
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    let end = last.saturating_add(1).min(length);
    Some((first < end).then(|| ByteRange { start: first, length: end - first }))
}

fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |sum: u64, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

/// `Content-Range` of a part, or of none of it for 416.
pub fn content_range(part: Option<ByteRange>, length: u64) -> HeaderValue {
    let text = match part {
        Some(part) => format!("bytes {}-{}/{length}", part.start, part.start + part.length - 1),
        None => format!("bytes */{length}"),
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("bytes */*"))
}

/// A piece of a multipart answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A boundary with the fields of the part after it.
    Text(Vec<u8>),
    /// Bytes of the representation.
    Body(ByteRange),
}

/// A `multipart/byteranges` answer (RFC 9110 §14.6): its content type and its pieces. `boundary` must not be guessable,
/// so that no content can hold it.
pub fn multipart(parts: &[ByteRange], stored: &HeaderMap, length: u64, boundary: &str) -> (HeaderValue, Vec<Piece>) {
    let mut pieces = Vec::with_capacity(parts.len() * 2 + 1);
    for (index, part) in parts.iter().enumerate() {
        let mut text = Vec::with_capacity(128);
        text.extend_from_slice(if index == 0 { b"--" } else { b"\r\n--" });
        text.extend_from_slice(boundary.as_bytes());
        if let Some(kind) = stored.get(CONTENT_TYPE) {
            text.extend_from_slice(b"\r\nContent-Type: ");
            text.extend_from_slice(kind.as_bytes());
        }
        text.extend_from_slice(b"\r\nContent-Range: ");
        text.extend_from_slice(content_range(Some(*part), length).as_bytes());
        text.extend_from_slice(b"\r\n\r\n");
        pieces.push(Piece::Text(text));
        pieces.push(Piece::Body(*part));
    }
    pieces.push(Piece::Text(format!("\r\n--{boundary}--\r\n").into_bytes()));
    let kind = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}"));
    (kind.unwrap_or_else(|_| HeaderValue::from_static("multipart/byteranges")), pieces)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn part(start: u64, length: u64) -> ByteRange {
        ByteRange { start, length }
    }

    #[test]
    fn ranges_are_read_as_the_rfc_has_them() {
        for (value, expected) in [
            ("bytes=0-4", Selected::Parts(vec![part(0, 5)])),
            ("BYTES=0-0,-1", Selected::Parts(vec![part(0, 1), part(99, 1)])),
            ("bytes=90-", Selected::Parts(vec![part(90, 10)])),
            ("bytes=95-1000", Selected::Parts(vec![part(95, 5)])),
            ("bytes=-1000", Selected::Parts(vec![part(0, 100)])),
            ("bytes=100-", Selected::Unsatisfiable),
            ("bytes=-0", Selected::Unsatisfiable),
            ("bytes=200-300, 0-1", Selected::Parts(vec![part(0, 2)])),
            ("bytes=18446744073709551616-", Selected::Unsatisfiable),
            ("bytes=5-4", Selected::Whole),
            ("bytes=", Selected::Whole),
            ("bytes=a-b", Selected::Whole),
            ("bytes=0-1,x", Selected::Whole),
            ("bytes 0-1", Selected::Whole),
            ("items=0-1", Selected::Whole),
            ("bytes=0-50,50-60", Selected::Whole),
        ] {
            assert_eq!(parse(value.as_bytes(), 100), expected, "{value}");
        }
        let many =
            format!("bytes={}", (0..20).map(|at| format!("{}-{}", at * 2, at * 2)).collect::<Vec<_>>().join(","));
        assert_eq!(parse(many.as_bytes(), 100), Selected::Whole);
        assert_eq!(parse(b"bytes=0-", 0), Selected::Unsatisfiable);
    }

    #[test]
    fn if_range_compares_strongly() {
        let fields = |list: &[(&'static str, &'static str)]| -> HeaderMap {
            list.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
        };
        let (old, new) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Mon, 07 Nov 1994 08:49:37 GMT");
        let stored = fields(&[("etag", "\"a\""), ("last-modified", old), ("date", new)]);
        for (condition, holds) in [("\"a\"", true), ("\"b\"", false), ("W/\"a\"", false), (old, true), (new, false)] {
            let request = fields(&[("range", "bytes=0-0"), ("if-range", condition)]);
            let selected = select(&Method::GET, &request, &stored, 10);
            assert_eq!(selected != Selected::Whole, holds, "{condition}");
        }
        let weak = fields(&[("etag", "W/\"a\""), ("last-modified", old), ("date", old)]);
        for condition in ["W/\"a\"", old] {
            let request = fields(&[("range", "bytes=0-0"), ("if-range", condition)]);
            assert_eq!(select(&Method::GET, &request, &weak, 10), Selected::Whole, "{condition}");
        }
        let request = fields(&[("range", "bytes=0-0")]);
        assert_eq!(select(&Method::HEAD, &request, &stored, 10), Selected::Whole);
    }

    #[test]
    fn several_parts_make_a_multipart_answer() {
        let stored = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
        let (kind, pieces) = multipart(&[part(0, 2), part(5, 1)], &stored, 9, "B");
        assert_eq!(kind, "multipart/byteranges; boundary=B");
        let text: String = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => String::from_utf8_lossy(text).into_owned(),
                Piece::Body(range) => format!("<{}+{}>", range.start, range.length),
            })
            .collect();
        assert_eq!(
            text,
            "--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/9\r\n\r\n<0+2>\r\n--B\r\n\
             Content-Type: text/plain\r\nContent-Range: bytes 5-5/9\r\n\r\n<5+1>\r\n--B--\r\n"
        );
    }
}
