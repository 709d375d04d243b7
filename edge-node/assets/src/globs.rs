//! Path patterns of `run_worker_first`: `*` stands for any characters, a leading `!` takes paths out.

/// The patterns of `run_worker_first`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globs {
    include: Vec<Box<str>>,
    exclude: Vec<Box<str>>,
}

/// The most patterns.
const MOST: usize = 100;
/// The most bytes of one.
const LONGEST: usize = 1024;

impl Globs {
    /// Reads patterns; an error says which is wrong, and how one looks.
    pub fn parse(patterns: &[String]) -> Result<Self, String> {
        if patterns.len() > MOST {
            return Err(format!("there are {} patterns of run_worker_first; the limit is {MOST}", patterns.len()));
        }
        let mut globs = Self::default();
        for pattern in patterns {
            let (list, path) = match pattern.strip_prefix('!') {
                Some(path) => (&mut globs.exclude, path),
                None => (&mut globs.include, pattern.as_str()),
            };
            if !path.starts_with('/') || path.len() > LONGEST || path.chars().any(char::is_control) {
                return Err(format!(
                    "{pattern:?} is no pattern of run_worker_first; it begins with / or !/ and has at most {LONGEST} \
                     bytes, as in \"/api/*\" or \"!/api/docs/*\""
                ));
            }
            list.push(path.into());
        }
        if globs.include.is_empty() && !globs.exclude.is_empty() {
            return Err("run_worker_first has patterns that take paths out, but none that takes any in".into());
        }
        Ok(globs)
    }

    /// Whether the worker comes before the assets for a path.
    pub fn matches(&self, path: &str) -> bool {
        self.include.iter().any(|glob| glob_matches(glob, path))
            && !self.exclude.iter().any(|glob| glob_matches(glob, path))
    }
}

/// The same for patterns that have not been read; wrong ones match nothing.
pub fn is_worker_first(patterns: &[String], path: &str) -> bool {
    Globs::parse(patterns).is_ok_and(|globs| globs.matches(path))
}

/// Whether `glob`, in which `*` stands for any characters, is all of `text`. Every `*` but the last takes as little as it
/// can, which is enough when all that counts is whether there is a match.
fn glob_matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_anything_and_the_whole_path_has_to() {
        for (glob, path, matches) in [
            ("/*", "/", true),
            ("/api/*", "/api/a/b", true),
            ("/api/*", "/api", false),
            ("/a/*/c", "/a/b/c", true),
            ("/a/*/c", "/a/b/c/d", false),
            ("/a*b*c", "/aXbXbc", true),
            ("/exact", "/exact", true),
            ("/exact", "/exactly", false),
            ("/a*a", "/a", false),
        ] {
            assert_eq!(glob_matches(glob, path), matches, "{glob} {path}");
        }
    }

    #[test]
    fn what_is_taken_out_stays_out() {
        let globs = Globs::parse(&["/api/*".into(), "!/api/docs/*".into()]).unwrap();
        assert!(globs.matches("/api/x") && !globs.matches("/api/docs/x") && !globs.matches("/"));
        for wrong in [vec!["api/*".to_owned()], vec!["!/a".into()], vec!["/a".into(); 101]] {
            assert!(Globs::parse(&wrong).is_err());
        }
    }
}
