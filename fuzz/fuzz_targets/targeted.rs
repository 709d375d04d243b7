//! Targeted fields: Dictionaries of Structured Fields.
#![no_main]

use atoll_http_cache::cache_control::MAX_SECONDS;
use atoll_http_cache::targeted::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| {
    let Some(read) = parse(value) else { return };
    for seconds in [read.max_age, read.s_maxage, read.stale_while_revalidate, read.stale_if_error] {
        assert!(seconds.is_none_or(|seconds| seconds <= MAX_SECONDS));
    }
    // Of a key that is there twice the last one counts.
    let again = [value, b", no-store"].concat();
    assert!(parse(&again).is_some_and(|read| read.no_store), "what parses parses with one member more");
});
