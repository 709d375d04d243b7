//! Conditions of requests against what is stored, and 304s against it.
#![no_main]

use atoll_fuzz::headers;
use atoll_http_cache::conditional::{confirms, make_validation, not_modified, refreshed};
use atoll_http_cache::range;
use http::{Method, StatusCode};
use libfuzzer_sys::fuzz_target;

const REQUEST: [&str; 4] = ["if-none-match", "if-modified-since", "if-range", "range"];
const STORED: [&str; 4] = ["etag", "last-modified", "date", "content-type"];

fuzz_target!(|input: (&[u8], &[u8], &[u8])| {
    let (request, stored, response) = input;
    let (mut request, stored, response) =
        (headers(request, &REQUEST), headers(stored, &STORED), headers(response, &STORED));
    not_modified(&request, StatusCode::OK, &stored, 0);
    range::select(&Method::GET, &request, &stored, 1000);
    let fresh = refreshed(&stored, &response);
    for (name, value) in &response {
        assert!(name == "content-type" || fresh.get_all(name).iter().any(|kept| kept == value));
    }
    confirms(&response, &stored);
    assert!(confirms(&stored, &stored), "an answer confirms itself");
    if make_validation(&mut request, &stored) && stored.get("etag").is_some_and(|tag| is_tag(tag.as_bytes())) {
        assert!(not_modified(&request, StatusCode::OK, &stored, 0), "its own tag validates it");
    }
});

/// Whether it is an entity tag (RFC 9110 §8.8.3).
fn is_tag(value: &[u8]) -> bool {
    let opaque = value.strip_prefix(b"W/").unwrap_or(value);
    let inner = opaque.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.is_some_and(|inner| !inner.contains(&b'"'))
}
