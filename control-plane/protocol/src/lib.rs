//! The types that nodes and clients share with the control plane: what the HTTP API takes and gives, and the stream by
//! which nodes follow it.

pub mod api;
pub mod config;
pub mod sync;
