//! `[assets]` of a project file: the folder of the static files and how they are served.

use std::path::PathBuf;

use atoll_assets::Globs;
use atoll_protocol::config::{HtmlHandling, NotFoundHandling};
use serde::de::DeserializeOwned;

use super::document::{Node, Value};
use super::reader::{TableReader, WrongValue};

/// From this compatibility date on, files answer navigation before the code does.
const NAVIGATION_DATE: &str = "2025-04-01";
/// The compatibility flags that say so, or the contrary, whatever the date.
const NAVIGATION_FIRST: &str = "assets_navigation_prefers_asset_serving";
const NAVIGATION_OFF: &str = "assets_navigation_has_no_effect";

/// What a project says of its static files.
#[derive(Clone, Debug, PartialEq)]
pub struct Assets {
    /// The folder, relative to the project.
    pub directory: PathBuf,
    /// The name of the binding.
    pub binding: Option<String>,
    /// Which addresses pages have.
    pub html_handling: HtmlHandling,
    /// What answers when there is no file.
    pub not_found_handling: NotFoundHandling,
    /// Paths for which the code comes first.
    pub run_worker_first: Vec<String>,
    /// Navigation without a file is answered by `not_found_handling`.
    pub navigation_first: bool,
}

/// Reads the table. `Ok(Err(problem))` is a mistake that is more than a wrong type.
pub fn read(
    table: &mut TableReader<'_>,
    has_main: bool,
    date: &str,
    flags: &[String],
    file: &str,
    warnings: &mut Vec<String>,
) -> Result<Option<Result<Assets, String>>, WrongValue> {
    let Some(mut own) = table.table("assets")? else { return Ok(None) };
    let Some(directory) = own.string("directory")? else {
        return Ok(Some(Err("`assets.directory` is missing; name the folder of the static files".into())));
    };
    let binding = own.string("binding")?;
    let html_handling = choice(
        &mut own,
        "html_handling",
        "\"auto-trailing-slash\", \"force-trailing-slash\", \"drop-trailing-slash\" or \"none\"",
    )?;
    let not_found_handling =
        choice(&mut own, "not_found_handling", "\"none\", \"404-page\" or \"single-page-application\"")?;
    let run_worker_first = match own.take("run_worker_first") {
        None => Vec::new(),
        Some(node) => worker_first(&own, node)?,
    };
    for (key, line) in own.rest() {
        warnings.push(format!("{file}, line {line}: `{key}` is not a key this version knows; it is ignored"));
    }
    if !has_main {
        for (key, there) in [("binding", binding.is_some()), ("run_worker_first", !run_worker_first.is_empty())] {
            if there {
                return Ok(Some(Err(format!(
                    "`assets.{key}` is for code, but there is no `main`; add one, or take it out"
                ))));
            }
        }
    }
    if let Err(problem) = Globs::parse(&run_worker_first) {
        return Ok(Some(Err(format!("`assets`: {problem}"))));
    }
    let has = |flag: &str| flags.iter().any(|own| own == flag);
    let navigation_first = not_found_handling != NotFoundHandling::None
        && (has(NAVIGATION_FIRST) || (date >= NAVIGATION_DATE && !has(NAVIGATION_OFF)));
    let directory = PathBuf::from(directory);
    Ok(Some(Ok(Assets { directory, binding, html_handling, not_found_handling, run_worker_first, navigation_first })))
}

fn choice<T: DeserializeOwned + Default>(
    own: &mut TableReader<'_>,
    key: &str,
    expected: &str,
) -> Result<T, WrongValue> {
    match own.take(key) {
        None => Ok(T::default()),
        Some(node) => serde_json::from_value(node.to_json()).map_err(|_| own.wrong(key, node, expected)),
    }
}

fn worker_first(own: &TableReader<'_>, node: &Node) -> Result<Vec<String>, WrongValue> {
    let wrong = || own.wrong("run_worker_first", node, "true, false or an array of paths such as \"/api/*\"");
    match &node.value {
        Value::Bool(true) => Ok(vec!["/*".into()]),
        Value::Bool(false) => Ok(Vec::new()),
        Value::Array(items) => {
            let path = |item: &Node| match &item.value {
                Value::String(path) => Ok(path.clone()),
                _ => Err(wrong()),
            };
            items.iter().map(path).collect()
        }
        _ => Err(wrong()),
    }
}
