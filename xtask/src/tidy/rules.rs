//! The rules about one file's text. Pure: a path and a text in, complaints out.

/// No module is longer; past this there is a seam to be found.
const MOST_LINES: usize = 600;

/// Words that stand for a decision not taken. They are put together here so that this file passes its own rule.
const UNDECIDED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
];

/// Paths that exist on one machine only, and hosts of package registries: a clone builds with whatever registry its
/// machine is set up for.
const PRIVATE: [&str; 7] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/home", "/"),
    concat!("index.", "crates.io"),
    concat!("registry.", "npmjs.org"),
    concat!("deb.", "debian.org"),
    concat!("files.", "pythonhosted.org"),
];

/// What is wrong with a file, as `path:line: what`.
pub fn check(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut complain = |line: usize, what: &str| complaints.push(format!("{path}:{line}: {what}"));

    let rust = path.ends_with(".rs");
    let code = rust || [".js", ".mjs", ".ts", ".tsx", ".jsx", ".sh"].iter().any(|end| path.ends_with(end));
    // A file of tests beside its module is described by that module.
    if rust && !path.ends_with("tests.rs") && !text.starts_with("//!") {
        complain(1, "a module opens with `//!`: what is it responsible for?");
    }
    let lines = text.lines().count();
    if code && lines > MOST_LINES {
        complain(lines, &format!("{lines} lines; a module has at most {MOST_LINES}"));
    }
    for (index, line) in text.lines().enumerate() {
        if let Some(word) = UNDECIDED.iter().find(|word| line.contains(**word)) {
            complain(index + 1, &format!("`{word}`: decide, or write down what is missing where users read it"));
        }
        if let Some(address) = PRIVATE.iter().find(|address| line.contains(**address)) {
            complain(index + 1, &format!("`{address}`: an address that another machine may not have"));
        }
        // A test binary may hold a process for its tests to start: `/// Not a test: …` says so.
        let helper = text.lines().take(index).skip(index.saturating_sub(3)).any(|line| line.contains("/// Not a test"));
        if rust && line.trim_start().starts_with(concat!("#[ign", "ore")) && !helper {
            complain(index + 1, "an ignored test proves nothing");
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_it_is_for() {
        assert_eq!(check("a.rs", "//! Routes.\nfn f() {}\n"), Vec::<String>::new());
        assert_eq!(check("a.rs", "fn f() {}\n").len(), 1);
        assert_eq!(check("a_tests.rs", "fn f() {}\n"), Vec::<String>::new());
        assert_eq!(check("a.ts", "f()\n"), Vec::<String>::new());
    }

    #[test]
    fn a_module_has_at_most_600_lines() {
        assert!(check("a.ts", &"f()\n".repeat(600)).is_empty());
        assert_eq!(check("a.ts", &"f()\n".repeat(601)), ["a.ts:601: 601 lines; a module has at most 600"]);
        assert!(check("a.json", &"1\n".repeat(601)).is_empty());
    }

    #[test]
    fn undecided_words_private_addresses_and_ignored_tests_are_found() {
        for line in [UNDECIDED[0], UNDECIDED[4], PRIVATE[0], PRIVATE[3], concat!("    #[ign", "ore = \"slow\"]")] {
            let complaints = check("a.rs", &format!("//! A.\n{line}\n"));
            assert_eq!(complaints.len(), 1, "{line}: {complaints:?}");
            assert!(complaints[0].starts_with("a.rs:2: "), "{complaints:?}");
        }
        let helper = concat!("//! A.\n/// Not a test: a process.\n#[test]\n#[ign", "ore]\nfn process() {}\n");
        assert!(check("a.rs", helper).is_empty());
    }
}
