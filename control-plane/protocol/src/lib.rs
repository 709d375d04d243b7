//! The types that nodes and clients share with the control plane: what the HTTP API takes and gives, and the stream by
//! which nodes follow it, with its signatures and sealed secrets.

pub mod api;
pub mod certificates;
pub mod config;
pub mod cron;
mod hex;
pub mod seal;
pub mod signing;
pub mod sync;

pub use hex::ParseKeyError;
