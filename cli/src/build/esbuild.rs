//! Building with the esbuild that the project has in its `node_modules`, or that is on the PATH.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use atoll_bundle::{Module, ModuleKind};
use atoll_node::Compatibility;
use deno_ast::TranspileOptions;
use serde::Deserialize;

use super::errors::BuildError;
use super::graph::shown_path;
use super::link::LISTENS;
use super::module::{CodeModule, CompileOptions};
use super::resolve::{
    CONDITIONS, EXTENSIONS, ImportStyle, ModuleResolver, ResolveProblem, Target, aliases, builtin_advice,
    builtin_scheme, flag_for,
};
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
    /// `esm` or `cjs`; old versions do not say.
    format: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Output {
    #[serde(default)]
    exports: Vec<String>,
    /// The input that the output was made for.
    entry_point: Option<String>,
}

#[derive(Deserialize)]
struct InputImport {
    path: String,
    kind: String,
    #[serde(default)]
    external: bool,
}

/// What is asked of esbuild beside what every project wants. The first run asks as little as possible, and what it says of
/// its inputs shows whether another is needed.
#[derive(Clone, PartialEq)]
struct Wishes {
    /// What is imported on demand becomes a file of its own.
    splitting: bool,
    /// Modules of Node.js, or files of packages that are named like one, and what is imported instead.
    alias: BTreeMap<String, String>,
}

/// More runs than that no project needs: a run is followed by another only when files came in that were left out before.
const MOST_RUNS: usize = 4;

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
    let compatibility = super::compatibility(project);
    let mut wishes = Wishes { splitting: true, alias: BTreeMap::new() };
    let mut runs = 0;
    let (folder, meta) = loop {
        let folder = tempfile::tempdir().map_err(|error| unusable(format!("no temporary folder: {error}")))?;
        let meta = run(program, project, define, &wishes, folder.path())?;
        runs += 1;
        let next = wishes.after(&meta, project, compatibility);
        if next == wishes || runs == MOST_RUNS {
            break (folder, meta);
        }
        wishes = next;
    };
    check(&meta, &main, project)?;
    let out = folder.path().join(OUT);
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

/// The folder in a run's folder that has what esbuild put together.
const OUT: &str = "out";

