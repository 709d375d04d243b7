//! The requests that a node makes of its control plane.

use std::error::Error;
use std::time::Duration;

use atoll_bundle::{BundleHash, BundleLimits};
use atoll_protocol::api::{CronClaims, CronGrants, ErrorBody, LogLine, NodeReport};
use atoll_protocol::seal::NodePublicKey;
use atoll_protocol::sync::SignedFrame;
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use tokio::time::timeout;

use crate::egress::address_policy::AddressPolicy;
use crate::egress::connector::Connector;

/// A line of the stream may be this long: the snapshot of some hundred thousand apps.
const MAX_LINE: usize = 256 << 20;
/// For the answer to anything but the stream.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How many bytes of frames wait here while those before them are brought up: so much goes to disk in one step.
const STREAM_WINDOW: u32 = 4 << 20;

/// Why the control plane did not give what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no connection, or it broke.
    #[error("the control plane cannot be reached: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("the control plane did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// It refused.
    #[error("the control plane answered {status}: {message}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// What it says, with the error's code.
        message: String,
    },
    /// It sent something that is no answer to the request.
    #[error("the control plane's answer cannot be read: {0}")]
    Malformed(String),
}

/// A client of one control plane over HTTP/2.
pub struct ControlPlaneClient {
    http: Client<Connector, Full<Bytes>>,
    /// The stream has a connection of its own: unread frames would use up the flow-control window that it shares with
    /// the bundles which have to come before the frames are read on (RFC 9113 §5.2).
    stream: Client<Connector, Full<Bytes>>,
    base: String,
    node: String,
    authorization: HeaderValue,
}

