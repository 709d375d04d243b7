//! What the system tests share: starting the binary, speaking HTTP, making projects, waiting.

pub mod api;
pub mod apps;
pub mod http;
pub mod npm;
pub mod oracles;
pub mod origin;
pub mod pebble;
pub mod process;
pub mod project;
pub mod roles;
pub mod wait;

pub use api::Api;
pub use http::{Connection, Response};
pub use process::Up;
pub use project::Project;
pub use wait::eventually;
