//! `atoll deploy`: build, check, upload, put into service, and say which nodes run it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use atoll_bundle::{Bundle, BundleError, BundleHash, BundleLimits, ModuleKind};
use atoll_protocol::api::{App, DeployRequest, DeployResponse, RevisionStatus};
use atoll_protocol::config::VersionConfig;
use atoll_runtime::Engine;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use serde_json::json;

use super::client;
use crate::args::DeployArgs;
use crate::assets::{self, AssetError, Collected};
use crate::build::errors::BuildError;
use crate::build::{self, Builder, Mode};
use crate::check::Checker;
use crate::client::{Client, ClientError};
use crate::error::CommandError;
use crate::output::{self, Progress};
use crate::project::{self, Project};

/// How long a deploy waits for the nodes to run it, in milliseconds.
const WAIT_MS: u64 = 30_000;
/// Static files that are uploaded at once.
const UPLOADS: usize = 4;

/// A project that is built and can be uploaded.
pub struct Prepared {
    /// The project.
    pub project: Project,
    /// Its modules.
    pub bundle: Arc<Bundle>,
    /// The archive.
    pub archive: Bytes,
    /// Its hash.
    pub hash: BundleHash,
    /// Its static files.
    pub assets: Option<Collected>,
}

impl Prepared {
    /// How many modules it has, source maps aside.
    fn modules(&self) -> usize {
        self.bundle.modules.iter().filter(|module| module.kind != ModuleKind::SourceMap).count()
    }

    /// The version's settings.
    fn config(&self) -> VersionConfig {
        self.project.config(self.assets.as_ref().map(|assets| &assets.settings))
    }

    /// Writes the modules below `folder`.
    fn write(&self, folder: &Path) -> Result<(), CommandError> {
        for module in &self.bundle.modules {
            let path = folder.join(&module.name);
            let folder = path.parent().unwrap_or(folder);
            std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, &module.content)).map_err(|error| {
                CommandError::new("write-failed", format!("cannot write {}: {error}", path.display()))
            })?;
        }
        Ok(())
    }
}

/// What became of a deploy.
pub struct Deployed {
    /// The control plane's answer.
    pub response: DeployResponse,
    /// Which nodes run it.
    pub status: Result<RevisionStatus, ClientError>,
}

/// Builds the project at `path`, and starts it once when there is an `engine`.
pub async fn prepare(
    path: &Path,
    environment: Option<&str>,
    engine: Option<&Engine>,
    progress: &Progress,
) -> Result<Prepared, CommandError> {
    let mut project = Project::load(path, environment, &project::today())?;
    project.warnings.iter().for_each(output::warning);
    if let Some(build) = &project.build {
        progress.pause();
        output::note(format!("running {}", build.command));
        build::command::run(&project, build, "deploy").await?;
        progress.resume();
        project.find_main()?;
    }
    progress.step("building");
    let (project, bundle, assets) = tokio::task::spawn_blocking(move || {
        let assets = assets::collect(&project, &mut assets::Known::default());
        let bundle = Builder::new(Mode::Production).build(&project);
        (project, bundle, assets)
    })
    .await
    .map_err(|error| CommandError::new("build-crashed", format!("the build crashed: {error}")))?;
    let (bundle, assets) = (Arc::new(bundle?), assets?);
    let (archive, hash) = bundle.pack();
    let limit = BundleLimits::default().compressed;
    if archive.len() > limit {
        let largest = bundle.modules.iter().max_by_key(|module| module.content.len());
        let largest = largest.map(|module| module.name.as_str()).unwrap_or_default();
        let what = format!("the bundle, compressed (its largest module is {largest:?}),");
        return Err(BuildError::from(BundleError::TooLarge { what, size: archive.len(), limit }).into());
    }
    if let Some(engine) = engine.filter(|_| !project.is_without_code()) {
        progress.step("starting it once to see that it starts");
        Checker::new(engine).check(&project, bundle.clone(), hash, &BTreeMap::new()).await?;
    }
    Ok(Prepared { project, bundle, archive, hash, assets })
}

