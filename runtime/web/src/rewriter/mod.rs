//! Rewriting of HTML documents that stream through: the machine behind `HTMLRewriter`.
//!
//! `lol_html` calls its handlers in the middle of parsing and cannot wait for one. Handlers in JavaScript may be
//! asynchronous, so none is called from there. The parser runs over one bounded piece of input at a time and changes
//! nothing: handlers for it only take [tokens](token) down, in a [queue](queue) together with the bytes between them.
//! JavaScript then takes one token after the other from the queue, calls its own handlers, waits for them if need be, and
//! says what is written in the token's place. This is the same as handlers called while parsing, because what handlers
//! change does not influence what `lol_html` matches. There is neither a thread nor a stack per document, and no more of
//! the document is held than one piece.
//!
//! The rules by which changes are written follow `lol_html`, so a document comes out of Atoll as of Workers.

mod capture;
mod cost;
mod queue;
mod start_tag;
mod token;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use encoding_rs::{Decoder, Encoding};
use lol_html::errors::RewritingError;
use lol_html::{AsciiCompatibleEncoding, HtmlRewriter};

pub(crate) use self::capture::{Registration, select};
use self::cost::Cost;
use self::queue::{Segment, Shared, Sink};
pub(crate) use self::token::Token;
use self::token::{Captured, forbidden_in_comment, forbidden_in_tag_name};
use crate::memory::Counted;

/// Memory that the parser of one document may use, bytes: for one token that came in several chunks, and for the elements
/// that are open.
const PARSER_MEMORY: usize = 4 << 20;

/// The most input that is parsed before its tokens are handled, bytes. Less when there are many handlers, because each
/// may note down every token.
const LARGEST_PIECE: usize = 64 << 10;
const SMALLEST_PIECE: usize = 64;

/// Output is given away from this size on, bytes.
const FLUSH_AT: usize = 64 << 10;

/// Why a document cannot be rewritten, or a token cannot be changed so.
#[derive(Debug, thiserror::Error, deno_error::JsError)]
#[class(type)]
pub(crate) enum RewriteError {
    /// A selector that is none, or is not supported.
    #[error("the selector {selector:?} cannot be used: {reason}")]
    Selector {
        /// What was given.
        selector: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An encoding that does not exist or of which ASCII is no part.
    #[error("the document's encoding {0:?} is unknown or is not a superset of ASCII")]
    Encoding(String),
    /// More handlers than [`capture::MOST_HANDLERS`].
    #[error("a rewriter can have {} handlers at most", capture::MOST_HANDLERS)]
    TooManyHandlers,
    /// No handle is left.
    #[error("too many documents are being rewritten at once")]
    TooManyDocuments,
    /// A token longer than [`PARSER_MEMORY`] or elements nested too deep.
    #[error("the document needs more than the {} MiB of memory that parsing may take: a single token is that long, or its elements are nested too deep", PARSER_MEMORY >> 20)]
    Memory,
    /// What comes next depends on a tree, which is not built.
    #[error("the document cannot be parsed as a stream: {0}")]
    Ambiguous(String),
    /// The parser failed before.
    #[error("the document cannot be rewritten any further")]
    Ended,
    /// A token is changed that is not at hand.
    #[error("this content token is no longer valid: it is only while its handler runs")]
    Stale,
    /// An attribute's, tag's name or a comment's text that would be read as something else.
    #[error("{what} cannot be {given:?}: {reason}")]
    Content {
        /// What is to be changed.
        what: &'static str,
        /// What it was to become.
        given: String,
        /// What is wrong with that.
        reason: String,
    },
}

/// What there is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Give more input, or say that there is none.
    Feed,
    /// Take the output; more would be too much at once.
    Flush,
    /// The document is complete.
    Done,
    /// A token of this kind waits for its handlers.
    Handle(token::Kind),
}

impl Step {
    /// The number by which JavaScript knows it: 0, 1, 2 and from 3 on the kinds of tokens.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Feed => 0,
            Self::Flush => 1,
            Self::Done => 2,
            Self::Handle(kind) => 3 + kind as u32,
        }
    }
}

/// One document being rewritten.
pub(crate) struct Rewriter {
    /// `None` once the parser has failed or has seen the end.
    parser: Option<HtmlRewriter<'static, Sink>>,
    queue: Shared,
    encoding: &'static Encoding,
    piece: usize,
    input: Bytes,
    /// No more input follows.
    ended: bool,
    failure: Option<RewriteError>,
    current: Option<Captured>,
    /// Open elements whose end tag somebody waits for.
    watched: HashSet<u32>,
    /// Open elements whose content is left out.
    hidden: HashSet<u32>,
    output: BytesMut,
    /// Decodes content that is being streamed in.
    incoming: Option<Decoder>,
    cost: Cost,
}

