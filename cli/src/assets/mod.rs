//! The static files of a project: from a folder to a manifest, and to the files that it names.

mod ignore;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use atoll_assets::{
    File, MAX_FILE, MAX_FILES, MAX_MANIFEST, Manifest, RuleError, content_type, parse_headers, parse_redirects,
};
use atoll_bundle::BundleHash;
use atoll_protocol::config::AssetSettings;
use bytes::Bytes;

use self::ignore::Ignore;
use crate::project::Project;
use crate::project::assets::Assets;

/// The files of a folder that say how it is served, and are not served themselves.
const IGNORE: &str = ".assetsignore";
const HEADERS: &str = "_headers";
const REDIRECTS: &str = "_redirects";
/// The most bytes of each of them.
const MAX_RULES: u64 = 4 << 20;
/// Code of Cloudflare Pages, which would be readable for everyone.
const PAGES_WORKER: &str = "_worker.js";
/// Never served when the folder is the project's own: what it is made of, and its secrets.
const OF_THE_PROJECT: &str = "/wrangler.toml\n/wrangler.json\n/wrangler.jsonc\n/node_modules/\n.git/\n.wrangler/\n.atoll/\n\
                              /.dev.vars*\n/.env*\n";

/// Why the static files of a project cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// The folder.
    #[error("{file}: `assets.directory` is {directory:?}: {problem}")]
    Directory {
        /// The project file.
        file: String,
        /// The folder as it is written there.
        directory: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Too many or too large.
    #[error("{0}")]
    Limit(String),
    /// A rule in `_headers` or `_redirects`.
    #[error("{path}, {error}")]
    Rules {
        /// The file.
        path: String,
        /// Where and what.
        error: RuleError,
    },
    /// A file that cannot be served.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl AssetError {
    /// A stable word for machine-readable output.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "assets-directory",
            Self::Limit(_) => "assets-limit",
            Self::Rules { .. } => "assets-rules",
            Self::File { .. } => "assets-file",
        }
    }
}

/// A project's static files.
#[derive(Debug)]
pub struct Collected {
    /// What the version says of them.
    pub settings: AssetSettings,
    /// The manifest's bytes.
    pub manifest: Bytes,
    /// Where the contents are, by their hashes.
    pub files: BTreeMap<BundleHash, PathBuf>,
    /// How many paths there are.
    pub count: usize,
    /// Bytes of all contents.
    pub size: u64,
}

/// Hashes of files that were read before, by what tells that they have not changed.
#[derive(Debug, Default)]
pub struct Known(HashMap<PathBuf, (u64, SystemTime, BundleHash)>);

/// Reads the folder of a project's static files; `None` when it has none. Blocks.
pub fn collect(project: &Project, known: &mut Known) -> Result<Option<Collected>, AssetError> {
    let Some(assets) = &project.assets else { return Ok(None) };
    let folder = folder(project, assets)?;
    let shown = |name: &str| format!("{}/{name}", assets.directory.display());
    let rules = |name: &str| read_rules(&folder.join(name), &shown(name));
    let wrong = |name: &str| {
        let path = shown(name);
        move |error| AssetError::Rules { path, error }
    };
    let mut manifest = Manifest {
        files: BTreeMap::new(),
        headers: parse_headers(&rules(HEADERS)?).map_err(wrong(HEADERS))?,
        redirects: parse_redirects(&rules(REDIRECTS)?).map_err(wrong(REDIRECTS))?,
    };
    // The last pattern that matches decides, so that no project can have these served.
    let mut ignored = format!("{}\n/{IGNORE}\n/{HEADERS}\n/{REDIRECTS}\n", rules(IGNORE)?);
    if folder == project.root {
        ignored.push_str(OF_THE_PROJECT);
    }
    let mut walk = Walk {
        project: &project.root,
        folder: &folder,
        ignore: Ignore::parse(&ignored),
        known,
        manifest: &mut manifest,
        files: BTreeMap::new(),
        size: 0,
        shown: &shown,
    };
    walk.enter(&folder, "")?;
    let Walk { files, size, .. } = walk;
    let bytes = Bytes::from(manifest.encode());
    if bytes.len() > MAX_MANIFEST {
        let message = format!("the list of the static files has {} bytes; the limit is {MAX_MANIFEST}", bytes.len());
        return Err(AssetError::Limit(message));
    }
    let settings = AssetSettings {
        manifest: BundleHash::of(&bytes),
        binding: assets.binding.clone(),
        html_handling: assets.html_handling,
        not_found_handling: assets.not_found_handling,
        run_worker_first: assets.run_worker_first.clone(),
        without_worker: project.is_without_code() && project.proxy.is_none(),
        navigation_first: assets.navigation_first,
    };
    Ok(Some(Collected { settings, manifest: bytes, files, count: manifest.files.len(), size }))
}

