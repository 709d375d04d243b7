//! The framing of HTTP/1, and the field sections of HTTP/2 and HTTP/3, beside the rules that they name.

#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/listeners/framing.rs"]
pub mod framing;
#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/listeners/heads.rs"]
pub mod heads;
#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/listeners/rules.rs"]
pub mod rules;
#[allow(dead_code, unreachable_pub, reason = "a target needs parts of them")]
#[path = "../../edge-node/src/listeners/sections/mod.rs"]
pub mod sections;
