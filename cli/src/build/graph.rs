//! The module graph of a project: from the entry along every import, with each file built once.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use atoll_bundle::ModuleKind;
use bytes::Bytes;

use super::errors::{BuildError, SourceError, SourceProblem};
use super::module::{CodeModule, CompileOptions, Import, Linkage};
use super::resolve::{
    ImportStyle, ModuleResolver, ResolveProblem, ResolvedFile, Target, builtin_advice, default_asset_kind, is_code,
};
use crate::project::Project;
use crate::project::rules::RuleType;

/// What a node of the graph is.
#[derive(Clone, Debug)]
pub enum Content {
    /// Code.
    Code(Arc<CodeModule>),
    /// Anything else, as it is.
    Asset(ModuleKind, Bytes),
    /// The empty module a `browser` field asks for.
    Empty,
}

/// Where an import of a node leads.
#[derive(Clone, Debug, PartialEq)]
pub enum Link {
    /// To another node.
    Node(usize),
    /// To a module that the platform has built in: its name with its prefix.
    Builtin(String),
    /// Nowhere, which is found out when the code runs: the message.
    Missing(String),
}

/// A file of the graph.
#[derive(Debug)]
pub struct Node {
    /// Where it is; empty for a module that is no file.
    pub path: PathBuf,
    /// The name it has in the bundle.
    pub name: String,
    /// What is in it.
    pub content: Content,
    /// Where the imports of its code lead, in their order.
    pub links: Vec<Link>,
}

impl Node {
    /// The code, when it is code.
    pub fn code(&self) -> Option<&Arc<CodeModule>> {
        match &self.content {
            Content::Code(code) => Some(code),
            _ => None,
        }
    }

    /// Whether it is code that is linked by `require`.
    pub fn is_commonjs(&self) -> bool {
        self.code().is_some_and(|code| code.linkage == Linkage::CommonJs)
    }
}

/// All files; the entry is the first.
#[derive(Debug)]
pub struct Graph {
    /// The files.
    pub nodes: Vec<Node>,
}

/// Files built before, by path, with what shows that they have not changed.
#[derive(Default)]
pub struct Cache(HashMap<(PathBuf, Option<bool>), CacheEntry>);

struct CacheEntry {
    modified: SystemTime,
    length: u64,
    module: Arc<CodeModule>,
}

impl Cache {
    fn compile(
        &mut self,
        path: &Path,
        file: &str,
        commonjs: Option<bool>,
        options: &CompileOptions,
    ) -> Result<Arc<CodeModule>, BuildError> {
        let read_error = |source| BuildError::Read { path: file.to_owned(), source };
        let metadata = std::fs::metadata(path).map_err(read_error)?;
        let modified = metadata.modified().map_err(read_error)?;
        let key = (path.to_owned(), commonjs);
        if let Some(entry) = self.0.get(&key)
            && (entry.modified, entry.length) == (modified, metadata.len())
        {
            return Ok(entry.module.clone());
        }
        let source = std::fs::read(path).map_err(read_error)?;
        let source = String::from_utf8(source).map_err(|error| {
            read_error(std::io::Error::new(std::io::ErrorKind::InvalidData, format!("it is not UTF-8: {error}")))
        })?;
        let module = Arc::new(CodeModule::compile(path, file, source, commonjs, options)?);
        self.0.insert(key, CacheEntry { modified, length: metadata.len(), module: module.clone() });
        Ok(module)
    }
}

/// Walks the graph of `project` from its entry.
pub fn walk(
    project: &Project,
    resolver: &ModuleResolver,
    options: &CompileOptions,
    cache: &mut Cache,
) -> Result<Graph, BuildError> {
    let mut walk = Walk { project, options, nodes: Vec::new(), by_path: HashMap::new(), names: HashMap::new() };
    let entry = project.root.join(&project.main);
    let entry = entry.canonicalize().map_err(|_| BuildError::NoEntry(project.main.display().to_string()))?;
    if !entry.is_file() {
        return Err(BuildError::NoEntry(project.main.display().to_string()));
    }
    walk.add(&ResolvedFile { path: entry, commonjs: None }, None, cache)?;
    let mut next = 0;
    while next < walk.nodes.len() {
        if let Content::Code(code) = walk.nodes[next].content.clone() {
            let path = walk.nodes[next].path.clone();
            let mut links = Vec::with_capacity(code.imports.len());
            for import in &code.imports {
                links.push(walk.follow(&path, &code, import, resolver, cache)?);
            }
            walk.nodes[next].links = links;
        }
        next += 1;
    }
    Ok(Graph { nodes: walk.nodes })
}

