//! Keys in pairs: RSA, elliptic curves and Ed25519. A private key is here as PKCS #8 (RFC 5958), a public one as
//! SubjectPublicKeyInfo (RFC 5280 §4.1); reading other forms is the script's business.

use aws_lc_rs::agreement;
use aws_lc_rs::encoding::{
    AsBigEndian, AsDer, Curve25519SeedBin, EcPrivateKeyBin, EcPrivateKeyRfc5915Der, Pkcs8V1Der, PublicKeyX509Der,
};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
    OaepPrivateDecryptingKey, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use aws_lc_rs::signature::{self as algorithms, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair, UnparsedPublicKey};
use deno_core::convert::Uint8Array;
use deno_core::op2;
use deno_error::JsErrorBox;

use crate::{rsa_private, secp256k1};

/// What a pair of keys is for.
#[derive(Clone, Copy)]
enum Kind {
    Rsa,
    Ec(Curve),
    Ed25519,
}

#[derive(Clone, Copy)]
enum Curve {
    P256,
    P384,
    P521,
    P256k1,
}

impl Kind {
    /// By the name that OpenSSL has for a curve, or the kind's own.
    fn parse(name: &str) -> Result<Self, JsErrorBox> {
        Ok(match name {
            "rsa" => Self::Rsa,
            "ed25519" => Self::Ed25519,
            name => Self::Ec(Curve::parse(name)?),
        })
    }
}

impl Curve {
    fn parse(name: &str) -> Result<Self, JsErrorBox> {
        match name {
            "prime256v1" => Ok(Self::P256),
            "secp384r1" => Ok(Self::P384),
            "secp521r1" => Ok(Self::P521),
            "secp256k1" => Ok(Self::P256k1),
            _ => Err(JsErrorBox::generic(format!("keys of the kind {name} are not supported"))),
        }
    }

