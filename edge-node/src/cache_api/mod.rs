//! What `caches` of all apps hold on this node: responses in memory, by app, cache and URL, under one byte budget.

mod rules;
mod select;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use atoll_runtime::{Body, CacheRequest, CachedResponse, FetchFailure};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::header::{ACCEPT_RANGES, AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use moka::Expiry;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use self::select::Selection;
use crate::config::CacheConfig;

/// Says that a response came out of a cache, to code that looks for it under this name.
const CF_CACHE_STATUS: HeaderName = HeaderName::from_static("cf-cache-status");

/// Responses kept for one URL that differ by `Vary`; the oldest goes.
const MOST_VARIANTS: usize = 16;
/// What an entry costs besides its bytes, roughly.
const OVERHEAD: usize = 512;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    app: Arc<str>,
    cache: Option<String>,
    url: String,
}

/// One response.
struct Stored {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// The fields that `Vary` names and the values they had, as lists.
    varies: Vec<(HeaderName, Vec<HeaderValue>)>,
    made: Instant,
    /// The `Age` it came with, in seconds.
    age: u64,
    expires: Instant,
    bytes: usize,
}

type Variants = Arc<[Arc<Stored>]>;

/// The store behind `caches`. Cheap to clone.
#[derive(Clone)]
pub struct CacheStore {
    entries: Cache<Key, Variants>,
    largest: usize,
}

struct Lifetimes;

impl Expiry<Key, Variants> for Lifetimes {
    fn expire_after_create(&self, _: &Key, variants: &Variants, now: Instant) -> Option<Duration> {
        variants.iter().map(|stored| stored.expires.saturating_duration_since(now)).max()
    }

    fn expire_after_update(&self, _: &Key, variants: &Variants, now: Instant, _: Option<Duration>) -> Option<Duration> {
        variants.iter().map(|stored| stored.expires.saturating_duration_since(now)).max()
    }
}

impl CacheStore {
    /// A store that holds nothing yet.
    pub fn new(config: &CacheConfig) -> Self {
        let entries = Cache::builder()
            .max_capacity(config.memory_mb.saturating_mul(1 << 20))
            .weigher(|key: &Key, variants: &Variants| {
                let bytes: usize = variants.iter().map(|stored| stored.bytes).sum();
                u32::try_from(bytes + key.url.len() + OVERHEAD).unwrap_or(u32::MAX)
            })
            // What was put is there afterwards, also when the cache is full of what is asked for more often.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Lifetimes)
            .build();
        let largest = usize::try_from(config.object_mb.saturating_mul(1 << 20)).unwrap_or(usize::MAX);
        Self { entries, largest }
    }

    /// The response for a request, when there is one that is fresh.
    pub fn find(&self, app: &Arc<str>, request: CacheRequest) -> Option<CachedResponse> {
        let CacheRequest { cache, url, headers } = request;
        let variants = self.entries.get(&Key { app: app.clone(), cache, url: url.into() })?;
        let now = Instant::now();
        let mut fresh = variants.iter().rev().filter(|stored| stored.expires > now);
        fresh.find(|stored| stored.answers(&headers)).map(|stored| stored.answer(&headers, now))
    }

    /// Keeps a response, once its body is here, unless its headers forbid it or it is too large.
    pub async fn put(
        &self,
        app: Arc<str>,
        request: CacheRequest,
        response: CachedResponse,
    ) -> Result<(), FetchFailure> {
        let CachedResponse { status, mut headers, body } = response;
        let url = String::from(request.url);
        let lifetime = match rules::lifetime(status, &mut headers, SystemTime::now()) {
            Ok(lifetime) => lifetime,
            Err(refusal) => {
                tracing::debug!(app = &*app, url, refusal = refusal.as_str(), "not cached");
                return Ok(());
            }
        };
        let Some(body) = self.collect(body).await? else {
            tracing::debug!(app = &*app, url, refusal = "too-large", "not cached");
            return Ok(());
        };
        let stored = Arc::new(Stored::new(status, headers, body, &request.headers, lifetime));
        let key = Key { app, cache: request.cache, url };
        self.entries.entry(key).and_compute_with(|entry| {
            let now = Instant::now();
            let others = entry.map(|entry| entry.into_value());
            let others = others.iter().flat_map(|variants| variants.iter());
            let mut kept: Vec<_> = others
                .filter(|other| other.expires > now && !other.answers(&request.headers))
                .cloned()
                .chain([stored])
                .collect();
            kept.drain(..kept.len().saturating_sub(MOST_VARIANTS));
            Op::Put(kept.into())
        });
        Ok(())
    }

