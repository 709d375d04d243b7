//! A request that is not answered at a glance: from what is on disk or under way, or by the app, which is asked by one
//! request for all that want the same.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use atoll_http_cache::cache_control::RequestDirectives;
use atoll_http_cache::entry::{Entry, Head};
use atoll_http_cache::fill::{Fill, Joined, Lead, Progress};
use atoll_http_cache::freshness::{Use, usable_on_error};
use atoll_http_cache::key::Key;
use atoll_http_cache::purge::Purges;
use atoll_http_cache::status::{Detail, Forwarded, Outcome};
use atoll_http_cache::storing::{Refusal, Storable, judge};
use atoll_http_cache::{UnixMillis, answer, conditional};
use atoll_runtime::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, Method, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::timeout;

use super::fill::{Hold, Kept, Place};
use super::settings::Mode;
use super::{Coded, FrontCache, Request, VersionCache, Wants, content};
use crate::body::Outgoing;
use crate::dispatch::DispatchError;
use crate::errors::EdgeError;
use crate::logs::now;

/// How often a request looks again because what it waited for came to nothing, before it goes its own way.
const ROUNDS: usize = 8;
/// How long a request waits for the head of another one's answer.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A request that waits for the store or for another request.
pub struct Asked {
    cache: Arc<FrontCache>,
    method: Method,
    url: String,
    headers: HeaderMap,
    coded: Coded,
    key: Key,
    purges: Purges,
    wants: Wants,
    why: Forwarded,
}

/// What comes next.
pub enum Step {
    /// The answer; with a request that refreshes what it was taken from, to be made in the background.
    Answer(Response<Outgoing>, Outcome, Option<Box<Asking>>),
    /// The failure of the request that asked for all.
    Failed(DispatchError),
    /// The app has to be asked.
    Ask(Box<Asking>),
}

/// A request whose answer the cache waits for.
pub struct Asking {
    asked: Asked,
    lead: Option<Lead<DispatchError>>,
    /// What is stored and has to be validated.
    stale: Option<Arc<Entry>>,
    sent: UnixMillis,
    invalidations: u64,
}

/// What an app's answer comes to.
pub enum Concluded {
    /// This is sent.
    Answer(Response<Outgoing>, Outcome),
    /// There is no answer.
    Failed(DispatchError),
    /// The app has to be asked once more: its 304 was about something else than what is stored.
    Again(Box<Asking>),
}

impl Asked {
    pub(super) fn new(
        cache: Arc<FrontCache>,
        request: &Request<'_>,
        key: Key,
        purges: &Purges,
        wants: Wants,
        why: Forwarded,
    ) -> Self {
        let (method, url, headers) = (request.method.clone(), request.url.to_owned(), request.headers.clone());
        Self { cache, method, url, headers, coded: request.coded, key, purges: purges.clone(), wants, why }
    }

    /// Goes on until there is an answer or the app has to be asked.
    pub async fn next(mut self) -> Step {
        let mut lead = None;
        for _ in 0..ROUNDS {
            let mut stale = None;
            if let Some(entry) = self.find().await {
                let now = now();
                let used = self.cache.assess(&entry.head, &self.wants.directives, now);
                let detail = match used {
                    Use::Fresh | Use::Validate => None,
                    Use::Stale => Some(Detail::MaxStale),
                    Use::WhileRevalidating => Some(Detail::StaleWhileRevalidate),
                };
                if used == Use::Validate {
                    self.why = if entry.head.policy.is_fresh(now) { Forwarded::Request } else { Forwarded::Stale };
                    stale = Some(entry);
                } else if let Some((response, outcome)) = self.hit(&entry, detail).await {
                    let refresh = if used == Use::WhileRevalidating { self.lead_refresh(entry) } else { None };
                    return Step::Answer(response, outcome, refresh);
                } else {
                    self.forget().await;
                }
            }
            if self.wants.directives.only_if_cached {
                return Step::Failed(EdgeError::OnlyIfCached.into());
            }
            if lead.is_some() || !self.may_share(stale.as_deref()) {
                return Step::Ask(Box::new(self.asking(lead, stale)));
            }
            let progress = match self.cache.flights.join(&self.key, self.purges.last()) {
                // Between the look and the lead another one may have ended: look once more.
                Joined::Leads(new) => {
                    lead = Some(new);
                    continue;
                }
                Joined::Follows(progress) => wait(progress).await,
            };
            match progress {
                Progress::Shared(fill) => match self.read_along(&fill) {
                    Some(Some((response, outcome))) => return Step::Answer(response, outcome, None),
                    Some(None) => {}
                    None => return Step::Ask(Box::new(self.asking(None, stale))),
                },
                Progress::Again | Progress::Pending => {}
                Progress::Alone => return Step::Ask(Box::new(self.asking(None, stale))),
                Progress::Failed(error) => match self.on_error(stale.as_ref()).await {
                    Some((response, outcome)) => return Step::Answer(response, outcome, None),
                    None => return Step::Failed(error),
                },
                Progress::Stale => match self.on_error(stale.as_ref()).await {
                    Some((response, outcome)) => return Step::Answer(response, outcome, None),
                    None => return Step::Ask(Box::new(self.asking(None, stale))),
                },
            }
        }
        Step::Ask(Box::new(self.asking(lead, None)))
    }

