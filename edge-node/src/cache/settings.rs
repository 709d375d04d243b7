//! What an app says of its part of the cache, and what the cache knows of the app.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use atoll_http_cache::key::{self, Key, KeySettings, Namespace, QueryKey};
use atoll_http_cache::storing::{could_be_stored, judge};
use atoll_protocol::config::{CacheSettings, QuerySettings};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::links::PageLinks;
use crate::logs::now;

/// Answers in a row that could not be stored after which an app's requests pass by the cache, until one could be.
const PATIENCE: u32 = 64;

/// What an app wants of the cache for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Off,
    /// What says that it is for shared caches is stored.
    Shared,
    /// All that may be stored is.
    All,
}

/// A version's part of the cache.
pub struct VersionCache {
    namespace: Namespace,
    settings: CacheSettings,
    key: KeySettings,
    unstorable: AtomicU32,
    proven: AtomicBool,
    links: Option<PageLinks>,
}

impl VersionCache {
    /// The part of a version with these settings.
    pub fn new(namespace: Namespace, settings: &CacheSettings) -> Self {
        let query = match &settings.key.query {
            QuerySettings::All => QueryKey::All,
            QuerySettings::None => QueryKey::None,
            QuerySettings::Only(names) => QueryKey::Only(names.clone()),
            QuerySettings::Except(names) => QueryKey::Except(names.clone()),
        };
        let key = KeySettings {
            host: settings.key.host,
            query,
            // The control plane has checked the names.
            headers: settings.key.headers.iter().filter_map(|name| HeaderName::try_from(name).ok()).collect(),
            cookies: settings.key.cookies.clone(),
        };
        Self {
            namespace,
            settings: settings.clone(),
            key,
            unstorable: AtomicU32::new(0),
            proven: AtomicBool::new(false),
            links: settings.early_hints.then(PageLinks::default),
        }
    }

    /// Whether the other one has the same settings.
    pub fn same_settings(&self, other: &Self) -> bool {
        self.settings == other.settings
    }

    /// What the app wants for a URL: the first rule whose pattern matches the path decides.
    pub fn mode_for(&self, url: &str) -> Mode {
        let mode = |enabled: Option<bool>| match enabled {
            Some(true) => Mode::All,
            Some(false) => Mode::Off,
            None => Mode::Shared,
        };
        if self.settings.rules.is_empty() {
            return mode(self.settings.enabled);
        }
        let path = path(url);
        let rule = self.settings.rules.iter().find(|rule| match rule.path.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == rule.path,
        });
        mode(rule.map_or(self.settings.enabled, |rule| Some(rule.enabled)))
    }

    /// The key of a request.
    pub fn key(&self, url: &str, headers: &HeaderMap) -> Option<Key> {
        key::key(self.namespace, &self.key, url, headers)
    }

    /// Whether a key takes more of a request than its URL.
    pub fn key_has_headers(&self) -> bool {
        !self.key.headers.is_empty() || !self.key.cookies.is_empty()
    }

    /// The links of its pages, where browsers are to be told of them early.
    pub fn links(&self) -> Option<&PageLinks> {
        self.links.as_ref()
    }

    /// Whether the app's answers are worth looking for.
    pub fn is_active(&self) -> bool {
        self.unstorable.load(Ordering::Relaxed) < PATIENCE
    }

    /// Whether any answer could be stored. Before, requests do not wait for each other: an app that never caches has
    /// nothing to gain by it, and one that makes its clients wait on purpose much to lose.
    pub fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Notes whether an answer could be stored.
    pub fn note(&self, stored: bool) {
        if stored {
            self.unstorable.store(0, Ordering::Relaxed);
            self.proven.store(true, Ordering::Relaxed);
        } else {
            self.unstorable.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < PATIENCE).then(|| n + 1)).ok();
        }
    }

    /// Notes that there was something to answer with.
    pub fn note_found(&self) {
        if !self.is_proven() {
            self.note(true);
        }
    }

    /// Notes an answer that passed by: one that could be stored wakes the cache.
    pub fn note_response(&self, status: StatusCode, headers: &HeaderMap) {
        let storable = || judge(&Method::GET, &HeaderMap::new(), status, headers, now(), now());
        if could_be_stored(headers) && storable().is_ok_and(|storable| storable.for_shared) {
            self.note(true);
        }
    }
}

/// The path of an absolute URL.
fn path(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let start = url[authority..].find('/').map_or(url.len(), |at| authority + at);
    let end = url[start..].find('?').map_or(url.len(), |at| start + at);
    &url[start..end]
}

#[cfg(test)]
mod tests {
    use atoll_protocol::config::CacheRule;

    use super::*;

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rule = |path: &str, enabled| CacheRule { path: path.into(), enabled };
        let settings = CacheSettings {
            rules: vec![rule("/api/open", true), rule("/api/*", false), rule("/", false)],
            ..CacheSettings::default()
        };
        let cache = VersionCache::new(Namespace::of(&[]), &settings);
        for (url, mode) in [
            ("http://a/api/open", Mode::All),
            ("http://a/api/open/x", Mode::Off),
            ("http://a/api/?/", Mode::Off),
            ("http://a/", Mode::Off),
            ("http://a/?x", Mode::Off),
            ("http://a/other", Mode::Shared),
        ] {
            assert_eq!(cache.mode_for(url), mode, "{url}");
        }
    }

    #[test]
    fn an_app_that_never_caches_is_left_alone_until_it_does() {
        let cache = VersionCache::new(Namespace::of(&[]), &CacheSettings::default());
        for _ in 0..PATIENCE {
            assert!(cache.is_active());
            cache.note(false);
        }
        assert!(!cache.is_active());
        let control = |value: &'static str| {
            HeaderMap::from_iter([(http::header::CACHE_CONTROL, http::HeaderValue::from_static(value))])
        };
        for value in ["no-store", "max-age=60", "public"] {
            cache.note_response(StatusCode::OK, &control(value));
            assert!(!cache.is_active() && !cache.is_proven(), "{value}");
        }
        cache.note_response(StatusCode::OK, &control("s-maxage=60"));
        assert!(cache.is_active() && cache.is_proven());
    }
}
