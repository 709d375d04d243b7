//! Which contents on disk are asked for so often that they belong in memory too.
//!
//! A content that is too large for memory at first costs a read, a check and a copy each time that it is sent. What is
//! asked for once must not push out many small ones, so only what is asked for again and again comes into memory, where
//! it competes with all else for the budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use crate::disk::BlobRef;

/// How often a content is read from disk before it is brought into memory.
const ENOUGH: u32 = 4;
/// For how long a content that nobody reads is remembered.
const MEMORY: Duration = Duration::from_secs(60);
/// Contents that are remembered.
const MOST: u64 = 4096;

/// Counts reads of contents on disk.
pub(crate) struct Hot(Cache<[u8; 32], Arc<AtomicU32>>);

impl Hot {
    pub(crate) fn new() -> Self {
        Self(Cache::builder().max_capacity(MOST).time_to_idle(MEMORY).build())
    }

    /// Takes note of a read of all of a content. Says whether it is time to bring the content into memory: after so many
    /// reads, and when that came to nothing, after twice as many, and so on, so that it is not tried by every request.
    pub(crate) fn note(&self, blob: &BlobRef) -> bool {
        let count = self.0.get_with(blob.hash, Arc::default).fetch_add(1, Ordering::Relaxed).saturating_add(1);
        count >= ENOUGH && count.is_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_again_and_again_is_hot() {
        let hot = Hot::new();
        let (one, other) = (BlobRef { hash: [1; 32], length: 9 }, BlobRef { hash: [2; 32], length: 9 });
        let noted: Vec<u32> = (1..=20).filter(|_| hot.note(&one)).collect();
        assert_eq!(noted, [4, 8, 16]);
        assert!(!hot.note(&other));
    }
}
