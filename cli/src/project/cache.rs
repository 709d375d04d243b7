//! `[atoll.cache]`: what the cache in front of the app stores, and what tells requests apart.

use atoll_protocol::config::{CacheKeySettings, CacheRule, CacheSettings};
use serde::de::DeserializeOwned;

use super::document::Value;
use super::reader::{TableReader, WrongValue};

/// Reads the table at `key` of the table `atoll`. A key that is not known is an error: nobody else has a say in this table.
pub fn read(own: &mut TableReader<'_>) -> Result<CacheSettings, WrongValue> {
    let Some(mut table) = own.table("cache")? else { return Ok(CacheSettings::default()) };
    let mut rules = Vec::new();
    for node in table.array("rules")?.unwrap_or_default() {
        let expected = "tables with `path`, such as \"/api/*\", and `enabled`";
        let rule: Result<CacheRule, _> = serde_json::from_value(node.to_json());
        rules.push(rule.map_err(|error| table.wrong("rules", node, &format!("{expected} ({error})")))?);
    }
    let enabled = table.boolean("enabled")?;
    let key = table.table("key")?.map(read_key).transpose()?.unwrap_or_default();
    let early_hints = table.boolean("early_hints")?.unwrap_or_default();
    known(table, "`enabled`, `rules`, `key` and `early_hints`")?;
    Ok(CacheSettings { enabled, rules, key, early_hints })
}

fn read_key(mut table: TableReader<'_>) -> Result<CacheKeySettings, WrongValue> {
    let defaults = CacheKeySettings::default();
    let query = "\"all\", \"none\", { only = [\"q\"] } or { except = [\"utm_source\"] }";
    let key = CacheKeySettings {
        host: table.boolean("host")?.unwrap_or(defaults.host),
        query: value(&mut table, "query", query)?.unwrap_or_default(),
        headers: table.strings("headers")?.unwrap_or_default(),
        cookies: table.strings("cookies")?.unwrap_or_default(),
    };
    known(table, "`host`, `query`, `headers` and `cookies`")?;
    Ok(key)
}

fn value<T: DeserializeOwned>(table: &mut TableReader<'_>, key: &str, expected: &str) -> Result<Option<T>, WrongValue> {
    let Some(node) = table.take(key) else { return Ok(None) };
    serde_json::from_value(node.to_json()).map(Some).map_err(|_| table.wrong(key, node, expected))
}

/// Whether every key has been asked for.
fn known(mut table: TableReader<'_>, keys: &str) -> Result<(), WrongValue> {
    for key in table.keys() {
        if let Some(node) = table.take(key).filter(|node| node.value != Value::Null) {
            return Err(table.wrong(key, node, &format!("left out (there are {keys})")));
        }
    }
    Ok(())
}