impl Rewriter {
    /// A rewriter for a document in `encoding`, a label of the encoding standard. The index of a registration names it in
    /// [`Captured::handlers`].
    pub(crate) fn new(handlers: &[Registration], encoding: &str, counted: Counted) -> Result<Self, RewriteError> {
        let known = Encoding::for_label_no_replacement(encoding.as_bytes()).and_then(AsciiCompatibleEncoding::new);
        let Some(known) = known else { return Err(RewriteError::Encoding(encoding.to_owned())) };
        let queue = Shared::default();
        let settings = capture::settings(handlers, known, PARSER_MEMORY, &queue)?;
        let parser = HtmlRewriter::new(settings, Sink(Rc::clone(&queue)));
        Ok(Self {
            parser: Some(parser),
            queue,
            encoding: known.into(),
            piece: ((1 << 20) / handlers.len().max(1)).clamp(SMALLEST_PIECE, LARGEST_PIECE),
            input: Bytes::new(),
            ended: false,
            failure: None,
            current: None,
            watched: HashSet::new(),
            hidden: HashSet::new(),
            output: BytesMut::new(),
            incoming: None,
            cost: Cost::new(counted, PARSER_MEMORY),
        })
    }

    /// Adds input. To be called after [`Step::Feed`] only, so that no more than one chunk is held.
    pub(crate) fn write(&mut self, chunk: Bytes) {
        if self.input.is_empty() {
            self.input = chunk;
        } else {
            let mut input = BytesMut::from(&self.input[..]);
            input.extend_from_slice(&chunk);
            self.input = input.freeze();
        }
        self.count();
    }

    /// Says that there is no more input.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Goes on until there is something to do. The token at hand before, if any, is done with.
    pub(crate) fn next(&mut self) -> Result<Step, RewriteError> {
        self.current = None;
        loop {
            if self.output.len() >= FLUSH_AT {
                self.count();
                return Ok(Step::Flush);
            }
            let segment = self.queue.borrow_mut().pop();
            match segment {
                Some(Segment::Raw(bytes)) => self.emit(&bytes),
                Some(Segment::Token(captured)) => {
                    if let Some(kind) = self.begin(captured) {
                        return Ok(Step::Handle(kind));
                    }
                }
                None => {
                    if let Some(error) = self.failure.take() {
                        return Err(error);
                    }
                    if let Some(step) = self.parse()? {
                        self.count();
                        return Ok(step);
                    }
                }
            }
        }
    }

    /// Parses the next piece of input. `Some` when there is none.
    fn parse(&mut self) -> Result<Option<Step>, RewriteError> {
        let Some(mut parser) = self.parser.take() else {
            return if self.ended { Ok(Some(Step::Done)) } else { Err(RewriteError::Ended) };
        };
        let result = if !self.input.is_empty() {
            let piece = self.input.split_to(self.piece.min(self.input.len()));
            self.cost.parsed(&piece);
            let result = parser.write(&piece);
            if result.is_ok() {
                self.parser = Some(parser);
            }
            result
        } else if self.ended {
            parser.end()
        } else {
            self.parser = Some(parser);
            return Ok(Some(Step::Feed));
        };
        if let Err(error) = result {
            self.input = Bytes::new();
            self.ended = false;
            // Tokens that were found before are still handled.
            self.failure = Some(match error {
                RewritingError::MemoryLimitExceeded(_) => RewriteError::Memory,
                other => RewriteError::Ambiguous(other.to_string()),
            });
        }
        self.count();
        Ok(None)
    }

    /// Puts a token at hand, unless it is an end tag that nobody waits for.
    fn begin(&mut self, mut captured: Captured) -> Option<token::Kind> {
        captured.raw = self.queue.borrow_mut().take_raw(captured.raw_len);
        if let Token::EndTag { elements, .. } = &mut captured.token {
            for element in &*elements {
                self.hidden.remove(element);
            }
            elements.retain(|element| self.watched.remove(element));
            if elements.is_empty() {
                self.emit(&captured.raw);
                return None;
            }
        }
        if matches!(captured.token, Token::End) {
            // What is appended to the document is not part of an element that was not closed.
            self.hidden.clear();
        }
        let kind = captured.token.kind();
        self.current = Some(captured);
        Some(kind)
    }

    /// The token at hand.
    pub(crate) fn current(&mut self) -> Result<&mut Captured, RewriteError> {
        self.current.as_mut().ok_or(RewriteError::Stale)
    }

    /// The token at hand and the document's encoding.
    pub(crate) fn current_encoded(&mut self) -> Result<(&mut Captured, &'static Encoding), RewriteError> {
        let encoding = self.encoding;
        Ok((self.current()?, encoding))
    }

