//! Worker projects made of strings.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A line of `wrangler.toml`: limits that are no question of how busy the machine is.
pub const PATIENT: &str = "limits = { cpu_ms = 10000, startup_cpu_ms = 5000 }\n";

/// A project folder that is removed when dropped.
pub struct Project {
    directory: TempDir,
}

impl Project {
    /// A project named `name` with `wrangler.toml` and entry point `src/index.ts`, and more CPU time than a busy machine
    /// charges it.
    pub fn new(name: &str) -> Self {
        Self::empty().file(
            "wrangler.toml",
            format!("name = \"{name}\"\nmain = \"src/index.ts\"\ncompatibility_date = \"2026-11-01\"\n{PATIENT}"),
        )
    }

    /// A folder with nothing in it.
    pub fn empty() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    /// A copy of a folder, without `node_modules`.
    pub fn copy_of(folder: &Path) -> Self {
        let project = Self::empty();
        copy(folder, project.path());
        project
    }

    /// Adds or replaces a file.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(name, content);
        self
    }

    /// Gives a project without limits of its own more CPU time than a busy machine charges it.
    pub fn patient(self) -> Self {
        let toml = self.path().join("wrangler.toml");
        if let Ok(text) = std::fs::read_to_string(&toml) {
            std::fs::write(toml, format!("{PATIENT}{text}")).unwrap();
            return self;
        }
        let json = self.path().join("wrangler.jsonc");
        let text = std::fs::read_to_string(&json).unwrap();
        let limits = r#"{ "limits": { "cpu_ms": 10000, "startup_cpu_ms": 5000 },"#;
        std::fs::write(json, text.replacen('{', limits, 1)).unwrap();
        self
    }

    /// Adds lines at the end of `wrangler.toml`.
    pub fn wrangler(self, lines: &str) -> Self {
        let path = self.path().join("wrangler.toml");
        let text = std::fs::read_to_string(&path).unwrap() + lines;
        std::fs::write(path, text).unwrap();
        self
    }

    /// Adds or replaces a file, as an editor would: written beside and renamed.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let beside = path.with_extension("part");
        std::fs::write(&beside, content).unwrap();
        std::fs::rename(beside, path).unwrap();
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Copies what is in a folder, except `node_modules`.
pub fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_name() == "node_modules" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A path below the repository's root.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}
