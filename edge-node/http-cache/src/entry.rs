//! What is stored: a response's head with all that was decided of it, its content, and the variants of one key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{
    AGE, CONNECTION, CONTENT_LENGTH, DATE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::disk::BlobRef;
use crate::fields::Fields;
use crate::freshness::Policy;
use crate::purge::{self, Purges};
use crate::status::CACHE_STATUS;
use crate::storing::Storable;
use crate::targeted::ATOLL_CDN_CACHE_CONTROL;
use crate::{date, key};

const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// Request fields with the values that a request had; `None` when it lacked the field.
pub type VaryValues = Box<[(HeaderName, Option<Box<[u8]>>)]>;

/// A stored response's head.
#[derive(Debug)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The fields as they are sent, but for `Age`, `Cache-Status` and framing.
    pub headers: Fields,
    /// How it may be used.
    pub policy: Policy,
    /// The request fields it depends on, with their values in the request it answers.
    pub vary: VaryValues,
    /// Its tags.
    pub tags: Box<[Box<str>]>,
    /// Host and path of its URL.
    pub place: Box<str>,
    /// Its app's last purge when it was asked for; see [`Purges`].
    pub revision: u64,
    checked: AtomicU64,
    /// How often it was sent from memory.
    sent: AtomicU32,
}

/// How often a response is sent from memory before it is sent often.
const OFTEN: u32 = 64;

impl Head {
    /// Takes note that the response was sent from memory. Says whether it is time to make that cheaper: after so many times,
    /// and when that came to nothing, after twice as many, and so on.
    pub fn note_sent(&self) -> bool {
        let sent = self.sent.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        sent >= OFTEN && sent.is_power_of_two()
    }

    /// The head of a storable response to a request for `url`.
    pub fn new(
        status: StatusCode,
        response: &HeaderMap,
        storable: Storable,
        request: &HeaderMap,
        url: &str,
        revision: u64,
    ) -> Self {
        let mut headers = response.clone();
        for name in &storable.withheld {
            headers.remove(name);
        }
        const NOT_STORED: [HeaderName; 14] = [
            AGE,
            CONNECTION,
            HeaderName::from_static("keep-alive"),
            HeaderName::from_static("proxy-connection"),
            HeaderName::from_static("proxy-authentication-info"),
            PROXY_AUTHORIZATION,
            CONTENT_LENGTH,
            PROXY_AUTHENTICATE,
            TE,
            TRAILER,
            TRANSFER_ENCODING,
            UPGRADE,
            CACHE_STATUS,
            ATOLL_CDN_CACHE_CONTROL,
        ];
        let tags = purge::tags(headers.get_all(&CACHE_TAG).iter().map(HeaderValue::as_bytes));
        // What is for the connection alone (RFC 9111 §3.1).
        let named = response.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        for name in named.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()) {
            headers.remove(name);
        }
        for name in &NOT_STORED {
            headers.remove(name);
        }
        // A recipient with a clock adds the date that is missing (RFC 9110 §6.6.1).
        if !headers.contains_key(DATE)
            && let Some(now) = date::format(storable.policy.response_time / 1000)
        {
            headers.insert(DATE, now);
        }
        let vary = storable.vary.into_iter().map(|name| {
            let value = vary_value(request, &name);
            (name, value)
        });
        let (vary, headers) = (vary.collect(), Fields::copied(&headers));
        Self::restored(status, headers, storable.policy, vary, tags, key::place(url), revision)
    }

    /// The head of a response that an app put into a cache of its own: all its fields but those that are withheld, and
    /// the age and length that are told anew with each answer.
    pub fn of_put(
        status: StatusCode,
        mut headers: HeaderMap,
        storable: Storable,
        request: &HeaderMap,
        url: &str,
        revision: u64,
    ) -> Self {
        let tags = purge::tags(headers.get_all(&CACHE_TAG).iter().map(HeaderValue::as_bytes));
        for name in storable.withheld.iter().chain(&[AGE, CONTENT_LENGTH]) {
            headers.remove(name);
        }
        let vary = storable.vary.into_iter().map(|name| {
            let value = vary_value(request, &name);
            (name, value)
        });
        let (vary, headers) = (vary.collect(), Fields::copied(&headers));
        Self::restored(status, headers, storable.policy, vary, tags, key::place(url), revision)
    }

    /// A head put together from its parts, as it was kept on disk.
    pub(crate) fn restored(
        status: StatusCode,
        headers: Fields,
        policy: Policy,
        vary: VaryValues,
        tags: Box<[Box<str>]>,
        place: Box<str>,
        revision: u64,
    ) -> Self {
        Self {
            status,
            headers,
            policy,
            vary,
            tags,
            place,
            revision,
            checked: AtomicU64::new(revision),
            sent: AtomicU32::new(0),
        }
    }

    /// The same response after a 304 said so with these fields (RFC 9111 §4.3.4).
    pub fn renewed(&self, headers: HeaderMap, policy: Policy, revision: u64) -> Self {
        let tags = match headers.contains_key(&CACHE_TAG) {
            true => purge::tags(headers.get_all(&CACHE_TAG).iter().map(HeaderValue::as_bytes)),
            false => self.tags.clone(),
        };
        let mut headers = headers;
        headers.remove(ATOLL_CDN_CACHE_CONTROL);
        headers.remove(AGE);
        headers.remove(CACHE_STATUS);
        let (vary, place) = (self.vary.clone(), self.place.clone());
        Self::restored(self.status, Fields::copied(&headers), policy, vary, tags, place, revision)
    }

    /// Whether a request has the values that the response depends on (RFC 9111 §4.1).
    pub fn matches(&self, request: &HeaderMap) -> bool {
        self.vary.iter().all(|(name, value)| {
            let mut values = request.get_all(name).iter();
            match (values.next(), values.next(), value) {
                (None, _, None) => true,
                (Some(one), None, Some(value)) => one.as_bytes().trim_ascii() == &**value,
                (Some(_), Some(_), Some(_)) => vary_value(request, name) == *value,
                _ => false,
            }
        })
    }

    /// Whether no purge covers it. What has been found out is remembered until the next purge.
    pub fn allowed(&self, purges: &Purges) -> bool {
        let last = purges.last();
        if self.checked.load(Ordering::Relaxed) == last {
            return true;
        }
        let allowed = purges.allow(self.revision, &self.tags, &self.place);
        if allowed {
            self.checked.store(last, Ordering::Relaxed);
        }
        allowed
    }

    /// Bytes of memory it takes, its place among shared values included.
    fn weight(&self) -> usize {
        const VARY: usize = size_of::<(HeaderName, Option<Box<[u8]>>)>();
        let vary = |(name, value): &(HeaderName, Option<Box<[u8]>>)| {
            VARY + name.as_str().len() + value.as_ref().map_or(0, |value| value.len())
        };
        let vary: usize = self.vary.iter().map(vary).sum();
        let tags: usize = self.tags.iter().map(|tag| tag.len() + size_of::<Box<str>>()).sum();
        SHARED + size_of::<Self>() + self.headers.weight() + vary + tags + self.place.len()
    }
}

