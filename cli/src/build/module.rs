//! One source file: to JavaScript, and what it imports and exports.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use deno_ast::swc::ast::{
    CallExpr, Callee, Decl, DefaultDecl, ExportAll, ExportDecl, ExportDefaultDecl, ExportDefaultExpr, ExportSpecifier,
    Expr, ExprOrSpread, Ident, ImportDecl, ImportSpecifier, Lit, MemberProp, ModuleExportName, NamedExport, ObjectLit,
    Pat, Prop, PropName, PropOrSpread,
};
use deno_ast::swc::common::{Span, Spanned, SyntaxContext};
use deno_ast::swc::ecma_visit::{Visit, VisitWith};
use deno_ast::{
    EmitOptions, MediaType, ModuleSpecifier, ParseDiagnostic, ParseParams, ParsedSource, SourceMapOption,
    SourceRangedForSpanned, TranspileModuleOptions, TranspileOptions,
};

use super::errors::{BuildError, SourceError, SourceProblem};
use super::resolve::ImportStyle;
use super::source_map;

/// How a file's code is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// `import` and `export`.
    EsModule,
    /// `require` and `module.exports`.
    CommonJs,
}

/// A source file as JavaScript.
#[derive(Debug)]
pub struct CodeModule {
    /// The file, relative to the project.
    pub file: String,
    /// Its text as it stands on disk.
    pub source: Arc<str>,
    /// The JavaScript.
    pub code: Arc<str>,
    /// The source map from `code` to `source` when they differ.
    pub map: Option<String>,
    /// How it is linked.
    pub linkage: Linkage,
    /// Whether it was TypeScript or JSX.
    pub transpiled: bool,
    /// What it imports.
    pub imports: Vec<Import>,
    /// Its own exports by name; for CommonJS, those that can be seen without running it.
    pub exports: Vec<String>,
    /// The handlers of its default export, when that is written out as an object.
    pub handlers: Option<Vec<String>>,
    /// CommonJS modules whose exports it passes on.
    pub reexports: Vec<String>,
    /// Expressions to be replaced: where in `code`, and by what.
    pub replacements: Vec<(Range<usize>, String)>,
}

/// An import of any kind whose specifier is known without running the code.
#[derive(Clone, Debug)]
pub struct Import {
    /// The specifier as written.
    pub specifier: String,
    /// `import` or `require`.
    pub style: ImportStyle,
    /// The specifier and, after it, the import attributes: the part of `code` that the rewritten specifier replaces.
    pub span: Range<usize>,
    /// The length of the specifier with its quotes, from the start of `span`.
    pub literal: usize,
    /// Exports it asks for by name, and where in `code`.
    pub names: Vec<(String, Range<usize>)>,
    /// `export * from`.
    pub star: bool,
    /// The `type` of its import attributes.
    pub attribute: Option<String>,
}

/// What is the same for all files of a build.
pub struct CompileOptions {
    /// TypeScript and JSX.
    pub transpile: TranspileOptions,
    /// `file:` URL of the project's folder with a trailing slash: source maps name files relative to it.
    pub base: ModuleSpecifier,
    /// Expressions that are replaced: dotted names and what they become.
    pub define: BTreeMap<String, String>,
}

