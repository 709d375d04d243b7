//! Compiled code by bundle hash and module name, shared by the isolates of a process and kept on disk.
//!
//! V8's own check of a code cache compares little more than the source's length, so a cache is only ever found under the
//! content hash of its bundle, and it never comes from a tenant: bytecode is trusted input. A file is read only when it is
//! whole and was made by this very engine with these very flags and this very snapshot; else it is as if it were not there.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use atoll_bundle::BundleHash;
use deno_core::v8;

use crate::snapshot;
use crate::wasm_cache::WasmCache;

/// What a file begins with.
const MAGIC: &[u8; 8] = b"atollc03";

/// The compiled code of one bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Code {
    /// That of its modules, by name.
    pub(crate) modules: BTreeMap<String, Vec<u8>>,
    /// Its entry is [alone](crate::alone).
    pub(crate) alone: bool,
    /// The text of its entry is ASCII.
    pub(crate) ascii: bool,
    /// Its entry has a default export.
    pub(crate) default: bool,
}

/// Code caches within a budget of bytes. When the budget is passed, the bundles used longest ago are forgotten.
pub(crate) struct CodeCache {
    /// Compiled WebAssembly, within a budget of the same size.
    pub(crate) wasm: WasmCache,
    budget: usize,
    entries: Mutex<Entries>,
    directory: Option<PathBuf>,
}

#[derive(Default)]
struct Entries {
    clock: u64,
    bytes: usize,
    bundles: BTreeMap<BundleHash, Entry>,
    /// The bundles by their last use.
    by_use: BTreeMap<u64, BundleHash>,
    starts: CodeStarts,
}

struct Entry {
    code: Arc<Code>,
    /// It has the functions that requests call.
    seasoned: bool,
    used: u64,
    /// It has been asked for since its file was last marked as used.
    wanted: bool,
}

/// Where the compiled code of isolates that were started came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodeStarts {
    /// Starts with code that was in memory.
    pub memory: u64,
    /// Starts with code that was read from disk for them.
    pub disk: u64,
    /// Starts without any: the modules are compiled.
    pub none: u64,
}

fn size(code: &Code) -> usize {
    code.modules.values().map(Vec::len).sum()
}

impl Entries {
    fn get(&mut self, bundle: &BundleHash) -> Option<Arc<Code>> {
        let entry = self.bundles.get_mut(bundle)?;
        self.clock += 1;
        self.by_use.remove(&entry.used);
        self.by_use.insert(self.clock, *bundle);
        (entry.used, entry.wanted) = (self.clock, true);
        Some(entry.code.clone())
    }

    fn remove(&mut self, bundle: &BundleHash) -> Option<Arc<Code>> {
        let Entry { code, used, .. } = self.bundles.remove(bundle)?;
        self.by_use.remove(&used);
        self.bytes -= size(&code);
        Some(code)
    }

    fn insert(&mut self, bundle: BundleHash, code: Arc<Code>, seasoned: bool, budget: usize) {
        self.remove(&bundle);
        let bytes = size(&code);
        if bytes > budget {
            return;
        }
        while self.bytes + bytes > budget
            && let Some((_, oldest)) = self.by_use.first_key_value().map(|(used, hash)| (*used, *hash))
        {
            self.remove(&oldest);
        }
        self.clock += 1;
        self.bytes += bytes;
        self.by_use.insert(self.clock, bundle);
        self.bundles.insert(bundle, Entry { code, seasoned, used: self.clock, wanted: false });
    }
}

