//! The archive of a bundle, below its compression.
#![no_main]

use std::io::Write;

use atoll_bundle::{Bundle, BundleLimits};
use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = BundleLimits::default();
    let _ = Bundle::unpack(bytes, None, &limits);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    gzip.write_all(bytes).expect("writing to memory");
    let archive = gzip.finish().expect("writing to memory");
    let Ok((bundle, _)) = Bundle::unpack(&archive, None, &limits) else { return };
    let (packed, same) = bundle.pack();
    let (again, _) = Bundle::unpack(&packed, Some(same), &limits).expect("what was packed is unpacked");
    assert_eq!(again, bundle);
});
