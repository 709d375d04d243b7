//! Secrets on their way to a node: sealed under the node's X25519 key, so that only this node's memory holds them.
//!
//! For every secret the control plane makes an ephemeral X25519 key (RFC 7748), agrees with the node's public key,
//! derives an AES-256-GCM key with HKDF-SHA256 (RFC 5869; salt: both public keys) and encrypts the value with
//! [`seal_context`] as associated data. The sealed text is base64 of ephemeral public key (32 bytes), nonce (12),
//! ciphertext and tag (16).
//!
//! The private keys of certificates go the same way, with an associated data of their own.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
use aws_lc_rs::hkdf;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::hex::{self, ParseKeyError};
use crate::sync::{SealedSecret, seal_context};

const KEY: usize = 32;
const NONCE: usize = 12;
const INFO: &[u8] = b"atoll-secret-v1 x25519 hkdf-sha256 aes-256-gcm";

/// A node's key pair. A node keeps it with the state that is sealed for it, readable for its owner only, so that it can
/// serve from that state after a restart.
#[derive(Debug)]
pub struct NodeKey(PrivateKey);

/// The public half of a [`NodeKey`]; its text form is 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodePublicKey([u8; KEY]);

/// A secret could not be sealed or opened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The public key is no point that can be agreed with, or the system gave no randomness.
    #[error("the secret {0:?} cannot be sealed for this node's key; restart the node to give it another")]
    Seal(String),
    /// The sealed text is damaged, was made for another node, or belongs to another app, name or version.
    #[error("the secret {0:?} was not sealed for this node, app, name and version")]
    Open(String),
    /// The same of the private key of a certificate.
    #[error("the key of certificate {0:?} was not sealed for this node, name and revision")]
    OpenKey(String),
    /// The private key of a certificate could not be sealed.
    #[error("the key of certificate {0:?} cannot be sealed for this node's key; restart the node to give it another")]
    SealKey(String),
}

impl NodeKey {
    /// A new random key pair; an error when the system gives no randomness.
    pub fn generate() -> Result<Self, SealError> {
        PrivateKey::generate(&X25519).map(Self).map_err(|_| SealError::Seal("(a node's key)".into()))
    }

    /// The key pair made of a private key's 32 bytes ([`to_bytes`](Self::to_bytes)); `None` of any other number.
    pub fn from_bytes(private: &[u8]) -> Option<Self> {
        PrivateKey::from_private_key(&X25519, private).ok().map(Self)
    }

    /// The private key, to be kept secret.
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes: Curve25519SeedBin<'_> = self.0.as_be_bytes().expect("an X25519 key has a private key of 32 bytes");
        bytes.as_ref().to_vec()
    }

    /// The public half, for the query of `/v1/sync`.
    pub fn public_key(&self) -> NodePublicKey {
        NodePublicKey(public_bytes(&self.0).expect("every X25519 private key has a public key"))
    }

    /// The value of a secret of `app` that was sealed with [`seal_for`] for this key.
    pub fn open(&self, app: &str, secret: &SealedSecret) -> Result<String, SealError> {
        let context = seal_context(app, &secret.name, secret.version);
        self.open_text(context, &secret.sealed).ok_or_else(|| SealError::Open(secret.name.clone()))
    }

    /// The private key of the certificate `name` at `revision` that was sealed with [`seal_key`] for this key.
    pub fn open_key(&self, name: &str, revision: u64, sealed: &str) -> Result<String, SealError> {
        self.open_text(key_context(name, revision), sealed).ok_or_else(|| SealError::OpenKey(name.to_owned()))
    }

    fn open_text(&self, context: Vec<u8>, sealed: &str) -> Option<String> {
        let sealed = STANDARD.decode(sealed).ok()?;
        let (ephemeral, rest) = sealed.split_first_chunk::<KEY>()?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE>()?;
        let key = shared_key(&self.0, ephemeral, ephemeral, &self.public_key().0)?;
        let mut in_out = ciphertext.to_vec();
        let value = key.open_in_place(Nonce::from(nonce), Aad::from(context), &mut in_out).ok()?;
        String::from_utf8(value.to_vec()).ok()
    }
}

/// Seals `value`, the secret `name` of `app` in this `version`, so that only the holder of `node`'s private half can
/// open it.
pub fn seal_for(
    node: &NodePublicKey,
    app: &str,
    name: &str,
    version: u64,
    value: &str,
) -> Result<SealedSecret, SealError> {
    let sealed = seal_bytes(node, &seal_context(app, name, version), value.as_bytes())
        .ok_or_else(|| SealError::Seal(name.to_owned()))?;
    Ok(SealedSecret { name: name.to_owned(), version, sealed: STANDARD.encode(sealed) })
}

/// Seals `key`, the PEM of the private key of the certificate `name` at `revision`, so that only the holder of `node`'s
/// private half can open it. The text is base64.
pub fn seal_key(node: &NodePublicKey, name: &str, revision: u64, key: &str) -> Result<String, SealError> {
    let sealed = seal_bytes(node, &key_context(name, revision), key.as_bytes());
    sealed.map(|sealed| STANDARD.encode(sealed)).ok_or_else(|| SealError::SealKey(name.to_owned()))
}

