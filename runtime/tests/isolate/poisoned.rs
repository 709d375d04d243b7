//! What the platform answers does not depend on the methods of the prototypes, which every app may replace.

use super::*;

const CODE: &str = include_str!("poisoned.js");

const GROUPS: &[&str] = &[
    "arrays",
    "buffers",
    "collections",
    "functions",
    "iterators",
    "numbers",
    "objects",
    "patterns",
    "promises",
    "statics",
    "strings",
];

/// What depends on a method all the same, and why: group, probes, reason.
const DEPENDENT: &[(&str, &[&str], &str)] = &[
    ("buffers", &["bytes"], "deno_web copies into the view of a BYOB read with TypedArray.prototype.set"),
    (
        "iterators",
        &["blobs", "clones", "files", "forms", "pairs", "sealing", "signals", "signing"],
        "a list that code gives is read with its iterator: Web IDL, converting to sequence<T>",
    ),
    (
        "promises",
        &["coded", "compressed", "pipes"],
        "a promise is asked for `then` when another is resolved with it: ECMAScript, promise resolve functions",
    ),
];

fn dependent(group: &str) -> &'static [&'static str] {
    DEPENDENT.iter().find(|(dependent, ..)| *dependent == group).map_or(&[], |(_, probes, _)| probes)
}

/// What each probe answers where the methods of `group` throw, and the log.
async fn answers(group: &str) -> (Vec<(String, String)>, String) {
    let code = format!("const POISON = {group:?}, DEPENDENT = {:?};\n{CODE}", dependent(group));
    let limits = Limits { cpu: Duration::from_secs(60), ..Limits::default() };
    let (isolate, host) = start_with(bundle(&[("index.js", ModuleKind::EsModule, code.as_bytes())]), limits);
    let text = ask(&isolate, "/").await;
    let answers = text.split_terminator("\n\0").map(|line| {
        let (name, answer) = line.split_once(": ").unwrap_or_else(|| panic!("an answer, not {line:?}"));
        (name.to_owned(), answer.to_owned())
    });
    (answers.collect(), host.text())
}

#[tokio::test]
async fn every_api_works_where_an_app_has_replaced_the_methods_of_prototypes() {
    let (expected, log) = answers("none").await;
    assert!(expected.len() > 35, "{expected:#?}");
    for (name, answer) in &expected {
        assert!(!answer.contains("failed"), "{name}: {answer}");
    }
    let mut wrong = Vec::new();
    for group in GROUPS {
        let (found, found_log) = answers(group).await;
        assert_eq!(found.len(), expected.len(), "{group}");
        let dependent = dependent(group);
        for ((name, expected), (_, answer)) in expected.iter().zip(&found) {
            if dependent.contains(&name.as_str()) {
                if expected == answer {
                    wrong.push(format!("{group}, {name}: does not depend on them"));
                }
            } else if expected != answer {
                wrong.push(format!("{group}, {name}: {answer}"));
            }
        }
        if dependent.is_empty() && found_log != log {
            wrong.push(format!("{group}, the log: {found_log}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
