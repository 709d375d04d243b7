//! Whole-system tests: the real `atoll` binary, real sockets on loopback, real files in directories of their own.

mod support;

mod system {
    mod apps;
    mod assets;
    mod bad_input;
    mod browser;
    mod bundling;
    mod cache;
    mod cache_faults;
    mod cache_oracles;
    mod certificates;
    mod commands;
    pub mod crash;
    mod custom_builds;
    mod deploys;
    mod differential;
    mod errors;
    mod examples;
    mod fleet;
    mod hostile;
    mod hostile_handlers;
    mod http_surface;
    mod many;
    mod operating;
    mod origins;
    mod settings;
    mod streaming;
    mod types;
    mod upgrade;
    mod vectors;
    mod wasm;
}
