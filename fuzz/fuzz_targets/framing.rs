//! How the bytes of an HTTP/1 connection divide into requests: the same, however they arrive.
#![no_main]

use atoll_fuzz::listeners::framing::{Framing, Progress};
use libfuzzer_sys::fuzz_target;

const MAX_HEAD: usize = 1 << 10;

/// What is good of `bytes` when they come in pieces of those sizes, and what broke.
fn follow(bytes: &[u8], sizes: impl Iterator<Item = usize>) -> (Framing, Progress) {
    let mut framing = Framing::new(MAX_HEAD);
    let (mut good, mut here) = (0, 0);
    let mut sizes = sizes.map(|size| size.max(1));
    while here < bytes.len() {
        here = bytes.len().min(here.saturating_add(sizes.next().unwrap_or(usize::MAX)));
        let progress = framing.advance(&bytes[good..here]);
        good += progress.good;
        assert!(good <= here);
        if progress.broken.is_some() {
            return (framing, Progress { good, ..progress });
        }
    }
    (framing, Progress { good, broken: None })
}

fuzz_target!(|input: (Vec<u8>, &[u8])| {
    let (sizes, bytes) = input;
    let (whole, at_once) = follow(bytes, std::iter::empty());
    let (pieces, in_pieces) = follow(bytes, sizes.into_iter().map(usize::from));
    assert_eq!(at_once, in_pieces);
    assert_eq!((whole.heads(), whole.is_between_requests()), (pieces.heads(), pieces.is_between_requests()));
    assert_eq!((whole.is_in_body(), whole.is_http2()), (pieces.is_in_body(), pieces.is_http2()));
});
