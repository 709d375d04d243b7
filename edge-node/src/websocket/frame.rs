//! Frames (RFC 6455 §5): bytes to events and messages to bytes. No I/O and no clock.
//!
//! A message is put together as its bytes arrive, so that text that is no UTF-8 and messages that are too long are found
//! before they are complete, and nothing is set aside for a length that was only announced.

use atoll_runtime::{Close, Message};
use bytes::{Buf, BytesMut};

/// Which side of the connection this is (RFC 6455 §5.1: clients mask, servers do not).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This side took the connection.
    Server,
    /// This side opened it.
    Client,
}

/// What frames amount to.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A whole message.
    Message(Message),
    /// A ping, to be answered with its payload.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// The other side closes.
    Close(Close),
}

/// What the other side must not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The frame breaks the protocol.
    #[error("{0}")]
    Protocol(&'static str),
    /// Text that is no UTF-8 (RFC 6455 §8.1).
    #[error("a text message is not valid UTF-8")]
    Utf8,
    /// The message is longer than the limit.
    #[error("a message is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
}

impl Violation {
    /// The close code that says it (RFC 6455 §7.4.1).
    pub fn code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::Utf8 => 1007,
            Self::TooLong { .. } => 1009,
        }
    }
}

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// The payload of a control frame is at most this long (RFC 6455 §5.5).
const LONGEST_CONTROL: u64 = 125;

/// Reads frames of the other side.
pub struct Decoder {
    role: Role,
    limit: usize,
    frame: Option<Frame>,
    /// The message under way: whether it is text, its bytes, and how many of them are known to be UTF-8.
    message: Option<(bool, Vec<u8>, usize)>,
    control: Vec<u8>,
}

/// A frame whose head is read.
struct Frame {
    opcode: u8,
    fin: bool,
    left: u64,
    mask: [u8; 4],
    /// Where in the mask the next byte is.
    at: usize,
}

impl Decoder {
    /// Reads what the other side sends to `role`; messages of more than `limit` bytes are a violation.
    pub fn new(role: Role, limit: usize) -> Self {
        Self { role, limit, frame: None, message: None, control: Vec::new() }
    }

    /// Bytes of the message under way.
    pub fn held(&self) -> usize {
        self.message.as_ref().map_or(0, |(_, bytes, _)| bytes.len())
    }

    /// Takes bytes from `input` until there is an event; `None` when more are needed.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Event>, Violation> {
        loop {
            if self.frame.is_none() {
                self.frame = self.head(input)?;
            }
            let Some(frame) = &mut self.frame else { return Ok(None) };
            let control = frame.opcode >= CLOSE;
            let take = usize::try_from(frame.left).unwrap_or(usize::MAX).min(input.len());
            let into = match &mut self.message {
                Some((_, bytes, _)) if !control => bytes,
                _ => &mut self.control,
            };
            let begin = into.len();
            into.extend_from_slice(&input[..take]);
            input.advance(take);
            mask(&mut into[begin..], frame.mask, frame.at);
            frame.at = (frame.at + take) % 4;
            frame.left -= take as u64;
            let complete = frame.left == 0;
            let (opcode, fin) = (frame.opcode, frame.fin);
            if !control {
                self.check_text(complete && fin)?;
            }
            if !complete {
                return Ok(None);
            }
            self.frame = None;
            if control {
                return self.control(opcode).map(Some);
            }
            if fin && let Some((is_text, bytes, _)) = self.message.take() {
                let message = if is_text {
                    Message::Text(String::from_utf8(bytes).map_err(|_| Violation::Utf8)?)
                } else {
                    Message::Binary(bytes)
                };
                return Ok(Some(Event::Message(message)));
            }
        }
    }

    /// The head of a frame (RFC 6455 §5.2), once it is here as a whole.
    fn head(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, Violation> {
        let &[first, second, ..] = &input[..] else { return Ok(None) };
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        if first & 0x70 != 0 {
            return Err(Violation::Protocol("a reserved bit is set, and no extension was agreed on"));
        }
        let masked = second & 0x80 != 0;
        match (self.role, masked) {
            (Role::Server, false) => return Err(Violation::Protocol("a client's frame is not masked")),
            (Role::Client, true) => return Err(Violation::Protocol("a server's frame is masked")),
            _ => {}
        }
        let short = u64::from(second & 0x7f);
        let extra = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let length = 2 + extra + if masked { 4 } else { 0 };
        if opcode >= CLOSE && (extra > 0 || !fin) {
            return Err(Violation::Protocol("a control frame is fragmented or longer than 125 bytes"));
        }
        match opcode {
            CONTINUATION if self.message.is_none() => {
                return Err(Violation::Protocol("a continuation continues nothing"));
            }
            TEXT | BINARY if self.message.is_some() => {
                return Err(Violation::Protocol("a message begins within another"));
            }
            CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG => {}
            _ => return Err(Violation::Protocol("an opcode is reserved")),
        }
        if input.len() < length {
            return Ok(None);
        }
        let left = match extra {
            2 => u64::from(u16::from_be_bytes([input[2], input[3]])),
            8 => u64::from_be_bytes(input[2..10].try_into().expect("eight bytes")),
            _ => short,
        };
        if left >> 63 != 0 {
            return Err(Violation::Protocol("a length has its highest bit set"));
        }
        if opcode < CLOSE {
            let held = self.held() as u64;
            if held.saturating_add(left) > self.limit as u64 {
                return Err(Violation::TooLong { limit: self.limit });
            }
            if opcode != CONTINUATION {
                self.message = Some((opcode == TEXT, Vec::new(), 0));
            }
        }
        let mut mask = [0; 4];
        if masked {
            mask.copy_from_slice(&input[length - 4..length]);
        }
        input.advance(length);
        Ok(Some(Frame { opcode, fin, left, mask, at: 0 }))
    }

    /// Looks at the text that has come since it was looked at last.
    fn check_text(&mut self, complete: bool) -> Result<(), Violation> {
        let Some((true, bytes, checked)) = &mut self.message else { return Ok(()) };
        match std::str::from_utf8(&bytes[*checked..]) {
            Ok(_) => *checked = bytes.len(),
            // The beginning of a character whose rest may still come.
            Err(error) if error.error_len().is_none() && !complete => *checked += error.valid_up_to(),
            Err(_) => return Err(Violation::Utf8),
        }
        Ok(())
    }

    fn control(&mut self, opcode: u8) -> Result<Event, Violation> {
        let payload = std::mem::take(&mut self.control);
        match opcode {
            PING => Ok(Event::Ping(payload)),
            PONG => Ok(Event::Pong),
            _ => close(&payload).map(Event::Close),
        }
    }
}