    /// Gives the tag at hand another name.
    pub(crate) fn rename(&mut self, given: &str) -> Result<(), RewriteError> {
        let what = "a tag's name";
        let encoded = encode_exactly(given, self.encoding, what)?;
        if let Some(reason) = forbidden_in_tag_name(given) {
            return Err(RewriteError::Content { what, given: shorten(given), reason });
        }
        match &mut self.current()?.token {
            Token::StartTag(tag) => tag.rename(given, encoded),
            Token::EndTag { name, renamed, .. } => {
                given.clone_into(name);
                *renamed = Some(encoded);
            }
            _ => return Err(RewriteError::Stale),
        }
        Ok(())
    }

    /// Gives the comment at hand another text.
    pub(crate) fn set_comment(&mut self, given: &str) -> Result<(), RewriteError> {
        let what = "a comment's text";
        let encoded = encode_exactly(given, self.encoding, what)?;
        if let Some(reason) = forbidden_in_comment(given) {
            return Err(RewriteError::Content { what, given: shorten(given), reason });
        }
        match &mut self.current()?.token {
            Token::Comment { text, changed } => {
                given.clone_into(text);
                *changed = Some(encoded);
                Ok(())
            }
            _ => Err(RewriteError::Stale),
        }
    }

    /// Wants the end tag of the element at hand as a token of its own.
    pub(crate) fn watch(&mut self) -> Result<(), RewriteError> {
        if let Some(element) = self.current()?.token.element() {
            self.watched.insert(element);
        }
        Ok(())
    }

    /// Leaves out what follows, up to the end tag of the element at hand.
    pub(crate) fn hide(&mut self) -> Result<(), RewriteError> {
        if let Some(element) = self.current()?.token.element() {
            self.hidden.insert(element);
        }
        Ok(())
    }

    /// Whether nothing is written, because an element that is open is left out.
    pub(crate) fn is_hidden(&self) -> bool {
        !self.hidden.is_empty()
    }

    /// Writes the token at hand as it is now. `keeps_slash` says whether a start tag that ends in `/>` still does.
    pub(crate) fn emit_token(&mut self, keeps_slash: bool) {
        if let Some(captured) = self.current.take() {
            if !self.is_hidden() {
                captured.serialize(self.encoding, keeps_slash, &mut self.output);
            }
            self.current = Some(captured);
        }
    }

    /// Writes content given by a handler: markup, or text that is escaped.
    pub(crate) fn emit_content(&mut self, content: &str, is_html: bool) {
        if self.is_hidden() {
            return;
        }
        if is_html {
            encode(content, self.encoding, &mut self.output);
            return;
        }
        let mut rest = content;
        while let Some(at) = memchr::memchr3(b'&', b'<', b'>', rest.as_bytes()) {
            encode(&rest[..at], self.encoding, &mut self.output);
            self.output.extend_from_slice(match rest.as_bytes()[at] {
                b'<' => b"&lt;",
                b'>' => b"&gt;",
                _ => b"&amp;",
            });
            rest = &rest[at + 1..];
        }
        encode(rest, self.encoding, &mut self.output);
    }

    /// Writes content that comes as UTF-8 in chunks, which may break within a character.
    pub(crate) fn emit_bytes(&mut self, chunk: &[u8], is_html: bool, is_last: bool) {
        let decoder = self.incoming.get_or_insert_with(|| encoding_rs::UTF_8.new_decoder());
        let mut text = String::with_capacity(decoder.max_utf8_buffer_length(chunk.len()).unwrap_or(chunk.len()));
        // The capacity is sufficient for all of it.
        let _ = decoder.decode_to_string(chunk, &mut text, is_last);
        if is_last {
            self.incoming = None;
        }
        self.emit_content(&text, is_html);
    }

    fn emit(&mut self, bytes: &[u8]) {
        if !self.is_hidden() {
            self.output.extend_from_slice(bytes);
        }
    }

    /// The output so far.
    pub(crate) fn take_output(&mut self) -> Bytes {
        let output = self.output.split().freeze();
        self.count();
        output
    }

    fn count(&mut self) {
        let queue = self.queue.borrow();
        self.cost.count(self.input.len() + self.output.len() + queue.bytes(), queue.seen());
    }
}

/// Appends `text` in `encoding`, with numeric references for what the encoding does not have.
fn encode(text: &str, encoding: &'static Encoding, output: &mut BytesMut) {
    if !text.is_empty() {
        output.extend_from_slice(&encoding.encode(text).0);
    }
}

/// `text` in `encoding`, where there can be no numeric reference.
fn encode_exactly(text: &str, encoding: &'static Encoding, what: &'static str) -> Result<Vec<u8>, RewriteError> {
    let (encoded, _, replaced) = encoding.encode(text);
    if replaced {
        let reason = format!("the document's encoding {} has not all of its characters", encoding.name());
        return Err(RewriteError::Content { what, given: shorten(text), reason });
    }
    Ok(encoded.into_owned())
}

/// The beginning of `text`, for a message.
fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}
