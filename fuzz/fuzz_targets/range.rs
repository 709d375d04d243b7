//! `Range`, over a length that is fuzzed too.
#![no_main]

use atoll_http_cache::range::{Selected, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &[u8])| {
    let (length, value) = input;
    let Selected::Parts(parts) = parse(value, length) else { return };
    assert!(!parts.is_empty());
    let mut sorted = parts.clone();
    sorted.sort_by_key(|part| part.start);
    let mut end = 0;
    for part in sorted {
        assert!(part.length > 0 && part.start >= end, "{parts:?}");
        end = part.start.checked_add(part.length).expect("within 64 bits");
    }
    assert!(end <= length, "{parts:?} of {length}");
});
