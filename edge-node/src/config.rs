//! What an operator can set of an edge node, its defaults, and the reading of it from TOML.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::available_parallelism;

use atoll_protocol::signing::PublicKey;
use atoll_runtime::LONGEST_MESSAGE;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use crate::limits::LimitSettings;
use crate::listeners::{ConnectionConfig, ListenerConfig};

/// An edge node's configuration. Unknown keys are errors; every key but those of `[control_plane]` has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The node's name, as the control plane lists it: 1 to 63 letters, digits, `-`, `_` or `.`. Default `edge`.
    pub name: String,
    /// Where HTTP/1.1 and HTTP/2 in clear text are served. Port 0 takes any free one. Default `127.0.0.1:8080` without
    /// `[[listeners]]`, else none.
    pub listen: Option<SocketAddr>,
    /// Further listeners.
    pub listeners: Vec<ListenerConfig>,
    /// What connections may take.
    pub connections: ConnectionConfig,
    /// Where `/healthz` and `/readyz` answer, in clear text; not for the world. Default none.
    pub private_listen: Option<SocketAddr>,
    /// Where the last good state, bundles and the node's key are kept. Needed with a control plane. Default none.
    pub data_dir: Option<PathBuf>,
    /// Domain under which every app answers by its name. Default `localhost`.
    pub default_domain: String,
    /// Base URL at which clients reach the node, as it is reported. Default `http://` and the listening address.
    pub edge_url: Option<String>,
    /// Adds `Server-Timing`, `Atoll-App`, `Atoll-Version`, `Atoll-Isolate` and `Atoll-Request-Id` to answers.
    /// Default false.
    pub debug_headers: bool,
    /// Puts stacks into the bodies of error answers. For development only. Default false.
    pub expose_stacks: bool,
    /// A request for `/__scheduled` or `/cdn-cgi/handler/scheduled` sets off the app's `scheduled` handler instead of
    /// reaching it. For development only. Default false.
    pub scheduled_endpoint: bool,
    /// Where the JSON access log goes: `stderr`, or a file that is appended to. Default none.
    pub access_log: Option<String>,
    /// The control plane to follow. Without one, only what [`install`](crate::EdgeNode::install) is given is served.
    pub control_plane: Option<ControlPlaneConfig>,
    /// Limits of apps that set none of their own.
    pub limits: LimitSettings,
    /// The most that an app can set.
    #[serde(default = "LimitSettings::ceilings")]
    pub ceilings: LimitSettings,
    /// Puts the program's code on huge pages of the kernel, as far as it has them: requests after a pause take less time,
    /// and the process about 30 MiB more memory. Default true.
    pub huge_pages: bool,
    /// How many isolates there are and when they go.
    pub isolates: IsolateConfig,
    /// Outbound `fetch`.
    pub egress: EgressConfig,
    /// WebSockets.
    pub websocket: WebSocketConfig,
    /// Bundles.
    pub bundles: BundleConfig,
    /// Static files of apps.
    pub assets: AssetConfig,
    /// Compression of answers.
    pub compression: CompressionConfig,
    /// What apps put into `caches`.
    pub cache: CacheConfig,
    /// The cache in front of isolates.
    pub front_cache: FrontCacheConfig,
}

/// Which control plane to follow.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlPlaneConfig {
    /// Its base URL, for example `http://10.0.0.1:8081`.
    pub url: String,
    /// Its Ed25519 public key, 64 hexadecimal digits (`DIR/signing.pub` of the control plane).
    #[serde(deserialize_with = "public_key")]
    pub key: PublicKey,
    /// A token with the scope `node`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// A file with that token, read when the node starts.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Milliseconds without a frame or heartbeat after which the stream is opened anew. Default 15,000.
    #[serde(default = "silence_default")]
    pub silence_ms: u64,
}

fn silence_default() -> u64 {
    15_000
}

/// A string that debug output does not show.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