    /// Forgets the responses for a URL.
    pub fn delete(&self, app: &Arc<str>, request: CacheRequest) -> bool {
        let key = Key { app: app.clone(), cache: request.cache, url: request.url.into() };
        let now = Instant::now();
        self.entries.remove(&key).is_some_and(|variants| variants.iter().any(|stored| stored.expires > now))
    }

    /// The whole body; `None` when it is too large.
    async fn collect(&self, body: Body) -> Result<Option<Bytes>, FetchFailure> {
        match body {
            Body::Empty | Body::Socket(_) => Ok(Some(Bytes::new())),
            Body::Full(bytes) => Ok((bytes.len() <= self.largest).then_some(bytes)),
            Body::Stream { mut stream, .. } => {
                let mut all = BytesMut::new();
                while let Some(chunk) = stream.next().await {
                    let chunk = chunk.map_err(|error| FetchFailure {
                        code: "cache-body",
                        message: format!("the body of the response that was put broke off: {error}"),
                    })?;
                    if all.len() + chunk.len() > self.largest {
                        return Ok(None);
                    }
                    all.extend_from_slice(&chunk);
                }
                Ok(Some(all.freeze()))
            }
        }
    }
}

impl Stored {
    fn new(status: StatusCode, mut headers: HeaderMap, body: Bytes, request: &HeaderMap, lifetime: Duration) -> Self {
        let names = headers.get_all(VARY).iter().filter_map(|value| value.to_str().ok());
        let names = names.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok());
        let varies = names.map(|name: HeaderName| (name.clone(), values(request, &name))).collect();
        let age = headers.remove(AGE).and_then(|value| value.to_str().ok()?.trim().parse().ok()).unwrap_or(0);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.insert(CF_CACHE_STATUS, HeaderValue::from_static("HIT"));
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum();
        let made = Instant::now();
        let expires = made + lifetime;
        let bytes = size + body.len() + OVERHEAD;
        Self { status, headers, body, varies, made, age, expires, bytes }
    }

    fn answers(&self, request: &HeaderMap) -> bool {
        self.varies.iter().all(|(name, stored)| *stored == values(request, name))
    }

    fn answer(&self, request: &HeaderMap, now: Instant) -> CachedResponse {
        let mut headers = self.headers.clone();
        let age = self.age.saturating_add(now.saturating_duration_since(self.made).as_secs());
        headers.insert(AGE, HeaderValue::from(age));
        let length = self.body.len();
        let (status, body) = match select::select(request, self.status, &self.headers, length) {
            Selection::Whole => (self.status, self.body.clone()),
            Selection::NotModified => {
                headers.remove(CONTENT_LENGTH);
                return CachedResponse { status: StatusCode::NOT_MODIFIED, headers, body: Body::Empty };
            }
            Selection::Part(range) => {
                let place = format!("bytes {}-{}/{length}", range.start, range.end - 1);
                headers.insert(CONTENT_RANGE, HeaderValue::try_from(place).expect("digits"));
                headers.insert(CONTENT_LENGTH, HeaderValue::from(range.len()));
                headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
                (StatusCode::PARTIAL_CONTENT, self.body.slice(range))
            }
            Selection::Unsatisfiable => {
                let size = HeaderValue::try_from(format!("bytes */{length}")).expect("digits");
                headers.insert(CONTENT_RANGE, size);
                headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
                headers.remove(CONTENT_TYPE);
                (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new())
            }
        };
        CachedResponse { status, headers, body: Body::Full(body) }
    }
}

fn values(headers: &HeaderMap, name: &HeaderName) -> Vec<HeaderValue> {
    headers.get_all(name).iter().cloned().collect()
}

#[cfg(test)]
mod tests;
