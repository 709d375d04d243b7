//! Resolves and loads the modules of a bundle.
//!
//! A module named `src/index.js` has the URL `file:///src/index.js`, so that relative specifiers resolve as the URL
//! standard says. Modules that are not JavaScript are loaded as a small JavaScript facade which imports the same URL with
//! a `type` attribute and re-exports its default: an import needs no attribute, as on Workers, and may have one.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;

use atoll_bundle::{Bundle, BundleHash, Module, ModuleKind};
use atoll_node::Compatibility;
use deno_core::v8;
use deno_core::{
    CustomModuleEvaluationKind, FastString, ModuleLoadOptions, ModuleLoadReferrer, ModuleLoadResponse, ModuleLoader,
    ModuleResolveResponse, ModuleSource, ModuleSourceCode, ModuleSpecifier, ModuleType, RequestedModuleType,
    ResolutionKind, SourceCodeCacheInfo,
};
use deno_error::JsErrorBox;

use crate::alone::has_import;
use crate::builtins::{Builtins, NODE, NodeGlobals, builtin_url, facade};
use crate::code_cache::{Code, CodeCache};
use crate::core::thrown;
use crate::platform_modules;
use crate::shared;
use crate::source_map;

/// Modules from this size on, in bytes, have their code cached when they are first compiled. Smaller ones have it only when
/// it was made ahead of time.
const CACHED_FROM: usize = 8 << 10;

const DATA: &str = "atoll-data";
const WASM: &str = "atoll-wasm";

/// The URL of a bundle's module.
pub(crate) fn module_url(name: &str) -> ModuleSpecifier {
    let mut url = ModuleSpecifier::parse("file:///").expect("a constant");
    url.set_path(name);
    url
}

/// A loader that is made with its isolate and is given the bundle when the isolate is claimed.
///
/// **Invariant**: it outlives the isolate, and keeps the bundle it was given first, whose text the isolate's heap refers to.
#[derive(Default)]
pub(crate) struct BundleLoader {
    loaded: OnceCell<Loaded>,
    /// The graph of the entry is loaded, or has failed to.
    gives_maps: Cell<bool>,
    /// A source map was asked for before.
    withheld: Cell<bool>,
}

struct Loaded {
    bundle: Arc<Bundle>,
    hash: BundleHash,
    cache: Arc<CodeCache>,
    /// The compiled code, until the entry's graph is loaded.
    code: RefCell<Option<Arc<Code>>>,
    compatibility: Compatibility,
    globals: NodeGlobals,
}

/// An entry that is [alone](crate::alone), or may be if it has no code.
pub(crate) struct Alone {
    pub(crate) text: FastString,
    name: String,
    ascii: bool,
    code: Option<Arc<Code>>,
}

impl Alone {
    /// Its compiled code.
    pub(crate) fn code(&self) -> Option<&[u8]> {
        self.code.as_ref()?.modules.get(&self.name).map(Vec::as_slice)
    }

    /// It has no code, and is large enough to have some.
    pub(crate) fn wants_code(&self) -> bool {
        self.code.is_none() && self.text.as_str().len() >= CACHED_FROM
    }

    /// Whether it is known to have a default export.
    pub(crate) fn has_default(&self) -> bool {
        self.code.as_ref().is_some_and(|code| code.default)
    }
}

impl BundleLoader {
    /// Gives it the bundle. A second one is ignored.
    pub(crate) fn set(&self, bundle: Arc<Bundle>, hash: BundleHash, cache: Arc<CodeCache>) {
        let (date, flags) = (&bundle.compatibility_date, bundle.compatibility_flags.iter().map(String::as_str));
        let compatibility = Compatibility::of(date, flags.clone());
        let timers = atoll_node::has_timers(date, flags);
        let globals = NodeGlobals { objects: compatibility == Compatibility::On, timers };
        let code = RefCell::new(cache.code(&hash));
        let _ = self.loaded.set(Loaded { bundle, hash, cache, code, compatibility, globals });
    }

    /// Lets go of the compiled code. Modules that are imported later find it in the cache, if it is there still.
    pub(crate) fn forget_code(&self) {
        if let Some(loaded) = self.loaded.get() {
            loaded.code.take();
        }
    }