struct Walk<'a> {
    project: &'a Project,
    options: &'a CompileOptions,
    nodes: Vec<Node>,
    by_path: HashMap<(PathBuf, Option<ModuleKind>), usize>,
    names: HashMap<String, usize>,
}

impl Walk<'_> {
    fn follow(
        &mut self,
        from: &Path,
        code: &CodeModule,
        import: &Import,
        resolver: &ModuleResolver,
        cache: &mut Cache,
    ) -> Result<Link, BuildError> {
        let literal = import.span.start..import.span.start + import.literal;
        let specifier = &import.specifier;
        let problem = match resolver.resolve(from, specifier, import.style) {
            Ok(Target::File(file)) => {
                let shown = shown_path(&self.project.root, &file.path);
                let known = import.attribute.is_some() || self.project.rules.kind_of(&shown).is_some();
                if !known && !is_code(&file.path) {
                    let message = format!("nothing says what kind of module {shown:?} is");
                    let extension = file.path.extension().unwrap_or_default().to_string_lossy();
                    let help = format!(
                        "add a rule to {}: type \"Text\", \"Data\" or \"CompiledWasm\", globs [\"**/*.{extension}\"]",
                        self.project.file
                    );
                    return Err(code.fault(SourceProblem::UnknownKind, &literal, message, Some(help)).into());
                }
                return self.add(&file, import.attribute.as_deref(), cache).map(Link::Node);
            }
            Ok(Target::Builtin(name)) => return Ok(Link::Builtin(name)),
            Ok(Target::Empty) => return Ok(Link::Node(self.add_empty(specifier))),
            Err(problem) => problem,
        };
        let (kind, message, help) = match problem {
            ResolveProblem::Builtin { name, flag } => {
                let help = builtin_advice(&name, flag);
                (SourceProblem::Builtin, format!("the built-in module {name:?} is not available"), help)
            }
            ResolveProblem::NotFound { tried } => {
                (SourceProblem::Unresolved, format!("the import {specifier:?} does not resolve"), tried)
            }
        };
        // Packages probe for modules with `require`, or with `import()` where they mind its failing: that fails where it is
        // called, not before.
        if import.style == ImportStyle::Require || import.minded {
            return Ok(Link::Missing(format!("{message}: {help}")));
        }
        let help = help.replace(&format!("{}/", self.project.root.display()), "");
        let help = help.replace(&self.project.root.display().to_string(), "the project");
        Err(code.fault(kind, &literal, message, Some(help)).into())
    }

    fn add_empty(&mut self, specifier: &str) -> usize {
        let name = self.unique(&format!("_empty/{}.js", sanitize(specifier)));
        self.nodes.push(Node { path: PathBuf::new(), name, content: Content::Empty, links: Vec::new() });
        self.nodes.len() - 1
    }

    /// The node of `file`, made when it is new. `attribute` is the `type` of the import's attributes.
    fn add(&mut self, file: &ResolvedFile, attribute: Option<&str>, cache: &mut Cache) -> Result<usize, BuildError> {
        let shown = shown_path(&self.project.root, &file.path);
        let rule = self.project.rules.kind_of(&shown);
        let kind = match attribute {
            Some("json") => Some(ModuleKind::Json),
            Some("text") => Some(ModuleKind::Text),
            Some("bytes" | "buffer") => Some(ModuleKind::Data),
            _ => match rule {
                Some(rule) => rule.asset_kind(),
                None => default_asset_kind(&file.path),
            },
        };
        let key = (file.path.clone(), kind);
        if let Some(node) = self.by_path.get(&key) {
            return Ok(*node);
        }
        let content = match kind {
            Some(kind) => {
                let bytes =
                    std::fs::read(&file.path).map_err(|source| BuildError::Read { path: shown.clone(), source })?;
                if kind == ModuleKind::Json {
                    check_json(&shown, &bytes)?;
                }
                Content::Asset(kind, bytes.into())
            }
            None => {
                let commonjs = match rule {
                    Some(RuleType::CommonJs) => Some(true),
                    Some(RuleType::EsModule) => Some(false),
                    _ => file.commonjs,
                };
                Content::Code(cache.compile(&file.path, &shown, commonjs, self.options)?)
            }
        };
        let transpiled = matches!(&content, Content::Code(code) if code.transpiled);
        let name = self.unique(&bundle_name(&shown, transpiled));
        self.nodes.push(Node { path: file.path.clone(), name, content, links: Vec::new() });
        self.by_path.insert(key, self.nodes.len() - 1);
        Ok(self.nodes.len() - 1)
    }

    fn unique(&mut self, name: &str) -> String {
        let count = self.names.entry(name.to_owned()).or_insert(0);
        *count += 1;
        if *count == 1 {
            return name.to_owned();
        }
        let numbered = match name.rsplit_once('.') {
            Some((stem, extension)) if !extension.contains('/') => format!("{stem}-{count}.{extension}"),
            _ => format!("{name}-{count}"),
        };
        self.unique(&numbered)
    }
}

