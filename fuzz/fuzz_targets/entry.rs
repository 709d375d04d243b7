//! The files of the cache's entries, without the checksum that would keep the fuzzer out.
#![no_main]

use atoll_http_cache::encoding::{decode, decode_payload, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = decode(bytes);
    let Some((key, variants)) = decode_payload(bytes) else { return };
    let written = encode(&key, &variants);
    let (again, same) = decode(&written).expect("what was written is read");
    assert!(again == key && encode(&again, &same) == written);
});
