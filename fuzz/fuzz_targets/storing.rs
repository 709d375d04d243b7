//! Whether and how an answer may be stored, with `Vary`, `Age`, `Date` and `Expires`, and its use afterwards.
#![no_main]

use atoll_fuzz::headers;
use atoll_http_cache::cache_control::{MAX_SECONDS, RequestDirectives};
use atoll_http_cache::entry::Head;
use atoll_http_cache::freshness::{Use, assess};
use atoll_http_cache::storing::judge;
use http::{Method, StatusCode};
use libfuzzer_sys::fuzz_target;

const REQUEST: [&str; 4] = ["authorization", "cache-control", "x-one", "pragma"];
const RESPONSE: [&str; 11] = [
    "cache-control",
    "cdn-cache-control",
    "expires",
    "date",
    "age",
    "vary",
    "etag",
    "last-modified",
    "set-cookie",
    "cache-tag",
    "connection",
];
/// 21 November 2026.
const NOW: u64 = 1_795_219_200_000;

fuzz_target!(|input: (u16, &[u8], &[u8])| {
    let (status, request, response) = input;
    let Ok(status) = StatusCode::from_u16(status % 500 + 100) else { return };
    let (request, response) = (headers(request, &REQUEST), headers(response, &RESPONSE));
    let Ok(storable) = judge(&Method::GET, &request, status, &response, NOW - 50, NOW) else { return };
    let policy = storable.policy.clone();
    assert!(policy.lifetime <= MAX_SECONDS);
    let head = Head::new(status, &response, storable, &request, "http://a.example/p?q", 1);
    assert!(!head.headers.contains(&http::header::CONNECTION));
    if !policy.validate_always {
        assert!(head.matches(&request), "it answers the request that it came for");
    }
    let mut before = policy.age_ms(NOW);
    for later in [NOW, NOW + 1, NOW + 1000, NOW + 1_000_000_000, u64::MAX] {
        let age = policy.age_ms(later);
        assert!(age >= before);
        before = age;
        if assess(&policy, &RequestDirectives::default(), later) == Use::Fresh {
            assert!(policy.is_fresh(later) && policy.ttl(later) >= 0);
        }
    }
});
