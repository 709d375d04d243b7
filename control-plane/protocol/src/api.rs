//! Requests and answers of the control plane's HTTP API.
//!
//! All bodies are JSON but bundles (bytes) and streams (one JSON object a line). `Authorization: Bearer TOKEN` is needed
//! everywhere but for health and OpenAPI. Every error answer is an [`ErrorBody`] with its code in [`ERROR_HEADER`] too.
//!
//! | Request | Body | Answer | Scope |
//! |---|---|---|---|
//! | `GET /v1/health`, `GET /v1/openapi.json` | | [`Health`], OpenAPI 3.1 | |
//! | `GET /v1/apps`, `GET /v1/apps/{app}` | | `[App]`, [`App`] | read |
//! | `DELETE /v1/apps/{app}` | | [`Changed`] | deploy |
//! | `HEAD`, `GET /v1/bundles/{hash}` | | the archive | read or node |
//! | `PUT /v1/bundles/{hash}` | the archive, at most 10 MiB | [`BundleStored`] | deploy |
//! | `HEAD`, `GET /v1/assets/{hash}` | | a static file, or a manifest of them | read or node |
//! | `PUT /v1/assets/{hash}` | the file, at most 25 MiB | [`AssetStored`] | deploy |
//! | `POST /v1/assets/missing` | [`AssetList`] | [`AssetList`]: those that are not there | deploy |
//! | `POST /v1/apps/{app}/deploy` | [`DeployRequest`] | [`DeployResponse`] | deploy |
//! | `GET /v1/apps/{app}/versions` | | `[Version]`, newest first | read |
//! | `POST /v1/apps/{app}/versions` | [`VersionRequest`] | [`Version`] | deploy |
//! | `GET /v1/apps/{app}/deployments` | | `[Deployment]`, newest first | read |
//! | `POST /v1/apps/{app}/deployments` | [`DeploymentRequest`] | [`Deployment`] | deploy |
//! | `GET /v1/apps/{app}/routes` | | [`RoutesRequest`] | read |
//! | `PUT /v1/apps/{app}/routes` | [`RoutesRequest`] | [`App`] | deploy |
//! | `GET /v1/apps/{app}/secrets` | | `[SecretInfo]` | read |
//! | `PUT /v1/apps/{app}/secrets/{name}` | [`SecretRequest`] | [`Changed`] | deploy |
//! | `DELETE /v1/apps/{app}/secrets/{name}` | | [`Changed`] | deploy |
//! | `POST /v1/apps/{app}/purge` | [`PurgeRequest`] | [`Changed`] | deploy |
//! | `GET /v1/apps/{app}/tail` | | stream of [`LogLine`] | deploy |
//! | `GET /v1/certificates` | | `[CertificateInfo]`, without keys | read |
//! | `PUT /v1/certificates/{name}` | [`CertificateRequest`](crate::certificates::CertificateRequest) | [`CertificateChanged`](crate::certificates::CertificateChanged) | admin |
//! | `DELETE /v1/certificates/{name}` | | [`CertificateChanged`](crate::certificates::CertificateChanged) | admin |
//! | `POST /v1/certificates/{name}/renew` | | empty, 202 | admin |
//! | `GET /v1/tokens` | | `[TokenInfo]` | admin |
//! | `POST /v1/tokens` | [`TokenRequest`] | [`TokenCreated`] | admin |
//! | `DELETE /v1/tokens/{id}` | | empty, 204 | admin |
//! | `GET /v1/nodes`, `GET /v1/revisions/{revision}?wait_ms=N` | | `[Node]`, [`RevisionStatus`] | read |
//! | `GET /v1/sync?since=R&node=NAME&key=HEX&history=ID` | | stream of [`SignedFrame`](crate::sync::SignedFrame) | node |
//! | `POST /v1/nodes/{node}/report` | [`NodeReport`] | empty, 204 | node |
//! | `POST /v1/nodes/{node}/logs` | `[LogLine]` | empty, 204 | node |
//! | `POST /v1/nodes/{node}/crons` | [`CronClaims`] | [`CronGrants`] | node |
//!
//! `admin` includes every scope, `deploy` includes `read`.

use std::collections::BTreeMap;

use atoll_bundle::BundleHash;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::VersionConfig;

/// An instant: milliseconds since the Unix epoch.
pub type UnixMillis = u64;

/// The header that carries an error's code.
pub const ERROR_HEADER: &str = "atoll-error";

