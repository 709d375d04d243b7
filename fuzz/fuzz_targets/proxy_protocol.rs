//! The PROXY protocol, at once and as its bytes come.
#![no_main]

use atoll_fuzz::proxy_protocol::{parse, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    if let Ok(Some(header)) = &whole {
        assert!(header.length <= bytes.len());
        assert_eq!(parse(&bytes[..header.length]), whole);
        for end in 0..header.length {
            assert_eq!(parse(&bytes[..end]), Ok(None), "{end} of {} bytes", header.length);
        }
    }
    // From a connection comes the same, and not a byte too many is read of it.
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut rest = bytes;
    let read = runtime.block_on(read(&mut rest));
    match (whole, read) {
        (Ok(Some(header)), Ok(read)) => assert_eq!((bytes.len() - rest.len(), read), (header.length, header)),
        (Ok(Some(header)), Err(error)) => panic!("{header:?} at once, {error} from a connection"),
        (_, Ok(header)) => panic!("{header:?} from a connection only"),
        (_, Err(_)) => {}
    }
});
