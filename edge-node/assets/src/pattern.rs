//! Patterns of URLs as `_headers` and `_redirects` have them: a path, or `https://` and a host before it, with
//! placeholders (`:name`) and one splat (`*`).
//!
//! A placeholder takes as little as it can and never a slash, in a host never a dot; the splat takes all that is left
//! between what is before and after it. So a match takes one pass over the URL, whatever the pattern.

/// The most bytes of a pattern.
const LONGEST: usize = 2000;
/// The most placeholders of a pattern.
const MOST_NAMES: usize = 32;

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Text(Box<str>),
    Name(Box<str>),
    Splat,
}

/// A pattern of URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    host: Option<Vec<Token>>,
    path: Vec<Token>,
}

/// What the placeholders of a pattern stand for in a URL. The splat's name is `splat`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Captures<'a>(Vec<(&'a str, &'a str)>);

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let wrong = |problem: &str| Err(PatternError(problem.to_owned()));
        if text.len() > LONGEST {
            return wrong(&format!("the pattern is longer than {LONGEST} bytes"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return wrong("the pattern has spaces or control characters; percent-encode them");
        }
        let absolute = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let (host, path) = match absolute {
            Some(rest) => match rest.find('/') {
                Some(0) => return wrong("the pattern has no host after its scheme"),
                Some(slash) => (Some(rest[..slash].to_ascii_lowercase()), &rest[slash..]),
                None => return wrong("the pattern has a host but no path; add /* for all paths"),
            },
            None => (None, text),
        };
        if !path.starts_with('/') {
            return wrong("the pattern must be a path that begins with /, or https:// with a host and a path");
        }
        if path.contains(['?', '#']) {
            return wrong("the pattern has a query or fragment, but only paths are matched");
        }
        let mut names: Vec<Box<str>> = Vec::new();
        let host = host.map(|host| tokens(&host, &mut names)).transpose()?;
        let path = tokens(&encoded(path), &mut names)?;
        if names.len() > MOST_NAMES {
            return wrong(&format!("the pattern has more than {MOST_NAMES} placeholders"));
        }
        Ok(Self { host, path })
    }

    /// The path, when it is one without placeholders, as a client would send it.
    pub fn fixed(&self) -> Option<&str> {
        match (&self.host, self.path.as_slice()) {
            (None, [Token::Text(path)]) => Some(path),
            _ => None,
        }
    }

    /// What its placeholders stand for in a URL with this host (without port, in lower case) and this path (as it was
    /// sent); `None` when it does not match.
    pub fn matches<'a>(&'a self, host: &'a str, path: &'a str) -> Option<Captures<'a>> {
        let mut captures = Captures::default();
        if let Some(tokens) = &self.host {
            match_all(tokens, host, '.', &mut captures)?;
        }
        match_all(&self.path, path, '/', &mut captures)?;
        Some(captures)
    }
}

/// Characters that no path has are written as a client would send them.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            0x21..=0x7e => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn tokens(text: &str, names: &mut Vec<Box<str>>) -> Result<Vec<Token>, PatternError> {
    let wrong = |problem: String| Err(PatternError(problem));
    let mut tokens: Vec<Token> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let name_end =
            || rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(rest.len(), |at| at + 1);
        let token = if first == '*' {
            rest = &rest[1..];
            if names.iter().any(|name| **name == *"splat") {
                return wrong("the pattern has more than one *".into());
            }
            names.push("splat".into());
            Token::Splat
        } else if first == ':' && rest[1..].starts_with(|c: char| c.is_ascii_alphabetic()) {
            let end = name_end();
            let name = &rest[1..end];
            rest = &rest[end..];
            if names.iter().any(|known| **known == *name) {
                return wrong(format!("the placeholder :{name} is there twice"));
            }
            names.push(name.into());
            Token::Name(name.into())
        } else {
            let next = |at: usize, c: char| {
                c == '*' || (c == ':' && rest[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic()))
            };
            let end = rest.char_indices().find(|(at, c)| next(*at, *c)).map_or(rest.len(), |(at, _)| at);
            let text = &rest[..end];
            rest = &rest[end..];
            Token::Text(text.into())
        };
        if !matches!(token, Token::Text(_)) && tokens.last().is_some_and(|last| !matches!(last, Token::Text(_))) {
            return wrong("a placeholder or * follows another one directly; put something between them".into());
        }
        tokens.push(token);
    }
    Ok(tokens)
}

fn match_all<'a>(tokens: &'a [Token], text: &'a str, border: char, captures: &mut Captures<'a>) -> Option<()> {
    let splat = tokens.iter().position(|token| *token == Token::Splat);
    let (before, after) = match splat {
        Some(at) => (&tokens[..at], Some(&tokens[at + 1..])),
        None => (tokens, None),
    };
    let rest = match_start(before, text, border, after.is_none(), captures)?;
    match after {
        None => rest.is_empty().then_some(()),
        Some(after) => {
            let splat = match_end(after, rest, border, captures)?;
            captures.0.push(("splat", splat));
            Some(())
        }
    }
}

