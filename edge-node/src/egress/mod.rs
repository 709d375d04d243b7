//! Outbound `fetch`: resolve, check the address, connect to exactly that address, speak HTTP.

pub mod address_policy;
mod client;
pub mod connector;
mod dns;
mod websocket;

pub use client::Egress;
