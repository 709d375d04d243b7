//! The memory that rewriting a document takes, as the isolate's account sees it.

use crate::memory::Counted;

/// What the parser keeps for an element that is open, bytes, generously.
const OPEN_ELEMENT: usize = 320;
/// Names up to this length are kept in a number.
const SHORT_NAME: usize = 12;

/// Counts one document. The parser does not tell what it holds, so its part is estimated from what it has read: it is
/// rather too high than too low.
pub(crate) struct Cost {
    counted: Counted,
    parser_limit: usize,
    parsed: usize,
    start_tags: usize,
    /// The last piece ended within a name of this length.
    open_name: Option<usize>,
    long_names: usize,
}

impl Cost {
    pub(crate) fn new(counted: Counted, parser_limit: usize) -> Self {
        Self { counted, parser_limit, parsed: 0, start_tags: 0, open_name: None, long_names: 0 }
    }

    /// Takes note of a piece that is about to be parsed.
    pub(crate) fn parsed(&mut self, piece: &[u8]) {
        self.parsed += piece.len();
        let mut from = 0;
        if let Some(len) = self.open_name.take() {
            from = self.name(piece, len);
        }
        while let Some(at) = piece.get(from..).and_then(|rest| memchr::memchr(b'<', rest)) {
            let name = &piece[from + at + 1..];
            from += at + 1;
            if name.first().is_some_and(u8::is_ascii_alphabetic) {
                self.start_tags += 1;
                from += self.name(name, 0);
            }
        }
    }

    /// Takes note of a name of which `before` bytes are known and the rest begins `bytes`; returns how long the rest is.
    fn name(&mut self, bytes: &[u8], before: usize) -> usize {
        let end = bytes.iter().position(|byte| matches!(byte, b'\t'..=b' ' | b'/' | b'>'));
        let rest = end.unwrap_or(bytes.len());
        let len = before + rest;
        self.long_names += len.saturating_sub(SHORT_NAME) - before.saturating_sub(SHORT_NAME);
        self.open_name = end.is_none().then_some(len);
        rest
    }

    /// Takes note of `held` bytes in buffers here, and of how many bytes the parser has let go of.
    pub(crate) fn count(&mut self, held: usize, seen: usize) {
        let waiting = self.parsed.saturating_sub(seen);
        let parser = (waiting + self.start_tags * OPEN_ELEMENT).min(self.parser_limit);
        self.counted.set(held + parser + self.long_names);
    }
}