/// The payload of a close frame (RFC 6455 §5.5.1, §7.4).
fn close(payload: &[u8]) -> Result<Close, Violation> {
    match payload {
        [] => Ok(Close::new(Close::NO_STATUS, "")),
        [_] => Err(Violation::Protocol("a close frame has half a code")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Violation::Protocol("a close code is not one that may be sent"));
            }
            let reason = std::str::from_utf8(reason).map_err(|_| Violation::Utf8)?;
            Ok(Close::new(code, reason))
        }
    }
}

/// Writes frames.
pub struct Encoder {
    role: Role,
}

impl Encoder {
    /// Writes as `role`.
    pub fn new(role: Role) -> Self {
        Self { role }
    }

    /// Adds a message to `out`, in one frame.
    pub fn message(&self, message: &Message, out: &mut Vec<u8>) {
        match message {
            Message::Text(text) => self.frame(TEXT, text.as_bytes(), out),
            Message::Binary(bytes) => self.frame(BINARY, bytes, out),
        }
    }

    /// Adds a ping without a payload.
    pub fn ping(&self, out: &mut Vec<u8>) {
        self.frame(PING, &[], out);
    }

    /// Adds a pong that answers a ping with `payload`.
    pub fn pong(&self, payload: &[u8], out: &mut Vec<u8>) {
        self.frame(PONG, payload, out);
    }

    /// Adds a close. A reason that is too long is cut.
    pub fn close(&self, close: &Close, out: &mut Vec<u8>) {
        let mut payload = Vec::new();
        // 1005 and 1006 say what is in no frame.
        if !matches!(close.code, Close::NO_STATUS | 1006 | 1015) {
            payload.extend_from_slice(&close.code.to_be_bytes());
            let end = close.reason.floor_char_boundary(LONGEST_CONTROL as usize - 2);
            payload.extend_from_slice(&close.reason.as_bytes()[..end]);
        }
        self.frame(CLOSE, &payload, out);
    }

    fn frame(&self, opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
        let masked = if self.role == Role::Client { 0x80 } else { 0 };
        out.reserve(payload.len() + 14);
        out.push(0x80 | opcode);
        match payload.len() {
            short @ 0..=125 => out.push(masked | short as u8),
            middle @ 126..=0xffff => {
                out.push(masked | 126);
                out.extend_from_slice(&(middle as u16).to_be_bytes());
            }
            long => {
                out.push(masked | 127);
                out.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        if masked == 0 {
            out.extend_from_slice(payload);
            return;
        }
        // RFC 6455 §10.3: code that chooses the payload must not be able to foresee the mask.
        let mut key = [0; 4];
        let random = aws_lc_rs::rand::fill(&mut key);
        debug_assert!(random.is_ok(), "the system has randomness");
        out.extend_from_slice(&key);
        let begin = out.len();
        out.extend_from_slice(payload);
        mask(&mut out[begin..], key, 0);
    }
}

/// Masks or unmasks (RFC 6455 §5.3) `bytes`, of which the first is at place `at` of the key.
fn mask(bytes: &mut [u8], key: [u8; 4], at: usize) {
    if key == [0; 4] {
        return;
    }
    let key = [key[at % 4], key[(at + 1) % 4], key[(at + 2) % 4], key[(at + 3) % 4]];
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        let value = u64::from_ne_bytes((&*word).try_into().expect("eight bytes"));
        word.copy_from_slice(&(value ^ wide).to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
