//! The rules of a `_headers` file: which fields the answers of which paths get, and lose.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::RuleError;
use crate::pattern::{Captures, Pattern};

/// The most rules of a `_headers` file.
pub const MAX_HEADER_RULES: usize = 100;
/// The most bytes of a line of it.
pub const MAX_HEADER_LINE: usize = 2000;
/// The most fields of one rule.
const MAX_FIELDS: usize = 100;
/// Fields that are the connection's business, not the app's.
const REFUSED: [&str; 8] =
    ["connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "te", "trailer", "content-encoding"];

/// A rule as it is kept in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderRule {
    /// Which URLs: a [`Pattern`].
    pub path: String,
    /// Names and values that are added. Values may have placeholders of the pattern.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<(String, String)>,
    /// Names that are taken away: what earlier rules or the platform have set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<String>,
}

/// Reads the text of a `_headers` file.
pub fn parse_headers(text: &str) -> Result<Vec<HeaderRule>, RuleError> {
    let mut rules: Vec<(usize, HeaderRule)> = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let wrong = |problem: String| RuleError { line: index + 1, problem };
        if raw.len() > MAX_HEADER_LINE {
            return Err(wrong(format!("the line has {} bytes; the limit is {MAX_HEADER_LINE}", raw.len())));
        }
        let line = raw.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let is_url = line.starts_with('/') || line.starts_with("https://") || line.starts_with("http://");
        if is_url {
            Pattern::parse(line).map_err(|error| wrong(error.to_string()))?;
            if rules.len() == MAX_HEADER_RULES {
                return Err(wrong(format!("there are more than {MAX_HEADER_RULES} rules")));
            }
            rules.push((index + 1, HeaderRule { path: line.into(), set: Vec::new(), unset: Vec::new() }));
            continue;
        }
        let Some((_, rule)) = rules.last_mut() else {
            return Err(wrong(format!("{line:?} comes before any path; a rule begins with a path such as /*")));
        };
        if let Some(name) = line.strip_prefix('!') {
            let name = name.trim().to_ascii_lowercase();
            check_name(&name).map_err(wrong)?;
            rule.unset.push(name);
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            return Err(wrong(format!("{line:?} is neither a path, nor \"Name: value\", nor \"! Name\"")));
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        check_name(&name).map_err(wrong)?;
        if value.is_empty() {
            return Err(wrong(format!("the header {name} has no value; \"! {name}\" takes it away")));
        }
        if HeaderValue::from_str(value).is_err() {
            return Err(wrong(format!("the value of {name} has characters that no header can have")));
        }
        if rule.set.len() == MAX_FIELDS {
            return Err(wrong(format!("the rule for {} sets more than {MAX_FIELDS} headers", rule.path)));
        }
        rule.set.push((name, value.into()));
    }
    match rules.iter().find(|(_, rule)| rule.set.is_empty() && rule.unset.is_empty()) {
        Some((line, rule)) => {
            Err(RuleError { line: *line, problem: format!("the rule for {} sets and removes nothing", rule.path) })
        }
        None => Ok(rules.into_iter().map(|(_, rule)| rule).collect()),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(format!("{name:?} is no header name"));
    }
    if REFUSED.contains(&name) {
        return Err(format!("the header {name} is set by the platform and cannot be changed"));
    }
    Ok(())
}

/// A rule that is ready to be used.
#[derive(Debug)]
pub(crate) struct Compiled {
    pattern: Pattern,
    set: Vec<(HeaderName, String)>,
    unset: Vec<HeaderName>,
}