/// One run, which leaves its output in `folder`; what esbuild says of it.
fn run(
    program: &Path,
    project: &Project,
    define: &BTreeMap<String, String>,
    wishes: &Wishes,
    folder: &Path,
) -> Result<Metafile, BuildError> {
    let unusable = |problem: String| BuildError::EsbuildRun { program: program.display().to_string(), problem };
    let meta = folder.join("meta.json");
    let mut command = Command::new(program);
    command
        .current_dir(&project.root)
        .arg(project.root.join(&project.main))
        .args(["--bundle", "--format=esm", "--target=es2022", "--platform=browser", "--log-level=warning"])
        .args(["--sourcemap=external", "--sources-content=true", "--color=false"])
        .args([
            "--external:node:*",
            "--external:cloudflare:*",
            "--external:atoll:*",
            "--entry-names=index",
            "--asset-names=assets/[name]-[hash]",
        ])
        .arg(format!("--resolve-extensions={}", EXTENSIONS.join(",")))
        .arg(format!("--conditions={}", CONDITIONS.join(",")))
        .arg(format!("--outdir={}", folder.join(OUT).display()))
        .arg(format!("--metafile={}", meta.display()));
    if wishes.splitting {
        command.arg("--splitting");
    }
    let compatibility = super::compatibility(project);
    for module in atoll_node::known().filter(|name| leaves_out(compatibility, name)) {
        if !wishes.alias.contains_key(module) {
            command.arg(format!("--external:{module}"));
        }
    }
    for (extension, loader) in loaders(project).unwrap_or_default() {
        command.arg(format!("--loader:{extension}={loader}"));
    }
    for (name, value) in define {
        command.arg(format!("--define:{name}={value}"));
    }
    let mut alias = wishes.alias.clone();
    alias.extend(aliases(project));
    for (name, target) in alias {
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
    serde_json::from_slice(&meta).map_err(|error| unusable(format!("its metafile: {error}")))
}

impl Wishes {
    /// What the next run has to ask for, after one that said this.
    fn after(&self, meta: &Metafile, project: &Project, compatibility: Compatibility) -> Self {
        let mut next = self.clone();
        // A file for CommonJS has a default export and no other, so `import()` of it would not see its names.
        let is_commonjs =
            |file: &String| meta.inputs.get(file).is_some_and(|input| input.format.as_deref() == Some("cjs"));
        next.splitting &= !meta.outputs.values().filter_map(|output| output.entry_point.as_ref()).any(is_commonjs);

        // To leave out `process` is for esbuild to leave out `process/browser` as well, a file of the package of that name.
        let tsconfig = project.tsconfig.as_ref().map(|path| project.root.join(path));
        let mut resolver = None;
        for (file, input) in &meta.inputs {
            for import in input.imports.iter().filter(|import| import.external) {
                let path = import.path.strip_prefix("node:").unwrap_or(&import.path);
                let Some((name, rest)) = path.split_once('/') else { continue };
                if compatibility.module(path).is_some() || next.alias.contains_key(path) {
                    continue;
                }
                let Some(name) = compatibility.module(name) else { continue };
                // `punycode/` asks for the package rather than for the module, which does the same.
                if !rest.is_empty() {
                    let resolver = resolver.get_or_insert_with(|| {
                        ModuleResolver::new(tsconfig.as_deref(), compatibility, aliases(project))
                    });
                    let style = if import.kind == REQUIRE { ImportStyle::Require } else { ImportStyle::Import };
                    let found = resolver.resolve(&project.root.join(file), path, style);
                    let Ok(Target::File(found)) = found else { continue };
                    next.alias.insert(path.to_owned(), found.path.display().to_string());
                }
                next.alias.insert(name.to_owned(), format!("node:{name}"));
            }
        }
        next
    }
}

/// Whether esbuild leaves the import of this module of Node.js to the runtime.
fn leaves_out(compatibility: Compatibility, module: &str) -> bool {
    // What is not there is found out where it is required: packages probe for modules.
    matches!(compatibility, Compatibility::On | Compatibility::Modules) || compatibility.module(module).is_some()
}

/// The entry must have a default export, and no module may import what is not built in here.
fn check(meta: &Metafile, main: &str, project: &Project) -> Result<(), BuildError> {
    let compatibility = super::compatibility(project);
    for (file, input) in &meta.inputs {
        for import in input.imports.iter().filter(|import| import.external && import.kind != REQUIRE) {
            let missing = match builtin_scheme(&import.path) {
                Some(ResolveProblem::Builtin { flag, .. }) => Some(flag),
                _ => atoll_node::is_known(&import.path).then(|| flag_for(&import.path)),
            };
            if let (None, Some(flag)) = (compatibility.module(&import.path), missing) {
                if import.kind == IMPORT_CALL && is_minded(project, file, &import.path) {
                    continue;
                }
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

/// How esbuild calls an `import()`.
const IMPORT_CALL: &str = "dynamic-import";

/// Whether the file, whose path is as esbuild gives it, minds the failing of each `import()` of `specifier`.
fn is_minded(project: &Project, file: &str, specifier: &str) -> bool {
    let path = project.root.join(file);
    let options = CompileOptions {
        transpile: TranspileOptions::default(),
        base: super::folder_url(&project.root),
        define: BTreeMap::new(),
    };
    let source = std::fs::read_to_string(&path).ok();
    let code = source.and_then(|source| CodeModule::compile(&path, file, source, None, &options).ok());
    code.is_some_and(|code| {
        let mut asked = code.imports.iter().filter(|import| import.specifier == specifier).peekable();
        asked.peek().is_some() && asked.all(|import| import.minded)
    })
}

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
