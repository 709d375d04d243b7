//! Compiled code by bundle hash and module name, shared by the isolates of a process.
//!
//! V8's own check of a code cache compares little more than the source's length, so a cache is only ever found under the
//! content hash of its bundle, and it never comes from a tenant: bytecode is trusted input.

use std::collections::HashMap;
use std::sync::Mutex;

use atoll_bundle::BundleHash;

use crate::wasm_cache::WasmCache;

/// Code caches within a budget of bytes. When the budget is passed, all bundles but the newest are forgotten.
#[derive(Debug)]
pub(crate) struct CodeCache {
    /// Compiled WebAssembly, within a budget of the same size.
    pub(crate) wasm: WasmCache,
    budget: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    bytes: usize,
    bundles: HashMap<BundleHash, HashMap<String, Vec<u8>>>,
}

impl CodeCache {
    /// A cache of at most `budget` bytes.
    pub(crate) fn new(budget: usize) -> Self {
        Self { wasm: WasmCache::new(budget), budget, entries: Mutex::default() }
    }

    pub(crate) fn get(&self, bundle: &BundleHash, module: &str) -> Option<Vec<u8>> {
        let entries = self.entries.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        entries.bundles.get(bundle)?.get(module).cloned()
    }

    pub(crate) fn put(&self, bundle: &BundleHash, module: &str, code: &[u8]) {
        let mut entries = self.entries.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if entries.bytes + code.len() > self.budget {
            entries.bundles.retain(|hash, _| hash == bundle);
            entries.bytes = entries.bundles.values().flat_map(HashMap::values).map(Vec::len).sum();
            if entries.bytes + code.len() > self.budget {
                return;
            }
        }
        let replaced = entries.bundles.entry(*bundle).or_default().insert(module.to_owned(), code.to_vec());
        entries.bytes = entries.bytes + code.len() - replaced.map_or(0, |old| old.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_to_its_budget_and_forgets_other_bundles_first() {
        let (a, b) = (BundleHash::of(b"a"), BundleHash::of(b"b"));
        let cache = CodeCache::new(10);
        cache.put(&a, "m", &[1; 6]);
        cache.put(&b, "m", &[2; 6]);
        assert_eq!(cache.get(&a, "m"), None);
        assert_eq!(cache.get(&b, "m"), Some(vec![2; 6]));
        cache.put(&b, "n", &[3; 6]);
        assert_eq!(cache.get(&b, "n"), None, "one bundle alone cannot pass the budget either");
        cache.put(&b, "m", &[4; 8]);
        assert_eq!(cache.get(&b, "m"), Some(vec![2; 6]));
    }
}
