//! What can be configured of an app's version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Limits of an app; absent ones take the node's defaults, and none can pass the node's ceilings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitOverrides {
    /// CPU time per request, milliseconds. Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// CPU time to evaluate the modules, milliseconds. Default 400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_cpu_ms: Option<u64>,
    /// Wall clock until a response's head, and for `waitUntil` after a response, milliseconds. Default 30,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
    /// V8 heap and off-heap memory together, MiB. Default 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u64>,
    /// Outbound requests per request. Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subrequests: Option<u32>,
    /// Request body, bytes. Default 100 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_body_bytes: Option<u64>,
    /// Requests of one app in flight on one node; more get 503 with `Retry-After`. Default 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

/// A version's settings: everything but its code and its secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionConfig {
    /// Plain variables: a JSON string becomes a string in `env`, anything else the parsed value.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub vars: BTreeMap<String, serde_json::Value>,
    /// Limits for this version.
    #[serde(default)]
    pub limits: LimitOverrides,
    /// Where `passThroughOnException` sends a request whose handler threw: an `http(s)://host[:port]` base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}
