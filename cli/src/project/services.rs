//! `services` of a project file: the other apps that `env` leads to.

use std::collections::BTreeMap;

use atoll_protocol::config::ServiceBinding;

use super::document::Value;
use super::reader::{TableReader, WrongValue};

/// Reads `services`: tables with `binding`, `service` and, when it is not the default export, `entrypoint`.
pub fn read(
    table: &mut TableReader<'_>,
    file: &str,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<String, ServiceBinding>, WrongValue> {
    let mut services = BTreeMap::new();
    for node in table.array("services")?.unwrap_or_default() {
        let expected = "a table with `binding` and `service`, both strings";
        let Value::Table(_) = &node.value else { return Err(table.wrong("services", node, expected)) };
        let mut entry = TableReader::new(file, "services", node)?;
        let missing = || table.wrong("services", node, expected);
        let binding = entry.string("binding")?.ok_or_else(missing)?;
        let mut service = entry.string("service")?.ok_or_else(missing)?;
        let entrypoint = entry.string("entrypoint")?;
        // An environment of another project is an app of its own.
        if let Some(environment) = entry.string("environment")? {
            service = format!("{service}-{environment}");
        }
        if services.contains_key(&binding) {
            return Err(table.wrong("services", node, &format!("a list without two bindings named {binding:?}")));
        }
        for (key, line) in entry.rest() {
            warnings.push(format!("{file}, line {line}: `{key}` is not a key this version knows; it is ignored"));
        }
        services.insert(binding, ServiceBinding { service, entrypoint });
    }
    Ok(services)
}
