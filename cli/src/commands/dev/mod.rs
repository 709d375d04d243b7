//! `atoll dev`: the project on this machine, built again whenever a file changes.
//!
//! A version that does not build or does not start leaves the one before it in service.

mod custom_build;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_bundle::{Bundle, BundleHash};
use atoll_edge_node::{Config, EdgeNode, LocalAsset, StartError};
use atoll_protocol::api::{LogLine, Target};
use atoll_protocol::config::VersionConfig;
use atoll_protocol::sync::{AppState, VersionState};
use atoll_runtime::Engine;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use self::custom_build::LastRun;
use self::watch::Watch;
use super::{edge_node, tail};
use crate::args::DevArgs;
use crate::assets::{self, Collected, Known};
use crate::build::{Builder, Mode};
use crate::check::Checker;
use crate::error::CommandError;
use crate::output;
use crate::project::{self, Project, dev_vars};
use crate::signals::Stop;

/// How long requests under way may take to finish.
const DRAIN: Duration = Duration::from_secs(1);

/// Runs until it is told to stop.
pub async fn run(args: DevArgs, engine: Engine) -> Result<(), CommandError> {
    let mut stop = Stop::listen()?;
    let mut config = Config {
        name: "dev".into(),
        listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, args.port))),
        expose_stacks: true,
        scheduled_endpoint: true,
        ..Config::default()
    };
    config.isolates.warm = 2;
    config.huge_pages = false;
    // What runs beside the project on this machine is part of what is being developed.
    edge_node::allow_egress(&mut config, &["127.0.0.0/8".into(), "::1/128".into()])?;
    edge_node::allow_egress(&mut config, &args.allow_egress)?;
    let json = args.json;
    let mut session = Session::open(args, &engine)?;
    let mut watch = Watch::start(&session.root)?;
    let edge = EdgeNode::start(config, engine).await.map_err(|error| {
        let message = match error {
            StartError::Listen { address, source } => {
                format!("cannot listen on {address}: {source}; --port chooses another")
            }
            other => other.to_string(),
        };
        CommandError::new("start-failed", message)
    })?;
    let mut logs = edge.logs();
    let url = format!("http://{}/", edge.local_addr());
    say(json, json!({ "event": "listening", "url": url }), || format!("listening on {url} (Ctrl-C ends)"));
    let follow = async {
        loop {
            session.update(&edge).await;
            session.beside.iter().for_each(|path| watch.add_other(path));
            watch.changed().await;
        }
    };
    let show_logs = async {
        loop {
            match logs.recv().await {
                Ok(line) => show(json, &line),
                Err(RecvError::Lagged(lines)) => output::warning(format!("{lines} log lines were lost")),
                Err(RecvError::Closed) => break,
            }
        }
    };
    tokio::select! {
        () = follow => {}
        () = show_logs => {}
        () = stop.told() => {}
    }
    edge.shutdown(DRAIN).await;
    Ok(())
}

/// The project as it was last built.
struct Session {
    root: PathBuf,
    path: PathBuf,
    environment: Option<String>,
    json: bool,
    builder: Option<Builder>,
    known: Option<Known>,
    checker: Checker,
    own_build: LastRun,
    /// What to watch besides `root`.
    beside: Vec<PathBuf>,
    version: u64,
    installed: Option<Installed>,
    /// What was said of the last build that failed, so that it is said once.
    complaint: Option<String>,
    warnings: Vec<String>,
}

/// What is in service.
#[derive(PartialEq)]
struct Installed {
    hash: BundleHash,
    config: VersionConfig,
    secrets: BTreeMap<String, String>,
}

/// A build that can be put into service.
struct Built {
    project: Project,
    bundle: Arc<Bundle>,
    secrets: BTreeMap<String, String>,
    assets: Option<Collected>,
}

/// Files of this machine by their hashes, and the manifest.
fn local_files(assets: Collected) -> HashMap<BundleHash, LocalAsset> {
    let manifest = (assets.settings.manifest, LocalAsset::Bytes(assets.manifest));
    let files = assets.files.into_iter().map(|(hash, path)| (hash, LocalAsset::File(path)));
    files.chain([manifest]).collect()
}

impl Session {
    fn open(args: DevArgs, engine: &Engine) -> Result<Self, CommandError> {
        // A folder without a project is an error now; a project file with a mistake can be put right while this runs.
        let root = if args.project.is_file() {
            args.project
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
                .map_or_else(|| ".".into(), PathBuf::from)
        } else {
            args.project.clone()
        };
        if let Err(error @ project::ProjectError::NotFound(_)) = project::name_of(&args.project, args.env.as_deref()) {
            return Err(error.into());
        }
        let root = root.canonicalize().map_err(|source| project::ProjectError::Read { path: root.clone(), source })?;
        Ok(Self {
            root,
            path: args.project,
            environment: args.env,
            json: args.json,
            builder: Some(Builder::new(Mode::Development)),
            known: None,
            checker: Checker::new(engine),
            own_build: LastRun::default(),
            beside: Vec::new(),
            version: 0,
            installed: None,
            complaint: None,
            warnings: Vec::new(),
        })
    }

