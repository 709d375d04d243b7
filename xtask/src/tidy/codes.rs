//! The codes that errors are known by outside: every one in the sources is explained in `docs/errors.md`.

/// Where the codes are explained.
pub const PAGE: &str = "docs/errors.md";

/// Crates whose errors reach a client, an app's owner or a terminal.
const FOLDERS: [&str; 8] = [
    "cli/src/",
    "control-plane/protocol/src/",
    "control-plane/src/",
    "control-plane/store/src/",
    "edge-node/src/",
    "runtime/bundle/src/",
    "runtime/src/",
    "runtime/web/src/",
];

/// What comes right before a code.
const MAKERS: [&str; 9] = [
    "ApiError::new(",
    "ApiError::bad_request(",
    "ApiError::unprocessable(",
    "ApiError::not_found(",
    "ApiError::too_large(",
    "ApiError::internal(",
    "CommandError::new(",
    "FetchFailure { code:",
    "FetchFailure {\n",
];

/// The codes of a source file that the page's text does not have, as `path:line: what`.
pub fn check(path: &str, source: &str, page: &str) -> Vec<String> {
    if !FOLDERS.iter().any(|folder| path.starts_with(folder)) || path.ends_with("tests.rs") {
        return Vec::new();
    }
    let shipped = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut complaints = Vec::new();
    for (offset, code) in made(shipped).chain(listed(shipped)) {
        if !page.contains(&format!("`{code}`")) {
            let line = shipped[..offset].matches('\n').count() + 1;
            complaints.push(format!("{path}:{line}: `{code}` is not explained in {PAGE}"));
        }
    }
    complaints
}

/// The codes that errors are made with: the first literal after one of [`MAKERS`] that looks like a code.
fn made(source: &str) -> impl Iterator<Item = (usize, &str)> {
    MAKERS.iter().flat_map(move |maker| {
        source.match_indices(maker).filter_map(move |(at, _)| {
            let from = at + maker.len();
            let end = source[from..].find([')', '}', ';']).map_or(source.len(), |end| from + end);
            literals(source, from, end).next()
        })
    })
}

/// The codes that a function `code` gives.
fn listed(source: &str) -> impl Iterator<Item = (usize, &str)> {
    source.match_indices("fn code(").flat_map(move |(from, _)| {
        let end = source[from..].find("\n    }\n").map_or(source.len(), |end| from + end);
        literals(source, from, end)
    })
}

/// String literals between two offsets that look like a code.
fn literals(source: &str, from: usize, end: usize) -> impl Iterator<Item = (usize, &str)> {
    let is_code = |text: &str| text.contains('-') && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase());
    let mut offset = from;
    source[from..end].split('"').enumerate().filter_map(move |(index, piece)| {
        let at = offset;
        offset += piece.len() + 1;
        (index % 2 == 1 && is_code(piece)).then_some((at, piece))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"impl A {
    fn code(&self) -> &'static str {
        match self { Self::B => "b-failed", Self::C => "c-failed" }
    }
}
fn f() { g(ApiError::new(
    Status::A, "d-failed", "not-a-code but a message")) }
fn h() { CommandError::new("e-failed", "x") }
fn other() -> &'static str { "no-error" }
#[cfg(test)]
mod tests { fn f() { CommandError::new("only-tested", "x") } }
"#;

    #[test]
    fn finds_codes_where_they_are_made_and_listed() {
        let page = "`c-failed`";
        assert_eq!(
            check("cli/src/a.rs", SOURCE, page),
            [
                "cli/src/a.rs:7: `d-failed` is not explained in docs/errors.md",
                "cli/src/a.rs:8: `e-failed` is not explained in docs/errors.md",
                "cli/src/a.rs:3: `b-failed` is not explained in docs/errors.md",
            ]
        );
        assert!(check("cli/src/a.rs", SOURCE, "`b-failed` `c-failed` `d-failed` `e-failed`").is_empty());
        assert!(check("bench/src/a.rs", SOURCE, page).is_empty());
    }
}
