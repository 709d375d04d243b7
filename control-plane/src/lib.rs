//! The control plane: the HTTP API by which apps are deployed and nodes are fed, on a store that is the truth.
//!
//! [`ControlPlane::start`] opens a data directory and serves; the types of the API are those of `atoll-protocol`.
//!
//! **Invariant:** nothing is acknowledged before it is durable. Bundles are on the disk before a version can name them,
//! and a change is committed with a full sync before its answer is sent or a node hears of it.

mod acme;
mod assets;
mod auth;
mod bundles;
mod certificates;
mod config;
mod data_dir;
mod error;
mod extract;
mod http;
mod nodes;
mod objects;
mod plane;
mod server;
mod stream;
mod sync;
mod tails;
mod time;
mod urls;
mod validate;
mod vault;

pub use acme::{AcmeConfig, AcmeConfigError};
pub use config::{Config, ConfigError};
pub use data_dir::StartError;
pub use http::openapi::openapi_json;
pub use plane::ControlPlane;
