//! Contents that are compressed once and kept, by what they are made of and coding, within a budget of memory.
//!
//! They are made beside the serving of requests, few at a time. Whoever comes while one is being made is served
//! otherwise, so that nobody waits for the work of others.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::coder::{Effort, compress};
use super::negotiate::Coding;

/// Contents over this are not kept compressed, bytes.
const LARGEST: usize = 8 << 20;
/// Contents that may wait to be compressed; more are not taken.
const QUEUE: usize = 16;

/// Compressed contents by key. `V` is kept beside them.
pub struct CodedContents<K, V> {
    contents: Cache<(K, Coding), (V, Option<Bytes>)>,
    largest: usize,
    making: Mutex<HashSet<(K, Coding)>>,
    workers: Arc<Semaphore>,
}

/// What is known of a content.
#[derive(Debug, PartialEq, Eq)]
pub enum Variant {
    /// It is compressed.
    Ready(Bytes),
    /// It does not get smaller.
    Useless,
    /// Nothing yet.
    Missing,
}

impl<K, V> CodedContents<K, V>
where
    K: Copy + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Keeps at most `budget` bytes.
    pub fn new(budget: u64) -> Arc<Self> {
        let weight = |_: &(K, Coding), (_, bytes): &(V, Option<Bytes>)| {
            let length = bytes.as_ref().map_or(0, Bytes::len);
            u32::try_from(length).unwrap_or(u32::MAX).saturating_add(128)
        };
        let eighth = usize::try_from(budget / 8).unwrap_or(usize::MAX);
        let workers = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
        Arc::new(Self {
            contents: Cache::builder().max_capacity(budget).weigher(weight).build(),
            largest: LARGEST.min(eighth),
            making: Mutex::default(),
            workers: Arc::new(Semaphore::new(workers)),
        })
    }

    /// What there is under a key, if `valid` says that what is kept beside it is right.
    pub fn get(&self, key: K, coding: Coding, valid: impl FnOnce(&V) -> bool) -> Variant {
        match self.contents.get(&(key, coding)) {
            Some((beside, bytes)) if valid(&beside) => bytes.map_or(Variant::Useless, Variant::Ready),
            _ => Variant::Missing,
        }
    }

    /// Whether a content of this size is kept compressed.
    pub fn takes(&self, length: u64) -> bool {
        usize::try_from(length).is_ok_and(|length| length <= self.largest)
    }

    /// Begins to make the variant of `content`, unless that is under way or too much is. The handle ends when it is there.
    pub fn make(
        self: &Arc<Self>,
        key: K,
        coding: Coding,
        beside: V,
        content: Bytes,
    ) -> Option<tokio::task::JoinHandle<()>> {
        if content.len() > self.largest {
            return None;
        }
        {
            let mut making = self.making();
            if making.len() >= QUEUE || !making.insert((key, coding)) {
                return None;
            }
        }
        let kept = self.clone();
        Some(tokio::spawn(async move {
            let place = Making { kept: &kept, what: (key, coding) };
            let Ok(permit) = kept.workers.clone().acquire_owned().await else { return };
            let made = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                let smaller = compress(coding, Effort::Once, &content).ok();
                smaller.filter(|smaller| smaller.len() < content.len())
            });
            if let Ok(made) = made.await {
                kept.contents.insert((key, coding), (beside, made));
            }
            drop(place);
        }))
    }

    fn making(&self) -> std::sync::MutexGuard<'_, HashSet<(K, Coding)>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A variant that is being made.
struct Making<'a, K: Copy + Eq + Hash + Send + Sync + 'static, V: Clone + Send + Sync + 'static> {
    kept: &'a CodedContents<K, V>,
    what: (K, Coding),
}

impl<K: Copy + Eq + Hash + Send + Sync + 'static, V: Clone + Send + Sync + 'static> Drop for Making<'_, K, V> {
    fn drop(&mut self) {
        self.kept.making().remove(&self.what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_variant_is_made_once_and_found_while_it_is_right() {
        let kept: Arc<CodedContents<u8, u8>> = CodedContents::new(1 << 20);
        let text = Bytes::from("text ".repeat(1000));
        assert_eq!(kept.get(1, Coding::Gzip, |_| true), Variant::Missing);
        let made = kept.make(1, Coding::Gzip, 7, text.clone()).unwrap();
        assert!(kept.make(1, Coding::Gzip, 7, text.clone()).is_none(), "it is under way");
        made.await.unwrap();
        assert!(matches!(kept.get(1, Coding::Gzip, |beside| *beside == 7), Variant::Ready(bytes) if bytes.len() < 100));
        assert_eq!(kept.get(1, Coding::Gzip, |_| false), Variant::Missing);
        assert_eq!(kept.get(1, Coding::Brotli, |_| true), Variant::Missing);
        let noise: Vec<u8> =
            (0..3000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 ^ (n % 13) as u8).collect();
        let mut random = vec![0; noise.len()];
        aws_lc_rs::rand::fill(&mut random).unwrap();
        kept.make(2, Coding::Gzip, 0, random.into()).unwrap().await.unwrap();
        assert_eq!(kept.get(2, Coding::Gzip, |_| true), Variant::Useless);
        assert!(kept.make(3, Coding::Gzip, 0, vec![0; 200_000].into()).is_none(), "over an eighth of the budget");
        assert!(kept.takes(1000) && !kept.takes(200_000));
    }
}
