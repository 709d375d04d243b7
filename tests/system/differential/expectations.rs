//! Which answer is right where the runtimes differ. A file of expectations is a table of cases:
//!
//! ```toml
//! ["a case's name"]
//! follows = "deno"            # or "workerd", or "neither" with `answer`
//! because = "Fetch 5.1: ..."
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// What the three runtimes gave for a case.
pub struct Answers<'a> {
    /// Ours.
    pub atoll: &'a str,
    /// Deno's.
    pub deno: &'a str,
    /// workerd's.
    pub workerd: &'a str,
}

impl Answers<'_> {
    /// Whether all gave the same.
    pub fn agree(&self) -> bool {
        self.atoll == self.deno && self.atoll == self.workerd
    }
}

/// The expectations of a file of cases.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Expectations(BTreeMap<String, Expectation>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    follows: Oracle,
    /// Ours, where it is neither runtime's.
    answer: Option<String>,
    because: String,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Oracle {
    Deno,
    Workerd,
    Neither,
}

impl Expectations {
    /// Those of a file; none when it does not exist.
    pub fn read(path: &Path) -> Self {
        let Ok(text) = std::fs::read_to_string(path) else { return Self(BTreeMap::new()) };
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// What is wrong with a case's answers.
    pub fn check(&self, case: &str, answers: &Answers<'_>) -> Option<String> {
        let Answers { atoll, deno, workerd } = answers;
        let shown = || format!("\n  atoll   {atoll}\n  deno    {deno}\n  workerd {workerd}");
        let Some(expectation) = self.0.get(case) else {
            return (!answers.agree()).then(|| format!("the runtimes differ, and no expectation says why{}", shown()));
        };
        if answers.agree() {
            return Some("the runtimes agree: the expectation is stale".to_owned());
        }
        if expectation.because.is_empty() {
            return Some("the expectation has no reason".to_owned());
        }
        let (wanted, matches) = match expectation.follows {
            Oracle::Deno => ("deno's", atoll == deno),
            Oracle::Workerd => ("workerd's", atoll == workerd),
            Oracle::Neither if atoll == deno || atoll == workerd => {
                return Some(format!("the answer is that of one runtime; say which one it follows{}", shown()));
            }
            Oracle::Neither => ("the expectation's", expectation.answer.as_deref() == Some(atoll)),
        };
        (!matches).then(|| format!("the answer is not {wanted}{}", shown()))
    }

    /// Cases that are expected and do not exist.
    pub fn unknown<'a>(&'a self, results: &'a BTreeMap<String, String>) -> impl Iterator<Item = &'a str> {
        self.0.keys().map(String::as_str).filter(|case| !results.contains_key(*case))
    }
}

#[test]
fn what_differs_without_a_reason_and_what_is_stale_is_found() {
    let text = "[followed]\nfollows = \"deno\"\nbecause = \"x\"\n[own]\nfollows = \"neither\"\nanswer = \"3\"\nbecause = \"x\"";
    let expectations: Expectations = toml::from_str(text).unwrap();
    let check = |case, atoll, deno, workerd| expectations.check(case, &Answers { atoll, deno, workerd }).is_none();
    assert!(check("other", "1", "1", "1"));
    assert!(!check("other", "1", "1", "2"));
    assert!(check("followed", "1", "1", "2"));
    assert!(!check("followed", "1", "2", "1"));
    assert!(!check("followed", "1", "1", "1"));
    assert!(check("own", "3", "1", "2"));
    assert!(!check("own", "4", "1", "2"));
    assert!(!check("own", "3", "3", "2"));
    assert_eq!(expectations.unknown(&BTreeMap::from([("own".into(), "".into())])).collect::<Vec<_>>(), ["followed"]);
}
