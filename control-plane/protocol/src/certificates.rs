//! Certificates: what the API takes and tells of them, and what nodes need to serve them and to answer for them while
//! they are asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::UnixMillis;

/// The path under which a certificate authority looks for the answers to its challenges (RFC 8555 §8.3).
pub const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";

/// `PUT /v1/certificates/{name}`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateRequest {
    /// PEM: the certificate, then each certificate that signed the one before it, at most 10 and 64 KiB. The root may be
    /// left out.
    pub chain: String,
    /// PEM: the certificate's private key, as PKCS#8, PKCS#1 or SEC1.
    pub key: String,
}

/// The answer to a change of a certificate, sent when it is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CertificateChanged {
    /// The certificate's name.
    pub name: String,
    /// The revision; nodes that report this revision or a later one have the change.
    pub revision: u64,
}

/// Where a certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateSource {
    /// It was sent with `PUT /v1/certificates/{name}`.
    Upload,
    /// The control plane got it by ACME.
    Acme,
}

/// What is written in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateFacts {
    /// Its DNS names, as they stand in it.
    pub names: Vec<String>,
    /// Who signed it, as a distinguished name.
    pub issuer: String,
    /// From when it is valid.
    pub not_before: UnixMillis,
    /// Until when it is valid.
    pub not_after: UnixMillis,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
}

/// A certificate without its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CertificateInfo {
    /// Its name: chosen by who uploaded it, `acme:HOST` for one that was got by ACME.
    pub name: String,
    /// Where it comes from.
    pub source: CertificateSource,
    /// What is written in it; nothing as long as it has not been issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<CertificateFacts>,
    /// When it was uploaded or issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<UnixMillis>,
    /// The revision of its last change; 0 when there has been none yet.
    pub revision: u64,
    /// How it stands with getting it, or the next one, by ACME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
    /// Connected nodes that cannot serve it, and why; they serve what they had before.
    #[serde(default)]
    pub failures: BTreeMap<String, String>,
}

/// How it stands with getting a certificate by ACME.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Renewal {
    /// An order is open.
    pub ordered: bool,
    /// When it is tried next; none when nothing asks for the certificate any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<UnixMillis>,
    /// How often it has failed since the last success.
    pub failures: u32,
    /// Why it failed the last time: the rule, then what the authority says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A certificate as a node needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateState {
    /// Its name.
    pub name: String,
    /// The revision of its last change.
    pub revision: u64,
    /// PEM of certificate and chain; none as long as it has not been issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// The private key, sealed for the receiving node ([`crate::seal::seal_key`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Answers that the certificate authority will ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub challenges: Vec<Challenge>,
}

/// A challenge of a certificate authority and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The host that is asked, in lower case.
    pub host: String,
    /// How it is asked.
    #[serde(default)]
    pub kind: ChallengeKind,
    /// Names it; what follows [`CHALLENGE_PATH`] in the URL.
    pub token: String,
    /// The key authorization.
    pub answer: String,
}

/// How an authority asks whether a host is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChallengeKind {
    /// Over HTTP at port 80 (RFC 8555 §8.3).
    #[default]
    #[serde(rename = "http-01")]
    Http01,
    /// In a TLS handshake at port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}
