//! The edge node: listeners, routing, dispatch to isolates, egress, following the control plane.
//!
//! A request's way is accept → HTTP → route → version → dispatch → isolate → answer; each step is one module, and a
//! request never goes back. Everything on it that depends on configuration comes from one immutable snapshot
//! (`state`), so a deploy is one pointer swap.

mod access_log;
mod answer;
mod app;
mod apps;
mod assets;
mod authority;
mod base;
mod body;
mod bundles;
mod cache;
mod cache_api;
mod certificates;
mod client;
mod compress;
mod config;
mod crons;
mod disk;
mod dispatch;
mod durable;
mod egress;
mod errors;
mod follow;
mod headers;
mod hints;
mod host;
mod journal;
mod limits;
mod listeners;
mod load;
mod logs;
mod node;
mod precompile;
mod private;
mod proxy;
mod request;
mod rollout;
mod routing;
mod saved;
mod scheduled;
mod service;
mod services;
mod sharded;
mod source;
mod spare;
mod state;
mod upgrade;
mod version;
mod websocket;

pub use assets::LocalAsset;
pub use config::{
    AssetConfig, BundleConfig, CacheConfig, CompressionConfig, Config, ConfigError, ControlPlaneConfig, EgressConfig,
    FrontCacheConfig, IsolateConfig, Secret, WebSocketConfig,
};
pub use disk::DiskError;
pub use egress::connector::{ConnectError, Connector, Stream};
pub use follow::Status;
pub use limits::LimitSettings;
pub use listeners::{
    CertificateFiles, ClientAuth, ConnectionConfig, ListenAddress, ListenerConfig, TlsConfig, TlsVersion,
};
pub use node::{EdgeNode, StartError};
pub use upgrade::{Inheritance, UPGRADE_VARIABLE, UpgradeError};
