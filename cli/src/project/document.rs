//! A TOML or JSONC file as one kind of tree in which every value knows its line, so that what is said of a wrong value
//! can name its place whatever the format.

use jsonc_parser::ast;
use serde_json::Number;
use toml::de::{DeTable, DeValue};

/// How a project file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `wrangler.toml`.
    Toml,
    /// `wrangler.json` and `wrangler.jsonc`: JSON with comments and trailing commas.
    Jsonc,
}

/// A value and the line (from 1) on which it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The line.
    pub line: usize,
    /// The value.
    pub value: Value,
}

/// What a file can hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// JSON's `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer or a float.
    Number(Number),
    /// A string; dates of TOML too.
    String(String),
    /// An array.
    Array(Vec<Node>),
    /// A table or object, in the order of the file.
    Table(Vec<(String, Node)>),
}

impl Node {
    /// What the value is, as an error message calls it.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "null".into(),
            Value::Bool(value) => format!("the boolean {value}"),
            Value::Number(number) => format!("the number {number}"),
            Value::String(text) => format!("the string {text:?}"),
            Value::Array(_) => "an array".into(),
            Value::Table(_) => "a table".into(),
        }
    }

    /// The value as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => serde_json::Value::Number(number.clone()),
            Value::String(text) => text.as_str().into(),
            Value::Array(items) => items.iter().map(Self::to_json).collect(),
            Value::Table(entries) => {
                serde_json::Value::Object(entries.iter().map(|(key, node)| (key.clone(), node.to_json())).collect())
            }
        }
    }
}

/// Why a file could not be read as its format.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Reads `text`. The answer is always a table.
pub fn parse(text: &str, format: Format) -> Result<Node, SyntaxError> {
    let lines = Lines::new(text);
    match format {
        Format::Toml => {
            let table = DeTable::parse(text).map_err(|error| {
                let (line, column) = lines.position(error.span().map_or(0, |span| span.start));
                SyntaxError { line, column, message: error.message().to_owned() }
            })?;
            Ok(Node { line: 1, value: from_toml_table(table.get_ref(), &lines) })
        }
        Format::Jsonc => {
            let options = jsonc_parser::ParseOptions {
                allow_loose_object_property_names: false,
                allow_missing_commas: false,
                allow_single_quoted_strings: false,
                ..Default::default()
            };
            let parsed = jsonc_parser::parse_to_ast(text, &Default::default(), &options).map_err(|error| {
                let (line, column) = lines.position(error.range().start);
                SyntaxError { line, column, message: error.kind().to_string() }
            })?;
            match parsed.value {
                Some(value @ ast::Value::Object(_)) => Ok(from_json(&value, &lines)),
                Some(_) => Err(SyntaxError { line: 1, column: 1, message: "the file must hold one object".into() }),
                None => Ok(Node { line: 1, value: Value::Table(Vec::new()) }),
            }
        }
    }
}

/// The starts of a text's lines.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.0.partition_point(|start| *start <= offset).max(1);
        (line, offset - self.0[line - 1] + 1)
    }

    fn line(&self, offset: usize) -> usize {
        self.position(offset).0
    }
}

fn from_toml_table(table: &DeTable<'_>, lines: &Lines) -> Value {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| {
            // A table's own span may be that of its header or of its whole body; the key is what a reader looks for.
            let line = lines.line(key.span().start);
            (key.span().start, key.get_ref().to_string(), from_toml(value.get_ref(), line, lines))
        })
        .collect();
    entries.sort_by_key(|(at, ..)| *at);
    Value::Table(entries.into_iter().map(|(_, key, node)| (key, node)).collect())
}

fn from_toml(value: &DeValue<'_>, line: usize, lines: &Lines) -> Node {
    let number = |text: String| text.parse::<Number>().map_or(Value::String(text), Value::Number);
    let value = match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Value::Number(integer.into()),
            Err(_) => Value::String(integer.to_string()),
        },
        DeValue::Float(float) => number(float.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(datetime) => Value::String(datetime.to_string()),
        DeValue::Array(items) => Value::Array(
            items.iter().map(|item| from_toml(item.get_ref(), lines.line(item.span().start), lines)).collect(),
        ),
        DeValue::Table(table) => from_toml_table(table, lines),
    };
    Node { line, value }
}

fn from_json(value: &ast::Value<'_>, lines: &Lines) -> Node {
    use jsonc_parser::common::Ranged;
    let line = lines.line(value.range().start);
    let value = match value {
        ast::Value::StringLit(text) => Value::String(text.value.to_string()),
        ast::Value::NumberLit(number) => match number.value.parse::<Number>() {
            Ok(number) => Value::Number(number),
            Err(_) => Value::String(number.value.to_string()),
        },
        ast::Value::BooleanLit(value) => Value::Bool(value.value),
        ast::Value::Object(object) => Value::Table(
            object
                .properties
                .iter()
                .map(|property| (property.name.as_str().to_owned(), from_json(&property.value, lines)))
                .collect(),
        ),
        ast::Value::Array(array) => Value::Array(array.elements.iter().map(|item| from_json(item, lines)).collect()),
        ast::Value::NullKeyword(_) => Value::Null,
    };
    Node { line, value }
}
