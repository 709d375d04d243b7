//! The framing of HTTP/1, beside the rules that it names.

#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/listeners/framing.rs"]
pub mod framing;
#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/listeners/rules.rs"]
pub mod rules;
