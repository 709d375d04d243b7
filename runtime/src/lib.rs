//! V8 isolates that run a bundle's `fetch` handler: snapshot, warm pool, module loading, limits.
//!
//! This crate knows nothing of HTTP servers or of the control plane. An [`Isolate`] is sent [`FetchEvent`]s and answers
//! with [`FetchResponse`]s; what its code asks of the world goes to the [`Host`] of its [`Worker`].
//!
//! Start with [`Engine::init`], then a [`Pool`], then [`Pool::start`].

#![allow(unsafe_code, reason = "this crate touches V8; every block says why it is sound")]

mod abort;
mod allocator;
mod alone;
mod batch;
mod bell;
mod builtins;
mod code_cache;
mod compile;
mod core;
mod engine;
mod host;
pub mod huge_pages;
mod idle;
pub mod inline;
mod isolate;
mod jobs;
mod limits;
mod loader;
mod loop_waker;
mod memory;
mod park;
mod platform_modules;
mod pool;
mod priority;
mod reservations;
mod rests;
mod shared;
mod snapshot;
mod source_map;
mod stack;
mod turn;
mod waits;
mod wasm_cache;
mod watchdog;
mod worker;

pub use atoll_web::BUILTINS;
pub use atoll_web::event::*;
pub use atoll_web::socket::{Close, Hold, LONGEST_MESSAGE, Message, Received, Socket};

pub use crate::allocator::{Counting, Mimalloc, give_back_memory};
pub use crate::code_cache::CodeStarts;
pub use crate::engine::{Engine, EngineOptions};
pub use crate::isolate::{Isolate, Load, WeakIsolate};
pub use crate::limits::Limits;
pub use crate::pool::{Pool, PoolOptions};
pub use crate::worker::Worker;
