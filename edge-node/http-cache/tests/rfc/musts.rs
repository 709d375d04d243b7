//! What RFC 9111 says with MUST, where no module's own tests show it.

use std::sync::Arc;

use atoll_http_cache::entry::{Content, Entry, Head, Variants};
use atoll_http_cache::purge::Purges;
use atoll_http_cache::safety::admit;
use atoll_http_cache::status::Forwarded;
use atoll_http_cache::storing::{Refusal, judge};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    map
}

fn stored(request: &HeaderMap, response: &HeaderMap) -> Head {
    let storable = judge(&Method::GET, request, StatusCode::OK, response, 0, 0).expect("it may be stored");
    Head::new(StatusCode::OK, response, storable, request, "http://a/", 0)
}

/// §2, §4: a cache that knows GET and HEAD alone.
#[test]
fn other_methods_are_neither_stored_nor_answered() {
    let response = headers(&[("cache-control", "public, max-age=60")]);
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, "QUERY".parse().unwrap()]
    {
        assert_eq!(admit(&method, &HeaderMap::new(), false), Err(Forwarded::Method));
        let judged = judge(&method, &HeaderMap::new(), StatusCode::OK, &response, 0, 0);
        assert_eq!(judged.unwrap_err(), Refusal::Method);
    }
}

/// §3.1: "all received response header fields — including unrecognized ones", but those that are for the connection or
/// for proxies.
#[test]
fn all_fields_are_stored_but_those_of_the_connection() {
    let response = headers(&[
        ("cache-control", "max-age=60"),
        ("connection", "x-hop, Keep-Alive"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("proxy-authentication-info", "x"),
        ("proxy-authorization", "Basic eDp5"),
        ("proxy-connection", "close"),
        ("te", "trailers"),
        ("trailer", "x-sum"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("x-unknown", "1"),
        ("x-unknown", "2"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ]);
    let head = stored(&HeaderMap::new(), &response);
    let mut names: Vec<&str> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["cache-control", "date", "x-unknown"]);
    assert_eq!(head.headers.to_map(0).get_all("x-unknown").iter().count(), 2);
}

/// §4.1: "If a header field is absent from a request, it can only match another request if it is also absent there."
#[test]
fn a_field_that_is_missing_matches_only_where_it_was_missing() {
    let response = headers(&[("cache-control", "max-age=60"), ("vary", "accept, x-b")]);
    let without = stored(&HeaderMap::new(), &response);
    let with = stored(&headers(&[("accept", "a")]), &response);
    assert!(without.matches(&HeaderMap::new()) && !with.matches(&HeaderMap::new()));
    for (fields, matches) in [
        (&[("accept", "a")][..], [false, true]),
        (&[("accept", "")], [false, false]),
        (&[("accept", "a"), ("x-b", "")], [false, false]),
        (&[("accept", "a, b")], [false, false]),
        (&[("x-c", "1")], [true, false]),
    ] {
        let request = headers(fields);
        assert_eq!([without.matches(&request), with.matches(&request)], matches, "{fields:?}");
    }
}

/// §4: "the cache MUST use the most recent one".
#[test]
fn the_most_recent_of_several_is_used() {
    let response = headers(&[("cache-control", "max-age=60"), ("vary", "accept")]);
    let plain = headers(&[("cache-control", "max-age=60")]);
    let entry = |request: &HeaderMap, response: &HeaderMap, body: &'static str| {
        let head = Arc::new(stored(request, response));
        Arc::new(Entry { head, content: Content::in_memory(body.into()) })
    };
    let request = headers(&[("accept", "a")]);
    let mut variants = Variants::default();
    for (response, body) in [(&response, "1"), (&plain, "2"), (&response, "3")] {
        variants = variants.with(entry(&request, response, body));
        let found = variants.select(&request, &Purges::default()).unwrap();
        assert_eq!(found.content.memory.as_deref(), Some(body.as_bytes()));
    }
}

/// §5.2.1.5: "a cache MUST NOT store any part of either this request or any response to it".
#[test]
fn an_answer_to_a_request_with_no_store_is_not_stored() {
    let response = headers(&[("cache-control", "public, s-maxage=60"), ("cdn-cache-control", "max-age=60")]);
    let judged = |value| {
        let request = headers(&[("cache-control", value)]);
        judge(&Method::GET, &request, StatusCode::OK, &response, 0, 0).map(|_| ())
    };
    assert_eq!(judged("no-store"), Err(Refusal::Request));
    assert_eq!(judged("max-age=0, No-Store"), Err(Refusal::Request));
    assert_eq!(judged("no-cache, max-age=0, x=\"no-store\""), Ok(()));
}