fn public_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PublicKey, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// How many isolates there are and when they go.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IsolateConfig {
    /// Generic isolates kept waiting for a cold start. Default 8.
    pub warm: usize,
    /// Live isolates of all apps; the longest idle one makes room for another. Default 1,024.
    pub max_live: usize,
    /// Isolates of one app version. Default: as many as the node may use processors, 2 at least and 4 at most.
    pub max_per_version: usize,
    /// Seconds without a request after which an isolate ends. Default 60.
    pub idle_seconds: u64,
    /// Memory of all isolates together, MiB; idle ones end above it. Default 2,048.
    pub memory_mb: u64,
    /// Memory of all isolates together above which the largest are stopped, busy or not, MiB: their heaps share a range of
    /// 4 GiB of addresses, and V8 ends the process when it is full. Default and maximum 3,072.
    pub ceiling_mb: u64,
    /// Resident memory of the whole process, MiB; idle isolates end above it. Default none.
    pub rss_mb: Option<u64>,
}

/// The highest `isolates.ceiling_mb`.
const HIGHEST_CEILING: u64 = 3072;

impl Default for IsolateConfig {
    fn default() -> Self {
        Self {
            warm: 8,
            max_live: 1024,
            max_per_version: isolates_per_version(available_parallelism().map_or(1, usize::from)),
            idle_seconds: 60,
            memory_mb: 2048,
            ceiling_mb: HIGHEST_CEILING,
            rss_mb: None,
        }
    }
}

/// How many isolates one version has at most, where the operator says nothing. Another is started when all others are computing.
/// Where several wait for one processor, the kernel lets the one it has chosen go on for milliseconds whatever another app's
/// thread wakes; the price is that as many long requests keep all others of their app waiting. With two, one does not.
fn isolates_per_version(processors: usize) -> usize {
    processors.clamp(2, 4)
}

/// Outbound `fetch`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressConfig {
    /// Networks that apps may reach although their addresses are not public, for example `10.1.0.0/16`. Default none.
    pub allow: Vec<IpNet>,
    /// How often a request may have passed this platform before it is answered with 508 (RFC 8586). Default 8.
    pub loop_depth: usize,
    /// Milliseconds to resolve, connect and shake hands, and to wait for a connection when all are in use.
    /// Default 10,000.
    pub connect_timeout_ms: u64,
    /// Milliseconds until an answer begins, after the request was sent. Default 60,000.
    pub answer_timeout_ms: u64,
    /// Milliseconds for each next part of an answer's body. Default 300,000.
    pub idle_timeout_ms: u64,
    /// Connections of one app to one origin; an HTTP/2 connection carries any number of requests, any other one.
    /// Default 256.
    pub origin_connections: usize,
    /// Requests of one app to one origin that wait for a connection; more fail. Default 1,024.
    pub origin_queue: usize,
    /// Failures in a row after which an app's requests to an origin are not sent for a while; 0 for never. Default 8.
    pub breaker_failures: u32,
    /// How long, milliseconds; then one request is sent to see whether the origin is back. Default 5,000.
    pub breaker_pause_ms: u64,
    /// A PEM file with certificates that are trusted besides the system's. Default none.
    pub ca_file: Option<PathBuf>,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            loop_depth: 8,
            connect_timeout_ms: 10_000,
            answer_timeout_ms: 60_000,
            idle_timeout_ms: 300_000,
            origin_connections: 256,
            origin_queue: 1024,
            breaker_failures: 8,
            breaker_pause_ms: 5_000,
            ca_file: None,
        }
    }
}