impl CodeCache {
    /// A cache of at most `budget` bytes in memory, which also keeps files in a directory when there is one.
    pub(crate) fn new(budget: usize, directory: Option<PathBuf>) -> Self {
        Self { wasm: WasmCache::new(budget), budget, entries: Mutex::default(), directory }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The code of the modules of a bundle that is being started. Reads it from disk when it is not in memory.
    pub(crate) fn code(&self, bundle: &BundleHash) -> Option<Arc<Code>> {
        {
            let mut entries = self.entries();
            if let Some(code) = entries.get(bundle) {
                entries.starts.memory += 1;
                return Some(code);
            }
        }
        let read = self.read(bundle);
        let mut entries = self.entries();
        let Some((code, seasoned)) = read else {
            entries.starts.none += 1;
            return None;
        };
        let code = Arc::new(code);
        entries.starts.disk += 1;
        entries.insert(*bundle, code.clone(), seasoned, self.budget);
        if let Some(entry) = entries.bundles.get_mut(bundle) {
            entry.wanted = true;
        }
        Some(code)
    }

    /// The code of one module of a bundle that runs, when it is in memory.
    pub(crate) fn module(&self, bundle: &BundleHash, module: &str) -> Option<Vec<u8>> {
        self.entries().get(bundle)?.modules.get(module).cloned()
    }

    /// Where the code of what was started came from.
    pub(crate) fn starts(&self) -> CodeStarts {
        self.entries().starts
    }

    /// How many bytes of code are in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.entries().bytes
    }

    /// Whether there is code for a bundle, in memory or on disk. What is on disk stays there.
    pub(crate) fn has(&self, bundle: &BundleHash) -> bool {
        self.entries().bundles.contains_key(bundle) || self.read(bundle).is_some()
    }

    /// Reads code of bundles from disk into memory, at most that of `most` and `budget` bytes; that used last goes first.
    /// Returns those whose code is in memory now.
    pub(crate) fn recall(&self, bundles: &HashSet<BundleHash>, most: usize, budget: usize) -> Vec<BundleHash> {
        let Some(directory) = &self.directory else { return Vec::new() };
        let mut files = Vec::new();
        for entry in fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
            if let Some(hash) = entry.file_name().to_str().and_then(|name| name.parse::<BundleHash>().ok())
                && bundles.contains(&hash)
                && let Ok(used) = entry.metadata().and_then(|metadata| metadata.modified())
            {
                files.push((used, hash));
            }
        }
        files.sort_unstable_by(|a, b| b.cmp(a));
        let (mut left, mut recalled) = (budget.min(self.budget), Vec::new());
        for (_, hash) in files.into_iter().take(most) {
            if !self.entries().bundles.contains_key(&hash) {
                let Some((code, seasoned)) = self.read(&hash) else { continue };
                let Some(rest) = left.checked_sub(size(&code)) else { break };
                left = rest;
                self.entries().insert(hash, Arc::new(code), seasoned, self.budget);
            }
            recalled.push(hash);
        }
        recalled
    }

    fn read(&self, bundle: &BundleHash) -> Option<(Code, bool)> {
        let path = self.path(bundle)?;
        let read = decode(&fs::read(&path).ok()?, engine_tag());
        if read.is_none() {
            tracing::debug!(path = %path.display(), "compiled code of another engine or a torn file is removed");
            let _ = fs::remove_file(&path);
        }
        read
    }

    /// Adds the code of one module, in memory.
    pub(crate) fn put(&self, bundle: &BundleHash, module: &str, code: &[u8]) {
        let mut entries = self.entries();
        // Copied only while somebody reads it: a bundle may have thousands of modules, and all isolates wait meanwhile.
        let mut all = entries.remove(bundle).map(Arc::unwrap_or_clone).unwrap_or_default();
        all.modules.insert(module.to_owned(), code.to_vec());
        entries.insert(*bundle, Arc::new(all), false, self.budget);
    }

    /// Adds the code of a bundle, in memory. It lacks what requests call.
    pub(crate) fn put_all(&self, bundle: &BundleHash, code: Code) {
        self.entries().insert(*bundle, Arc::new(code), false, self.budget);
    }

    /// Whether the code of a bundle, which is there, lacks the functions that requests call. Says so once.
    pub(crate) fn wants_seasoning(&self, bundle: &BundleHash) -> bool {
        self.entries().bundles.get_mut(bundle).is_some_and(|entry| !std::mem::replace(&mut entry.seasoned, true))
    }

    /// Keeps the code of a bundle, in memory and on disk; `seasoned` when it has the functions that requests call.
    pub(crate) fn keep(&self, bundle: &BundleHash, code: Code, seasoned: bool) {
        if let Some(path) = self.path(bundle)
            && let Err(error) = write(&path, &encode(&code, seasoned, engine_tag()))
        {
            tracing::warn!(%error, path = %path.display(), "compiled code could not be written");
        }
        self.entries().insert(*bundle, Arc::new(code), seasoned, self.budget);
    }

    /// Deletes the files of bundles that are not needed, and marks those that were used since the last time: a process after
    /// this one [recalls](Self::recall) them first.
    pub(crate) fn sweep(&self, needed: &dyn Fn(&BundleHash) -> bool) {
        let Some(directory) = &self.directory else { return };
        let mut wanted = Vec::new();
        for (hash, entry) in &mut self.entries().bundles {
            wanted.extend(std::mem::take(&mut entry.wanted).then_some(*hash));
        }
        for path in wanted.iter().filter_map(|hash| self.path(hash)) {
            // Of code that is in memory only there is no file.
            let _ = fs::File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
        }
        for entry in fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
            let hash = entry.file_name().to_str().and_then(|name| name.parse::<BundleHash>().ok());
            if hash.is_none_or(|hash| !needed(&hash)) {
                // It is tried again with the next sweep.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn path(&self, bundle: &BundleHash) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join(bundle.to_string()))
    }
}