impl CodeModule {
    /// Builds the file at `path`, whose name relative to the project is `file` and whose text is `source`. `commonjs`
    /// says how it is linked when its name or its package does; otherwise the code decides.
    pub fn compile(
        path: &Path,
        file: &str,
        source: String,
        commonjs: Option<bool>,
        options: &CompileOptions,
    ) -> Result<Self, BuildError> {
        let source: Arc<str> = match source.strip_prefix('\u{feff}') {
            Some(rest) => rest.into(),
            None => source.into(),
        };
        let url = ModuleSpecifier::from_file_path(path).unwrap_or_else(|()| options.base.clone());
        let media_type = match MediaType::from_path(path) {
            known @ (MediaType::TypeScript | MediaType::Tsx | MediaType::Mts | MediaType::Cts | MediaType::Jsx) => {
                known
            }
            MediaType::Dts | MediaType::Dmts | MediaType::Dcts => MediaType::TypeScript,
            _ => MediaType::JavaScript,
        };
        let params = |text: Arc<str>, media_type, scope_analysis| ParseParams {
            specifier: url.clone(),
            text,
            media_type,
            capture_tokens: false,
            scope_analysis,
            maybe_syntax: None,
        };
        let transpiled = media_type != MediaType::JavaScript;
        let (code, map) = if transpiled {
            let parsed = deno_ast::parse_program(params(source.clone(), media_type, false))
                .map_err(|diagnostic| syntax_error(file, &source, &diagnostic))?;
            let (code, map) = transpile(parsed, file, &source, options)?;
            (Arc::<str>::from(code), map)
        } else {
            (source.clone(), None)
        };
        let parsed = deno_ast::parse_program(params(code.clone(), MediaType::JavaScript, true))
            .map_err(|diagnostic| syntax_error(file, &code, &diagnostic))?;
        if let Some(diagnostic) = parsed.diagnostics().first() {
            return Err(syntax_error(file, &code, diagnostic));
        }
        let mut scan = Scan::new(&parsed, &options.define);
        match &*parsed.program() {
            deno_ast::swc::ast::Program::Module(module) => module.visit_with(&mut scan),
            deno_ast::swc::ast::Program::Script(script) => script.visit_with(&mut scan),
        }
        let is_module = !parsed.compute_is_script() || media_type.is_typed() && media_type != MediaType::Cts;
        let linkage = match commonjs {
            _ if !parsed.compute_is_script() => Linkage::EsModule,
            Some(true) => Linkage::CommonJs,
            Some(false) => Linkage::EsModule,
            None if scan.commonjs && !is_module => Linkage::CommonJs,
            None => Linkage::EsModule,
        };
        let mut reexports = Vec::new();
        if linkage == Linkage::CommonJs {
            let analysis = parsed.analyze_cjs();
            scan.exports = analysis.exports;
            reexports = analysis.reexports;
        } else {
            // `require` in an ES module is whatever the module makes of it.
            scan.imports.retain(|import| import.style == ImportStyle::Import);
        }
        Ok(Self {
            file: file.to_owned(),
            source,
            code,
            map,
            linkage,
            transpiled,
            imports: scan.imports,
            exports: scan.exports,
            handlers: scan.handlers,
            reexports,
            replacements: scan.replacements,
        })
    }

    /// The fault `message` at a place in `code`, shown in the file as the user wrote it.
    pub fn fault(
        &self,
        kind: SourceProblem,
        at: &Range<usize>,
        message: String,
        help: Option<String>,
    ) -> Box<SourceError> {
        let mut span = (at.start, at.len());
        if let Some(map) = &self.map {
            let start = source_map::original_offset(map, &self.code, &self.source, at.start).unwrap_or(0);
            // The map knows where the statement starts; the text itself stands a little after that.
            let text = &self.code[at.clone()];
            let bare = text.trim_matches(['"', '\'', '`']);
            let exact = self.source[start..].find(bare).map(|found| start + found);
            span = exact.map_or((start, 1), |found| (found, bare.len()));
        }
        SourceError::at(kind, &self.file, &self.source, span, message, help)
    }
}

fn transpile(
    parsed: ParsedSource,
    file: &str,
    source: &str,
    options: &CompileOptions,
) -> Result<(String, Option<String>), BuildError> {
    let emit = EmitOptions {
        source_map: SourceMapOption::Separate,
        source_map_base: Some(options.base.clone()),
        source_map_file: None,
        inline_sources: true,
        remove_comments: false,
    };
    let emitted =
        parsed.transpile(&options.transpile, &TranspileModuleOptions::default(), &emit).map_err(
            |error| match error {
                deno_ast::TranspileError::ParseErrors(errors) if !errors.0.is_empty() => {
                    syntax_error(file, source, &errors.0[0])
                }
                other => BuildError::from(SourceError::at(
                    SourceProblem::Syntax,
                    file,
                    source,
                    (0, 0),
                    other.to_string(),
                    None,
                )),
            },
        )?;
    let emitted = emitted.into_source();
    Ok((emitted.text, emitted.source_map))
}

fn syntax_error(file: &str, text: &str, diagnostic: &ParseDiagnostic) -> BuildError {
    use deno_ast::diagnostics::Diagnostic as _;
    let display = diagnostic.display_position();
    let line_start: usize = text.split_inclusive('\n').take(display.line_number - 1).map(str::len).sum();
    let line = text[line_start..].split('\n').next().unwrap_or_default();
    let column = line.char_indices().nth(display.column_number - 1).map_or(line.len(), |(at, _)| at);
    let length = (diagnostic.range().end - diagnostic.range().start).clamp(1, line.len().saturating_sub(column).max(1));
    let at = (line_start + column, length);
    SourceError::at(SourceProblem::Syntax, file, text, at, diagnostic.message().into_owned(), None).into()
}

/// Walks a syntax tree and notes imports, exports, uses of CommonJS and expressions to be replaced.
struct Scan<'a> {
    start: deno_ast::StartSourcePos,
    unresolved: SyntaxContext,
    define: &'a BTreeMap<String, String>,
    imports: Vec<Import>,
    exports: Vec<String>,
    handlers: Option<Vec<String>>,
    commonjs: bool,
    replacements: Vec<(Range<usize>, String)>,
}

