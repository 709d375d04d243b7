use proptest::prelude::*;

use super::*;

fn rank(owner: &str, position: usize) -> Rank {
    Rank { by_default: false, owner: owner.into(), position }
}

fn index(patterns: &[&'static str]) -> RouteIndex<&'static str> {
    patterns.iter().map(|pattern| (RoutePattern::parse(pattern).unwrap(), *pattern)).collect()
}

#[test]
fn of_equal_patterns_the_lesser_rank_wins_whatever_came_first_and_goes_alone() {
    let pattern = Arc::new(RoutePattern::parse("a.com/*").unwrap());
    let by_default = Rank { by_default: true, ..rank("a", 0) };
    let ranks = [by_default, rank("c", 0), rank("b", 1), rank("b", 0)];
    let mut index = RouteIndex::default();
    for rank in &ranks {
        index.insert(pattern.clone(), rank.clone(), rank.clone());
    }
    let before = index.clone();
    for rank in [&ranks[3], &ranks[2], &ranks[1], &ranks[0]] {
        assert_eq!(index.find(&(), "a.com", "/"), Some(rank));
        index.remove(&pattern, rank);
    }
    assert!(index.find(&(), "a.com", "/").is_none() && index.exact.is_empty());
    assert_eq!(before.find(&(), "a.com", "/"), Some(&ranks[3]), "the one before stays as it was");
}

fn find<'a>(index: &'a RouteIndex<&'static str>, url: &str) -> Option<&'a str> {
    let (host, path) = url.find('/').map_or((url, "/"), |slash| url.split_at(slash));
    index.find(&(), &normalize_host(host), path).copied()
}

#[test]
fn the_most_specific_pattern_wins() {
    let index = index(&[
        "*/*",
        "*example.com/*",
        "*.example.com/*",
        "*.a.example.com/*",
        "example.com/*",
        "example.com/api/*",
        "example.com/api/v1",
        "b.example.com/only",
    ]);
    for (url, expected) in [
        ("example.com/", "example.com/*"),
        ("example.com/api/x", "example.com/api/*"),
        ("example.com/api/v1", "example.com/api/v1"),
        ("example.com/api/v1/", "example.com/api/*"),
        ("example.com/api", "example.com/*"),
        ("www.example.com/", "*.example.com/*"),
        ("x.a.example.com/", "*.a.example.com/*"),
        ("a.example.com/", "*.example.com/*"),
        ("b.example.com/only", "b.example.com/only"),
        ("b.example.com/other", "*.example.com/*"),
        ("notexample.com/", "*/*"),
        ("localhost/", "*/*"),
    ] {
        assert_eq!(find(&index, url), Some(expected), "{url}");
    }
}

#[test]
fn a_leading_star_takes_the_host_itself_and_star_dot_does_not() {
    let both = index(&["*example.com/*"]);
    assert_eq!(find(&both, "example.com/"), Some("*example.com/*"));
    assert_eq!(find(&both, "a.b.example.com/"), Some("*example.com/*"));
    assert_eq!(find(&both, "myexample.com/"), None);
    let below = index(&["*.example.com/*"]);
    assert_eq!(find(&below, "example.com/"), None);
    assert_eq!(find(&below, "a.example.com/"), Some("*.example.com/*"));
}

#[test]
fn case_port_scheme_and_trailing_dot_do_not_matter_in_hosts() {
    let index = index(&["https://Shop.Example.com/*", "[::1]/*"]);
    for host in ["shop.example.com", "SHOP.example.COM:8080", "shop.example.com.", "shop.example.com.:80"] {
        assert!(find(&index, host).is_some(), "{host}");
    }
    assert!(find(&index, "[::1]:8080/").is_some());
    assert!(find(&index, "[::1]/").is_some());
}

#[test]
fn a_path_is_compared_as_it_is() {
    let index = index(&["example.com", "example.com/images*"]);
    assert_eq!(find(&index, "example.com/"), Some("example.com"));
    assert_eq!(find(&index, "example.com/x"), None);
    assert_eq!(find(&index, "example.com/images.png"), Some("example.com/images*"));
    assert_eq!(find(&index, "example.com/Images"), None);
}

#[test]
fn patterns_that_cannot_match_are_refused_by_name() {
    for pattern in ["", "/x", "a*b.com/", "*.*.com/", "example.com/*/x", "*."] {
        let error = RoutePattern::parse(pattern).unwrap_err().to_string();
        assert!(error.contains(&format!("{pattern:?}")), "{error}");
    }
}

/// The definition of a match, without an index.
fn matches_slowly(pattern: &RoutePattern, host: &str, path: &str) -> bool {
    let host_matches = match &pattern.host {
        HostPattern::Exact(name) => host == name,
        HostPattern::Below { domain, apex } => {
            domain.is_empty() || (*apex && host == domain) || host.ends_with(&format!(".{domain}"))
        }
    };
    host_matches && pattern.parts().fits(path, false)
}

proptest! {
    #[test]
    fn the_index_finds_a_route_exactly_when_one_matches(
        patterns in prop::collection::vec("(\\*\\.?)?[ab](\\.[ab]){0,2}(/[ab]{0,2}\\*?)?", 0..8),
        host in "[ab](\\.[ab]){0,3}",
        path in "/[ab]{0,3}",
    ) {
        let patterns: Vec<_> = patterns.iter().map(|p| RoutePattern::parse(p).unwrap()).collect();
        let index: RouteIndex<RoutePattern> = patterns.iter().map(|p| (p.clone(), p.clone())).collect();
        let expected = patterns.iter().any(|p| matches_slowly(p, &host, &path));
        let found = index.find(&(), &host, &path);
        prop_assert_eq!(found.is_some(), expected);
        if let Some(found) = found {
            prop_assert!(matches_slowly(found, &host, &path));
            let exact = |p: &RoutePattern| matches!(p.host, HostPattern::Exact(_));
            let better = |p: &&RoutePattern| matches_slowly(p, &host, &path) && exact(p) && !exact(found);
            prop_assert!(!patterns.iter().any(|p| better(&p)));
        }
    }

    #[test]
    fn parsing_and_looking_up_anything_never_panics(pattern in ".*", host in ".*", path in ".*") {
        let route = RoutePattern::parse(&pattern).ok();
        let index: RouteIndex<()> = route.into_iter().map(|route| (route, ())).collect();
        index.find(&(), &normalize_host(&host), &path);
    }
}
