//! Ops behind `HTMLRewriter`. A rewriter is named by a handle; what is done to a token is done to the one that
//! [`op_atoll_rewriter_next`] put at hand last.

use bytes::Bytes;
use deno_core::convert::Uint8Array;
use deno_core::{OpState, op2};

use crate::handles::Handles;
use crate::memory::Meter;
use crate::rewriter::{Registration, RewriteError, Rewriter, Token, select};

/// The documents an isolate is rewriting.
#[derive(Default)]
pub(crate) struct Rewriters(Handles<Rewriter>);

fn rewriter(state: &mut OpState, handle: u32) -> Result<&mut Rewriter, RewriteError> {
    state.borrow_mut::<Rewriters>().0.get_mut(handle).ok_or(RewriteError::Ended)
}

/// Throws unless a selector can be used.
#[op2(fast)]
pub(crate) fn op_atoll_rewriter_select(#[string] selector: &str) -> Result<(), RewriteError> {
    select(selector).map(drop)
}

/// A rewriter for a document in an encoding, with registrations as pairs of a selector (`null` for the document's own
/// handlers) and what they want: 1 elements, 2 comments, 4 text, 8 doctype, 16 the end.
#[op2]
#[smi]
pub(crate) fn op_atoll_rewriter_open(
    state: &mut OpState,
    #[serde] handlers: Vec<Registration>,
    #[string] encoding: &str,
) -> Result<u32, RewriteError> {
    let counted = state.borrow::<Meter>().start();
    let rewriter = Rewriter::new(&handlers, encoding, counted)?;
    state.borrow_mut::<Rewriters>().0.insert(rewriter).map_err(|_| RewriteError::TooManyDocuments)
}

/// Drops a rewriter.
#[op2(fast)]
pub(crate) fn op_atoll_rewriter_drop(state: &mut OpState, #[smi] handle: u32) {
    state.borrow_mut::<Rewriters>().0.remove(handle);
}

/// Gives input.
#[op2]
pub(crate) fn op_atoll_rewriter_write(
    state: &mut OpState,
    #[smi] handle: u32,
    #[anybuffer] chunk: &[u8],
) -> Result<(), RewriteError> {
    rewriter(state, handle)?.write(Bytes::copy_from_slice(chunk));
    Ok(())
}

/// Says that there is no more input.
#[op2(fast)]
pub(crate) fn op_atoll_rewriter_end(state: &mut OpState, #[smi] handle: u32) -> Result<(), RewriteError> {
    rewriter(state, handle)?.end();
    Ok(())
}

/// What is to be done next, as [`Step::code`](crate::rewriter::Step::code).
#[op2(fast)]
#[smi]
pub(crate) fn op_atoll_rewriter_next(state: &mut OpState, #[smi] handle: u32) -> Result<u32, RewriteError> {
    Ok(rewriter(state, handle)?.next()?.code())
}

/// Who handles the token at hand: the registration at `index`, or for an end tag the element; -1 when there are no more.
#[op2(fast)]
#[number]
pub(crate) fn op_atoll_rewriter_who(
    state: &mut OpState,
    #[smi] handle: u32,
    #[smi] index: u32,
) -> Result<i64, RewriteError> {
    let captured = rewriter(state, handle)?.current()?;
    let list = match &captured.token {
        Token::EndTag { elements, .. } => elements,
        _ => &captured.handlers,
    };
    Ok(list.get(index as usize).map_or(-1, |who| i64::from(*who)))
}

/// The element that the start tag at hand opens; -1 when it has no content.
#[op2(fast)]
#[number]
pub(crate) fn op_atoll_rewriter_element(state: &mut OpState, #[smi] handle: u32) -> Result<i64, RewriteError> {
    Ok(rewriter(state, handle)?.current()?.token.element().map_or(-1, i64::from))
}

/// A string of the token at hand. 0: a tag's or doctype's name, or a text's or comment's text; 1: an element's namespace,
/// or a doctype's public identifier; 2: a doctype's system identifier.
#[op2]
#[string]
pub(crate) fn op_atoll_rewriter_text(
    state: &mut OpState,
    #[smi] handle: u32,
    #[smi] which: u32,
) -> Result<Option<String>, RewriteError> {
    Ok(match (&rewriter(state, handle)?.current()?.token, which) {
        (Token::StartTag(tag), 0) => Some(tag.name.clone()),
        (Token::StartTag(tag), 1) => Some(tag.namespace.to_owned()),
        (Token::EndTag { name, .. }, 0) => Some(name.clone()),
        (Token::Text { text, .. } | Token::Comment { text, .. }, 0) => Some(text.clone()),
        (Token::Doctype { name, .. }, 0) => name.clone(),
        (Token::Doctype { public_id, .. }, 1) => public_id.clone(),
        (Token::Doctype { system_id, .. }, 2) => system_id.clone(),
        _ => None,
    })
}

