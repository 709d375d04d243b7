//! The project file: `wrangler.toml`, `wrangler.json` or `wrangler.jsonc`, read into a [`Project`].

pub mod assets;
mod cache;
mod compatibility;
pub mod custom_build;
pub mod dev_vars;
mod document;
mod own;
mod reader;
mod redirect;
pub mod rules;
mod services;
#[cfg(test)]
mod tests;
mod triggers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assets::Assets;
use atoll_protocol::config::{
    AssetSettings, CacheSettings, CompressionSettings, LimitOverrides, ProxySettings, ServiceBinding, VersionConfig,
};
use custom_build::CustomBuild;
use document::{Format, Node, Value};
use reader::TableReader;
pub use reader::WrongValue;
use rules::{Rule, RuleType, Rules};

/// The names a project file may have, in the order in which they are looked for.
pub const FILE_NAMES: [&str; 3] = ["wrangler.jsonc", "wrangler.json", "wrangler.toml"];

/// Entry modules that are tried when the project file names none.
const DEFAULT_MAINS: [&str; 5] = ["src/index.ts", "src/index.js", "index.ts", "index.js", "index.mjs"];

/// A project as its file describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// The project's folder.
    pub root: PathBuf,
    /// The folder that a user calls the project, where `root` is what a build has made within it; otherwise `root`.
    pub source: PathBuf,
    /// The project file's name within `root`.
    pub file: String,
    /// The app's name.
    pub name: String,
    /// The entry module, relative to the folder; empty for a proxy, and when there are static files and no code.
    pub main: PathBuf,
    /// `YYYY-MM-DD`.
    pub compatibility_date: String,
    /// Compatibility flags.
    pub compatibility_flags: Vec<String>,
    /// Plain variables for `env`.
    pub vars: BTreeMap<String, serde_json::Value>,
    /// Route patterns.
    pub routes: Vec<String>,
    /// Whether the app answers at `NAME.<default domain>` too: `workers_dev`, by default true.
    pub default_route: bool,
    /// Kinds of modules by file name.
    pub rules: Rules,
    /// Limits.
    pub limits: LimitOverrides,
    /// Cron expressions of the `scheduled` handler: `triggers.crons`.
    pub crons: Vec<String>,
    /// Other apps by their names in `env`.
    pub services: BTreeMap<String, ServiceBinding>,
    /// Where `passThroughOnException` sends requests.
    pub origin: Option<String>,
    /// The cache in front of the app: `[atoll.cache]`.
    pub cache: CacheSettings,
    /// What is compressed of its answers: `[atoll.compression]`.
    pub compression: CompressionSettings,
    /// The origin that answers in the place of code: `atoll.origin`.
    pub proxy: Option<ProxySettings>,
    /// Static files.
    pub assets: Option<Assets>,
    /// Expressions that are replaced in the code, and by what.
    pub define: BTreeMap<String, String>,
    /// What is imported instead of a module or package: other modules, or files by paths from the folder.
    pub alias: BTreeMap<String, String>,
    /// The project's own build, which comes first.
    pub build: Option<CustomBuild>,
    /// Never use esbuild, and leave the modules apart.
    pub no_bundle: bool,
    /// Another file than `tsconfig.json`, relative to the folder.
    pub tsconfig: Option<PathBuf>,
    /// What the user should know of the file: unknown keys, bindings that are not there yet.
    pub warnings: Vec<String>,
}