    /// The algorithm that signs with the hash that belongs to the curve; `fixed` for two numbers of a fixed length instead
    /// of ASN.1.
    fn signing(self, fixed: bool) -> &'static algorithms::EcdsaSigningAlgorithm {
        match (self, fixed) {
            (Self::P256, false) => &algorithms::ECDSA_P256_SHA256_ASN1_SIGNING,
            (Self::P256, true) => &algorithms::ECDSA_P256_SHA256_FIXED_SIGNING,
            (Self::P384, false) => &algorithms::ECDSA_P384_SHA384_ASN1_SIGNING,
            (Self::P384, true) => &algorithms::ECDSA_P384_SHA384_FIXED_SIGNING,
            (Self::P521, false) => &algorithms::ECDSA_P521_SHA512_ASN1_SIGNING,
            (Self::P521, true) => &algorithms::ECDSA_P521_SHA512_FIXED_SIGNING,
            (Self::P256k1, false) => &algorithms::ECDSA_P256K1_SHA256_ASN1_SIGNING,
            (Self::P256k1, true) => &algorithms::ECDSA_P256K1_SHA256_FIXED_SIGNING,
        }
    }

    fn verification(self, fixed: bool) -> &'static algorithms::EcdsaVerificationAlgorithm {
        match (self, fixed) {
            (Self::P256, false) => &algorithms::ECDSA_P256_SHA256_ASN1,
            (Self::P256, true) => &algorithms::ECDSA_P256_SHA256_FIXED,
            (Self::P384, false) => &algorithms::ECDSA_P384_SHA384_ASN1,
            (Self::P384, true) => &algorithms::ECDSA_P384_SHA384_FIXED,
            (Self::P521, false) => &algorithms::ECDSA_P521_SHA512_ASN1,
            (Self::P521, true) => &algorithms::ECDSA_P521_SHA512_FIXED,
            (Self::P256k1, false) => &algorithms::ECDSA_P256K1_SHA256_ASN1,
            (Self::P256k1, true) => &algorithms::ECDSA_P256K1_SHA256_FIXED,
        }
    }

    /// The algorithm that signs with a hash, if there is one.
    fn signing_with(self, hash: &str, fixed: bool) -> Option<&'static algorithms::EcdsaSigningAlgorithm> {
        match (self, hash, fixed) {
            (Self::P521, "sha224", false) => Some(&algorithms::ECDSA_P521_SHA224_ASN1_SIGNING),
            (Self::P521, "sha224", true) => Some(&algorithms::ECDSA_P521_SHA224_FIXED_SIGNING),
            (Self::P521, "sha256", false) => Some(&algorithms::ECDSA_P521_SHA256_ASN1_SIGNING),
            (Self::P521, "sha256", true) => Some(&algorithms::ECDSA_P521_SHA256_FIXED_SIGNING),
            (Self::P521, "sha384", false) => Some(&algorithms::ECDSA_P521_SHA384_ASN1_SIGNING),
            (Self::P521, "sha384", true) => Some(&algorithms::ECDSA_P521_SHA384_FIXED_SIGNING),
            _ => (hash == self.hash()).then(|| self.signing(fixed)),
        }
    }

    /// The algorithm that verifies with a hash, if there is one.
    fn verification_with(self, hash: &str, fixed: bool) -> Option<&'static algorithms::EcdsaVerificationAlgorithm> {
        match (self, hash, fixed) {
            (Self::P256, "sha1", false) => Some(&algorithms::ECDSA_P256_SHA1_ASN1),
            (Self::P256, "sha384", false) => Some(&algorithms::ECDSA_P256_SHA384_ASN1),
            (Self::P256, "sha512", false) => Some(&algorithms::ECDSA_P256_SHA512_ASN1),
            (Self::P384, "sha256", false) => Some(&algorithms::ECDSA_P384_SHA256_ASN1),
            (Self::P384, "sha512", false) => Some(&algorithms::ECDSA_P384_SHA512_ASN1),
            (Self::P521, "sha1", false) => Some(&algorithms::ECDSA_P521_SHA1_ASN1),
            (Self::P521, "sha1", true) => Some(&algorithms::ECDSA_P521_SHA1_FIXED),
            (Self::P521, "sha224", false) => Some(&algorithms::ECDSA_P521_SHA224_ASN1),
            (Self::P521, "sha224", true) => Some(&algorithms::ECDSA_P521_SHA224_FIXED),
            (Self::P521, "sha256", false) => Some(&algorithms::ECDSA_P521_SHA256_ASN1),
            (Self::P521, "sha256", true) => Some(&algorithms::ECDSA_P521_SHA256_FIXED),
            (Self::P521, "sha384", false) => Some(&algorithms::ECDSA_P521_SHA384_ASN1),
            (Self::P521, "sha384", true) => Some(&algorithms::ECDSA_P521_SHA384_FIXED),
            _ => (hash == self.hash()).then(|| self.verification(fixed)),
        }
    }

    fn hash(self) -> &'static str {
        match self {
            Self::P256 | Self::P256k1 => "sha256",
            Self::P384 => "sha384",
            Self::P521 => "sha512",
        }
    }

    fn agreement(self) -> Result<&'static agreement::Algorithm, JsErrorBox> {
        match self {
            Self::P256 => Ok(&agreement::ECDH_P256),
            Self::P384 => Ok(&agreement::ECDH_P384),
            Self::P521 => Ok(&agreement::ECDH_P521),
            Self::P256k1 => Err(JsErrorBox::generic("secp256k1 has a library of its own")),
        }
    }
}

fn invalid<E>(_: E) -> JsErrorBox {
    JsErrorBox::generic("the key is not valid")
}

fn failed<E>(_: E) -> JsErrorBox {
    JsErrorBox::generic("the operation failed")
}

/// The hashes of a signature that are not the curve's own.
fn other_hash(hash: &str) -> JsErrorBox {
    JsErrorBox::generic(format!("signatures of this key with {hash} are not supported"))
}

fn ed25519(pkcs8: &[u8]) -> Result<Ed25519KeyPair, JsErrorBox> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(invalid)
}

