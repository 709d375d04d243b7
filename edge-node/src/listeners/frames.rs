//! Counts the frames by which an HTTP/2 client makes a server work for nothing: resets of streams just opened (rapid
//! reset), pings, settings, empty data; and sees to it that it begins with its settings (RFC 9113 §3.4), which h2 does not.
//! Pure; what h2 limits itself (CONTINUATION, header lists) is left to it.

use std::time::Instant;

/// A frame's head (RFC 9113 §4.1).
const HEAD: usize = 9;

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
}

impl Offence {
    /// A stable word for the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preface => "http2-preface",
            Self::Resets => "http2-reset-flood",
            Self::Idle => "http2-control-flood",
        }
    }
}

/// Follows the frames of one connection, from behind its preface.
#[derive(Debug)]
pub struct Frames {
    head: [u8; HEAD],
    filled: usize,
    payload: usize,
    /// The first frame has come.
    begun: bool,
    resets: Allowance,
    idle: Allowance,
}

impl Frames {
    /// A connection that begins now.
    pub fn new(now: Instant) -> Self {
        let (resets, idle) = (Allowance::new(500, 50, now), Allowance::new(1000, 100, now));
        Self { head: [0; HEAD], filled: 0, payload: 0, begun: false, resets, idle }
    }

    /// Takes the next bytes.
    pub fn advance(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) -> Result<(), Offence> {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skipped = self.payload.min(bytes.len());
                self.payload -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (HEAD - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == HEAD {
                self.filled = 0;
                let [a, b, c, kind, flags, ..] = self.head;
                self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.count(kind, flags, &now)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, kind: u8, flags: u8, now: &impl Fn() -> Instant) -> Result<(), Offence> {
        const DATA: u8 = 0;
        const PRIORITY: u8 = 2;
        const RST_STREAM: u8 = 3;
        const SETTINGS: u8 = 4;
        const PING: u8 = 6;
        if !std::mem::replace(&mut self.begun, true) && kind != SETTINGS {
            return Err(Offence::Preface);
        }
        match kind {
            RST_STREAM if !self.resets.take(now) => Err(Offence::Resets),
            // Of settings and pings the acknowledgements, of data the end of a stream are no work.
            SETTINGS | PING if flags & 1 == 0 && !self.idle.take(now) => Err(Offence::Idle),
            PRIORITY if !self.idle.take(now) => Err(Offence::Idle),
            DATA if self.payload == 0 && flags & 1 == 0 && !self.idle.take(now) => Err(Offence::Idle),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0, (payload >> 8) as u8, payload as u8, kind, flags, 0, 0, 0, 1];
        bytes.resize(HEAD + payload, 0);
        bytes
    }

    /// A connection that has begun with its settings.
    fn begun(now: Instant) -> Frames {
        let mut frames = Frames::new(now);
        frames.advance(&frame(4, 0, 0), || now).unwrap();
        frames
    }

    #[test]
    fn settings_come_first() {
        let start = Instant::now();
        for kind in (0..=20).filter(|kind| *kind != 4) {
            assert_eq!(Frames::new(start).advance(&frame(kind, 1, 8), || start), Err(Offence::Preface), "{kind}");
            begun(start).advance(&frame(kind, 1, 8), || start).unwrap();
        }
    }

    #[test]
    fn floods_are_told_and_slow_clients_are_not() {
        let start = Instant::now();
        for (kind, flood) in [(3, Offence::Resets), (6, Offence::Idle), (4, Offence::Idle), (2, Offence::Idle)] {
            let bytes = frame(kind, 0, 8);
            let mut frames = begun(start);
            let told = (0..2000).find_map(|_| frames.advance(&bytes, || start).err());
            assert_eq!(told, Some(flood));
            let mut frames = begun(start);
            for second in 0..100 {
                let now = start + Duration::from_secs(second);
                for _ in 0..49 {
                    frames.advance(&bytes, || now).unwrap();
                }
            }
        }
    }

    #[test]
    fn what_carries_something_is_not_counted_however_it_is_cut() {
        let start = Instant::now();
        let mut bytes = Vec::new();
        for _ in 0..3000 {
            bytes.extend(frame(0, 0, 5));
            bytes.extend(frame(6, 1, 8));
            bytes.extend(frame(1, 4, 20));
            bytes.extend(frame(0, 1, 0));
        }
        let mut frames = begun(start);
        for piece in bytes.chunks(7) {
            frames.advance(piece, || start).unwrap();
        }
        assert_eq!((frames.filled, frames.payload), (0, 0));
    }
}
