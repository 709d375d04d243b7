//! `Cache-Control` of requests and responses.
#![no_main]

use atoll_fuzz::header;
use atoll_http_cache::cache_control::{MAX_SECONDS, of_request, of_response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| {
    let Some(headers) = header("cache-control", value) else { return };
    let response = of_response(&headers).expect("it is there");
    let request = of_request(&headers);
    for seconds in [
        response.max_age,
        response.s_maxage,
        response.stale_while_revalidate,
        response.stale_if_error,
        request.max_age,
        request.max_stale,
        request.min_fresh,
        request.stale_if_error,
    ] {
        assert!(seconds.is_none_or(|seconds| seconds <= MAX_SECONDS));
    }
    // A line before it changes nothing that is not a lifetime but adds to it.
    let mut more = headers.clone();
    more.append("cache-control", http::HeaderValue::from_static("no-store"));
    let more = of_response(&more).expect("it is there");
    assert!(more.no_store && more.max_age == response.max_age && more.private == response.private);
    assert_eq!(more.withheld, response.withheld);
});
