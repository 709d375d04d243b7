//! What a certificate has to be before it is taken: a chain in order, the key of its first certificate, valid now, with
//! names. Pure but for the time, which is an argument.

use atoll_protocol::api::UnixMillis;
use atoll_protocol::certificates::CertificateFacts;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SignatureVerificationAlgorithm};
use rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use crate::time;

/// The most bytes of a chain, PEM.
const MAX_CHAIN: usize = 64 << 10;
/// The most bytes of a key, PEM.
const MAX_KEY: usize = 16 << 10;
/// The most certificates of a chain.
const MAX_LENGTH: usize = 10;
/// How far ahead the clock of an authority may be.
const SKEW: u64 = 10 * 60_000;

/// A certificate that can be served.
#[derive(Debug)]
pub(crate) struct Checked {
    /// PEM, nothing but certificates.
    pub(crate) chain: String,
    /// PEM, nothing but the key.
    pub(crate) key: String,
    pub(crate) facts: CertificateFacts,
}

/// Why a certificate or its key cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("{what} has {size} bytes; the limit is {limit}")]
    TooLarge { what: &'static str, size: usize, limit: usize },
    #[error("chain: there is no certificate in it; it has to be PEM (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    #[error("chain: it has more than {MAX_LENGTH} certificates")]
    TooLong,
    #[error("chain: certificate {number} cannot be read: {problem}")]
    Unreadable { number: usize, problem: String },
    #[error(
        "key: there is no private key in it; it has to be PEM (-----BEGIN PRIVATE KEY-----), and one with a passphrase \
         has to be decrypted first"
    )]
    NoKey,
    #[error("key: it is not one that TLS can use: {0}; RSA of 2048 to 8192 bits, P-256, P-384 and Ed25519 are")]
    Key(String),
    #[error("key: it belongs to certificate {0} of the chain; the certificate itself has to come first")]
    NotFirst(usize),
    #[error("key: it is not the private key of the certificate for {0}")]
    OtherKey(String),
    #[error(
        "chain: certificate {number}, {subject:?}, did not sign the one before it, which {issuer:?} signed; each \
         certificate has to be followed by the one that signed it"
    )]
    Order { number: usize, subject: String, issuer: String },
    #[error("chain: certificate {number} expired at {at}", at = time::rfc3339(*.at))]
    Expired { number: usize, at: UnixMillis },
    #[error("chain: certificate {number} is valid only from {at}", at = time::rfc3339(*.at))]
    NotYet { number: usize, at: UnixMillis },
    #[error("chain: the certificate has no DNS name; names are its subject alternative names")]
    NoNames,
}

impl Unusable {
    /// A stable word for the API.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoKey | Self::Key(_) | Self::NotFirst(_) | Self::OtherKey(_) => "certificate-key-invalid",
            Self::Expired { .. } | Self::NotYet { .. } => "certificate-expired",
            _ => "certificate-invalid",
        }
    }
}

