//! The fields of a stored response: a list whose values are cut from one block of memory.
//!
//! Values as they come may be small parts of a connection's read buffer, each of which would keep the whole buffer alive;
//! and a map has a table of positions beside them, which nobody looks into while the response is only kept.

use std::mem::size_of;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Whether a message has such a field. Most have few: to go through them costs less than to look for a name, which is hashed
/// first.
pub fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.keys().any(|other| other == name)
}

/// The first value of a field, found as by [`has`].
pub fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    headers.iter().find_map(|(other, value)| (other == name).then_some(value))
}

/// Fields in the order of the map they come from, those with one name one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Box<[(HeaderName, HeaderValue)]>);

impl Fields {
    /// A copy of all fields of a map.
    pub fn copied(map: &HeaderMap) -> Self {
        let mut block = BytesMut::with_capacity(map.values().map(HeaderValue::len).sum());
        map.values().for_each(|value| block.extend_from_slice(value.as_bytes()));
        let mut block = block.freeze();
        let copied = |(name, value): (&HeaderName, &HeaderValue)| (name.clone(), cut(&mut block, value));
        // The iterator of a map does not know how many it gives.
        let mut list = Vec::with_capacity(map.len());
        list.extend(map.iter().map(copied));
        Self(list.into_boxed_slice())
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(HeaderName, HeaderValue)> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is one of this name.
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }

    /// A map of them, with room for `more` that are added.
    pub fn to_map(&self, more: usize) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.0.len() + more);
        for (name, value) in &self.0 {
            map.append(name.clone(), value.clone());
        }
        map
    }

    /// Bytes of memory they take beside this value itself.
    pub fn weight(&self) -> usize {
        /// What a block counts that is shared: its address, its length and how many share it.
        const SHARED: usize = 32;
        let name = |name: &HeaderName| if is_standard(name) { 0 } else { name.as_str().len() + SHARED };
        let bytes: usize = self.0.iter().map(|(own, value)| value.len() + name(own)).sum();
        self.0.len() * size_of::<(HeaderName, HeaderValue)>() + bytes + SHARED
    }
}

/// The next bytes of the block, which are those of `value`, as a value that is as sensitive.
fn cut(block: &mut Bytes, value: &HeaderValue) -> HeaderValue {
    let bytes = block.split_to(value.len().min(block.len()));
    // What was a value is one.
    let mut cut = HeaderValue::from_maybe_shared(bytes).unwrap_or_else(|_| value.clone());
    cut.set_sensitive(value.is_sensitive());
    cut
}

/// Whether a name takes no memory of its own: `http` knows the common ones.
fn is_standard(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "accept-ranges"
            | "access-control-allow-origin"
            | "cache-control"
            | "content-encoding"
            | "content-language"
            | "content-security-policy"
            | "content-type"
            | "date"
            | "etag"
            | "expires"
            | "last-modified"
            | "link"
            | "location"
            | "referrer-policy"
            | "server"
            | "strict-transport-security"
            | "vary"
            | "via"
            | "x-content-type-options"
            | "x-frame-options"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_they_were_copied_from_and_keep_nothing_else_alive() {
        // One buffer, as a connection reads it, of which the fields are parts.
        let buffer = Bytes::from([b"text/css".to_vec(), b"a=1".to_vec(), vec![b'x'; 8192]].concat());
        let mut map = HeaderMap::new();
        map.append("content-type", HeaderValue::from_maybe_shared(buffer.slice(0..8)).unwrap());
        map.append("x-own", HeaderValue::from_maybe_shared(buffer.slice(8..11)).unwrap());
        map.append("x-own", HeaderValue::from_bytes(b"\xfe").unwrap());
        map.append("x-empty", HeaderValue::from_static(""));
        let fields = Fields::copied(&map);
        drop(map);
        assert!(buffer.is_unique(), "the fields do not refer to it");
        assert_eq!(fields.len(), 4);
        assert!(fields.contains(&http::header::CONTENT_TYPE) && !fields.contains(&http::header::ETAG));
        let again = fields.to_map(4);
        assert_eq!((again.len(), &again["content-type"]), (4, &HeaderValue::from_static("text/css")));
        assert_eq!(
            again.get_all("x-own").iter().map(HeaderValue::as_bytes).collect::<Vec<_>>(),
            [&b"a=1"[..], b"\xfe"]
        );
        assert_eq!(Fields::copied(&again), fields);
        assert!(Fields::copied(&HeaderMap::new()).is_empty());
    }
}
