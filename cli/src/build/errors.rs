//! Why a project could not be built, with the place in the source where there is one.

use atoll_bundle::BundleError;
use miette::{Diagnostic, NamedSource, SourceSpan};

/// Why a project could not be built.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum BuildError {
    /// Something in a source file is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Source(#[from] Box<SourceError>),
    /// The project has no such entry module.
    #[error("the entry module {0} (`main` in the project file) does not exist")]
    NoEntry(String),
    /// The entry module's default export is missing.
    #[error("{0} has no default export; a worker needs `export default {{ async fetch(request, env, ctx) {{ … }} }}`")]
    NoDefaultExport(String),
    /// The default export is an object without a handler.
    #[error(
        "the default export of {0} has no fetch handler; write `export default {{ async fetch(request, env, ctx) {{ … }} }}`"
    )]
    NoHandler(String),
    /// A file of the module graph cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file, relative to the project.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A `tsconfig.json` cannot be read.
    #[error("{0}")]
    Tsconfig(String),
    /// The bundle breaks a limit or a rule of the format.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The project's esbuild found errors; this is what it said.
    #[error("esbuild failed\n{0}")]
    Esbuild(String),
    /// The project's own build failed.
    #[error("the build command `{command}` failed in {folder}: {problem}")]
    Command {
        /// The command.
        command: String,
        /// Where it was run.
        folder: String,
        /// Its status, or why it could not be run.
        problem: String,
    },
    /// esbuild could not be run.
    #[error("cannot run {program}: {problem}")]
    EsbuildRun {
        /// The program.
        program: String,
        /// Why.
        problem: String,
    },
}

impl BuildError {
    /// A stable word for machine-readable output.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Source(error) => error.kind.as_str(),
            Self::NoEntry(_) => "entry-missing",
            Self::NoDefaultExport(_) => "export-missing",
            Self::NoHandler(_) => "handler-missing",
            Self::Read { .. } => "read-failed",
            Self::Tsconfig(_) => "tsconfig-invalid",
            Self::Bundle(error) => error.code(),
            Self::Esbuild(_) => "esbuild-failed",
            Self::Command { .. } => "build-command-failed",
            Self::EsbuildRun { .. } => "esbuild-unusable",
        }
    }
}

/// What is wrong with a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceProblem {
    /// It does not parse.
    Syntax,
    /// An import leads nowhere.
    Unresolved,
    /// An import names a module that only other platforms have built in.
    Builtin,
    /// An import names an export that the module does not have.
    MissingExport,
    /// An import leads to a file of which nothing says what kind of module it is.
    UnknownKind,
}

impl SourceProblem {
    /// A stable word for machine-readable output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax-error",
            Self::Unresolved => "import-unresolved",
            Self::Builtin => "import-not-available",
            Self::MissingExport => "export-missing",
            Self::UnknownKind => "module-kind-unknown",
        }
    }
}

/// A fault at a place in a source file.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{file}:{line}:{column}: {message}")]
pub struct SourceError {
    /// What kind of fault.
    pub kind: SourceProblem,
    /// The file, relative to the project.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The text around it.
    #[source_code]
    pub source_text: NamedSource<String>,
    /// Where in the text.
    #[label("here")]
    pub span: SourceSpan,
    /// What to do.
    #[help]
    pub help: Option<String>,
}

impl SourceError {
    /// A fault at byte `offset` of `text`, `length` bytes long.
    pub fn at(
        kind: SourceProblem,
        file: &str,
        text: &str,
        (offset, length): (usize, usize),
        message: String,
        help: Option<String>,
    ) -> Box<Self> {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line = before.matches('\n').count() + 1;
        let column = before[before.rfind('\n').map_or(0, |at| at + 1)..].chars().count() + 1;
        Box::new(Self {
            kind,
            file: file.to_owned(),
            line,
            column,
            message,
            source_text: NamedSource::new(file, text.to_owned()),
            span: (offset, length.min(text.len() - offset)).into(),
            help,
        })
    }
}
