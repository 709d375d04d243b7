//! The control plane through its listener, on real directories.

mod acme;
mod assets;
mod bad_input;
mod certificates;
mod crashes;
mod deploys;
mod lifecycle;
#[allow(dead_code, reason = "the system tests use all of it")]
#[path = "../../../tests/support/pebble.rs"]
mod pebble;
mod purges;
mod streams;
mod support;
#[allow(dead_code, reason = "the system tests use all of it")]
#[path = "../../../tests/support/wait.rs"]
mod wait;