/// The app as it is and its version, when what is prepared is all that serves its requests already.
pub async fn in_service(client: &Client, prepared: &Prepared) -> Result<Option<(App, u64)>, ClientError> {
    let Prepared { project, hash, .. } = prepared;
    let app = match client.app(&project.name).await {
        Err(ClientError::Refused { status: StatusCode::NOT_FOUND, .. }) => return Ok(None),
        app => app?,
    };
    let Some([target]) = app.deployment.as_ref().map(|deployment| deployment.targets.as_slice()) else {
        return Ok(None);
    };
    // The control plane keeps hosts in lower case.
    let canonical = |route: &String| match route.split_once('/') {
        Some((host, path)) => format!("{}/{path}", host.to_ascii_lowercase()),
        None => route.to_ascii_lowercase(),
    };
    let routes: Vec<String> = project.routes.iter().map(canonical).collect();
    if (routes.as_slice(), project.default_route) != (app.routes.as_slice(), app.default_route) {
        return Ok(None);
    }
    let number = target.version;
    let versions = client.versions(&project.name).await?;
    let same = versions
        .iter()
        .any(|version| (version.number, version.bundle) == (number, *hash) && version.config == prepared.config());
    Ok(same.then_some((app, number)))
}

/// Uploads what is prepared, puts it into service and waits for the nodes.
pub async fn put_into_service(
    client: &Client,
    prepared: &Prepared,
    message: Option<String>,
    progress: &Progress,
) -> Result<Deployed, CommandError> {
    let Prepared { project, archive, hash, .. } = prepared;
    progress.step("uploading");
    if let Some(assets) = &prepared.assets {
        upload(client, assets).await?;
    }
    if !client.has_bundle(*hash).await? {
        client.put_bundle(*hash, archive.clone()).await?;
    }
    let request = DeployRequest {
        bundle: *hash,
        config: prepared.config(),
        routes: project.routes.clone(),
        default_route: project.default_route,
        message,
    };
    progress.step("deploying");
    let response = client.deploy(&project.name, &request).await?;
    progress.step("waiting for the nodes");
    let status = client.revision(response.revision, WAIT_MS).await;
    Ok(Deployed { response, status })
}

/// Uploads the static files that the control plane does not have, and then their manifest.
async fn upload(client: &Client, assets: &Collected) -> Result<(), CommandError> {
    let hashes: Vec<BundleHash> = assets.files.keys().copied().collect();
    let missing = client.missing_assets(&hashes).await?;
    let uploads = missing.iter().filter_map(|hash| Some((*hash, assets.files.get(hash)?)));
    stream::iter(uploads)
        .map(|(hash, path)| async move {
            let failed =
                |problem: String| CommandError::from(AssetError::File { path: path.display().to_string(), problem });
            let content = tokio::fs::read(path).await.map_err(|error| failed(format!("it cannot be read: {error}")))?;
            if BundleHash::of(&content) != hash {
                return Err(failed("it was changed during the deploy; deploy again".into()));
            }
            client.put_asset(hash, content.into()).await?;
            Ok(())
        })
        .buffer_unordered(UPLOADS)
        .try_collect::<()>()
        .await?;
    client.put_asset(assets.settings.manifest, assets.manifest.clone()).await?;
    Ok(())
}

/// Runs the command.
pub async fn run(args: DeployArgs, engine: Option<Engine>) -> Result<(), CommandError> {
    let json = args.client.json;
    let progress = Progress::new("reading the project", json);
    let environment = args.env.as_deref();
    if args.dry_run {
        let prepared = prepare(&args.project, environment, engine.as_ref(), &progress).await?;
        drop(progress);
        if let Some(folder) = &args.outdir {
            prepared.write(folder)?;
        }
        report_dry_run(&prepared, json);
        return Ok(());
    }
    // Whom to speak to is known before the work begins.
    let client = client(&args.client)?;
    let prepared = prepare(&args.project, environment, engine.as_ref(), &progress).await?;
    if let Some(folder) = &args.outdir {
        prepared.write(folder)?;
    }
    let deployed = put_into_service(&client, &prepared, args.message, &progress).await?;
    drop(progress);
    report(&deployed, &prepared, json)
}

