//! `build` of a project file: a command of the project's own that makes what is deployed.

use super::document::Value;
use super::reader::{TableReader, WrongValue};

/// Where changes call for the command when `watch_dir` is not set.
const WATCHED: &str = "./src";

/// What `build` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomBuild {
    /// The command, as `sh -c` takes it.
    pub command: String,
    /// Where it is run, relative to the project.
    pub cwd: Option<String>,
    /// Folders whose changes make `atoll dev` run it again, relative to the project.
    pub watch: Vec<String>,
}

/// Reads `build`; `None` when it has no command.
pub fn read(
    table: &mut TableReader<'_>,
    file: &str,
    warnings: &mut Vec<String>,
) -> Result<Option<CustomBuild>, WrongValue> {
    let Some(mut build) = table.table("build")? else { return Ok(None) };
    let command = build.string("command")?;
    let cwd = build.string("cwd")?;
    let watch = match build.take("watch_dir") {
        None => vec![WATCHED.to_owned()],
        Some(node) => {
            let folder = |value: &Value| match value {
                Value::String(folder) => Some(folder.clone()),
                _ => None,
            };
            let folders = match &node.value {
                Value::Array(items) => items.iter().map(|item| folder(&item.value)).collect(),
                value => folder(value).map(|folder| vec![folder]),
            };
            folders.ok_or_else(|| build.wrong("watch_dir", node, "a folder or an array of folders"))?
        }
    };
    for (key, line) in build.rest() {
        warnings.push(format!("{file}, line {line}: `{key}` is not a key this version knows; it is ignored"));
    }
    Ok(command.filter(|command| !command.trim().is_empty()).map(|command| CustomBuild { command, cwd, watch }))
}
