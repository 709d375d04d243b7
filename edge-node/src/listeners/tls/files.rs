//! Certificates and keys from files.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate::{Certificate, CertificateError};
use crate::listeners::config::CertificateFiles;

/// A file of certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be used: {problem}")]
pub struct TlsFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

fn failed(path: &Path, problem: impl ToString) -> TlsFileError {
    TlsFileError { path: path.to_owned(), problem: problem.to_string() }
}

/// Reads a certificate and its key, and checks that they belong together.
pub fn certificate(files: &CertificateFiles, provider: &CryptoProvider) -> Result<Certificate, TlsFileError> {
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| failed(&files.key, format!("{error}; it has to be a private key in PEM")))?;
    Certificate::new(chain, key, provider).map_err(|error| match error {
        CertificateError::Chain(problem) => failed(&files.cert, problem),
        CertificateError::Key(problem) => failed(&files.key, problem),
        CertificateError::Mismatch => {
            failed(&files.key, format!("it is not the key of the certificate in {}", files.cert.display()))
        }
    })
}

/// Reads the certificates that client certificates are checked against.
pub fn roots(path: &Path) -> Result<RootCertStore, TlsFileError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| failed(path, error))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| failed(path, error))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| failed(path, error))?;
    if found.is_empty() {
        return Err(failed(path, "there is no certificate in it; it has to be PEM (-----BEGIN CERTIFICATE-----)"));
    }
    Ok(found)
}
