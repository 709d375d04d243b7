//! Which part of a stored response answers a request: the whole, nothing but its head, or a range.

use std::ops::Range;

use http::header::{ETAG, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, StatusCode};

/// What answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it.
    Whole,
    /// 304: the client has it (RFC 9110 §13.1.2, §13.1.3).
    NotModified,
    /// 206: these bytes (RFC 9110 §14.2).
    Part(Range<usize>),
    /// 416: there are no such bytes.
    Unsatisfiable,
}

/// Chooses for a request with these headers from a response of `length` bytes. Several ranges are answered with the
/// whole, as RFC 9110 §14.2 allows.
pub fn select(request: &HeaderMap, status: StatusCode, stored: &HeaderMap, length: usize) -> Selection {
    if status != StatusCode::OK {
        return Selection::Whole;
    }
    if not_modified(request, stored) {
        return Selection::NotModified;
    }
    match request.get(RANGE) {
        Some(range) if in_range(request, stored) => range.to_str().map_or(Selection::Whole, |text| part(text, length)),
        _ => Selection::Whole,
    }
}

fn not_modified(request: &HeaderMap, stored: &HeaderMap) -> bool {
    if request.contains_key(IF_NONE_MATCH) {
        let tag = stored.get(ETAG).map(|tag| weak(tag.as_bytes()));
        return request.get_all(IF_NONE_MATCH).iter().any(|value| {
            let mut tags = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            tags.any(|wanted| wanted == b"*" || Some(weak(wanted)) == tag)
        });
    }
    match (date(request.get(IF_MODIFIED_SINCE)), date(stored.get(LAST_MODIFIED))) {
        (Some(since), Some(modified)) => modified <= since,
        _ => false,
    }
}

/// `If-Range` (RFC 9110 §13.1.5): with a validator that is not the stored response's, the range does not count.
fn in_range(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let Some(condition) = request.get(IF_RANGE) else { return true };
    if condition.as_bytes().starts_with(b"\"") {
        return stored.get(ETAG) == Some(condition);
    }
    let date = date(Some(condition));
    date.is_some() && date == self::date(stored.get(LAST_MODIFIED))
}

fn weak(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

fn date(value: Option<&HeaderValue>) -> Option<std::time::SystemTime> {
    httpdate::parse_http_date(value?.to_str().ok()?).ok()
}

fn part(range: &str, length: usize) -> Selection {
    let Some((unit, set)) = range.split_once('=') else { return Selection::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Selection::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return Selection::Whole };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().unwrap_or(usize::MAX));
    let (Some(first_number), Some(last_number)) = (number(first), number(last)) else { return Selection::Whole };
    match (first.is_empty(), last.is_empty()) {
        (true, true) => Selection::Whole,
        (true, false) if last_number == 0 || length == 0 => Selection::Unsatisfiable,
        (true, false) => Selection::Part(length.saturating_sub(last_number)..length),
        (false, _) if first_number >= length => Selection::Unsatisfiable,
        (false, true) => Selection::Part(first_number..length),
        (false, false) if last_number < first_number => Selection::Whole,
        (false, false) => Selection::Part(first_number..last_number.saturating_add(1).min(length)),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn conditions_and_ranges() {
        const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        const NEW: &str = "Mon, 07 Nov 1994 08:49:37 GMT";
        let stored = headers(&[("etag", "\"a\""), ("last-modified", OLD)]);
        for (request, expected) in [
            (&[][..], Selection::Whole),
            (&[("if-none-match", "\"a\"")], Selection::NotModified),
            (&[("if-none-match", "\"b\", W/\"a\"")], Selection::NotModified),
            (&[("if-none-match", "*")], Selection::NotModified),
            (&[("if-none-match", "\"b\""), ("if-modified-since", NEW)], Selection::Whole),
            (&[("if-modified-since", OLD)], Selection::NotModified),
            (&[("if-modified-since", NEW)], Selection::NotModified),
            (&[("if-modified-since", "yesterday")], Selection::Whole),
            (&[("range", "bytes=2-4")], Selection::Part(2..5)),
            (&[("range", "bytes=2-")], Selection::Part(2..10)),
            (&[("range", "bytes=-3")], Selection::Part(7..10)),
            (&[("range", "bytes=-30")], Selection::Part(0..10)),
            (&[("range", "bytes=2-99999999999999999999999")], Selection::Part(2..10)),
            (&[("range", "bytes=10-")], Selection::Unsatisfiable),
            (&[("range", "bytes=-0")], Selection::Unsatisfiable),
            (&[("range", "bytes=4-2")], Selection::Whole),
            (&[("range", "bytes=0-1,3-4")], Selection::Whole),
            (&[("range", "lines=1-2")], Selection::Whole),
            (&[("range", "bytes=a-b")], Selection::Whole),
            (&[("range", "bytes=1-2"), ("if-range", "\"a\"")], Selection::Part(1..3)),
            (&[("range", "bytes=1-2"), ("if-range", "\"b\"")], Selection::Whole),
            (&[("range", "bytes=1-2"), ("if-range", OLD)], Selection::Part(1..3)),
            (&[("range", "bytes=1-2"), ("if-range", NEW)], Selection::Whole),
        ] {
            assert_eq!(select(&headers(request), StatusCode::OK, &stored, 10), expected, "{request:?}");
        }
        assert_eq!(select(&headers(&[("range", "bytes=0-")]), StatusCode::OK, &stored, 0), Selection::Unsatisfiable);
        let missing = StatusCode::NOT_FOUND;
        assert_eq!(select(&headers(&[("range", "bytes=0-1")]), missing, &stored, 10), Selection::Whole);
    }
}
