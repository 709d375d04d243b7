//! Building with the esbuild that the project has in its `node_modules`, or that is on the PATH.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use atoll_bundle::{Module, ModuleKind};
use atoll_node::Compatibility;
use serde::Deserialize;

use super::errors::BuildError;
use super::graph::shown_path;
use super::link::LISTENS;
use super::resolve::{CONDITIONS, EXTENSIONS, ResolveProblem, aliases, builtin_advice, builtin_scheme, flag_for};
use super::source_map;
use crate::project::Project;
use crate::project::rules::RuleType;

/// The name of the entry's output.
const ENTRY: &str = "index.js";

/// The esbuild to use for the project; `None` when it has none, wants no bundling, or has rules for files that esbuild
/// cannot tell by their extension.
pub fn find(project: &Project) -> Option<PathBuf> {
    if project.no_bundle || loaders(project).is_none() {
        return None;
    }
    let in_project = project.root.ancestors().map(|folder| folder.join("node_modules")).find_map(|modules| {
        let script = modules.join(".bin/esbuild");
        // The script only starts the program of this platform, through Node.js.
        let native = modules.join("@esbuild").join(platform()).join("bin/esbuild");
        script.is_file().then(|| if native.is_file() { native } else { script })
    });
    in_project.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("esbuild")).find(|path| path.is_file())
    })
}

/// How esbuild's packages name this platform.
fn platform() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let machine = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{system}-{machine}")
}

/// `--loader` options for the project's rules; `None` when a rule's glob is not of the form `**/*.EXTENSION`.
fn loaders(project: &Project) -> Option<BTreeMap<String, &'static str>> {
    let mut loaders = BTreeMap::new();
    for rule in project.rules.iter() {
        let loader = match rule.kind {
            RuleType::Text => "text",
            RuleType::Json => "json",
            // A copied file keeps its import; the copy becomes a module of the bundle.
            RuleType::Data | RuleType::CompiledWasm => "copy",
            RuleType::EsModule | RuleType::CommonJs => continue,
        };
        for glob in &rule.globs {
            let glob = glob.strip_suffix("?module").unwrap_or(glob);
            let extension = glob.strip_prefix("**/*").or_else(|| glob.strip_prefix('*'))?;
            if !extension.starts_with('.') || extension.contains(['*', '/', '?', '[', '{']) {
                return None;
            }
            loaders.entry(extension.to_owned()).or_insert(loader);
        }
    }
    Some(loaders)
}

#[derive(Deserialize)]
struct Metafile {
    inputs: BTreeMap<String, Input>,
    outputs: BTreeMap<String, Output>,
}

#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    imports: Vec<InputImport>,
}

#[derive(Deserialize)]
struct Output {
    #[serde(default)]
    exports: Vec<String>,
}

#[derive(Deserialize)]
struct InputImport {
    path: String,
    kind: String,
    #[serde(default)]
    external: bool,
}

/// Runs `program` and reads what it wrote: the entry's name and all modules.
pub fn build(
    program: &Path,
    project: &Project,
    define: &BTreeMap<String, String>,
) -> Result<(String, Vec<Module>), BuildError> {
    let main = project.main.display().to_string();
    if !project.root.join(&project.main).is_file() {
        return Err(BuildError::NoEntry(main));
    }
    let unusable = |problem: String| BuildError::EsbuildRun { program: program.display().to_string(), problem };
    let folder = tempfile::tempdir().map_err(|error| unusable(format!("no temporary folder: {error}")))?;
    let out = folder.path().join("out");
    let meta = folder.path().join("meta.json");
    let mut command = Command::new(program);
    command
        .current_dir(&project.root)
        .arg(project.root.join(&project.main))
        .args(["--bundle", "--format=esm", "--target=es2022", "--platform=browser", "--log-level=warning"])
        .args(["--sourcemap=external", "--sources-content=true", "--splitting", "--color=false"])
        .args([
            "--external:node:*",
            "--external:cloudflare:*",
            "--external:atoll:*",
            "--entry-names=index",
            "--asset-names=assets/[name]-[hash]",
        ])
        .arg(format!("--resolve-extensions={}", EXTENSIONS.join(",")))
        .arg(format!("--conditions={}", CONDITIONS.join(",")))
        .arg(format!("--outdir={}", out.display()))
        .arg(format!("--metafile={}", meta.display()));
    let compatibility = super::compatibility(project);
    for module in atoll_node::known().filter(|name| leaves_out(compatibility, name)) {
        command.arg(format!("--external:{module}"));
    }
    for (extension, loader) in loaders(project).unwrap_or_default() {
        command.arg(format!("--loader:{extension}={loader}"));
    }
    for (name, value) in define {
        command.arg(format!("--define:{name}={value}"));
    }
    for (name, target) in aliases(project) {
        command.arg(format!("--alias:{name}={target}"));
    }
    if let Some(tsconfig) = &project.tsconfig {
        command.arg(format!("--tsconfig={}", project.root.join(tsconfig).display()));
    }
    let output = command.output().map_err(|error| unusable(error.to_string()))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let mut message = if message.is_empty() { output.status.to_string() } else { message };
        let named = |name: &&str| message.contains(&format!("Could not resolve \"{name}\""));
        let help = |name| {
            let flag = flag_for(name)?;
            Some(format!("\n\n{name:?} is a module of Node.js: {}", builtin_advice(name, Some(flag))))
        };
        let help: String = atoll_node::known().filter(named).filter_map(help).collect();
        message.push_str(&help);
        return Err(BuildError::Esbuild(message));
    }
    let meta = std::fs::read(&meta).map_err(|error| unusable(error.to_string()))?;
    let meta: Metafile = serde_json::from_slice(&meta).map_err(|error| unusable(format!("its metafile: {error}")))?;
    check(&meta, &main, compatibility)?;
    let mut modules = Vec::new();
    collect(&out, &out, project, &mut modules).map_err(|error| unusable(error.to_string()))?;
    let exports_nothing =
        |(path, output): (&String, &Output)| Path::new(path).ends_with(ENTRY) && output.exports.is_empty();
    let entry = modules.iter().find(|module| module.name == ENTRY);
    let listens = entry.is_some_and(|module| String::from_utf8_lossy(&module.content).contains(LISTENS));
    if meta.outputs.iter().any(exports_nothing) && !listens {
        return Err(BuildError::NoDefaultExport(main));
    }
    if requires_builtins(&meta) {
        modules.iter_mut().filter(|module| module.kind == ModuleKind::EsModule).for_each(give_require);
    }
    Ok((ENTRY.into(), modules))
}

