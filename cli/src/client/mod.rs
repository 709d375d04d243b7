//! The control plane's API as its clients call it.

mod http;
pub mod target;

use std::path::PathBuf;

use ::http::{Method, StatusCode};
use atoll_bundle::BundleHash;
use atoll_protocol::api::{
    App, AssetList, Changed, DeployRequest, DeployResponse, Deployment, DeploymentRequest, ErrorBody, Node,
    PurgeRequest, RevisionStatus, RoutesRequest, SecretInfo, SecretRequest, TokenCreated, TokenInfo, TokenRequest,
    Version,
};
use atoll_protocol::certificates::{CertificateChanged, CertificateInfo, CertificateRequest};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::http::Lines;
use self::http::Transport;
use self::target::Target;

/// Why the control plane gave no answer, or a refusal.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no platform on the data directory, and no other was named.
    #[error("no running platform: {0} does not exist; start one with `atoll up`, or name one with --api (ATOLL_API)")]
    NoPlatform(PathBuf),
    /// There is no token.
    #[error(
        "no access token: {0} cannot be read; set ATOLL_TOKEN or --token, or name the platform's data directory with --data-dir"
    )]
    NoToken(PathBuf),
    /// The URL is not one that can be used.
    #[error("the control plane's URL {url:?} cannot be used: {problem}")]
    Url {
        /// The URL.
        url: String,
        /// Why.
        problem: String,
    },
    /// Nobody answers.
    #[error("cannot reach the control plane at {url}: {problem}; is it running? `atoll up` starts one here")]
    Unreachable {
        /// The control plane's URL.
        url: String,
        /// Why.
        problem: String,
    },
    /// It refused.
    #[error("{message} ({code})")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The API's word for it.
        code: String,
        /// What was wrong.
        message: String,
    },
    /// It answered something that is no answer.
    #[error("the control plane at {url} gave an answer that cannot be read: {problem}")]
    Unreadable {
        /// The control plane's URL.
        url: String,
        /// Why.
        problem: String,
    },
}

impl ClientError {
    /// A stable word for machine-readable output: the API's own for a refusal.
    pub fn code(&self) -> &str {
        match self {
            Self::NoPlatform(_) => "no-platform",
            Self::NoToken(_) => "no-token",
            Self::Url { .. } => "api-url-invalid",
            Self::Unreachable { .. } => "api-unreachable",
            Self::Refused { code, .. } => code,
            Self::Unreadable { .. } => "api-answer-unreadable",
        }
    }
}

/// A client of one control plane.
pub struct Client {
    transport: Transport,
}

