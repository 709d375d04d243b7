//! The cache in front of isolates: what may be stored, what may be answered from it, and where it is kept.
//!
//! Decisions are functions of a request, a response, settings and `now`; they do no I/O and read no clock. A request
//! goes [`key`] → [`Store::lookup`](store::Store::lookup) → [`select`](entry::Variants::select) →
//! [`assess`](freshness::assess) → [`answer`](answer::answer); a response goes [`judge`](storing::judge) →
//! [`Fill`](fill::Fill) → [`Store::insert`](store::Store::insert).
//!
//! The rules are those of RFC 9111 for a shared cache, with RFC 5861 (stale answers), RFC 9211 (`Cache-Status`) and
//! RFC 9213 (targeted fields). Where this cache is stricter: it stores nothing without an explicit lifetime or a
//! validator, nothing that sets a cookie, and no partial content.

pub mod answer;
pub mod cache_control;
pub mod conditional;
pub mod date;
pub mod disk;
pub mod encoding;
pub mod entry;
pub mod fields;
pub mod fill;
pub mod freshness;
mod hot;
pub mod key;
mod memory;
mod order;
pub mod purge;
pub mod put;
pub mod range;
pub mod safety;
pub mod sealed;
pub mod status;
pub mod store;
pub mod storing;
pub mod targeted;

/// An instant: milliseconds since the Unix epoch.
pub type UnixMillis = u64;