    /// The entry, if it is [alone](crate::alone) as far as can be told before it is compiled.
    pub(crate) fn alone(&self) -> Option<Alone> {
        let loaded = self.loaded.get()?;
        let module = loaded.bundle.module(&loaded.bundle.main)?;
        let code = loaded.code.borrow().clone();
        let may_be = code.as_ref().map_or_else(|| !has_import(&module.content), |code| code.alone);
        if module.kind != ModuleKind::EsModule || !may_be {
            return None;
        }
        let ascii = code.as_ref().map_or_else(|| module.content.is_ascii(), |code| code.ascii);
        let text = match ascii {
            // SAFETY: it was looked at just now, or when the code of this very bundle was made. The loader outlives the isolate
            // and keeps the bundle, whose bytes nobody can change.
            true => unsafe { shared::known_ascii(&module.content) },
            false => FastString::from(std::str::from_utf8(&module.content).ok()?.to_owned()),
        };
        Some(Alone { text, name: module.name.clone(), ascii, code })
    }

    /// Keeps the code of an entry that turned out to be alone and had none, in memory.
    pub(crate) fn put_alone(&self, entry: &Alone, code: Vec<u8>) {
        if let Some(loaded) = self.loaded.get() {
            let modules = [(entry.name.clone(), code)].into();
            loaded.cache.put_all(&loaded.hash, Code { modules, alone: true, ascii: entry.ascii, default: false });
        }
    }

    /// Source maps are given from now on. Returns whether one was asked for and not given.
    ///
    /// While the engine loads a graph it looks up where each import stands, for a message that is hardly ever written;
    /// to read a map for that takes longer than all the rest of a start.
    pub(crate) fn give_maps(&self) -> bool {
        self.gives_maps.set(true);
        self.withheld.take()
    }

    /// How much of Node.js the worker has asked for.
    pub(crate) fn compatibility(&self) -> Compatibility {
        self.loaded.get().map(|loaded| loaded.compatibility).unwrap_or_default()
    }

    /// What of Node.js the worker finds on its global.
    pub(crate) fn node_globals(&self) -> NodeGlobals {
        self.loaded.get().map(|loaded| loaded.globals).unwrap_or_default()
    }

    fn with_module<R>(&self, url: &ModuleSpecifier, read: impl FnOnce(&Loaded, Option<&Module>) -> R) -> Option<R> {
        let loaded = self.loaded.get()?;
        let name = percent_decode(url.path().trim_start_matches('/'));
        Some(read(loaded, loaded.bundle.module(&name)))
    }

    fn compile<'s>(&self, scope: &mut v8::PinScope<'s, '_>, url: &str) -> Option<v8::Local<'s, v8::WasmModuleObject>> {
        let (cache, hash, module) = self.with_module(&ModuleSpecifier::parse(url).ok()?, |loaded, module| {
            Some((loaded.cache.clone(), loaded.hash, module?.clone()))
        })??;
        cache.wasm.module(scope, &hash, &module.name, &module.content)
    }

    fn load_module(
        &self,
        url: &ModuleSpecifier,
        requested: &RequestedModuleType,
        referrer: Option<&ModuleLoadReferrer>,
    ) -> Result<ModuleSource, JsErrorBox> {
        if let Some(names) = platform_modules::exports(url.as_str()) {
            return Ok(platform_modules::source(url, names, requested));
        }
        if let Some(name) = self.compatibility().module(url.as_str()) {
            return Ok(match requested {
                RequestedModuleType::Other(kind) if kind == NODE => {
                    let code = ModuleSourceCode::String(FastString::from_static(""));
                    ModuleSource::new(ModuleType::Other(Cow::Borrowed(NODE)), code, url, None)
                }
                _ => {
                    let code = facade(url, atoll_node::exports(name).unwrap_or_default());
                    let code = ModuleSourceCode::String(FastString::from(code));
                    ModuleSource::new(ModuleType::JavaScript, code, url, None)
                }
            });
        }
        let found = self.with_module(url, |loaded, module| {
            let module = module.filter(|module| module.kind != ModuleKind::SourceMap);
            module.map(|module| source_of(loaded, module, url, requested))
        });
        found.flatten().unwrap_or_else(|| {
            let name = url.path().trim_start_matches('/');
            let from = referrer
                .map(|r| format!(" (imported from {}:{})", r.specifier.path().trim_start_matches('/'), r.line_number));
            Err(JsErrorBox::type_error(format!("module {name:?} is not in the bundle{}", from.unwrap_or_default())))
        })
    }
}