impl Client {
    /// A client for `target`. Nothing is sent yet.
    pub fn new(target: Target) -> Result<Self, ClientError> {
        Ok(Self { transport: Transport::new(target)? })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, None).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).expect("requests are JSON");
        self.call(method, path, Some(("application/json", body.into()))).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<T, ClientError> {
        let (status, bytes) = self.transport.request(method, path, body).await?;
        self.check(status, &bytes)?;
        // An answer without a body stands for JSON's null.
        let bytes = if bytes.is_empty() { &b"null"[..] } else { &bytes[..] };
        serde_json::from_slice(bytes).map_err(|error| self.unreadable(&error.to_string()))
    }

    fn check(&self, status: StatusCode, body: &[u8]) -> Result<(), ClientError> {
        if status.is_success() {
            return Ok(());
        }
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(ErrorBody { error }) => Err(ClientError::Refused { status, code: error.code, message: error.message }),
            Err(_) => Err(self.unreadable(&format!("status {status}: {:.200}", String::from_utf8_lossy(body)))),
        }
    }

    fn unreadable(&self, problem: &str) -> ClientError {
        ClientError::Unreadable { url: self.transport.base().to_owned(), problem: problem.to_owned() }
    }

    /// All apps.
    pub async fn apps(&self) -> Result<Vec<App>, ClientError> {
        self.get("/v1/apps").await
    }

    /// One app.
    pub async fn app(&self, app: &str) -> Result<App, ClientError> {
        self.get(&format!("/v1/apps/{}", segment(app))).await
    }

    /// Deletes an app.
    pub async fn delete_app(&self, app: &str) -> Result<(), ClientError> {
        self.call::<serde::de::IgnoredAny>(Method::DELETE, &format!("/v1/apps/{}", segment(app)), None).await?;
        Ok(())
    }

    /// Whether the control plane has the bundle already.
    pub async fn has_bundle(&self, hash: BundleHash) -> Result<bool, ClientError> {
        let (status, body) = self.transport.request(Method::HEAD, &format!("/v1/bundles/{hash}"), None).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            // An answer to HEAD has no body that says why; the request that follows will be told.
            _ if body.is_empty() => Ok(false),
            status => self.check(status, &body).map(|()| true),
        }
    }

    /// Uploads a bundle.
    pub async fn put_bundle(&self, hash: BundleHash, archive: Bytes) -> Result<(), ClientError> {
        let body = Some(("application/octet-stream", archive));
        self.call::<serde::de::IgnoredAny>(Method::PUT, &format!("/v1/bundles/{hash}"), body).await?;
        Ok(())
    }

    /// Those of these static files that the control plane does not have.
    pub async fn missing_assets(&self, assets: &[BundleHash]) -> Result<Vec<BundleHash>, ClientError> {
        let mut missing = Vec::new();
        for part in assets.chunks(5000) {
            let list = AssetList { assets: part.to_vec() };
            missing.extend(self.send::<AssetList>(Method::POST, "/v1/assets/missing", &list).await?.assets);
        }
        Ok(missing)
    }

    /// Uploads a static file.
    pub async fn put_asset(&self, hash: BundleHash, content: Bytes) -> Result<(), ClientError> {
        let body = Some(("application/octet-stream", content));
        self.call::<serde::de::IgnoredAny>(Method::PUT, &format!("/v1/assets/{hash}"), body).await?;
        Ok(())
    }

    /// Makes a version of an uploaded bundle and puts it into service.
    pub async fn deploy(&self, app: &str, request: &DeployRequest) -> Result<DeployResponse, ClientError> {
        self.send(Method::POST, &format!("/v1/apps/{}/deploy", segment(app)), request).await
    }

    /// An app's versions, newest first.
    pub async fn versions(&self, app: &str) -> Result<Vec<Version>, ClientError> {
        self.get(&format!("/v1/apps/{}/versions", segment(app))).await
    }

    /// Puts versions into service.
    pub async fn create_deployment(&self, app: &str, request: &DeploymentRequest) -> Result<Deployment, ClientError> {
        self.send(Method::POST, &format!("/v1/apps/{}/deployments", segment(app)), request).await
    }

    /// An app's routes.
    pub async fn routes(&self, app: &str) -> Result<RoutesRequest, ClientError> {
        self.get(&format!("/v1/apps/{}/routes", segment(app))).await
    }

    /// Makes nodes not use what they have cached of an app.
    pub async fn purge(&self, app: &str, request: &PurgeRequest) -> Result<Changed, ClientError> {
        self.send(Method::POST, &format!("/v1/apps/{}/purge", segment(app)), request).await
    }

    /// An app's secrets, without their values.
    pub async fn secrets(&self, app: &str) -> Result<Vec<SecretInfo>, ClientError> {
        self.get(&format!("/v1/apps/{}/secrets", segment(app))).await
    }

    /// Sets a secret.
    pub async fn put_secret(&self, app: &str, name: &str, value: String) -> Result<(), ClientError> {
        let path = format!("/v1/apps/{}/secrets/{}", segment(app), segment(name));
        self.send::<serde::de::IgnoredAny>(Method::PUT, &path, &SecretRequest { value }).await?;
        Ok(())
    }

    /// Deletes a secret.
    pub async fn delete_secret(&self, app: &str, name: &str) -> Result<(), ClientError> {
        let path = format!("/v1/apps/{}/secrets/{}", segment(app), segment(name));
        self.call::<serde::de::IgnoredAny>(Method::DELETE, &path, None).await?;
        Ok(())
    }

    /// All certificates, without their keys.
    pub async fn certificates(&self) -> Result<Vec<CertificateInfo>, ClientError> {
        self.get("/v1/certificates").await
    }

    /// Sets a certificate.
    pub async fn put_certificate(
        &self,
        name: &str,
        request: &CertificateRequest,
    ) -> Result<CertificateChanged, ClientError> {
        self.send(Method::PUT, &format!("/v1/certificates/{}", segment(name)), request).await
    }

    /// Deletes a certificate.
    pub async fn delete_certificate(&self, name: &str) -> Result<CertificateChanged, ClientError> {
        self.call(Method::DELETE, &format!("/v1/certificates/{}", segment(name)), None).await
    }

    /// Asks for a new certificate by ACME.
    pub async fn renew_certificate(&self, name: &str) -> Result<(), ClientError> {
        let path = format!("/v1/certificates/{}/renew", segment(name));
        self.call::<serde::de::IgnoredAny>(Method::POST, &path, None).await?;
        Ok(())
    }

    /// All tokens, without their secrets.
    pub async fn tokens(&self) -> Result<Vec<TokenInfo>, ClientError> {
        self.get("/v1/tokens").await
    }

    /// Makes a token.
    pub async fn create_token(&self, request: &TokenRequest) -> Result<TokenCreated, ClientError> {
        self.send(Method::POST, "/v1/tokens", request).await
    }

    /// Makes a token invalid.
    pub async fn revoke_token(&self, id: &str) -> Result<(), ClientError> {
        self.call::<serde::de::IgnoredAny>(Method::DELETE, &format!("/v1/tokens/{}", segment(id)), None).await?;
        Ok(())
    }

    /// All nodes.
    pub async fn nodes(&self) -> Result<Vec<Node>, ClientError> {
        self.get("/v1/nodes").await
    }

    /// Which connected nodes run at least `revision`; waits up to `wait_ms` for all of them.
    pub async fn revision(&self, revision: u64, wait_ms: u64) -> Result<RevisionStatus, ClientError> {
        self.get(&format!("/v1/revisions/{revision}?wait_ms={wait_ms}")).await
    }

    /// An app's log lines as they come.
    pub async fn tail(&self, app: &str) -> Result<Lines, ClientError> {
        let (status, lines) = self.transport.stream(&format!("/v1/apps/{}/tail", segment(app))).await?;
        if status.is_success() {
            return Ok(lines);
        }
        let body = lines.rest().await?;
        match self.check(status, &body) {
            Err(error) => Err(error),
            Ok(()) => Err(self.unreadable(&format!("status {status}"))),
        }
    }
}

/// `text` as one segment of a path.
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    // A segment of dots alone would be taken out of the path.
    if matches!(out.as_str(), "." | "..") { out.replace('.', "%2E") } else { out }
}