fn ecdsa(curve: Curve, fixed: bool, pkcs8: &[u8]) -> Result<EcdsaKeyPair, JsErrorBox> {
    EcdsaKeyPair::from_pkcs8(curve.signing(fixed), pkcs8).map_err(invalid)
}

/// The public key of a private one. Throws when the key is not valid.
#[op2]
pub(crate) fn op_node_key_public(#[string] kind: &str, #[buffer] pkcs8: &[u8]) -> Result<Uint8Array, JsErrorBox> {
    let public: PublicKeyX509Der = match Kind::parse(kind)? {
        Kind::Rsa => RsaKeyPair::from_pkcs8(pkcs8).map_err(invalid)?.public_key().as_der(),
        Kind::Ec(curve) => ecdsa(curve, false, pkcs8)?.public_key().as_der(),
        Kind::Ed25519 => ed25519(pkcs8)?.public_key().as_der(),
    }
    .map_err(invalid)?;
    Ok(public.as_ref().to_vec().into())
}

/// Throws when a public key is not valid.
#[op2(fast)]
pub(crate) fn op_node_key_check(#[string] kind: &str, #[buffer] spki: &[u8]) -> Result<(), JsErrorBox> {
    match Kind::parse(kind)? {
        Kind::Rsa => PublicEncryptingKey::from_der(spki).map(drop).map_err(invalid),
        Kind::Ec(curve) => algorithms::ParsedPublicKey::new(curve.verification(false), spki).map(drop).map_err(invalid),
        Kind::Ed25519 => algorithms::ParsedPublicKey::new(&algorithms::ED25519, spki).map(drop).map_err(invalid),
    }
}

/// A private key of an elliptic curve as RFC 5915 has it, from PKCS #8.
#[op2]
pub(crate) fn op_node_key_sec1(#[string] kind: &str, #[buffer] pkcs8: &[u8]) -> Result<Uint8Array, JsErrorBox> {
    let pair = ecdsa(Curve::parse(kind)?, false, pkcs8)?;
    let der: EcPrivateKeyRfc5915Der = pair.private_key().as_der().map_err(failed)?;
    Ok(der.as_ref().to_vec().into())
}

/// PKCS #8 of a private key of an elliptic curve as RFC 5915 has it.
#[op2]
pub(crate) fn op_node_key_from_sec1(#[string] kind: &str, #[buffer] sec1: &[u8]) -> Result<Uint8Array, JsErrorBox> {
    let algorithm = Curve::parse(kind)?.signing(false);
    let pair = EcdsaKeyPair::from_private_key_der(algorithm, sec1).map_err(invalid)?;
    Ok(pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec().into())
}

/// A new private key. RSA has 2048, 3072 or 4096 bits: what takes longer could not be interrupted.
#[op2]
pub(crate) fn op_node_key_generate(#[string] kind: &str, #[smi] bits: u32) -> Result<Uint8Array, JsErrorBox> {
    let der = match Kind::parse(kind)? {
        Kind::Rsa => {
            let size = match bits {
                2048 => KeySize::Rsa2048,
                3072 => KeySize::Rsa3072,
                4096 => KeySize::Rsa4096,
                _ => return Err(JsErrorBox::range_error("an RSA key can have 2048, 3072 or 4096 bits here")),
            };
            let der: Pkcs8V1Der = RsaKeyPair::generate(size).map_err(failed)?.as_der().map_err(failed)?;
            der.as_ref().to_vec()
        }
        Kind::Ec(curve) => {
            let pair = EcdsaKeyPair::generate(curve.signing(false)).map_err(failed)?;
            pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec()
        }
        Kind::Ed25519 => {
            Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()).map_err(failed)?.as_ref().to_vec()
        }
    };
    Ok(der.into())
}

