//! Field sections as HTTP/2 (HPACK, RFC 7541) and HTTP/3 (QPACK, RFC 9204) compress them, read as far as it takes to see what
//! the libraries that decode them keep to themselves: how large a section is, which pseudo-fields it has and in which order,
//! and whether its path has a fragment. Pure, and no field is kept.

pub mod hpack;
mod huffman;
pub mod qpack;

/// What a field counts beside its name and its value (RFC 7541 §4.1, RFC 9114 §4.2.2), bytes.
const OVERHEAD: u64 = 32;

/// A section that cannot be read, or refers to what is not there. Whoever decodes it says what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// A name, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Method,
    Scheme,
    Authority,
    Path,
    /// A pseudo-field that no request has: one of answers, of an extended CONNECT, or none that there is.
    Strange,
    /// That of a field.
    Field,
}

impl Name {
    /// The name that begins with these bytes.
    const fn of(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            [b':', ..] => Self::Strange,
            _ => Self::Field,
        }
    }
}

/// A value, as far as it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Value {
    length: u32,
    /// It has a `#`; known of paths.
    has_hash: bool,
    /// It is `CONNECT`; known of methods.
    is_connect: bool,
}

/// A field, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    name: Name,
    name_length: u32,
    value: Value,
}

impl Entry {
    /// What it counts (RFC 7541 §4.1, RFC 9114 §4.2.2), bytes.
    fn size(&self) -> u64 {
        u64::from(self.name_length) + u64::from(self.value.length) + OVERHEAD
    }
}

/// A field of a table that everybody has: its name, and its value's length.
type Known = (&'static str, u8);

/// The field at an index of a table that everybody has; no method of them is `CONNECT`, but for one that the caller knows.
fn known(table: &[Known], index: usize) -> Result<Entry, Unreadable> {
    let (name, value) = table.get(index).ok_or(Unreadable)?;
    let value = Value { length: u32::from(*value), ..Value::default() };
    Ok(Entry { name: Name::of(name.as_bytes()), name_length: name.len() as u32, value })
}

/// What a section turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Its size (RFC 9113 §6.5.2, RFC 9114 §4.2.2), bytes: names, values, and 32 for each field.
    pub size: u64,
    /// How many fields it has.
    pub fields: u32,
    /// Its path has a fragment, or the beginning of one.
    pub has_fragment: bool,
    /// Pseudo-fields that were there, a bit for each.
    there: u8,
    has_others: bool,
    is_connect: bool,
    /// A pseudo-field came twice, after a field, or is none of a request.
    is_disordered: bool,
}

impl Section {
    fn add(&mut self, entry: &Entry) {
        self.size = self.size.saturating_add(entry.size());
        self.fields = self.fields.saturating_add(1);
        let bit = match entry.name {
            Name::Method => 1,
            Name::Scheme => 2,
            Name::Authority => 4,
            Name::Path => 8,
            Name::Strange => {
                self.is_disordered = true;
                return;
            }
            Name::Field => {
                self.has_others = true;
                return;
            }
        };
        self.is_disordered |= self.has_others || self.there & bit != 0;
        self.there |= bit;
        self.is_connect |= entry.value.is_connect;
        self.has_fragment |= entry.value.has_hash;
    }

    /// Whether these are the pseudo-fields of a request, each once and before all fields (RFC 9113 §8.3, RFC 9114 §4.3). Those of
    /// an extended CONNECT (RFC 8441) are not.
    pub fn is_head(&self) -> bool {
        let wanted = match self.is_connect {
            // RFC 9113 §8.5, RFC 9114 §4.4.
            true => self.there == 1 | 4,
            false => self.there & !4 == 1 | 2 | 8,
        };
        wanted && !self.is_disordered
    }
}

/// What is left of a section.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// The next byte, which stays.
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn byte(&mut self) -> Result<u8, Unreadable> {
        let (byte, rest) = self.0.split_first().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*byte)
    }

    /// An integer that begins in the low `bits` of the next byte (RFC 7541 §5.1, RFC 9204 §4.1.1).
    fn integer(&mut self, bits: u32) -> Result<u32, Unreadable> {
        let most = (1 << bits) - 1;
        let mut number = u64::from(self.byte()?) & most;
        if number < most {
            return Ok(number as u32);
        }
        for shift in (0..32).step_by(7) {
            let byte = self.byte()?;
            number += u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(number).map_err(|_| Unreadable);
            }
        }
        Err(Unreadable)
    }

    /// A string whose length begins in the low `bits` of the next byte, behind a bit that says how it is coded (RFC 7541 §5.2,
    /// RFC 9204 §4.1.2). Gives each of its bytes, and returns how many there are.
    fn string(&mut self, bits: u32, mut each: impl FnMut(u8)) -> Result<u32, Unreadable> {
        let is_coded = self.peek().ok_or(Unreadable)? >> bits & 1 == 1;
        let length = self.integer(bits)?;
        let (text, rest) = self.0.split_at_checked(length as usize).ok_or(Unreadable)?;
        self.0 = rest;
        if is_coded {
            return huffman::decode(text, each);
        }
        text.iter().for_each(|byte| each(*byte));
        Ok(length)
    }

    /// A name whose length begins in the low `bits` of the next byte, and that name's length.
    fn name(&mut self, bits: u32) -> Result<(Name, u32), Unreadable> {
        // Longer ones are no pseudo-fields that there are.
        let (mut start, mut length) = ([0; 12], 0);
        let whole = self.string(bits, |byte| {
            if let Some(place) = start.get_mut(length) {
                *place = byte;
                length += 1;
            }
        })?;
        Ok((Name::of(&start[..length]), whole))
    }

    /// A value of a field with this name.
    fn value(&mut self, name: Name) -> Result<Value, Unreadable> {
        let mut value = Value::default();
        match name {
            Name::Path => value.length = self.string(7, |byte| value.has_hash |= byte == b'#')?,
            Name::Method => {
                let (mut at, mut same) = (0, true);
                let connect = b"CONNECT";
                value.length = self.string(7, |byte| {
                    same &= connect.get(at) == Some(&byte);
                    at += 1;
                })?;
                value.is_connect = same && at == connect.len();
            }
            _ => value.length = self.string(7, |_| {})?,
        }
        Ok(value)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
