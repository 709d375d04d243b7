//! Under what a response is kept: the request's URL as the client wrote it, and what an app adds to it or leaves out.
//!
//! The URL counts byte for byte. An app sees the same bytes, so two spellings that it could tell apart never share an
//! answer, and no spelling of a private page can be passed off as that of a public one (web cache deception).

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use http::header::COOKIE;
use http::{HeaderMap, HeaderName};

/// The longest key, bytes. Requests with a longer one pass by the cache.
pub const MAX_KEY: usize = 8 << 10;

/// Which parameters of the query are part of the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum QueryKey {
    /// The query as it is.
    #[default]
    All,
    /// None of it.
    None,
    /// Only these parameters.
    Only(Vec<String>),
    /// All parameters but these.
    Except(Vec<String>),
}

/// What makes up a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// Scheme, host and port count. Default true.
    pub host: bool,
    /// Which parameters of the query count.
    pub query: QueryKey,
    /// Request fields whose values count.
    pub headers: Vec<HeaderName>,
    /// Cookies whose values count.
    pub cookies: Vec<String>,
}

impl Default for KeySettings {
    fn default() -> Self {
        Self { host: true, query: QueryKey::All, headers: Vec::new(), cookies: Vec::new() }
    }
}

/// A key. Two requests have the same one only if all its parts are the same; it is kept whole, never as a hash alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A key of these bytes, as [`as_bytes`](Self::as_bytes) gave them.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Who answers for the memory and the disk that is used under it.
    pub fn owner(&self) -> Owner {
        self.0.first_chunk().copied().unwrap_or_default()
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Who answers for what is used: one for all namespaces within one, as those of an app. It says nothing about who may
/// find what.
pub type Owner = [u8; 8];

/// Length of an [`Owner`], and of all of a [`Namespace`], bytes.
const OWNER: usize = size_of::<Owner>();
const NAMESPACE: usize = OWNER + 16;

/// Keeps apart what must never share an answer: apps, and versions of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Namespace([u8; NAMESPACE]);

impl Namespace {
    /// The namespace that these parts name, with an owner of its own; other parts name another one.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        Self::finished(context)
    }

    /// A namespace within this one, with its owner.
    pub fn within(&self, parts: &[&[u8]]) -> Self {
        let all: Vec<&[u8]> = std::iter::once(&self.0[..]).chain(parts.iter().copied()).collect();
        let mut within = Self::of(&all);
        within.0[..OWNER].copy_from_slice(&self.0[..OWNER]);
        within
    }

    fn finished(context: aws_lc_rs::digest::Context) -> Self {
        let digest = context.finish();
        let mut namespace = [0; NAMESPACE];
        namespace.copy_from_slice(&digest.as_ref()[..NAMESPACE]);
        Self(namespace)
    }
}

/// The key of a request for an absolute URL; `None` when it would be longer than [`MAX_KEY`].
pub fn key(namespace: Namespace, settings: &KeySettings, url: &str, headers: &HeaderMap) -> Option<Key> {
    let mut key = Vec::with_capacity(NAMESPACE + url.len() + 1);
    key.extend_from_slice(&namespace.0);
    let url = url.split('#').next().unwrap_or_default();
    let start = if settings.host { 0 } else { path_start(url) };
    let (path, query) = match url.find('?') {
        Some(at) => (&url[start.min(at)..at], Some(&url[at + 1..])),
        None => (&url[start..], None),
    };
    key.extend_from_slice(path.as_bytes());
    if let Some(query) = query {
        add_query(&mut key, &settings.query, query);
    }
    // A URL has no NUL, and each value is told from what follows by its length.
    for name in &settings.headers {
        key.push(0);
        for value in headers.get_all(name) {
            add_value(&mut key, value.as_bytes());
        }
    }
    for name in &settings.cookies {
        key.push(0);
        for value in cookies(headers, name.as_bytes()) {
            add_value(&mut key, value);
        }
    }
    (key.len() <= MAX_KEY).then(|| Key(key.into()))
}

fn add_value(key: &mut Vec<u8>, value: &[u8]) {
    key.push(1);
    key.extend_from_slice(&(value.len() as u32).to_le_bytes());
    key.extend_from_slice(value);
}

fn add_query(key: &mut Vec<u8>, rule: &QueryKey, query: &str) {
    let counts = |parameter: &str| {
        let name = parameter.split('=').next().unwrap_or_default();
        match rule {
            QueryKey::All => true,
            QueryKey::None => false,
            QueryKey::Only(names) => names.iter().any(|known| decodes_to(name, known)),
            QueryKey::Except(names) => !names.iter().any(|known| decodes_to(name, known)),
        }
    };
    if *rule == QueryKey::All {
        key.push(b'?');
        key.extend_from_slice(query.as_bytes());
        return;
    }
    let mut separator = b'?';
    for parameter in query.split('&').filter(|parameter| counts(parameter)) {
        key.push(separator);
        key.extend_from_slice(parameter.as_bytes());
        separator = b'&';
    }
}

/// Whether a parameter's name in a query is `name` once decoded, as an app decodes it: another spelling of a parameter
/// that counts counts too.
fn decodes_to(written: &str, name: &str) -> bool {
    let mut bytes = written.bytes();
    let mut decoded = std::iter::from_fn(|| {
        let byte = bytes.next()?;
        if byte == b'+' {
            return Some(b' ');
        }
        let mut ahead = bytes.clone();
        if byte == b'%'
            && let (Some(high), Some(low)) = (ahead.next().and_then(hex), ahead.next().and_then(hex))
        {
            bytes = ahead;
            return Some(high << 4 | low);
        }
        Some(byte)
    });
    name.bytes().all(|byte| decoded.next() == Some(byte)) && decoded.next().is_none()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The values of a cookie (RFC 6265 §4.2).
fn cookies<'a>(headers: &'a HeaderMap, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let pair = pair.trim_ascii();
        let at = pair.iter().position(|byte| *byte == b'=')?;
        (&pair[..at] == name).then(|| &pair[at + 1..])
    })
}

