//! `.assetsignore`: which files of the folder are not served, in the syntax of `.gitignore`.

use glob_match::glob_match;

/// The patterns of a file, in their order; the last that matches decides.
#[derive(Debug, Default)]
pub struct Ignore(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    glob: String,
    /// `!`: what earlier patterns ignore is served.
    served: bool,
    /// A slash at the end: folders only.
    folders: bool,
}

impl Ignore {
    /// Reads patterns. Every line is one, unless it is empty or begins with `#`.
    pub fn parse(text: &str) -> Self {
        let patterns = text.lines().filter_map(|line| {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                return None;
            }
            let (served, line) = match line.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, line.strip_prefix('\\').filter(|rest| rest.starts_with(['!', '#'])).unwrap_or(line)),
            };
            let (folders, path) = match line.strip_suffix('/') {
                Some(path) => (true, path),
                None => (false, line),
            };
            // A slash within makes a pattern one for the whole path, else it is for a name wherever it is.
            let glob = match path.strip_prefix('/') {
                Some(rooted) => rooted.to_owned(),
                None if path.contains('/') => path.to_owned(),
                None => format!("**/{path}"),
            };
            (!glob.is_empty()).then_some(Pattern { glob, served, folders })
        });
        Self(patterns.collect())
    }

    /// Whether a path below the folder is ignored. What is in an ignored folder is never asked for.
    pub fn ignores(&self, path: &str, is_folder: bool) -> bool {
        let matches = |pattern: &&Pattern| {
            let own = glob_match(&pattern.glob, path)
                || pattern.glob.strip_prefix("**/").is_some_and(|name| glob_match(name, path));
            own && (is_folder || !pattern.folders)
        };
        self.0.iter().rev().find(matches).is_some_and(|pattern| !pattern.served)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let ignore = Ignore::parse("# all maps\n*.map\n!keep.map\n/secret\nbuild/\na/b.txt\nx/**/y\n\\#odd\n");
        for (path, is_folder, ignored) in [
            ("a.map", false, true),
            ("deep/a.map", false, true),
            ("deep/keep.map", false, false),
            ("secret", false, true),
            ("deep/secret", false, false),
            ("build", true, true),
            ("build", false, false),
            ("deep/build", true, true),
            ("a/b.txt", false, true),
            ("c/a/b.txt", false, false),
            ("x/1/2/y", false, true),
            ("#odd", false, true),
            ("index.html", false, false),
        ] {
            assert_eq!(ignore.ignores(path, is_folder), ignored, "{path}");
        }
    }
}