/// Whether esbuild leaves the import of this module of Node.js to the runtime.
fn leaves_out(compatibility: Compatibility, module: &str) -> bool {
    // What is not there is found out where it is required: packages probe for modules.
    matches!(compatibility, Compatibility::On | Compatibility::Modules) || compatibility.module(module).is_some()
}

/// The entry must have a default export, and no module may import what is not built in here.
fn check(meta: &Metafile, main: &str, compatibility: Compatibility) -> Result<(), BuildError> {
    for (file, input) in &meta.inputs {
        for import in input.imports.iter().filter(|import| import.external && import.kind != REQUIRE) {
            let missing = match builtin_scheme(&import.path) {
                Some(ResolveProblem::Builtin { flag, .. }) => Some(flag),
                _ => atoll_node::is_known(&import.path).then(|| flag_for(&import.path)),
            };
            if let (None, Some(flag)) = (compatibility.module(&import.path), missing) {
                return Err(BuildError::Esbuild(format!(
                    "{file} imports {:?}: that built-in module is not available; {}",
                    import.path,
                    builtin_advice(&import.path, flag)
                )));
            }
        }
    }
    for (path, output) in &meta.outputs {
        // What is imported on demand is an entry point to esbuild as well, but it has a name of its own.
        let incomplete = !output.exports.is_empty() && !output.exports.iter().any(|name| name == "default");
        if Path::new(path).ends_with(ENTRY) && incomplete {
            return Err(BuildError::NoDefaultExport(main.to_owned()));
        }
    }
    Ok(())
}

/// How esbuild calls an import by `require`.
const REQUIRE: &str = "require-call";

fn requires_builtins(meta: &Metafile) -> bool {
    meta.inputs.values().flat_map(|input| &input.imports).any(|import| import.external && import.kind == REQUIRE)
}

/// Defines the `require` that esbuild's output calls for what it left out. On the first line, which has no code of the
/// project: lines stay where source maps say they are. esbuild keeps the name free.
fn give_require(module: &mut Module) {
    const PREFIX: &[u8] =
        b"import{createRequire as __atoll_createRequire}from\"node:module\";var require=__atoll_createRequire(\"/\");";
    module.content = [PREFIX, &module.content].concat().into();
}

fn collect(folder: &Path, out: &Path, project: &Project, modules: &mut Vec<Module>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, out, project, modules)?;
            continue;
        }
        let name = shown_path(out, &path);
        let mut content = std::fs::read(&path)?;
        let kind = match path.extension().and_then(|extension| extension.to_str()) {
            Some("js" | "mjs") => ModuleKind::EsModule,
            Some("map") => {
                let folder = path.parent().unwrap_or(out);
                let rename = |source: &str| shown_path(&project.root, &normalize(&folder.join(source)));
                if let Some(map) = source_map::rename_sources(&String::from_utf8_lossy(&content), rename) {
                    content = map.into_bytes();
                }
                ModuleKind::SourceMap
            }
            _ => project.rules.kind_of(&name).and_then(RuleType::asset_kind).unwrap_or(ModuleKind::Data),
        };
        modules.push(Module { name, kind, content: content.into() });
    }
    Ok(())
}

/// The path without `.` and `..`, which are not looked up: the file may be gone.
fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => {
                normal.pop();
            }
            std::path::Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}
