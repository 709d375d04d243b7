//! The errors that the node itself answers with, each with its status, its code and a message for the client.

use http::StatusCode;

use crate::listeners::Rule;

/// Why the node answered in an app's stead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EdgeError {
    /// No `Host`, more than one, or one that is no host (RFC 9112 §3.2).
    #[error(
        "the request needs exactly one valid Host header (HTTP/2: :authority), for example \"Host: app.localhost\""
    )]
    HostInvalid,
    /// No route leads from this host and path to an app.
    #[error("no app answers at {host}{path} on this node; deploy one with a route for it")]
    RouteNotFound {
        /// The host as it was asked for.
        host: String,
        /// The path.
        path: String,
    },
    /// A method that an origin does not take (RFC 9110 §9.3.6, §9.3.8).
    #[error("the method {0} is not supported")]
    MethodNotAllowed(String),
    /// More headers than the node takes.
    #[error("the request has {0} header fields; the limit is 100")]
    TooManyHeaders(usize),
    /// The request's body is larger than the app takes.
    #[error("the request's body is larger than the limit of {limit} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The app has as many requests in flight as it may.
    #[error("the app {app} has {limit} requests in flight on this node, its limit; try again")]
    AppOverloaded {
        /// The app.
        app: String,
        /// Its limit.
        limit: u32,
    },
    /// All isolates that the node may have are busy.
    #[error("this node has {limit} isolates, its limit, and all are busy; try again")]
    NodeOverloaded {
        /// The limit.
        limit: usize,
    },
    /// The connection refused the request before it was one.
    #[error("{0}")]
    Refused(Rule),
    /// The node has as many requests in flight, or uses as much memory, as it may.
    #[error("this node is too busy to take the request; try again")]
    NodeBusy,
    /// The certificate of the connection is not one for this host (RFC 9110 §15.5.20).
    #[error("the certificate of this connection is not for {0}; ask on a connection of its own")]
    Misdirected(String),
    /// The request passed this platform too often (RFC 8586).
    #[error("the request passed this platform {depth} times: apps fetch each other in a loop")]
    LoopDetected {
        /// How often.
        depth: usize,
    },
    /// The app has routes but no deployment.
    #[error("the app {0} has no deployment; deploy a version of it")]
    NotDeployed(String),
    /// The version's code is not on this node and cannot be had now.
    #[error("the code of version {version} of {app} is not available on this node; try again")]
    BundleUnavailable {
        /// The app.
        app: String,
        /// The version.
        version: u64,
    },
    /// A static file is not on this node and cannot be had now.
    #[error("a static file of version {version} of {app} is not available on this node; try again")]
    AssetUnavailable {
        /// The app.
        app: String,
        /// The version.
        version: u64,
    },
    /// A handshake for a WebSocket that breaks the protocol (RFC 6455 §4.2.1).
    #[error("the request for a WebSocket is not valid: {0}")]
    WebSocketHandshake(&'static str),
    /// A handshake for another version of the protocol (RFC 6455 §4.4).
    #[error("the request for a WebSocket must have Sec-WebSocket-Version: 13")]
    WebSocketVersion,
    /// The app has as many WebSockets open as it may.
    #[error("the app {app} has {limit} WebSockets open on this node, its limit; try again")]
    WebSocketLimit {
        /// The app.
        app: String,
        /// Its limit.
        limit: u32,
    },
    /// An extended CONNECT for something else than a WebSocket (RFC 8441 §4).
    #[error("the protocol {0:?} is not supported; websocket is")]
    ProtocolUnknown(String),
    /// The client takes a stored answer only, and there is none (RFC 9111 §5.2.1.7).
    #[error("nothing is stored that answers the request, which asks for stored answers only")]
    OnlyIfCached,
    /// The origin of an app did not answer, or with nonsense.
    #[error("{0}")]
    OriginUnreachable(String),
    /// The origin of an app did not answer in time.
    #[error("{0}")]
    OriginTimeout(String),
    /// The app has as many requests under way to its origin as it may.
    #[error("{0}; try again")]
    OriginBusy(String),
    /// The origin of an app has just failed several times in a row.
    #[error("{0}")]
    OriginCircuitOpen(String),
}

impl EdgeError {
    /// A stable word for the `Atoll-Error` header, logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::HostInvalid => "host-invalid",
            Self::RouteNotFound { .. } => "route-not-found",
            Self::MethodNotAllowed(_) => "method-not-allowed",
            Self::TooManyHeaders(_) => "headers-too-many",
            Self::BodyTooLarge { .. } => "body-too-large",
            Self::AppOverloaded { .. } => "app-overloaded",
            Self::NodeOverloaded { .. } => "node-overloaded",
            Self::Refused(rule) => rule.code(),
            Self::NodeBusy => "node-busy",
            Self::Misdirected(_) => "misdirected-request",
            Self::LoopDetected { .. } => "loop-detected",
            Self::NotDeployed(_) => "not-deployed",
            Self::BundleUnavailable { .. } => "bundle-unavailable",
            Self::AssetUnavailable { .. } => "asset-unavailable",
            Self::WebSocketHandshake(_) => "websocket-handshake",
            Self::WebSocketVersion => "websocket-version",
            Self::WebSocketLimit { .. } => "websocket-limit",
            Self::ProtocolUnknown(_) => "protocol-unknown",
            Self::OnlyIfCached => "only-if-cached",
            Self::OriginUnreachable(_) => "origin-unreachable",
            Self::OriginTimeout(_) => "origin-timeout",
            Self::OriginBusy(_) => "origin-busy",
            Self::OriginCircuitOpen(_) => "origin-circuit-open",
        }
    }

    /// The status a client sees.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::HostInvalid | Self::WebSocketHandshake(_) => StatusCode::BAD_REQUEST,
            Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Self::ProtocolUnknown(_) => StatusCode::NOT_IMPLEMENTED,
            Self::RouteNotFound { .. } | Self::NotDeployed(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyHeaders(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::AppOverloaded { .. }
            | Self::NodeOverloaded { .. }
            | Self::NodeBusy
            | Self::BundleUnavailable { .. }
            | Self::AssetUnavailable { .. }
            | Self::WebSocketLimit { .. }
            | Self::OriginBusy(_)
            | Self::OriginCircuitOpen(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refused(rule) => rule.status(),
            Self::Misdirected(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::LoopDetected { .. } => StatusCode::LOOP_DETECTED,
            Self::OnlyIfCached | Self::OriginTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::OriginUnreachable(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether an HTTP/1 connection ends with this answer, because what follows cannot be trusted or is not worth
    /// reading.
    pub fn ends_connection(&self) -> bool {
        matches!(self, Self::BodyTooLarge { .. } | Self::Refused(_) | Self::NodeBusy)
    }
}
