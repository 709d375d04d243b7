//! From the module graph to a bundle's modules: specifiers become relative paths, CommonJS is wrapped, and an import of a
//! name that its module does not export is an error.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use atoll_bundle::{Module, ModuleKind};
use bytes::Bytes;

use super::commonjs::{self, Required};
use super::errors::{BuildError, SourceProblem};
use super::graph::{Content, Graph, Link, Node, relative_specifier};
use super::module::Linkage;
use super::resolve::{ImportStyle, platform_exports};
use super::source_map;

/// The handlers a worker can have.
const HANDLERS: [&str; 6] = ["fetch", "scheduled", "queue", "tail", "email", "test"];

/// What a script in the syntax of service workers calls, which exports nothing. Whether it does is known when it starts.
pub const LISTENS: &str = "addEventListener";

/// The modules of a bundle, not sorted; the first is the entry.
pub fn link(graph: &Graph, node_env: &str) -> Result<Vec<Module>, BuildError> {
    check_entry(graph)?;
    check_names(graph)?;
    let linker = Linker { graph, node_env, asked: asked_names(graph) };
    let mut modules = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        linker.emit(index, node, &mut modules);
    }
    Ok(modules)
}

fn check_entry(graph: &Graph) -> Result<(), BuildError> {
    let entry = &graph.nodes[0];
    let shown = entry.code().map_or_else(|| entry.name.clone(), |code| code.file.clone());
    let has_default = entry
        .code()
        .is_some_and(|code| code.linkage == Linkage::EsModule && code.exports.iter().any(|name| name == "default"));
    if !has_default && entry.code().is_some_and(|code| code.exports.is_empty() && code.code.contains(LISTENS)) {
        return Ok(());
    }
    if !has_default {
        return Err(BuildError::NoDefaultExport(shown));
    }
    let handlers = entry.code().and_then(|code| code.handlers.as_ref());
    match handlers {
        Some(names) if !names.iter().any(|name| HANDLERS.contains(&name.as_str())) => Err(BuildError::NoHandler(shown)),
        _ => Ok(()),
    }
}

/// Every name that is imported from an ES module must be exported there.
fn check_names(graph: &Graph) -> Result<(), BuildError> {
    for node in &graph.nodes {
        let Some(code) = node.code() else { continue };
        for (import, link) in code.imports.iter().zip(&node.links) {
            let target = match link {
                Link::Node(target) => target,
                Link::Builtin(module) => {
                    let missing = import.names.iter().find(|(name, _)| !exports_builtin(module, name));
                    if let Some((name, at)) = missing {
                        let message = format!("{module:?} does not export {name:?} here");
                        return Err(code.fault(SourceProblem::MissingExport, at, message, None).into());
                    }
                    continue;
                }
                Link::Missing(_) => continue,
            };
            for (name, at) in &import.names {
                if exports(graph, *target, name, &mut HashSet::new()) {
                    continue;
                }
                let target = &graph.nodes[*target];
                let shown = target.code().map_or(&target.name, |code| &code.file);
                let message = if name == "default" {
                    format!("{shown:?} has no default export")
                } else {
                    format!("{shown:?} does not export {name:?}")
                };
                let help = match target.code() {
                    Some(code) if code.transpiled && name != "default" => {
                        Some("if it is a type, write `import type` or `export type`".to_owned())
                    }
                    Some(code) if !code.exports.is_empty() => Some(format!("it exports {}", code.exports.join(", "))),
                    Some(_) => None,
                    None => Some("a module that is not code has only a default export".to_owned()),
                };
                return Err(code.fault(SourceProblem::MissingExport, at, message, help).into());
            }
        }
    }
    Ok(())
}

/// Whether the node exports `name`, as far as can be said without running it: CommonJS and JSON may have any name.
fn exports(graph: &Graph, node: usize, name: &str, seen: &mut HashSet<usize>) -> bool {
    let target = &graph.nodes[node];
    match &target.content {
        Content::Asset(ModuleKind::Json, _) | Content::Empty => true,
        Content::Asset(..) => name == "default",
        Content::Code(code) if code.linkage == Linkage::CommonJs => true,
        Content::Code(code) => {
            code.exports.iter().any(|export| export == name)
                || name != "default"
                    && seen.insert(node)
                    && code.imports.iter().zip(&target.links).filter(|(import, _)| import.star).any(|(_, link)| {
                        match link {
                            Link::Node(next) => exports(graph, *next, name, seen),
                            Link::Builtin(module) => exports_builtin(module, name),
                            Link::Missing(_) => false,
                        }
                    })
        }
    }
}

/// Whether the built-in module exports `name`.
fn exports_builtin(module: &str, name: &str) -> bool {
    let node = || module.strip_prefix("node:").and_then(atoll_node::exports);
    let names = platform_exports(module).or_else(node).unwrap_or_default();
    name == "default" || names.contains(&name)
}

/// For each node that is not an ES module, the names that ES modules import from it; directly, or through `export *`.
fn asked_names(graph: &Graph) -> Vec<BTreeSet<String>> {
    let mut asked = vec![BTreeSet::new(); graph.nodes.len()];
    for node in &graph.nodes {
        let Some(code) = node.code() else { continue };
        for (import, link) in code.imports.iter().zip(&node.links) {
            let Link::Node(target) = link else { continue };
            for (name, _) in &import.names {
                ask(graph, *target, name, &mut asked, &mut HashSet::new());
            }
        }
    }
    asked
}