/// Checks a chain and the key of its first certificate, both PEM.
pub(crate) fn check(chain: &str, key: &str, now: UnixMillis) -> Result<Checked, Unusable> {
    for (what, text, limit) in [("chain", chain, MAX_CHAIN), ("key", key, MAX_KEY)] {
        if text.len() > limit {
            return Err(Unusable::TooLarge { what, size: text.len(), limit });
        }
    }
    let mut ders = Vec::new();
    for found in CertificateDer::pem_slice_iter(chain.as_bytes()) {
        let unreadable = |problem: String| Unusable::Unreadable { number: ders.len() + 1, problem };
        let found = found.map_err(|error| unreadable(error.to_string()))?;
        ders.push(found);
    }
    match ders.len() {
        0 => return Err(Unusable::NoCertificate),
        1..=MAX_LENGTH => {}
        _ => return Err(Unusable::TooLong),
    }
    let certificates = ders
        .iter()
        .zip(1..)
        .map(|(der, number)| {
            let unreadable = |error: x509_cert::der::Error| Unusable::Unreadable { number, problem: error.to_string() };
            Certificate::from_der(der).map_err(unreadable)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let names = names(&ders[0])?;

    let private = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| Unusable::NoKey)?;
    let key = pem_of_key(&private);
    let signing = default_provider().key_provider.load_private_key(private);
    let signing = signing.map_err(|error| Unusable::Key(error.to_string()))?;
    let belongs = |der: &CertificateDer<'static>| {
        let matched = CertifiedKey::new(vec![der.clone()], signing.clone()).keys_match();
        matches!(matched, Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)))
    };
    if !belongs(&ders[0]) {
        return Err(match ders.iter().position(belongs) {
            Some(at) => Unusable::NotFirst(at + 1),
            None => Unusable::OtherKey(names.join(", ")),
        });
    }

    for (pair, number) in certificates.windows(2).zip(2..) {
        let (signed, signer) = (&pair[0].tbs_certificate, &pair[1].tbs_certificate);
        if signed.issuer != signer.subject || !is_signed_by(&pair[0], &ders[number - 1]) {
            let (subject, issuer) = (signer.subject.to_string(), signed.issuer.to_string());
            return Err(Unusable::Order { number, subject, issuer });
        }
    }
    let validity = |certificate: &Certificate| {
        let validity = &certificate.tbs_certificate.validity;
        let millis = |time: &x509_cert::time::Time| u64::try_from(time.to_unix_duration().as_millis());
        (millis(&validity.not_before).unwrap_or(u64::MAX), millis(&validity.not_after).unwrap_or(u64::MAX))
    };
    for (certificate, number) in certificates.iter().zip(1..) {
        let (not_before, not_after) = validity(certificate);
        if not_after <= now {
            return Err(Unusable::Expired { number, at: not_after });
        }
        if not_before > now.saturating_add(SKEW) {
            return Err(Unusable::NotYet { number, at: not_before });
        }
    }
    if names.is_empty() {
        return Err(Unusable::NoNames);
    }
    let (not_before, not_after) = validity(&certificates[0]);
    let facts = CertificateFacts {
        names,
        issuer: certificates[0].tbs_certificate.issuer.to_string(),
        not_before,
        not_after,
        fingerprint: digest(&SHA256, &ders[0]).as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    Ok(Checked { chain: ders.iter().map(|der| pem("CERTIFICATE", der)).collect(), key, facts })
}

fn names(der: &CertificateDer<'_>) -> Result<Vec<String>, Unusable> {
    let leaf = webpki::EndEntityCert::try_from(der);
    let leaf = leaf.map_err(|error| Unusable::Unreadable { number: 1, problem: error.to_string() })?;
    Ok(leaf.valid_dns_names().map(str::to_ascii_lowercase).collect())
}

/// Whether the key of a certificate made the signature of another. True when the algorithm is one that is not known here.
fn is_signed_by(signed: &Certificate, signer: &CertificateDer<'_>) -> bool {
    let (Ok(content), Ok(algorithm)) = (signed.tbs_certificate.to_der(), signed.signature_algorithm.to_der()) else {
        return false;
    };
    let Ok(signer) = webpki::EndEntityCert::try_from(signer) else { return true };
    let signature = signed.signature.raw_bytes();
    // An identifier is compared without the header of its sequence, tag and length.
    let named =
        |known: &&&dyn SignatureVerificationAlgorithm| algorithm.get(2..) == Some(known.signature_alg_id().as_ref());
    let known: Vec<_> =
        default_provider().signature_verification_algorithms.all.iter().filter(named).copied().collect();
    known.is_empty() || known.iter().any(|known| signer.verify_signature(*known, &content, signature).is_ok())
}

fn pem_of_key(key: &PrivateKeyDer<'_>) -> String {
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    pem(label, key.secret_der())
}

/// DER as PEM (RFC 7468).
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Whether a name of a certificate, `*.` standing for one label (RFC 9525 §6.3), covers a host in lower case.
pub(crate) fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        None => name == host,
        Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
    }
}

#[cfg(test)]
#[path = "certificates_tests.rs"]
mod tests;
