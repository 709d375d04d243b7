//! Brings contents that are asked for again and again from disk into memory, and from there to where the kernel sends them
//! from.

use std::sync::Arc;

use atoll_http_cache::disk::BlobRef;
use atoll_http_cache::entry::{Entry, Head};
use atoll_http_cache::key::Key;
use atoll_http_cache::sealed;

use super::FrontCache;

impl FrontCache {
    /// Takes note that all of a content is sent from disk. One that is sent often is read into memory beside the
    /// requests, where there is memory for it.
    pub(super) fn note_sent_from_disk(self: &Arc<Self>, key: &Key, head: &Arc<Head>, blob: &BlobRef) {
        if !self.store.is_hot(blob) {
            return;
        }
        let Some(reserved) = self.budget.reserve(blob.length) else { return };
        let (cache, key, head, blob) = (self.clone(), key.clone(), head.clone(), blob.clone());
        tokio::task::spawn_blocking(move || {
            let _reserved = reserved;
            if let Err(error) = cache.store.promote(&key, &head, &blob) {
                tracing::warn!(%error, "a cached response could not be read into memory");
            }
        });
    }

    /// Takes note that a response is answered with from memory. The content of one that is sent often is moved, if it is of a
    /// size for which that is worthwhile.
    pub(super) fn note_sent(self: &Arc<Self>, key: &Key, entry: &Entry) {
        if let Some(content) = &entry.content.memory
            && sealed::MEDIUM.contains(&(content.len() as u64))
            && entry.head.note_sent()
            && sealed::find(content).is_none()
        {
            self.seal(key, &entry.head, content.len() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use atoll_http_cache::disk::BlobRef;
    use atoll_http_cache::key::{KeySettings, Namespace, key};
    use atoll_http_cache::storing::judge;
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, Method, StatusCode};

    use super::*;
    use crate::cache::{Kept, now};
    use crate::config::FrontCacheConfig;

    fn large() -> Bytes {
        (0..9_u32 << 20).map(|at| (at / 3) as u8).collect()
    }

    #[tokio::test]
    async fn what_is_sent_often_comes_into_memory_and_what_replaces_it_stays() {
        let folder = tempfile::tempdir().unwrap();
        let config = FrontCacheConfig { disk_mb: 64, ..FrontCacheConfig::default() };
        let cache = FrontCache::new(&config, 0, Some(folder.path())).unwrap();
        let key = key(Namespace::of(&[b"a"]), &KeySettings::default(), "http://a/", &HeaderMap::new()).unwrap();
        let fields = HeaderMap::from_iter([(http::header::CACHE_CONTROL, HeaderValue::from_static("max-age=600"))]);
        let storable = judge(&Method::GET, &HeaderMap::new(), StatusCode::OK, &fields, now(), now()).unwrap();
        let head = Arc::new(Head::new(StatusCode::OK, &fields, storable, &HeaderMap::new(), "http://a/", 0));
        let Kept::OnDisk(written) = cache.keep(&key, &head, large(), None) else { panic!("it belongs on disk") };
        written.await.unwrap();
        let content = || cache.store.lookup(&key).unwrap().entries()[0].content.clone();
        let blob: BlobRef = content().disk.unwrap();
        for _ in 0..3 {
            cache.note_sent_from_disk(&key, &head, &blob);
        }
        assert!(content().memory.is_none());
        cache.note_sent_from_disk(&key, &head, &blob);
        let come = async {
            while content().memory.is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), come).await.expect("it comes into memory");
        assert_eq!((content().memory, content().disk), (Some(large()), Some(blob.clone())));

        // Another response has come meanwhile: the old one does not come back.
        let newer = Arc::new(head.renewed(fields, head.policy.clone(), 0));
        let Kept::OnDisk(written) = cache.keep(&key, &newer, large(), None) else { panic!("it belongs on disk") };
        written.await.unwrap();
        cache.store.promote(&key, &head, &blob).unwrap();
        assert!(content().memory.is_none());
        cache.store.promote(&key, &newer, &blob).unwrap();
        assert!(content().memory.is_some());
    }
}