/// Stands for V8's version, its flags and the snapshot of which all isolates share a part: V8 refuses code that was compiled
/// beside another one.
fn engine_tag() -> u64 {
    snapshot::S0_TAG ^ u64::from(v8::script_compiler::cached_data_version_tag())
}

/// A file is whole or not there, but may be lost with the power: it can be made again.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let temporary = path.with_extension("new");
    fs::write(&temporary, content)?;
    fs::rename(&temporary, path)
}

/// What is said of a bundle's code, in one byte.
const SEASONED: u8 = 1;
const ALONE: u8 = 2;
const ASCII: u8 = 4;
const DEFAULT: u8 = 8;

/// Magic, tag, what is said in one byte, then name and code of each module with their lengths before them, then the
/// SHA-256 of all that.
fn encode(code: &Code, seasoned: bool, tag: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(size(code) + 64 * (code.modules.len() + 1));
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&tag.to_le_bytes());
    let said = [(seasoned, SEASONED), (code.alone, ALONE), (code.ascii, ASCII), (code.default, DEFAULT)];
    out.push(said.into_iter().filter(|(holds, _)| *holds).fold(0, |byte, (_, bit)| byte | bit));
    for (name, code) in &code.modules {
        for part in [name.as_bytes(), code] {
            out.extend_from_slice(&(part.len() as u64).to_le_bytes());
            out.extend_from_slice(part);
        }
    }
    let hash = BundleHash::of(&out);
    out.extend_from_slice(hash.as_bytes());
    out
}

