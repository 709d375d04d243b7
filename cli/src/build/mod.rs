//! From a project's folder to a bundle: by the project's own esbuild when it has one, otherwise by walking the module
//! graph and keeping every file a module of its own.

pub mod command;
mod commonjs;
pub mod errors;
mod esbuild;
mod graph;
mod link;
mod module;
mod resolve;
mod scan;
mod source_map;
#[cfg(test)]
mod tests;
mod tsconfig;

use std::collections::BTreeMap;
use std::path::Path;

use atoll_bundle::{Bundle, BundleLimits, Module, ModuleKind};
use atoll_node::Compatibility;
use deno_ast::ModuleSpecifier;

use self::errors::BuildError;
use self::graph::Cache;
use self::module::CompileOptions;
use self::resolve::ModuleResolver;
use crate::project::Project;

/// What the code is built for; the value of `process.env.NODE_ENV`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `atoll deploy`.
    Production,
    /// `atoll dev`.
    Development,
}

impl Mode {
    /// The value of `process.env.NODE_ENV`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Development => "development",
        }
    }
}

/// Builds a project, again and again; files that have not changed are not built again.
pub struct Builder {
    mode: Mode,
    cache: Cache,
    /// The settings the cache was filled under.
    settings: Option<(String, BTreeMap<String, String>)>,
}

impl Builder {
    /// A builder that has built nothing yet.
    pub fn new(mode: Mode) -> Self {
        Self { mode, cache: Cache::default(), settings: None }
    }

    /// Builds the project. Blocks while it reads files and while esbuild runs.
    pub fn build(&mut self, project: &Project) -> Result<Bundle, BuildError> {
        if project.is_without_code() {
            return without_code(project);
        }
        let (main, modules) = match esbuild::find(project) {
            Some(program) => esbuild::build(&program, project, &self.define(project))?,
            None => self.build_graph(project)?,
        };
        finish(project, main, modules)
    }

    fn build_graph(&mut self, project: &Project) -> Result<(String, Vec<Module>), BuildError> {
        let tsconfig = tsconfig::find(&project.root, project.tsconfig.as_deref());
        let options = CompileOptions {
            transpile: tsconfig::transpile_options(tsconfig.as_deref())?,
            base: folder_url(&project.root),
            define: self.define(project),
        };
        let settings = (format!("{:?}", options.transpile), options.define.clone());
        if self.settings.as_ref() != Some(&settings) {
            self.cache = Cache::default();
            self.settings = Some(settings);
        }
        let resolver = ModuleResolver::new(tsconfig.as_deref(), compatibility(project), resolve::aliases(project));
        let graph = graph::walk(project, &resolver, &options, &mut self.cache)?;
        let modules = link::link(&graph, self.mode.as_str())?;
        Ok((graph.nodes[0].name.clone(), modules))
    }

    fn define(&self, project: &Project) -> BTreeMap<String, String> {
        let mut define = BTreeMap::from([("process.env.NODE_ENV".to_owned(), format!("{:?}", self.mode.as_str()))]);
        define.extend(project.define.clone());
        define
    }
}

/// How much of Node.js the project's compatibility date and flags ask for.
fn compatibility(project: &Project) -> Compatibility {
    Compatibility::of(&project.compatibility_date, project.compatibility_flags.iter().map(String::as_str))
}

/// The bundle of an app that is a proxy or has static files only: one module that does nothing, because a bundle has an
/// entry module.
fn without_code(project: &Project) -> Result<Bundle, BuildError> {
    let content = "// This app has no code.\nexport {};\n".into();
    let module = Module { name: "no-code.js".into(), kind: ModuleKind::EsModule, content };
    finish(project, module.name.clone(), vec![module])
}

fn finish(project: &Project, main: String, mut modules: Vec<Module>) -> Result<Bundle, BuildError> {
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    let bundle = Bundle {
        main,
        compatibility_date: project.compatibility_date.clone(),
        compatibility_flags: project.compatibility_flags.clone(),
        modules,
    };
    bundle.validate(&BundleLimits::default())?;
    Ok(bundle)
}

fn folder_url(root: &Path) -> ModuleSpecifier {
    ModuleSpecifier::from_directory_path(root).unwrap_or_else(|()| {
        // Only a relative path has no URL; the project's folder is canonical.
        ModuleSpecifier::parse("file:///").expect("a constant URL")
    })
}