/// Every error answer's body.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What went wrong and what to do.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// A stable word, also in the `Atoll-Error` header, for example `app-not-found`.
    pub code: String,
    /// What was wrong, where, and what would have been right.
    pub message: String,
}

/// `GET /v1/health`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// The revision of the last committed change.
    pub revision: u64,
    /// Identifies this control plane's data; see [`Frame::Snapshot`](crate::sync::Frame::Snapshot).
    pub history: String,
    /// The control plane's program version.
    pub version: String,
}

/// The answer to an uploaded bundle, sent when it is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BundleStored {
    /// The bundle's hash.
    #[schema(value_type = String)]
    pub bundle: BundleHash,
    /// Size of the archive, bytes.
    pub size: u64,
}

/// A static file was uploaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AssetStored {
    /// SHA-256 of its content.
    #[schema(value_type = String)]
    pub asset: BundleHash,
    /// Its bytes.
    pub size: u64,
}

/// Static files by their hashes, at most 10,000.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssetList {
    /// SHA-256 of their contents.
    #[schema(value_type = Vec<String>)]
    pub assets: Vec<BundleHash>,
}

/// The answer to a change of an app, sent when it is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// The app's name.
    pub app: String,
    /// The revision; nodes that report this revision or a later one have the change.
    pub revision: u64,
}

/// An app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct App {
    /// Its name: 1 to 63 of `a-z`, `0-9` and `-`, starting and ending with a letter or digit (a DNS label).
    pub name: String,
    /// When it was created.
    pub created_at: UnixMillis,
    /// The revision of its last change.
    pub revision: u64,
    /// Its current deployment, if any.
    pub deployment: Option<Deployment>,
    /// Its routes besides `NAME.<default domain>`, as patterns such as `example.com/api/*`.
    pub routes: Vec<String>,
    /// Whether it also answers at `NAME.<default domain>` (`workers_dev`). Default true.
    pub default_route: bool,
    /// Where it can be reached on the nodes that are connected; empty when none is.
    pub urls: Vec<String>,
}

/// An immutable version of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Its number: 1 for an app's first version, counting up, also when the app is deleted and created again.
    pub number: u64,
    /// The bundle with its code.
    #[schema(value_type = String)]
    pub bundle: BundleHash,
    /// Its settings.
    pub config: VersionConfig,
    /// When it was created.
    pub created_at: UnixMillis,
    /// What the author said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Which versions serve an app's requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    /// Its number: 1 for an app's first deployment, counting up.
    pub number: u64,
    /// One or two versions with weights that add up to 100.
    pub targets: Vec<Target>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// The revision it was made in.
    pub revision: u64,
}

/// A version's share of an app's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Target {
    /// The version's number.
    pub version: u64,
    /// Its share in percent, 1 to 100.
    pub weight: u8,
}

/// `POST /v1/apps/{app}/deploy`: a new version, its routes and its deployment in one transaction. The bundle has been
/// uploaded before with `PUT /v1/bundles/{hash}`. The app is created when it does not exist.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// The uploaded bundle.
    #[schema(value_type = String)]
    pub bundle: BundleHash,
    /// The version's settings.
    #[serde(default)]
    pub config: VersionConfig,
    /// The app's routes from now on.
    #[serde(default)]
    pub routes: Vec<String>,
    /// Whether the app also answers at `NAME.<default domain>`. Default true.
    #[serde(default = "yes")]
    pub default_route: bool,
    /// A note for `atoll versions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

fn yes() -> bool {
    true
}

/// The answer to a deploy, sent when it is durable.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeployResponse {
    /// The app's name.
    pub app: String,
    /// The new version.
    pub version: u64,
    /// The new deployment.
    pub deployment: u64,
    /// The revision; nodes that report this revision or a later one run it.
    pub revision: u64,
    /// Where the app can be reached; empty when no node is connected.
    pub urls: Vec<String>,
}

/// `POST /v1/apps/{app}/versions`: a version that serves nothing until it is deployed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionRequest {
    /// The uploaded bundle.
    #[schema(value_type = String)]
    pub bundle: BundleHash,
    /// The version's settings.
    #[serde(default)]
    pub config: VersionConfig,
    /// A note for `atoll versions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// `POST /v1/apps/{app}/deployments`: points the app at versions that exist; a rollback is this too.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeploymentRequest {
    /// One or two versions with weights that add up to 100.
    pub targets: Vec<Target>,
}

