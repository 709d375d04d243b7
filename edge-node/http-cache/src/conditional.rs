//! Validators and the conditions on them: a client's against what is stored, ours against the app (RFC 9111 §4.3).

use http::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::fields::has;
use crate::{UnixMillis, date};

/// Whether a client's precondition says that it has what is stored: answer 304 (RFC 9110 §13.2.2). Only stored 200s are
/// asked (RFC 9111 §4.3.2).
pub fn not_modified(request: &HeaderMap, status: StatusCode, stored: &HeaderMap, received: UnixMillis) -> bool {
    if status != StatusCode::OK {
        return false;
    }
    if has(request, &IF_NONE_MATCH) {
        let etag = stored.get(ETAG).map(HeaderValue::as_bytes);
        return request.get_all(IF_NONE_MATCH).iter().any(|list| matches_any(list.as_bytes(), etag));
    }
    let Some(since) = date::field(request, &IF_MODIFIED_SINCE) else { return false };
    let modified = date::field(stored, &LAST_MODIFIED).or_else(|| date::field(stored, &DATE));
    modified.unwrap_or(received / 1000) <= since
}

/// Whether `If-None-Match` names the stored entity tag, by weak comparison (RFC 9110 §8.8.3.2).
fn matches_any(list: &[u8], etag: Option<&[u8]>) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    let Some(etag) = etag.map(opaque) else { return false };
    tags(list).any(|tag| opaque(tag) == etag)
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The entity tags of a list. They may hold commas, so the quotes decide where one ends.
fn tags(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
        rest = &rest[start..];
        let open = if rest.starts_with(b"W/") { 2 } else { 0 };
        let end = match rest.get(open) {
            Some(b'"') => rest[open + 1..].iter().position(|byte| *byte == b'"').map(|at| open + 1 + at + 1),
            _ => None,
        };
        // What is not quoted ends at the next comma; it matches nothing that is.
        let end = end.or_else(|| rest.iter().position(|byte| *byte == b',')).unwrap_or(rest.len());
        let tag = &rest[..end];
        rest = &rest[end..];
        Some(tag.trim_ascii_end())
    })
}

/// Makes of a request one that validates what is stored: with its validators as conditions in place of the client's
/// (RFC 9111 §4.3.1). `false` when it has none.
pub fn make_validation(request: &mut HeaderMap, stored: &HeaderMap) -> bool {
    strip_conditions(request);
    let etag = stored.get(ETAG).cloned();
    let modified = stored.get(LAST_MODIFIED).cloned();
    let any = etag.is_some() || modified.is_some();
    if let Some(etag) = etag {
        request.insert(IF_NONE_MATCH, etag);
    }
    if let Some(modified) = modified {
        request.insert(IF_MODIFIED_SINCE, modified);
    }
    any
}

/// Takes the conditions and the range out of a request, so that it asks for the whole.
pub fn strip_conditions(request: &mut HeaderMap) {
    for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE, http::header::IF_RANGE, http::header::RANGE] {
        request.remove(name);
    }
}

/// Whether a 304 is about this stored response (RFC 9111 §4.3.4): its strong validator is the stored one, or it has
/// nothing that says otherwise.
pub fn confirms(response: &HeaderMap, stored: &HeaderMap) -> bool {
    match (response.get(ETAG), stored.get(ETAG)) {
        (Some(new), Some(old)) => opaque(new.as_bytes()) == opaque(old.as_bytes()),
        (Some(_), None) => false,
        (None, _) => match (response.get(LAST_MODIFIED), stored.get(LAST_MODIFIED)) {
            (Some(new), Some(old)) => new == old,
            (Some(_), None) => false,
            (None, _) => true,
        },
    }
}

