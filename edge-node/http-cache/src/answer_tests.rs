use http::HeaderName;

use super::*;
use crate::storing::judge;

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn answered(method: Method, request: &[(&'static str, &'static str)], status: StatusCode) -> Ready {
    let response = headers(&[("cache-control", "max-age=60"), ("etag", "\"a\""), ("content-type", "text/css")]);
    let storable = judge(&Method::GET, &HeaderMap::new(), status, &response, 0, 0).unwrap();
    let head = Head::new(status, &response, storable, &HeaderMap::new(), "http://a/", 0);
    let outcome = Some(Outcome::Hit { ttl: 50, detail: None });
    let around = Surroundings { now: 10_500, outcome, boundary: "B", length: Some(10) };
    answer(&method, &headers(request), &head, &around)
}

#[test]
fn a_hit_says_its_age_and_that_it_is_one() {
    let ready = answered(Method::GET, &[], StatusCode::OK);
    assert_eq!((ready.status, ready.bytes), (StatusCode::OK, Bytes::Whole));
    assert_eq!(ready.headers[AGE], "10");
    assert_eq!(ready.headers[CACHE_STATUS], "atoll; hit; ttl=50");
    assert_eq!(ready.headers[ACCEPT_RANGES], "bytes");
    assert!(ready.headers.contains_key("date"));
}

#[test]
fn head_is_answered_from_a_stored_get() {
    let ready = answered(Method::HEAD, &[], StatusCode::OK);
    assert_eq!(ready.headers[CONTENT_LENGTH], "10");
    assert_eq!(ready.bytes, Bytes::Nothing);
}

#[test]
fn a_client_that_has_it_gets_304_whatever_range_it_asks_for() {
    let ready = answered(Method::GET, &[("if-none-match", "\"a\""), ("range", "bytes=0-1")], StatusCode::OK);
    assert_eq!((ready.status, ready.bytes), (StatusCode::NOT_MODIFIED, Bytes::Nothing));
    assert!(!ready.headers.contains_key(CONTENT_TYPE) && ready.headers.contains_key("etag"));
    assert_eq!(ready.headers[AGE], "10");
}

#[test]
fn ranges_are_cut_from_the_whole() {
    let part = answered(Method::GET, &[("range", "bytes=2-4")], StatusCode::OK);
    assert_eq!(
        (part.status, part.bytes),
        (StatusCode::PARTIAL_CONTENT, Bytes::Part(ByteRange { start: 2, length: 3 }))
    );
    assert_eq!(part.headers[CONTENT_RANGE], "bytes 2-4/10");
    let parts = answered(Method::GET, &[("range", "bytes=0-0,5-6")], StatusCode::OK);
    assert_eq!(parts.headers[CONTENT_TYPE], "multipart/byteranges; boundary=B");
    assert!(matches!(parts.bytes, Bytes::Pieces(pieces) if pieces.len() == 5));
    let none = answered(Method::GET, &[("range", "bytes=10-")], StatusCode::OK);
    assert_eq!((none.status, none.bytes), (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::Nothing));
    assert_eq!(none.headers[CONTENT_RANGE], "bytes */10");
    assert_eq!(answered(Method::GET, &[("range", "bytes=0-1")], StatusCode::NOT_FOUND).bytes, Bytes::Whole);
    let other = answered(Method::GET, &[("range", "bytes=0-1"), ("if-range", "\"b\"")], StatusCode::OK);
    assert_eq!(other.bytes, Bytes::Whole);
}
