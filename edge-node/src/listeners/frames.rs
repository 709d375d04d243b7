//! Counts the frames by which an HTTP/2 client makes a server work for nothing: resets of streams just opened (rapid
//! reset), pings, settings, empty data; and sees to it that it begins with its settings (RFC 9113 §3.4) and that trailers
//! have no pseudo-fields (§8.1), which h2 does not. Which requests are to be refused for their heads, [`Heads`] says. Pure.
//!
//! h2 drops pseudo-fields of trailers, but takes one behind another field for what it is, malformed. So trailers get a
//! field of the node's in front, of one byte and without effect on the state of HPACK, that nobody has to decode for it;
//! who reads trailers takes it out again. The frame is divided behind it, because it may be as long as a frame may be.
//! Trailers that begin by changing the size of HPACK's table, which nothing may stand before (RFC 7541 §4.2), stay as they are.

use std::time::Instant;

use http::HeaderName;
use http::header::ACCEPT_CHARSET;

use super::heads::{CONTINUATION, END_HEADERS, Heads, PADDED, PRIORITIZED, TooLarge};
use super::rules::Rule;

/// A frame's head (RFC 9113 §4.1).
const HEAD: usize = 9;

// Kinds and flags (RFC 9113 §6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 1;

/// Stands in front of all trailers that h2 is shown; no field that may be in trailers (RFC 9110 §6.5.1).
pub const MARK: HeaderName = ACCEPT_CHARSET;
/// As HPACK has it, with an empty value (RFC 7541 §6.1, appendix A).
const MARK_INDEXED: u8 = 0x80 | 15;
/// How a change of the table's size begins (RFC 7541 §6.3).
const RESIZE: u8 = 0b0010_0000;
const RESIZE_BITS: u8 = 0b1110_0000;
/// Streams whose bodies are followed. A client has fewer under way; those that were given up may be among them.
const MAX_OPEN: usize = 1024;

/// Frames that are allowed: so many at once, and as many again each second after.
#[derive(Debug)]
struct Allowance {
    burst: u64,
    per_second: u64,
    used: u64,
    since: Instant,
}

impl Allowance {
    fn new(burst: u64, per_second: u64, since: Instant) -> Self {
        Self { burst, per_second, used: 0, since }
    }

    /// Uses one. The clock is only asked when the burst is used up.
    fn take(&mut self, now: impl Fn() -> Instant) -> bool {
        self.used += 1;
        if self.used > self.burst {
            let now = now();
            let passed = now.saturating_duration_since(self.since).as_millis() as u64;
            self.used = self.used.saturating_sub(passed.saturating_mul(self.per_second) / 1000);
            self.since = now;
        }
        self.used <= self.burst
    }
}

/// Why a connection ends: what a client sent too many of, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// The first frame is not SETTINGS.
    Preface,
    /// RST_STREAM.
    Resets,
    /// PING, SETTINGS, PRIORITY and empty DATA.
    Idle,
    /// Fields.
    Fields,
}

impl From<TooLarge> for Offence {
    fn from(_: TooLarge) -> Self {
        Self::Fields
    }
}

impl Offence {
    /// A stable word for the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preface => "http2-preface",
            Self::Resets => "http2-reset-flood",
            Self::Idle => "http2-control-flood",
            Self::Fields => "http2-fields-flood",
        }
    }
}

/// Follows the frames of one connection, from behind its preface.
#[derive(Debug)]
pub struct Frames {
    head: [u8; HEAD],
    filled: usize,
    /// What is left of the frame's payload, and of the padding behind it, bytes.
    payload: usize,
    padding: usize,
    /// What stands before the fields of trailers, the length of the padding and a priority, and the byte behind it.
    before: [u8; 7],
    /// How much of that has come; none when these are no trailers.
    gathered: Option<usize>,
    /// The streams whose bodies are under way, in their order.
    open: Vec<u32>,
    heads: Heads,
    /// The first frame has come.
    begun: bool,
    resets: Allowance,
    idle: Allowance,
}

impl Frames {
    /// A connection that begins now, whose heads may have so many bytes.
    pub fn new(header_bytes: u32, now: Instant) -> Self {
        Self {
            head: [0; HEAD],
            filled: 0,
            payload: 0,
            padding: 0,
            before: [0; 7],
            gathered: None,
            open: Vec::new(),
            heads: Heads::new(header_bytes),
            begun: false,
            resets: Allowance::new(500, 50, now),
            idle: Allowance::new(1000, 100, now),
        }
    }

    /// The streams whose requests are to be refused since this was last asked, and why.
    pub fn refused(&mut self) -> impl Iterator<Item = (u32, Rule)> {
        self.heads.refused()
    }

