//! Typed reading of a project file's tree: a wrong type is an error that names file, line, key and what was expected; a
//! key that nobody asked for becomes a warning.

use std::collections::BTreeMap;

use super::document::{Node, Value};

/// A value in a project file is not what its key takes.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{file}, line {line}: `{key}` must be {expected}, not {found}")]
pub struct WrongValue {
    /// The file, as the user would name it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The key with its tables, for example `limits.cpu_ms`.
    pub key: String,
    /// What would have been right.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// The entries of one table, taken out one by one.
pub struct TableReader<'a> {
    file: &'a str,
    path: String,
    entries: Vec<(&'a str, &'a Node)>,
}

impl<'a> TableReader<'a> {
    /// The entries of `node`, which is at `path` (empty for the file itself).
    pub fn new(file: &'a str, path: &str, node: &'a Node) -> Result<Self, WrongValue> {
        match &node.value {
            Value::Table(entries) => Ok(Self {
                file,
                path: path.to_owned(),
                entries: entries.iter().map(|(key, node)| (key.as_str(), node)).collect(),
            }),
            _ => Err(WrongValue {
                file: file.into(),
                line: node.line,
                key: path.into(),
                expected: "a table".into(),
                found: node.describe(),
            }),
        }
    }

    /// The full name of `key` in this table.
    pub fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Takes the value of `key` out.
    pub fn take(&mut self, key: &str) -> Option<&'a Node> {
        let at = self.entries.iter().position(|(name, _)| *name == key)?;
        let (_, node) = self.entries.remove(at);
        (node.value != Value::Null).then_some(node)
    }

    /// Takes out what says nothing: empty arrays and tables, and tables that hold only such.
    pub fn forget_empty(&mut self) {
        fn is_empty(node: &Node) -> bool {
            match &node.value {
                Value::Array(items) => items.is_empty(),
                Value::Table(entries) => entries.iter().all(|(_, node)| is_empty(node)),
                _ => false,
            }
        }
        self.entries.retain(|(_, node)| !is_empty(node));
    }

    /// The error that `key`'s value `node` should have been `expected`.
    pub fn wrong(&self, key: &str, node: &Node, expected: &str) -> WrongValue {
        WrongValue {
            file: self.file.into(),
            line: node.line,
            key: self.name(key),
            expected: expected.into(),
            found: node.describe(),
        }
    }

    /// A string.
    pub fn string(&mut self, key: &str) -> Result<Option<String>, WrongValue> {
        self.take(key).map(|node| self.as_string(key, node, "a string")).transpose()
    }

    fn as_string(&self, key: &str, node: &Node, expected: &str) -> Result<String, WrongValue> {
        match &node.value {
            Value::String(text) => Ok(text.clone()),
            _ => Err(self.wrong(key, node, expected)),
        }
    }

    /// A truth value.
    pub fn boolean(&mut self, key: &str) -> Result<Option<bool>, WrongValue> {
        self.take(key)
            .map(|node| match node.value {
                Value::Bool(value) => Ok(value),
                _ => Err(self.wrong(key, node, "true or false")),
            })
            .transpose()
    }

    /// A whole number from `least` on.
    pub fn integer(&mut self, key: &str, least: u64) -> Result<Option<u64>, WrongValue> {
        self.take(key)
            .map(|node| {
                match &node.value {
                    Value::Number(number) => number.as_u64().filter(|number| *number >= least),
                    _ => None,
                }
                .ok_or_else(|| self.wrong(key, node, &format!("a whole number of at least {least}")))
            })
            .transpose()
    }

    /// An array of strings.
    pub fn strings(&mut self, key: &str) -> Result<Option<Vec<String>>, WrongValue> {
        let expected = "an array of strings";
        self.take(key)
            .map(|node| match &node.value {
                Value::Array(items) => items.iter().map(|item| self.as_string(key, item, expected)).collect(),
                _ => Err(self.wrong(key, node, expected)),
            })
            .transpose()
    }

    /// The items of an array.
    pub fn array(&mut self, key: &str) -> Result<Option<&'a [Node]>, WrongValue> {
        self.take(key)
            .map(|node| match &node.value {
                Value::Array(items) => Ok(items.as_slice()),
                _ => Err(self.wrong(key, node, "an array")),
            })
            .transpose()
    }

    /// A table within this one.
    pub fn table(&mut self, key: &str) -> Result<Option<TableReader<'a>>, WrongValue> {
        self.take(key).map(|node| TableReader::new(self.file, &self.name(key), node)).transpose()
    }

    /// A table of any values, as JSON.
    pub fn json_table(&mut self, key: &str) -> Result<Option<BTreeMap<String, serde_json::Value>>, WrongValue> {
        Ok(self
            .table(key)?
            .map(|table| table.entries.iter().map(|(name, node)| ((*name).to_owned(), node.to_json())).collect()))
    }

    /// A table of strings.
    pub fn string_table(&mut self, key: &str) -> Result<Option<BTreeMap<String, String>>, WrongValue> {
        let Some(table) = self.table(key)? else { return Ok(None) };
        let entry = |(name, node): &(&str, &Node)| Ok(((*name).to_owned(), table.as_string(name, node, "a string")?));
        table.entries.iter().map(entry).collect::<Result<_, _>>().map(Some)
    }

    /// The keys that nobody took, with their lines.
    pub fn rest(self) -> Vec<(String, usize)> {
        self.entries.iter().map(|(key, node)| (self.name(key), node.line)).collect()
    }

    /// All keys that are still there.
    pub fn keys(&self) -> Vec<&'a str> {
        self.entries.iter().map(|(key, _)| *key).collect()
    }
}
