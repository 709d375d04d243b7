//! 32-byte public keys in hexadecimal, as configuration files and query strings carry them.

/// A text is not the hexadecimal form of a 32-byte public key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 64 hexadecimal digits, not {0:?}")]
pub struct ParseKeyError(String);

/// `bytes` as lower-case hexadecimal digits.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The 32 bytes that 64 hexadecimal digits of either case stand for; white space around them is ignored, because keys
/// are copied by hand and read from files.
pub(crate) fn decode_key(text: &str) -> Result<[u8; 32], ParseKeyError> {
    let wrong = || ParseKeyError(text.chars().take(80).collect());
    let digits = text.trim().as_bytes();
    if digits.len() != 64 {
        return Err(wrong());
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0]).zip(nibble(pair[1])).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?;
    }
    Ok(bytes)
}
