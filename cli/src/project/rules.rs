//! Which kind of module a file is: by the project's `rules`, then by the defaults.

use atoll_bundle::ModuleKind;

/// What a rule makes of the files it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleType {
    /// An ECMAScript module.
    EsModule,
    /// A CommonJS module.
    CommonJs,
    /// The default export is the text.
    Text,
    /// The default export is an `ArrayBuffer`.
    Data,
    /// The default export is a `WebAssembly.Module`.
    CompiledWasm,
    /// The default export is the parsed value.
    Json,
}

impl RuleType {
    /// All types.
    pub const ALL: [Self; 6] = [Self::EsModule, Self::CommonJs, Self::Text, Self::Data, Self::CompiledWasm, Self::Json];

    /// The word for it in a project file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EsModule => "ESModule",
            Self::CommonJs => "CommonJS",
            Self::Text => "Text",
            Self::Data => "Data",
            Self::CompiledWasm => "CompiledWasm",
            Self::Json => "JSON",
        }
    }

    /// The type of that name, whatever its case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text))
    }

    /// The module kind that files of this type have in a bundle as they are; `None` for code, which is built first.
    pub fn asset_kind(self) -> Option<ModuleKind> {
        match self {
            Self::EsModule | Self::CommonJs => None,
            Self::Text => Some(ModuleKind::Text),
            Self::Data => Some(ModuleKind::Data),
            Self::CompiledWasm => Some(ModuleKind::Wasm),
            Self::Json => Some(ModuleKind::Json),
        }
    }
}

/// One entry of `rules`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What the files become.
    pub kind: RuleType,
    /// Which files: globs against the path relative to the project.
    pub globs: Vec<String>,
    /// Whether later rules of the same type, the defaults among them, count as well.
    pub fallthrough: bool,
}

/// The project's rules and the defaults, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules(Vec<Rule>);

impl Default for Rules {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Rules {
    /// `rules` followed by the defaults: `*.txt` and `*.html` are text, `*.bin` is data, `*.wasm` is WebAssembly and
    /// `*.json` is JSON. A rule without `fallthrough` ends the list of its type.
    pub fn new(rules: Vec<Rule>) -> Self {
        let default = |kind, globs: &[&str]| Rule {
            kind,
            globs: globs.iter().map(|glob| (*glob).to_owned()).collect(),
            fallthrough: true,
        };
        let defaults = [
            default(RuleType::Text, &["**/*.txt", "**/*.html"]),
            default(RuleType::Data, &["**/*.bin"]),
            default(RuleType::CompiledWasm, &["**/*.wasm", "**/*.wasm?module"]),
            default(RuleType::Json, &["**/*.json"]),
        ];
        let mut ended = Vec::new();
        let mut all = rules;
        all.extend(defaults);
        all.retain(|rule| {
            let kept = !ended.contains(&rule.kind);
            if !rule.fallthrough {
                ended.push(rule.kind);
            }
            kept
        });
        Self(all)
    }

    /// What the file at `path` (relative, with `/`) is; `None` when no rule matches, so its extension decides.
    pub fn kind_of(&self, path: &str) -> Option<RuleType> {
        let matches = |glob: &String| {
            let glob = glob.strip_prefix("./").unwrap_or(glob);
            glob_match::glob_match(glob, path)
                || glob.strip_prefix("**/").is_some_and(|tail| glob_match::glob_match(tail, path))
        };
        self.0.iter().find(|rule| rule.globs.iter().any(matches)).map(|rule| rule.kind)
    }

    /// The rules in order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }
}
