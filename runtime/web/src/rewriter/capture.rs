//! The handlers that are given to the parser: they change nothing, they only take down what they are called with.

use std::borrow::Cow;
use std::rc::Rc;

use lol_html::html_content::{Comment, Doctype, DocumentEnd, Element, EndTag, TextChunk};
use lol_html::{
    AsciiCompatibleEncoding, DocumentContentHandlers, ElementContentHandlers, HandlerResult, MemorySettings, Selector,
    Settings,
};
use serde::Deserialize;

use super::RewriteError;
use super::queue::{Queue, Shared};
use super::start_tag::StartTag;
use super::token::{Captured, Token};

/// Handlers that one rewriter may have: looking for a match costs time for each.
pub(crate) const MOST_HANDLERS: usize = 1024;
/// Characters that a selector may have: reading one takes stack in proportion.
const LONGEST_SELECTOR: usize = 4 << 10;
/// Parentheses and brackets that may be open in a selector.
const DEEPEST_SELECTOR: usize = 16;
/// Elements that one alternative of a selector may name.
const MOST_STEPS: usize = 64;

/// What a registration wants to be called for.
const ELEMENT: u32 = 1;
const COMMENTS: u32 = 2;
const TEXT: u32 = 4;
const DOCTYPE: u32 = 8;
const END: u32 = 16;

/// One call of `on` (with a selector) or `onDocument` (without).
#[derive(Debug, Deserialize)]
pub(crate) struct Registration(pub(crate) Option<String>, pub(crate) u32);

/// Reads a selector.
pub(crate) fn select(selector: &str) -> Result<Selector, RewriteError> {
    let fail = |reason: String| {
        let selector = super::shorten(selector);
        Err(RewriteError::Selector { selector, reason })
    };
    if selector.len() > LONGEST_SELECTOR {
        return fail(format!("it is longer than {LONGEST_SELECTOR} bytes"));
    }
    let (mut depth, mut deepest, mut steps, mut most_steps, mut in_step) = (0usize, 0, 0, 0, false);
    for byte in selector.bytes() {
        let is_between = matches!(byte, b'>' | b'+' | b'~' | b' ' | b'\t' | b'\n' | b'\r' | b'\x0c');
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => steps = 0,
            _ if is_between && !in_step => steps += 1,
            _ => {}
        }
        in_step = is_between;
        deepest = deepest.max(depth);
        most_steps = most_steps.max(steps);
    }
    if deepest > DEEPEST_SELECTOR {
        return fail(format!("it is nested deeper than {DEEPEST_SELECTOR} levels"));
    }
    if most_steps > MOST_STEPS {
        return fail(format!("it has more than {MOST_STEPS} steps"));
    }
    selector.parse().or_else(|error: lol_html::errors::SelectorError| fail(error.to_string()))
}

/// What the parser of a document is made with.
pub(crate) fn settings(
    handlers: &[Registration],
    encoding: AsciiCompatibleEncoding,
    memory: usize,
    queue: &Shared,
) -> Result<Settings<'static, 'static>, RewriteError> {
    if handlers.len() > MOST_HANDLERS {
        return Err(RewriteError::TooManyHandlers);
    }
    let memory = MemorySettings::new().with_max_allowed_memory_usage(memory);
    let mut settings = Settings::new().with_encoding(encoding).with_memory_settings(memory);
    for (id, Registration(selector, wants)) in (0..).zip(handlers) {
        let wants = |what| wants & what != 0;
        match selector {
            Some(selector) => {
                let selector = Cow::Owned(select(selector)?);
                settings = settings.append_element_content_handler((selector, for_elements(id, wants, queue)));
            }
            None => settings = settings.append_document_content_handler(for_document(id, wants, queue)),
        }
    }
    Ok(settings)
}

