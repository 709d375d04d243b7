//! RSA with a private key and no hash (`crypto.privateEncrypt`), which the library behind the other operations does not
//! have: PKCS #1's block of type 1 (RFC 8017 §9.2, without the name of a hash) and the bare operation.

use deno_error::JsErrorBox;
use rsa::hazmat::rsa_decrypt_and_check;
use rsa::pkcs8::DecodePrivateKey;
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, Pkcs1v15Sign, RsaPrivateKey};

/// Bits of a modulus: what takes longer could not be interrupted.
const MOST_BITS: usize = 4096;

/// What the public key turns back into `data`. `padded` fills it up to the length of the key; otherwise it has that length.
/// The exponentiation is blinded.
pub fn apply(pkcs8: &[u8], padded: bool, data: &[u8]) -> Result<Vec<u8>, JsErrorBox> {
    let key = RsaPrivateKey::from_pkcs8_der(pkcs8).map_err(|_| JsErrorBox::generic("the key is not valid"))?;
    let failed = |_| JsErrorBox::generic("the operation failed");
    if key.n().bits() > MOST_BITS {
        return Err(JsErrorBox::range_error(format!("an RSA key can have up to {MOST_BITS} bits here")));
    }
    if padded {
        return key.sign_with_rng(&mut OsRng, Pkcs1v15Sign::new_unprefixed(), data).map_err(failed);
    }
    let number = rsa_decrypt_and_check(&key, Some(&mut OsRng), &BigUint::from_bytes_be(data)).map_err(failed)?;
    let digits = number.to_bytes_be();
    let mut out = vec![0; key.size().saturating_sub(digits.len())];
    out.extend_from_slice(&digits);
    Ok(out)
}
