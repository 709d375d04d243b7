//! Which app answers at a host and path.
//!
//! Patterns are those of `wrangler.toml`: a host with an optional leading `*.` (all subdomains) or `*` (the host itself
//! and all subdomains), and a path with an optional trailing `*`. The most specific pattern wins: an exact host before a
//! wildcard, a longer wildcard before a shorter, then the longer path. Pure. A lookup costs one hash per label of the host,
//! whatever the number of apps, and the index of the next revision shares with that of this one all hosts whose routes stay.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::Arc;

use crate::sharded::Sharded;

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

/// Which of two routes goes first when their patterns are equal: the lesser.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// It is the name that an app has by default; routes that are written down go before those.
    pub by_default: bool,
    /// Whose it is.
    pub owner: Arc<str>,
    /// Its place among the owner's.
    pub position: usize,
}

/// A route of an index.
#[derive(Clone, Debug)]
struct Rule<T> {
    pattern: Arc<RoutePattern>,
    rank: Rank,
    target: T,
}

impl<T> Rule<T> {
    fn order(&self) -> impl Ord + '_ {
        (Reverse(self.pattern.path.len()), self.pattern.prefix, self.pattern.apex_only(), &self.rank)
    }
}

/// All routes of a revision. `T` is what a route leads to. Clones share what they have in common.
#[derive(Clone, Debug)]
pub struct RouteIndex<T> {
    exact: Sharded<Vec<Rule<T>>>,
    below: Sharded<Vec<Rule<T>>>,
    /// How many routes have a wildcard for their host.
    wildcards: usize,
}

impl<T> Default for RouteIndex<T> {
    fn default() -> Self {
        Self { exact: Sharded::default(), below: Sharded::default(), wildcards: 0 }
    }
}

impl<T: Clone> RouteIndex<T> {
    /// Adds a route.
    pub fn insert(&mut self, pattern: Arc<RoutePattern>, rank: Rank, target: T) {
        let rules = match &pattern.host {
            HostPattern::Exact(host) => self.exact.entry(host),
            HostPattern::Below { domain, .. } => {
                self.wildcards += 1;
                self.below.entry(domain)
            }
        };
        let rule = Rule { pattern: pattern.clone(), rank, target };
        let at = rules.partition_point(|other| other.order() < rule.order());
        // Most hosts have one route.
        rules.reserve_exact(usize::from(rules.is_empty()));
        rules.insert(at, rule);
    }

    /// Takes a route out.
    pub fn remove(&mut self, pattern: &RoutePattern, rank: &Rank) {
        let (map, host) = match &pattern.host {
            HostPattern::Exact(host) => (&mut self.exact, host),
            HostPattern::Below { domain, .. } => (&mut self.below, domain),
        };
        let rules = map.entry(host);
        let before = rules.len();
        rules.retain(|rule| rule.rank != *rank || *rule.pattern != *pattern);
        let removed = before - rules.len();
        if rules.is_empty() {
            map.remove(host);
        }
        if matches!(pattern.host, HostPattern::Below { .. }) {
            self.wildcards -= removed;
        }
    }
}

impl<T: Clone> FromIterator<(RoutePattern, T)> for RouteIndex<T> {
    /// Of equal patterns the first one wins.
    fn from_iter<I: IntoIterator<Item = (RoutePattern, T)>>(routes: I) -> Self {
        let mut index = Self::default();
        for (position, (pattern, target)) in routes.into_iter().enumerate() {
            index.insert(pattern.into(), Rank { by_default: false, owner: "".into(), position }, target);
        }
        index
    }
}

impl<T> RouteIndex<T> {
    /// What answers at `host` ([normalized](normalize_host)) and `path` (without the query).
    pub fn find(&self, host: &str, path: &str) -> Option<&T> {
        fn first<'a, T>(rules: &'a [Rule<T>], path: &str, at_apex: bool) -> Option<&'a T> {
            let fits = |rule: &&Rule<T>| rule.pattern.matches_path(path) && (!at_apex || rule.pattern.apex_only());
            rules.iter().find(fits).map(|rule| &rule.target)
        }
        if let Some(rules) = self.exact.get(host)
            && let Some(target) = first(rules, path, false)
        {
            return Some(target);
        }
        if self.wildcards == 0 {
            return None;
        }
        let mut domain = host;
        let mut at_apex = true;
        loop {
            if let Some(rules) = self.below.get(domain)
                && let Some(target) = first(rules, path, at_apex)
            {
                return Some(target);
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
