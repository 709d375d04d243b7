//! `triggers` of a project file: when the `scheduled` handler is due.

use atoll_protocol::cron;

use super::document::{Node, Value};
use super::reader::{TableReader, WrongValue};

/// Reads `triggers.crons`: expressions of five fields (minute, hour, day of the month, month, day of the week), in UTC.
pub fn read(table: &mut TableReader<'_>, file: &str, warnings: &mut Vec<String>) -> Result<Vec<String>, WrongValue> {
    let Some(node) = table.take("triggers") else { return Ok(Vec::new()) };
    let mut triggers = TableReader::new(file, "triggers", node)?;
    let mut crons = Vec::new();
    for item in triggers.array("crons")?.unwrap_or_default() {
        let cron = expression(item).map_err(|problem| {
            triggers.wrong("crons", item, &format!("a list of cron expressions such as \"*/5 * * * *\"{problem}"))
        })?;
        if !crons.contains(&cron) {
            crons.push(cron);
        }
    }
    for (key, line) in triggers.rest() {
        warnings.push(format!("{file}, line {line}: `{key}` is not a trigger this version knows; it is ignored"));
    }
    Ok(crons)
}

fn expression(node: &Node) -> Result<String, String> {
    let Value::String(text) = &node.value else { return Err(String::new()) };
    cron::parse(text).map(|_| text.clone()).map_err(|problem| format!(" ({problem})"))
}
