//! What apps are told of a client's certificate. It has been verified before anything here looks at it.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use serde_json::json;
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// `request.cf.tlsClientAuth`: strings, named as Workers name them.
pub fn facts(certificate: Option<&CertificateDer<'_>>) -> String {
    let Some(der) = certificate else {
        return json!({ "certPresented": "0", "certVerified": "NONE" }).to_string();
    };
    let fingerprint: String = digest(&SHA256, der).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut facts = json!({ "certPresented": "1", "certVerified": "SUCCESS", "certFingerprintSHA256": fingerprint });
    // One that has been verified can be read; if it cannot after all, less is told of it.
    if let Ok(Certificate { tbs_certificate: read, .. }) = Certificate::from_der(der) {
        let serial: String = read.serial_number.as_bytes().iter().map(|byte| format!("{byte:02X}")).collect();
        facts["certSubjectDN"] = read.subject.to_string().into();
        facts["certIssuerDN"] = read.issuer.to_string().into();
        facts["certSerial"] = serial.into();
        facts["certNotBefore"] = read.validity.not_before.to_string().into();
        facts["certNotAfter"] = read.validity.not_after.to_string().into();
    }
    facts.to_string()
}

/// The certificate as `Client-Cert` carries it: a byte sequence (RFC 9440 §2.1, RFC 8941 §3.3.5).
pub fn header(certificate: &CertificateDer<'_>) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!(":{}:", STANDARD.encode(certificate))).ok()
}
