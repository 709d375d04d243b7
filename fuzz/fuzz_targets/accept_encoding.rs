//! `Accept-Encoding`.
#![no_main]

use atoll_fuzz::header;
use atoll_fuzz::negotiate::{Accepts, Coding};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| {
    let Some(headers) = header("accept-encoding", value) else { return };
    let accepts = Accepts::of(&headers);
    for order in [Coding::SMALLEST, Coding::FASTEST] {
        if let Some(coding) = accepts.best(order) {
            assert!(accepts.any());
            let text = value.to_ascii_lowercase();
            let named = text.windows(coding.as_str().len()).any(|part| part == coding.as_str().as_bytes());
            assert!(named || text.contains(&b'*'), "nobody asked for {coding:?}");
        }
    }
});
