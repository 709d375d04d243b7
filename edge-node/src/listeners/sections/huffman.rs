//! The code of RFC 7541 appendix B, which HPACK and QPACK have in common. It is canonical: within a length the codes follow
//! each other as the symbols do, and begin behind the last of the length before. So lengths say all of it.

use super::Unreadable;

/// How long the code of each byte is, bits.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26,
];
/// The longest code.
const LONGEST: usize = 30;
/// Codes up to this length are found in one step.
const SHORT: u32 = 8;

struct Code {
    /// The symbols, in the order of their codes.
    symbols: [u8; 256],
    /// For each length its first code, and where its symbols begin.
    first: [(u32, u16); LONGEST + 2],
    /// For the next eight bits, a symbol and the length of its code; 0 where that is longer.
    short: [(u8, u8); 1 << SHORT],
}

static CODE: Code = code();

const fn code() -> Code {
    let mut made = Code { symbols: [0; 256], first: [(0, 0); LONGEST + 2], short: [(0, 0); 1 << SHORT] };
    let (mut next, mut at, mut length) = (0u32, 0usize, 1usize);
    while length <= LONGEST {
        next <<= 1;
        made.first[length] = (next, at as u16);
        let mut symbol = 0;
        while symbol < 256 {
            if LENGTHS[symbol] as usize == length {
                made.symbols[at] = symbol as u8;
                if length <= SHORT as usize {
                    let rest = SHORT - length as u32;
                    let mut below = 0;
                    while below < 1 << rest {
                        made.short[((next << rest) | below) as usize] = (symbol as u8, length as u8);
                        below += 1;
                    }
                }
                at += 1;
                next += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    made.first[LONGEST + 1] = (next << 1, at as u16);
    made
}

/// Gives each byte of a string, and returns how many there are (RFC 7541 §5.2): behind the last code stand less than eight bits,
/// all set.
pub fn decode(text: &[u8], mut each: impl FnMut(u8)) -> Result<u32, Unreadable> {
    // The bits that have been read and belong to no symbol yet, from the top.
    let (mut bits, mut have) = (0u64, 0u32);
    let (mut text, mut count) = (text.iter(), 0u32);
    loop {
        while have <= 56
            && let Some(byte) = text.next()
        {
            bits |= u64::from(*byte) << (56 - have);
            have += 8;
        }
        let (symbol, length) = match CODE.short[(bits >> (64 - SHORT)) as usize] {
            (_, 0) => match long(bits) {
                Some(found) if found.1 <= have => found,
                _ => break,
            },
            (_, length) if u32::from(length) > have => break,
            (symbol, length) => (symbol, u32::from(length)),
        };
        each(symbol);
        count += 1;
        bits <<= length;
        have -= length;
    }
    let padding = bits.leading_ones();
    if have < 8 && padding >= have { Ok(count) } else { Err(Unreadable) }
}

/// The symbol whose code, longer than eight bits, these begin with, and its length.
fn long(bits: u64) -> Option<(u8, u32)> {
    (SHORT as usize + 1..=LONGEST).find_map(|length| {
        let (first, at) = CODE.first[length];
        let (_, end) = CODE.first[length + 1];
        let place = ((bits >> (64 - length)) as u32).checked_sub(first)?;
        let index = usize::from(at).checked_add(place as usize).filter(|index| *index < usize::from(end))?;
        Some((CODE.symbols[index], length as u32))
    })
}

/// A string as it is decoded.
#[cfg(test)]
pub fn encode(text: &[u8]) -> Vec<u8> {
    let (mut coded, mut bits, mut have) = (Vec::new(), 0_u64, 0);
    for byte in text {
        let length = usize::from(LENGTHS[usize::from(*byte)]);
        let place = CODE.symbols.iter().position(|symbol| symbol == byte).unwrap_or_default();
        let (first, at) = CODE.first[length];
        bits = bits << length | (u64::from(first) + place as u64 - u64::from(at));
        have += length;
        while have >= 8 {
            have -= 8;
            coded.push((bits >> have) as u8);
        }
    }
    if have > 0 {
        coded.push((bits << (8 - have)) as u8 | 0xff >> have);
    }
    coded
}
