//! Peers that come from npm.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// Installs a package into a directory of its own within `directory`, unless this version is there, and returns the path
/// of the platform's binary, which is `binary` within `node_modules`.
pub fn install(directory: &Path, package: &str, version: &str, binary: &str) -> anyhow::Result<PathBuf> {
    let directory = directory.join(package);
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let modules = directory.join("node_modules");
    let binary = modules.join(binary);
    if installed(&modules.join(package)).is_none_or(|installed| installed != version) || !binary.exists() {
        std::fs::write(directory.join("package.json"), "{\"private\": true}\n").context("package.json")?;
        let wanted = format!("{package}@{version}");
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", &wanted]);
        let status = npm.current_dir(&directory).stdout(Stdio::null()).status();
        let status = status.context("cannot run npm; install Node.js")?;
        ensure!(status.success(), "npm install {wanted} failed in {}", directory.display());
    }
    ensure!(binary.exists(), "npm's {package} has no binary for this platform at {}", binary.display());
    Ok(binary)
}

/// Installs the packages that a `package.json` names into `directory`, unless they are there. Returns the directory.
pub fn install_all(directory: &Path, manifest: &str) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let (file, installed) = (directory.join("package.json"), directory.join("node_modules/.package-lock.json"));
    if !installed.exists() || std::fs::read_to_string(&file).ok().is_none_or(|there| there != manifest) {
        std::fs::write(&file, manifest).context("package.json")?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--no-package-lock"]);
        let status = npm.current_dir(directory).stdout(Stdio::null()).status();
        let status = status.context("cannot run npm; install Node.js")?;
        ensure!(status.success(), "npm install failed in {}", directory.display());
    }
    Ok(directory.to_owned())
}

fn installed(package: &Path) -> Option<String> {
    let text = std::fs::read_to_string(package.join("package.json")).ok()?;
    let package: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(package["version"].as_str()?.to_owned())
}