    fn asking(self, lead: Option<Lead<DispatchError>>, stale: Option<Arc<Entry>>) -> Asking {
        let invalidations = self.cache.invalidations.load(Ordering::Acquire);
        Asking { lead, stale, sent: now(), invalidations, asked: self }
    }

    /// Whether this request may ask for others: what it asks of the app is the whole, and the last answer was one that
    /// others could have used.
    fn may_share(&self, stale: Option<&Entry>) -> bool {
        let reusable = stale.is_none_or(|entry| !entry.head.policy.validate_always);
        let whole = self.method == Method::GET && (stale.is_some() || !self.may_want_less());
        let share = self.wants.share && !self.wants.directives.no_store;
        share && whole && reusable && !self.cache.store.is_uncacheable(&self.key, now())
    }

    /// Whether the client asks for a part, or for nothing when it has the answer already.
    fn may_want_less(&self) -> bool {
        [RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE].iter().any(|name| self.headers.contains_key(name))
    }

    /// What is stored, in memory or on disk.
    async fn find(&self) -> Option<Arc<Entry>> {
        self.cache.variants(&self.key).await?.select(&self.headers, &self.purges).cloned()
    }

    async fn forget(&self) {
        self.cache.forget(&self.key).await;
    }

    async fn hit(&self, entry: &Entry, detail: Option<Detail>) -> Option<(Response<Outgoing>, Outcome)> {
        let outcome = Outcome::Hit { ttl: entry.head.policy.ttl(now()), detail };
        Some((self.sent_from(entry, outcome).await?, outcome))
    }

    /// An answer from an entry, wherever its content is; `None` when it cannot be read.
    async fn sent_from(&self, entry: &Entry, outcome: Outcome) -> Option<Response<Outgoing>> {
        let now = now();
        if let Some(response) = self.cache.answer(&self.method, &self.headers, &self.coded, entry, outcome, now) {
            return Some(response);
        }
        let stored = entry.content.disk.as_ref()?;
        let blob = self.cache.open(stored.clone()).await?;
        let around = self.cache.around(outcome, now, Some(blob.len()));
        let ready = answer::answer(&self.method, &self.headers, &entry.head, &around);
        if ready.bytes == answer::Bytes::Whole {
            self.cache.note_sent_from_disk(&self.key, &entry.head, stored);
        }
        Some(content::response(ready.status, ready.headers, content::from_disk(blob, ready.bytes)))
    }

    async fn on_error(&self, stale: Option<&Arc<Entry>>) -> Option<(Response<Outgoing>, Outcome)> {
        let entry = stale.filter(|entry| usable_on_error(&entry.head.policy, &self.wants.directives, now()))?;
        self.hit(entry, Some(Detail::StaleIfError)).await
    }

    /// A request that refreshes an entry, unless one is under way.
    fn lead_refresh(&self, entry: Arc<Entry>) -> Option<Box<Asking>> {
        let Joined::Leads(lead) = self.cache.flights.join(&self.key, self.purges.last()) else { return None };
        let asked = Self {
            cache: self.cache.clone(),
            method: Method::GET,
            url: self.url.clone(),
            headers: self.headers.clone(),
            coded: self.coded,
            key: self.key.clone(),
            purges: self.purges.clone(),
            wants: Wants { mode: self.wants.mode, share: true, directives: RequestDirectives::default() },
            why: Forwarded::Stale,
        };
        Some(Box::new(asked.asking(Some(lead), Some(entry))))
    }

    /// The answer that another request gets, as it comes. `Some(None)`: its beginning is gone, so look again. `None`: it is
    /// not for this request.
    fn read_along(&self, fill: &Arc<Fill>) -> Option<Option<(Response<Outgoing>, Outcome)>> {
        let head = &fill.head;
        let usable = head.matches(&self.headers)
            && head.allowed(&self.purges)
            && self.cache.assess(head, &self.wants.directives, now()) != Use::Validate;
        if !usable {
            return None;
        }
        let outcome = Outcome::Collapsed { why: self.why };
        Some(fill.reader().map(|reader| {
            let ready = self.ready(head, outcome, fill.length);
            let body = content::from_reader(reader, &ready.bytes, fill.length);
            (content::response(ready.status, ready.headers, body), outcome)
        }))
    }

