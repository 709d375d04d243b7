//! Names that code finds in workerd are here too, or a list says why not.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::{DATE, PATIENCE, WRANGLER, classic, folder, project};
use crate::support::oracles::Oracle;
use crate::support::{Connection, Up};

/// All names that code finds in a runtime.
fn names(address: SocketAddr) -> BTreeSet<String> {
    let mut connection = Connection::open(address).unwrap();
    connection.stream().set_read_timeout(Some(PATIENCE)).unwrap();
    let answer = connection.request("GET", "differential.localhost", "/names", &[], b"").unwrap();
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{} {}", answer.status, answer.text()))
}

/// What a name is found on, when that is a name too.
fn holders(name: &str) -> Vec<String> {
    let (module, rest) = name.split_once(' ').map_or((None, name), |(module, rest)| (Some(module), rest));
    let first = rest.split_once('.').map(|(first, _)| first);
    match (module, first) {
        (Some(module), Some(first)) => vec![module.to_owned(), format!("{module} {first}")],
        (Some(module), None) => vec![module.to_owned()],
        (None, first) => first.map(|first| format!("globalThis.{first}")).into_iter().collect(),
    }
}

fn covers(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

#[test]
fn names_that_workerd_has_are_here_or_the_list_says_why_not() {
    let up = Up::with(&[]);
    up.deploy(classic().path());
    up.deploy(project().file("wrangler.toml", WRANGLER).path());
    let workerd = Oracle::workerd(project(), DATE);
    let (ours, theirs) = (names(up.edge), names(workerd.address));
    assert!(ours.len() > 5_000 && theirs.len() > 5_000, "{} and {}", ours.len(), theirs.len());

    let text = std::fs::read_to_string(folder().join("missing.toml")).unwrap();
    let groups: BTreeMap<String, Vec<String>> = toml::from_str(&text).expect("missing.toml");
    let patterns: Vec<&String> = groups.values().flatten().collect();
    let all: BTreeSet<&String> = theirs.difference(&ours).collect();
    let missing: Vec<&String> =
        all.iter().filter(|name| !holders(name).iter().any(|holder| all.contains(holder))).copied().collect();
    let unknown: Vec<_> = missing.iter().filter(|name| !patterns.iter().any(|pattern| covers(pattern, name))).collect();
    let stale: Vec<_> = patterns.iter().filter(|pattern| !missing.iter().any(|name| covers(pattern, name))).collect();
    assert!(
        unknown.is_empty() && stale.is_empty(),
        "of {} names that workerd has, {} are not here; missing.toml does not say why of {unknown:#?}, and is stale in {stale:#?}",
        theirs.len(),
        all.len()
    );
}
