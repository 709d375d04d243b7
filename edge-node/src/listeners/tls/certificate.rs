//! A certificate with its key, and which of several answers to a name.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::der::Decode;

use super::names::NameIndex;

/// A certificate with its key and the DNS names it is for.
pub struct Certificate {
    /// What rustls serves.
    pub key: Arc<CertifiedKey>,
    /// Its subject alternative names.
    pub names: Arc<[String]>,
}

/// A certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The certificate or what follows it.
    #[error("the certificate cannot be used: {0}")]
    Chain(String),
    /// The private key.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// Both, together.
    #[error("the private key is not that of the certificate")]
    Mismatch,
}

impl Certificate {
    /// Takes a chain and the key of its first certificate, and checks that they belong together.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<Self, CertificateError> {
        let first = chain.first().ok_or_else(|| CertificateError::Chain("there is none".into()))?;
        let leaf = webpki::EndEntityCert::try_from(first);
        let leaf =
            leaf.map_err(|error| CertificateError::Chain(format!("the first certificate cannot be read: {error}")))?;
        let names = leaf.valid_dns_names().map(str::to_owned).collect();
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|error| CertificateError::Key(format!("not a usable private key: {error}")))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(_) => return Err(CertificateError::Mismatch),
        }
        Ok(Self { key: Arc::new(certified), names })
    }

    /// The same from PEM.
    pub fn from_pem(chain: &str, key: &str, provider: &CryptoProvider) -> Result<Self, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| CertificateError::Chain(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
        Self::new(chain, key.map_err(|error| CertificateError::Key(error.to_string()))?, provider)
    }

    /// Until when it is valid, seconds since 1970; 0 when that cannot be read.
    fn not_after(&self) -> u64 {
        let leaf = self.key.cert.first().and_then(|der| x509_cert::Certificate::from_der(der).ok());
        leaf.map_or(0, |leaf| leaf.tbs_certificate.validity.not_after.to_unix_duration().as_secs())
    }
}

/// Certificates by name. Of several for a name the one that is valid longest counts.
#[derive(Default)]
pub struct NamedCertificates {
    all: Vec<Arc<Certificate>>,
    index: NameIndex<usize>,
    challenges: HashMap<String, Arc<CertifiedKey>>,
}

impl NamedCertificates {
    /// Takes certificates in any order.
    pub fn new(mut all: Vec<Arc<Certificate>>) -> Self {
        all.sort_by_key(|certificate| std::cmp::Reverse(certificate.not_after()));
        Self::in_order(all)
    }

    /// Takes certificates of which the first for a name counts.
    pub fn in_order(all: Vec<Arc<Certificate>>) -> Self {
        let mut index = NameIndex::default();
        for (at, certificate) in all.iter().enumerate() {
            for name in certificate.names.iter() {
                index.add(name, at);
            }
        }
        Self { all, index, challenges: HashMap::new() }
    }

    /// With answers to the challenges of authorities, by host (RFC 8737).
    pub fn answering(self, challenges: HashMap<String, Arc<CertifiedKey>>) -> Self {
        Self { challenges, ..self }
    }

    /// The answer to an authority's challenge for a host in lower case.
    pub fn challenge(&self, host: &str) -> Option<&Arc<CertifiedKey>> {
        self.challenges.get(host)
    }

    /// The one for a name in lower case.
    pub fn find(&self, name: &str) -> Option<&Certificate> {
        self.index.find(name).map(|at| self.all[*at].as_ref())
    }

    /// The first.
    pub fn first(&self) -> Option<&Certificate> {
        self.all.first().map(Arc::as_ref)
    }

    /// The names of each.
    pub fn names(&self) -> impl Iterator<Item = &Arc<[String]>> {
        self.all.iter().map(|certificate| &certificate.names)
    }
}