    /// What is answered from a response on its way. Several ranges of it are not cut.
    fn ready(&self, head: &Head, outcome: Outcome, length: Option<u64>) -> answer::Ready {
        let ready = answer::answer(&self.method, &self.headers, head, &self.cache.around(outcome, now(), length));
        match ready.bytes {
            answer::Bytes::Pieces(_) => {
                answer::answer(&self.method, &self.headers, head, &self.cache.around(outcome, now(), None))
            }
            _ => ready,
        }
    }

    /// The answer to the request that asked: the app's own fields, unless the client wants less than the whole.
    fn answer_first(
        &self,
        parts: http::response::Parts,
        head: &Head,
        outcome: Outcome,
        length: Option<u64>,
        body: impl FnOnce(answer::Bytes) -> Body,
    ) -> Concluded {
        if self.may_want_less() {
            let ready = self.ready(head, outcome, length);
            return Concluded::Answer(content::response(ready.status, ready.headers, body(ready.bytes)), outcome);
        }
        let mut headers = parts.headers;
        headers.remove(atoll_http_cache::targeted::ATOLL_CDN_CACHE_CONTROL);
        let mut response = content::response(parts.status, headers, body(answer::Bytes::Whole));
        self.cache.mark(&mut response, outcome);
        Concluded::Answer(response, outcome)
    }
}

/// The first progress that is one. Whoever has waited for long goes its own way.
async fn wait(mut progress: watch::Receiver<Progress<DispatchError>>) -> Progress<DispatchError> {
    match timeout(LONGEST_WAIT, progress.wait_for(|progress| !matches!(progress, Progress::Pending))).await {
        Ok(Ok(progress)) => progress.clone(),
        // A flight says what came of it before it ends.
        Ok(Err(_)) => Progress::Again,
        Err(_) => Progress::Alone,
    }
}

impl Asking {
    /// The method to ask with.
    pub fn method(&self) -> &Method {
        &self.asked.method
    }

    /// The URL to ask for.
    pub fn url(&self) -> &str {
        &self.asked.url
    }

