//! Ed25519 (RFC 8032) signatures of the sync stream's frames: the control plane signs, nodes verify against the public
//! key that their configuration names.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::hex::{self, ParseKeyError};
use crate::sync::{Frame, SignedFrame};

/// The control plane's key pair.
#[derive(Debug)]
pub struct SigningKey(Ed25519KeyPair);

/// A signing key could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The system gave no randomness or the key could not be encoded.
    #[error("an Ed25519 key could not be generated")]
    Generate,
    /// The bytes are no PKCS#8 encoding of an Ed25519 key.
    #[error("not an Ed25519 private key in PKCS#8 form: {0}")]
    Rejected(String),
}

/// Why a frame is not to be believed.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The signature is not base64, or not of these bytes by this key.
    #[error(
        "the frame is not signed by the control plane whose key is {0}; compare the key with DIR/signing.pub of the \
         control plane"
    )]
    Signature(PublicKey),
    /// The signature holds, but the payload is none that this version understands.
    #[error("the signed frame cannot be read: {0}; the control plane may be of a newer version")]
    Payload(#[from] serde_json::Error),
}

impl FrameError {
    /// A stable word for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Signature(_) => "frame-signature-invalid",
            Self::Payload(_) => "frame-malformed",
        }
    }
}

impl SigningKey {
    /// A new random key.
    pub fn generate() -> Result<Self, SigningKeyError> {
        Ed25519KeyPair::generate().map(Self).map_err(|_| SigningKeyError::Generate)
    }

    /// Reads a key made by [`to_pkcs8`](Self::to_pkcs8).
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, SigningKeyError> {
        Ed25519KeyPair::from_pkcs8(pkcs8).map(Self).map_err(|error| SigningKeyError::Rejected(error.to_string()))
    }

    /// The key in PKCS#8 form, to be kept secret.
    pub fn to_pkcs8(&self) -> Result<Vec<u8>, SigningKeyError> {
        self.0.to_pkcs8().map(|document| document.as_ref().to_vec()).map_err(|_| SigningKeyError::Generate)
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }
}

/// The control plane's Ed25519 public key; its text form is 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::decode_key(text).map(Self)
    }
}

impl SignedFrame {
    /// Encodes and signs `frame`.
    pub fn sign(key: &SigningKey, frame: &Frame) -> Self {
        let payload = serde_json::to_string(frame).expect("a frame has string keys only");
        let signature = STANDARD.encode(key.0.sign(payload.as_bytes()));
        Self { payload, signature }
    }

    /// The frame, if it was signed by the control plane with `key`.
    pub fn verify(&self, key: &PublicKey) -> Result<Frame, FrameError> {
        let signature = STANDARD.decode(&self.signature).map_err(|_| FrameError::Signature(*key))?;
        UnparsedPublicKey::new(&ED25519, key.0)
            .verify(self.payload.as_bytes(), &signature)
            .map_err(|_| FrameError::Signature(*key))?;
        Ok(serde_json::from_str(&self.payload)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_frame_verifies_with_the_right_key_only() {
        let key = SigningKey::generate().unwrap();
        let frame = Frame::Heartbeat { revision: 7 };
        let signed = SignedFrame::sign(&key, &frame);
        assert_eq!(signed.verify(&key.public_key()).unwrap(), frame);
        let other = SigningKey::generate().unwrap().public_key();
        assert!(matches!(signed.verify(&other), Err(FrameError::Signature(named)) if named == other));
    }

    #[test]
    fn a_changed_payload_or_signature_is_refused() {
        let key = SigningKey::generate().unwrap();
        let signed = SignedFrame::sign(&key, &Frame::Heartbeat { revision: 7 });
        let payload = signed.payload.replace('7', "8");
        let changed = SignedFrame { payload, ..signed.clone() };
        assert_eq!(changed.verify(&key.public_key()).unwrap_err().code(), "frame-signature-invalid");
        for signature in ["", "!", "AAAA"] {
            let changed = SignedFrame { signature: signature.into(), ..signed.clone() };
            assert_eq!(changed.verify(&key.public_key()).unwrap_err().code(), "frame-signature-invalid");
        }
    }

    #[test]
    fn keys_survive_their_encodings() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        let text = format!("{}\n", key.public_key());
        assert_eq!(text.parse(), Ok(key.public_key()));
        assert!(SigningKey::from_pkcs8(b"nonsense").is_err());
        assert!("12".parse::<PublicKey>().unwrap_err().to_string().contains("64 hexadecimal digits"));
        assert!("zz".repeat(32).parse::<PublicKey>().is_err());
        assert!("é".repeat(32).parse::<PublicKey>().is_err());
    }
}
