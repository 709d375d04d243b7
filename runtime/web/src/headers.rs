//! Headers, statuses and URLs on their way between Rust and JavaScript.
//!
//! A header list crosses as one string, `name\nvalue\nname\nvalue`: no header name or value can contain a line feed, and
//! one string is cheaper on both sides than an array of many.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use url::Url;

/// A header list that JavaScript has checked already turned out to be wrong.
#[derive(Debug, thiserror::Error, deno_error::JsError)]
#[class(type)]
pub(crate) enum HeaderError {
    /// The name is no token.
    #[error("invalid header name {0:?}")]
    Name(String),
    /// The value has a character it must not have.
    #[error("invalid value of header {0:?}")]
    Value(String),
    /// There is too much of it.
    #[error("the header fields have {0} bytes; the limit is {LARGEST}")]
    Large(usize),
    /// There are too many.
    #[error("there are more than {MOST} header fields, the limit")]
    Many,
}

/// What an answer's or a request's fields may have together, bytes. They leave the isolate, so its memory does not bound
/// them, and are kept whole until the other end takes them.
const LARGEST: usize = 128 << 10;
/// How many there may be. Small ones take much more memory than they have bytes.
const MOST: usize = 4096;

/// The list as JavaScript takes it. Every character stands for one byte.
pub(crate) fn to_list<'a>(fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>) -> String {
    let mut list = String::with_capacity((fields.size_hint().0 + 4) * 48);
    for (name, value) in fields {
        if !list.is_empty() {
            list.push('\n');
        }
        list.push_str(name.as_str());
        list.push('\n');
        match value.to_str() {
            Ok(value) => list.push_str(value),
            Err(_) => list.extend(value.as_bytes().iter().map(|byte| char::from(*byte))),
        }
    }
    list
}

/// Reads a list of one-byte characters.
pub(crate) fn from_list(list: &[u8]) -> Result<HeaderMap, HeaderError> {
    let mut headers = HeaderMap::new();
    if list.is_empty() {
        return Ok(headers);
    }
    if list.len() > LARGEST {
        return Err(HeaderError::Large(list.len()));
    }
    let mut parts = list.split(|byte| *byte == b'\n');
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        let lossy = || String::from_utf8_lossy(name).into_owned();
        let key = HeaderName::from_bytes(name).map_err(|_| HeaderError::Name(lossy()))?;
        if headers.len() == MOST {
            return Err(HeaderError::Many);
        }
        let value = self::value(value, &key)?;
        headers.append(key, value);
    }
    Ok(headers)
}

/// Reads the value of a field from one-byte characters.
pub(crate) fn value(value: &[u8], of: &HeaderName) -> Result<HeaderValue, HeaderError> {
    HeaderValue::from_bytes(value).map_err(|_| HeaderError::Value(of.to_string()))
}

/// Longer lists are not remembered, bytes.
const LONGEST_REMEMBERED: usize = 512;

/// Reads lists like [`from_list`], and one that comes again and again only once: most handlers give all their answers the
/// same fields.
#[derive(Default)]
pub(crate) struct Reader {
    last: Vec<u8>,
    /// What `last` says, when it has come twice.
    headers: Option<HeaderMap>,
}

impl Reader {
    /// What the list says.
    pub(crate) fn read(&mut self, list: &[u8]) -> Result<HeaderMap, HeaderError> {
        let again = self.last == list;
        if again && let Some(headers) = &self.headers {
            return Ok(headers.clone());
        }
        let headers = from_list(list)?;
        if again {
            self.headers = Some(headers.clone());
        } else if list.len() <= LONGEST_REMEMBERED {
            self.last.clear();
            self.last.extend_from_slice(list);
            self.headers = None;
        }
        Ok(headers)
    }
}

/// [`from_list`] of a list whose characters stand for one byte each.
pub(crate) fn from_text(list: &str) -> Result<HeaderMap, HeaderError> {
    let bytes: Vec<u8> = list.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
    from_list(&bytes)
}

/// A status that JavaScript has checked to be between 200 and 599.
pub(crate) fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The URL in its serialisation; most arrive in it, and are not parsed then.
pub(crate) fn normalise_url(url: &str) -> Cow<'_, str> {
    if is_normal(url) {
        return Cow::Borrowed(url);
    }
    match Url::parse(url) {
        Ok(url) => Cow::Owned(url.into()),
        Err(_) => Cow::Borrowed(url),
    }
}