/// Signs: `pss` chooses the padding of RSA (with a salt as long as the hash), `fixed` the form of what a curve gives.
#[op2]
pub(crate) fn op_node_sign(
    #[string] kind: &str,
    #[buffer] pkcs8: &[u8],
    #[string] hash: &str,
    pss: bool,
    fixed: bool,
    #[buffer] data: &[u8],
) -> Result<Uint8Array, JsErrorBox> {
    let random = SystemRandom::new();
    match Kind::parse(kind)? {
        Kind::Rsa => {
            let encoding: &'static dyn algorithms::RsaEncoding = match (hash, pss) {
                ("sha256", false) => &algorithms::RSA_PKCS1_SHA256,
                ("sha384", false) => &algorithms::RSA_PKCS1_SHA384,
                ("sha512", false) => &algorithms::RSA_PKCS1_SHA512,
                ("sha256", true) => &algorithms::RSA_PSS_SHA256,
                ("sha384", true) => &algorithms::RSA_PSS_SHA384,
                ("sha512", true) => &algorithms::RSA_PSS_SHA512,
                _ => return Err(other_hash(hash)),
            };
            let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(invalid)?;
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &random, data, &mut signature).map_err(failed)?;
            Ok(signature.into())
        }
        Kind::Ec(curve) => {
            let algorithm = curve.signing_with(hash, fixed).ok_or_else(|| other_hash(hash))?;
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).map_err(invalid)?;
            Ok(pair.sign(&random, data).map_err(failed)?.as_ref().to_vec().into())
        }
        Kind::Ed25519 => Ok(ed25519(pkcs8)?.sign(data).as_ref().to_vec().into()),
    }
}

/// Whether a signature is the key's.
#[op2(fast)]
#[allow(clippy::too_many_arguments, reason = "one call across the boundary is cheaper than several")]
pub(crate) fn op_node_verify(
    #[string] kind: &str,
    #[buffer] spki: &[u8],
    #[string] hash: &str,
    pss: bool,
    fixed: bool,
    #[buffer] data: &[u8],
    #[buffer] signature: &[u8],
) -> Result<bool, JsErrorBox> {
    let algorithm: &'static dyn algorithms::VerificationAlgorithm = match Kind::parse(kind)? {
        Kind::Rsa => match (hash, pss) {
            ("sha1", false) => &algorithms::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
            ("sha256", false) => &algorithms::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            ("sha384", false) => &algorithms::RSA_PKCS1_2048_8192_SHA384,
            ("sha512", false) => &algorithms::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
            ("sha256", true) => &algorithms::RSA_PSS_2048_8192_SHA256,
            ("sha384", true) => &algorithms::RSA_PSS_2048_8192_SHA384,
            ("sha512", true) => &algorithms::RSA_PSS_2048_8192_SHA512,
            _ => return Err(other_hash(hash)),
        },
        Kind::Ec(curve) => curve.verification_with(hash, fixed).ok_or_else(|| other_hash(hash))?,
        Kind::Ed25519 => &algorithms::ED25519,
    };
    Ok(UnparsedPublicKey::new(algorithm, spki).verify(data, signature).is_ok())
}

fn oaep(hash: &str) -> Result<&'static OaepAlgorithm, JsErrorBox> {
    match hash {
        "sha1" => Ok(&OAEP_SHA1_MGF1SHA1),
        "sha256" => Ok(&OAEP_SHA256_MGF1SHA256),
        "sha384" => Ok(&OAEP_SHA384_MGF1SHA384),
        "sha512" => Ok(&OAEP_SHA512_MGF1SHA512),
        _ => Err(JsErrorBox::generic(format!("OAEP with {hash} is not supported"))),
    }
}

