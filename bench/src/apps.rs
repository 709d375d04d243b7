//! Apps that are built from packages of npm: `bench/apps`, each put together into one module by esbuild.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::npm;

const MANIFEST: &str = include_str!("../apps/package.json");

/// Applications as platforms see them: worker conditions, production.
const ESBUILD: [&str; 6] = [
    "--bundle",
    "--format=esm",
    "--platform=neutral",
    "--main-fields=module,main",
    "--conditions=worker,browser,production",
    "--define:process.env.NODE_ENV=\"production\"",
];

/// The module of `bench/apps/NAME.js` and all it needs.
pub fn bundle(out: &Path, name: &str) -> anyhow::Result<String> {
    let directory = npm::install_all(&out.join("npm/apps"), MANIFEST)?;
    let file = format!("{name}.js");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps").join(&file);
    std::fs::copy(&source, directory.join(&file)).with_context(|| source.display().to_string())?;
    let mut esbuild = Command::new(directory.join("node_modules/.bin/esbuild"));
    let output = esbuild.arg(&file).args(ESBUILD).arg("--log-level=warning").current_dir(&directory).output();
    let output = output.context("cannot run esbuild")?;
    ensure!(output.status.success(), "esbuild failed on {file}: {}", String::from_utf8_lossy(&output.stderr).trim());
    String::from_utf8(output.stdout).context("esbuild's output is not text")
}
