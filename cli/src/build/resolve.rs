//! From an import specifier to a file: Node's resolution with the conditions of a worker, or why it leads nowhere.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use atoll_bundle::ModuleKind;
use atoll_node::Compatibility;
use oxc_resolver::{
    ModuleType, ResolveError, ResolveOptions, Resolver, TsconfigDiscovery, TsconfigOptions, TsconfigReferences,
};

use crate::project::Project;

/// The conditions of `exports` and `imports` in a `package.json` that hold here, besides `import` or `require`.
pub const CONDITIONS: [&str; 3] = ["workerd", "worker", "browser"];

/// The extensions that a specifier may leave out, in the order in which they are tried.
pub const EXTENSIONS: [&str; 8] = [".ts", ".tsx", ".mts", ".js", ".jsx", ".mjs", ".cjs", ".json"];

/// Where a specifier leads.
#[derive(Debug, PartialEq)]
pub enum Target {
    /// A file.
    File(ResolvedFile),
    /// A module that the platform has built in: its name with its prefix.
    Builtin(String),
    /// The package's `browser` field says that there is nothing: an empty module.
    Empty,
}

/// A file that a specifier leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResolvedFile {
    /// Its real path.
    pub path: PathBuf,
    /// Whether its extension or the next `package.json` says that it is CommonJS or an ES module; `None` when neither
    /// says so.
    pub commonjs: Option<bool>,
}

/// Why a specifier leads nowhere.
#[derive(Debug, PartialEq)]
pub enum ResolveProblem {
    /// It names a module that Node.js or workerd has built in and this platform does not.
    Builtin {
        /// The name with its prefix.
        name: String,
        /// The compatibility flag that would offer it.
        flag: Option<&'static str>,
    },
    /// Nothing is there.
    NotFound {
        /// What was looked at.
        tried: String,
    },
}

/// How a specifier is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportStyle {
    /// `import`, `export … from` or `import()`.
    Import,
    /// `require()`.
    Require,
}

/// Resolves specifiers of one project.
pub struct ModuleResolver {
    import: Resolver,
    require: Resolver,
    /// For files that an alias names: they are those files.
    named: Resolver,
    compatibility: Compatibility,
    alias: BTreeMap<String, String>,
}

impl ModuleResolver {
    /// A resolver for a project with this `tsconfig.json`, whose flags ask for that much of Node.js, and which has these
    /// [aliases].
    pub fn new(tsconfig: Option<&Path>, compatibility: Compatibility, alias: BTreeMap<String, String>) -> Self {
        let options = |style: &str| ResolveOptions {
            tsconfig: tsconfig.map(|path| {
                TsconfigDiscovery::Manual(TsconfigOptions {
                    config_file: path.to_owned(),
                    references: TsconfigReferences::Disabled,
                })
            }),
            alias_fields: vec![vec!["browser".into()]],
            condition_names: CONDITIONS
                .iter()
                .copied()
                .chain([style, "module", "default"])
                .map(str::to_owned)
                .collect(),
            extensions: EXTENSIONS.map(str::to_owned).to_vec(),
            // TypeScript's sources name the JavaScript they will become.
            extension_alias: [
                (".js", &[".js", ".ts", ".tsx"][..]),
                (".jsx", &[".jsx", ".tsx"]),
                (".mjs", &[".mjs", ".mts"]),
                (".cjs", &[".cjs", ".cts"]),
            ]
            .map(|(from, to)| (from.to_owned(), to.iter().map(|ext| (*ext).to_owned()).collect()))
            .to_vec(),
            main_fields: ["browser", "module", "main"].map(str::to_owned).to_vec(),
            module_type: true,
            node_path: false,
            ..ResolveOptions::default()
        };
        let import = Resolver::new(options("import"));
        let require = import.clone_with_options(options("require"));
        let named = import.clone_with_options(ResolveOptions { alias_fields: Vec::new(), ..options("import") });
        Self { import, require, named, compatibility, alias }
    }

    /// What is imported when `specifier` is asked for. An alias of a package holds for its modules, too.
    fn instead_of<'a>(&self, specifier: &'a str) -> Cow<'a, str> {
        let found = self.alias.iter().find_map(|(name, target)| {
            let rest = specifier.strip_prefix(name.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{target}{rest}"))
        });
        found.map_or(Cow::Borrowed(specifier), Cow::Owned)
    }

    /// Where `specifier`, which stands in the file `from`, leads.
    pub fn resolve(&self, from: &Path, specifier: &str, style: ImportStyle) -> Result<Target, ResolveProblem> {
        let specifier = &*self.instead_of(specifier);
        if platform_exports(specifier).is_some() {
            return Ok(Target::Builtin(specifier.to_owned()));
        }
        if let Some(name) = self.compatibility.module(specifier) {
            return Ok(Target::Builtin(format!("node:{name}")));
        }
        if let Some(problem) = builtin_scheme(specifier) {
            return Err(problem);
        }
        let folder = from.parent().unwrap_or(from);
        let resolver = match style {
            _ if Path::new(specifier).is_absolute() => &self.named,
            ImportStyle::Import => &self.import,
            ImportStyle::Require => &self.require,
        };
        match resolver.resolve(folder, specifier) {
            Ok(resolution) => Ok(Target::File(ResolvedFile {
                commonjs: match resolution.module_type() {
                    Some(ModuleType::Module) => Some(false),
                    Some(ModuleType::CommonJs) if explicit_commonjs(&resolution) => Some(true),
                    _ => None,
                },
                path: resolution.into_path_buf(),
            })),
            Err(ResolveError::Ignored(_)) => Ok(Target::Empty),
            Err(_) if atoll_node::is_known(specifier) => {
                Err(ResolveProblem::Builtin { name: format!("node:{specifier}"), flag: flag_for(specifier) })
            }
            Err(error) => Err(ResolveProblem::NotFound { tried: explain(&error, folder, specifier) }),
        }
    }
}