/// `PUT /v1/apps/{app}/routes`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoutesRequest {
    /// The app's routes from now on.
    pub routes: Vec<String>,
    /// Whether the app also answers at `NAME.<default domain>`.
    #[serde(default = "yes")]
    pub default_route: bool,
}

/// `PUT /v1/apps/{app}/secrets/{name}`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRequest {
    /// The value, at most 64 KiB.
    pub value: String,
}

/// `POST /v1/apps/{app}/purge`: cached responses of the app that nodes are not to use any more. A node that reports the
/// revision of the answer, or a later one, uses none of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PurgeRequest {
    /// All of them.
    pub everything: bool,
    /// Those with one of these tags in `Cache-Tag`, whatever the case; 1 to 1,024 bytes each, without commas.
    pub tags: Vec<String>,
    /// Those whose URL begins so: host and path without scheme and query, for example `shop.example/images/`.
    pub prefixes: Vec<String>,
}

/// A secret without its value.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretInfo {
    /// Its name in `env`.
    pub name: String,
    /// Counts up with every change.
    pub version: u64,
    /// When it was last set.
    pub updated_at: UnixMillis,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Everything.
    Admin,
    /// Apps, versions, deployments, routes, secrets, tail.
    Deploy,
    /// Reading apps, versions, deployments, routes, nodes.
    Read,
    /// The sync stream, bundles and reports of one edge node.
    Node,
}

impl Scope {
    /// The scope's name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Deploy => "deploy",
            Self::Read => "read",
            Self::Node => "node",
        }
    }
}

/// `POST /v1/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// Seconds until it expires; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// A token without its secret.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenInfo {
    /// Identifies it in lists and logs.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it expires.
    pub expires_at: Option<UnixMillis>,
}

/// The answer to `POST /v1/tokens`: the only time the token itself is shown.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenCreated {
    /// The token: `atoll_<id>_<secret>`.
    pub token: String,
    /// All else about it.
    pub info: TokenInfo,
    /// The control plane's Ed25519 public key in hexadecimal, which an edge node's configuration names.
    pub control_plane_key: String,
}

/// `POST /v1/nodes/{node}/report`: what a node runs. Sent on every change and at least every 10 s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeReport {
    /// The revision the node serves.
    pub revision: u64,
    /// Base URL at which clients reach the node, for example `http://127.0.0.1:8080`.
    pub edge_url: String,
    /// Domain under which apps have their default routes, for example `localhost`.
    pub default_domain: String,
    /// Apps the node could not bring up at this revision, and why.
    #[serde(default)]
    pub failures: BTreeMap<String, String>,
    /// Certificates the node could not take at this revision, and why.
    #[serde(default)]
    pub certificate_failures: BTreeMap<String, String>,
}

/// How long the control plane remembers who has a due time of a cron, milliseconds. It gives out none that is older.
pub const CRON_KEPT_MS: u64 = 3_600_000;

/// A time at which a cron of an app is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CronClaim {
    /// The app.
    pub app: String,
    /// The cron expression.
    pub cron: String,
    /// When it is due: the beginning of a minute.
    pub due: UnixMillis,
}

/// `POST /v1/nodes/{node}/crons`: what a node would run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CronClaims {
    /// A word that the node's process made for itself when it started.
    pub holder: String,
    /// At most 1,000.
    pub claims: Vec<CronClaim>,
}

/// Which of them it is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CronGrants {
    /// For each claim, in order, whether it is the node's.
    pub granted: Vec<bool>,
}

/// A node as the control plane knows it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether its sync stream is open.
    pub connected: bool,
    /// Its last report.
    pub report: Option<NodeReport>,
    /// When that came.
    pub last_seen: Option<UnixMillis>,
}

/// `GET /v1/revisions/{revision}?wait_ms=N`: which nodes run at least this revision. Answers as soon as every connected
/// node does, or after `wait_ms` (at most 30,000).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RevisionStatus {
    /// The revision asked for.
    pub revision: u64,
    /// Every connected node runs it (true also when none is connected).
    pub settled: bool,
    /// The connected nodes.
    pub nodes: Vec<Node>,
}

/// One line of an app's log, as `GET /v1/apps/{app}/tail` streams it (one JSON object a line; empty lines keep the
/// connection alive).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When it was written.
    pub at: UnixMillis,
    /// The node it comes from.
    pub node: String,
    /// The app.
    pub app: String,
    /// The version that wrote it.
    pub version: u64,
    /// `debug`, `log`, `info`, `warn`, `error`, or `request` for one answered request.
    pub level: String,
    /// The text.
    pub message: String,
    /// The request it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