/// The values of a field as one: lines joined, without the space around (RFC 9111 §4.1).
fn vary_value(request: &HeaderMap, name: &HeaderName) -> Option<Box<[u8]>> {
    let mut values = request.get_all(name).iter().map(|value| value.as_bytes().trim_ascii());
    let first = values.next()?;
    let rest: Vec<&[u8]> = values.collect();
    if rest.is_empty() {
        return Some(first.into());
    }
    let mut all = vec![first];
    all.extend(rest);
    Some(all.join(&b","[..]).into())
}

/// Where a stored response's content is. At least one of the two has it.
#[derive(Clone, Debug)]
pub struct Content {
    /// In memory.
    pub memory: Option<Bytes>,
    /// On disk.
    pub disk: Option<BlobRef>,
}

impl Content {
    /// Content in memory.
    pub fn in_memory(bytes: Bytes) -> Self {
        Self { memory: Some(bytes), disk: None }
    }

    /// How many bytes it is.
    pub fn length(&self) -> u64 {
        match (&self.memory, &self.disk) {
            (Some(bytes), _) => bytes.len() as u64,
            (None, Some(blob)) => blob.length,
            (None, None) => 0,
        }
    }
}

/// A stored response.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its head.
    pub head: Arc<Head>,
    /// Its content.
    pub content: Content,
}

impl Entry {
    fn weight(&self) -> usize {
        // Bytes that are shared know where they are and who holds them.
        let content = self.content.memory.as_ref().map_or(0, |bytes| bytes.len() + 2 * SHARED);
        let listed = size_of::<Arc<Self>>();
        listed + SHARED + size_of::<Self>() + self.head.weight() + content
    }
}

/// What a value counts that is shared, beside itself, bytes: how many hold it.
const SHARED: usize = 2 * size_of::<usize>();

/// The most variants of one key; the oldest go.
pub const MAX_VARIANTS: usize = 64;

/// All that is stored under a key, newest first.
#[derive(Clone, Debug, Default)]
pub struct Variants(Box<[Arc<Entry>]>);

impl Variants {
    /// These entries, newest first.
    pub fn new(entries: Vec<Arc<Entry>>) -> Self {
        Self(entries.into())
    }

