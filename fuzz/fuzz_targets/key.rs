//! The key of a URL: two URLs share one only when they differ in nothing but a fragment.
#![no_main]

use atoll_http_cache::key::{KeySettings, Namespace, key, place};
use http::HeaderMap;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (one, other) = input;
    let of = |url: &str| key(Namespace::of(&[b"a"]), &KeySettings::default(), url, &HeaderMap::new());
    if let (Some(key), Some(another)) = (of(one), of(other)) {
        let whole = |url: &str| url.split('#').next().unwrap_or_default().to_owned();
        // A NUL is in no URL that a request can have.
        if !one.contains('\0') && !other.contains('\0') {
            assert_eq!(key == another, whole(one) == whole(other));
        }
    }
    place(one);
});