    /// The fields to ask with: the client's, or those that validate what is stored.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = self.asked.headers.clone();
        if let Some(stale) = self.validated() {
            conditional::make_validation(&mut headers, &stale.head.headers.to_map(0));
        }
        headers
    }

    /// What is validated by asking. A HEAD request validates nothing.
    fn validated(&self) -> Option<&Arc<Entry>> {
        self.stale.as_ref().filter(|_| self.asked.method == Method::GET)
    }

    /// Makes an answer of what the app gave, stores it when it may be stored, and lets all who wait know.
    pub async fn conclude(
        mut self,
        version: &VersionCache,
        result: Result<Response<Outgoing>, DispatchError>,
        hold: impl FnOnce() -> Hold + Send,
    ) -> Concluded {
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                return match self.asked.on_error(self.stale.as_ref()).await {
                    Some((response, outcome)) => {
                        self.settle(Progress::Stale);
                        Concluded::Answer(response, outcome)
                    }
                    None => {
                        self.settle(Progress::Failed(error.clone()));
                        Concluded::Failed(error)
                    }
                };
            }
        };
        let status = response.status();
        if let Some(stale) = self.validated().cloned() {
            if status == StatusCode::NOT_MODIFIED {
                return self.confirmed(&stale, response.headers()).await;
            }
            if matches!(status.as_u16(), 500 | 502 | 503 | 504)
                && let Some((response, outcome)) = self.asked.on_error(Some(&stale)).await
            {
                self.settle(Progress::Stale);
                return Concluded::Answer(response, outcome);
            }
        }
        let asked = &self.asked;
        let judged = judge(&asked.method, &asked.headers, status, response.headers(), self.sent, now());
        let judged = match judged {
            Ok(storable) if !storable.for_shared && asked.wants.mode != Mode::All => Err(Refusal::NotShared),
            judged => judged,
        };
        match judged {
            Ok(storable) => {
                version.note(true);
                self.store(response, storable, hold)
            }
            Err(refusal) => {
                if !refusal.is_of_this_request() {
                    version.note(false);
                }
                self.refuse(response, refusal).await
            }
        }
    }

    /// Passes an answer on that is not stored.
    async fn refuse(mut self, mut response: Response<Outgoing>, refusal: Refusal) -> Concluded {
        let status = response.status();
        let passing = status.is_server_error() || refusal.is_of_this_request();
        if !passing {
            // What is stored is not what the app would answer now.
            if self.stale.is_some() {
                self.asked.forget().await;
            }
            self.asked.cache.store.note_uncacheable(&self.asked.key, now());
        }
        self.settle(if passing { Progress::Again } else { Progress::Alone });
        let outcome = Outcome::Forward { why: self.asked.why, stored: Err(refusal) };
        self.asked.cache.mark(&mut response, outcome);
        Concluded::Answer(response, outcome)
    }

    /// A 304 came: what is stored is good still, with the fields of the 304 (RFC 9111 §4.3.4).
    async fn confirmed(mut self, stale: &Entry, response: &HeaderMap) -> Concluded {
        let stored = stale.head.headers.to_map(0);
        let headers = conditional::refreshed(&stored, response);
        let asked = &self.asked;
        let judged = judge(&Method::GET, &asked.headers, stale.head.status, &headers, self.sent, now());
        let (Ok(storable), true) = (judged, conditional::confirms(response, &stored)) else {
            asked.forget().await;
            self.stale = None;
            return Concluded::Again(Box::new(self));
        };
        let head = stale.head.renewed(headers, storable.policy, asked.purges.last());
        let outcome = Outcome::Validated { ttl: head.policy.ttl(now()) };
        let entry = Entry { head: Arc::new(head), content: stale.content.clone() };
        let Some(response) = asked.sent_from(&entry, outcome).await else {
            asked.forget().await;
            self.stale = None;
            return Concluded::Again(Box::new(self));
        };
        let holds = match &self.lead {
            Some(lead) => lead.holds(),
            None => asked.cache.invalidations.load(Ordering::Acquire) == self.invalidations,
        };
        if holds {
            asked.cache.renew(&asked.key, entry);
        }
        self.settle(Progress::Again);
        Concluded::Answer(response, outcome)
    }

    fn store(self, response: Response<Outgoing>, storable: Storable, hold: impl FnOnce() -> Hold + Send) -> Concluded {
        let Self { asked, lead, invalidations, .. } = self;
        let cache = asked.cache.clone();
        let (parts, body) = response.into_parts();
        let reusable = cache.assess_new(&storable) != Use::Validate;
        let head = Head::new(parts.status, &parts.headers, storable, &asked.headers, &asked.url, asked.purges.last());
        let head = Arc::new(head);
        let mut place = lead.map_or(Place::Beside(invalidations), Place::Lead);
        let stored = |stored| Outcome::Forward { why: asked.why, stored };
        let (stream, length) = match body.into_body() {
            Body::Stream { stream, length, .. } => (stream, length),
            Body::Full(bytes) if bytes.len() as u64 > cache.store_inline() => {
                let length = bytes.len() as u64;
                (stream::iter([Ok(bytes)]).boxed(), Some(length))
            }
            whole => {
                // A copy: what came may be a small part of something large that it would keep alive.
                let content = match whole {
                    Body::Full(bytes) => Bytes::copy_from_slice(&bytes),
                    _ => Bytes::new(),
                };
                let kept = match cache.holds(&place) {
                    false => Err(Refusal::Invalidated),
                    true => match cache.keep(&asked.key, &head, content.clone(), None) {
                        Kept::No => Err(Refusal::Busy),
                        Kept::InMemory | Kept::OnDisk(_) => Ok(()),
                    },
                };
                let outcome = stored(kept);
                if let Place::Lead(lead) = place {
                    lead.settle(if reusable { Progress::Again } else { Progress::Alone });
                }
                return asked.answer_first(parts, &head, outcome, Some(content.len() as u64), |wanted| {
                    content::from_memory(&content, wanted)
                });
            }
        };
        let (fill, writer) = Fill::new(head.clone(), length, cache.largest(), cache.budget.clone());
        let kept = writer.kept();
        let reader = fill.reader();
        if let Place::Lead(lead) = &mut place {
            let shared = reusable && kept.is_ok();
            lead.announce(if shared { Progress::Shared(fill) } else { Progress::Alone });
        }
        if kept.is_err() {
            cache.store.note_uncacheable(&asked.key, now());
        }
        tokio::spawn(cache.drive(stream, writer, head.clone(), asked.key.clone(), place, hold()));
        asked.answer_first(parts, &head, stored(kept), length, |wanted| match reader {
            Some(reader) => content::from_reader(reader, &wanted, length),
            None => Body::Empty,
        })
    }

    fn settle(&mut self, progress: Progress<DispatchError>) {
        if let Some(lead) = self.lead.take() {
            lead.settle(progress);
        }
    }
}
