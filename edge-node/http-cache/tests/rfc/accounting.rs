//! What the memory tier says that it uses is what it has allocated.

use std::process::Command;
use std::sync::Arc;

use atoll_http_cache::entry::{Content, Entry, Head};
use atoll_http_cache::key::{KeySettings, Namespace, key};
use atoll_http_cache::store::{Store, StoreOptions};
use atoll_http_cache::storing::judge;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, DATE, ETAG, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::ALLOCATOR;

/// A response with the fields that most have, and some that few have. All values are parts of one large buffer, as a
/// connection's reads are.
fn store(store: &Store, number: usize, body: usize) {
    let url = format!("https://www.example.com/a/typical/path/to-some-object.js?version={number}");
    let request = HeaderMap::from_iter([(http::header::ACCEPT, HeaderValue::from_static("text/html"))]);
    let fields = [
        (CACHE_CONTROL, "public, max-age=3600"),
        (CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (DATE, "Sun, 22 Nov 2026 00:00:00 GMT"),
        (ETAG, "\"5d8c72a5edda8-1f3a\""),
        (VARY, "accept"),
        (HeaderName::from_static("x-request-id"), "0123456789abcdef"),
    ];
    let buffer = Bytes::from(fields.iter().map(|(_, value)| *value).collect::<String>() + &" ".repeat(8192));
    let mut at = 0;
    let part = |(name, value): (HeaderName, &str)| {
        at += value.len();
        (name, HeaderValue::from_maybe_shared(buffer.slice(at - value.len()..at)).unwrap())
    };
    let response: HeaderMap = fields.into_iter().map(part).collect();
    let storable = judge(&Method::GET, &request, StatusCode::OK, &response, 0, 0).unwrap();
    let head = Arc::new(Head::new(StatusCode::OK, &response, storable, &request, &url, 0));
    let key = key(Namespace::of(&[b"app"]), &KeySettings::default(), &url, &HeaderMap::new()).unwrap();
    let content = Bytes::copy_from_slice(&vec![7; body]);
    // Somebody is answered with it meanwhile.
    let answered = content.clone();
    assert!(store.insert(&key, Entry { head, content: Content::in_memory(content) }));
    drop(answered);
}

/// Bytes allocated for `count` objects, and what the store says of them, for each.
fn measured(count: usize, body: usize, budget: u64) -> (f64, f64) {
    let before = ALLOCATOR.allocated();
    let kept = Store::new(StoreOptions { memory: budget, ..StoreOptions::default() });
    (0..count).for_each(|number| store(&kept, number, body));
    let allocated = ALLOCATOR.allocated().saturating_sub(before);
    (allocated as f64 / count as f64, kept.memory_used() as f64 / count as f64)
}

/// Says that this process is for this test alone.
const ALONE: &str = "ATOLL_TEST_ACCOUNTING";

/// Other tests allocate beside this one, so it has a process of its own.
#[test]
fn what_is_counted_is_what_is_used() {
    if std::env::var_os(ALONE).is_some() {
        return alone();
    }
    let arguments = ["--exact", "accounting::what_is_counted_is_what_is_used", "--test-threads=1"];
    let ran = Command::new(std::env::current_exe().unwrap()).args(arguments).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&ran.stderr));
}

fn alone() {
    for (count, body) in [(5000, 0), (5000, 1 << 10), (100, 100 << 10)] {
        let (allocated, counted) = measured(count, body, 1 << 30);
        let ratio = allocated / counted;
        assert!((0.85..=1.15).contains(&ratio), "{count} of {body} bytes: {allocated} allocated, {counted} counted");
    }
    // What is pushed out is freed.
    let (allocated, counted) = measured(10_000, 1 << 10, 5 << 20);
    let budget = f64::from(5 << 20) / 10_000.0;
    assert!(
        counted <= budget && allocated < budget * 1.15,
        "{allocated} allocated, {counted} counted, {budget} allowed"
    );
}