/// Why a project could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// There is no project file.
    #[error(
        "{0} holds no project: none of wrangler.jsonc, wrangler.json, wrangler.toml is there (`atoll init NAME` makes one)"
    )]
    NotFound(PathBuf),
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML or JSON.
    #[error("{file}, {error}")]
    Syntax {
        /// The file.
        file: String,
        /// Where and what.
        error: document::SyntaxError,
    },
    /// A value has the wrong type.
    #[error(transparent)]
    WrongValue(#[from] WrongValue),
    /// Something the project must have is missing or unusable.
    #[error("{file}: {problem}")]
    Invalid {
        /// The file.
        file: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

impl Project {
    /// The settings of a version of it, with what it says of its static files.
    pub fn config(&self, assets: Option<&AssetSettings>) -> VersionConfig {
        VersionConfig {
            vars: self.vars.clone(),
            limits: self.limits.clone(),
            services: self.services.clone(),
            crons: self.crons.clone(),
            origin: self.origin.clone(),
            cache: self.cache.clone(),
            compression: self.compression,
            proxy: self.proxy.clone(),
            assets: assets.cloned(),
        }
    }

    /// Whether there is no code: an origin or static files answer, or both.
    pub fn is_without_code(&self) -> bool {
        self.main.as_os_str().is_empty() && (self.assets.is_some() || self.proxy.is_some())
    }

    /// Reads the project in the folder `path`, or whose project file `path` is; for a folder whose build has made a project
    /// file of its own, that one. `environment` chooses `[env.NAME]`;
    /// `today` (`YYYY-MM-DD`) stands in for a missing compatibility date.
    pub fn load(path: &Path, environment: Option<&str>, today: &str) -> Result<Self, ProjectError> {
        let source = path;
        let redirected = if path.is_file() { None } else { redirect::target(path)? };
        let path = redirected.as_deref().unwrap_or(path);
        let (root, file) = if path.is_file() {
            let root = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            (root.to_owned(), path.file_name().unwrap_or_default().to_string_lossy().into_owned())
        } else {
            let found = FILE_NAMES.iter().find(|name| path.join(name).is_file());
            let file = found.ok_or_else(|| ProjectError::NotFound(path.to_owned()))?;
            (path.to_owned(), (*file).to_owned())
        };
        let full = root.join(&file);
        let text =
            std::fs::read_to_string(&full).map_err(|source| ProjectError::Read { path: full.clone(), source })?;
        let root = root.canonicalize().map_err(|source| ProjectError::Read { path: root.clone(), source })?;
        let mut project = parse(&text, &file, environment, today)?;
        let source = if redirected.is_some() { source.canonicalize().ok() } else { None };
        project.source = source.unwrap_or_else(|| root.clone());
        project.root = root;
        // The project's own build may make the entry module.
        if project.build.is_none() {
            project.find_main()?;
        }
        Ok(project)
    }

    /// Chooses the entry module, when the project file names none and there is code.
    pub fn find_main(&mut self) -> Result<(), ProjectError> {
        if self.main.as_os_str().is_empty() && !self.is_without_code() {
            let found = DEFAULT_MAINS.iter().find(|main| self.root.join(main).is_file());
            let main = found.ok_or_else(|| ProjectError::Invalid {
                file: self.file.clone(),
                problem: format!("`main` is missing, and none of {} is there", DEFAULT_MAINS.join(", ")),
            })?;
            self.main = main.into();
        }
        Ok(())
    }
}

/// The name in the project file of the folder `path`, when there is one.
pub fn name_of(path: &Path, environment: Option<&str>) -> Result<String, ProjectError> {
    Project::load(path, environment, &today()).map(|project| project.name)
}

/// Keys of bindings and features that a project file may have and this platform does not offer yet.
const NOT_AVAILABLE: [&str; 30] = [
    "kv_namespaces",
    "d1_databases",
    "durable_objects",
    "r2_buckets",
    "queues",
    "migrations",
    "ai",
    "browser",
    "hyperdrive",
    "vectorize",
    "analytics_engine_datasets",
    "dispatch_namespaces",
    "mtls_certificates",
    "send_email",
    "tail_consumers",
    "workflows",
    "version_metadata",
    "pipelines",
    "containers",
    "images",
    "site",
    "unsafe",
    "wasm_modules",
    "text_blobs",
    "data_blobs",
    "secrets_store_secrets",
    "ratelimits",
    "worker_loaders",
    "streaming_tail_consumers",
    "cloudchamber",
];

/// Keys that change nothing here and need no word about it.
const WITHOUT_EFFECT: [&str; 24] = [
    // What build tools write of how they came to a project file.
    "configPath",
    "definedEnvironments",
    "python_modules",
    "topLevelName",
    "userConfigPath",
    "preserve_file_names",
    "$schema",
    "account_id",
    "zone_id",
    "usage_model",
    "minify",
    "keep_names",
    "logpush",
    "observability",
    "placement",
    "dev",
    "send_metrics",
    "preview_urls",
    "upload_source_maps",
    "node_compat",
    "first_party_worker",
    "keep_vars",
    "find_additional_modules",
    "previews",
];

/// Keys that an environment does not take over from the top level.
const NOT_INHERITED: [&str; 3] = ["vars", "define", "services"];

/// Reads a project file's text. `root` and `source` of the answer are empty; so is `main` when the file names none.
pub fn parse(text: &str, file: &str, environment: Option<&str>, today: &str) -> Result<Project, ProjectError> {
    let format = if file.ends_with(".toml") { Format::Toml } else { Format::Jsonc };
    let document = document::parse(text, format).map_err(|error| ProjectError::Syntax { file: file.into(), error })?;
    let invalid = |problem: String| ProjectError::Invalid { file: file.into(), problem };
    let mut warnings = Vec::new();
    let mut top = TableReader::new(file, "", &document)?;
    let environments = top.take("env");
    let merged = match environment {
        None => document.clone(),
        Some(name) => merge_environment(&document, environments, name, file, &mut warnings)?,
    };
    let mut table = TableReader::new(file, "", &merged)?;
    table.take("env");

    let name = table.string("name")?.ok_or_else(|| invalid("`name` is missing; add name = \"my-app\"".into()))?;
    if !is_app_name(&name) {
        return Err(invalid(format!(
            "`name` is {name:?}; it must be 1 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit"
        )));
    }
    let main = table.string("main")?.map(PathBuf::from).unwrap_or_default();
    let compatibility_date = match table.string("compatibility_date")? {
        Some(date) => {
            compatibility::check_date(&date, today).map_err(invalid)?;
            date
        }
        None => {
            warnings.push(format!("{file}: no compatibility_date; {today} is used: write it down to stay with it"));
            today.to_owned()
        }
    };
    let flags = compatibility::read_flags(&mut table, file, &mut warnings)?;
    let compatibility_flags = flags.map_err(invalid)?;
    let vars = table.json_table("vars")?.unwrap_or_default();
    let routes = read_routes(&mut table)?;
    let default_route = table.boolean("workers_dev")?.unwrap_or(true);
    let rules = read_rules(&mut table, &mut warnings)?;
    let limits = read_limits(&mut table, file, &mut warnings)?;
    let crons = triggers::read(&mut table, file, &mut warnings)?;
    let services = services::read(&mut table, file, &mut warnings)?;
    let origin = table.string("origin")?;
    let own::Own { cache, compression, proxy } = own::read(&mut table, &mut warnings)?;
    let has_main = !main.as_os_str().is_empty();
    if proxy.is_some() && has_main {
        return Err(invalid(
            "it has `main` and `atoll.origin`: an app is either code or a proxy; leave one out".into(),
        ));
    }
    if !has_main && let Some(folder) = table.string("pages_build_output_dir")? {
        let folder = folder.trim_end_matches('/');
        return Err(invalid(format!(
            "`pages_build_output_dir` is of a project for Pages, which is not what runs here; as a worker it has \
             `main` = \"{folder}/_worker.js\" and `assets` = {{ \"directory\": \"{folder}\", \"binding\": \"ASSETS\" }}, \
             and {folder}/.assetsignore names _worker.js and _routes.json"
        )));
    }
    let assets = assets::read(&mut table, has_main, &compatibility_date, &compatibility_flags, file, &mut warnings)?;
    let assets = assets.transpose().map_err(invalid)?;
    if let Some(name) = assets.as_ref().and_then(|assets| assets.binding.as_ref())
        && (vars.contains_key(name) || services.contains_key(name))
    {
        return Err(invalid(format!(
            "`assets.binding` is {name:?}, which is the name of a variable or service too; rename one"
        )));
    }
    let define = table.string_table("define")?.unwrap_or_default();
    let alias = table.string_table("alias")?.unwrap_or_default();
    let build = custom_build::read(&mut table, file, &mut warnings)?;
    let no_bundle = table.boolean("no_bundle")?.unwrap_or(false);
    let tsconfig = table.string("tsconfig")?.map(PathBuf::from);
    for (key, default) in [("jsx_factory", "React.createElement"), ("jsx_fragment", "React.Fragment")] {
        if let Some(value) = table.string(key)?.filter(|value| value != default) {
            warnings.push(format!("{file}: `{key}` ({value}) is not read here; set it in tsconfig.json"));
        }
    }
    table.forget_empty();
    for key in table.keys() {
        if WITHOUT_EFFECT.contains(&key) {
            table.take(key);
        } else if NOT_AVAILABLE.contains(&key)
            && let Some(node) = table.take(key)
        {
            let bindings = binding_names(node);
            let which = if bindings.is_empty() { String::new() } else { format!(" ({})", bindings.join(", ")) };
            warnings
                .push(format!("{file}, line {}: `{key}`{which} is not available here yet; it is ignored", node.line));
        }
    }
    for (key, line) in table.rest() {
        warnings.push(format!("{file}, line {line}: `{key}` is not a key this version knows; it is ignored"));
    }
    Ok(Project {
        root: PathBuf::new(),
        source: PathBuf::new(),
        file: file.into(),
        name,
        main,
        compatibility_date,
        compatibility_flags,
        vars,
        routes,
        default_route,
        rules,
        limits,
        crons,
        services,
        origin,
        cache,
        compression,
        proxy,
        assets,
        define,
        alias,
        build,
        no_bundle,
        tsconfig,
        warnings,
    })
}

/// The file's tree as the environment `name` sees it: its own keys over those of the top level, without the keys that
/// are not inherited; its name is `NAME-ENV` unless it has one.
fn merge_environment(
    document: &Node,
    environments: Option<&Node>,
    name: &str,
    file: &str,
    warnings: &mut Vec<String>,
) -> Result<Node, ProjectError> {
    let mut known = Vec::new();
    let mut chosen = None;
    if let Some(environments) = environments {
        let mut table = TableReader::new(file, "env", environments)?;
        known = table.keys();
        chosen = table
            .take(name)
            .map(|node| TableReader::new(file, &format!("env.{name}"), node).map(|_| node))
            .transpose()?;
    }
    let Some(Node { value: Value::Table(own), line }) = chosen else {
        let known = if known.is_empty() { "it has none".into() } else { format!("it has {}", known.join(", ")) };
        let problem = format!("there is no environment {name:?}; {known}");
        return Err(ProjectError::Invalid { file: file.into(), problem });
    };
    let Value::Table(top) = &document.value else { unreachable!("a document is a table") };
    let has = |key: &str| own.iter().any(|(own, _)| own == key);
    let mut entries = own.clone();
    for (key, node) in top {
        if key == "env" || has(key) {
            continue;
        }
        if NOT_INHERITED.contains(&key.as_str()) || NOT_AVAILABLE.contains(&key.as_str()) {
            warnings
                .push(format!("{file}, line {}: `{key}` is not inherited by env.{name}; repeat it there", node.line));
            continue;
        }
        // Either way of writing routes replaces the other.
        if (key == "route" && has("routes")) || (key == "routes" && has("route")) {
            continue;
        }
        let mut node = node.clone();
        if key == "name"
            && let Value::String(text) = &mut node.value
        {
            *text = format!("{text}-{name}");
        }
        entries.push((key.clone(), node));
    }
    Ok(Node { line: *line, value: Value::Table(entries) })
}

fn read_routes(table: &mut TableReader<'_>) -> Result<Vec<String>, WrongValue> {
    let expected = "a route: a string such as \"example.com/*\", or a table with `pattern`";
    let mut routes = Vec::new();
    let single = table.take("route");
    let several = table.array("routes")?.unwrap_or_default();
    for (key, node) in single.map(|node| ("route", node)).into_iter().chain(several.iter().map(|node| ("routes", node)))
    {
        let pattern = match &node.value {
            Value::String(pattern) => pattern.clone(),
            Value::Table(_) => {
                let mut route = TableReader::new("", "", node)?;
                let Ok(Some(pattern)) = route.string("pattern") else { return Err(table.wrong(key, node, expected)) };
                // A custom domain is the whole host.
                let whole_host = matches!(route.boolean("custom_domain"), Ok(Some(true))) && !pattern.contains('/');
                if whole_host { format!("{pattern}/*") } else { pattern }
            }
            _ => return Err(table.wrong(key, node, expected)),
        };
        if !routes.contains(&pattern) {
            routes.push(pattern);
        }
    }
    Ok(routes)
}

fn read_rules(table: &mut TableReader<'_>, warnings: &mut Vec<String>) -> Result<Rules, WrongValue> {
    let mut rules = Vec::new();
    for node in table.array("rules")?.unwrap_or_default() {
        let expected = "a table with `type` and `globs`";
        let Value::Table(entries) = &node.value else { return Err(table.wrong("rules", node, expected)) };
        let wrong = |problem: &str| table.wrong("rules", node, problem);
        let get = |key: &str| entries.iter().find(|(name, _)| name == key).map(|(_, node)| node);
        let types = RuleType::ALL.map(RuleType::as_str).join(", ");
        let kind = match get("type") {
            Some(node @ Node { value: Value::String(kind), .. }) => {
                RuleType::parse(kind).ok_or_else(|| table.wrong("rules.type", node, &format!("one of {types}")))?
            }
            Some(node) => return Err(table.wrong("rules.type", node, &format!("one of {types}"))),
            None => return Err(wrong(expected)),
        };
        let globs = match get("globs") {
            Some(Node { value: Value::Array(items), .. }) => items
                .iter()
                .map(|item| match &item.value {
                    Value::String(glob) => Ok(glob.clone()),
                    _ => Err(table.wrong("rules.globs", item, "an array of strings")),
                })
                .collect::<Result<Vec<_>, _>>()?,
            Some(node) => return Err(table.wrong("rules.globs", node, "an array of strings")),
            None => return Err(wrong(expected)),
        };
        let fallthrough = match get("fallthrough") {
            None => false,
            Some(Node { value: Value::Bool(value), .. }) => *value,
            Some(node) => return Err(table.wrong("rules.fallthrough", node, "true or false")),
        };
        for (key, node) in entries.iter().filter(|(key, _)| !["type", "globs", "fallthrough"].contains(&key.as_str())) {
            warnings.push(format!("line {}: `rules.{key}` is not a key this version knows; it is ignored", node.line));
        }
        rules.push(Rule { kind, globs, fallthrough });
    }
    Ok(Rules::new(rules))
}

fn read_limits(
    table: &mut TableReader<'_>,
    file: &str,
    warnings: &mut Vec<String>,
) -> Result<LimitOverrides, WrongValue> {
    let Some(mut limits) = table.table("limits")? else { return Ok(LimitOverrides::default()) };
    let small = |value: Option<u64>| value.map(|value| u32::try_from(value).unwrap_or(u32::MAX));
    let read = LimitOverrides {
        cpu_ms: limits.integer("cpu_ms", 1)?,
        startup_cpu_ms: limits.integer("startup_cpu_ms", 1)?,
        wall_ms: limits.integer("wall_ms", 1)?,
        memory_mb: limits.integer("memory_mb", 1)?,
        subrequests: small(limits.integer("subrequests", 0)?),
        request_body_bytes: limits.integer("request_body_bytes", 0)?,
        concurrency: small(limits.integer("concurrency", 1)?),
    };
    for (key, line) in limits.rest() {
        warnings.push(format!("{file}, line {line}: `{key}` is not a limit this version knows; it is ignored"));
    }
    Ok(read)
}

/// The values of `binding` and `name` keys within `node`: how the user calls what is not there.
fn binding_names(node: &Node) -> Vec<String> {
    match &node.value {
        Value::Array(items) => items.iter().flat_map(binding_names).collect(),
        Value::Table(entries) => {
            let own = ["binding", "name"].iter().find_map(|wanted| {
                entries.iter().find(|(key, _)| key == wanted).and_then(|(_, node)| match &node.value {
                    Value::String(name) => Some(name.clone()),
                    _ => None,
                })
            });
            match own {
                Some(name) => vec![name],
                None => entries.iter().flat_map(|(_, node)| binding_names(node)).collect(),
            }
        }
        _ => Vec::new(),
    }
}

/// Whether `name` is a DNS label of lower-case letters, digits and hyphens (RFC 1123 §2.1).
pub fn is_app_name(name: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.len() <= 63
        && edge(name.bytes().next())
        && edge(name.bytes().last())
        && name.bytes().all(|byte| edge(Some(byte)) || byte == b'-')
}

/// The day of `seconds` since the Unix epoch as `YYYY-MM-DD` (proleptic Gregorian calendar, UTC).
pub fn date_of(seconds: u64) -> String {
    // Days are counted from 1 March of year 0, so that leap days come last in their year.
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Today in UTC, `YYYY-MM-DD`.
pub fn today() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    date_of(now.map_or(0, |elapsed| elapsed.as_secs()))
}