/// The project's aliases: for each module or package what is imported instead, files by their whole paths. A file of a
/// package is that file, whatever the package has browsers load in its place.
pub fn aliases(project: &Project) -> BTreeMap<String, String> {
    let place = |target: &String| {
        let is_file = target.starts_with("./") || target.starts_with("../");
        let of_package = || file_of_package(&project.root, target).map(|path| path.display().to_string());
        if is_file { project.root.join(target).display().to_string() } else { of_package().unwrap_or(target.clone()) }
    };
    project.alias.iter().map(|(name, target)| (name.clone(), place(target))).collect()
}

/// The file that `PACKAGE/PATH.EXTENSION` names in a `node_modules` from the folder upwards.
fn file_of_package(folder: &Path, target: &str) -> Option<PathBuf> {
    let path = Path::new(target);
    let is_named = path.extension().is_some() && is_code(path) && path.components().count() > 1;
    let place =
        |folder: &Path| folder.join("node_modules").join(path).canonicalize().ok().filter(|file| file.is_file());
    if is_named { folder.ancestors().find_map(place) } else { None }
}

/// The problem with `specifier` when its scheme names a platform's built-in modules.
pub fn builtin_scheme(specifier: &str) -> Option<ResolveProblem> {
    let flag = match specifier.split_once(':')? {
        ("node", name) => flag_for(name),
        ("atoll" | "cloudflare", _) if platform_exports(specifier).is_none() => None,
        _ => return None,
    };
    Some(ResolveProblem::Builtin { name: specifier.to_owned(), flag })
}

/// What a module that every app has built in exports; `None` when there is no such module.
pub fn platform_exports(specifier: &str) -> Option<&'static [&'static str]> {
    atoll_runtime::BUILTINS.iter().find(|(name, _)| *name == specifier).map(|(_, exports)| *exports)
}

/// The compatibility flag that offers this module of Node.js, when one does.
pub fn flag_for(module: &str) -> Option<&'static str> {
    Compatibility::On.module(module).map(|_| "nodejs_compat")
}

/// What to do when there is no built-in module of this name.
pub fn builtin_advice(name: &str, flag: Option<&str>) -> String {
    match flag {
        Some(flag) => format!("add the flag {flag:?} to compatibility_flags in the project file"),
        None if name == SOCKETS => {
            "an app opens no TCP connections: use a driver or a proxy that speaks HTTP or WebSockets".to_owned()
        }
        None => "no compatibility flag offers it: use a web API, or a package made for browsers".to_owned(),
    }
}

/// What drivers of databases import on Workers.
const SOCKETS: &str = "cloudflare:sockets";

/// A file is CommonJS for certain by `.cjs`, `.cts` or `"type": "commonjs"`; otherwise Node's default says so, which many
/// packages for bundlers do not keep to.
fn explicit_commonjs(resolution: &oxc_resolver::Resolution) -> bool {
    let by_extension = resolution.path().extension().is_some_and(|ext| ext == "cjs" || ext == "cts");
    let by_package =
        resolution.package_json().is_some_and(|json| json.r#type() == Some(oxc_resolver::PackageType::CommonJs));
    by_extension || by_package
}

fn explain(error: &ResolveError, folder: &Path, specifier: &str) -> String {
    if specifier.starts_with('.') {
        let path = folder.join(specifier);
        return format!(
            "neither {} nor it with .ts, .tsx, .js, .jsx, .mjs, .json or as a folder exists",
            path.display()
        );
    }
    match error {
        ResolveError::NotFound(_) if !specifier.starts_with(['/', '#']) => {
            let package: Vec<_> =
                specifier.splitn(3, '/').take(if specifier.starts_with('@') { 2 } else { 1 }).collect();
            let package = package.join("/");
            format!(
                "no node_modules folder from {} upwards has {package:?}; `npm install {package}`?",
                folder.display()
            )
        }
        other => other.to_string(),
    }
}

/// The kind a file has by its extension when no rule of the project says otherwise; `None` for code.
pub fn default_asset_kind(path: &Path) -> Option<ModuleKind> {
    match path.extension()?.to_str()? {
        "json" => Some(ModuleKind::Json),
        "wasm" => Some(ModuleKind::Wasm),
        _ => None,
    }
}

/// Whether a file is code by its extension; a file without one is.
pub fn is_code(path: &Path) -> bool {
    let Some(extension) = path.extension() else { return true };
    ["js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx"].iter().any(|known| extension == *known)
}
