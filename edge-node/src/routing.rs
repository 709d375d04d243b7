//! Which app answers at a host and path.
//!
//! Patterns are those of `wrangler.toml`: a host with an optional leading `*.` (all subdomains) or `*` (the host itself
//! and all subdomains), and a path with an optional trailing `*`. The most specific pattern wins: an exact host before a
//! wildcard, a longer wildcard before a shorter, then the longer path. Pure; an index is built once per revision and a
//! lookup costs one hash per label of the host, whatever the number of apps.

use std::borrow::Cow;
use std::collections::HashMap;

/// A parsed route pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePattern {
    host: HostPattern,
    path: String,
    prefix: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    Exact(String),
    /// Everything below the domain; `apex` takes the domain itself too. The empty domain is every host.
    Below {
        domain: String,
        apex: bool,
    },
}

/// A route pattern that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the route {pattern:?} is not valid: {problem}")]
pub struct RouteError {
    pattern: String,
    problem: &'static str,
}

impl RoutePattern {
    /// Reads a pattern such as `example.com/api/*`. A scheme before the host is ignored; a pattern without a path is
    /// the path `/` alone.
    pub fn parse(pattern: &str) -> Result<Self, RouteError> {
        let wrong = |problem| RouteError { pattern: pattern.to_owned(), problem };
        let rest = pattern.trim();
        let rest = rest.strip_prefix("https://").or_else(|| rest.strip_prefix("http://")).unwrap_or(rest);
        let (host, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        let (path, prefix) = path.strip_suffix('*').map_or((path, false), |path| (path, true));
        if path.contains('*') {
            return Err(wrong("in a path, * can stand only at the end"));
        }
        if host == "*." {
            return Err(wrong("a domain must follow *."));
        }
        let host = normalize_host(host).into_owned();
        let host = if host == "*" {
            HostPattern::Below { domain: String::new(), apex: true }
        } else if let Some(domain) = host.strip_prefix("*.") {
            HostPattern::Below { domain: domain.to_owned(), apex: false }
        } else if let Some(domain) = host.strip_prefix('*') {
            HostPattern::Below { domain: domain.to_owned(), apex: true }
        } else {
            HostPattern::Exact(host)
        };
        match &host {
            HostPattern::Exact(name) if name.is_empty() => return Err(wrong("the host is missing")),
            HostPattern::Exact(name) | HostPattern::Below { domain: name, .. } if name.contains('*') => {
                return Err(wrong("in a host, * can stand only at the start"));
            }
            _ => {}
        }
        Ok(Self { host, path: path.to_owned(), prefix })
    }

    /// The pattern for a whole host.
    pub fn whole_host(host: &str) -> Self {
        Self { host: HostPattern::Exact(normalize_host(host).into_owned()), path: "/".into(), prefix: true }
    }

    fn matches_path(&self, path: &str) -> bool {
        if self.prefix { path.starts_with(&self.path) } else { path == self.path }
    }

    fn apex_only(&self) -> bool {
        matches!(self.host, HostPattern::Below { apex: true, .. })
    }
}

/// A host for comparison: without port and trailing dot, in lower case.
pub fn normalize_host(host: &str) -> Cow<'_, str> {
    let host = match host.rfind(':') {
        // In an IPv6 literal the colons before the bracket belong to the address.
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// All routes of a revision. `T` is what a route leads to.
#[derive(Debug)]
pub struct RouteIndex<T> {
    exact: HashMap<String, Vec<(RoutePattern, T)>>,
    below: HashMap<String, Vec<(RoutePattern, T)>>,
}

impl<T> Default for RouteIndex<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), below: HashMap::new() }
    }
}

impl<T> FromIterator<(RoutePattern, T)> for RouteIndex<T> {
    /// Of equal patterns the first one wins.
    fn from_iter<I: IntoIterator<Item = (RoutePattern, T)>>(routes: I) -> Self {
        let mut index = Self::default();
        for (pattern, target) in routes {
            let rules = match &pattern.host {
                HostPattern::Exact(host) => index.exact.entry(host.clone()),
                HostPattern::Below { domain, .. } => index.below.entry(domain.clone()),
            };
            rules.or_default().push((pattern, target));
        }
        for rules in index.exact.values_mut().chain(index.below.values_mut()) {
            rules.sort_by_key(|(pattern, _)| {
                (std::cmp::Reverse(pattern.path.len()), pattern.prefix, pattern.apex_only())
            });
        }
        index
    }
}

impl<T> RouteIndex<T> {
    /// What answers at `host` ([normalized](normalize_host)) and `path` (without the query).
    pub fn find(&self, host: &str, path: &str) -> Option<&T> {
        let first = |rules: &'_ [(RoutePattern, T)], at_apex: bool| -> Option<usize> {
            rules.iter().position(|(pattern, _)| pattern.matches_path(path) && (!at_apex || pattern.apex_only()))
        };
        if let Some(rules) = self.exact.get(host)
            && let Some(at) = first(rules, false)
        {
            return Some(&rules[at].1);
        }
        if self.below.is_empty() {
            return None;
        }
        let mut domain = host;
        let mut at_apex = true;
        loop {
            if let Some(rules) = self.below.get(domain)
                && let Some(at) = first(rules, at_apex)
            {
                return Some(&rules[at].1);
            }
            if domain.is_empty() {
                return None;
            }
            domain = domain.split_once('.').map_or("", |(_, parent)| parent);
            at_apex = false;
        }
    }
}

#[cfg(test)]
#[path = "routing_tests.rs"]
mod tests;
