//! Purges: what of an app's stored responses is not to be used any more. Pure.
//!
//! A purge has the revision of the change that it is. A response carries the revision of the app's last purge when it
//! was asked for; every purge with a later revision that covers it makes it unusable, wherever it is kept: in memory, on
//! the disk, or still on its way. Nothing has to be searched for when a purge comes, and none can be missed.

use std::sync::Arc;

/// What a purge covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything of the app.
    Everything,
    /// Responses with this tag in `Cache-Tag`, whatever its case.
    Tag(Box<str>),
    /// Responses whose host and path (`example.com/images/`) begin so.
    Prefix(Box<str>),
}

/// All purges of an app that can matter still.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purges {
    floor: u64,
    last: u64,
    rules: Arc<[(u64, Scope)]>,
}

impl Purges {
    /// Purges with their revisions in ascending order. Responses from before the revision `floor` are unusable.
    pub fn new(floor: u64, rules: Vec<(u64, Scope)>) -> Self {
        let last = rules.iter().map(|(revision, _)| *revision).max().unwrap_or(0).max(floor);
        Self { floor, last, rules: rules.into() }
    }

    /// The revision that a response asked for now carries.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Whether a response that carries `revision` may be used.
    pub fn allow(&self, revision: u64, tags: &[Box<str>], place: &str) -> bool {
        if revision >= self.last {
            return true;
        }
        let covers = |scope: &Scope| match scope {
            Scope::Everything => true,
            Scope::Tag(tag) => tags.iter().any(|own| own.eq_ignore_ascii_case(tag)),
            Scope::Prefix(prefix) => place.starts_with(&**prefix),
        };
        revision >= self.floor && !self.rules.iter().any(|(purge, scope)| *purge > revision && covers(scope))
    }
}

/// The most tags of one response; more are ignored.
pub const MAX_TAGS: usize = 1000;
/// The longest tag, bytes; longer ones are ignored.
pub const MAX_TAG: usize = 1024;

/// The tags in the values of `Cache-Tag`: separated by commas.
pub fn tags<'a>(values: impl Iterator<Item = &'a [u8]>) -> Box<[Box<str>]> {
    values
        .flat_map(|value| value.split(|byte| *byte == b','))
        .filter_map(|tag| std::str::from_utf8(tag.trim_ascii()).ok())
        .filter(|tag| !tag.is_empty() && tag.len() <= MAX_TAG)
        .take(MAX_TAGS)
        .map(Into::into)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_covers_what_came_before_it_and_matches() {
        let purges = Purges::new(
            2,
            vec![(5, Scope::Tag("News".into())), (7, Scope::Prefix("a.com/img/".into())), (9, Scope::Everything)],
        );
        assert_eq!(purges.last(), 9);
        assert!(purges.allow(9, &["news".into()], "a.com/img/x"));
        assert!(!purges.allow(8, &[], "b.com/"));
        let purges = Purges::new(2, vec![(5, Scope::Tag("News".into())), (7, Scope::Prefix("a.com/img/".into()))]);
        assert!(purges.allow(4, &["sport".into()], "a.com/x"));
        assert!(!purges.allow(4, &["sport".into(), "news".into()], "a.com/x"));
        assert!(purges.allow(5, &["news".into()], "a.com/x"), "it was asked for after the purge");
        assert!(!purges.allow(6, &[], "a.com/img/x"));
        assert!(purges.allow(6, &[], "a.com/imgs"));
        assert!(!purges.allow(1, &[], "c.com/"), "from before the floor");
        assert!(Purges::default().allow(0, &[], ""));
    }

    #[test]
    fn tags_are_split_trimmed_and_bounded() {
        let long = "x".repeat(MAX_TAG + 1);
        let values = ["a, b ,,", &long, "c"];
        assert_eq!(*tags(values.iter().map(|value| value.as_bytes())), ["a".into(), "b".into(), "c".into()]);
        let many = "t,".repeat(MAX_TAGS * 2);
        assert_eq!(tags([many.as_bytes()].into_iter()).len(), MAX_TAGS);
        assert!(tags([&b"\xff"[..]].into_iter()).is_empty());
    }
}
