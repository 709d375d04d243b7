//! Certificates as they are stored.

use atoll_protocol::api::UnixMillis;
use atoll_protocol::certificates::{CertificateFacts, CertificateSource, Challenge};

/// A certificate, or one that is being asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRecord {
    /// Its name.
    pub name: String,
    /// The revision of its last change.
    pub revision: u64,
    /// Where it comes from.
    pub source: CertificateSource,
    /// The certificate itself; none as long as it has not been issued.
    pub issued: Option<StoredCertificate>,
    /// Challenges that nodes answer now.
    pub challenges: Vec<Challenge>,
    /// It has been deleted: this is its tombstone.
    pub deleted: bool,
}

/// A certificate at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCertificate {
    /// PEM of certificate and chain.
    pub chain: String,
    /// The private key, sealed under the master key.
    pub key: Vec<u8>,
    /// What is written in the certificate.
    pub facts: CertificateFacts,
    /// When it was stored.
    pub updated_at: UnixMillis,
}
