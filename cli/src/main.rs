//! The `atoll` binary.
#![allow(dead_code)]

mod build;
mod project;

fn main() {}
