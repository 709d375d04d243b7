//! What the fuzz targets share: headers out of bytes, and those parsers of the edge node and the command line
//! that stand in files of their own which need nothing of the engine that their crates link.

pub mod listeners;

use http::{HeaderMap, HeaderName, HeaderValue};

#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/base/mod.rs"]
pub mod base;
#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/durable.rs"]
pub mod durable;
#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/journal.rs"]
pub mod journal;
#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/cache/links.rs"]
pub mod links;
#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/compress/negotiate.rs"]
pub mod negotiate;
#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../cli/src/project/mod.rs"]
pub mod project;
#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/listeners/proxy_protocol.rs"]
pub mod proxy_protocol;
#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/routing.rs"]
pub mod routing;
#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/saved.rs"]
pub mod saved;
#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/sharded.rs"]
pub mod sharded;
#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/source.rs"]
pub mod source;

/// Header fields: a line for each, the first byte chooses one of `names`. What no header can have is left out.
pub fn headers(bytes: &[u8], names: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((first, value)) = line.split_first() else { continue };
        let name = HeaderName::from_static(names[usize::from(*first) % names.len()]);
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    headers
}

/// One header field with that value, where a header can have it.
pub fn header(name: &'static str, value: &[u8]) -> Option<HeaderMap> {
    let value = HeaderValue::from_bytes(value).ok()?;
    Some(HeaderMap::from_iter([(HeaderName::from_static(name), value)]))
}