impl<'a> Scan<'a> {
    fn new(parsed: &ParsedSource, define: &'a BTreeMap<String, String>) -> Self {
        Self {
            start: parsed.range().start,
            unresolved: parsed.unresolved_context(),
            define,
            imports: Vec::new(),
            exports: Vec::new(),
            handlers: None,
            commonjs: false,
            replacements: Vec::new(),
        }
    }

    fn range(&self, span: Span) -> Range<usize> {
        span.range().as_byte_range(self.start)
    }

    fn import(&self, specifier: &deno_ast::swc::ast::Str, with: Option<&ObjectLit>) -> Import {
        let literal = self.range(specifier.span());
        let end = with.map_or(literal.end, |with| self.range(with.span()).end);
        Import {
            specifier: specifier.value.to_string_lossy().into_owned(),
            style: ImportStyle::Import,
            span: literal.start..end,
            literal: literal.len(),
            names: Vec::new(),
            star: false,
            attribute: with.and_then(attribute_type),
        }
    }

    fn free(&self, ident: &Ident) -> bool {
        ident.ctxt == self.unresolved
    }

    /// `a.b.c` as text when it is a chain of names that starts with a free one.
    fn chain(&self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Ident(ident) if self.free(ident) => Some(ident.sym.to_string()),
            Expr::Member(member) => match &member.prop {
                MemberProp::Ident(name) => Some(format!("{}.{}", self.chain(&member.obj)?, name.sym)),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Visit for Scan<'_> {
    fn visit_import_decl(&mut self, decl: &ImportDecl) {
        if decl.type_only {
            return;
        }
        let mut import = self.import(&decl.src, decl.with.as_deref());
        for specifier in &decl.specifiers {
            match specifier {
                ImportSpecifier::Named(named) => {
                    let name = named.imported.as_ref().map_or_else(|| named.local.sym.to_string(), export_name);
                    import.names.push((name, self.range(named.span())));
                }
                ImportSpecifier::Default(default) => {
                    import.names.push(("default".into(), self.range(default.span())));
                }
                ImportSpecifier::Namespace(_) => {}
            }
        }
        self.imports.push(import);
    }

    fn visit_named_export(&mut self, export: &NamedExport) {
        if export.type_only {
            return;
        }
        let mut import = export.src.as_ref().map(|src| self.import(src, export.with.as_deref()));
        for specifier in &export.specifiers {
            match specifier {
                ExportSpecifier::Named(named) => {
                    self.exports.push(export_name(named.exported.as_ref().unwrap_or(&named.orig)));
                    if let Some(import) = &mut import {
                        import.names.push((export_name(&named.orig), self.range(named.span())));
                    }
                }
                ExportSpecifier::Namespace(namespace) => self.exports.push(export_name(&namespace.name)),
                ExportSpecifier::Default(default) => self.exports.push(default.exported.sym.to_string()),
            }
        }
        self.imports.extend(import);
    }

    fn visit_export_all(&mut self, export: &ExportAll) {
        if !export.type_only {
            let import = self.import(&export.src, export.with.as_deref());
            self.imports.push(Import { star: true, ..import });
        }
    }

    fn visit_export_decl(&mut self, export: &ExportDecl) {
        match &export.decl {
            Decl::Class(class) => self.exports.push(class.ident.sym.to_string()),
            Decl::Fn(function) => self.exports.push(function.ident.sym.to_string()),
            Decl::Var(var) => {
                for declarator in &var.decls {
                    pattern_names(&declarator.name, &mut self.exports);
                }
            }
            _ => {}
        }
        export.visit_children_with(self);
    }

    fn visit_export_default_decl(&mut self, export: &ExportDefaultDecl) {
        if !matches!(export.decl, DefaultDecl::TsInterfaceDecl(_)) {
            self.exports.push("default".into());
        }
        export.visit_children_with(self);
    }

    fn visit_export_default_expr(&mut self, export: &ExportDefaultExpr) {
        self.exports.push("default".into());
        if let Expr::Object(object) = &*export.expr {
            self.handlers = object.props.iter().map(property_name).collect();
        }
        export.visit_children_with(self);
    }

    fn visit_call_expr(&mut self, call: &CallExpr) {
        let style = match &call.callee {
            Callee::Import(_) => Some(ImportStyle::Import),
            Callee::Expr(callee) => match &**callee {
                Expr::Ident(ident) if ident.sym == "require" && self.free(ident) => Some(ImportStyle::Require),
                _ => None,
            },
            Callee::Super(_) => None,
        };
        if let (Some(style), Some(ExprOrSpread { spread: None, expr })) = (style, call.args.first()) {
            let specifier = match &**expr {
                Expr::Lit(Lit::Str(text)) => Some(text.value.to_string_lossy().into_owned()),
                Expr::Tpl(template) if template.exprs.is_empty() => {
                    template.quasis.first().map(|text| text.raw.to_string())
                }
                _ => None,
            };
            if let Some(specifier) = specifier {
                let literal = self.range(expr.span());
                let options = call.args.get(1).map(|options| &*options.expr);
                let attribute = match options {
                    Some(Expr::Object(options)) => with_type(options),
                    _ => None,
                };
                // Attributes the rewritten specifier makes superfluous go with it; other options stay.
                let end = match (&attribute, options) {
                    (Some(_), Some(options)) => self.range(options.span()).end,
                    _ => literal.end,
                };
                self.imports.push(Import {
                    specifier,
                    style,
                    span: literal.start..end,
                    literal: literal.len(),
                    names: Vec::new(),
                    star: false,
                    attribute,
                });
            }
        }
        call.visit_children_with(self);
    }

    fn visit_expr(&mut self, expr: &Expr) {
        if matches!(expr, Expr::Ident(_) | Expr::Member(_))
            && let Some(replacement) = self.chain(expr).and_then(|chain| self.define.get(&chain))
        {
            self.replacements.push((self.range(expr.span()), replacement.clone()));
            return;
        }
        expr.visit_children_with(self);
    }

    fn visit_ident(&mut self, ident: &Ident) {
        if matches!(&*ident.sym, "require" | "module" | "exports") && self.free(ident) {
            self.commonjs = true;
        }
    }
}

fn export_name(name: &ModuleExportName) -> String {
    match name {
        ModuleExportName::Ident(ident) => ident.sym.to_string(),
        ModuleExportName::Str(text) => text.value.to_string_lossy().into_owned(),
    }
}

fn pattern_names(pattern: &Pat, names: &mut Vec<String>) {
    use deno_ast::swc::ast::ObjectPatProp;
    match pattern {
        Pat::Ident(ident) => names.push(ident.id.sym.to_string()),
        Pat::Array(array) => array.elems.iter().flatten().for_each(|element| pattern_names(element, names)),
        Pat::Rest(rest) => pattern_names(&rest.arg, names),
        Pat::Assign(assign) => pattern_names(&assign.left, names),
        Pat::Object(object) => {
            for property in &object.props {
                match property {
                    ObjectPatProp::KeyValue(property) => pattern_names(&property.value, names),
                    ObjectPatProp::Assign(property) => names.push(property.key.id.sym.to_string()),
                    ObjectPatProp::Rest(rest) => pattern_names(&rest.arg, names),
                }
            }
        }
        Pat::Expr(_) | Pat::Invalid(_) => {}
    }
}

/// The name of a property; `None` when only running the code tells it.
fn property_name(property: &PropOrSpread) -> Option<String> {
    let PropOrSpread::Prop(property) = property else { return None };
    let name = match &**property {
        Prop::Shorthand(ident) => return Some(ident.sym.to_string()),
        Prop::KeyValue(property) => &property.key,
        Prop::Method(property) => &property.key,
        Prop::Getter(property) => &property.key,
        Prop::Setter(property) => &property.key,
        Prop::Assign(_) => return None,
    };
    match name {
        PropName::Ident(name) => Some(name.sym.to_string()),
        PropName::Str(name) => Some(name.value.to_string_lossy().into_owned()),
        PropName::Num(number) => Some(number.value.to_string()),
        PropName::BigInt(_) | PropName::Computed(_) => None,
    }
}

/// The value of `key` in an object literal.
fn property<'a>(object: &'a ObjectLit, key: &str) -> Option<&'a Expr> {
    object.props.iter().find_map(|property| match property {
        PropOrSpread::Prop(property) => match &**property {
            Prop::KeyValue(pair) => {
                let matches = match &pair.key {
                    PropName::Ident(name) => name.sym == key,
                    PropName::Str(name) => name.value.to_string_lossy() == key,
                    _ => false,
                };
                matches.then_some(&*pair.value)
            }
            _ => None,
        },
        PropOrSpread::Spread(_) => None,
    })
}

/// `type` of import attributes.
fn attribute_type(attributes: &ObjectLit) -> Option<String> {
    match property(attributes, "type")? {
        Expr::Lit(Lit::Str(text)) => Some(text.value.to_string_lossy().into_owned()),
        _ => None,
    }
}

/// `type` of the attributes in the options of `import()`.
fn with_type(options: &ObjectLit) -> Option<String> {
    match property(options, "with")? {
        Expr::Object(attributes) => attribute_type(attributes),
        _ => None,
    }
}