/// The associated data of a certificate's sealed key.
fn key_context(name: &str, revision: u64) -> Vec<u8> {
    format!("atoll-certificate-key\0{name}\0{revision}").into_bytes()
}

fn seal_bytes(node: &NodePublicKey, context: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let ephemeral = PrivateKey::generate(&X25519).ok()?;
    let ephemeral_public = public_bytes(&ephemeral)?;
    let key = shared_key(&ephemeral, &node.0, &ephemeral_public, &node.0)?;
    let mut in_out = value.to_vec();
    let nonce = key.seal_in_place_append_tag(Aad::from(context), &mut in_out).ok()?;
    Some([&ephemeral_public[..], nonce.as_ref(), &in_out].concat())
}

fn public_bytes(private: &PrivateKey) -> Option<[u8; KEY]> {
    private.compute_public_key().ok()?.as_ref().try_into().ok()
}

fn shared_key(
    mine: &PrivateKey,
    theirs: &[u8; KEY],
    ephemeral: &[u8; KEY],
    node: &[u8; KEY],
) -> Option<RandomizedNonceKey> {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &[ephemeral.as_slice(), node.as_slice()].concat());
    let mut key = [0; 32];
    agreement::agree(mine, UnparsedPublicKey::new(&X25519, theirs), (), |secret| {
        let derived = salt.extract(secret);
        derived.expand(&[INFO], &AES_256_GCM).and_then(|okm| okm.fill(&mut key)).map_err(|_| ())
    })
    .ok()?;
    RandomizedNonceKey::new(&AES_256_GCM, &key).ok()
}

impl fmt::Display for NodePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for NodePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodePublicKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::decode_key(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_node_it_was_sealed_for_opens_a_secret() {
        let node = NodeKey::generate().unwrap();
        let public = node.public_key().to_string().parse().unwrap();
        let sealed = seal_for(&public, "shop", "API_KEY", 3, "s3cret ✓").unwrap();
        assert_eq!(node.open("shop", &sealed).unwrap(), "s3cret ✓");
        let other = NodeKey::generate().unwrap();
        assert_eq!(other.open("shop", &sealed), Err(SealError::Open("API_KEY".into())));
    }

    #[test]
    fn a_sealed_secret_cannot_be_moved_or_changed() {
        let node = NodeKey::generate().unwrap();
        let sealed = seal_for(&node.public_key(), "shop", "API_KEY", 3, "value").unwrap();
        assert!(node.open("other", &sealed).is_err());
        assert!(node.open("shop", &SealedSecret { name: "OTHER".into(), ..sealed.clone() }).is_err());
        assert!(node.open("shop", &SealedSecret { version: 4, ..sealed.clone() }).is_err());
        let mut bytes = STANDARD.decode(&sealed.sealed).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            let changed = SealedSecret { sealed: STANDARD.encode(&bytes), ..sealed.clone() };
            assert!(node.open("shop", &changed).is_err(), "byte {at}");
            bytes[at] ^= 1;
        }
        for text in ["", "AAAA", "not base64"] {
            assert!(node.open("shop", &SealedSecret { sealed: text.into(), ..sealed.clone() }).is_err());
        }
    }

    #[test]
    fn a_certificates_key_opens_for_its_node_name_and_revision_only() {
        let node = NodeKey::generate().unwrap();
        let sealed = seal_key(&node.public_key(), "shop", 3, "PEM").unwrap();
        assert_eq!(node.open_key("shop", 3, &sealed).unwrap(), "PEM");
        let refused = Err(SealError::OpenKey("shop".into()));
        assert_eq!(node.open_key("shop", 4, &sealed), refused);
        assert_eq!(NodeKey::generate().unwrap().open_key("shop", 3, &sealed), refused);
        assert!(node.open_key("other", 3, &sealed).is_err());
        let secret = SealedSecret { name: "3".into(), version: 3, sealed };
        assert!(node.open("shop", &secret).is_err(), "a key is no secret");
    }

    #[test]
    fn equal_values_are_sealed_differently_each_time() {
        let public = NodeKey::generate().unwrap().public_key();
        let seal = || seal_for(&public, "shop", "API_KEY", 1, "value").unwrap().sealed;
        assert_ne!(seal(), seal());
    }

    #[test]
    fn a_key_opens_secrets_after_it_was_written_and_read() {
        let node = NodeKey::generate().unwrap();
        let again = NodeKey::from_bytes(&node.to_bytes()).unwrap();
        let sealed = seal_for(&node.public_key(), "shop", "API_KEY", 1, "value").unwrap();
        assert_eq!(again.open("shop", &sealed).unwrap(), "value");
        assert!(NodeKey::from_bytes(b"short").is_none());
    }

    #[test]
    fn a_key_of_low_order_is_an_error() {
        let zero: NodePublicKey = "00".repeat(32).parse().unwrap();
        assert_eq!(seal_for(&zero, "shop", "API_KEY", 1, "v"), Err(SealError::Seal("API_KEY".into())));
    }
}
