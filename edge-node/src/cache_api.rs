//! What `caches` of an app hold on this node: in the store of the front cache, under keys of their own and by the rules of
//! the Cache API. What an app purges of its cached responses it purges here too.

use std::sync::Arc;

use arc_swap::ArcSwap;
use atoll_http_cache::answer::{self, Surroundings};
use atoll_http_cache::entry::Head;
use atoll_http_cache::fill::Whole;
use atoll_http_cache::key::{self, Key, KeySettings, Namespace};
use atoll_http_cache::purge::Purges;
use atoll_http_cache::put;
use atoll_http_cache::storing::Refusal;
use atoll_runtime::{Body, CacheRequest, CachedResponse, FetchFailure};
use futures::StreamExt;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::cache::{FrontCache, Kept, content};
use crate::logs::now;

/// Says that a response came out of a cache, to code that looks for it under this name.
const CF_CACHE_STATUS: HeaderName = HeaderName::from_static("cf-cache-status");

/// The caches of one app. Cheap to clone; all clones see the same purges.
#[derive(Clone)]
pub struct AppCaches {
    store: Arc<FrontCache>,
    owner: Namespace,
    purges: Arc<ArcSwap<Purges>>,
    largest: u64,
}

impl AppCaches {
    /// The caches of the app that `owner` names, with bodies of at most `largest` bytes. Nothing is found that `purges`
    /// cover.
    pub fn new(store: Arc<FrontCache>, owner: Namespace, largest: u64, purges: Arc<ArcSwap<Purges>>) -> Self {
        Self { store, owner, purges, largest }
    }

    /// The app whose caches these are.
    pub fn owner(&self) -> Namespace {
        self.owner
    }

    /// The response for a request, when there is one that is fresh.
    pub async fn find(&self, request: CacheRequest) -> Option<CachedResponse> {
        let key = self.key(&request)?;
        let now = now();
        let variants = self.store.variants(&key).await?;
        let purges = self.purges.load();
        let entry = variants.entries().iter().find(|entry| {
            let head = &entry.head;
            head.policy.is_fresh(now) && head.allowed(&purges) && head.matches(&request.headers)
        })?;
        let around = |length| Surroundings { now, outcome: None, boundary: self.store.boundary(), length };
        let answer = |length| answer::answer(&Method::GET, &request.headers, &entry.head, &around(Some(length)));
        let (mut ready, body) = match &entry.content.memory {
            Some(bytes) => {
                let mut ready = answer(bytes.len() as u64);
                let wanted = std::mem::replace(&mut ready.bytes, answer::Bytes::Nothing);
                (ready, content::from_memory(bytes, wanted))
            }
            None => {
                let blob = self.store.open(entry.content.disk.clone()?).await?;
                let mut ready = answer(blob.len());
                let wanted = std::mem::replace(&mut ready.bytes, answer::Bytes::Nothing);
                (ready, content::from_disk(blob, wanted))
            }
        };
        if ready.status != StatusCode::NOT_MODIFIED {
            let length = match &body {
                Body::Full(bytes) => bytes.len() as u64,
                Body::Stream { length, .. } => length.unwrap_or(0),
                Body::Empty | Body::Socket(_) => 0,
            };
            ready.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        Some(CachedResponse { status: ready.status, headers: ready.headers, body })
    }

    /// Keeps a response, once its body is here, unless its headers forbid it or it is too large.
    pub async fn put(&self, request: CacheRequest, response: CachedResponse) -> Result<(), FetchFailure> {
        let revision = self.purges.load().last();
        let CachedResponse { status, mut headers, body } = response;
        let url = request.url.as_str();
        let storable = match put::judge(status, &headers, now()) {
            Ok(storable) => storable,
            Err(refusal) => {
                tracing::debug!(url, refusal = refusal.as_str(), "not cached");
                return Ok(());
            }
        };
        let Some(key) = self.key(&request) else {
            tracing::debug!(url, refusal = "key-too-long", "not cached");
            return Ok(());
        };
        headers.insert(CF_CACHE_STATUS, HeaderValue::from_static("HIT"));
        let head = Arc::new(Head::of_put(status, headers, storable, &request.headers, url, revision));
        match self.read(body, &head).await? {
            Ok(whole) => {
                if let Some(content) = self.store.joined(whole).await
                    && let Kept::OnDisk(written) = self.store.keep(&key, &head, content, None)
                {
                    // What was put is there when the app goes on.
                    let _ = written.await;
                }
            }
            Err(refusal) => tracing::debug!(url, refusal = refusal.as_str(), "not cached"),
        }
        Ok(())
    }

    /// Forgets the responses for a URL. Says whether there was one.
    pub async fn delete(&self, request: CacheRequest) -> bool {
        let Some(key) = self.key(&request) else { return false };
        let Some(variants) = self.store.variants(&key).await else { return false };
        self.store.forget(&key).await;
        let (now, purges) = (now(), self.purges.load());
        variants.entries().iter().any(|entry| entry.head.policy.is_fresh(now) && entry.head.allowed(&purges))
    }

    fn key(&self, request: &CacheRequest) -> Option<Key> {
        let namespace = match &request.cache {
            None => self.owner.within(&[b"caches"]),
            Some(name) => self.owner.within(&[b"caches", name.as_bytes()]),
        };
        key::key(namespace, &KeySettings::default(), request.url.as_str(), &HeaderMap::new())
    }

    /// Reads a body to its end, as it comes. The inner error says why it is not kept: it is too large, or there is no memory
    /// for it now.
    async fn read(&self, body: Body, head: &Arc<Head>) -> Result<Result<Whole, Refusal>, FetchFailure> {
        let broken = |why: &dyn std::fmt::Display| FetchFailure {
            code: "cache-body",
            message: format!("the body of the response that was put broke off: {why}"),
        };
        let length = match &body {
            Body::Stream { length, .. } => *length,
            _ => None,
        };
        let mut writer = self.store.take_in(head, length, self.largest);
        match body {
            Body::Empty | Body::Socket(_) => {}
            Body::Full(bytes) => writer.push(bytes),
            Body::Stream { mut stream, .. } => {
                while writer.kept().is_ok() {
                    match stream.next().await {
                        Some(Ok(chunk)) => writer.push(chunk),
                        Some(Err(error)) => return Err(broken(&error)),
                        None => break,
                    }
                }
            }
        }
        if let Err(refusal) = writer.kept() {
            // Dropping the stream tells the app.
            return Ok(Err(refusal));
        }
        match writer.finish() {
            Err(Refusal::Interrupted) => Err(broken(&"it is not as long as announced")),
            finished => Ok(finished),
        }
    }
}

#[cfg(test)]
#[path = "cache_api_tests.rs"]
mod tests;