impl ControlPlaneClient {
    /// A client for the control plane at `base` (`http://` is spoken with prior knowledge, RFC 9113 §3.3). `None` when
    /// the token is no header value.
    pub fn new(base: &str, node: &str, token: &str) -> Option<Self> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.trim())).ok()?;
        authorization.set_sensitive(true);
        let connector = Connector::new(AddressPolicy::everything(), Duration::from_secs(5), &["h2"]);
        let client = |window: Option<u32>| {
            let mut builder = Client::builder(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .http2_only(true)
                .http2_keep_alive_interval(Duration::from_secs(5))
                .http2_keep_alive_timeout(Duration::from_secs(5));
            match window {
                Some(size) => builder.http2_initial_stream_window_size(size).http2_initial_connection_window_size(size),
                None => builder.http2_adaptive_window(true),
            };
            builder.build(connector.clone())
        };
        Some(Self {
            http: client(None),
            stream: client(Some(STREAM_WINDOW)),
            base: base.trim_end_matches('/').to_owned(),
            node: node.to_owned(),
            authorization,
        })
    }

    /// Opens the stream of what changed since a revision of a history.
    pub async fn sync(&self, since: u64, history: &str, key: &NodePublicKey) -> Result<FrameStream, ClientError> {
        let history: String = url::form_urlencoded::byte_serialize(history.as_bytes()).collect();
        let path = format!("/v1/sync?since={since}&node={}&key={key}&history={history}", self.node);
        let response = self.send_by(&self.stream, Method::GET, &path, None).await?;
        Ok(FrameStream { body: response.into_body(), buffer: BytesMut::new(), searched: 0, end: None })
    }

    /// A bundle's archive, as it was sent: its hash is yet to be checked.
    pub async fn bundle(&self, hash: BundleHash) -> Result<Bytes, ClientError> {
        self.object(&format!("/v1/bundles/{hash}"), BundleLimits::default().compressed).await
    }

    /// A static file or a manifest of them, as it was sent: its hash is yet to be checked.
    pub async fn asset(&self, hash: BundleHash) -> Result<Bytes, ClientError> {
        let limit = usize::try_from(atoll_assets::MAX_FILE).unwrap_or(usize::MAX);
        self.object(&format!("/v1/assets/{hash}"), limit).await
    }

    async fn object(&self, path: &str, limit: usize) -> Result<Bytes, ClientError> {
        let response = self.send(Method::GET, path, None).await?;
        let body = Limited::new(response.into_body(), limit).collect();
        match timeout(ANSWER_TIME, body).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) => Err(ClientError::Malformed(format!("{path}: {error}"))),
            Err(_) => Err(ClientError::Timeout(ANSWER_TIME)),
        }
    }

    /// Says what the node runs.
    pub async fn report(&self, report: &NodeReport) -> Result<(), ClientError> {
        self.post(&format!("/v1/nodes/{}/report", self.node), report).await
    }

    /// Hands log lines over.
    pub async fn logs(&self, lines: &[LogLine]) -> Result<(), ClientError> {
        self.post(&format!("/v1/nodes/{}/logs", self.node), &lines).await
    }

    /// Asks for due times of crons; says for each whether this node is to run it.
    pub async fn claim(&self, request: &CronClaims) -> Result<Vec<bool>, ClientError> {
        let body = serde_json::to_vec(request).expect("claims have string keys only");
        let response = self.send(Method::POST, &format!("/v1/nodes/{}/crons", self.node), Some(body.into())).await?;
        let body = timeout(ANSWER_TIME, Limited::new(response.into_body(), 64 << 10).collect()).await;
        let body = body.map_err(|_| ClientError::Timeout(ANSWER_TIME))?;
        let body = body.map_err(|error| ClientError::Malformed(error.to_string()))?.to_bytes();
        match serde_json::from_slice::<CronGrants>(&body) {
            Ok(CronGrants { granted }) if granted.len() == request.claims.len() => Ok(granted),
            Ok(_) => Err(ClientError::Malformed("it does not answer every claim".into())),
            Err(error) => Err(ClientError::Malformed(error.to_string())),
        }
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<(), ClientError> {
        let body = serde_json::to_vec(body).expect("what is reported has string keys only");
        self.send(Method::POST, path, Some(body.into())).await.map(drop)
    }

    async fn send(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Response<Incoming>, ClientError> {
        self.send_by(&self.http, method, path, body).await
    }

    async fn send_by(
        &self,
        client: &Client<Connector, Full<Bytes>>,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Response<Incoming>, ClientError> {
        let uri: Uri = format!("{}{path}", self.base)
            .parse()
            .map_err(|_| ClientError::Unreachable(format!("{} is no URL", self.base)))?;
        let mut request = Request::builder().method(method).uri(uri).header(AUTHORIZATION, &self.authorization);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request = request.body(Full::new(body.unwrap_or_default())).expect("all parts are valid");
        let response = match timeout(ANSWER_TIME, client.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(ClientError::Unreachable(innermost(&error))),
            Err(_) => return Err(ClientError::Timeout(ANSWER_TIME)),
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = timeout(ANSWER_TIME, Limited::new(response.into_body(), 64 << 10).collect()).await;
        let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
        let message = match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => format!("{} ({})", body.error.message, body.error.code),
            Err(_) => String::from_utf8_lossy(&body).chars().take(200).collect(),
        };
        Err(ClientError::Refused { status, message })
    }
}

fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The frames of a stream, one a line.
pub struct FrameStream {
    body: Incoming,
    buffer: BytesMut,
    /// How much of the buffer is known to have no line break.
    searched: usize,
    /// How it has ended.
    end: Option<Result<(), ClientError>>,
}

impl FrameStream {
    /// The next frame, not verified yet; `None` at the stream's end. Cancelling loses nothing.
    pub async fn next(&mut self) -> Result<Option<SignedFrame>, ClientError> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(Some(frame));
            }
            if let Some(end) = self.end.take() {
                return end.map(|()| None);
            }
            let received = self.body.frame().await;
            self.receive(received);
        }
    }

    /// A frame that has arrived already. What is wrong after it, [`next`](Self::next) says.
    pub fn arrived(&mut self) -> Option<SignedFrame> {
        loop {
            match self.buffered() {
                Ok(Some(frame)) => return Some(frame),
                Ok(None) if self.end.is_none() => {}
                Ok(None) => return None,
                Err(error) => {
                    self.end = Some(Err(error));
                    return None;
                }
            }
            let received = self.body.frame().now_or_never()?;
            self.receive(received);
        }
    }

    fn receive(&mut self, received: Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>) {
        match received {
            None => self.end = Some(Ok(())),
            Some(Err(error)) => self.end = Some(Err(ClientError::Unreachable(innermost(&error)))),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.buffer.extend_from_slice(&data);
                }
            }
        }
    }

    fn buffered(&mut self) -> Result<Option<SignedFrame>, ClientError> {
        loop {
            let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                if self.searched > MAX_LINE {
                    return Err(ClientError::Malformed(format!("a frame is longer than {MAX_LINE} bytes")));
                }
                return Ok(None);
            };
            let line = self.buffer.split_to(self.searched + at + 1);
            self.searched = 0;
            let line = line.trim_ascii();
            if !line.is_empty() {
                return serde_json::from_slice(line)
                    .map(Some)
                    .map_err(|error| ClientError::Malformed(format!("a frame is no signed frame: {error}")));
            }
        }
    }
}