fn folder(project: &Project, assets: &Assets) -> Result<PathBuf, AssetError> {
    let wrong = |problem: &str| AssetError::Directory {
        file: project.file.clone(),
        directory: assets.directory.display().to_string(),
        problem: problem.to_owned(),
    };
    let folder = match project.root.join(&assets.directory).canonicalize() {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(wrong("there is no such folder; build the project first, or name another one"));
        }
        Err(error) => return Err(wrong(&format!("it cannot be read: {error}"))),
    };
    if !folder.is_dir() {
        return Err(wrong("it is not a folder"));
    }
    let Ok(inside) = folder.strip_prefix(&project.source) else {
        return Err(wrong("it is outside of the project; name a folder within it"));
    };
    if inside.components().any(|part| part.as_os_str() == "node_modules") {
        return Err(wrong("it is in node_modules, whose packages are not the project's own; copy what is served"));
    }
    Ok(folder)
}

/// The text of a file of rules; empty when there is none.
fn read_rules(path: &Path, shown: &str) -> Result<String, AssetError> {
    let failed = |problem: String| AssetError::File { path: shown.to_owned(), problem };
    match fs::metadata(path) {
        Err(_) => return Ok(String::new()),
        Ok(file) if !file.is_file() => return Ok(String::new()),
        Ok(file) if file.len() > MAX_RULES => {
            return Err(AssetError::Limit(format!("{shown} has {} bytes; the limit is {MAX_RULES}", file.len())));
        }
        Ok(_) => {}
    }
    fs::read_to_string(path).map_err(|error| failed(format!("it cannot be read: {error}")))
}

struct Walk<'a, S> {
    project: &'a Path,
    folder: &'a Path,
    ignore: Ignore,
    known: &'a mut Known,
    manifest: &'a mut Manifest,
    files: BTreeMap<BundleHash, PathBuf>,
    size: u64,
    shown: &'a S,
}

impl<S: Fn(&str) -> String> Walk<'_, S> {
    /// Takes in what is in `directory`, whose path below the folder is `below`.
    fn enter(&mut self, directory: &Path, below: &str) -> Result<(), AssetError> {
        let failed = |path: &str, problem: String| AssetError::File { path: (self.shown)(path), problem };
        let unreadable = |error: io::Error| failed(below, format!("it cannot be read: {error}"));
        let mut entries =
            fs::read_dir(directory).map_err(unreadable)?.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(failed(below, format!("the name {:?} is not UTF-8", name.to_string_lossy())));
            };
            let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            let mut full = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                full =
                    full.canonicalize().map_err(|error| failed(&path, format!("the link leads nowhere: {error}")))?;
                if !full.starts_with(self.project) {
                    return Err(failed(&path, "the link leads out of the project".into()));
                }
                if self.folder.starts_with(&full) {
                    return Err(failed(&path, "the link leads to a folder that it is in".into()));
                }
            }
            let metadata = match fs::metadata(&full) {
                Ok(metadata) => metadata,
                // It has gone meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(&path, format!("it cannot be read: {error}"))),
            };
            if self.ignore.ignores(&path, metadata.is_dir()) {
                continue;
            }
            if path == PAGES_WORKER {
                let problem = "it is code and would be readable for everyone; name it in .assetsignore, and as `main` \
                               in the project file if it is the worker";
                return Err(failed(&path, problem.into()));
            }
            if metadata.is_dir() {
                if path.matches('/').count() > 64 {
                    return Err(failed(&path, "it is in more than 64 folders".into()));
                }
                self.enter(&full, &path)?;
            } else if metadata.is_file() {
                self.add(full, &path, &metadata)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, full: PathBuf, path: &str, metadata: &fs::Metadata) -> Result<(), AssetError> {
        let failed = |problem: String| AssetError::File { path: (self.shown)(path), problem };
        if self.manifest.files.len() == MAX_FILES {
            return Err(AssetError::Limit(format!(
                "there are more than {MAX_FILES} static files, the limit; name those that are not served in {}",
                (self.shown)(IGNORE)
            )));
        }
        let size = metadata.len();
        if size > MAX_FILE {
            return Err(AssetError::Limit(format!(
                "{} has {:.1} MiB; the limit of a static file is {} MiB; serve it from elsewhere, or name it in {}",
                (self.shown)(path),
                size as f64 / f64::from(1 << 20),
                MAX_FILE >> 20,
                (self.shown)(IGNORE)
            )));
        }
        if path.len() >= 1024 || path.chars().any(char::is_control) {
            return Err(failed("its path is longer than 1,023 bytes or has control characters".into()));
        }
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let hash = match self.known.0.get(&full) {
            Some((known, at, hash)) if (*known, *at) == (size, modified) => *hash,
            _ => {
                let content = fs::read(&full).map_err(|error| failed(format!("it cannot be read: {error}")))?;
                if content.len() as u64 != size {
                    return Err(failed("it was changed while it was read; try again".into()));
                }
                let hash = BundleHash::of(&content);
                self.known.0.insert(full.clone(), (size, modified, hash));
                hash
            }
        };
        let kind = content_type(path).map(str::to_owned);
        self.manifest.files.insert(format!("/{path}"), File { hash, size, kind });
        if self.files.insert(hash, full).is_none() {
            self.size += size;
        }
        Ok(())
    }
}