/// WebSockets, of clients and to other hosts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSocketConfig {
    /// The longest message that is taken from the other side, bytes; longer ones close with 1009. Default 1 MiB.
    pub message_bytes: u64,
    /// WebSockets of clients that one app may have open on the node; more get 503. Default 4,096.
    pub max_per_app: u32,
    /// Memory that messages over 16 KiB may hold before the apps take them, MiB. Default 256.
    pub memory_mb: u64,
    /// What of it the messages of one app may hold, MiB. Default 64.
    pub app_memory_mb: u64,
    /// Milliseconds of silence after which the other side gets a ping; after twice as long it counts as gone.
    /// Default 30,000.
    pub ping_ms: u64,
    /// Milliseconds without a message in either direction after which a WebSocket is closed with 1001. Default 3,600,000.
    pub idle_ms: u64,
    /// Milliseconds within which WebSockets are closed with 1001 when the node drains or their version is replaced.
    /// Default 5,000.
    pub grace_ms: u64,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self {
            message_bytes: 1 << 20,
            max_per_app: 4096,
            memory_mb: 256,
            app_memory_mb: 64,
            ping_ms: 30_000,
            idle_ms: 3_600_000,
            grace_ms: 5_000,
        }
    }
}

/// Bundles.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BundleConfig {
    /// Decoded bundles kept in memory, MiB. Default 256.
    pub cache_mb: u64,
}

impl Default for BundleConfig {
    fn default() -> Self {
        Self { cache_mb: 256 }
    }
}

/// Static files of apps.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AssetConfig {
    /// Files kept in memory, MiB, and as much again for their compressed variants; those not asked for longest go.
    /// Default 64.
    pub memory_mb: u64,
}

impl Default for AssetConfig {
    fn default() -> Self {
        Self { memory_mb: 64 }
    }
}

/// Compression of answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompressionConfig {
    /// Whether answers are compressed for clients that take it. Default true.
    pub enabled: bool,
    /// Answers that are compressed at once as they are sent, each of which takes up to 1 MiB of memory; more are sent as
    /// they are. Default 512.
    pub streams: usize,
    /// Memory for compressed variants of what the front cache has in memory, MiB. Default 64.
    pub memory_mb: u64,
}

impl Default for CompressionConfig {
    fn default() -> Self {
        Self { enabled: true, streams: 512, memory_mb: 64 }
    }
}

/// What apps put into `caches`. It is kept where the cache in front of isolates keeps its responses, within the same budgets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// The largest body that is kept, MiB, within what [`FrontCacheConfig`] allows. Default 16.
    pub object_mb: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { object_mb: 16 }
    }
}

/// The cache in front of isolates.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrontCacheConfig {
    /// Whether there is one. Default true.
    pub enabled: bool,
    /// Memory for stored responses of all apps together, MiB. Default 256.
    pub memory_mb: u64,
    /// The largest body that is stored, MiB. Bodies over 8 MiB, or an eighth of the memory, are kept on disk alone.
    /// Default 64.
    pub object_mb: u64,
    /// Memory for bodies that are on their way into the cache, MiB; above it they pass through. Default 256.
    pub fill_mb: u64,
    /// Disk for large and long-lived responses, MiB, in the data directory. Default 0: none.
    pub disk_mb: u64,
    /// Whether `Cache-Control` of requests counts (RFC 9111 §5.2.1), by which any client can send every request to the
    /// app. `only-if-cached` always counts. Default false.
    pub client_directives: bool,
    /// Whether answers say in `Cache-Status` (RFC 9211) what the cache did. Default true.
    pub status_header: bool,
}

impl Default for FrontCacheConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            memory_mb: 256,
            object_mb: 64,
            fill_mb: 256,
            disk_mb: 0,
            client_directives: false,
            status_header: true,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "edge".into(),
            listen: None,
            listeners: Vec::new(),
            connections: ConnectionConfig::default(),
            private_listen: None,
            data_dir: None,
            default_domain: "localhost".into(),
            edge_url: None,
            debug_headers: false,
            expose_stacks: false,
            scheduled_endpoint: false,
            access_log: None,
            control_plane: None,
            limits: LimitSettings::default(),
            ceilings: LimitSettings::ceilings(),
            huge_pages: true,
            isolates: IsolateConfig::default(),
            egress: EgressConfig::default(),
            websocket: WebSocketConfig::default(),
            bundles: BundleConfig::default(),
            assets: AssetConfig::default(),
            compression: CompressionConfig::default(),
            cache: CacheConfig::default(),
            front_cache: FrontCacheConfig::default(),
        }
    }
}

