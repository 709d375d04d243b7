//! Patterns of routes, and hosts and paths against them.
#![no_main]

use atoll_fuzz::routing::{RouteIndex, RoutePattern, normalize_host};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<&str>, &str, &str)| {
    let (patterns, host, path) = input;
    let parsed: Vec<_> = patterns.iter().filter_map(|pattern| RoutePattern::parse(pattern).ok()).collect();
    let host = normalize_host(host);
    let index: RouteIndex<usize> = parsed.iter().cloned().zip(0..).collect();
    let found = index.find(&(), &host, path).copied();
    // With its pattern alone the same is found.
    if let Some(number) = found {
        let alone: RouteIndex<()> = [(parsed[number].clone(), ())].into_iter().collect();
        assert!(alone.find(&(), &host, path).is_some());
    } else {
        for pattern in &parsed {
            let alone: RouteIndex<()> = [(pattern.clone(), ())].into_iter().collect();
            assert!(alone.find(&(), &host, path).is_none(), "{pattern:?}");
        }
    }
});
