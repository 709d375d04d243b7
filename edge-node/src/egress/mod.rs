//! Outbound `fetch`: resolve, check the address, connect to exactly that address, speak HTTP.

pub mod address_policy;
mod breaker;
mod client;
pub mod connector;
mod dns;
mod eyeballs;
mod failure;
mod http2;
mod origin;
mod pace;
mod pool;
mod retry;
pub mod roots;
mod websocket;

pub use client::{Egress, Outbound, Patience};
pub use origin::{Head, Place, Speaks};
