//! What is on the disk, counted: which entry names which contents, how large all is, what was used when. Pure.

use std::collections::{HashMap, HashSet};

type Hash = [u8; 32];

#[derive(Debug)]
struct Named {
    size: u64,
    contents: Vec<Hash>,
    used: u64,
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
    pub(super) fn used(&mut self, entry: &Hash) {
        self.clock += 1;
        if let Some(named) = self.entries.get_mut(entry) {
            named.used = self.clock;
        }
    }

    /// Notes an entry in place of one with the same name. Gives the contents that nothing names any more.
    pub(super) fn put(&mut self, entry: Hash, size: u64, contents: Vec<(Hash, u64)>) -> Vec<Hash> {
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
        self.entries.insert(entry, Named { size, contents, used: self.clock });
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
                self.put(entry, named.size, contents);
            }
        }
        self.complete = true;
    }

    /// The entries to remove, longest unused first, so that not more than `target` bytes are left.
    pub(super) fn least_used(&self, target: u64) -> Vec<Hash> {
        let mut all: Vec<_> = self.entries.iter().collect();
        all.sort_by_key(|(_, named)| named.used);
        let mut left = self.total;
        let mut chosen = Vec::new();
        for (entry, named) in all {
            if left <= target {
                break;
            }
            // A content that others name too stays; then the next store looks again.
            let contents: u64 = named
                .contents
                .iter()
                .filter_map(|hash| self.contents.get(hash))
                .filter(|counted| counted.names == 1)
                .map(|counted| counted.size)
                .sum();
            left = left.saturating_sub(named.size + contents);
            chosen.push(*entry);
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_counts_once_and_goes_with_its_last_name() {
        let mut index = Index::default();
        assert!(index.put([1; 32], 10, vec![([9; 32], 100)]).is_empty());
        assert!(index.put([2; 32], 10, vec![([9; 32], 100)]).is_empty());
        assert_eq!(index.total(), 120);
        assert!(index.put([1; 32], 20, vec![([9; 32], 100)]).is_empty(), "replaced, and named still");
        assert_eq!(index.total(), 130);
        assert!(index.remove(&[1; 32]).is_empty());
        assert_eq!(index.remove(&[2; 32]), [[9; 32]]);
        assert_eq!(index.total(), 0);
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut index = Index::default();
        for name in 1..=4 {
            index.put([name; 32], 10, vec![([name + 100; 32], 90)]);
        }
        index.used(&[1; 32]);
        assert_eq!(index.least_used(250), [[2; 32], [3; 32]]);
        assert!(index.least_used(400).is_empty());
    }
}
