//! Every project under `examples/` is deployed as it is and answers as its README says.

use crate::support::http::{post, try_request};
use crate::support::project::repository;
use crate::support::{Connection, Project, Up, npm, origin};

/// A copy of an example, with the packages it asks for in the versions it pins.
fn example(name: &str) -> Project {
    let folder = repository("examples").join(name);
    let project = Project::copy_of(&folder);
    if let Ok(text) = std::fs::read_to_string(folder.join("package.json")) {
        let package: serde_json::Value = serde_json::from_str(&text).unwrap();
        let empty = serde_json::Map::new();
        for (dependency, pinned) in package["dependencies"].as_object().unwrap_or(&empty) {
            let installed = npm::node_modules().join(dependency).join("package.json");
            let installed = std::fs::read_to_string(installed).unwrap_or_default();
            let version = format!("\"version\": {pinned}");
            assert!(installed.contains(&version), "examples/{name} pins {dependency} {pinned}; tests/npm has another");
            npm::install(&project, &[dependency]);
        }
    }
    project
}

fn readme(name: &str) -> String {
    std::fs::read_to_string(repository("examples").join(name).join("README.md")).unwrap()
}

#[test]
fn every_example_has_a_test_and_a_readme() {
    let mut names: Vec<String> = std::fs::read_dir(repository("examples"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["hello", "hono-router", "itty-router", "json-api", "streaming", "wasm"]);
    for name in names {
        assert!(readme(&name).contains("atoll deploy"), "examples/{name}/README.md");
    }
}