/// JSON that does not parse is an error of the build, with its place.
fn check_json(file: &str, bytes: &[u8]) -> Result<(), BuildError> {
    let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(bytes) else { return Ok(()) };
    let text = String::from_utf8_lossy(bytes);
    let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = (line_start + error.column().saturating_sub(1), 1);
    // The place is in the error itself; what is left is the reason.
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    Err(SourceError::at(SourceProblem::Syntax, file, &text, at, message, None).into())
}

/// `path` relative to the project: with `/`, below the folder, and the same on every machine. A file elsewhere is named
/// from its first `node_modules` folder on, or by its last two segments.
pub fn shown_path(root: &Path, path: &Path) -> String {
    let segments = |path: &Path| -> Vec<String> {
        path.components()
            .filter_map(|component| match component {
                Component::Normal(segment) => Some(segment.to_string_lossy().into_owned()),
                _ => None,
            })
            .collect()
    };
    match path.strip_prefix(root) {
        Ok(inside) => segments(inside).join("/"),
        Err(_) => {
            let all = segments(path);
            match all.iter().position(|segment| segment == "node_modules") {
                Some(at) => all[at..].join("/"),
                None => format!("_outside/{}", all[all.len().saturating_sub(2)..].join("/")),
            }
        }
    }
}

/// The name of a file in the bundle: its path in characters that stand for themselves in a URL, `.js` when it is
/// transpiled.
fn bundle_name(shown: &str, transpiled: bool) -> String {
    let name = shown.split('/').map(sanitize).collect::<Vec<_>>().join("/");
    match name.rsplit_once('.') {
        Some((stem, _)) if transpiled => format!("{stem}.js"),
        _ => name,
    }
}

fn sanitize(segment: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "._-@+~".contains(c);
    let clean: String = segment.chars().map(|c| if keep(c) { c } else { '_' }).collect();
    if clean == "." || clean == ".." { "_".into() } else { clean }
}

/// The specifier by which the module `from` of a bundle names the module `to`.
pub fn relative_specifier(from: &str, to: &str) -> String {
    let (from, to): (Vec<_>, Vec<_>) = (from.split('/').collect(), to.split('/').collect());
    let folder = &from[..from.len() - 1];
    let common = folder.iter().zip(&to[..to.len() - 1]).take_while(|(a, b)| a == b).count();
    let up = folder.len() - common;
    let prefix = if up == 0 { "./".to_owned() } else { "../".repeat(up) };
    format!("{prefix}{}", to[common..].join("/"))
}