/// A configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text is no TOML, has an unknown key or a value of the wrong type; names line and key.
    #[error("the edge node's configuration is not valid:\n{0}")]
    Syntax(String),
    /// A value is of the right type but cannot be used.
    #[error("{key} = {value:?} cannot be used: {problem}")]
    Value {
        /// The key, with its table.
        key: &'static str,
        /// What it was set to.
        value: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl Config {
    /// Reads a configuration file's text. What is left out may still be set before the node
    /// [starts](crate::EdgeNode::start), which [checks](Self::validate) the whole.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Syntax(error.to_string()))
    }

    /// All listeners, that of `listen` first.
    pub fn all_listeners(&self) -> Vec<ListenerConfig> {
        let plain = match (self.listen, self.listeners.as_slice()) {
            (None, []) => Some(SocketAddr::from(([127, 0, 0, 1], 8080))),
            (listen, _) => listen,
        };
        plain.map(ListenerConfig::plain).into_iter().chain(self.listeners.iter().cloned()).collect()
    }

    /// Checks what types cannot say.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.listeners.iter().try_for_each(ListenerConfig::validate)?;
        self.connections.validate()?;
        let no_files = |listener: &ListenerConfig| listener.tls.as_ref().is_some_and(|tls| tls.certificates.is_empty());
        let wrong = |key, value: &str, problem: &str| {
            Err(ConfigError::Value { key, value: value.into(), problem: problem.into() })
        };
        if self.control_plane.is_none() && self.listeners.iter().any(no_files) {
            let problem = "name at least one { cert = \"…\", key = \"…\" }, or follow a control plane that sends some";
            return wrong("listeners.tls.certificates", "[]", problem);
        }
        let name_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || self.name.len() > 63 || !self.name.chars().all(name_char) {
            return wrong("name", &self.name, "a node's name is 1 to 63 letters, digits, '-', '_' or '.'");
        }
        let domain_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        let domain = &self.default_domain;
        if domain.split('.').any(str::is_empty) || !domain.chars().all(domain_char) {
            return wrong("default_domain", domain, "it must be a lower-case host name such as \"localhost\"");
        }
        if let Some(url) = &self.edge_url {
            check_base_url("edge_url", url)?;
        }
        if self.isolates.max_live == 0 || self.isolates.max_per_version == 0 {
            return wrong("isolates", "0", "max_live and max_per_version must be at least 1");
        }
        if !(1..=HIGHEST_CEILING).contains(&self.isolates.ceiling_mb) {
            let value = self.isolates.ceiling_mb.to_string();
            return wrong("isolates.ceiling_mb", &value, "it can be 1 to 3072: the heaps of all isolates share 4 GiB");
        }
        if self.egress.origin_connections == 0 || self.egress.origin_connections > 65_536 {
            let value = self.egress.origin_connections.to_string();
            return wrong("egress.origin_connections", &value, "it can be 1 to 65536");
        }
        let websocket = &self.websocket;
        if !(1..=LONGEST_MESSAGE as u64).contains(&websocket.message_bytes) {
            let value = websocket.message_bytes.to_string();
            return wrong("websocket.message_bytes", &value, "it must be between 1 and 33554432 (32 MiB)");
        }
        if websocket.ping_ms == 0 || websocket.idle_ms == 0 {
            return wrong("websocket", "0", "ping_ms and idle_ms must be at least 1");
        }
        if let Some(control_plane) = &self.control_plane {
            check_base_url("control_plane.url", &control_plane.url)?;
            if self.data_dir.is_none() {
                return wrong("data_dir", "", "a node that follows a control plane needs a data directory");
            }
            if control_plane.token.is_none() == control_plane.token_file.is_none() {
                return wrong("control_plane.token", "", "set either token or token_file");
            }
        }
        Ok(())
    }
}