    /// The newest one that a request may be answered with (RFC 9111 §4.1) and no purge covers.
    pub fn select(&self, request: &HeaderMap, purges: &Purges) -> Option<&Arc<Entry>> {
        self.0.iter().find(|entry| entry.head.allowed(purges) && entry.head.matches(request))
    }

    /// The same with `entry` in the place of those that depend on the same fields with the same values.
    pub fn with(&self, entry: Arc<Entry>) -> Self {
        let kept = self.0.iter().filter(|old| old.head.vary != entry.head.vary).take(MAX_VARIANTS - 1).cloned();
        Self(std::iter::once(entry.clone()).chain(kept).collect())
    }

    /// The same without the oldest, as many as make it more than so many bytes; the newest stays.
    pub(crate) fn within(self, bytes: usize) -> Self {
        let mut kept = self.0.len();
        let mut weight = self.weight();
        while weight > bytes && kept > 1 {
            kept -= 1;
            weight -= self.0[kept].weight();
        }
        if kept == self.0.len() { self } else { Self(self.0.iter().take(kept).cloned().collect()) }
    }

    /// All of them.
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.0
    }

    /// Bytes of memory they take, but for what the allocator adds.
    pub fn weight(&self) -> usize {
        SHARED + size_of::<Self>() + self.0.iter().map(|entry| entry.weight()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::purge::Scope;
    use crate::storing::judge;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    fn entry(request: &HeaderMap, response: &[(&'static str, &'static str)], body: &'static str) -> Arc<Entry> {
        let response = headers(response);
        let storable = judge(&Method::GET, request, StatusCode::OK, &response, 0, 0).unwrap();
        let head = Head::new(StatusCode::OK, &response, storable, request, "http://a/x?y", 3);
        Arc::new(Entry { head: Arc::new(head), content: Content::in_memory(body.into()) })
    }

    #[test]
    fn a_request_gets_the_newest_variant_that_matches_it() {
        let (de, en) = (headers(&[("accept-language", "de")]), headers(&[("accept-language", "en")]));
        let vary = [("cache-control", "max-age=9"), ("vary", "Accept-Language")];
        let variants = Variants::default().with(entry(&de, &vary, "de")).with(entry(&en, &vary, "en"));
        fn body(variants: &Variants, request: &HeaderMap) -> Option<Bytes> {
            variants.select(request, &Purges::default()).map(|entry| entry.content.memory.clone().unwrap())
        }
        assert_eq!(body(&variants, &de).unwrap(), "de");
        assert_eq!(body(&variants, &en).unwrap(), "en");
        assert_eq!(body(&variants, &headers(&[("accept-language", " de ")])).unwrap(), "de");
        assert!(body(&variants, &HeaderMap::new()).is_none());
        assert!(body(&variants, &headers(&[("accept-language", "de"), ("accept-language", "en")])).is_none());
        let newer = variants.with(entry(&de, &vary, "neu"));
        assert_eq!((newer.entries().len(), body(&newer, &de).unwrap()), (2, "neu".into()));
        // A later response that varies on nothing answers everyone.
        let plain = newer.with(entry(&de, &[("cache-control", "max-age=9")], "all"));
        assert_eq!(body(&plain, &en).unwrap(), "all");
    }

    #[test]
    fn what_is_stored_lacks_what_is_not_for_others() {
        let fields = [
            ("cache-control", "max-age=9, private=\"x-user\""),
            ("x-user", "me"),
            ("age", "1"),
            ("content-length", "2"),
            ("atoll-cdn-cache-control", "max-age=60"),
            ("cache-tag", "a,b"),
        ];
        let stored = entry(&HeaderMap::new(), &fields, "ok");
        let names: Vec<&str> = stored.head.headers.iter().map(|(name, _)| name.as_str()).collect();
        // The targeted field is the one that counts, so what Cache-Control withholds is not withheld.
        assert_eq!(names, ["cache-control", "x-user", "cache-tag", "date"]);
        let stored = entry(&HeaderMap::new(), &fields[..4], "ok");
        assert!(!stored.head.headers.contains(&HeaderName::from_static("x-user")));
        assert_eq!(&*stored.head.place, "a/x");
    }

    #[test]
    fn purges_are_looked_at_once() {
        let stored = entry(&HeaderMap::new(), &[("cache-control", "max-age=9"), ("cache-tag", "a")], "");
        let other = Purges::new(0, vec![(7, Scope::Tag("b".into()))]);
        assert!(stored.head.allowed(&other) && stored.head.allowed(&other));
        assert!(!stored.head.allowed(&Purges::new(0, vec![(8, Scope::Tag("a".into()))])));
    }
}