fn path_start(url: &str) -> usize {
    let authority = url.find("://").map_or(0, |at| at + 3);
    url[authority..].find(['/', '?']).map_or(url.len(), |at| authority + at)
}

/// Host and path of a URL for purges by prefix: without scheme and query, the host in lower case.
pub fn place(url: &str) -> Box<str> {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let path = path_start(url);
    let end = url[path..].find(['?', '#']).map_or(url.len(), |at| path + at);
    let mut place = url[authority..path].to_ascii_lowercase();
    place.push_str(&url[path..end]);
    place.into_boxed_str()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn made(settings: &KeySettings, url: &str, fields: &[(&'static str, &'static str)]) -> Key {
        let headers = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        key(Namespace::of(&[b"a"]), settings, url, &headers).unwrap()
    }

    #[test]
    fn apps_never_share_a_key() {
        let of = |parts: &[&[u8]]| key(Namespace::of(parts), &KeySettings::default(), "http://a/", &HeaderMap::new());
        assert_ne!(of(&[b"a", b"1"]), of(&[b"b", b"1"]));
        assert_ne!(of(&[b"a", b"11"]), of(&[b"a1", b"1"]), "where one part ends is part of it");
        assert_eq!(of(&[b"a", b"1"]), of(&[b"a", b"1"]));
    }

    #[test]
    fn what_is_within_a_namespace_has_its_owner() {
        let (app, other) = (Namespace::of(&[b"a"]), Namespace::of(&[b"b"]));
        let of = |namespace| key(namespace, &KeySettings::default(), "http://a/", &HeaderMap::new()).unwrap();
        let within = of(app.within(&[b"1"]).within(&[b"2"]));
        assert_eq!(within.owner(), of(app).owner());
        assert_ne!(within.owner(), of(other).owner());
        assert_ne!(within, of(app.within(&[b"2"]).within(&[b"1"])));
    }

    #[test]
    fn every_byte_of_the_url_counts() {
        let all = KeySettings::default();
        let url = "http://a.com/x/style.css?b=1&a=2";
        for other in [
            "https://a.com/x/style.css?b=1&a=2",
            "http://a.com:81/x/style.css?b=1&a=2",
            "http://a.com/x%2fstyle.css?b=1&a=2",
            "http://a.com/x//style.css?b=1&a=2",
            "http://a.com/x/;style.css?b=1&a=2",
            "http://a.com/X/style.css?b=1&a=2",
            "http://a.com/x/style.css?a=2&b=1",
            "http://a.com/x/style.css",
            "http://a.com/x/style.css?",
        ] {
            assert_ne!(made(&all, url, &[]), made(&all, other, &[]), "{other}");
        }
    }

    #[test]
    fn parameters_are_chosen_by_their_decoded_names() {
        let only = KeySettings { query: QueryKey::Only(vec!["q".into()]), ..KeySettings::default() };
        let base = made(&only, "http://a/?q=1", &[]);
        assert_eq!(made(&only, "http://a/?x=9&q=1&y", &[]), base);
        assert_ne!(made(&only, "http://a/?q=1&%71=2", &[]), base, "another spelling of q counts");
        let except = KeySettings { query: QueryKey::Except(vec!["utm source".into()]), ..KeySettings::default() };
        let base = made(&except, "http://a/?q=1", &[]);
        for url in ["http://a/?q=1&utm%20source=x", "http://a/?utm+source&q=1", "http://a/?q=1&%75tm+source=2"] {
            assert_eq!(made(&except, url, &[]), base, "{url}");
        }
        assert_ne!(made(&except, "http://a/?q=1&utm%2=x", &[]), base);
        let none = KeySettings { query: QueryKey::None, ..KeySettings::default() };
        assert_eq!(made(&none, "http://a/?q=1", &[]), made(&none, "http://a/", &[]));
    }

    #[test]
    fn chosen_fields_and_cookies_count() {
        let settings = KeySettings {
            host: false,
            headers: vec![HeaderName::from_static("x-lang")],
            cookies: vec!["group".into()],
            ..KeySettings::default()
        };
        let base = made(&settings, "http://a/", &[("x-lang", "de"), ("cookie", "s=1; group=b")]);
        assert_eq!(made(&settings, "http://b/", &[("x-lang", "de"), ("cookie", "group=b; t=2")]), base);
        for fields in [&[("x-lang", "en"), ("cookie", "group=b")][..], &[("x-lang", "de")], &[("cookie", "group=b")]] {
            assert_ne!(made(&settings, "http://a/", fields), base, "{fields:?}");
        }
        let long = "x".repeat(MAX_KEY);
        assert!(key(Namespace::of(&[]), &settings, &format!("http://a/{long}"), &HeaderMap::new()).is_none());
    }

    #[test]
    fn a_place_is_host_and_path() {
        assert_eq!(&*place("http://A.com:80/X/y?z#f"), "a.com:80/X/y");
        assert_eq!(&*place("http://a.com?z"), "a.com");
        assert_eq!(path_start("http://a.com?z=/"), 12);
    }
}
