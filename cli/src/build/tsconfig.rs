//! What a `tsconfig.json` says about turning TypeScript and JSX into JavaScript.

use std::path::{Path, PathBuf};

use deno_ast::{
    DecoratorsTranspileOption, ImportsNotUsedAsValues, JsxAutomaticOptions, JsxClassicOptions, JsxRuntime,
    TranspileOptions,
};
use oxc_resolver::{Resolver, TsConfig};

use super::errors::BuildError;

/// The `tsconfig.json` (or `jsconfig.json`) that applies to the project in `root`: `named` by the project file, or the
/// one in the folder itself.
pub fn find(root: &Path, named: Option<&Path>) -> Option<PathBuf> {
    match named {
        Some(named) => Some(root.join(named)),
        None => ["tsconfig.json", "jsconfig.json"].iter().map(|name| root.join(name)).find(|path| path.is_file()),
    }
}

/// How to transpile under the `tsconfig.json` at `path`, or without one.
pub fn transpile_options(path: Option<&Path>) -> Result<TranspileOptions, BuildError> {
    let Some(path) = path else { return Ok(options(None)) };
    let config = Resolver::default()
        .resolve_tsconfig(path)
        .map_err(|error| BuildError::Tsconfig(format!("{}: {error}", path.display())))?;
    Ok(options(Some(&config)))
}

fn options(config: Option<&TsConfig>) -> TranspileOptions {
    let compiler = config.map(|config| &config.compiler_options);
    let get = |pick: fn(&oxc_resolver::CompilerOptions) -> &Option<String>| compiler.and_then(|c| pick(c).clone());
    let flag = |pick: fn(&oxc_resolver::CompilerOptions) -> Option<bool>| compiler.and_then(pick).unwrap_or(false);
    let import_source = get(|c| &c.jsx_import_source);
    let automatic = match get(|c| &c.jsx).as_deref() {
        Some("react-jsx" | "react-jsxdev") => true,
        Some("react" | "react-native") => false,
        // `preserve` leaves the choice to the bundler.
        _ => import_source.is_some(),
    };
    let jsx = if automatic {
        JsxRuntime::Automatic(JsxAutomaticOptions { development: false, import_source })
    } else {
        let defaults = JsxClassicOptions::default();
        JsxRuntime::Classic(JsxClassicOptions {
            factory: get(|c| &c.jsx_factory).unwrap_or(defaults.factory),
            fragment_factory: get(|c| &c.jsx_fragment_factory).unwrap_or(defaults.fragment_factory),
        })
    };
    let decorators = if flag(|c| c.experimental_decorators) {
        DecoratorsTranspileOption::LegacyTypeScript { emit_metadata: flag(|c| c.emit_decorator_metadata) }
    } else {
        DecoratorsTranspileOption::Ecma
    };
    TranspileOptions {
        decorators,
        verbatim_module_syntax: flag(|c| c.verbatim_module_syntax) || flag(|c| c.preserve_value_imports),
        imports_not_used_as_values: ImportsNotUsedAsValues::Remove,
        jsx: Some(jsx),
        var_decl_imports: false,
    }
}
