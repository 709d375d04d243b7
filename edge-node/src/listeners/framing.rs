//! How the bytes of an HTTP/1 connection divide into requests, read more strictly than a lenient parser does, so that
//! nothing behind this node can see other boundaries. Pure: bytes in, how many of them are good and what is not.
//!
//! What passes is parsed again by hyper; what this refuses, hyper never sees.

use http::Uri;
use http::uri::{Authority, Scheme};
use memchr::memchr;

use super::rules::Rule;

/// What an HTTP/2 connection begins with (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// More get 414.
const MAX_TARGET: usize = 16 << 10;
/// A request line with its method and version; a longer one gets 414.
const MAX_REQUEST_LINE: usize = MAX_TARGET + 65;
/// More header fields get 431.
const MAX_HEADERS: u32 = 100;
/// A chunk's size with its extensions.
const MAX_CHUNK_LINE: usize = 512;
/// Extensions of all chunks of a body.
const MAX_EXTENSIONS: u32 = 4096;
/// Trailer fields of a body.
const MAX_TRAILERS: usize = 16 << 10;

/// Where in the stream of requests the next byte stands.
///
/// `Start => (Head | Http2)`, `Head => (Start | Length | ChunkSize)`, `Length => Start`,
/// `ChunkSize => (ChunkData | Trailers)`, `ChunkData => ChunkEnd => ChunkSize`, `Trailers => Start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a request.
    Start,
    /// In a request's head.
    Head(Head),
    /// In a body, with this many bytes to come.
    Length(u64),
    /// Before a chunk's size; with the bytes of extensions so far.
    ChunkSize(u32),
    /// In a chunk's data, with this many bytes to come.
    ChunkData(u64, u32),
    /// Before the end of a chunk's data.
    ChunkEnd(u32),
    /// After the last chunk.
    Trailers,
    /// HTTP/2: not read here.
    Http2,
}

/// What a head's lines have said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Head {
    lines: u32,
    http_1_0: bool,
    length: Option<u64>,
    chunked: bool,
}

/// What became of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// So many from the beginning are good. The rest has to be shown again, with more behind it.
    pub good: usize,
    /// What is wrong with the rest.
    pub broken: Option<Rule>,
}

/// Follows one connection.
#[derive(Debug)]
pub struct Framing {
    state: State,
    /// Bytes of a head before which its lines have been read.
    line: usize,
    /// Bytes of it that have been searched for the end of a line.
    searched: usize,
    max_head: usize,
    heads: u64,
    first: bool,
}

impl Framing {
    /// A new connection whose heads may have `max_head` bytes.
    pub fn new(max_head: usize) -> Self {
        Self { state: State::Start, line: 0, searched: 0, max_head, heads: 0, first: true }
    }

    /// Heads that were good.
    pub fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether the next byte begins a request.
    pub fn is_between_requests(&self) -> bool {
        self.state == State::Start
    }

    /// Whether the next byte is one of a body.
    pub fn is_in_body(&self) -> bool {
        !matches!(self.state, State::Start | State::Head(_) | State::Http2)
    }

