//! What is on the disk, counted: which entry names which contents, how large all is, what was used when. Pure: time comes in
//! as seconds since the Unix epoch.

use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::key::Owner;

type Hash = [u8; 32];

/// What nobody uses in so many seconds has no claim on the disk.
const COLD: u64 = 24 * 3600;

#[derive(Debug)]
struct Named {
    owner: Owner,
    size: u64,
    contents: Box<[Hash]>,
    /// When, and in which order within a second.
    used: (u64, u64),
}

#[derive(Debug)]
struct Counted {
    size: u64,
    names: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: HashMap<Hash, Named>,
    contents: HashMap<Hash, Counted>,
    total: u64,
    clock: u64,
    complete: bool,
    /// Entries whose files are about to be deleted.
    forgotten: HashSet<Hash>,
}

impl Index {
    /// Whether the scan has ended.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Bytes of all files.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Whether there may be an entry: certain once the scan has ended.
    pub(super) fn may_have(&self, entry: &Hash) -> bool {
        !self.forgotten.contains(entry) && (!self.complete || self.entries.contains_key(entry))
    }

    /// From now on there is no such entry, whatever its file says.
    pub(super) fn forget(&mut self, entry: &Hash) {
        self.forgotten.insert(*entry);
    }

    /// Whether an entry was forgotten whose file is there still.
    pub(super) fn is_forgotten(&self, entry: &Hash) -> bool {
        self.forgotten.contains(entry)
    }

    /// Whether an entry names a content.
    pub(super) fn names(&self, content: &Hash) -> bool {
        self.contents.contains_key(content)
    }

    /// Notes that an entry was used.
    pub(super) fn used(&mut self, entry: &Hash, now: u64) {
        self.clock += 1;
        if let Some(named) = self.entries.get_mut(entry) {
            named.used = (now, self.clock);
        }
    }

    /// Notes an entry in place of one with the same name. Gives the contents that nothing names any more.
    pub(super) fn put(
        &mut self,
        entry: Hash,
        owner: Owner,
        size: u64,
        contents: Vec<(Hash, u64)>,
        now: u64,
    ) -> Vec<Hash> {
        for (hash, size) in &contents {
            let counted = self.contents.entry(*hash).or_insert_with(|| {
                self.total += size;
                Counted { size: *size, names: 0 }
            });
            counted.names += 1;
        }
        self.forgotten.remove(&entry);
        // After the new names, so that what is named still is not given away.
        let unnamed = self.remove(&entry);
        self.clock += 1;
        self.total += size;
        let contents = contents.into_iter().map(|(hash, _)| hash).collect();
        self.entries.insert(entry, Named { owner, size, contents, used: (now, self.clock) });
        unnamed
    }

    /// Forgets an entry. Gives the contents that nothing names any more.
    pub(super) fn remove(&mut self, entry: &Hash) -> Vec<Hash> {
        self.forgotten.remove(entry);
        let Some(named) = self.entries.remove(entry) else { return Vec::new() };
        self.total -= named.size;
        let mut unnamed = Vec::new();
        for hash in named.contents {
            let Some(counted) = self.contents.get_mut(&hash) else { continue };
            counted.names -= 1;
            if counted.names == 0 {
                self.total -= counted.size;
                self.contents.remove(&hash);
                unnamed.push(hash);
            }
        }
        unnamed
    }

    /// Adds what a scan found, but for entries that are known already; from now on this is complete.
    pub(super) fn merge(&mut self, found: Self) {
        for (entry, named) in found.entries {
            if !self.entries.contains_key(&entry) && !self.forgotten.contains(&entry) {
                let contents = named.contents.iter().map(|hash| (*hash, found.contents[hash].size)).collect();
                self.put(entry, named.owner, named.size, contents, named.used.0);
            }
        }
        self.complete = true;
    }

    /// The entries to remove so that not more than `target` bytes are left: those that nobody has used for a day, longest
    /// unused first; then, as long as it takes, the one that the app with the most bytes has used least recently.
    pub(super) fn least_used(&self, target: u64, now: u64) -> Vec<Hash> {
        let mut all: Vec<_> = self.entries.iter().map(|(entry, named)| (named, *entry, self.freed_by(named))).collect();
        all.sort_unstable_by_key(|(named, ..)| named.used);
        let mut left = self.total;
        let mut chosen = Vec::new();
        let cold = all.partition_point(|(named, ..)| named.used.0.saturating_add(COLD) <= now);
        let claimed = all.split_off(cold);
        for (_, entry, bytes) in all {
            if left <= target {
                return chosen;
            }
            left = left.saturating_sub(bytes);
            chosen.push(entry);
        }
        // Of each app the least recently used last, where it is taken from.
        let mut apps: HashMap<Owner, Vec<(Hash, u64)>> = HashMap::new();
        for (named, entry, bytes) in claimed.into_iter().rev() {
            apps.entry(named.owner).or_default().push((entry, bytes));
        }
        let bytes = |entries: &[(Hash, u64)]| entries.iter().map(|(_, bytes)| bytes).sum::<u64>();
        let mut largest: BinaryHeap<_> =
            apps.into_iter().map(|(owner, entries)| (bytes(&entries), owner, entries)).collect();
        while left > target
            && let Some((held, owner, mut entries)) = largest.pop()
        {
            let Some((entry, bytes)) = entries.pop() else { continue };
            left = left.saturating_sub(bytes);
            chosen.push(entry);
            largest.push((held.saturating_sub(bytes), owner, entries));
        }
        chosen
    }

    /// Bytes that removing an entry gives back. A content that others name too stays; then the next store looks again.
    fn freed_by(&self, named: &Named) -> u64 {
        let contents = named.contents.iter().filter_map(|hash| self.contents.get(hash));
        named.size + contents.filter(|counted| counted.names == 1).map(|counted| counted.size).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: Owner = [0; 8];

    #[test]
    fn a_content_counts_once_and_goes_with_its_last_name() {
        let mut index = Index::default();
        assert!(index.put([1; 32], APP, 10, vec![([9; 32], 100)], 0).is_empty());
        assert!(index.put([2; 32], APP, 10, vec![([9; 32], 100)], 0).is_empty());
        assert_eq!(index.total(), 120);
        assert!(index.put([1; 32], APP, 20, vec![([9; 32], 100)], 0).is_empty(), "replaced, and named still");
        assert_eq!(index.total(), 130);
        assert!(index.remove(&[1; 32]).is_empty());
        assert_eq!(index.remove(&[2; 32]), [[9; 32]]);
        assert_eq!(index.total(), 0);
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut index = Index::default();
        for name in 1..=4 {
            index.put([name; 32], APP, 10, vec![([name + 100; 32], 90)], 0);
        }
        index.used(&[1; 32], 0);
        for now in [0, COLD] {
            assert_eq!(index.least_used(250, now), [[2; 32], [3; 32]]);
            assert!(index.least_used(400, now).is_empty());
        }
    }

    #[test]
    fn the_app_with_the_most_bytes_gives_first() {
        let mut index = Index::default();
        for name in 1..=3 {
            index.put([name; 32], APP, 10, vec![([name + 100; 32], 90)], 0);
        }
        for name in 4..=20 {
            index.put([name; 32], [1; 8], 10, vec![([name + 100; 32], 90)], 1);
        }
        let hogs: Vec<Hash> = (4..=17).map(|name| [name; 32]).collect();
        assert_eq!(index.least_used(600, 2), hogs, "until both hold the same");
        assert_eq!(index.least_used(1800, COLD), [[1; 32], [2; 32]], "what nobody has used for a day goes before that");
    }
}
