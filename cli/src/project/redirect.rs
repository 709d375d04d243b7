//! Where a build tool says that what it has made has a project file of its own: `.wrangler/deploy/config.json` in the
//! project's folder, which the Workers plugin of Vite writes, and with it React Router, Astro and others.

use std::path::{Path, PathBuf};

use super::ProjectError;
use super::document::{self, Format, Value};

const FILE: &str = ".wrangler/deploy/config.json";

/// The project file that counts instead of the one in `folder`, when there is one.
pub fn target(folder: &Path) -> Result<Option<PathBuf>, ProjectError> {
    let file = folder.join(FILE);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ProjectError::Read { path: file, source }),
    };
    let document =
        document::parse(&text, Format::Jsonc).map_err(|error| ProjectError::Syntax { file: FILE.into(), error })?;
    let invalid = |problem: String| ProjectError::Invalid { file: FILE.into(), problem };
    let path = match &document.value {
        Value::Table(entries) => entries.iter().find(|(key, _)| key == "configPath"),
        _ => None,
    };
    let Some((_, document::Node { value: Value::String(path), .. })) = path else {
        return Err(invalid("it must be an object whose `configPath` is a string: build the project again".into()));
    };
    let target = file.parent().unwrap_or(folder).join(path);
    match target.canonicalize() {
        Ok(target) if target.is_file() => Ok(Some(target)),
        _ => {
            Err(invalid(format!("`configPath` is {path:?}, where no file is: build the project, or delete this file")))
        }
    }
}