    /// Whether the connection has turned out to be HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.state == State::Http2
    }

    /// Reads on. `bytes` begins with what was not good before.
    pub fn advance(&mut self, bytes: &[u8]) -> Progress {
        let mut good = 0;
        loop {
            match self.step(&bytes[good..]) {
                Ok(Some(read)) => good += read,
                Ok(None) => return Progress { good, broken: None },
                Err(rule) => return Progress { good, broken: Some(rule) },
            }
            if good == bytes.len() {
                return Progress { good, broken: None };
            }
        }
    }

    /// Bytes taken; `None` when more are needed.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, Rule> {
        match self.state {
            State::Http2 => Ok(Some(bytes.len())),
            State::Length(left) => {
                let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - taken as u64;
                self.state = if left == 0 { State::Start } else { State::Length(left) };
                Ok(Some(taken))
            }
            State::ChunkData(left, extensions) => {
                let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - taken as u64;
                self.state = if left == 0 { State::ChunkEnd(extensions) } else { State::ChunkData(left, extensions) };
                Ok(Some(taken))
            }
            State::ChunkEnd(extensions) => match bytes {
                [b'\r', b'\n', ..] => {
                    self.state = State::ChunkSize(extensions);
                    Ok(Some(2))
                }
                [b'\r'] => Ok(None),
                _ => Err(Rule::Chunk),
            },
            State::ChunkSize(extensions) => self.chunk_size(bytes, extensions),
            State::Trailers => self.trailers(bytes),
            State::Start => self.start(bytes),
            State::Head(head) => self.head(bytes, head),
        }
    }

    fn start(&mut self, bytes: &[u8]) -> Result<Option<usize>, Rule> {
        if self.first {
            let common = bytes.len().min(PREFACE.len());
            // The first three bytes could begin a method of the kind, so they alone decide nothing.
            if bytes[..common] == PREFACE[..common] {
                if common < PREFACE.len() {
                    return Ok(None);
                }
                self.state = State::Http2;
                return Ok(Some(common));
            }
        }
        match bytes {
            // RFC 9112 §2.2: an empty line before a request is overlooked.
            [b'\r', b'\n', ..] => Ok(Some(2)),
            [b'\r'] => Ok(None),
            [byte, ..] if is_token(*byte) => {
                self.first = false;
                (self.line, self.searched) = (0, 0);
                self.state = State::Head(Head::default());
                Ok(Some(0))
            }
            [b'\r' | b'\n', ..] => Err(Rule::LineEnd),
            _ => Err(Rule::RequestLine),
        }
    }

    fn head(&mut self, bytes: &[u8], mut head: Head) -> Result<Option<usize>, Rule> {
        loop {
            // Where the line has to have ended, so that the rule that is broken does not depend on how the bytes arrive.
            let (limit, too_long) = match head.lines {
                0 => (self.max_head.min(MAX_REQUEST_LINE), Rule::TargetTooLong),
                _ => (self.max_head, Rule::HeadTooLarge),
            };
            let Some(found) = memchr(b'\n', &bytes[self.searched..]) else {
                self.searched = bytes.len();
                self.state = State::Head(head);
                return if bytes.len() >= limit { Err(too_long) } else { Ok(None) };
            };
            let end = self.searched + found;
            if end >= limit {
                return Err(too_long);
            }
            let line = bytes[self.line..end].strip_suffix(b"\r").ok_or(Rule::LineEnd)?;
            (self.line, self.searched) = (end + 1, end + 1);
            if line.is_empty() {
                self.state = match (head.chunked, head.length) {
                    (true, Some(_)) => return Err(Rule::LengthAndChunked),
                    (true, None) if head.http_1_0 => return Err(Rule::Coding),
                    (true, None) => State::ChunkSize(0),
                    (false, Some(length @ 1..)) => State::Length(length),
                    (false, _) => State::Start,
                };
                self.heads += 1;
                (self.line, self.searched) = (0, 0);
                return Ok(Some(end + 1));
            }
            if head.lines == 0 {
                head.http_1_0 = request_line(line)?;
            } else {
                if head.lines > MAX_HEADERS {
                    return Err(Rule::TooManyHeaders);
                }
                field(line, &mut head)?;
            }
            head.lines += 1;
        }
    }

    fn chunk_size(&mut self, bytes: &[u8], extensions: u32) -> Result<Option<usize>, Rule> {
        let Some(end) = memchr(b'\n', &bytes[..bytes.len().min(MAX_CHUNK_LINE)]) else {
            let hopeless = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            return match bytes.len() {
                _ if hopeless == 0 || hopeless > 16 => Err(Rule::Chunk),
                MAX_CHUNK_LINE.. => Err(Rule::ChunkExtension),
                _ => Ok(None),
            };
        };
        let digits = bytes[..end].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        // Sixteen digits would fit, but no body is that long, and a parser of signed numbers might see a negative one.
        // They are looked at before the line's end, as they are when they arrive without it.
        if !(1..=15).contains(&digits) {
            return Err(Rule::Chunk);
        }
        let line = bytes[..end].strip_suffix(b"\r").ok_or(Rule::LineEnd)?;
        let (size, extension) = line.split_at(digits);
        let size = size.iter().fold(0, |size: u64, digit| size << 4 | u64::from(hex(*digit)));
        let extension_is_good = match extension {
            [] => true,
            [first, ..] if !matches!(first, b';' | b' ' | b'\t') => false,
            rest => rest.trim_ascii_start().first() == Some(&b';') && rest.iter().all(|byte| is_text(*byte)),
        };
        if !extension_is_good {
            return Err(Rule::Chunk);
        }
        let extensions = extensions.saturating_add(extension.len() as u32);
        if extensions > MAX_EXTENSIONS {
            return Err(Rule::ChunkExtension);
        }
        self.state = if size == 0 { State::Trailers } else { State::ChunkData(size, extensions) };
        (self.line, self.searched) = (0, 0);
        Ok(Some(end + 1))
    }

    fn trailers(&mut self, bytes: &[u8]) -> Result<Option<usize>, Rule> {
        loop {
            let Some(found) = memchr(b'\n', &bytes[self.searched..]) else {
                self.searched = bytes.len();
                return if bytes.len() >= MAX_TRAILERS { Err(Rule::HeadTooLarge) } else { Ok(None) };
            };
            let end = self.searched + found;
            if end >= MAX_TRAILERS {
                return Err(Rule::HeadTooLarge);
            }
            let line = bytes[self.line..end].strip_suffix(b"\r").ok_or(Rule::LineEnd)?;
            (self.line, self.searched) = (end + 1, end + 1);
            if line.is_empty() {
                self.state = State::Start;
                (self.line, self.searched) = (0, 0);
                return Ok(Some(end + 1));
            }
            split_field(line)?;
        }
    }
}

