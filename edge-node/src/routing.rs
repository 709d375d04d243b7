//! Which app answers at a host and path.
//!
//! Patterns are those of `wrangler.toml`: a host with an optional leading `*.` (all subdomains) or `*` (the host itself
//! and all subdomains), and a path with an optional trailing `*`. The most specific pattern wins: an exact host before a
//! wildcard, a longer wildcard before a shorter, then the longer path. Pure. A lookup costs one hash per label of the host,
//! whatever the number of apps, and the index of the next revision shares with that of this one all hosts whose routes stay.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::convert::Infallible;
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

    /// What the pattern says, for those who keep it in another form.
    pub fn parts(&self) -> Parts<'_> {
        let (host, wildcard, apex) = match &self.host {
            HostPattern::Exact(host) => (host, false, false),
            HostPattern::Below { domain, apex } => (domain, true, *apex),
        };
        Parts { host, wildcard, apex, path: &self.path, prefix: self.prefix }
    }
}

/// What a [`RoutePattern`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The host, or the domain that hosts are below.
    pub host: &'a str,
    /// Whether it is a domain.
    pub wildcard: bool,
    /// Whether the domain itself is among the hosts.
    pub apex: bool,
    /// The path, or how it begins.
    pub path: &'a str,
    /// Whether it is the path's beginning.
    pub prefix: bool,
}

impl Parts<'_> {
    /// Whether a path fits; at the domain itself only if that is among the hosts.
    pub fn fits(&self, path: &str, at_apex: bool) -> bool {
        let path_fits = if self.prefix { path.starts_with(self.path) } else { path == self.path };
        path_fits && (!at_apex || self.apex)
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

/// Which of the routes of a host goes first: the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order<'a> {
    path: Reverse<usize>,
    prefix: bool,
    apex: bool,
    by_default: bool,
    owner: &'a str,
    position: usize,
}

impl<'a> Order<'a> {
    /// Of a route that is written down, at this place among its owner's.
    pub fn written(parts: &Parts<'_>, owner: &'a str, position: usize) -> Self {
        let path = Reverse(parts.path.len());
        Self { path, prefix: parts.prefix, apex: parts.apex, by_default: false, owner, position }
    }

    /// Of a [whole host](RoutePattern::whole_host) by which its owner answers by default.
    pub fn by_default(owner: &'a str) -> Self {
        Self { path: Reverse(1), prefix: true, apex: false, by_default: true, owner, position: 0 }
    }
}

impl<T> Rule<T> {
    fn order(&self) -> Order<'_> {
        let Rank { by_default, owner, position } = &self.rank;
        Order { by_default: *by_default, ..Order::written(&self.pattern.parts(), owner, *position) }
    }
}

/// Routes that are kept in another way than in a [`RouteIndex`], beside which they are looked up. Each leads to a number.
pub trait Beside<T> {
    /// What stands for a target until it is wanted.
    type Number;
    /// The first route for exactly this host that fits the path.
    fn exact<'a>(&'a self, host: &str, path: &str) -> Option<(Order<'a>, Self::Number)>;
    /// The first route for hosts below this domain that fits the path; at the domain itself, one that takes it too.
    fn below<'a>(&'a self, domain: &str, path: &str, at_apex: bool) -> Option<(Order<'a>, Self::Number)>;
    /// Whether any route has a wildcard for its host.
    fn has_wildcards(&self) -> bool;
    /// What a number stands for.
    fn target(&self, number: Self::Number) -> Option<&T>;
}

/// No routes.
impl<T> Beside<T> for () {
    type Number = Infallible;

    fn exact<'a>(&'a self, _: &str, _: &str) -> Option<(Order<'a>, Infallible)> {
        None
    }

    fn below<'a>(&'a self, _: &str, _: &str, _: bool) -> Option<(Order<'a>, Infallible)> {
        None
    }

    fn has_wildcards(&self) -> bool {
        false
    }

    fn target(&self, number: Infallible) -> Option<&T> {
        match number {}
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
    /// What answers at `host` ([normalized](normalize_host)) and `path` (without the query), where there are other routes
    /// beside these.
    pub fn find<'a, B: Beside<T>>(&'a self, others: &'a B, host: &str, path: &str) -> Option<&'a T> {
        let first = |rules: Option<&'a Vec<Rule<T>>>, at_apex| {
            rules?.iter().find(|rule| rule.pattern.parts().fits(path, at_apex))
        };
        let lesser = |own: Option<&'a Rule<T>>, other: Option<(Order<'a>, B::Number)>| match (own, other) {
            (Some(rule), Some((order, _))) if rule.order() < order => Some(&rule.target),
            (_, Some((_, number))) => others.target(number),
            (rule, None) => rule.map(|rule| &rule.target),
        };
        if let Some(target) = lesser(first(self.exact.get(host), false), others.exact(host, path)) {
            return Some(target);
        }
        if self.wildcards == 0 && !others.has_wildcards() {
            return None;
        }
        let mut domain = host;
        let mut at_apex = true;
        loop {
            let own = first(self.below.get(domain), at_apex);
            if let Some(target) = lesser(own, others.below(domain, path, at_apex)) {
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
