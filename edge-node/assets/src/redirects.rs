//! The rules of a `_redirects` file: paths that lead elsewhere, and with the status 200 paths that show another file.

use serde::{Deserialize, Serialize};

use crate::RuleError;
use crate::pattern::{Captures, Pattern};

/// The most rules without placeholders.
pub const MAX_STATIC_REDIRECTS: usize = 2000;
/// The most rules with placeholders.
pub const MAX_DYNAMIC_REDIRECTS: usize = 100;
/// The most bytes of a line.
pub const MAX_REDIRECT_LINE: usize = 1000;
/// The statuses that a rule may have.
pub const STATUSES: [u16; 6] = [200, 301, 302, 303, 307, 308];

/// A rule as it is kept in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// Which URLs: a [`Pattern`].
    pub from: String,
    /// Where to: a path or an absolute URL, which may have placeholders of the pattern.
    pub to: String,
    /// The status; 200 shows what is at `to` without leading there.
    pub status: u16,
}

/// Reads the text of a `_redirects` file.
pub fn parse_redirects(text: &str) -> Result<Vec<Redirect>, RuleError> {
    let mut rules: Vec<Redirect> = Vec::new();
    let (mut fixed, mut dynamic) = (0, 0);
    for (index, line) in text.lines().enumerate() {
        let wrong = |problem: String| RuleError { line: index + 1, problem };
        if line.len() > MAX_REDIRECT_LINE {
            return Err(wrong(format!("the line has {} bytes; the limit is {MAX_REDIRECT_LINE}", line.len())));
        }
        // A # within a word belongs to a URL.
        let words: Vec<&str> = line.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
        let (from, to, status) = match words.as_slice() {
            [] => continue,
            [from, to] => (*from, *to, 302),
            [from, to, status] => match status.parse() {
                Ok(status) => (*from, *to, status),
                Err(_) => return Err(wrong(format!("{status:?} is no status; {}", statuses()))),
            },
            [only] => return Err(wrong(format!("{only:?} leads nowhere; a rule is: from to [status]"))),
            more => return Err(wrong(format!("the line has {} words; a rule is: from to [status]", more.len()))),
        };
        let rule = Redirect { from: from.into(), to: to.into(), status };
        let compiled = Compiled::new(&rule).map_err(wrong)?;
        if compiled.pattern.fixed().is_some() {
            if rules.iter().any(|known| known.from == rule.from) {
                return Err(wrong(format!("{from} has a rule before; only the first would count")));
            }
            fixed += 1;
        } else {
            dynamic += 1;
        }
        if fixed > MAX_STATIC_REDIRECTS || dynamic > MAX_DYNAMIC_REDIRECTS {
            return Err(wrong(format!(
                "there are more than {MAX_STATIC_REDIRECTS} rules without placeholders, or more than \
                 {MAX_DYNAMIC_REDIRECTS} with"
            )));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn statuses() -> String {
    format!("it can be {}", STATUSES.map(|status| status.to_string()).join(", "))
}

/// A rule that is ready to be used.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) pattern: Pattern,
    pub(crate) to: String,
    pub(crate) status: u16,
}

/// Where a rule leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The file at another path is shown.
    Rewrite(String),
    /// The client is sent on.
    Location(u16, String),
}

impl Compiled {
    /// Checks a rule.
    pub(crate) fn new(rule: &Redirect) -> Result<Self, String> {
        let pattern = Pattern::parse(&rule.from).map_err(|error| format!("{:?}: {error}", rule.from))?;
        if !STATUSES.contains(&rule.status) {
            return Err(format!("{} is no status of a redirect; {}", rule.status, statuses()));
        }
        let absolute = rule.to.starts_with("https://") || rule.to.starts_with("http://");
        if !absolute && !rule.to.starts_with('/') {
            return Err(format!(
                "{:?} is neither a path that begins with / nor a URL with http:// or https://",
                rule.to
            ));
        }
        if rule.to.len() > MAX_REDIRECT_LINE || !rule.to.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{:?} has characters that no URL has; percent-encode them", rule.to));
        }
        if rule.status == 200 && (absolute || rule.to.starts_with("//")) {
            return Err(format!(
                "{:?} is another site; with the status 200 only paths of this one can be shown",
                rule.to
            ));
        }
        let path = rule.to.split(['?', '#']).next().unwrap_or_default();
        if !absolute && !path.contains(':') && pattern.matches("", path).is_some() {
            return Err(format!(
                "{} leads to {path}, which it is a rule for: it would never end; for a single-page application, set \
                 not_found_handling = \"single-page-application\"",
                rule.from
            ));
        }
        Ok(Self { pattern, to: rule.to.clone(), status: rule.status })
    }

    /// Where it leads, for what its placeholders stand for. A target without a query gets that of the request.
    pub(crate) fn target(&self, captures: &Captures<'_>, query: Option<&str>) -> Target {
        let mut to = captures.fill(&self.to);
        // What a placeholder brings must not turn a path into another host.
        if self.to.starts_with('/') && !self.to.starts_with("//") {
            let start = to.find(|c| c != '/' && c != '\\').unwrap_or(to.len());
            to.replace_range(..start, "/");
        }
        if self.status == 200 {
            let end = to.find(['?', '#']).unwrap_or(to.len());
            to.truncate(end);
            return Target::Rewrite(to);
        }
        if let Some(query) = query.filter(|_| !to.contains('?')) {
            let at = to.find('#').unwrap_or(to.len());
            to.insert_str(at, &format!("?{query}"));
        }
        Target::Location(self.status, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_a_status_or_302() {
        let text = "# moved\n/a /b\n/old/* https://new.example/:splat 301 # for good\n\n/x#y /z";
        let rules = parse_redirects(text);
        assert!(rules.is_err(), "a fragment is no part of a path: {rules:?}");
        let rules = parse_redirects(&text.replace("x#y", "x")).unwrap();
        assert_eq!(rules.iter().map(|rule| rule.status).collect::<Vec<_>>(), [302, 301, 302]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, word) in [
            ("/a", 1, "nowhere"),
            ("/a /b 302 x", 1, "words"),
            ("/a /b moved", 1, "no status"),
            ("\n/a /b 404", 2, "404"),
            ("/a b", 1, "neither"),
            ("/a https://x/ 200", 1, "another site"),
            ("/* /index.html 200", 1, "single-page-application"),
            ("/a /a", 1, "never end"),
            ("/a /b\n/a /c", 2, "before"),
            ("/a*:x /b", 1, "directly"),
        ] {
            let error = parse_redirects(text).unwrap_err();
            assert!(error.line == line && error.problem.contains(word), "{text:?}: {error}");
        }
        let many: String = (0..101).map(|n| format!("/{n}/* /x\n")).collect();
        assert_eq!(parse_redirects(&many).unwrap_err().line, 101);
        let most: String = (0..2000).map(|n| format!("/{n} /x\n")).collect();
        assert_eq!(parse_redirects(&most).unwrap().len(), 2000);
    }

    #[test]
    fn targets_keep_the_query_and_stay_on_their_host() {
        let target = |from: &str, to: &str, path: &str, query: Option<&str>| {
            let rule = Compiled::new(&Redirect { from: from.into(), to: to.into(), status: 301 }).unwrap();
            match rule.target(&rule.pattern.matches("h", path).unwrap(), query) {
                Target::Location(301, to) => to,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(target("/a", "/b#f", "/a", Some("q=1")), "/b?q=1#f");
        assert_eq!(target("/a", "/b?own", "/a", Some("q=1")), "/b?own");
        assert_eq!(target("/o/*", "/:splat", "/o//evil.example", None), "/evil.example");
        assert_eq!(target("/o/*", "/:splat", "/o/\\evil.example", None), "/evil.example");
        assert_eq!(target("/o/*", "https://n.example/:splat", "/o/x", None), "https://n.example/x");
    }
}
