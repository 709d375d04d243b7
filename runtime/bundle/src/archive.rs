//! The archive format of a bundle, and the checks that every archive passes before it is used.
//!
//! Canonical encoding: the magic `ATOLLB1\n`, the length of the header (u32, little endian), the header (JSON with the
//! entry point, compatibility settings and the table of modules), then the modules' bytes one after another in the
//! table's order. On the wire and on disk it is gzip-compressed; the [hash](crate::BundleHash) is of the uncompressed form, so that it
//! does not depend on a compressor.

use std::collections::HashSet;
use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::{Bundle, BundleHash, Module, ModuleKind};

const MAGIC: &[u8; 8] = b"ATOLLB1\n";

/// What a bundle may be at most.
#[derive(Clone, Copy, Debug)]
pub struct BundleLimits {
    /// Compressed archive, bytes. Default 10 MiB.
    pub compressed: usize,
    /// Canonical encoding, bytes. Default 64 MiB.
    pub uncompressed: usize,
    /// One module, bytes. Default 32 MiB.
    pub module: usize,
    /// Number of modules. Default 10,000.
    pub modules: usize,
}

impl Default for BundleLimits {
    fn default() -> Self {
        Self { compressed: 10 << 20, uncompressed: 64 << 20, module: 32 << 20, modules: 10_000 }
    }
}

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The archive does not start with the magic, ends early, or has bytes left over.
    #[error("the bundle is not a valid archive: {0}")]
    Malformed(String),
    /// A limit of [`BundleLimits`] was passed.
    #[error("{what} is {size} bytes; the limit is {limit}")]
    TooLarge {
        /// What is too large: the archive, or a module by name.
        what: String,
        /// Its size in bytes, or a lower bound of it.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// There are too many modules.
    #[error("the bundle has {count} modules; the limit is {limit}")]
    TooManyModules {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A module's name or content breaks a rule.
    #[error("module {name:?}: {problem}")]
    Module {
        /// The module's name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The content does not have the hash it was announced with.
    #[error("the bundle's content has hash {actual}, but {expected} was announced; upload it again")]
    HashMismatch {
        /// The announced hash.
        expected: BundleHash,
        /// The hash of the content.
        actual: BundleHash,
    },
}

impl BundleError {
    /// A stable word for logs and API errors.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "bundle-malformed",
            Self::TooLarge { .. } => "bundle-too-large",
            Self::TooManyModules { .. } => "bundle-too-many-modules",
            Self::Module { .. } => "bundle-module-invalid",
            Self::HashMismatch { .. } => "bundle-hash-mismatch",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    main: String,
    compatibility_date: String,
    compatibility_flags: Vec<String>,
    modules: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    kind: ModuleKind,
    size: usize,
}

impl Bundle {
    /// The canonical encoding, whose SHA-256 is the bundle's name. Modules must be sorted by name.
    pub fn encode(&self) -> Vec<u8> {
        let header = Header {
            main: self.main.clone(),
            compatibility_date: self.compatibility_date.clone(),
            compatibility_flags: self.compatibility_flags.clone(),
            modules: self
                .modules
                .iter()
                .map(|m| Entry { name: m.name.clone(), kind: m.kind, size: m.content.len() })
                .collect(),
        };
        let header = serde_json::to_vec(&header).expect("a header has only strings and numbers");
        let total = self.modules.iter().map(|m| m.content.len()).sum::<usize>();
        let mut out = Vec::with_capacity(12 + header.len() + total);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&u32::try_from(header.len()).expect("a header is far below 4 GiB").to_le_bytes());
        out.extend_from_slice(&header);
        for module in &self.modules {
            out.extend_from_slice(&module.content);
        }
        out
    }

    /// The archive as uploaded and stored (gzip of the canonical encoding), and the bundle's hash.
    pub fn pack(&self) -> (Bytes, BundleHash) {
        let canonical = self.encode();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&canonical).expect("writing to memory");
        (gzip.finish().expect("writing to memory").into(), BundleHash::of(&canonical))
    }

    /// Reads an archive made by [`pack`](Self::pack): decompresses it within `limits`, checks that its hash is
    /// `expected` when that is given, and [validates](Self::validate) it. Never panics, whatever the bytes.
    pub fn unpack(
        archive: &[u8],
        expected: Option<BundleHash>,
        limits: &BundleLimits,
    ) -> Result<(Self, BundleHash), BundleError> {
        let too_large = |size, limit| BundleError::TooLarge { what: "the bundle".into(), size, limit };
        if archive.len() > limits.compressed {
            return Err(too_large(archive.len(), limits.compressed));
        }
        let mut canonical = Vec::new();
        GzDecoder::new(archive)
            .take(limits.uncompressed as u64 + 1)
            .read_to_end(&mut canonical)
            .map_err(|error| BundleError::Malformed(format!("gzip: {error}")))?;
        if canonical.len() > limits.uncompressed {
            return Err(too_large(canonical.len(), limits.uncompressed));
        }
        let actual = BundleHash::of(&canonical);
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            return Err(BundleError::HashMismatch { expected, actual });
        }
        let bundle = Self::decode(Bytes::from(canonical))?;
        bundle.validate(limits)?;
        Ok((bundle, actual))
    }

    fn decode(canonical: Bytes) -> Result<Self, BundleError> {
        let malformed = |problem: &str| BundleError::Malformed(problem.into());
        let prefix =
            canonical.get(..12).filter(|p| p.starts_with(MAGIC)).ok_or_else(|| malformed("no bundle magic"))?;
        let header_len = u32::from_le_bytes([prefix[8], prefix[9], prefix[10], prefix[11]]) as usize;
        let header = canonical.get(12..12 + header_len).ok_or_else(|| malformed("ends within the header"))?;
        let header: Header =
            serde_json::from_slice(header).map_err(|error| BundleError::Malformed(format!("header: {error}")))?;
        let mut offset = 12 + header_len;
        let mut modules = Vec::with_capacity(header.modules.len());
        for entry in header.modules {
            let end = offset.checked_add(entry.size).filter(|end| *end <= canonical.len());
            let end = end.ok_or_else(|| malformed("ends within a module"))?;
            modules.push(Module { name: entry.name, kind: entry.kind, content: canonical.slice(offset..end) });
            offset = end;
        }
        if offset != canonical.len() {
            return Err(malformed("has bytes after the last module"));
        }
        Ok(Self {
            main: header.main,
            compatibility_date: header.compatibility_date,
            compatibility_flags: header.compatibility_flags,
            modules,
        })
    }

    /// Checks names, kinds, order and sizes. A bundle that passes can be given to an isolate; whether its code compiles
    /// is the engine's to say.
    pub fn validate(&self, limits: &BundleLimits) -> Result<(), BundleError> {
        if self.modules.len() > limits.modules {
            return Err(BundleError::TooManyModules { count: self.modules.len(), limit: limits.modules });
        }
        let mut seen = HashSet::new();
        let mut previous = "";
        for module in &self.modules {
            let wrong = |problem: &str| BundleError::Module { name: module.name.clone(), problem: problem.into() };
            if module.content.len() > limits.module {
                return Err(BundleError::TooLarge {
                    what: format!("module {:?}", module.name),
                    size: module.content.len(),
                    limit: limits.module,
                });
            }
            let bad_segment = |segment: &str| segment.is_empty() || segment == "." || segment == "..";
            if module.name.len() > 1024 || module.name.split('/').any(bad_segment) {
                return Err(wrong("the name must be a relative path of at most 1,024 bytes without . or .. segments"));
            }
            if module.name.chars().any(|c| c.is_control() || c == '\\') {
                return Err(wrong("the name has a control character or a backslash"));
            }
            if !seen.insert(module.name.as_str()) {
                return Err(wrong("the name stands in the bundle twice"));
            }
            if module.name.as_str() < previous {
                return Err(wrong("modules are not sorted by name"));
            }
            previous = &module.name;
            let is_text = matches!(module.kind, ModuleKind::EsModule | ModuleKind::Json | ModuleKind::Text);
            if is_text && std::str::from_utf8(&module.content).is_err() {
                return Err(wrong("the content is not UTF-8"));
            }
        }
        match self.module(&self.main) {
            Some(module) if module.kind == ModuleKind::EsModule => Ok(()),
            Some(_) => {
                Err(BundleError::Module { name: self.main.clone(), problem: "the entry is no ES module".into() })
            }
            None => {
                Err(BundleError::Module { name: self.main.clone(), problem: "the entry is not in the bundle".into() })
            }
        }
    }
}
