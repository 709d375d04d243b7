//! Requests over HTTP/1.1, in clear text or over TLS, and answers that are streams of lines.

use std::collections::VecDeque;
use std::time::Duration;

use atoll_edge_node::Connector;
use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::ClientError;
use super::target::Target;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take; the longest wait a client asks for is 30 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection pool to one control plane.
pub struct Transport {
    target: Target,
    http: Connections,
}

/// Connections by the URL's scheme.
enum Connections {
    /// `http:`
    Plain(HyperClient<HttpConnector, Full<Bytes>>),
    /// `https:`, trusting the certificates that the system trusts, or those of the file `SSL_CERT_FILE` names.
    Secure(HyperClient<Connector, Full<Bytes>>),
}

impl Transport {
    /// Checks the target's URL.
    pub fn new(target: Target) -> Result<Self, ClientError> {
        let wrong = |problem: &str| ClientError::Url { url: target.api.clone(), problem: problem.into() };
        let uri: Uri = target.api.parse().map_err(|_| wrong("it is not a URL such as http://127.0.0.1:8081"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("it must start with http:// or https://")),
        };
        if header::HeaderValue::from_str(&target.token).is_err() {
            return Err(ClientError::Url { url: target.api, problem: "the token has characters no token has".into() });
        }
        let builder = HyperClient::builder(TokioExecutor::new());
        let http = if secure {
            Connections::Secure(builder.build(Connector::to_everything(CONNECT_TIMEOUT)))
        } else {
            let mut connector = HttpConnector::new();
            connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
            connector.set_nodelay(true);
            Connections::Plain(builder.build(connector))
        };
        Ok(Self { target, http })
    }

    /// The control plane's base URL.
    pub fn base(&self) -> &str {
        &self.target.api
    }

    async fn start(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<http::Response<Incoming>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.target.api))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.target.token))
            .header(header::USER_AGENT, concat!("atoll/", env!("CARGO_PKG_VERSION")));
        if let Some((content_type, _)) = &body {
            request = request.header(header::CONTENT_TYPE, *content_type);
        }
        let request = request
            .body(Full::new(body.map(|(_, bytes)| bytes).unwrap_or_default()))
            .map_err(|error| ClientError::Url { url: self.target.api.clone(), problem: error.to_string() })?;
        let answer = match &self.http {
            Connections::Plain(http) => http.request(request),
            Connections::Secure(http) => http.request(request),
        };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer).await;
        answer
            .map_err(|_| self.unreachable("no answer within 60 s"))?
            .map_err(|error| self.unreachable(&reason(&error)))
    }

    fn unreachable(&self, problem: &str) -> ClientError {
        ClientError::Unreachable { url: self.target.api.clone(), problem: problem.to_owned() }
    }

    /// One request; the answer's status and its whole body.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let response = self.start(method, path, body).await?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| self.unreachable(&reason(&error)))?;
        Ok((status, body.to_bytes()))
    }

    /// A GET whose answer is read line by line.
    pub async fn stream(&self, path: &str) -> Result<(StatusCode, Lines), ClientError> {
        let response = self.start(Method::GET, path, None).await?;
        let status = response.status();
        let lines = Lines {
            url: self.target.api.clone(),
            body: response.into_body(),
            buffer: BytesMut::new(),
            ready: VecDeque::new(),
        };
        Ok((status, lines))
    }
}

/// The innermost reason of an error: what the operating system said, rather than which layer noticed.
fn reason(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A body read line by line.
pub struct Lines {
    url: String,
    body: Incoming,
    buffer: BytesMut,
    ready: VecDeque<Bytes>,
}

impl Lines {
    /// The next line that is not empty; `None` when the stream has ended.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(Some(line));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame =
                frame.map_err(|error| ClientError::Unreachable { url: self.url.clone(), problem: reason(&error) })?;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
                self.split();
            }
        }
    }

    fn split(&mut self) {
        while let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line = self.buffer.split_to(at + 1).freeze().slice(..at);
            if !line.trim_ascii().is_empty() {
                self.ready.push_back(line);
            }
        }
    }

    /// All that is left of the body.
    pub async fn rest(self) -> Result<Bytes, ClientError> {
        let url = self.url;
        let unreachable = |error: hyper::Error| ClientError::Unreachable { url, problem: reason(&error) };
        Ok(self.body.collect().await.map_err(unreachable)?.to_bytes())
    }
}
