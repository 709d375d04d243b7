//! A map by name of which the next version shares with the one before all that did not change: to change some of its
//! entries costs as much as there are in their shards, a small part of them all.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

/// How many shards there are: with ten thousand entries a change copies some forty pointers.
const SHARDS: usize = 256;

type Shard<V> = HashMap<Arc<str>, V>;

/// A map whose clones share their shards.
#[derive(Clone, Debug)]
pub struct Sharded<V> {
    shards: Arc<[Arc<Shard<V>>]>,
}

impl<V> Default for Sharded<V> {
    fn default() -> Self {
        let empty = Arc::new(HashMap::new());
        Self { shards: (0..SHARDS).map(|_| empty.clone()).collect() }
    }
}

/// FNV-1a. It only spreads: what is found in a shard is found by the map's own keyed hash.
fn shard_of(name: &str) -> usize {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    (hash >> 32) as usize % SHARDS
}

impl<V> Sharded<V> {
    /// What has this name.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.shards[shard_of(name)].get(name)
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter().map(|(name, value)| (name.borrow(), value)))
    }

    /// All values, in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Whether there are none.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.is_empty())
    }
}

impl<V: Clone> Sharded<V> {
    fn shard(&mut self, name: &str) -> &mut Shard<V> {
        Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[shard_of(name)])
    }

    /// Puts a value in the place of what has this name.
    pub fn insert(&mut self, name: Arc<str>, value: V) {
        self.shard(&name).insert(name, value);
    }

    /// Takes out what has this name.
    pub fn remove(&mut self, name: &str) -> Option<V> {
        // A shard that lacks it stays shared.
        self.get(name)?;
        self.shard(name).remove(name)
    }

    /// What has this name, to be changed; the default when there is nothing.
    pub fn entry(&mut self, name: &str) -> &mut V
    where
        V: Default,
    {
        self.shard(name).entry(name.into()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_leaves_the_version_before_as_it_is_and_copies_one_shard() {
        let mut before = Sharded::default();
        for n in 0..1000 {
            before.insert(format!("app-{n}").into(), n);
        }
        let mut after = before.clone();
        after.insert("app-7".into(), 0);
        assert_eq!(after.remove("app-8"), Some(8));
        assert_eq!(after.remove("app-8"), None);
        *after.entry("new") += 5;
        assert_eq!((before.get("app-7"), before.get("app-8"), before.get("new")), (Some(&7), Some(&8), None));
        assert_eq!((after.get("app-7"), after.get("app-8"), after.get("new")), (Some(&0), None, Some(&5)));
        assert_eq!((before.iter().count(), after.values().count()), (1000, 1000));
        let shared = before.shards.iter().zip(after.shards.iter()).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert!(shared >= SHARDS - 3, "{shared}");
        assert!(!after.is_empty() && Sharded::<u8>::default().is_empty());
    }

    #[test]
    fn names_spread_over_the_shards() {
        let mut map = Sharded::default();
        for n in 0..10_000 {
            map.insert(format!("app-{n}.localhost").into(), ());
        }
        let largest = map.shards.iter().map(|shard| shard.len()).max().unwrap();
        assert!(largest < 100, "{largest}");
    }
}
