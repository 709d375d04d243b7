//! HTTP dates (RFC 9110 §5.6.7) as seconds since the Unix epoch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::fields::has;

/// The one value of the field `name` as a date: `None` when it is missing, there more than once, or no date.
pub fn field(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    if !has(headers, name) {
        return None;
    }
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return None;
    }
    parse(first.as_bytes())
}

/// A date in any of the three formats that a recipient has to accept.
pub fn parse(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// The preferred format, as `Date` and `Last-Modified` have it.
pub fn format(seconds: u64) -> Option<HeaderValue> {
    // Year 9999 is the last that the format can hold.
    let time = Some(seconds).filter(|seconds| *seconds < 253_402_300_800)?;
    let time: SystemTime = UNIX_EPOCH.checked_add(Duration::from_secs(time))?;
    HeaderValue::from_str(&httpdate::fmt_http_date(time)).ok()
}

#[cfg(test)]
mod tests {
    use http::header::DATE;

    use super::*;

    #[test]
    fn all_three_formats_are_read() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse(text.as_bytes()), Some(784_111_777), "{text}");
        }
        for text in ["", "0", "-1", "Sun, 06 Nov 1994", "tomorrow", "\u{e9}"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(format(784_111_777).unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(format(u64::MAX).is_none());
    }

    #[test]
    fn a_field_that_is_there_twice_is_no_date() {
        let mut headers = HeaderMap::new();
        let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        headers.append(DATE, date.clone());
        assert_eq!(field(&headers, &DATE), Some(784_111_777));
        headers.append(DATE, date);
        assert_eq!(field(&headers, &DATE), None);
    }
}
