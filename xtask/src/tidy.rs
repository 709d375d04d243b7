//! `cargo xtask tidy`: the house rules that no other tool knows, checked on the files that git knows or would add. A test
//! of this crate checks the same.

mod codes;
mod references;
mod rules;

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use crate::shell;

/// Checks every file; the error lists all that is wrong.
pub fn run() -> anyhow::Result<()> {
    let complaints = check(shell::root())?;
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if complaints.is_empty() { Ok(()) } else { bail!("{} places break a house rule", complaints.len()) }
}

/// One line for every place that breaks a rule, as `path:line: what and why`.
fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let errors = fs::read_to_string(root.join(codes::PAGE)).with_context(|| format!("cannot read {}", codes::PAGE))?;
    let mut complaints = Vec::new();
    for path in files(root)? {
        let Ok(content) = fs::read(root.join(&path)) else { continue };
        let Ok(text) = String::from_utf8(content) else { continue };
        complaints.extend(rules::check(&path, &text));
        complaints.extend(references::check(root, &path, &text));
        complaints.extend(codes::check(&path, &text, &errors));
    }
    Ok(complaints)
}

/// The files of the repository, relative to its root: tracked ones, and new ones that are not ignored. What others wrote
/// and what tools write is left out.
fn files(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut git = shell::command("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.output().context("cannot start git")?;
    if !output.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let listed = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
    let ours = |path: &&str| !path.is_empty() && !path.ends_with(".lock") && !is_foreign(path);
    Ok(listed.split('\0').filter(ours).map(str::to_owned).collect())
}

fn is_foreign(path: &str) -> bool {
    path.starts_with("third_party/v8/src_binding")
        || path.starts_with("third_party/node-compat/dist/")
        || path == "LICENSE"
        || path == "NOTICE"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_keeps_its_house_rules() {
        let complaints = check(shell::root()).unwrap();
        assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    }

    #[test]
    fn looks_at_its_own_sources() {
        let files = files(shell::root()).unwrap();
        assert!(files.iter().any(|path| path == "xtask/Cargo.toml"), "{files:?}");
        assert!(!files.iter().any(|path| path == "Cargo.lock" || path.contains("/node_modules/")));
    }
}