/// Whether the line says HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, Rule> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(if line.contains(&b'\r') { Rule::LineEnd } else { Rule::RequestLine });
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) || target.is_empty() {
        return Err(Rule::RequestLine);
    }
    if target.len() > MAX_TARGET {
        return Err(Rule::TargetTooLong);
    }
    if !is_target(method, target) {
        return Err(if target.contains(&b'\r') { Rule::LineEnd } else { Rule::RequestLine });
    }
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(Rule::Version)
        }
        _ => Err(Rule::RequestLine),
    }
}

/// Whether a target has the form that its method asks for (RFC 9112 §3.2), and no character that hyper refuses.
fn is_target(method: &[u8], target: &[u8]) -> bool {
    match target {
        _ if method == b"CONNECT" => Authority::try_from(target).is_ok(),
        [b'/', ..] => {
            let (path, query) = target.split_at(memchr(b'?', target).unwrap_or(target.len()));
            // All bytes, without a branch for each.
            path.iter().fold(true, |good, byte| good & is_path(*byte))
                && query.iter().fold(true, |good, byte| good & is_query(*byte))
                && (target.is_ascii() || std::str::from_utf8(target).is_ok())
        }
        b"*" => method == b"OPTIONS",
        _ => {
            let scheme = Uri::try_from(target).ok().filter(|uri| uri.authority().is_some()).and_then(|uri| {
                let scheme = uri.scheme()?;
                Some(*scheme == Scheme::HTTP || *scheme == Scheme::HTTPS)
            });
            scheme == Some(true) && !target.contains(&b'#')
        }
    }
}

/// What may stand in a path: more than RFC 3986 has, because browsers send more; with what is not ASCII, as UTF-8.
fn is_path(byte: u8) -> bool {
    (byte > 0x20) & !matches!(byte, b'#' | b'<' | b'>' | b'?' | b'`' | 0x7f)
}

/// What may stand in a query, and the question mark before it.
fn is_query(byte: u8) -> bool {
    (byte > 0x20) & !matches!(byte, b'"' | b'#' | b'<' | b'>' | 0x7f)
}

fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Rule> {
    if matches!(line[0], b' ' | b'\t') {
        return Err(Rule::Folded);
    }
    let colon = memchr(b':', line).ok_or(Rule::Header)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    // All bytes, without a branch for each: that is faster as long as nothing is wrong.
    if name.is_empty() || !name.iter().fold(true, |good, byte| good & is_token(*byte)) {
        return Err(Rule::Header);
    }
    if !value.iter().fold(true, |good, byte| good & is_text(*byte)) {
        return Err(if value.iter().any(|byte| matches!(byte, b'\r' | 0)) { Rule::LineEnd } else { Rule::Header });
    }
    Ok((name, value.trim_ascii()))
}

fn field(line: &[u8], head: &mut Head) -> Result<(), Rule> {
    let (name, value) = split_field(line)?;
    match name.len() {
        6 if name.eq_ignore_ascii_case(b"expect") && !value.eq_ignore_ascii_case(b"100-continue") => {
            Err(Rule::Expectation)
        }
        14 if name.eq_ignore_ascii_case(b"content-length") => {
            if head.length.is_some() || !(1..=18).contains(&value.len()) || !value.iter().all(u8::is_ascii_digit) {
                return Err(Rule::Length);
            }
            head.length = Some(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')));
            Ok(())
        }
        17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
            if head.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Rule::Coding);
            }
            head.chunked = true;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Whether a byte is one of a token (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 128 {
            table[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let others = b"!#$%&'*+-.^_`|~";
        let mut at = 0;
        while at < others.len() {
            table[others[at] as usize] = true;
            at += 1;
        }
        table
    };
    TOKEN[byte as usize]
}

/// What may stand in a value: no control characters but the tab.
fn is_text(byte: u8) -> bool {
    (byte >= 0x20) & (byte != 0x7f) | (byte == b'\t')
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
