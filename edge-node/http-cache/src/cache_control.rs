//! `Cache-Control` of requests and responses (RFC 9111 §5.2), read as leniently as it is written.

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};

/// The largest delta-seconds: more means this (RFC 9111 §1.2.2).
pub const MAX_SECONDS: u64 = 1 << 31;

/// What a response says of its caching.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// `max-age`, seconds.
    pub max_age: Option<u64>,
    /// `s-maxage`, seconds.
    pub s_maxage: Option<u64>,
    /// `stale-while-revalidate`, seconds (RFC 5861 §3).
    pub stale_while_revalidate: Option<u64>,
    /// `stale-if-error`, seconds (RFC 5861 §4).
    pub stale_if_error: Option<u64>,
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache` without field names.
    pub no_cache: bool,
    /// `private` without field names.
    pub private: bool,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// Fields named by `no-cache="…"` and `private="…"`: a shared cache stores the response without them.
    pub withheld: Vec<HeaderName>,
}

/// What a request says of its caching. Clients' advice (RFC 9111 §5.2.1); the settings say whether it is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// `max-age`, seconds.
    pub max_age: Option<u64>,
    /// `min-fresh`, seconds.
    pub min_fresh: Option<u64>,
    /// `max-stale`, seconds; without a value, any.
    pub max_stale: Option<u64>,
    /// `stale-if-error`, seconds.
    pub stale_if_error: Option<u64>,
    /// `no-cache`, also as `Pragma`.
    pub no_cache: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
}

/// The directives of a response's `Cache-Control`; `None` when it has none.
pub fn of_response(headers: &HeaderMap) -> Option<ResponseDirectives> {
    if !headers.contains_key(CACHE_CONTROL) {
        return None;
    }
    let mut directives = ResponseDirectives::default();
    for value in headers.get_all(CACHE_CONTROL) {
        for_each(value.as_bytes(), |name, argument| directives.take(name, argument));
    }
    Some(directives)
}

/// The directives of a request. `Pragma: no-cache` counts when there is no `Cache-Control` (RFC 9111 §5.4).
pub fn of_request(headers: &HeaderMap) -> RequestDirectives {
    let mut directives = RequestDirectives::default();
    if !headers.contains_key(CACHE_CONTROL) {
        let pragma = headers.get_all(http::header::PRAGMA);
        for value in pragma {
            for_each(value.as_bytes(), |name, _| directives.no_cache |= name.eq_ignore_ascii_case(b"no-cache"));
        }
        return directives;
    }
    for value in headers.get_all(CACHE_CONTROL) {
        for_each(value.as_bytes(), |name, argument| match &*name.to_ascii_lowercase() {
            b"max-age" => first(&mut directives.max_age, argument),
            b"min-fresh" => first(&mut directives.min_fresh, argument),
            b"stale-if-error" => first(&mut directives.stale_if_error, argument),
            b"max-stale" => {
                let seconds = argument.map_or(MAX_SECONDS, |argument| seconds(&argument).unwrap_or(0));
                directives.max_stale.get_or_insert(seconds);
            }
            b"no-cache" => directives.no_cache = true,
            b"no-store" => directives.no_store = true,
            b"only-if-cached" => directives.only_if_cached = true,
            _ => {}
        });
    }
    directives
}

impl ResponseDirectives {
    fn take(&mut self, name: &[u8], argument: Option<Vec<u8>>) {
        match &*name.to_ascii_lowercase() {
            b"max-age" => first(&mut self.max_age, argument),
            b"s-maxage" => first(&mut self.s_maxage, argument),
            b"stale-while-revalidate" => first(&mut self.stale_while_revalidate, argument),
            b"stale-if-error" => first(&mut self.stale_if_error, argument),
            b"no-store" => self.no_store = true,
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"no-cache" => match argument.and_then(|names| fields(&names)) {
                Some(names) => self.withheld.extend(names),
                None => self.no_cache = true,
            },
            b"private" => match argument.and_then(|names| fields(&names)) {
                Some(names) => self.withheld.extend(names),
                None => self.private = true,
            },
            _ => {}
        }
    }
}

/// Of a directive that is there twice the first counts; one that is no number means stale (RFC 9111 §4.2.1).
fn first(place: &mut Option<u64>, argument: Option<Vec<u8>>) {
    place.get_or_insert(argument.and_then(|argument| seconds(&argument)).unwrap_or(0));
}

/// delta-seconds (RFC 9111 §1.2.2).
pub(crate) fn seconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| (sum * 10 + u64::from(digit - b'0')).min(MAX_SECONDS);
    Some(text.iter().fold(0, add))
}

/// A list of field names; `None` when one is no field name, so that the directive holds for the whole response.
fn fields(list: &[u8]) -> Option<Vec<HeaderName>> {
    let names: Option<Vec<HeaderName>> = list
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
        .map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    names.filter(|names| !names.is_empty())
}

/// Calls `each` with name and argument (unquoted) of every directive. What does not parse is skipped up to the comma
/// after it; an argument that does not parse is an empty one.
fn for_each(value: &[u8], mut each: impl FnMut(&[u8], Option<Vec<u8>>)) {
    let mut rest = value;
    while !rest.is_empty() {
        let member = &rest[..member_end(rest)];
        rest = rest.get(member.len() + 1..).unwrap_or_default();
        let member = member.trim_ascii();
        let (name, argument) = match member.iter().position(|byte| *byte == b'=') {
            Some(at) => (&member[..at], Some(unquoted(&member[at + 1..]))),
            None => (member, None),
        };
        // `max-age = 1` is no directive with that argument, but it is not nothing either: the name counts.
        let (name, argument) = match name.trim_ascii_end() {
            trimmed if trimmed.len() == name.len() => (name, argument),
            trimmed => (trimmed, argument.map(|_| Vec::new())),
        };
        if !name.is_empty() {
            each(name, argument);
        }
    }
}

/// Where the first comma outside of quotes is, or the end. A quote that is never closed hides nothing behind it.
fn member_end(text: &[u8]) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return at,
            _ => {}
        }
    }
    let comma = text.iter().position(|byte| *byte == b',').filter(|_| quoted);
    comma.unwrap_or(text.len())
}

fn unquoted(argument: &[u8]) -> Vec<u8> {
    let Some(inner) = argument.strip_prefix(b"\"") else { return argument.to_vec() };
    let Some(inner) = inner.strip_suffix(b"\"") else { return Vec::new() };
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        let byte = if *byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte };
        text.push(*byte);
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{PRAGMA, SET_COOKIE};

    use super::*;

    fn response(value: &str) -> ResponseDirectives {
        let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_str(value).unwrap())]);
        of_response(&headers).unwrap()
    }

    fn request(value: &str) -> RequestDirectives {
        of_request(&HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_str(value).unwrap())]))
    }

    #[test]
    fn names_are_case_insensitive_and_arguments_may_be_quoted() {
        let read = response("Public, MAX-AGE=60 , s-maxage=\"7\", x=\"a,no-store\", stale-if-error=1,,");
        assert_eq!((read.max_age, read.s_maxage, read.stale_if_error), (Some(60), Some(7), Some(1)));
        assert!(read.public && !read.no_store);
        assert!(response("x=\"a, no-store").no_store, "an open quote hides nothing");
    }

    #[test]
    fn numbers_that_are_none_mean_stale_and_large_ones_are_capped() {
        for text in ["max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age= 60", "max-age =60", "max-age=\"6"] {
            assert_eq!(response(text).max_age, Some(0), "{text}");
        }
        assert_eq!(response("max-age=99999999999999999999999").max_age, Some(MAX_SECONDS));
        assert_eq!(response("max-age=1, max-age=60").max_age, Some(1));
    }

    #[test]
    fn named_fields_are_withheld_and_unreadable_names_cover_everything() {
        let read = response("private=\"Set-Cookie, x-user\", no-cache=\"x-b\"");
        let names = [SET_COOKIE, HeaderName::from_static("x-user"), HeaderName::from_static("x-b")];
        assert_eq!((read.withheld, read.private, read.no_cache), (names.to_vec(), false, false));
        assert!(response("private=\"a b\"").private);
        assert!(response("no-cache=\"\"").no_cache);
    }

    #[test]
    fn several_lines_are_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        headers.append(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let read = of_response(&headers).unwrap();
        assert!(read.no_store && read.max_age == Some(60));
        assert!(of_response(&HeaderMap::new()).is_none());
    }

    #[test]
    fn requests_have_directives_of_their_own() {
        let read = request("max-stale, min-fresh=5, only-if-cached, no-store, no-cache, max-age=3");
        assert_eq!((read.max_stale, read.min_fresh, read.max_age), (Some(MAX_SECONDS), Some(5), Some(3)));
        assert!(read.only_if_cached && read.no_store && read.no_cache);
        assert_eq!(request("max-stale=9").max_stale, Some(9));
        let pragma = HeaderMap::from_iter([(PRAGMA, HeaderValue::from_static("no-cache"))]);
        assert!(of_request(&pragma).no_cache);
    }
}
