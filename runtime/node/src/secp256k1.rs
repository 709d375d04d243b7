//! ECDH on secp256k1, the one curve of node:crypto on which aws-lc signs and does not agree (SEC 1 §3.3.1).

use k256::ecdh::diffie_hellman;
use k256::elliptic_curve::sec1::ToEncodedPoint;
use k256::{PublicKey, SecretKey};

/// The number that is a new private key, if there are random bytes.
pub(crate) fn generate() -> Option<Vec<u8>> {
    loop {
        let mut number = [0; 32];
        aws_lc_rs::rand::fill(&mut number).ok()?;
        // Nearly every number is one.
        if let Ok(key) = SecretKey::from_slice(&number) {
            return Some(key.to_bytes().to_vec());
        }
    }
}

fn key(private: &[u8]) -> Option<SecretKey> {
    // Zeros in front may be left out.
    let mut number = [0; 32];
    let start = number.len().checked_sub(private.len())?;
    number[start..].copy_from_slice(private);
    SecretKey::from_slice(&number).ok()
}

/// The point of a private key, uncompressed.
pub(crate) fn public(private: &[u8]) -> Option<Vec<u8>> {
    Some(key(private)?.public_key().to_encoded_point(false).as_bytes().to_vec())
}

/// What a private key has in common with a point in any form but the hybrid one.
pub(crate) fn secret(private: &[u8], point: &[u8]) -> Option<Vec<u8>> {
    let point = PublicKey::from_sec1_bytes(point).ok()?;
    Some(diffie_hellman(key(private)?.to_nonzero_scalar(), point.as_affine()).raw_secret_bytes().to_vec())
}