fn report_dry_run(prepared: &Prepared, json: bool) {
    let Prepared { project, archive, hash, .. } = prepared;
    let modules = prepared.modules();
    if json {
        output::json(&json!({
            "app": project.name, "dry_run": true, "bundle": hash, "size": archive.len(), "modules": modules,
            "assets": prepared.assets.as_ref().map_or(0, |assets| assets.count),
        }));
    } else {
        output::line(format!(
            "{}: {}, {}, {hash}",
            project.name,
            output::count(modules, "module"),
            size(archive.len())
        ));
        if let Some(assets) = &prepared.assets {
            output::line(format!("{}, {}", output::count(assets.count, "static file"), size_of(assets.size)));
        }
        output::line("built and checked; nothing was uploaded");
    }
}

fn report(deployed: &Deployed, prepared: &Prepared, json: bool) -> Result<(), CommandError> {
    let response = &deployed.response;
    let nodes = deployed.status.as_ref().map(|status| status.nodes.as_slice()).unwrap_or_default();
    let running = |node: &atoll_protocol::api::Node| {
        node.report.as_ref().is_some_and(|report| report.revision >= response.revision)
    };
    let failures: Vec<_> = nodes
        .iter()
        .filter(|node| running(node))
        .filter_map(|node| Some((node.name.as_str(), node.report.as_ref()?.failures.get(&response.app)?.as_str())))
        .collect();
    if json {
        let nodes: Vec<_> = nodes
            .iter()
            .map(|node| {
                let failure = failures.iter().find(|(name, _)| *name == node.name).map(|(_, failure)| failure);
                json!({ "name": node.name, "running": running(node) && failure.is_none(), "failure": failure })
            })
            .collect();
        output::json(&json!({
            "app": response.app,
            "version": response.version,
            "url": response.urls.first(),
            "urls": response.urls,
            "deployment": response.deployment,
            "revision": response.revision,
            "bundle": prepared.hash,
            "nodes": nodes,
        }));
    } else {
        let size = size(prepared.archive.len());
        output::line(format!(
            "{} version {} is deployed ({size}, {})",
            response.app,
            response.version,
            output::count(prepared.modules(), "module")
        ));
        if let Some(assets) = &prepared.assets {
            output::line(format!("  {}, {}", output::count(assets.count, "static file"), size_of(assets.size)));
        }
        response.urls.iter().for_each(|url| output::line(format!("  {url}")));
        let names = |wanted: bool| -> Vec<&str> {
            nodes.iter().filter(|node| running(node) == wanted).map(|node| node.name.as_str()).collect()
        };
        match &deployed.status {
            Err(error) => output::warning(format!("cannot tell which nodes run it: {error}")),
            Ok(_) if nodes.is_empty() => output::warning("no edge node is connected; it runs as soon as one is"),
            Ok(_) => {
                if !names(true).is_empty() {
                    output::line(format!("  running on {}", names(true).join(", ")));
                }
                if !names(false).is_empty() {
                    output::warning(format!("not yet running on {}", names(false).join(", ")));
                }
            }
        }
    }
    match failures.first() {
        None => Ok(()),
        Some((node, failure)) => Err(CommandError::new(
            "node-failed",
            format!(
                "{} version {} is deployed, but node {node} cannot run it: {failure}",
                response.app, response.version
            ),
        )),
    }
}

fn size_of(bytes: u64) -> String {
    size(usize::try_from(bytes).unwrap_or(usize::MAX))
}

fn size(bytes: usize) -> String {
    if bytes < 1_000_000 { format!("{:.1} kB", bytes as f64 / 1e3) } else { format!("{:.1} MB", bytes as f64 / 1e6) }
}
