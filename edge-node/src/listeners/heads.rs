//! Reads the field sections of an HTTP/2 connection beside h2, which does not show all there is to say of them: it answers a
//! head that is too large itself, and cuts a path at a fragment. Pure.

use super::rules::Rule;
use super::sections::Section;
use super::sections::hpack::Table;

// A kind of frame, and flags (RFC 9113 §6).
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const PRIORITIZED: u8 = 0x20;

/// How many times what is allowed a section may be as large and still be read to its end.
const MOST: u32 = 4;
/// More fields end the connection, however small they are.
const MOST_FIELDS: u32 = 10_000;

/// How large sections may become before the connection ends, when heads may have so many bytes.
pub const fn most(limit: u32) -> u32 {
    limit.saturating_mul(MOST)
}

/// A section is so large that it is not worth reading to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// A frame whose payload has not all come.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    /// What is still to come, bytes.
    left: usize,
}

/// Follows the sections of one connection.
#[derive(Debug)]
pub struct Heads {
    /// What sections have in common. None when one of them could not be read: then h2 ends the connection.
    table: Option<Table>,
    limit: u32,
    frame: Option<Frame>,
    /// What has come of the frame, when it comes in pieces.
    pieces: Vec<u8>,
    /// What has come of the section, when it stands in several frames.
    section: Vec<u8>,
    stream: u32,
    is_trailers: bool,
    refused: Vec<(u32, Rule)>,
}

impl Heads {
    /// Heads may have so many bytes, as RFC 9113 §6.5.2 counts them.
    pub fn new(limit: u32) -> Self {
        Self {
            table: Some(Table::default()),
            limit,
            frame: None,
            pieces: Vec::new(),
            section: Vec::new(),
            stream: 0,
            is_trailers: false,
            refused: Vec::new(),
        }
    }

    /// The streams whose requests are to be refused since this was last asked, and why.
    pub fn refused(&mut self) -> std::vec::Drain<'_, (u32, Rule)> {
        self.refused.drain(..)
    }

    /// A HEADERS or CONTINUATION frame begins.
    pub fn begin(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        length: usize,
        is_trailers: bool,
    ) -> Result<(), TooLarge> {
        if kind != CONTINUATION {
            // What is left of another section is an error that h2 sees.
            self.section = Vec::new();
            (self.stream, self.is_trailers) = (stream, is_trailers);
        }
        self.frame = Some(Frame { kind, flags, left: length });
        self.advance(&[])
    }

    /// Takes the next bytes of the frame's payload, if there is one that matters.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        let Some(frame) = &mut self.frame else { return Ok(()) };
        let bytes = &bytes[..bytes.len().min(frame.left)];
        frame.left -= bytes.len();
        let (kind, flags) = (frame.kind, frame.flags);
        if frame.left > 0 {
            self.pieces.extend_from_slice(bytes);
            return self.bounded(self.pieces.len());
        }
        self.frame = None;
        if self.pieces.is_empty() {
            return self.fragment(bytes, kind, flags);
        }
        self.pieces.extend_from_slice(bytes);
        let payload = std::mem::take(&mut self.pieces);
        self.fragment(&payload, kind, flags)
    }

    /// A frame has come whole.
    fn fragment(&mut self, payload: &[u8], kind: u8, flags: u8) -> Result<(), TooLarge> {
        let Some(fragment) = unpadded(payload, if kind == CONTINUATION { 0 } else { flags }) else {
            // It is malformed, and h2 says so.
            self.table = None;
            return Ok(());
        };
        if flags & END_HEADERS == 0 {
            self.section.extend_from_slice(fragment);
            return self.bounded(self.section.len());
        }
        if self.section.is_empty() {
            return self.whole(fragment);
        }
        self.section.extend_from_slice(fragment);
        let section = std::mem::take(&mut self.section);
        self.whole(&section)
    }

    /// A section has come whole.
    fn whole(&mut self, section: &[u8]) -> Result<(), TooLarge> {
        let Some(table) = &mut self.table else { return Ok(()) };
        let Ok(read) = table.read(section) else {
            self.table = None;
            return Ok(());
        };
        let Section { size, fields, has_fragment, .. } = read;
        let is_large = size > u64::from(self.limit);
        if size >= u64::from(most(self.limit)) || fields > MOST_FIELDS || (is_large && self.is_trailers) {
            return Err(TooLarge);
        }
        if is_large {
            self.refused.push((self.stream, Rule::HeadTooLarge));
        } else if has_fragment && !self.is_trailers {
            self.refused.push((self.stream, Rule::RequestLine));
        }
        Ok(())
    }

    fn bounded(&self, gathered: usize) -> Result<(), TooLarge> {
        if gathered < most(self.limit) as usize { Ok(()) } else { Err(TooLarge) }
    }
}

/// What a frame has of a section (RFC 9113 §6.2).
fn unpadded(payload: &[u8], flags: u8) -> Option<&[u8]> {
    let (padding, rest) = match flags & PADDED {
        0 => (0, payload),
        _ => payload.split_first().map(|(padding, rest)| (usize::from(*padding), rest))?,
    };
    let rest = if flags & PRIORITIZED == 0 { rest } else { rest.get(5..)? };
    rest.get(..rest.len().checked_sub(padding)?)
}