/// The stored fields with those of a 304 in their places (RFC 9111 §3.2): all but those that describe a content that the
/// 304 does not have.
pub fn refreshed(stored: &HeaderMap, response: &HeaderMap) -> HeaderMap {
    const KEPT: [HeaderName; 4] = [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_TYPE, CONTENT_RANGE];
    let mut headers = stored.clone();
    for name in response.keys().filter(|name| !KEPT.contains(name)) {
        headers.remove(name);
        for value in response.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// Takes out of the fields of a 304 those that describe the content (RFC 9110 §15.4.5).
pub fn strip_content_fields(headers: &mut HeaderMap) {
    for name in [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_TYPE, CONTENT_RANGE, CONTENT_LANGUAGE] {
        headers.remove(name);
    }
    if headers.contains_key(ETAG) {
        headers.remove(LAST_MODIFIED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Mon, 07 Nov 1994 08:49:37 GMT";

    #[test]
    fn entity_tags_match_weakly_in_any_list() {
        let stored = headers(&[("etag", "W/\"a,b\"")]);
        for (list, matches) in [
            ("\"a,b\"", true),
            ("\"x\", W/\"a,b\"", true),
            ("*", true),
            ("\"a\", b\"", false),
            ("a,b", false),
            ("\"A,B\"", false),
            ("", false),
            ("W/", false),
        ] {
            let request = headers(&[("if-none-match", list)]);
            assert_eq!(not_modified(&request, StatusCode::OK, &stored, 0), matches, "{list}");
        }
        let request = headers(&[("if-none-match", "*")]);
        assert!(!not_modified(&request, StatusCode::NOT_FOUND, &stored, 0), "only a stored 200 is asked");
    }

    #[test]
    fn dates_count_only_without_entity_tags() {
        let stored = headers(&[("last-modified", OLD), ("etag", "\"a\"")]);
        let asks = |fields: &[(&'static str, &'static str)]| not_modified(&headers(fields), StatusCode::OK, &stored, 0);
        assert!(asks(&[("if-modified-since", OLD)]) && asks(&[("if-modified-since", NEW)]));
        assert!(!asks(&[("if-modified-since", NEW), ("if-none-match", "\"b\"")]));
        assert!(!asks(&[("if-modified-since", "yesterday")]));
        let undated = headers(&[("date", NEW)]);
        assert!(!not_modified(&headers(&[("if-modified-since", OLD)]), StatusCode::OK, &undated, 0));
        assert!(not_modified(&headers(&[("if-modified-since", OLD)]), StatusCode::OK, &HeaderMap::new(), 5));
    }

    #[test]
    fn a_validation_replaces_the_conditions_of_the_client() {
        let mut request = headers(&[("if-none-match", "\"x\""), ("range", "bytes=0-1"), ("accept", "*/*")]);
        assert!(make_validation(&mut request, &headers(&[("etag", "\"a\""), ("last-modified", OLD)])));
        assert_eq!(request, headers(&[("accept", "*/*"), ("if-none-match", "\"a\""), ("if-modified-since", OLD)]));
        assert!(!make_validation(&mut request, &HeaderMap::new()));
        assert_eq!(request, headers(&[("accept", "*/*")]));
    }

    #[test]
    fn a_304_confirms_what_it_names_and_renews_its_fields() {
        let stored = headers(&[("etag", "\"a\""), ("cache-control", "max-age=1"), ("content-type", "text/css")]);
        assert!(confirms(&headers(&[("etag", "W/\"a\"")]), &stored));
        assert!(confirms(&HeaderMap::new(), &stored));
        assert!(!confirms(&headers(&[("etag", "\"b\"")]), &stored));
        assert!(!confirms(&headers(&[("last-modified", OLD)]), &stored));
        let new = headers(&[("cache-control", "max-age=9"), ("content-type", "text/html"), ("x-new", "1")]);
        let merged = refreshed(&stored, &new);
        assert_eq!(merged["cache-control"], "max-age=9");
        assert!(merged["content-type"] == "text/css" && merged["x-new"] == "1");
    }
}