    /// Takes the next bytes. As many from their beginning as it says are for h2; what is for h2 of the others is put to
    /// the end of `changed`.
    pub fn advance(
        &mut self,
        bytes: &[u8],
        changed: &mut Vec<u8>,
        now: impl Fn() -> Instant,
    ) -> Result<usize, Offence> {
        // Where those begin that do not go on as they are: mostly nowhere.
        let (mut at, mut good) = (0, None);
        while at < bytes.len() {
            let rest = &bytes[at..];
            if let Some(gathered) = &mut self.gathered {
                good.get_or_insert(at);
                self.before[*gathered] = rest[0];
                *gathered += 1;
                at += 1;
                self.heads.advance(&rest[..1])?;
                self.mark(changed);
            } else if self.payload > 0 {
                let taken = self.payload.min(rest.len());
                if good.is_some() {
                    changed.extend_from_slice(&rest[..taken]);
                }
                self.heads.advance(&rest[..taken])?;
                self.payload -= taken;
                at += taken;
            } else if self.padding > 0 {
                good.get_or_insert(at);
                let skipped = self.padding.min(rest.len());
                self.heads.advance(&rest[..skipped])?;
                self.padding -= skipped;
                at += skipped;
            } else {
                let taken = (HEAD - self.filled).min(rest.len());
                self.head[self.filled..self.filled + taken].copy_from_slice(&rest[..taken]);
                if self.filled > 0 || taken < HEAD {
                    // It waits here for its end.
                    good.get_or_insert(at);
                }
                self.filled += taken;
                if self.filled == HEAD {
                    self.filled = 0;
                    if self.begin(&now)? {
                        good.get_or_insert(at);
                        self.gathered = Some(0);
                        self.mark(changed);
                    } else if good.is_some() {
                        changed.extend_from_slice(&self.head);
                    }
                }
                at += taken;
            }
        }
        Ok(good.unwrap_or(bytes.len()))
    }

    /// A frame begins. Whether it is one of trailers.
    fn begin(&mut self, now: &impl Fn() -> Instant) -> Result<bool, Offence> {
        let [a, b, c, kind, flags, id @ ..] = self.head;
        self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.count(kind, flags, now)?;
        let ends = kind == RST_STREAM || matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0;
        let id = u32::from_be_bytes(id) & (u32::MAX >> 1);
        if kind == CONTINUATION {
            self.heads.begin(kind, flags, id, self.payload, false)?;
        }
        if !ends && kind != HEADERS {
            return Ok(false);
        }
        let found = self.open.binary_search(&id);
        if kind == HEADERS {
            self.heads.begin(kind, flags, id, self.payload, found.is_ok())?;
        }
        match found {
            Ok(at) if ends => {
                self.open.remove(at);
            }
            // Streams begin in their order; what does not is an error that h2 sees.
            Err(at) if kind == HEADERS && !ends && at == self.open.len() => {
                if at == MAX_OPEN {
                    self.open.remove(0);
                }
                self.open.push(id);
            }
            _ => {}
        }
        Ok(kind == HEADERS && found.is_ok())
    }

    /// Puts the mark in front of trailers, when what stands before their fields has come, and how they begin.
    fn mark(&mut self, changed: &mut Vec<u8>) {
        let ([_, _, _, kind, flags, id @ ..], length) = (self.head, self.payload);
        let padded = usize::from(flags & PADDED != 0);
        let before = padded + if flags & PRIORITIZED != 0 { 5 } else { 0 };
        let gathered = self.gathered.unwrap_or_default();
        if gathered < length.min(before + 1) {
            return;
        }
        self.gathered = None;
        let mut padding = usize::from(self.before[0]) * padded;
        let (fields, first) = match length.checked_sub(before + padding) {
            Some(0) => {
                // What was gathered behind them is padding.
                padding -= gathered - before;
                (0, &[][..])
            }
            Some(fields) if self.before[before] & RESIZE_BITS != RESIZE => (fields, &self.before[before..=before]),
            // It is malformed, and h2 says so; or nothing may stand in front.
            _ => {
                changed.extend_from_slice(&self.head);
                changed.extend_from_slice(&self.before[..gathered]);
                self.payload -= gathered;
                return;
            }
        };
        let frame = |changed: &mut Vec<u8>, length: usize, kind: u8, flags: u8| {
            let [_, a, b, c] = (length as u32).to_be_bytes();
            changed.extend([a, b, c, kind, flags]);
            changed.extend(id);
        };
        frame(changed, before - padded + 1, kind, flags & (END_STREAM | PRIORITIZED));
        changed.extend_from_slice(&self.before[padded..before]);
        changed.push(MARK_INDEXED);
        frame(changed, fields, CONTINUATION, flags & END_HEADERS);
        changed.extend_from_slice(first);
        (self.payload, self.padding) = (fields - first.len(), padding);
    }

    fn count(&mut self, kind: u8, flags: u8, now: &impl Fn() -> Instant) -> Result<(), Offence> {
        if !std::mem::replace(&mut self.begun, true) && kind != SETTINGS {
            return Err(Offence::Preface);
        }
        match kind {
            RST_STREAM if !self.resets.take(now) => Err(Offence::Resets),
            // Of settings and pings the acknowledgements, of data the end of a stream are no work.
            SETTINGS | PING if flags & 1 == 0 && !self.idle.take(now) => Err(Offence::Idle),
            PRIORITY if !self.idle.take(now) => Err(Offence::Idle),
            DATA if self.payload == 0 && flags & END_STREAM == 0 && !self.idle.take(now) => Err(Offence::Idle),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
