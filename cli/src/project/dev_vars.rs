//! `.dev.vars`: secrets for `atoll dev`, one `NAME=value` a line.

use std::collections::BTreeMap;

/// Reads lines of `NAME=value`. Empty lines and lines that start with `#` are skipped, `export ` before a name too; a
/// value may stand in single or double quotes, and in double quotes `\n` is a line break.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut vars = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!(".dev.vars, line {}: expected NAME=value", number + 1));
        };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!(".dev.vars, line {}: {name:?} is no name of a variable", number + 1));
        }
        vars.insert(name.to_owned(), unquote(value));
    }
    Ok(vars)
}

fn unquote(value: &str) -> String {
    let inner = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)).map(|(text, _)| text);
    if let Some(text) = inner('"') {
        text.replace("\\n", "\n")
    } else if let Some(text) = inner('\'') {
        text.to_owned()
    } else {
        value.split_once(" #").map_or(value, |(value, _)| value.trim_end()).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_quotes_and_comments() {
        let vars = parse("# secrets\nA=1\nexport B = \"two\\nlines\" # x\nC='a # b'\nD=plain # note\n").unwrap();
        let expected = [("A", "1"), ("B", "two\nlines"), ("C", "a # b"), ("D", "plain")];
        assert_eq!(vars, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        assert!(parse("A=1\nnonsense\n").unwrap_err().contains("line 2"));
        assert!(parse("A B=1").unwrap_err().contains("line 1"));
    }
}
