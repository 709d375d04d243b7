//! What is deployed: the modules of a project, their kinds, and the hash that names them.
//!
//! A [`Bundle`] is immutable and content-addressed: its [`BundleHash`] is the SHA-256 of its canonical encoding
//! ([`encode`](Bundle::encode)). This crate does no I/O and knows nothing of V8 or of the control plane.

mod archive;
#[cfg(test)]
mod archive_tests;
mod hash;

pub use archive::{BundleError, BundleLimits};
pub use hash::{BundleHash, ParseHashError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The kind of a module: how the runtime turns its bytes into an ES module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModuleKind {
    /// An ECMAScript module, UTF-8.
    EsModule,
    /// JSON, UTF-8; the default export is the parsed value.
    Json,
    /// Text, UTF-8; the default export is a string.
    Text,
    /// Any bytes; the default export is an `ArrayBuffer`.
    Data,
    /// WebAssembly binary format; the default export is a `WebAssembly.Module`.
    Wasm,
    /// A source map (revision 3) for the module whose name is this one's without the `.map` suffix. Not importable.
    SourceMap,
}

/// One module of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Path relative to the bundle's root with `/` separators, no leading `/`, no `.` or `..` segments, for example
    /// `src/index.js`. Unique within the bundle. Import specifiers resolve against it as URLs.
    pub name: String,
    /// How the bytes are to be read.
    pub kind: ModuleKind,
    /// The module's content.
    pub content: Bytes,
}

/// Everything an isolate needs to know of a version's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Name of the entry module; its kind is [`ModuleKind::EsModule`].
    pub main: String,
    /// The compatibility date of the project, `YYYY-MM-DD`.
    pub compatibility_date: String,
    /// Compatibility flags as in the project file, for example `nodejs_compat`.
    pub compatibility_flags: Vec<String>,
    /// All modules, sorted by name.
    pub modules: Vec<Module>,
}

impl Bundle {
    /// The module with this name.
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.modules.binary_search_by(|m| m.name.as_str().cmp(name)).ok().map(|i| &self.modules[i])
    }
}
