//! References that must not dangle: links between Markdown files, and the tests that SPECIFICATION.md names.

use std::fs;
use std::path::Path;

/// What is wrong with a Markdown file's references, as `path:line: what`.
pub fn check(root: &Path, path: &str, text: &str) -> Vec<String> {
    if !path.ends_with(".md") {
        return Vec::new();
    }
    let folder = root.join(path).parent().map(Path::to_owned).unwrap_or_default();
    let mut complaints = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for target in links(line) {
            if !folder.join(target).exists() {
                complaints.push(format!("{path}:{}: the link to `{target}` leads nowhere", index + 1));
            }
        }
        for (file, test) in tests(line) {
            let source = fs::read_to_string(root.join(file)).unwrap_or_default();
            if !source.contains(&format!("fn {test}(")) {
                complaints.push(format!("{path}:{}: there is no test `{test}` in `{file}`", index + 1));
            }
        }
    }
    complaints
}

/// The targets of a line's Markdown links that are files, without their `#fragment`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let (target, _) = rest.split_once(')')?;
        let file = target.split('#').next()?;
        (!file.is_empty() && !target.contains("://")).then_some(file)
    })
}

/// The tests that a line names as `` `path/to/file.rs::test` ``.
fn tests(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split('`').skip(1).step_by(2).filter_map(|code| {
        let (file, test) = code.split_once(".rs::")?;
        Some((&code[..file.len() + 3], test))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_links_to_files_only() {
        let line = "[a](docs/a.md#part), [b](https://example.com/b), [c](#part) and [d](../d.rs)";
        assert_eq!(links(line).collect::<Vec<_>>(), ["docs/a.md", "../d.rs"]);
    }

    #[test]
    fn finds_tests() {
        let line = "| a | `cli/a.rs` | `tests/a.rs::one` and `b/src/c.rs::two` |";
        assert_eq!(tests(line).collect::<Vec<_>>(), [("tests/a.rs", "one"), ("b/src/c.rs", "two")]);
    }

    #[test]
    fn a_reference_that_dangles_is_named() {
        let root = crate::shell::root();
        let text = "[here](shell.rs) [there](absent.rs)\n`xtask/src/shell.rs::run` `xtask/src/shell.rs::absent`\n";
        let complaints = check(root, "xtask/src/x.md", text);
        assert_eq!(
            complaints,
            [
                "xtask/src/x.md:1: the link to `absent.rs` leads nowhere",
                "xtask/src/x.md:2: there is no test `absent` in `xtask/src/shell.rs`",
            ]
        );
    }
}