impl Compiled {
    /// Checks a rule of a manifest.
    pub(crate) fn new(rule: &HeaderRule) -> Result<Self, String> {
        let pattern = Pattern::parse(&rule.path).map_err(|error| format!("{:?}: {error}", rule.path))?;
        let name = |name: &String| -> Result<HeaderName, String> {
            check_name(name)?;
            HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())
        };
        if rule.set.len() > MAX_FIELDS || rule.unset.len() > MAX_FIELDS {
            return Err(format!("the rule for {} has more than {MAX_FIELDS} headers", rule.path));
        }
        let set = rule.set.iter().map(|(key, value)| match HeaderValue::from_str(value) {
            Ok(_) if value.len() <= MAX_HEADER_LINE => Ok((name(key)?, value.clone())),
            _ => Err(format!("the value of {key} for {} is none that a header can have", rule.path)),
        });
        Ok(Self {
            pattern,
            set: set.collect::<Result<_, _>>()?,
            unset: rule.unset.iter().map(name).collect::<Result<_, _>>()?,
        })
    }

    /// Whether it is for a URL, and what its placeholders stand for there.
    pub(crate) fn matches<'a>(&'a self, host: &'a str, path: &'a str) -> Option<Captures<'a>> {
        self.pattern.matches(host, path)
    }

    /// Does to an answer what it says. A field that a rule has set gets the values of further rules after a comma; what
    /// the platform has set is replaced.
    pub(crate) fn apply(&self, captures: &Captures<'_>, headers: &mut HeaderMap, touched: &mut Vec<HeaderName>) {
        for name in &self.unset {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            // A placeholder can bring characters of a path that a header cannot have.
            let Ok(mut value) = HeaderValue::try_from(captures.fill(value)) else { continue };
            if *name == http::header::SET_COOKIE {
                headers.append(name, value);
                continue;
            }
            if touched.contains(name)
                && let Some(before) = headers.get(name)
                && let Ok(joined) = HeaderValue::from_bytes(&[before.as_bytes(), b", ", value.as_bytes()].concat())
            {
                value = joined;
            }
            headers.insert(name, value);
            touched.push(name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_written() {
        let text =
            "# all\n/*\n  X-All: 1\n  X-Splat: :splat\n\n/static/:name\n  Cache-Control: public, max-age=9\n  ! ETag\n";
        let rules = parse_headers(text).unwrap();
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[0].set, [("x-all".to_owned(), "1".to_owned()), ("x-splat".into(), ":splat".into())]);
        assert_eq!(rules[1].unset, ["etag"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, word) in [
            ("X: 1", 1, "before any path"),
            ("/a\n  nonsense", 2, "neither"),
            ("/a\n  b c: 1", 2, "no header name"),
            ("/a\n  Content-Length: 1", 2, "platform"),
            ("/a\n  X:", 2, "no value"),
            ("\n/a\n/b\n X: 1", 2, "nothing"),
            ("/a*b*\n X: 1", 1, "more than one"),
        ] {
            let error = parse_headers(text).unwrap_err();
            assert!(error.line == line && error.problem.contains(word), "{text:?}: {error}");
        }
        let many = "/a\n X: 1\n".repeat(101);
        assert_eq!(parse_headers(&many).unwrap_err().line, 201);
        assert!(parse_headers(&format!("/a\n X: {}", "x".repeat(3000))).is_err());
    }

    #[test]
    fn several_rules_add_up() {
        let text = "/*\n X: 1\n Cache-Control: no-cache\n/a\n X: 2\n ! etag\n/b\n X: 3";
        let rules: Vec<_> = parse_headers(text).unwrap().iter().map(|rule| Compiled::new(rule).unwrap()).collect();
        let mut headers = HeaderMap::new();
        headers.insert("etag", HeaderValue::from_static("\"1\""));
        headers.insert("cache-control", HeaderValue::from_static("public"));
        let mut touched = Vec::new();
        for rule in &rules {
            if let Some(captures) = rule.matches("h", "/a") {
                rule.apply(&captures, &mut headers, &mut touched);
            }
        }
        assert_eq!(headers["x"], "1, 2");
        assert_eq!(headers["cache-control"], "no-cache");
        assert!(!headers.contains_key("etag"));
    }
}