    /// Builds and, when something is different and works, puts it into service.
    async fn update(&mut self, edge: &EdgeNode) {
        let start = Instant::now();
        match self.try_update(edge).await {
            Ok(false) => {}
            Ok(true) => {
                self.complaint = None;
                let millis = start.elapsed().as_millis();
                let version = self.version;
                let event = json!({ "event": "updated", "version": version, "ms": millis });
                say(self.json, event, || format!("version {version} is in service ({millis} ms)"));
            }
            Err(error) => {
                let text = error.render();
                if self.complaint.as_ref() == Some(&text) {
                    return;
                }
                if self.json {
                    output::json(&json!({ "event": "error", "code": error.code(), "message": error.to_string() }));
                }
                output::note(&text);
                if self.installed.is_some() {
                    output::note(format!("version {} stays in service", self.version));
                }
                self.complaint = Some(text);
            }
        }
    }

    async fn try_update(&mut self, edge: &EdgeNode) -> Result<bool, CommandError> {
        let project = self.load().await?;
        self.beside = custom_build::folders(&project);
        self.beside.retain(|path| !path.starts_with(&self.root));
        self.own_build.update(&project).await?;
        let Built { project, bundle, secrets, assets } = self.build(project).await?;
        for warning in project.warnings.iter().filter(|warning| !self.warnings.contains(warning)) {
            output::warning(warning);
        }
        self.warnings.clone_from(&project.warnings);
        let config = project.config(assets.as_ref().map(|assets| &assets.settings));
        let hash = BundleHash::of(&bundle.encode());
        let next = Installed { hash, config, secrets };
        if self.installed.as_ref() == Some(&next) {
            self.complaint = None;
            return Ok(false);
        }
        if !project.is_without_code() {
            self.checker.check(&project, bundle.clone(), hash, &next.secrets).await?;
        }
        self.version += 1;
        let version = VersionState { bundle: hash, config: next.config.clone().into() };
        let state = AppState {
            name: project.name.clone(),
            incarnation: String::new(),
            revision: self.version,
            // Whatever name the browser uses for this machine.
            routes: vec!["*/*".into()],
            default_route: true,
            deployment: self.version,
            targets: vec![Target { version: self.version, weight: 100 }],
            versions: BTreeMap::from([(self.version, version)]),
            secrets: Vec::new(),
            purges: Vec::new(),
        };
        if let Some(assets) = assets {
            edge.set_local_assets(local_files(assets));
        }
        edge.install(state, Bundle::clone(&bundle), &next.secrets);
        self.installed = Some(next);
        Ok(true)
    }

    async fn load(&self) -> Result<Project, CommandError> {
        let (path, environment) = (self.path.clone(), self.environment.clone());
        let task = tokio::task::spawn_blocking(move || Project::load(&path, environment.as_deref(), &project::today()));
        Ok(task.await.map_err(crashed)??)
    }

    async fn build(&mut self, project: Project) -> Result<Built, CommandError> {
        let mut builder = self.builder.take().unwrap_or_else(|| Builder::new(Mode::Development));
        let mut known = self.known.take().unwrap_or_default();
        let task = tokio::task::spawn_blocking(move || {
            let built = build(project, &mut builder, &mut known);
            (builder, known, built)
        });
        let (builder, known, built) = task.await.map_err(crashed)?;
        self.builder = Some(builder);
        self.known = Some(known);
        built
    }
}

fn crashed(error: tokio::task::JoinError) -> CommandError {
    CommandError::new("build-crashed", format!("the build crashed: {error}"))
}

fn build(mut project: Project, builder: &mut Builder, known: &mut Known) -> Result<Built, CommandError> {
    project.find_main()?;
    let assets = assets::collect(&project, known)?;
    let bundle = Arc::new(builder.build(&project)?);
    let secrets = match std::fs::read_to_string(project.root.join(".dev.vars")) {
        Ok(text) => dev_vars::parse(&text).map_err(|problem| CommandError::new("dev-vars-invalid", problem))?,
        Err(_) => BTreeMap::new(),
    };
    Ok(Built { project, bundle, secrets, assets })
}

fn show(json: bool, line: &LogLine) {
    say(json, json!({ "event": "log", "line": line }), || tail::format_line(line));
}

fn say(json: bool, event: serde_json::Value, text: impl FnOnce() -> String) {
    if json { output::json(&event) } else { output::line(text()) }
}
