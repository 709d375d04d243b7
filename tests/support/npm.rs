//! npm packages for the tests, installed once from the lock files of `tests/npm` and `tests/apps`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::project::{Project, copy, repository};

/// `tests/npm/node_modules`, installed when it is missing or older than its lock file.
pub fn node_modules() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| install_locked("tests/npm"))
}

/// The `node_modules` of a folder of the repository, installed when it is missing or older than its lock file.
pub fn install_locked(folder: &str) -> PathBuf {
    let directory = repository(folder);
    let modules = directory.join("node_modules");
    let stamp = |path: PathBuf| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let installed = stamp(modules.join(".package-lock.json"));
    if installed.is_none() || installed < stamp(directory.join("package-lock.json")) {
        // A registry may be out of reach for a moment.
        let done = (0..3).any(|_| {
            let mut npm = Command::new("npm");
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
            npm.args(["--fetch-retries=5", "--prefer-offline"]).current_dir(&directory);
            npm.status().expect("npm is needed for this test; install Node.js (Debian: nodejs, npm)").success()
        });
        assert!(done, "npm ci failed in {folder}");
    }
    modules
}

/// Runs a script of `tests/npm` in Node.js, with the packages there, and gives back what it printed.
pub fn run(script: &str, arguments: &[&str]) -> String {
    let script = node_modules().with_file_name(script);
    let ran = Command::new("node").arg(&script).args(arguments).output();
    let ran = ran.expect("Node.js is needed for this test; install it (Debian: nodejs)");
    assert!(ran.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// Gives a project these packages in a `node_modules` of its own, as `npm install` would have put them there.
pub fn install(project: &Project, packages: &[&str]) {
    for package in packages {
        let source = node_modules().join(package);
        assert!(source.exists(), "{package} is not in tests/npm/package.json");
        let target = project.path().join("node_modules").join(package);
        std::fs::create_dir_all(&target).unwrap();
        copy(&source, &target);
    }
    if packages.contains(&"esbuild") {
        // The program itself is in the package of the platform, beside the package that starts it.
        let platform = "@esbuild/linux-x64";
        let target = project.path().join("node_modules").join(platform);
        std::fs::create_dir_all(&target).unwrap();
        copy(&node_modules().join(platform), &target);
        let bin = project.path().join("node_modules/.bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::os::unix::fs::symlink("../esbuild/bin/esbuild", bin.join("esbuild")).unwrap();
    }
}
