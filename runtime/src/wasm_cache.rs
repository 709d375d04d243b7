//! Compiled WebAssembly by bundle hash and module name, shared by the isolates of a process.
//!
//! V8 keeps a module's code outside of any isolate's heap. Whoever holds a [`v8::CompiledWasmModule`] keeps that code, with
//! the functions that were optimised since: a second isolate compiles nothing, and what the first has warmed up is warm.
//! Code is never written to disk: the engine's binding reads serialized code but cannot make it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use atoll_bundle::BundleHash;
use deno_core::v8;

/// What code takes for each byte of the module it is made from, roughly, once its functions have run.
const CODE_PER_BYTE: usize = 4;

/// Compiled modules within a budget of bytes. When the budget is passed, the modules used longest ago are forgotten; the
/// isolates that run them keep their code.
#[derive(Default)]
pub(crate) struct WasmCache {
    budget: usize,
    compilations: AtomicU64,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    clock: u64,
    bytes: usize,
    modules: HashMap<(BundleHash, String), Entry>,
}

struct Entry {
    module: Arc<v8::CompiledWasmModule>,
    bytes: usize,
    used: u64,
}

impl WasmCache {
    /// A cache of at most `budget` bytes of code, as estimated from the modules' sizes.
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget, ..Self::default() }
    }

    /// How often a module was compiled, rather than found here.
    pub(crate) fn compilations(&self) -> u64 {
        self.compilations.load(Ordering::Relaxed)
    }

    /// The module `name` of `bundle`, for this isolate; `content` is compiled when nobody has done so before. `None` when
    /// it does not compile: an exception is pending then.
    pub(crate) fn module<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        bundle: &BundleHash,
        name: &str,
        content: &[u8],
    ) -> Option<v8::Local<'s, v8::WasmModuleObject>> {
        let key = (*bundle, name.to_owned());
        // The lock is not held while V8 works: an isolate that V8 gives up never lets go of what it holds.
        if let Some(module) = self.find(&key)
            && let Some(module) = v8::WasmModuleObject::from_compiled_module(scope, &module)
        {
            return Some(module);
        }
        self.compilations.fetch_add(1, Ordering::Relaxed);
        let module = v8::WasmModuleObject::compile(scope, content)?;
        self.keep(key, module.get_compiled_module(), content.len().saturating_mul(CODE_PER_BYTE));
        Some(module)
    }

    fn find(&self, key: &(BundleHash, String)) -> Option<Arc<v8::CompiledWasmModule>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clock += 1;
        let now = entries.clock;
        let entry = entries.modules.get_mut(key)?;
        entry.used = now;
        Some(entry.module.clone())
    }

    fn keep(&self, key: (BundleHash, String), module: v8::CompiledWasmModule, bytes: usize) {
        if bytes > self.budget {
            return;
        }
        let module = Arc::new(module);
        let mut forgotten = Vec::new();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clock += 1;
        let used = entries.clock;
        if let Some(replaced) = entries.modules.insert(key, Entry { module, bytes, used }) {
            entries.bytes -= replaced.bytes;
            forgotten.push(replaced);
        }
        entries.bytes += bytes;
        while entries.bytes > self.budget {
            let oldest = entries.modules.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            let Some(entry) = oldest.and_then(|key| entries.modules.remove(&key)) else { break };
            entries.bytes -= entry.bytes;
            forgotten.push(entry);
        }
        drop(entries);
        // Code may be freed here, which takes its time.
        drop(forgotten);
    }
}

impl std::fmt::Debug for WasmCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmCache").field("budget", &self.budget).finish_non_exhaustive()
    }
}