fn decode(file: &[u8], tag: u64) -> Option<(Code, bool)> {
    let (content, hash) = file.split_at_checked(file.len().checked_sub(32)?)?;
    let rest = content.strip_prefix(MAGIC)?.strip_prefix(&tag.to_le_bytes())?;
    if BundleHash::of(content).as_bytes() != hash {
        return None;
    }
    let (said, mut rest) = rest.split_first()?;
    let mut part = || {
        let (length, after) = rest.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (part, after) = after.split_at_checked(length)?;
        rest = after;
        Some(part)
    };
    let is = |bit| said & bit != 0;
    let mut code = Code { modules: BTreeMap::new(), alone: is(ALONE), ascii: is(ASCII), default: is(DEFAULT) };
    while let Some(name) = part() {
        code.modules.insert(String::from_utf8(name.to_vec()).ok()?, part()?.to_vec());
    }
    Some((code, is(SEASONED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl CodeCache {
        fn get(&self, bundle: &BundleHash, module: &str) -> Option<Vec<u8>> {
            self.code(bundle)?.modules.get(module).cloned()
        }

        fn in_memory(&self, bundle: &BundleHash) -> bool {
            self.entries().bundles.contains_key(bundle)
        }
    }

    /// Four bytes of code of a module `m`.
    fn code(byte: u8) -> Code {
        Code { modules: [("m".to_owned(), vec![byte; 4])].into(), ..Code::default() }
    }

    #[test]
    fn keeps_to_its_budget_and_forgets_what_was_used_longest_ago() {
        let [a, b, c] = ["a", "b", "c"].map(|name| BundleHash::of(name.as_bytes()));
        let cache = CodeCache::new(10, None);
        cache.put(&a, "m", &[1; 4]);
        cache.put(&b, "m", &[2; 4]);
        assert_eq!(cache.get(&a, "m"), Some(vec![1; 4]));
        cache.put(&c, "m", &[3; 4]);
        assert_eq!(cache.get(&b, "m"), None);
        assert_eq!((cache.get(&a, "m"), cache.get(&c, "m")), (Some(vec![1; 4]), Some(vec![3; 4])));
        cache.put(&a, "n", &[4; 8]);
        assert!(!cache.has(&a), "one bundle alone cannot pass the budget either");
        assert!(cache.has(&c));
    }

    #[test]
    fn a_file_is_read_only_when_it_is_whole_and_of_this_engine() {
        let modules = [("a".to_owned(), vec![1, 2, 3]), ("b/c.js".to_owned(), vec![])].into();
        let code = Code { modules, alone: true, ascii: true, default: true };
        for bits in 0..16 {
            let [alone, ascii, default, seasoned] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            let code = Code { alone, ascii, default, ..code.clone() };
            assert_eq!(decode(&encode(&code, seasoned, 7), 7), Some((code, seasoned)));
        }
        let file = encode(&code, true, 7);
        assert_eq!(decode(&file, 7), Some((code, true)));
        assert_eq!(decode(&file, 8), None);
        assert!((0..file.len()).all(|length| decode(&file[..length], 7).is_none()));
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged, 7), None, "byte {at}");
        }
    }

    #[test]
    fn what_is_on_disk_is_there_after_a_restart_until_it_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| BundleHash::of(name.as_bytes()));
        let open = || CodeCache::new(100, Some(directory.path().join("code")));
        let cache = open();
        cache.keep(&a, code(1), false);
        cache.keep(&b, code(2), true);
        let cache = open();
        assert_eq!(cache.get(&a, "m"), Some(vec![1; 4]));
        assert!(cache.has(&b));
        assert!(cache.wants_seasoning(&a) && !cache.wants_seasoning(&a) && !cache.wants_seasoning(&b));
        open().sweep(&|hash| *hash == a);
        assert!(open().has(&a));
        assert!(!open().has(&b));
    }

    #[test]
    fn what_was_used_last_is_recalled_within_the_budget() {
        let directory = tempfile::tempdir().unwrap();
        let hashes = ["a", "b", "c", "d"].map(|name| BundleHash::of(name.as_bytes()));
        let [a, b, c, d] = hashes;
        let path = directory.path().join("code");
        let open = || CodeCache::new(100, Some(path.clone()));
        let cache = open();
        for hash in [a, b, c] {
            cache.keep(&hash, code(1), false);
            let old = SystemTime::now() - std::time::Duration::from_secs(3600);
            fs::File::open(path.join(hash.to_string())).unwrap().set_modified(old).unwrap();
        }
        let cache = open();
        assert!(cache.has(&a) && !cache.in_memory(&a), "to be asked about costs no memory");
        assert!(cache.get(&b, "m").is_some());
        assert!(cache.code(&d).is_none());
        assert_eq!(cache.starts(), CodeStarts { memory: 0, disk: 1, none: 1 });
        cache.sweep(&|_| true);

        let cache = open();
        let hashes = HashSet::from(hashes);
        assert_eq!(cache.recall(&hashes, 9, 7), [b], "that of d is not there, and there is room for one");
        assert!(cache.in_memory(&b) && cache.bytes() == 4);
        assert_eq!(cache.recall(&hashes, 1, 100), [b]);
        assert!(cache.recall(&HashSet::from([d]), 9, 100).is_empty(), "others are not wanted");
        let all = cache.recall(&hashes, 9, 100);
        assert_eq!((all.len(), all[0], cache.bytes()), (3, b, 12));
        assert!(cache.get(&a, "m").is_some());
        assert_eq!(cache.starts(), CodeStarts { memory: 1, disk: 0, none: 0 });
        assert_eq!(cache.module(&c, "m"), Some(vec![1; 4]));
    }
}
