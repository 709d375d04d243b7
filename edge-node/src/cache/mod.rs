//! The front cache on a request's way: after the version is chosen, before an isolate is.
//!
//! A hit in memory is answered within the call, without waiting for anything. All else is a state of [`Asked`]: what is on
//! disk is read, what is under way is read along, what is stale is validated, and what is missing is asked of the app,
//! by one request for all that want the same. The decisions are those of `atoll-http-cache`.

mod ask;
pub(crate) mod content;
mod fill;
mod links;
mod promote;
mod settings;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use atoll_http_cache::answer::{self, Surroundings};
use atoll_http_cache::cache_control::{self, RequestDirectives};
use atoll_http_cache::disk::{Blob, BlobRef};
use atoll_http_cache::entry::{Entry, Head, Variants};
use atoll_http_cache::fill::{Budget, Flights};
use atoll_http_cache::freshness::{Use, assess};
use atoll_http_cache::key::Key;
use atoll_http_cache::purge::Purges;
use atoll_http_cache::status::{Bypass, CACHE_STATUS, Detail, Forwarded, Outcome};
use atoll_http_cache::store::{Store, StoreOptions};
use atoll_http_cache::storing::{Refusal, Storable};
use atoll_http_cache::{UnixMillis, safety};
use atoll_protocol::config::CompressionSettings;
use atoll_runtime::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, Method, Response, StatusCode};

pub use self::ask::{Asked, Asking, Concluded, Step};
pub use self::fill::Hold;
pub(crate) use self::fill::Kept;
use self::settings::Mode;
pub use self::settings::VersionCache;
use crate::body::Outgoing;
use crate::compress::{Accepts, CodedContents, Coding, Variant, add_vary, eligible, mark};
use crate::config::FrontCacheConfig;
use crate::dispatch::DispatchError;
use crate::headers::has;
use crate::logs::now;

/// What a write to disk counts besides its content, bytes, so that many small ones cannot wait either.
const WRITE_COST: u64 = 16 << 10;

/// The front cache of a node, and the store of what apps put into `caches`.
pub struct FrontCache {
    store: Store,
    flights: Arc<Flights<DispatchError>>,
    budget: Arc<Budget>,
    /// Content that waits to be written to disk.
    writes: Arc<Budget>,
    /// Counts invalidations, for responses that no flight holds a place for.
    invalidations: AtomicU64,
    boundary: String,
    inline: u64,
    /// Contents in memory, compressed. They are kept by the address of their heads, which the heads beside them hold.
    variants: Arc<CodedContents<usize, Arc<Head>>>,
    config: FrontCacheConfig,
}

/// A request as the cache sees it.
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The absolute URL as the client wrote it.
    pub url: &'a str,
    /// The fields that the app would see, without what the node adds.
    pub headers: &'a HeaderMap,
    /// It has a body.
    pub has_body: bool,
    /// It asks for another protocol.
    pub upgrade: bool,
    /// It has passed this platform before.
    pub looped: bool,
    /// In which coding its answer may be.
    pub coded: Coded,
}

/// In which coding an answer may be: what the client takes, and what the app allows.
#[derive(Clone, Copy)]
pub struct Coded {
    /// What the client takes.
    pub accepts: Accepts,
    /// What the app allows.
    pub settings: CompressionSettings,
}

/// What is wanted of the cache for a request.
struct Wants {
    mode: Mode,
    /// It may wait for another request that asks for the same.
    share: bool,
    directives: RequestDirectives,
}

/// What a request invalidates if it succeeds.
pub struct Invalidation {
    url: String,
    headers: HeaderMap,
}

/// What the cache makes of a request at once.
pub enum Begin {
    /// The answer.
    Answer(Response<Outgoing>, Outcome),
    /// The cache has no part in it but for what [`FrontCache::passed`] does.
    Pass(Forwarded),
    /// It takes more than a look.
    Ask(Asked),
}

