//! HTTP to the certificate authority: HTTPS only, one connection a request, everything bounded in time and size.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{HOST, RETRY_AFTER};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::config::AcmeConfigError;

/// For one request and its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most bytes of an answer.
const MAX_ANSWER: usize = 1 << 20;

/// TLS to the authority, which is known by the certificates in a file, or by those that the system trusts.
pub(super) fn tls(roots: Option<&Path>) -> Result<Arc<ClientConfig>, AcmeConfigError> {
    let mut store = RootCertStore::empty();
    match roots {
        Some(path) => {
            let failed = |problem: String| AcmeConfigError::new("roots", format!("({}) {problem}", path.display()));
            let found = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
            for certificate in found {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                store.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
            if store.is_empty() {
                return Err(failed("has no certificate in it; it has to be PEM (-----BEGIN CERTIFICATE-----)".into()));
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                let problem =
                    "is not set, and the system trusts no certificates: install ca-certificates, or name a file";
                return Err(AcmeConfigError::new("roots", problem));
            }
        }
    }
    let builder =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| AcmeConfigError::new("roots", error.to_string()))?;
    let mut config = builder.with_root_certificates(store).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A client that remembers how long the authority has asked to be left alone.
#[derive(Clone)]
pub(super) struct AuthorityClient {
    tls: Arc<ClientConfig>,
    /// Seconds of the last `Retry-After` of a refusal; 0 when there was none.
    retry_after: Arc<AtomicU64>,
}

impl AuthorityClient {
    pub(super) fn new(tls: Arc<ClientConfig>) -> Self {
        Self { tls, retry_after: Arc::default() }
    }

    /// What the last refusal said of when to come again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self.retry_after.load(Ordering::Relaxed) {
            0 => None,
            seconds => Some(Duration::from_secs(seconds)),
        }
    }

    async fn exchange(self, mut request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let uri = request.uri().clone();
        let (Some("https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(Error::Other(format!("{uri} is no https: URL").into()));
        };
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|error| Error::Other(error.into()))?;
        let port = authority.port_u16().unwrap_or(443);
        let field = HeaderValue::from_str(authority.as_str()).map_err(|error| Error::Other(error.into()))?;
        request.headers_mut().insert(HOST, field);
        *request.uri_mut() = uri.path_and_query().map_or("/", |target| target.as_str()).parse()?;

        let failed = |error: std::io::Error| Error::Other(format!("{host}:{port}: {error}").into());
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(failed)?;
        let stream = TlsConnector::from(self.tls).connect(name, stream).await.map_err(failed)?;
        let other = |error: hyper::Error| Error::Other(error.into());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(other)?;
        let exchange = async {
            let (parts, body) = sender.send_request(request).await.map_err(other)?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(Error::Other)?.to_bytes();
            Ok::<_, Error>((parts, body))
        };
        let mut exchange = std::pin::pin!(exchange);
        let (parts, body) = tokio::select! {
            done = &mut exchange => done,
            ended = connection => {
                ended.map_err(other)?;
                exchange.await
            }
        }?;
        if !parts.status.is_success() {
            let asked =
                parts.headers.get(RETRY_AFTER).and_then(|value| seconds(value.to_str().ok()?, SystemTime::now()));
            self.retry_after.store(asked.unwrap_or(0), Ordering::Relaxed);
        }
        if parts.status.is_server_error() && serde_json::from_slice::<instant_acme::Problem>(&body).is_err() {
            return Err(Error::Other(format!("{host}:{port} answered {}", parts.status).into()));
        }
        Ok(Response::from_parts(parts, http_body_util::Full::new(body)).into())
    }
}

/// The seconds that a `Retry-After` asks for: a number of them, or a date (RFC 9110 §10.2.3).
fn seconds(value: &str, now: SystemTime) -> Option<u64> {
    let value = value.trim();
    value.parse().ok().or_else(|| {
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since(now).unwrap_or_default().as_secs())
    })
}

impl HttpClient for AuthorityClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let exchange = self.clone().exchange(request);
        Box::pin(async move {
            let late = |_| Error::Other(format!("no answer within {} s", PATIENCE.as_secs()).into());
            timeout(PATIENCE, exchange).await.map_err(late)?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, asked) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(seconds(value, now), asked, "{value}");
        }
    }

    #[test]
    fn roots_that_cannot_be_used_are_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no PEM").unwrap();
        for path in [file.path(), Path::new("/no/such/file")] {
            let error = tls(Some(path)).unwrap_err().to_string();
            assert!(error.contains("acme.roots") && error.contains(path.to_str().unwrap()), "{error}");
        }
    }
}