fn ask(graph: &Graph, node: usize, name: &str, asked: &mut [BTreeSet<String>], seen: &mut HashSet<usize>) {
    let target = &graph.nodes[node];
    match target.code() {
        Some(code) if code.linkage == Linkage::EsModule => {
            if code.exports.iter().any(|export| export == name) || !seen.insert(node) {
                return;
            }
            for (import, link) in code.imports.iter().zip(&target.links) {
                if let (true, Link::Node(next)) = (import.star, link) {
                    ask(graph, *next, name, asked, seen);
                }
            }
        }
        _ => {
            asked[node].insert(name.to_owned());
        }
    }
}

struct Linker<'a> {
    graph: &'a Graph,
    node_env: &'a str,
    asked: Vec<BTreeSet<String>>,
}

impl Linker<'_> {
    fn emit(&self, index: usize, node: &Node, modules: &mut Vec<Module>) {
        match &node.content {
            Content::Empty => {
                let code = commonjs::json_module("{}", &self.asked[index]);
                modules.push(text_module(&node.name, ModuleKind::EsModule, code));
            }
            Content::Asset(ModuleKind::Json, bytes) if self.has_named_json(index) => {
                modules.push(Module { name: node.name.clone(), kind: ModuleKind::Json, content: bytes.clone() });
                let code = commonjs::json_module(&String::from_utf8_lossy(bytes), &self.asked[index]);
                modules.push(text_module(&facade_name(&node.name), ModuleKind::EsModule, code));
            }
            Content::Asset(kind, bytes) => {
                modules.push(Module { name: node.name.clone(), kind: *kind, content: bytes.clone() });
            }
            Content::Code(code) => {
                let mut edits = code.replacements.clone();
                for (import, link) in code.imports.iter().zip(&node.links) {
                    let specifier = match link {
                        Link::Node(target) => relative_specifier(&node.name, &self.import_name(*target)),
                        Link::Builtin(module) => module.clone(),
                        Link::Missing(_) => continue,
                    };
                    if import.style == ImportStyle::Import {
                        edits.push((import.span.clone(), commonjs::js_string(&specifier)));
                    }
                }
                edits.sort_by_key(|(range, _)| range.start);
                let (mut text, map) = source_map::apply(&code.code, code.map.as_deref(), &edits);
                if code.linkage == Linkage::CommonJs {
                    text = commonjs::wrap(&node.name, &text, &self.requires(node), self.node_env);
                    let names = self.commonjs_names(index);
                    let facade = commonjs::facade(&relative_specifier(&facade_name(&node.name), &node.name), &names);
                    modules.push(text_module(&facade_name(&node.name), ModuleKind::EsModule, facade));
                }
                modules.push(text_module(&node.name, ModuleKind::EsModule, text));
                if let Some(map) = map {
                    // A map names its sources as seen from where it lies itself.
                    let source = relative_specifier(&node.name, &code.file);
                    let source = source.strip_prefix("./").unwrap_or(&source);
                    let map = source_map::rename_sources(&map, |_| source.to_owned()).unwrap_or(map);
                    modules.push(text_module(&format!("{}.map", node.name), ModuleKind::SourceMap, map));
                }
            }
        }
    }

    fn has_named_json(&self, index: usize) -> bool {
        self.asked[index].iter().any(|name| name != "default")
    }

    /// The module that `import` of a node leads to: not the node itself when a facade stands before it.
    fn import_name(&self, target: usize) -> String {
        let node = &self.graph.nodes[target];
        let json = matches!(node.content, Content::Asset(ModuleKind::Json, _));
        if node.is_commonjs() || json && self.has_named_json(target) {
            facade_name(&node.name)
        } else {
            node.name.clone()
        }
    }

    /// Where the `require`s of a CommonJS module lead, each specifier once.
    fn requires(&self, node: &Node) -> Vec<(String, Required)> {
        let Some(code) = node.code() else { return Vec::new() };
        let mut requires = BTreeMap::new();
        for (import, link) in code.imports.iter().zip(&node.links) {
            if import.style != ImportStyle::Require {
                continue;
            }
            let required = match link {
                Link::Missing(message) => Required::Missing(message.clone()),
                Link::Builtin(module) => Required::Asset(module.clone()),
                Link::Node(target) => {
                    let target = &self.graph.nodes[*target];
                    let specifier = relative_specifier(&node.name, &target.name);
                    match &target.content {
                        Content::Code(code) if code.linkage == Linkage::CommonJs => Required::CommonJs(specifier),
                        Content::Code(_) => Required::EsModule(specifier),
                        Content::Asset(..) | Content::Empty => Required::Asset(specifier),
                    }
                }
            };
            requires.insert(import.specifier.clone(), required);
        }
        requires.into_iter().collect()
    }

    /// The names a facade exports: those asked for, and those that can be seen in the code or in what it passes on.
    fn commonjs_names(&self, index: usize) -> BTreeSet<String> {
        let mut names = self.asked[index].clone();
        let (mut pending, mut seen) = (vec![index], HashSet::new());
        while let Some(index) = pending.pop() {
            if !seen.insert(index) {
                continue;
            }
            let node = &self.graph.nodes[index];
            let Some(code) = node.code() else { continue };
            names.extend(code.exports.iter().cloned());
            for (import, link) in code.imports.iter().zip(&node.links) {
                if let (true, Link::Node(target)) = (code.reexports.contains(&import.specifier), link) {
                    pending.push(*target);
                }
            }
        }
        names
    }
}

fn facade_name(name: &str) -> String {
    format!("{name}.import.js")
}

fn text_module(name: &str, kind: ModuleKind, text: String) -> Module {
    Module { name: name.to_owned(), kind, content: Bytes::from(text) }
}