fn for_elements(id: u32, wants: impl Fn(u32) -> bool, queue: &Shared) -> ElementContentHandlers<'static> {
    let mut handlers = ElementContentHandlers::default();
    if wants(ELEMENT) {
        let queue = Rc::clone(queue);
        handlers = handlers.element(move |element: &mut Element<'_, '_>| capture_element(element, id, &queue));
    }
    if wants(COMMENTS) {
        let queue = Rc::clone(queue);
        handlers = handlers.comments(move |comment: &mut Comment<'_>| capture_comment(comment, id, &queue));
    }
    if wants(TEXT) {
        let queue = Rc::clone(queue);
        handlers = handlers.text(move |text: &mut TextChunk<'_>| capture_text(text, id, &queue));
    }
    handlers
}

fn for_document(id: u32, wants: impl Fn(u32) -> bool, queue: &Shared) -> DocumentContentHandlers<'static> {
    let mut handlers = DocumentContentHandlers::default();
    if wants(DOCTYPE) {
        let queue = Rc::clone(queue);
        handlers = handlers.doctype(move |doctype: &mut Doctype<'_>| capture_doctype(doctype, id, &queue));
    }
    if wants(COMMENTS) {
        let queue = Rc::clone(queue);
        handlers = handlers.comments(move |comment: &mut Comment<'_>| capture_comment(comment, id, &queue));
    }
    if wants(TEXT) {
        let queue = Rc::clone(queue);
        handlers = handlers.text(move |text: &mut TextChunk<'_>| capture_text(text, id, &queue));
    }
    if wants(END) {
        let queue = Rc::clone(queue);
        handlers = handlers.end(move |_: &mut DocumentEnd<'_>| {
            capture(&mut queue.borrow_mut(), id, usize::MAX, 0, |_| Token::End);
            Ok(())
        });
    }
    handlers
}

/// Adds a handler to the token at `start`, which is made when this is the first handler for it.
fn capture(queue: &mut Queue, id: u32, start: usize, raw_len: usize, make: impl FnOnce(&mut Queue) -> Token) -> bool {
    let is_it = |last: &Captured| last.start == start && !matches!(last.token, Token::Text { .. });
    if let Some(captured) = queue.last(is_it) {
        captured.handlers.push(id);
        queue.grew(4);
        return false;
    }
    let token = make(queue);
    queue.push(token, Some(id), start, raw_len);
    true
}

fn capture_element(element: &mut Element<'_, '_>, id: u32, queue: &Shared) -> HandlerResult {
    let location = element.source_location().bytes();
    let mut number = 0;
    let is_first = capture(&mut queue.borrow_mut(), id, location.start, location.len(), |queue| {
        number = queue.next_element();
        Token::StartTag(StartTag::new(element, number))
    });
    if is_first && element.can_have_content() {
        let queue = Rc::clone(queue);
        element.on_end_tag(Box::new(move |tag: &mut EndTag<'_>| {
            capture_end_tag(tag, number, &queue);
            Ok(())
        }))?;
    }
    Ok(())
}

fn capture_end_tag(tag: &EndTag<'_>, element: u32, queue: &Shared) {
    let location = tag.source_location().bytes();
    let mut queue = queue.borrow_mut();
    let is_it = |last: &Captured| last.start == location.start && matches!(last.token, Token::EndTag { .. });
    if let Some(Captured { token: Token::EndTag { elements, .. }, .. }) = queue.last(is_it) {
        elements.push(element);
        queue.grew(4);
        return;
    }
    let token = Token::EndTag { name: tag.name(), renamed: None, elements: vec![element] };
    queue.push(token, None, location.start, location.len());
}

fn capture_text(text: &mut TextChunk<'_>, id: u32, queue: &Shared) -> HandlerResult {
    let mut queue = queue.borrow_mut();
    // The first handler for a chunk removes it: it is written again from what was taken down.
    if text.removed()
        && let Some(captured) = queue.last(|last| matches!(last.token, Token::Text { .. }))
    {
        captured.handlers.push(id);
        queue.grew(4);
        return Ok(());
    }
    let location = text.source_location().bytes();
    text.remove();
    queue.saw_text(location.len());
    let token = Token::Text { text: text.as_str().to_owned(), last_in_node: text.last_in_text_node() };
    queue.push(token, Some(id), location.start, 0);
    Ok(())
}

fn capture_comment(comment: &mut Comment<'_>, id: u32, queue: &Shared) -> HandlerResult {
    let location = comment.source_location().bytes();
    capture(&mut queue.borrow_mut(), id, location.start, location.len(), |_| Token::Comment {
        text: comment.text(),
        changed: None,
    });
    Ok(())
}

fn capture_doctype(doctype: &mut Doctype<'_>, id: u32, queue: &Shared) -> HandlerResult {
    let location = doctype.source_location().bytes();
    capture(&mut queue.borrow_mut(), id, location.start, location.len(), |_| Token::Doctype {
        name: doctype.name(),
        public_id: doctype.public_id(),
        system_id: doctype.system_id(),
    });
    Ok(())
}
