//! An app's answer on its way into the cache.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use atoll_http_cache::entry::{Content, Entry, Head};
use atoll_http_cache::fill::{Fill, Lead, Whole, Writer};
use atoll_http_cache::key::Key;
use atoll_http_cache::sealed;
use atoll_http_cache::storing::Refusal;
use atoll_runtime::BodyStream;
use bytes::Bytes;
use futures::StreamExt;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{FrontCache, WRITE_COST};
use crate::dispatch::{DispatchError, Instance};
use crate::state::Permit;

/// How long the app may be silent in the middle of an answer that nobody waits for.
const SILENCE: Duration = Duration::from_secs(30);

/// Contents from this size on are copied where nobody waits for the thread, bytes. Copying less takes shorter than
/// going there.
const ELSEWHERE: u64 = 256 << 10;

/// What a request holds as long as its app's answer comes.
#[allow(dead_code, reason = "it is held, not read")]
pub struct Hold {
    /// Its place among the app's requests.
    pub permit: Option<Permit>,
    /// Its isolate.
    pub instance: Option<Arc<Instance>>,
}

/// Where a response is stored.
pub(crate) enum Kept {
    /// In memory, and on disk soon if it belongs there.
    InMemory,
    /// On disk, once this has ended.
    OnDisk(JoinHandle<()>),
    /// Nowhere: it is too large for memory, and there is no disk or it does not keep up.
    No,
}

/// Says whether a response may be stored still when it is complete.
pub(crate) enum Place {
    /// It leads a flight.
    Lead(Lead<DispatchError>),
    /// It came beside one, when there had been so many invalidations.
    Beside(u64),
}

impl FrontCache {
    /// A content that an app stores by itself and that nobody reads along, by the limits of all that come: it holds at most
    /// `limit` bytes. `length` is how many it is said to be.
    pub(crate) fn take_in(&self, head: &Arc<Head>, length: Option<u64>, limit: u64) -> Writer {
        Fill::new(head.clone(), length, limit, self.budget.clone()).1
    }

    /// A content as one, where it is to stay in memory; `None` when the node ends.
    pub(crate) async fn joined(&self, whole: Whole) -> Option<Bytes> {
        let in_memory = whole.length() <= self.store_inline();
        match whole.length() < ELSEWHERE {
            true => Some(whole.join(in_memory)),
            false => tokio::task::spawn_blocking(move || whole.join(in_memory)).await.ok(),
        }
    }

    pub(super) fn holds(&self, place: &Place) -> bool {
        match place {
            Place::Lead(lead) => lead.holds(),
            Place::Beside(count) => self.invalidations.load(Ordering::Acquire) == *count,
        }
    }

    /// Stores a response that is complete.
    ///
    /// What fits only on disk is stored once it is there, and until then `place` is kept, so that an invalidation finds it.
    /// A disk that does not keep up gets nothing more to write.
    pub(crate) fn keep(self: &Arc<Self>, key: &Key, head: &Arc<Head>, content: Bytes, place: Option<Place>) -> Kept {
        let length = content.len() as u64;
        let is_sealed = sealed::find(&content).is_some();
        let reserved = match self.store.wants_disk(head, length) {
            true => self.writes.reserve(length.saturating_add(WRITE_COST)),
            false => None,
        };
        self.store.note_cacheable(key);
        let entry = Entry { head: head.clone(), content: Content::in_memory(content.clone()) };
        let in_memory = self.store.insert(key, entry);
        let written = reserved.map(|reserved| {
            let (cache, key, head) = (self.clone(), key.clone(), head.clone());
            let place = place.filter(|_| !in_memory);
            tokio::task::spawn_blocking(move || {
                let _reserved = reserved;
                let holds = || place.as_ref().is_none_or(|place| cache.holds(place));
                if let Err(error) = cache.store.persist(&key, &head, &content, holds) {
                    tracing::warn!(%error, "a response could not be written to the cache on disk");
                }
            })
        });
        if in_memory && written.is_none() && !is_sealed && length >= sealed::LARGE {
            self.seal(key, head, length);
        }
        match written {
            _ if in_memory => Kept::InMemory,
            Some(written) => Kept::OnDisk(written),
            None => Kept::No,
        }
    }

    /// Moves a content in memory to where the kernel sends it from, beside the requests; writing a large one to disk does the
    /// same. It is there twice for a moment, if there is memory for that.
    pub(super) fn seal(self: &Arc<Self>, key: &Key, head: &Arc<Head>, length: u64) {
        let Some(reserved) = self.budget.reserve(length) else { return };
        let (cache, key, head) = (self.clone(), key.clone(), head.clone());
        tokio::task::spawn_blocking(move || {
            let _reserved = reserved;
            cache.store.seal(&key, &head);
        });
    }

    /// Reads an answer to its end, for all who read along and for the store.
    pub(super) async fn drive(
        self: Arc<Self>,
        mut stream: BodyStream,
        mut writer: Writer,
        head: Arc<Head>,
        key: Key,
        place: Place,
        hold: Hold,
    ) {
        let failure = loop {
            writer.room().await;
            let read = writer.is_read();
            if writer.kept().is_err() && !read {
                // Nobody wants it. Dropping the stream tells the app.
                return;
            }
            let next = if read { Ok(stream.next().await) } else { timeout(SILENCE, stream.next()).await };
            match next {
                Ok(Some(Ok(chunk))) => writer.push(chunk),
                Ok(Some(Err(error))) => break Some(error.to_string()),
                Ok(None) => break None,
                Err(_) => break Some("the app fell silent".to_owned()),
            }
        };
        if let Some(failure) = failure {
            // Whoever comes after a reader has heard of the failure finds no flight, and asks the app.
            drop(place);
            return writer.fail(&failure);
        }
        drop(hold);
        if !self.holds(&place) {
            writer.abandon(Refusal::Invalidated);
        }
        // The place is given up only once it is stored, so that whoever comes finds either the flight or what it brought.
        if let Ok(whole) = writer.finish()
            && let Some(content) = self.joined(whole).await
        {
            self.keep(&key, &head, content, Some(place));
        }
    }
}