impl FrontCache {
    /// A cache, with its disk tier in a directory when there is one.
    /// `variant_memory` is for compressed variants of what is in memory, bytes.
    pub fn new(config: &FrontCacheConfig, variant_memory: u64, directory: Option<&Path>) -> std::io::Result<Arc<Self>> {
        let megabytes = |mb: u64| mb.saturating_mul(1 << 20);
        let memory_object = megabytes(config.object_mb).min(megabytes(config.memory_mb) / 8).min(8 << 20);
        let options = StoreOptions { memory: megabytes(config.memory_mb), memory_object, ..StoreOptions::default() };
        let mut store = Store::new(options);
        if let Some(directory) = directory.filter(|_| config.enabled && config.disk_mb > 0) {
            store = store.with_disk(directory, megabytes(config.disk_mb))?;
        }
        let mut random = [0; 16];
        // Without randomness a boundary can be guessed, which harms only who reads an answer of several ranges.
        let _ = aws_lc_rs::rand::fill(&mut random);
        let boundary = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Arc::new(Self {
            store,
            flights: Arc::default(),
            budget: Budget::new(megabytes(config.fill_mb)),
            writes: Budget::new(megabytes(config.object_mb.max(16)).saturating_mul(4)),
            invalidations: AtomicU64::new(0),
            boundary,
            inline: memory_object,
            variants: CodedContents::new(variant_memory),
            config: config.clone(),
        }))
    }

    /// Counts what is on disk and drops what is torn. Blocks; to be called once, beside the serving.
    pub fn scan(&self) {
        let Some(disk) = self.store.disk() else { return };
        match disk.scan() {
            Ok(dropped) => tracing::info!(dropped, bytes = disk.used(), "the cache on disk is counted"),
            Err(error) => tracing::warn!(%error, "the cache on disk could not be counted; it stays as it is"),
        }
    }

    /// What is stored under a key, in memory or on disk.
    pub(crate) async fn variants(self: &Arc<Self>, key: &Key) -> Option<Arc<Variants>> {
        match self.store.lookup(key) {
            Some(variants) => Some(variants),
            None if self.store.may_load(key) => {
                let (cache, key) = (self.clone(), key.clone());
                tokio::task::spawn_blocking(move || cache.store.load(&key)).await.ok()?
            }
            None => None,
        }
    }

    /// Forgets what is stored under a key.
    pub(crate) async fn forget(self: &Arc<Self>, key: &Key) {
        if self.store.remove(key) {
            let (cache, key) = (self.clone(), key.clone());
            // It fails only when the node shuts down.
            let _ = tokio::task::spawn_blocking(move || cache.store.remove_from_disk(&key)).await;
        }
    }

    /// Opens content on disk; `None` when it is not whole any more.
    pub(crate) async fn open(self: &Arc<Self>, blob: BlobRef) -> Option<Blob> {
        let cache = self.clone();
        tokio::task::spawn_blocking(move || cache.store.disk()?.open_blob(&blob).ok()).await.ok()?
    }

    /// What separates the parts of answers with several ranges.
    pub(crate) fn boundary(&self) -> &str {
        &self.boundary
    }

    /// Looks a request up. Does not wait.
    pub fn begin(self: &Arc<Self>, version: &VersionCache, purges: &Purges, request: &Request<'_>) -> Begin {
        let mode = if self.config.enabled { version.mode_for(request.url) } else { Mode::Off };
        if mode == Mode::Off {
            return Begin::Pass(Forwarded::Bypass(Bypass::Off));
        }
        if let Err(why) = safety::admit(request.method, request.headers, request.has_body) {
            return Begin::Pass(why);
        }
        if request.upgrade {
            return Begin::Pass(Forwarded::Bypass(Bypass::Upgrade));
        }
        if mode == Mode::Shared && !version.is_active() {
            return Begin::Pass(Forwarded::Bypass(Bypass::Inactive));
        }
        let Some(key) = version.key(request.url, request.headers) else {
            return Begin::Pass(Forwarded::Bypass(Bypass::KeyTooLong));
        };
        let now = now();
        let directives = self.directives(request.headers);
        let known = self.store.lookup(&key);
        // What the app asks of itself must not wait for the request that asks.
        let share = !request.looped && (mode == Mode::All || version.is_proven());
        let asked = |key, why| {
            let wants = Wants { mode, share, directives: directives.clone() };
            Begin::Ask(Asked::new(self.clone(), request, key, purges, wants, why))
        };
        let Some(variants) = known else {
            return asked(key, Forwarded::UriMiss);
        };
        let Some(entry) = variants.select(request.headers, purges) else {
            let unpurged = variants.entries().iter().any(|entry| entry.head.allowed(purges));
            return asked(key, if unpurged { Forwarded::VaryMiss } else { Forwarded::UriMiss });
        };
        let detail = match self.assess(&entry.head, &directives, now) {
            Use::Fresh => None,
            Use::Stale => Some(Detail::MaxStale),
            Use::WhileRevalidating | Use::Validate => {
                let why = if entry.head.policy.is_fresh(now) { Forwarded::Request } else { Forwarded::Stale };
                return asked(key, why);
            }
        };
        let outcome = Outcome::Hit { ttl: entry.head.policy.ttl(now), detail };
        match self.answer(request.method, request.headers, &request.coded, entry, outcome, now) {
            Some(response) => {
                version.note_found();
                self.note_sent(&key, entry);
                Begin::Answer(response, outcome)
            }
            None => asked(key, Forwarded::UriMiss),
        }
    }

    /// The directives of a request that count. A client's word on freshness does only where the operator says so: else
    /// anyone could send every request to the app.
    fn directives(&self, headers: &HeaderMap) -> RequestDirectives {
        if !has(headers, &CACHE_CONTROL) && !has(headers, &PRAGMA) {
            return RequestDirectives::default();
        }
        let read = cache_control::of_request(headers);
        if self.config.client_directives {
            return read;
        }
        let RequestDirectives { only_if_cached, no_store, .. } = read;
        RequestDirectives { only_if_cached, no_store, ..RequestDirectives::default() }
    }

    fn assess(&self, head: &Head, directives: &RequestDirectives, now: UnixMillis) -> Use {
        assess(&head.policy, directives, now)
    }

    /// The use of a response that has just come.
    fn assess_new(&self, storable: &Storable) -> Use {
        assess(&storable.policy, &RequestDirectives::default(), now())
    }

    /// The largest object, bytes: without a disk the largest that memory takes.
    fn largest(&self) -> u64 {
        match self.store.disk() {
            Some(_) => self.config.object_mb.saturating_mul(1 << 20),
            None => self.inline,
        }
    }

    /// Bodies up to this size that come whole are stored at once, bytes.
    fn store_inline(&self) -> u64 {
        self.inline
    }

    /// Puts an entry with a renewed head in the place of the one it was.
    fn renew(self: &Arc<Self>, key: &Key, entry: Entry) {
        let on_disk = entry.content.disk.is_some();
        self.store.insert(key, entry);
        // A disk that does not keep up has an older head, which is stale sooner.
        if let Some(reserved) = on_disk.then(|| self.writes.reserve(WRITE_COST)).flatten() {
            let (cache, key) = (self.clone(), key.clone());
            tokio::task::spawn_blocking(move || {
                let _reserved = reserved;
                if let Err(error) = cache.store.persist_heads(&key) {
                    tracing::warn!(%error, "a renewed response could not be written to the cache on disk");
                }
            });
        }
    }

    /// The answer from an entry with its content in memory; `None` when it is not there.
    fn answer(
        &self,
        method: &Method,
        headers: &HeaderMap,
        coded: &Coded,
        entry: &Entry,
        outcome: Outcome,
        now: UnixMillis,
    ) -> Option<Response<Outgoing>> {
        let bytes = entry.content.memory.as_ref()?;
        let around = self.around(outcome, now, Some(bytes.len() as u64));
        let mut ready = answer::answer(method, headers, &entry.head, &around);
        let eligible = |headers| eligible(&coded.settings, entry.head.status, headers, around.length);
        if ready.status == StatusCode::NOT_MODIFIED {
            // Its own fields do not describe the content.
            if eligible(&entry.head.headers.to_map(0)) {
                add_vary(&mut ready.headers);
            }
        } else if ready.bytes == answer::Bytes::Whole
            && coded.accepts.any()
            && eligible(&ready.headers)
            && let Some(coding) = coded.accepts.best(Coding::SMALLEST)
            && let Some(smaller) = self.variant(entry, bytes, coding)
        {
            mark(&mut ready.headers, coding);
            add_vary(&mut ready.headers);
            return Some(content::response(ready.status, ready.headers, Body::Full(smaller)));
        }
        Some(content::response(ready.status, ready.headers, content::from_memory(bytes, ready.bytes)))
    }

    /// The content in a coding. When it is not there it is made for the next one who asks.
    fn variant(&self, entry: &Entry, content: &Bytes, coding: Coding) -> Option<Bytes> {
        let key = Arc::as_ptr(&entry.head).addr();
        match self.variants.get(key, coding, |head| Arc::ptr_eq(head, &entry.head)) {
            Variant::Ready(bytes) => Some(bytes),
            Variant::Useless => None,
            Variant::Missing => {
                self.variants.make(key, coding, entry.head.clone(), content.clone());
                None
            }
        }
    }

    fn around(&self, outcome: Outcome, now: UnixMillis, length: Option<u64>) -> Surroundings<'_> {
        let outcome = self.config.status_header.then_some(outcome);
        Surroundings { now, outcome, boundary: &self.boundary, length }
    }

    /// What a request invalidates if it succeeds; `None` when its method is safe.
    pub fn invalidation(&self, version: &VersionCache, request: &Request<'_>) -> Option<Invalidation> {
        if !self.config.enabled || safety::is_safe(request.method) {
            return None;
        }
        let headers = if version.key_has_headers() { request.headers.clone() } else { HeaderMap::new() };
        Some(Invalidation { url: request.url.to_owned(), headers })
    }

    /// Takes note of an answer that passed by the cache, and says so in it. An unsafe method that succeeded invalidates
    /// what is stored for its URL and for those that the answer names on the same host (RFC 9111 §4.4).
    pub fn passed(
        self: &Arc<Self>,
        version: &VersionCache,
        why: Forwarded,
        invalidation: Option<Invalidation>,
        response: &mut Response<Outgoing>,
    ) -> Outcome {
        if let Some(invalidation) = invalidation
            && (200..400).contains(&response.status().as_u16())
        {
            self.invalidate(version, &invalidation, response.headers());
        }
        if why == Forwarded::Bypass(Bypass::Inactive) {
            version.note_response(response.status(), response.headers());
        }
        let outcome = Outcome::Forward { why, stored: Err(Refusal::Method) };
        self.mark(response, outcome);
        outcome
    }

    fn invalidate(self: &Arc<Self>, version: &VersionCache, what: &Invalidation, response: &HeaderMap) {
        let mut keys: Vec<Key> = version.key(&what.url, &what.headers).into_iter().collect();
        let named = [http::header::LOCATION, http::header::CONTENT_LOCATION];
        let named: Vec<&str> = named.iter().filter_map(|name| response.get(name)?.to_str().ok()).collect();
        if !named.is_empty()
            && let Ok(url) = what.url.parse::<url::Url>()
        {
            let targets = named.iter().filter_map(|target| url.join(target).ok());
            let same = targets.filter(|target| target.origin() == url.origin());
            keys.extend(same.filter_map(|target| version.key(target.as_str(), &what.headers)));
        }
        self.invalidations.fetch_add(1, Ordering::AcqRel);
        for key in keys {
            self.flights.invalidate(key.as_bytes());
            if self.store.remove(&key) {
                let cache = self.clone();
                tokio::task::spawn_blocking(move || cache.store.remove_from_disk(&key));
            }
        }
    }

    /// Says in an answer what the cache did.
    fn mark(&self, response: &mut Response<Outgoing>, outcome: Outcome) {
        if self.config.status_header {
            // The app's own field, or that of a cache behind it, comes first (RFC 9211 §2).
            response.headers_mut().append(CACHE_STATUS, outcome.header());
        }
    }
}
