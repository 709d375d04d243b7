//! One source file: to JavaScript, and what it imports and exports.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use deno_ast::{
    EmitOptions, MediaType, ModuleSpecifier, ParseDiagnostic, ParseParams, ParsedSource, SourceMapOption,
    TranspileModuleOptions, TranspileOptions,
};

use super::errors::{BuildError, SourceError, SourceProblem};
use super::resolve::ImportStyle;
use super::scan::Scan;
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
    /// Whether the code minds its failing when it runs: an `import()` in a `try`, or with a handler of rejections.
    pub minded: bool,
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
        let mut scan = Scan::of(&parsed, &options.define);
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