/// Whether the text at hand is the last of its node.
#[op2(fast)]
pub(crate) fn op_atoll_rewriter_is_last(state: &mut OpState, #[smi] handle: u32) -> Result<bool, RewriteError> {
    Ok(matches!(rewriter(state, handle)?.current()?.token, Token::Text { last_in_node: true, .. }))
}

/// Whether the token at hand is part of content that is left out.
#[op2(fast)]
pub(crate) fn op_atoll_rewriter_is_hidden(state: &mut OpState, #[smi] handle: u32) -> Result<bool, RewriteError> {
    Ok(rewriter(state, handle)?.is_hidden())
}

/// Names the tag at hand, or gives the comment at hand its text.
#[op2(fast)]
pub(crate) fn op_atoll_rewriter_set_text(
    state: &mut OpState,
    #[smi] handle: u32,
    #[string] text: &str,
) -> Result<(), RewriteError> {
    let rewriter = rewriter(state, handle)?;
    match rewriter.current()?.token {
        Token::Comment { .. } => rewriter.set_comment(text),
        _ => rewriter.rename(text),
    }
}

/// Names and values of the attributes at hand, in turn.
#[op2]
#[serde]
pub(crate) fn op_atoll_rewriter_attributes(
    state: &mut OpState,
    #[smi] handle: u32,
) -> Result<Vec<String>, RewriteError> {
    let (captured, encoding) = rewriter(state, handle)?.current_encoded()?;
    match &captured.token {
        Token::StartTag(tag) => Ok(tag.attributes(&captured.raw, encoding)),
        _ => Err(RewriteError::Stale),
    }
}

/// The value of an attribute, or `null`.
#[op2]
#[string]
pub(crate) fn op_atoll_rewriter_attribute(
    state: &mut OpState,
    #[smi] handle: u32,
    #[string] name: &str,
) -> Result<Option<String>, RewriteError> {
    let (captured, encoding) = rewriter(state, handle)?.current_encoded()?;
    match &captured.token {
        Token::StartTag(tag) => Ok(tag.attribute(name, &captured.raw, encoding)),
        _ => Err(RewriteError::Stale),
    }
}

/// Sets an attribute.
#[op2(fast)]
pub(crate) fn op_atoll_rewriter_set_attribute(
    state: &mut OpState,
    #[smi] handle: u32,
    #[string] name: &str,
    #[string] value: &str,
) -> Result<(), RewriteError> {
    let (captured, encoding) = rewriter(state, handle)?.current_encoded()?;
    match &mut captured.token {
        Token::StartTag(tag) => tag.set_attribute(name, value, &captured.raw, encoding),
        _ => Err(RewriteError::Stale),
    }
}

/// Removes an attribute.
#[op2(fast)]
pub(crate) fn op_atoll_rewriter_remove_attribute(
    state: &mut OpState,
    #[smi] handle: u32,
    #[string] name: &str,
) -> Result<(), RewriteError> {
    let (captured, encoding) = rewriter(state, handle)?.current_encoded()?;
    match &mut captured.token {
        Token::StartTag(tag) => tag.remove_attribute(name, &captured.raw, encoding),
        _ => return Err(RewriteError::Stale),
    }
    Ok(())
}

/// Wants the end tag of the element at hand.
#[op2(fast)]
pub(crate) fn op_atoll_rewriter_watch(state: &mut OpState, #[smi] handle: u32) -> Result<(), RewriteError> {
    rewriter(state, handle)?.watch()
}

/// Leaves out the content of the element at hand.
#[op2(fast)]
pub(crate) fn op_atoll_rewriter_hide(state: &mut OpState, #[smi] handle: u32) -> Result<(), RewriteError> {
    rewriter(state, handle)?.hide()
}

/// Writes the token at hand.
#[op2(fast)]
pub(crate) fn op_atoll_rewriter_emit_token(
    state: &mut OpState,
    #[smi] handle: u32,
    keeps_slash: bool,
) -> Result<(), RewriteError> {
    rewriter(state, handle)?.emit_token(keeps_slash);
    Ok(())
}

/// Writes content.
#[op2(fast)]
pub(crate) fn op_atoll_rewriter_emit(
    state: &mut OpState,
    #[smi] handle: u32,
    #[string] content: &str,
    is_html: bool,
) -> Result<(), RewriteError> {
    rewriter(state, handle)?.emit_content(content, is_html);
    Ok(())
}

/// Writes content that comes as UTF-8 in chunks.
#[op2]
pub(crate) fn op_atoll_rewriter_emit_bytes(
    state: &mut OpState,
    #[smi] handle: u32,
    #[anybuffer] chunk: &[u8],
    is_html: bool,
    is_last: bool,
) -> Result<(), RewriteError> {
    rewriter(state, handle)?.emit_bytes(chunk, is_html, is_last);
    Ok(())
}

/// The output so far; `null` when there is none.
#[op2]
pub(crate) fn op_atoll_rewriter_take(
    state: &mut OpState,
    #[smi] handle: u32,
) -> Result<Option<Uint8Array>, RewriteError> {
    let output = rewriter(state, handle)?.take_output();
    Ok((!output.is_empty()).then(|| Vec::from(output).into()))
}
