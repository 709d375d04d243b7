//! What handlers are given, taken down when the parser met it, and how it is written when they have changed it.

use bytes::{Bytes, BytesMut};
use encoding_rs::Encoding;

use super::encode;
use super::start_tag::StartTag;

/// The kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    StartTag = 0,
    EndTag = 1,
    Text = 2,
    Comment = 3,
    Doctype = 4,
    /// The end of the document.
    End = 5,
}

/// A token and who is to handle it.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) token: Token,
    /// Indices of registrations, in the order in which they are to be called. Of an end tag: none, its elements say it.
    pub(crate) handlers: Vec<u32>,
    /// Where in the document it begins.
    pub(crate) start: usize,
    /// How many bytes it takes there; 0 when the parser has written nothing for it.
    pub(crate) raw_len: usize,
    /// Those bytes.
    pub(crate) raw: Bytes,
}

/// A part of a document.
#[derive(Debug)]
pub(crate) enum Token {
    StartTag(StartTag),
    EndTag {
        /// In lower case.
        name: String,
        renamed: Option<Vec<u8>>,
        /// The elements that end here, the innermost first.
        elements: Vec<u32>,
    },
    Text {
        text: String,
        last_in_node: bool,
    },
    Comment {
        text: String,
        changed: Option<Vec<u8>>,
    },
    Doctype {
        name: Option<String>,
        public_id: Option<String>,
        system_id: Option<String>,
    },
    End,
}

impl Token {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::StartTag(_) => Kind::StartTag,
            Self::EndTag { .. } => Kind::EndTag,
            Self::Text { .. } => Kind::Text,
            Self::Comment { .. } => Kind::Comment,
            Self::Doctype { .. } => Kind::Doctype,
            Self::End => Kind::End,
        }
    }

    /// Bytes it holds, approximately.
    pub(crate) fn bytes(&self) -> usize {
        let inside = match self {
            Self::StartTag(tag) => tag.bytes(),
            Self::EndTag { name, elements, .. } => name.len() + elements.len() * 4,
            Self::Text { text, .. } | Self::Comment { text, .. } => text.len(),
            Self::Doctype { name, public_id, system_id } => {
                [name, public_id, system_id].into_iter().flatten().map(String::len).sum()
            }
            Self::End => 0,
        };
        inside + size_of::<Captured>()
    }

    /// The element that a start tag opens; `None` when it has no content and so no end tag.
    pub(crate) fn element(&self) -> Option<u32> {
        match self {
            Self::StartTag(tag) => tag.element,
            _ => None,
        }
    }
}

impl Captured {
    /// Appends the token's markup.
    pub(crate) fn serialize(&self, encoding: &'static Encoding, keeps_slash: bool, output: &mut BytesMut) {
        match &self.token {
            Token::StartTag(tag) => tag.serialize(&self.raw, keeps_slash, output),
            Token::EndTag { renamed: Some(name), .. } => {
                output.extend_from_slice(b"</");
                output.extend_from_slice(name);
                output.extend_from_slice(b">");
            }
            Token::Comment { changed: Some(text), .. } => {
                output.extend_from_slice(b"<!--");
                output.extend_from_slice(text);
                output.extend_from_slice(b"-->");
            }
            Token::Text { text, .. } => encode(text, encoding, output),
            Token::EndTag { .. } | Token::Comment { .. } | Token::Doctype { .. } => output.extend_from_slice(&self.raw),
            Token::End => {}
        }
    }
}

/// What keeps `name` from being a tag's name, if anything does.
pub(crate) fn forbidden_in_tag_name(name: &str) -> Option<String> {
    match name.as_bytes().first() {
        None => return Some("it is empty".into()),
        Some(first) if !first.is_ascii_alphabetic() => return Some("it does not begin with an ASCII letter".into()),
        Some(_) => {}
    }
    let forbidden = name.chars().find(|c| matches!(c, ' ' | '\n' | '\r' | '\t' | '\x0c' | '/' | '>'));
    forbidden.map(|c| format!("it has the character {c:?}"))
}

/// What keeps `name` from being an attribute's name, if anything does.
pub(crate) fn forbidden_in_attribute_name(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("it is empty".into());
    }
    let forbidden = name.chars().find(|c| matches!(c, ' ' | '\n' | '\r' | '\t' | '\x0c' | '/' | '>' | '='));
    forbidden.map(|c| format!("it has the character {c:?}"))
}

/// What keeps `text` from being a comment's text, if anything does.
pub(crate) fn forbidden_in_comment(text: &str) -> Option<String> {
    let ends = text.contains("-->") || text.contains("--!>") || text.starts_with('>') || text.starts_with("->");
    ends.then(|| "it would end the comment".into())
}
