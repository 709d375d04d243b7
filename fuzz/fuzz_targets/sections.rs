//! Field sections of HTTP/2 and HTTP/3: read the same however their frames arrive, and never larger than what they stand in.
#![no_main]

use atoll_fuzz::listeners::heads::{Heads, TooLarge};
use atoll_fuzz::listeners::rules::Rule;
use atoll_fuzz::listeners::sections::{hpack, qpack};
use libfuzzer_sys::fuzz_target;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const LIMIT: u32 = 1 << 10;

/// A frame: its flags, whether it goes on with the section before, and its payload.
type Frame = (u8, bool, Vec<u8>);

/// What is refused when payloads come in pieces of that size.
fn follow(frames: &[Frame], size: usize) -> (Vec<(u32, Rule)>, Result<(), TooLarge>) {
    let (mut heads, mut refused) = (Heads::new(LIMIT), Vec::new());
    for (at, (flags, goes_on, payload)) in frames.iter().enumerate() {
        let kind = if *goes_on && at > 0 { CONTINUATION } else { HEADERS };
        let read = heads
            .begin(kind, *flags, at as u32, payload.len(), at % 5 == 4)
            .and_then(|()| payload.chunks(size).try_for_each(|piece| heads.advance(piece)));
        refused.extend(heads.refused());
        if read.is_err() {
            return (refused, read);
        }
    }
    (refused, Ok(()))
}

fuzz_target!(|input: (u8, Vec<Frame>)| {
    let (size, frames) = input;
    assert_eq!(follow(&frames, usize::MAX), follow(&frames, usize::from(size).max(1)));
    let mut table = hpack::Table::default();
    for (.., payload) in &frames {
        if let Ok(read) = qpack::read(payload) {
            assert!(read.size >= 32 * u64::from(read.fields) && read.fields as usize <= payload.len());
        }
        let Ok(read) = table.read(payload) else { break };
        assert!(read.size >= 32 * u64::from(read.fields) && read.fields as usize <= payload.len());
    }
});
