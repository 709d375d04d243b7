//! The table `[atoll]`: settings that only this platform has. Other platforms' tools pass over it.

use atoll_protocol::config::{CacheSettings, CompressionSettings, ProxySettings};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::cache;
use super::document::{Node, Value};
use super::reader::{TableReader, WrongValue};

/// What the table says.
#[derive(Default)]
pub struct Own {
    /// `[atoll.cache]`.
    pub cache: CacheSettings,
    /// `[atoll.compression]`.
    pub compression: CompressionSettings,
    /// `atoll.origin`: a URL, or a table with `url`.
    pub proxy: Option<ProxySettings>,
}

/// Takes the table.
pub fn read(table: &mut TableReader<'_>, warnings: &mut Vec<String>) -> Result<Own, WrongValue> {
    let Some(mut own) = table.table("atoll")? else { return Ok(Own::default()) };
    let cache = cache::read(&mut own)?;
    let compression = match own.take("compression") {
        None => CompressionSettings::default(),
        Some(node) => settings(&own, "compression", node, node.to_json(), "settings of the compression")?,
    };
    let proxy = match own.take("origin") {
        None => None,
        Some(node) => {
            let json = match &node.value {
                Value::String(url) => json!({ "url": url }),
                _ => node.to_json(),
            };
            Some(settings(&own, "origin", node, json, "the origin's URL, or a table with `url`")?)
        }
    };
    for (key, line) in own.rest() {
        warnings.push(format!("line {line}: `{key}` is not a key this version knows; it is ignored"));
    }
    Ok(Own { cache, compression, proxy })
}

fn settings<T: DeserializeOwned>(
    own: &TableReader<'_>,
    key: &str,
    node: &Node,
    json: serde_json::Value,
    expected: &str,
) -> Result<T, WrongValue> {
    serde_json::from_value(json).map_err(|error| own.wrong(key, node, &format!("{expected} ({error})")))
}
