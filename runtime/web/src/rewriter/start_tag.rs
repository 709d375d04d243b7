//! A start tag and its attributes, which are ranges of the tag's bytes until they are changed.

use std::ops::Range;

use bytes::BytesMut;
use encoding_rs::Encoding;
use lol_html::html_content::Element;

use super::token::forbidden_in_attribute_name;
use super::{RewriteError, encode_exactly, shorten};

/// A start tag.
#[derive(Debug)]
pub(crate) struct StartTag {
    /// In lower case.
    pub(crate) name: String,
    pub(crate) namespace: &'static str,
    /// The element it opens; `None` when that has no content.
    pub(crate) element: Option<u32>,
    renamed: Option<Vec<u8>>,
    self_closing: bool,
    attributes: Vec<Attribute>,
    changed: bool,
}

#[derive(Debug)]
enum Attribute {
    /// As in the document: ranges of the tag's bytes. `whole` includes the quotes.
    Original { name: Range<usize>, value: Range<usize>, whole: Range<usize> },
    /// As a handler set it.
    Set { name: Vec<u8>, value: Vec<u8> },
}

impl Attribute {
    fn name<'a>(&'a self, raw: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Original { name, .. } => raw.get(name.clone()).unwrap_or_default(),
            Self::Set { name, .. } => name,
        }
    }

    fn value<'a>(&'a self, raw: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Original { value, .. } => raw.get(value.clone()).unwrap_or_default(),
            Self::Set { value, .. } => value,
        }
    }
}

impl StartTag {
    /// Takes down the start tag of `element`, to be known as `id` if it has content.
    pub(crate) fn new(element: &Element<'_, '_>, id: u32) -> Self {
        let start = element.source_location().bytes().start;
        let attribute = |attribute: &lol_html::html_content::Attribute<'_>| {
            let within = |range: Range<usize>| range.start.saturating_sub(start)..range.end.saturating_sub(start);
            let name = within(attribute.name_source_location().map_or(0..0, |location| location.bytes()));
            let value = attribute.value_source_location().map(|location| within(location.bytes()));
            let value = value.unwrap_or(name.end..name.end);
            Attribute::Original { whole: name.start..value.end, name, value }
        };
        Self {
            name: element.tag_name(),
            namespace: element.namespace_uri(),
            element: element.can_have_content().then_some(id),
            renamed: None,
            self_closing: element.is_self_closing(),
            attributes: element.attributes().iter().map(attribute).collect(),
            changed: false,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.name.len() + self.attributes.len() * size_of::<Attribute>()
    }

    pub(crate) fn rename(&mut self, name: &str, encoded: Vec<u8>) {
        name.clone_into(&mut self.name);
        self.renamed = Some(encoded);
        self.changed = true;
    }

    /// Names and values in turn.
    pub(crate) fn attributes(&self, raw: &[u8], encoding: &'static Encoding) -> Vec<String> {
        let pair = |attribute: &Attribute| {
            let name = decode(attribute.name(raw), encoding).to_ascii_lowercase();
            [name, decode(attribute.value(raw), encoding)]
        };
        self.attributes.iter().flat_map(pair).collect()
    }

    /// The value of the first attribute of this name.
    pub(crate) fn attribute(&self, name: &str, raw: &[u8], encoding: &'static Encoding) -> Option<String> {
        let name = encode_exactly(name, encoding, "").ok()?;
        let found = self.attributes.iter().find(|attribute| attribute.name(raw).eq_ignore_ascii_case(&name))?;
        Some(decode(found.value(raw), encoding))
    }

    /// Sets the first attribute of this name, or adds one.
    pub(crate) fn set_attribute(
        &mut self,
        name: &str,
        value: &str,
        raw: &[u8],
        encoding: &'static Encoding,
    ) -> Result<(), RewriteError> {
        let what = "an attribute's name";
        if let Some(reason) = forbidden_in_attribute_name(name) {
            return Err(RewriteError::Content { what, given: shorten(name), reason });
        }
        let name = encode_exactly(&name.to_ascii_lowercase(), encoding, what)?;
        let value = encoding.encode(value).0.into_owned();
        self.changed = true;
        match self.attributes.iter_mut().find(|attribute| attribute.name(raw).eq_ignore_ascii_case(&name)) {
            // It keeps the spelling it has in the document.
            Some(attribute) => *attribute = Attribute::Set { name: attribute.name(raw).to_vec(), value },
            None => self.attributes.push(Attribute::Set { name, value }),
        }
        Ok(())
    }

    /// Removes all attributes of this name.
    pub(crate) fn remove_attribute(&mut self, name: &str, raw: &[u8], encoding: &'static Encoding) {
        let Ok(name) = encode_exactly(name, encoding, "") else { return };
        let before = self.attributes.len();
        self.attributes.retain(|attribute| !attribute.name(raw).eq_ignore_ascii_case(&name));
        self.changed |= self.attributes.len() != before;
    }

    /// Appends the tag: its own bytes when nothing was changed, and of what was not changed in any case.
    pub(crate) fn serialize(&self, raw: &[u8], keeps_slash: bool, output: &mut BytesMut) {
        if !self.changed {
            output.extend_from_slice(raw);
            return;
        }
        output.extend_from_slice(b"<");
        output.extend_from_slice(self.renamed.as_deref().unwrap_or_else(|| written_name(raw)));
        for attribute in &self.attributes {
            output.extend_from_slice(b" ");
            match attribute {
                Attribute::Original { value, whole, .. } => {
                    output.extend_from_slice(raw.get(with_closing_quote(raw, value, whole)).unwrap_or_default());
                }
                Attribute::Set { name, value } => {
                    output.extend_from_slice(name);
                    output.extend_from_slice(b"=\"");
                    let mut rest = &value[..];
                    while let Some(at) = memchr::memchr(b'"', rest) {
                        output.extend_from_slice(&rest[..at]);
                        output.extend_from_slice(b"&quot;");
                        rest = &rest[at + 1..];
                    }
                    output.extend_from_slice(rest);
                    output.extend_from_slice(b"\"");
                }
            }
        }
        let slash = self.self_closing && keeps_slash;
        output.extend_from_slice(match (slash, self.attributes.is_empty()) {
            // A value without quotes would swallow the slash.
            (true, false) => b" />",
            (true, true) => b"/>",
            (false, _) => b">",
        });
    }
}

/// The name as the document spells it.
fn written_name(raw: &[u8]) -> &[u8] {
    let name = raw.get(1..).unwrap_or_default();
    let end = name.iter().position(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b'\x0c' | b'/' | b'>'));
    &name[..end.unwrap_or(name.len())]
}

/// `whole` and the quote that closes the value, if a quote opens it.
fn with_closing_quote(raw: &[u8], value: &Range<usize>, whole: &Range<usize>) -> Range<usize> {
    let opening = value.start.checked_sub(1).and_then(|at| raw.get(at));
    let is_quoted = matches!(opening, Some(b'"' | b'\'')) && raw.get(value.end) == opening;
    whole.start..whole.end + usize::from(is_quoted)
}

fn decode(bytes: &[u8], encoding: &'static Encoding) -> String {
    encoding.decode_without_bom_handling(bytes).0.into_owned()
}