/// Whether parsing and serialising the URL would certainly give the same string.
fn is_normal(url: &str) -> bool {
    let (default_port, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (80, rest),
        (_, Some(rest)) => (443, rest),
        _ => return false,
    };
    let mut bytes = rest.bytes();
    // What ends the name, and the byte before.
    let (mut end, mut last) = (None, 0);
    for byte in bytes.by_ref() {
        if CLASSES[byte as usize] & IN_NAME == 0 {
            end = Some(byte);
            break;
        }
        last = byte;
    }
    if !last.is_ascii_lowercase() {
        return false;
    }
    if end == Some(b':') {
        let mut port = 0_u32;
        loop {
            match bytes.next() {
                Some(b'/') if port != 0 && port != default_port => break,
                Some(digit @ b'0'..=b'9') if port != 0 || digit != b'0' => port = port * 10 + u32::from(digit - b'0'),
                _ => return false,
            }
            if port > u32::from(u16::MAX) {
                return false;
            }
        }
    } else if end != Some(b'/') {
        return false;
    }
    bytes.all(|byte| CLASSES[byte as usize] & IN_PATH != 0)
}

/// May be in the name of a host as it is serialised; and needs no look in a path. Dots may be `.` and `..` segments there, and
/// `%2e` counts as a dot.
const IN_NAME: u8 = 1;
const IN_PATH: u8 = 2;
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.') {
            classes[at] |= IN_NAME;
        }
        let marks = matches!(
            byte,
            b'/' | b'-'
                | b'_'
                | b'~'
                | b'?'
                | b'&'
                | b'='
                | b','
                | b':'
                | b';'
                | b'@'
                | b'!'
                | b'$'
                | b'*'
                | b'('
                | b')'
                | b'+'
        );
        if byte.is_ascii_alphanumeric() || marks {
            classes[at] |= IN_PATH;
        }
        at += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_round_trip() {
        let mut headers = HeaderMap::new();
        headers.append("a", HeaderValue::from_static("1"));
        headers.append("set-cookie", HeaderValue::from_static("x=1"));
        headers.append("set-cookie", HeaderValue::from_static("y=2"));
        headers.append("empty", HeaderValue::from_static(""));
        headers.append("latin", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        let list = to_list(headers.iter());
        let bytes: Vec<u8> = list.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        assert_eq!(from_list(&bytes).unwrap(), headers);
        assert!(from_list(b"").unwrap().is_empty());
        assert!(from_list(b"bad name\nx").is_err());
    }

    #[test]
    fn lists_are_bounded() {
        let fields = |count: usize| (0..count).map(|at| format!("x{at}\n")).collect::<Vec<_>>().join("\n");
        assert_eq!(from_list(fields(MOST).as_bytes()).unwrap().len(), MOST);
        assert!(matches!(from_list(fields(MOST + 1).as_bytes()), Err(HeaderError::Many)));
        let long = |length: usize| format!("x\n{}", "a".repeat(length - 2));
        assert_eq!(from_list(long(LARGEST).as_bytes()).unwrap()["x"].len(), LARGEST - 2);
        assert!(matches!(from_list(long(LARGEST + 1).as_bytes()), Err(HeaderError::Large(length)) if length > LARGEST));
    }

    #[test]
    fn a_list_says_the_same_however_often_it_comes() {
        let mut reader = Reader::default();
        let long = format!("a\n{}", "x".repeat(LONGEST_REMEMBERED));
        for list in ["a\n1", "a\n1", "a\n1", "", "", "b\n2\nb\n3", "a\n1", &long, &long, "a\n1", "a\n2", "a\n2", "a\n2"]
        {
            assert_eq!(reader.read(list.as_bytes()).unwrap(), from_list(list.as_bytes()).unwrap(), "{list}");
        }
        assert!(reader.read(b"a b\n1").is_err() && reader.read(b"a b\n1").is_err());
    }

    #[test]
    fn only_what_needs_it_is_normalised() {
        let normal = |url: &'static str| normalise_url(url);
        for same in ["http://a.localhost:8080/a?b=c", "https://x.example/", "http://127.0.0.1:8080/a/b.js"] {
            assert_eq!(normal(same), same);
        }
        assert_eq!(normal("http://A.example:80/x/../y"), "http://a.example/y");
        assert_eq!(normal("https://a.example"), "https://a.example/");
        assert_eq!(normal("http://a.example/%7Ea b"), "http://a.example/%7Ea%20b");
        assert!(is_normal("http://hello.localhost:8080/users/1?x=y"));
        assert!(is_normal("http://hello.localhost:49152/") && is_normal("https://a:80/"));
        assert!(!is_normal("http://a:80/") && !is_normal("https://a:443/") && !is_normal("http://a:65536/"));
        assert!(!is_normal("http://a:/") && !is_normal("ftp://a/") && !is_normal("http://a"));
        assert!(!is_normal("http://127.1/"));
        assert!(!is_normal("http://a:080/"));
        assert!(!is_normal("http://a/?q=\""));
    }
}
