//! The memory tier: what is found without waiting, within a budget that is shared out between apps as [`Order`] says.
//!
//! Looking something up takes a lock that others who look share, and notes the second. What is stored or removed passes
//! one lock after the other, the order's first.

use std::collections::HashMap;
use std::mem::size_of;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use crate::entry::Variants;
use crate::key::Key;
use crate::order::{OBJECT, Order, Place};

/// Tables that keys are spread over.
const SHARDS: usize = 64;

struct Slot {
    variants: Arc<Variants>,
    place: Place,
    /// When it was last asked for, seconds since the start.
    asked: AtomicU32,
}

type Shard = HashMap<Key, Slot>;

/// See the module.
pub(crate) struct Memory {
    shards: [RwLock<Shard>; SHARDS],
    order: Mutex<Order>,
    budget: u64,
    start: Instant,
}

impl Memory {
    /// Nothing yet, and at most `budget` bytes later.
    pub(crate) fn new(budget: u64) -> Self {
        let shards = std::array::from_fn(|_| RwLock::default());
        Self { shards, order: Mutex::default(), budget, start: Instant::now() }
    }

    /// What is under a key.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Variants>> {
        let shard = self.read(key);
        let slot = shard.get(key)?;
        let now = self.now();
        // Only the first in a second writes, so that cores do not take the line from each other.
        if slot.asked.load(Relaxed) != now {
            slot.asked.store(now, Relaxed);
        }
        Some(slot.variants.clone())
    }

    /// Puts what `change` makes of what is under a key in its place, without asking for anybody else in between. Leaves
    /// it when that is `None`. Gives what is there then.
    pub(crate) fn update(
        &self,
        key: &Key,
        change: impl FnOnce(Option<&Variants>) -> Option<Variants>,
    ) -> Option<Arc<Variants>> {
        let mut out = Vec::new();
        let now = self.now();
        let mut order = self.order();
        let mut shard = self.write(key);
        let known = shard.get_mut(key);
        let Some(variants) = change(known.as_ref().map(|slot| &*slot.variants)) else {
            return known.map(|slot| slot.variants.clone());
        };
        let variants = variants.within(usize::try_from(self.budget).unwrap_or(usize::MAX));
        let weight = u32::try_from(weight(key, &variants)).unwrap_or(u32::MAX);
        let variants = Arc::new(variants);
        match known {
            Some(slot) => {
                out.push(std::mem::replace(&mut slot.variants, variants.clone()));
                order.replace(slot.place, weight, now);
            }
            None => {
                if let Some(place) = order.add(key.clone(), weight, now) {
                    let variants = variants.clone();
                    shard.insert(key.clone(), Slot { variants, place, asked: AtomicU32::new(now) });
                }
            }
        }
        drop(shard);
        while order.bytes() > self.budget {
            let asked = |key: &Key| self.read(key).get(key).map_or(0, |slot| slot.asked.load(Relaxed));
            let Some((place, key)) = order.first_to_go(now, asked) else { break };
            order.remove(place);
            out.extend(self.write(&key).remove(&key).map(|slot| slot.variants));
        }
        drop(order);
        // Large ones are given back to the system, which takes a while: nobody has to wait for it.
        drop(out);
        Some(variants)
    }

    /// Forgets what is under a key.
    pub(crate) fn remove(&self, key: &Key) {
        let mut order = self.order();
        let slot = self.write(key).remove(key);
        if let Some(slot) = &slot {
            order.remove(slot.place);
        }
        drop(order);
        drop(slot);
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.order().bytes()
    }

    /// Seconds since this was made.
    fn now(&self) -> u32 {
        u32::try_from(self.start.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    fn shard(&self, key: &Key) -> &RwLock<Shard> {
        let sum =
            key.as_bytes().iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        &self.shards[sum % SHARDS]
    }

    fn read(&self, key: &Key) -> RwLockReadGuard<'_, Shard> {
        self.shard(key).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, key: &Key) -> RwLockWriteGuard<'_, Shard> {
        self.shard(key).write().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of memory that a key and what is under it take. A table has room for half as many again as are in it, on average.
fn weight(key: &Key, variants: &Variants) -> usize {
    const IN_TABLE: usize = size_of::<(Key, Slot)>() * 3 / 2;
    variants.weight() + key.as_bytes().len() + 2 * size_of::<usize>() + IN_TABLE + OBJECT
}
