//! Static files of an app: the manifest that names them, the rules of `_headers` and `_redirects`, and the decision
//! which file answers which path.
//!
//! The command line makes a [`Manifest`] of a folder, the control plane checks it, and nodes turn it into a [`Site`] that
//! decides for requests. What is decided is what Cloudflare Workers document of static assets. No I/O.

mod globs;
mod headers;
mod html;
mod kinds;
mod manifest;
mod pattern;
mod redirects;
mod site;

pub use globs::{Globs, is_worker_first};
pub use headers::{HeaderRule, MAX_HEADER_LINE, MAX_HEADER_RULES, parse_headers};
pub use kinds::{content_type, is_compressible};
pub use manifest::{File, MAX_FILE, MAX_FILES, MAX_MANIFEST, Manifest, ManifestError};
pub use pattern::{Pattern, PatternError};
pub use redirects::{
    MAX_DYNAMIC_REDIRECTS, MAX_REDIRECT_LINE, MAX_STATIC_REDIRECTS, Redirect, STATUSES, parse_redirects,
};
pub use site::{Asked, Decision, Site};

/// Something in `_headers` or `_redirects` is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RuleError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what would be right.
    pub problem: String,
}
