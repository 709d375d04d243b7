//! What the parser found and nobody has handled yet: tokens, and the bytes between them as they were.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use lol_html::OutputSink;

use super::token::{Captured, Token};

/// The queue, as the parser's handlers share it with the rewriter.
pub(crate) type Shared = Rc<RefCell<Queue>>;

/// A part of a document, in its order.
pub(crate) enum Segment {
    Raw(Bytes),
    Token(Captured),
}

/// Segments in the order of the document. The markup of a token other than text follows it as raw bytes, because the
/// parser writes it after its handlers have run.
#[derive(Default)]
pub(crate) struct Queue {
    segments: VecDeque<Entry>,
    bytes: usize,
    seen: usize,
    elements: u32,
}

enum Entry {
    Raw(BytesMut),
    Token(Captured),
}

impl Queue {
    /// Bytes it holds, approximately.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the document that the parser has let go of.
    pub(crate) fn seen(&self) -> usize {
        self.seen
    }

    /// A number for an element that no other has. They repeat after 2^32 elements, long after the first was closed.
    pub(crate) fn next_element(&mut self) -> u32 {
        self.elements = self.elements.wrapping_add(1);
        self.elements
    }

    pub(crate) fn pop(&mut self) -> Option<Segment> {
        Some(match self.segments.pop_front()? {
            Entry::Raw(bytes) => {
                self.bytes -= bytes.len();
                Segment::Raw(bytes.freeze())
            }
            Entry::Token(captured) => {
                self.bytes -= cost(&captured);
                Segment::Token(captured)
            }
        })
    }

    /// Takes `len` bytes from the raw bytes at the front.
    pub(crate) fn take_raw(&mut self, len: usize) -> Bytes {
        match self.segments.front_mut() {
            Some(Entry::Raw(bytes)) if len > 0 => {
                let taken = bytes.split_to(len.min(bytes.len())).freeze();
                self.bytes -= taken.len();
                if bytes.is_empty() {
                    self.segments.pop_front();
                }
                taken
            }
            _ => Bytes::new(),
        }
    }

    /// Adds a token that is `len` bytes long in the document, from `start` on.
    pub(crate) fn push(&mut self, token: Token, handler: Option<u32>, start: usize, raw_len: usize) {
        let captured = Captured { token, handlers: handler.into_iter().collect(), start, raw_len, raw: Bytes::new() };
        self.bytes += cost(&captured);
        self.segments.push_back(Entry::Token(captured));
    }

    /// The token that was added last, if nothing followed it and `is_it` says that it is the one.
    pub(crate) fn last(&mut self, is_it: impl FnOnce(&Captured) -> bool) -> Option<&mut Captured> {
        match self.segments.back_mut() {
            Some(Entry::Token(captured)) if is_it(captured) => Some(captured),
            _ => None,
        }
    }

    /// Counts bytes of a text that was taken down, which the parser does not write.
    pub(crate) fn saw_text(&mut self, len: usize) {
        self.seen += len;
    }

    /// Counts what was added to a token after it was pushed, in bytes.
    pub(crate) fn grew(&mut self, bytes: usize) {
        self.bytes += bytes;
    }
}

fn cost(captured: &Captured) -> usize {
    captured.token.bytes() + captured.handlers.len() * 4
}

/// Where the parser writes.
pub(crate) struct Sink(pub(crate) Shared);

impl OutputSink for Sink {
    fn handle_chunk(&mut self, chunk: &[u8]) {
        let mut queue = self.0.borrow_mut();
        if chunk.is_empty() {
            return;
        }
        queue.seen += chunk.len();
        queue.bytes += chunk.len();
        match queue.segments.back_mut() {
            Some(Entry::Raw(bytes)) => bytes.extend_from_slice(chunk),
            _ => queue.segments.push_back(Entry::Raw(BytesMut::from(chunk))),
        }
    }
}
