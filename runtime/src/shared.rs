//! Text and compiled code that isolates read where it is, in place of a copy in each of them.
//!
//! The engine takes both as `'static`, and copies what is not. A bundle of 1 MB would be copied three times on its way into
//! an isolate, which takes longer than its start may, and would stay in its heap.

use deno_core::FastString;

/// A string that the engine reads in place, when `text` is ASCII: only then is a byte a character.
///
/// # Safety
///
/// `text` is neither changed nor freed while the isolate is there that is given the string.
pub(crate) unsafe fn ascii(text: &[u8]) -> Option<FastString> {
    // SAFETY: it is ASCII, and the caller promises the rest.
    text.is_ascii().then(|| unsafe { known_ascii(text) })
}

/// The same of text that is known to be ASCII. A text of 1 MB that nobody has read takes longer to look at than all else that is
/// done with it.
///
/// # Safety
///
/// `text` is ASCII, and neither changed nor freed while the isolate is there that is given the string.
pub(crate) unsafe fn known_ascii(text: &[u8]) -> FastString {
    // SAFETY: it is as good as static for whoever reads it, as the caller promises, and ASCII is UTF-8.
    unsafe { FastString::from_ascii_static_unchecked(std::str::from_utf8_unchecked(bytes(text))) }
}

/// The same bytes, as if they were there forever.
///
/// # Safety
///
/// They are neither changed nor freed while the result is used.
pub(crate) unsafe fn bytes(bytes: &[u8]) -> &'static [u8] {
    // SAFETY: the caller sees to it.
    unsafe { std::mem::transmute::<&[u8], &'static [u8]>(bytes) }
}
