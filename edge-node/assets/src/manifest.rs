//! The manifest of a version's static files: what is at which path, and the rules. It is an object by its hash as the
//! files themselves are, so that a version's settings stay small and versions share what they have in common.

use std::collections::{BTreeMap, HashSet};

use atoll_bundle::BundleHash;
use serde::{Deserialize, Serialize};

use crate::headers::{self, HeaderRule, MAX_HEADER_RULES};
use crate::redirects::{self, MAX_DYNAMIC_REDIRECTS, MAX_STATIC_REDIRECTS, Redirect};

/// The most files of a version.
pub const MAX_FILES: usize = 20_000;
/// The most bytes of a file: 25 MiB.
pub const MAX_FILE: u64 = 25 << 20;
/// The most bytes of a manifest: 16 MiB.
pub const MAX_MANIFEST: usize = 16 << 20;
/// The most bytes of a path.
const MAX_PATH: usize = 1024;

/// The static files of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What is at which path: `/` and the file's path in the folder, not percent-encoded.
    pub files: BTreeMap<String, File>,
    /// The rules of `_headers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderRule>,
    /// The rules of `_redirects`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<Redirect>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// SHA-256 of its content.
    pub hash: BundleHash,
    /// Its bytes.
    pub size: u64,
    /// Its media type; `application/octet-stream` when it is not known.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
#[error("the manifest of the static files cannot be used: {0}")]
pub struct ManifestError(pub String);

impl Manifest {
    /// Its bytes, whose SHA-256 is its name.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest has string keys only")
    }

    /// Reads one and checks all of it.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST {
            return Err(ManifestError(format!("it has {} bytes; the limit is {MAX_MANIFEST}", bytes.len())));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| ManifestError(error.to_string()))?;
        manifest.validate().map_err(ManifestError)?;
        Ok(manifest)
    }

    fn validate(&self) -> Result<(), String> {
        if self.files.len() > MAX_FILES {
            return Err(format!("it has {} files; the limit is {MAX_FILES}", self.files.len()));
        }
        for (path, file) in &self.files {
            let shown: String = path.chars().take(120).collect();
            let bad = |segment: &str| matches!(segment, "" | "." | "..");
            let names = path.strip_prefix('/').ok_or_else(|| format!("{shown:?} does not begin with /"))?;
            if path.len() > MAX_PATH || names.split('/').any(bad) || path.chars().any(char::is_control) {
                return Err(format!("{shown:?} is no path of a file; it has at most {MAX_PATH} bytes and no . or .."));
            }
            if file.size > MAX_FILE {
                return Err(format!("{shown:?} has {} bytes; the limit is {MAX_FILE}", file.size));
            }
            if let Some(kind) = &file.kind
                && (kind.len() > 256 || http::HeaderValue::from_str(kind).is_err())
            {
                return Err(format!("the media type of {shown:?} is none that a header can have"));
            }
        }
        if self.headers.len() > MAX_HEADER_RULES {
            return Err(format!("it has {} rules for headers; the limit is {MAX_HEADER_RULES}", self.headers.len()));
        }
        let most = MAX_STATIC_REDIRECTS + MAX_DYNAMIC_REDIRECTS;
        if self.redirects.len() > most {
            return Err(format!("it has {} redirects; the limit is {most}", self.redirects.len()));
        }
        for rule in &self.headers {
            headers::Compiled::new(rule)?;
        }
        let mut dynamic = 0;
        for rule in &self.redirects {
            dynamic += usize::from(redirects::Compiled::new(rule)?.pattern.fixed().is_none());
        }
        if dynamic > MAX_DYNAMIC_REDIRECTS {
            return Err(format!("it has {dynamic} redirects with placeholders; the limit is {MAX_DYNAMIC_REDIRECTS}"));
        }
        Ok(())
    }

    /// The objects that it names, each once, with their sizes.
    pub fn objects(&self) -> Vec<(BundleHash, u64)> {
        let mut seen = HashSet::new();
        self.files.values().filter(|file| seen.insert(file.hash)).map(|file| (file.hash, file.size)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: u64) -> File {
        File { hash: BundleHash::of(b"x"), size, kind: None }
    }

    #[test]
    fn a_manifest_survives_its_encoding_and_shares_objects() {
        let mut manifest = Manifest::default();
        manifest.files.insert("/a".into(), file(1));
        manifest.files.insert("/b/c.txt".into(), file(1));
        manifest.redirects.push(Redirect { from: "/x".into(), to: "/y".into(), status: 301 });
        assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), manifest);
        assert_eq!(manifest.objects().len(), 1);
    }

    #[test]
    fn what_no_client_of_ours_would_write_is_refused() {
        for path in ["a", "/", "/a//b", "/../a", "/a/.", "/a\nb", &format!("/{}", "x".repeat(2000))] {
            let mut manifest = Manifest::default();
            manifest.files.insert(path.into(), file(1));
            assert!(Manifest::decode(&manifest.encode()).is_err(), "{path}");
        }
        let mut manifest = Manifest::default();
        manifest.files.insert("/a".into(), file(MAX_FILE + 1));
        assert!(Manifest::decode(&manifest.encode()).is_err());
        let mut manifest = Manifest::default();
        manifest.redirects.push(Redirect { from: "/a".into(), to: "/b".into(), status: 200 + 204 });
        assert!(Manifest::decode(&manifest.encode()).is_err());
        assert!(Manifest::decode(b"{}").is_err() && Manifest::decode(b"[").is_err());
    }
}