fn check_base_url(key: &'static str, text: &str) -> Result<(), ConfigError> {
    let good = url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none()
    });
    let problem = "it must be an http:// or https:// URL without a query".into();
    if good { Ok(()) } else { Err(ConfigError::Value { key, value: text.into(), problem }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    #[test]
    fn an_empty_file_takes_the_defaults() {
        let config = Config::from_toml("").unwrap();
        assert_eq!(config.all_listeners()[0].address.to_string(), "127.0.0.1:8080");
        assert_eq!(config.isolates.max_live, 1024);
        assert_eq!(config.limits.cpu_ms, 50);
        assert!(config.ceilings.cpu_ms > 50);
    }

    #[test]
    fn every_table_is_read() {
        let text = format!(
            "name = 'a'\ndata_dir = '/tmp/x'\n[control_plane]\nurl = 'http://127.0.0.1:1'\nkey = '{KEY}'\ntoken = 't'\n\
             [limits]\ncpu_ms = 7\n[isolates]\nwarm = 1\n[egress]\nallow = ['127.0.0.0/8', '::1/128']\n"
        );
        let config = Config::from_toml(&text).unwrap();
        assert_eq!(config.limits.cpu_ms, 7);
        assert_eq!(config.limits.memory_mb, 128);
        assert_eq!(config.egress.allow.len(), 2);
        assert!(!format!("{config:?}").contains("\"t\""));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let message = Config::from_toml("name = 'a'\nlissten = '127.0.0.1:1'\n").unwrap_err().to_string();
        assert!(message.contains("line 2") && message.contains("lissten"), "{message}");
        let message = Config::from_toml("[isolates]\nwarm = 'many'\n").unwrap_err().to_string();
        assert!(message.contains("line 2") && message.contains("usize"), "{message}");
    }

    #[test]
    fn a_version_has_no_more_isolates_than_compute_at_once() {
        assert_eq!([1, 2, 3, 4, 64].map(isolates_per_version), [2, 2, 3, 4, 4]);
        let config = Config::from_toml("[isolates]\nmax_per_version = 9").unwrap();
        assert_eq!(config.isolates.max_per_version, 9, "the operator decides");
    }

    #[test]
    fn values_that_cannot_work_are_refused_by_key() {
        for (text, key) in [
            ("name = ''", "name"),
            ("name = 'a/b'", "name"),
            ("listeners = [{ address = '127.0.0.1:1', tls = {} }]", "listeners.tls.certificates"),
            ("default_domain = 'A..b'", "default_domain"),
            ("edge_url = 'ftp://x'", "edge_url"),
            ("isolates = { max_live = 0 }", "isolates"),
            ("isolates = { ceiling_mb = 3073 }", "isolates.ceiling_mb"),
            ("websocket = { message_bytes = 33554433 }", "websocket.message_bytes"),
            ("websocket = { ping_ms = 0 }", "websocket"),
            (&format!("[control_plane]\nurl = 'http://x'\nkey = '{KEY}'\ntoken = 't'"), "data_dir"),
            (&format!("data_dir = 'd'\n[control_plane]\nurl = 'http://x'\nkey = '{KEY}'"), "control_plane.token"),
        ] {
            let error = Config::from_toml(text).unwrap().validate().unwrap_err();
            assert!(matches!(error, ConfigError::Value { key: named, .. } if named == key), "{text}: {error}");
        }
        assert!(
            Config::from_toml("data_dir = 'd'\n[control_plane]\nurl = 'http://x'\nkey = '12'\ntoken = 't'")
                .unwrap_err()
                .to_string()
                .contains("64 hexadecimal digits")
        );
    }
}
