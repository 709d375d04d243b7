//! Snapshot S0: every web API evaluated at build time.

/// The blob, made by the build script.
pub(crate) static S0: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/s0.bin"));

include!(concat!(env!("OUT_DIR"), "/residual_sources.rs"));