/// RSA-OAEP (RFC 8017 §7.1) with a public key; without a hash, RSAES-PKCS1-v1_5 (§7.2).
#[op2]
pub(crate) fn op_node_rsa_encrypt(
    #[buffer] spki: &[u8],
    #[string] hash: &str,
    #[buffer] label: &[u8],
    #[buffer] data: &[u8],
) -> Result<Uint8Array, JsErrorBox> {
    let key = PublicEncryptingKey::from_der(spki).map_err(invalid)?;
    if hash.is_empty() {
        let key = Pkcs1PublicEncryptingKey::new(key).map_err(invalid)?;
        let mut out = vec![0; key.ciphertext_size()];
        let written = key.encrypt(data, &mut out).map_err(failed)?.len();
        out.truncate(written);
        return Ok(out.into());
    }
    let key = OaepPublicEncryptingKey::new(key).map_err(invalid)?;
    let mut out = vec![0; key.ciphertext_size()];
    let written = key.encrypt(oaep(hash)?, data, &mut out, Some(label)).map_err(failed)?.len();
    out.truncate(written);
    Ok(out.into())
}

/// What a private key of RSA does with data: RSA-OAEP with a hash decrypts, `block` and `bare` make what the public key turns
/// back into the data, which `block` fills up to the length of the key.
#[op2]
pub(crate) fn op_node_rsa_private(
    #[buffer] pkcs8: &[u8],
    #[string] hash: &str,
    #[buffer] label: &[u8],
    #[buffer] data: &[u8],
) -> Result<Uint8Array, JsErrorBox> {
    if let "block" | "bare" = hash {
        return rsa_private::apply(pkcs8, hash == "block", data).map(Into::into);
    }
    let key = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(invalid)?;
    let key = OaepPrivateDecryptingKey::new(key).map_err(invalid)?;
    let mut out = vec![0; key.min_output_size()];
    let written = key.decrypt(oaep(hash)?, data, &mut out, Some(label)).map_err(failed)?.len();
    out.truncate(written);
    Ok(out.into())
}

/// How a curve, or X25519 (RFC 7748), agrees.
fn agreement_of(curve: &str) -> Result<&'static agreement::Algorithm, JsErrorBox> {
    if curve == "x25519" { Ok(&agreement::X25519) } else { Curve::parse(curve)?.agreement() }
}

/// The number that is a new private key of ECDH.
#[op2]
pub(crate) fn op_node_ecdh_generate(#[string] curve: &str) -> Result<Uint8Array, JsErrorBox> {
    if curve == "secp256k1" {
        return secp256k1::generate().map(Uint8Array::from).ok_or_else(|| failed(()));
    }
    let algorithm = agreement_of(curve)?;
    let key = agreement::PrivateKey::generate(algorithm).map_err(failed)?;
    if curve == "x25519" {
        let number: Curve25519SeedBin<'_> = key.as_be_bytes().map_err(failed)?;
        return Ok(number.as_ref().to_vec().into());
    }
    let number: EcPrivateKeyBin = key.as_be_bytes().map_err(failed)?;
    Ok(number.as_ref().to_vec().into())
}

/// The point that belongs to a private key of ECDH, uncompressed. Throws when there is none.
#[op2]
pub(crate) fn op_node_ecdh_public(#[string] curve: &str, #[buffer] private: &[u8]) -> Result<Uint8Array, JsErrorBox> {
    if curve == "secp256k1" {
        return secp256k1::public(private).map(Uint8Array::from).ok_or_else(|| invalid(()));
    }
    let key = agreement::PrivateKey::from_private_key(agreement_of(curve)?, private).map_err(invalid)?;
    Ok(key.compute_public_key().map_err(failed)?.as_ref().to_vec().into())
}

/// What a private key of ECDH has in common with the public key of another, a point in any form.
#[op2]
pub(crate) fn op_node_ecdh_secret(
    #[string] curve: &str,
    #[buffer] private: &[u8],
    #[buffer] public: &[u8],
) -> Result<Uint8Array, JsErrorBox> {
    if curve == "secp256k1" {
        return secp256k1::secret(private, public).map(Uint8Array::from).ok_or_else(|| invalid(()));
    }
    let algorithm = agreement_of(curve)?;
    let key = agreement::PrivateKey::from_private_key(algorithm, private).map_err(invalid)?;
    let public = agreement::UnparsedPublicKey::new(algorithm, public);
    let secret = agreement::agree(&key, public, invalid(()), |secret| Ok(secret.to_vec()))?;
    Ok(secret.into())
}