impl Loaded {
    fn code_of(&self, module: &Module) -> Option<Cow<'static, [u8]>> {
        match &*self.code.borrow() {
            // SAFETY: the engine reads it while it compiles the module, and `code` is kept until the whole graph is.
            Some(code) => code.modules.get(&module.name).map(|code| Cow::Borrowed(unsafe { shared::bytes(code) })),
            None => self.cache.module(&self.hash, &module.name).map(Cow::Owned),
        }
    }
}

fn source_of(
    loaded: &Loaded,
    module: &Module,
    url: &ModuleSpecifier,
    requested: &RequestedModuleType,
) -> Result<ModuleSource, JsErrorBox> {
    let text = || -> Result<ModuleSourceCode, JsErrorBox> {
        let text = std::str::from_utf8(&module.content)
            .map_err(|_| JsErrorBox::type_error(format!("module {:?} is not UTF-8", module.name)))?;
        Ok(ModuleSourceCode::String(FastString::from(text.to_owned())))
    };
    let bytes = || ModuleSourceCode::Bytes(Box::<[u8]>::from(&module.content[..]).into());
    let facade = |attribute: &str| {
        let specifier = serde_json::to_string(url.as_str()).expect("a string");
        let code = format!("import value from {specifier} with {{ type: \"{attribute}\" }}; export default value;");
        ModuleSource::new(ModuleType::JavaScript, ModuleSourceCode::String(FastString::from(code)), url, None)
    };
    let (kind, code) = match (module.kind, requested) {
        (ModuleKind::EsModule, RequestedModuleType::None) => {
            // The key stands for the content, since the cache is kept under the bundle's hash; V8 only compares lengths.
            let data = loaded.code_of(module);
            let cache = (data.is_some() || module.content.len() >= CACHED_FROM)
                .then_some(SourceCodeCacheInfo { hash: 0, data });
            // SAFETY: the loader outlives the isolate and keeps the bundle, whose bytes nobody can change.
            let shared = unsafe { shared::ascii(&module.content) };
            let code = shared.map_or_else(text, |code| Ok(ModuleSourceCode::String(code)))?;
            return Ok(ModuleSource::new(ModuleType::JavaScript, code, url, cache));
        }
        (ModuleKind::Json, RequestedModuleType::Json) => (ModuleType::Json, text()?),
        (ModuleKind::Text, RequestedModuleType::Text) => (ModuleType::Text, text()?),
        (ModuleKind::Data, RequestedModuleType::Bytes) => (ModuleType::Bytes, bytes()),
        (ModuleKind::Data, RequestedModuleType::Other(kind)) if kind == DATA => {
            (ModuleType::Other(Cow::Borrowed(DATA)), bytes())
        }
        (ModuleKind::Wasm, RequestedModuleType::Other(kind)) if kind == WASM => {
            // Compiled from the bundle's own bytes, when it is not compiled yet.
            (ModuleType::Other(Cow::Borrowed(WASM)), ModuleSourceCode::Bytes(Box::<[u8]>::default().into()))
        }
        (ModuleKind::Json, RequestedModuleType::None) => return Ok(facade("json")),
        (ModuleKind::Text, RequestedModuleType::None) => return Ok(facade("text")),
        (ModuleKind::Data, RequestedModuleType::None) => return Ok(facade(DATA)),
        (ModuleKind::Wasm, RequestedModuleType::None) => return Ok(facade(WASM)),
        (kind, requested) => {
            let message = format!("module {:?} is {kind:?} and cannot be imported as {requested}", module.name);
            return Err(JsErrorBox::type_error(message));
        }
    };
    Ok(ModuleSource::new(kind, code, url, None))
}

