//! What can be configured of an app's version.

use std::collections::BTreeMap;

use atoll_bundle::BundleHash;
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
    /// Other apps, or this one, by their names in `env`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, ServiceBinding>,
    /// When the `scheduled` handler is due: cron expressions of five fields (minute, hour, day of the month, month, day of
    /// the week), in UTC.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crons: Vec<String>,
    /// Where `passThroughOnException` sends a request whose handler threw: an `http(s)://host[:port]` base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The cache in front of the app.
    #[serde(default, skip_serializing_if = "CacheSettings::is_default")]
    pub cache: CacheSettings,
    /// The origin of an app without code; the bundle's code is not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxySettings>,
    /// Compression of what the app answers.
    #[serde(default, skip_serializing_if = "CompressionSettings::is_default")]
    pub compression: CompressionSettings,
    /// Static files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assets: Option<AssetSettings>,
}

impl VersionConfig {
    /// The names in `env`, secrets aside.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let assets = self.assets.as_ref().and_then(|assets| assets.binding.as_deref());
        self.vars.keys().chain(self.services.keys()).map(String::as_str).chain(assets)
    }
}

/// An app that is a reverse proxy (`[atoll.origin]` of a project file): what the cache in front of it does not answer, an
/// origin does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxySettings {
    /// The origin: `http(s)://host[:port]`. The node's address policy holds for it.
    pub url: String,
    /// Whether the origin gets the `Host` that the client asked for. Default false: it gets its own, and the client's in
    /// `X-Forwarded-Host`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preserve_host: bool,
    /// What is spoken to the origin. Default `auto`.
    #[serde(default, skip_serializing_if = "ProxyProtocol::is_auto")]
    pub protocol: ProxyProtocol,
    /// Milliseconds until an answer begins, after the request was sent: 1 to 3,600,000. Default the node's, 60,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_timeout_ms: Option<u64>,
    /// Milliseconds for each next part of an answer's body: 1 to 3,600,000. Default the node's, 300,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
}

/// What is spoken to an origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyProtocol {
    /// HTTP/2 or HTTP/1.1, as TLS agrees; HTTP/1.1 without TLS.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, without TLS too, as gRPC servers expect it.
    Http2,
}

impl ProxyProtocol {
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// An app that another one calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceBinding {
    /// Its name.
    pub service: String,
    /// The name under which its entry module exports what is called. Default: the default export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
}

impl ServiceBinding {
    /// The name of the export.
    pub fn entrypoint(&self) -> &str {
        self.entrypoint.as_deref().unwrap_or("default")
    }
}

/// An app's part of the cache in front of it (`[atoll.cache]` of a project file). What is stored and for how long, the
/// headers of its answers say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSettings {
    /// Where no rule says otherwise: true stores all that RFC 9111 allows a shared cache to, false nothing. Default
    /// neither: what says that it is for shared caches (`public`, `s-maxage`, `CDN-Cache-Control`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The same by path; the first that matches decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<CacheRule>,
    /// What tells requests apart.
    pub key: CacheKeySettings,
    /// Whether a browser that navigates to a page which the app has to make is told at once (103 Early Hints) of the links
    /// that the page's last answer had. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub early_hints: bool,
}

impl CacheSettings {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What is stored for some paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheRule {
    /// A path such as `/about`, or the beginning of paths such as `/api/*`.
    pub path: String,
    /// Whether all that may be stored is, or nothing.
    pub enabled: bool,
}

/// What tells requests apart besides the path: only requests that agree in all of it share an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheKeySettings {
    /// Scheme, host and port. Default true.
    pub host: bool,
    /// Parameters of the query. Default all.
    pub query: QuerySettings,
    /// Values of these request headers. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Values of these cookies. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<String>,
}

impl Default for CacheKeySettings {
    fn default() -> Self {
        Self { host: true, query: QuerySettings::All, headers: Vec::new(), cookies: Vec::new() }
    }
}

/// Which parameters of the query tell requests apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QuerySettings {
    /// All of them, in the order in which they are written.
    #[default]
    All,
    /// None.
    None,
    /// These and no others.
    Only(Vec<String>),
    /// All but these.
    Except(Vec<String>),
}

/// What nodes compress of an app's answers (`[atoll.compression]` of a project file).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CompressionSettings {
    /// Whether anything is. Default true.
    pub enabled: bool,
    /// Whether answers are that are for one client alone: those that set a cookie, or are `private` or `no-store`. A
    /// secret in them could be guessed from their length (BREACH). Default false.
    pub personal: bool,
}

impl Default for CompressionSettings {
    fn default() -> Self {
        Self { enabled: true, personal: false }
    }
}

impl CompressionSettings {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A version's static files (`[assets]` of a project file).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssetSettings {
    /// The uploaded manifest: paths, files and rules.
    #[schema(value_type = String)]
    pub manifest: BundleHash,
    /// The name in `env` by which the code asks for files; none without a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
    /// Which addresses pages have.
    #[serde(default)]
    pub html_handling: HtmlHandling,
    /// What answers a request for which there is no file, when no code does.
    #[serde(default)]
    pub not_found_handling: NotFoundHandling,
    /// Paths for which the code comes before the files, such as `/api/*`; `!` takes some out. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub run_worker_first: Vec<String>,
    /// There are files only: the bundle's code is never run.
    #[serde(default)]
    pub without_worker: bool,
    /// When a browser navigates to a path without a file, `not_found_handling` answers before the code.
    #[serde(default)]
    pub navigation_first: bool,
}

/// Which addresses pages have: `/page.html` and `/page/index.html` by what names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HtmlHandling {
    /// `/page` for the one, `/page/` for the other.
    #[default]
    AutoTrailingSlash,
    /// `/page/` for both.
    ForceTrailingSlash,
    /// `/page` for both.
    DropTrailingSlash,
    /// Their own names.
    None,
}

/// What answers when there is no file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum NotFoundHandling {
    /// An empty 404.
    #[default]
    #[serde(rename = "none")]
    None,
    /// The nearest `404.html` of the folders above, with the status 404.
    #[serde(rename = "404-page")]
    NotFoundPage,
    /// `/index.html`, with the status 200.
    #[serde(rename = "single-page-application")]
    SinglePageApplication,
}
