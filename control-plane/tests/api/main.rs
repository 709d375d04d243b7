//! The control plane through its listener, on real directories.

mod bad_input;
mod deploys;
mod lifecycle;
mod streams;
mod support;