impl ModuleLoader for BundleLoader {
    fn resolve(&self, specifier: &str, referrer: &str, _kind: ResolutionKind) -> ModuleResolveResponse {
        if self.loaded.get().is_none() {
            // The rehearsal, which no worker can import.
            return ModuleSpecifier::parse(specifier).map_err(JsErrorBox::from_err);
        }
        let relative = specifier.starts_with("./") || specifier.starts_with("../") || specifier.starts_with('/');
        if relative {
            let base = ModuleSpecifier::parse(referrer).unwrap_or_else(|_| module_url(""));
            return base.join(specifier).map_err(|error| {
                JsErrorBox::type_error(format!("import specifier {specifier:?} in {referrer} is not a URL: {error}"))
            });
        }
        if specifier.starts_with("file:///") || platform_modules::exports(specifier).is_some() {
            return ModuleSpecifier::parse(specifier).map_err(JsErrorBox::from_err);
        }
        let url = module_url(specifier);
        if self.with_module(&url, |_, module| module.is_some()) == Some(true) {
            return Ok(url);
        }
        if let Some(url) = ModuleSpecifier::parse(specifier).ok().filter(|url| url.scheme() == "file") {
            return Ok(url);
        }
        let compatibility = self.compatibility();
        if let Some(name) = compatibility.module(specifier) {
            return Ok(builtin_url(name));
        }
        let from = referrer.strip_prefix("file:///").unwrap_or(referrer);
        let advice = if Compatibility::On.module(specifier).is_some() {
            "; the compatibility flag \"nodejs_compat\" offers it"
        } else if atoll_node::is_known(specifier.strip_prefix("node:").unwrap_or(specifier)) {
            "; this module of Node.js is not available"
        } else if specifier.starts_with("cloudflare:") {
            "; this built-in module is not available"
        } else {
            "; packages must be bundled at deploy time"
        };
        Err(JsErrorBox::type_error(format!("import {specifier:?} in {from} does not resolve to a module{advice}")))
    }

    fn load(
        &self,
        specifier: &ModuleSpecifier,
        referrer: Option<&ModuleLoadReferrer>,
        options: ModuleLoadOptions,
    ) -> ModuleLoadResponse {
        ModuleLoadResponse::Sync(self.load_module(specifier, &options.requested_module_type, referrer))
    }

    fn code_cache_ready(
        &self,
        specifier: ModuleSpecifier,
        _hash: u64,
        code_cache: &[u8],
    ) -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
        self.with_module(&specifier, |loaded, module| {
            if let Some(module) = module {
                loaded.cache.put(&loaded.hash, &module.name, code_cache);
            }
        });
        Box::pin(std::future::ready(()))
    }

    fn get_source_map(&self, file_name: &str) -> Option<Cow<'_, [u8]>> {
        let url = ModuleSpecifier::parse(&format!("{file_name}.map")).ok()?;
        if !self.gives_maps.get() {
            self.withheld.set(true);
            return None;
        }
        let map = |module: &Module| (module.kind == ModuleKind::SourceMap).then(|| source_map::fit(&module.content));
        self.with_module(&url, |_, module| module.and_then(map)).flatten().flatten().map(Cow::Owned)
    }

    fn source_map_source_exists(&self, _source_url: &str) -> Option<bool> {
        Some(true)
    }
}

/// Evaluates the module types that are Atoll's own: built-in modules to their exports, data to an `ArrayBuffer`,
/// WebAssembly to a `WebAssembly.Module`.
pub(crate) fn evaluate_custom_module(
    loader: &BundleLoader,
    builtins: &Builtins,
    scope: &mut v8::PinScope<'_, '_>,
    kind: Cow<'_, str>,
    url: &FastString,
    code: ModuleSourceCode,
) -> Result<CustomModuleEvaluationKind, JsErrorBox> {
    if kind == NODE {
        return builtins.exports(scope, url.as_str()).map(CustomModuleEvaluationKind::Synthetic);
    }
    let name = || url.as_str().trim_start_matches("file:///").to_owned();
    let value: v8::Local<'_, v8::Value> = match kind.as_ref() {
        DATA => {
            let store = v8::ArrayBuffer::new_backing_store_from_vec(code.as_bytes().to_vec()).make_shared();
            v8::ArrayBuffer::with_backing_store(scope, &store).into()
        }
        WASM => {
            v8::tc_scope!(let scope, scope);
            match loader.compile(scope, url.as_str()) {
                Some(module) => module.into(),
                None => {
                    let reason = thrown(scope);
                    return Err(JsErrorBox::type_error(format!("module {:?} does not compile: {reason}", name())));
                }
            }
        }
        other => return Err(JsErrorBox::type_error(format!("module {:?} has an unknown type {other:?}", name()))),
    };
    Ok(CustomModuleEvaluationKind::Synthetic(v8::Global::new(scope, value)))
}

fn percent_decode(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let decoded = (byte == b'%')
            .then(|| tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match decoded {
            Some(value) => {
                out.push(value);
                rest = &tail[2..];
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}
