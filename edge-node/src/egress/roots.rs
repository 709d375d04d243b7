//! Whose certificates origins may show.

use std::io;
use std::path::Path;
use std::sync::LazyLock;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// What the system trusts, or the file that `SSL_CERT_FILE` names; as it was when it was asked for first.
pub fn of_system() -> RootCertStore {
    // It takes some milliseconds, and a node needs it more than once before it serves.
    static FOUND: LazyLock<RootCertStore> = LazyLock::new(|| {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            tracing::warn!("the system has no trusted certificates; https:// fetches will fail");
        }
        roots
    });
    FOUND.clone()
}

/// That and, with a file, the certificates in it (PEM).
pub fn with_file(file: Option<&Path>) -> io::Result<RootCertStore> {
    let mut roots = of_system();
    let Some(file) = file else { return Ok(roots) };
    let wrong = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
    let text = std::fs::read(file)?;
    let mut added = 0;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| wrong(format!("it is not PEM: {error}")))?;
        roots.add(certificate).map_err(|error| wrong(format!("a certificate in it cannot be used: {error}")))?;
        added += 1;
    }
    if added == 0 { Err(wrong("it holds no certificate in PEM".into())) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("roots.pem");
        for text in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&file, text).unwrap();
            assert!(with_file(Some(&file)).is_err(), "{text:?}");
        }
        assert!(with_file(Some(&dir.path().join("missing.pem"))).is_err());
        assert!(with_file(None).is_ok());
    }
}