/// Matches tokens at the start of `text`; gives what is left. With `whole`, all of the text has to match.
fn match_start<'a>(
    tokens: &'a [Token],
    text: &'a str,
    border: char,
    whole: bool,
    captures: &mut Captures<'a>,
) -> Option<&'a str> {
    let mut rest = text;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            // After a placeholder, the placeholder has found it.
            Token::Text(text) => rest = rest.strip_prefix(&**text)?,
            Token::Name(name) => {
                let limit = rest.find(border).unwrap_or(rest.len());
                let end = match tokens.get(at + 1) {
                    // The last text has to be at the end.
                    Some(Token::Text(next)) if whole && at + 2 == tokens.len() => rest.len().checked_sub(next.len())?,
                    Some(Token::Text(next)) => rest.get(1..)?.find(&**next)? + 1,
                    _ => limit,
                };
                if end == 0 || end > limit || !rest.is_char_boundary(end) {
                    return None;
                }
                captures.0.push((name, &rest[..end]));
                rest = &rest[end..];
            }
            Token::Splat => return None,
        }
    }
    Some(rest)
}

/// Matches tokens at the end of `text`; gives what is before.
fn match_end<'a>(tokens: &'a [Token], text: &'a str, border: char, captures: &mut Captures<'a>) -> Option<&'a str> {
    let mut rest = text;
    for (at, token) in tokens.iter().enumerate().rev() {
        match token {
            Token::Text(text) => rest = rest.strip_suffix(&**text)?,
            Token::Name(name) => {
                let limit = rest.rfind(border).map_or(0, |at| at + border.len_utf8());
                // What is before a placeholder is a text.
                let Some(Token::Text(previous)) = at.checked_sub(1).and_then(|at| tokens.get(at)) else { return None };
                let start = rest.get(..rest.len().checked_sub(1)?)?.rfind(&**previous)? + previous.len();
                if start < limit || start >= rest.len() {
                    return None;
                }
                captures.0.push((name, &rest[start..]));
                rest = &rest[..start];
            }
            Token::Splat => return None,
        }
    }
    Some(rest)
}

impl Captures<'_> {
    /// `text` with every `:name` that is known in the place of its value.
    pub fn fill(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(':') {
            out.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            match self.0.iter().find(|(name, _)| *name == &after[..end]) {
                Some((_, value)) => out.push_str(value),
                None => out.push_str(&rest[at..=at + end]),
            }
            rest = &after[end..];
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &str, url: &str, template: &str) -> Option<String> {
        let pattern = Pattern::parse(pattern).unwrap();
        let (host, path) = match url.strip_prefix("https://") {
            Some(rest) => rest.split_at(rest.find('/').unwrap()),
            None => ("any.example", url),
        };
        pattern.matches(host, path).map(|captures| captures.fill(template))
    }

    #[test]
    fn placeholders_and_splats_stand_for_what_is_there() {
        for (pattern, url, result) in [
            ("/a", "/a", Some("|:x|:y|:splat")),
            ("/a", "/a/", None),
            ("/a/*", "/a/", Some("|:x|:y|")),
            ("/a/*", "/a/b/c", Some("|:x|:y|b/c")),
            ("/a/*", "/a", None),
            ("/:x", "/v", Some("|v|:y|:splat")),
            ("/:x", "/", None),
            ("/:x", "/v/w", None),
            ("/:x.html", "/v.html.html", Some("|v.html|:y|:splat")),
            ("/:x/:y", "/1/2", Some("|1|2|:splat")),
            ("/:x-:y/z", "/1-2-3/z", Some("|1|2-3|:splat")),
            ("/b/*/c", "/b/1/2/c", Some("|:x|:y|1/2")),
            ("/b/*/:x", "/b/1/2/c", Some("|c|:y|1/2")),
            ("/b/*/:x.js", "/b/1/c.js", Some("|c|:y|1")),
            ("/b/*/c/:x", "/b/c/1", None),
            ("/\u{e9}", "/%C3%A9", Some("|:x|:y|:splat")),
            ("https://:x.example/*", "https://www.example/p", Some("|www|:y|p")),
            ("https://:x.example/*", "https://a.b.example/p", None),
            ("https://shop.example/p", "https://other.example/p", None),
        ] {
            assert_eq!(filled(pattern, url, "|:x|:y|:splat").as_deref(), result, "{pattern} {url}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        for (text, word) in [
            ("a", "begins with /"),
            ("https:///x", "no host"),
            ("https://x", "no path"),
            ("/a b", "spaces"),
            ("/*/*", "more than one *"),
            ("/:a/:a", "twice"),
            ("/:a*", "directly"),
            ("/x?y", "query"),
        ] {
            let error = Pattern::parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!(Pattern::parse(&format!("/{}", "x".repeat(3000))).is_err());
    }

    #[test]
    fn a_colon_that_begins_no_name_is_a_colon() {
        assert_eq!(Pattern::parse("/a:1").unwrap().fixed(), Some("/a:1"));
        assert_eq!(filled("/:a", "/1", "http://h:80/:a:").unwrap(), "http://h:80/1:");
    }
}
