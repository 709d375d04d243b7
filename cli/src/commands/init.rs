//! `atoll init`: a new project in a folder of its own.

use std::path::Path;

use serde_json::json;

use crate::args::{InitArgs, Template};
use crate::error::CommandError;
use crate::output;
use crate::project;

/// What stands in a template where the app's name goes.
const NAME: &str = "{{name}}";
/// What stands in a template where today's date goes.
const DATE: &str = "{{date}}";

/// A template's files: path and content.
fn files(template: Template) -> &'static [(&'static str, &'static str)] {
    match template {
        Template::Ts => &[
            ("wrangler.jsonc", include_str!("../../templates/ts/wrangler.jsonc")),
            ("tsconfig.json", include_str!("../../templates/ts/tsconfig.json")),
            ("src/index.ts", include_str!("../../templates/ts/index.ts")),
            (".gitignore", include_str!("../../templates/gitignore")),
        ],
        Template::Js => &[
            ("wrangler.jsonc", include_str!("../../templates/js/wrangler.jsonc")),
            ("src/index.js", include_str!("../../templates/js/index.js")),
            (".gitignore", include_str!("../../templates/gitignore")),
        ],
        Template::Hono => &[
            ("wrangler.jsonc", include_str!("../../templates/ts/wrangler.jsonc")),
            ("package.json", include_str!("../../templates/hono/package.json")),
            ("tsconfig.json", include_str!("../../templates/ts/tsconfig.json")),
            ("src/index.ts", include_str!("../../templates/hono/index.ts")),
            (".gitignore", include_str!("../../templates/gitignore")),
        ],
    }
}

/// Runs the command.
pub fn run(args: InitArgs) -> Result<(), CommandError> {
    let name = args.name.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !project::is_app_name(&name) {
        return Err(CommandError::new(
            "name-invalid",
            format!("{name:?} is no app name: 1 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit"),
        ));
    }
    let folder = &args.name;
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let message = format!("{} is there and not empty; choose another name", folder.display());
        return Err(CommandError::new("folder-not-empty", message));
    }
    let today = project::today();
    for (path, content) in files(args.template) {
        write(&folder.join(path), &content.replace(NAME, &name).replace(DATE, &today))?;
    }
    if args.client.json {
        output::json(&json!({ "app": name, "folder": folder }));
    } else {
        output::line(format!("{} is there. Next:", folder.display()));
        output::line(format!("  cd {}", folder.display()));
        if args.template == Template::Hono {
            output::line("  npm install");
        }
        output::line("  atoll dev        # run it here");
        output::line("  atoll deploy     # put it into service");
    }
    Ok(())
}

fn write(path: &Path, content: &str) -> Result<(), CommandError> {
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, content));
    written.map_err(|error| CommandError::new("write-failed", format!("cannot write {}: {error}", path.display())))
}
