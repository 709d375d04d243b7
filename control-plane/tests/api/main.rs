//! The control plane through its listener, on real directories.

mod bad_input;
mod crashes;
mod deploys;
mod lifecycle;
mod purges;
mod streams;
mod support;
