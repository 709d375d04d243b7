//! What the node serves: one immutable snapshot of apps, versions and routes. A request reads it once and sees exactly
//! one revision.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use atoll_bundle::{Bundle, BundleHash};
use atoll_http_cache::key::Namespace;
use atoll_http_cache::purge::{Purges, Scope};
use atoll_protocol::api::CronClaim;
use atoll_protocol::config::{AssetSettings, CompressionSettings, VersionConfig};
use atoll_protocol::cron::{self, Schedule};
use atoll_protocol::sync::{AppState, PurgeScope, VersionState};
use atoll_runtime::{Binding, Environment, Host};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::assets::{AssetStore, VersionAssets};
use crate::cache::{FrontCache, VersionCache};
use crate::cache_api::AppCaches;
use crate::config::Config;
use crate::dispatch::Instances;
use crate::egress::Egress;
use crate::host::AppHost;
use crate::limits::LimitSettings;
use crate::logs::Logs;
use crate::proxy::Proxy;
use crate::rollout;
use crate::routing::{RouteIndex, RoutePattern};
use crate::services::Services;

/// One version of an app, with its isolates. When nothing refers to it any more, its isolates end.
pub struct VersionEntry {
    /// The app's name.
    pub app: Arc<str>,
    /// The version's number.
    pub number: u64,
    /// The code's hash.
    pub hash: BundleHash,
    /// The code, when it is not kept in the bundle store.
    pub bundle: Option<Arc<Bundle>>,
    /// What it may use.
    pub limits: LimitSettings,
    /// Variables and secrets.
    pub env: Environment,
    /// When its `scheduled` handler is due.
    pub crons: Vec<(String, Schedule)>,
    /// Where requests pass through to.
    pub origin: Option<Url>,
    /// The origin that answers in the place of code.
    pub proxy: Option<Proxy>,
    /// What its isolates may ask of the node.
    pub host: Arc<dyn Host>,
    /// What tells its app from all that had the name before.
    identity: Namespace,
    /// Its part of the front cache.
    pub cache: VersionCache,
    /// Its static files.
    pub assets: Option<Arc<VersionAssets>>,
    /// What is compressed of its answers.
    pub compression: CompressionSettings,
    /// Its isolates.
    pub instances: Arc<Instances>,
    /// Cancelled when nothing refers to the version any more.
    pub retired: Retired,
}

/// Tells what outlives a request, as a WebSocket does, that its version is not served any more.
#[derive(Default)]
pub struct Retired(CancellationToken);

impl Retired {
    /// What is cancelled then.
    pub fn token(&self) -> CancellationToken {
        self.0.clone()
    }
}

impl Drop for Retired {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// An app at one revision.
pub struct AppEntry {
    /// Its name.
    pub name: Arc<str>,
    source: AppState,
    versions: BTreeMap<u64, Arc<VersionEntry>>,
    purges: Purges,
    caches: AppCaches,
    in_flight: Arc<AtomicU32>,
    websockets: Arc<AtomicU32>,
}

impl AppEntry {
    /// What of its cached responses is not to be used any more.
    pub fn purges(&self) -> &Purges {
        &self.purges
    }

    /// The version for a client; `None` when nothing is deployed.
    pub fn version_for(&self, client: &[u8]) -> Option<&Arc<VersionEntry>> {
        self.versions.get(&rollout::choose(&self.name, &self.source.targets, client)?)
    }

    /// The versions that a client may be given.
    pub fn in_service(&self) -> impl Iterator<Item = &Arc<VersionEntry>> {
        self.source.targets.iter().filter_map(|target| self.versions.get(&target.version))
    }

    /// The cron expressions of the versions in service that are due in this minute since the Unix epoch.
    pub fn due(&self, minute: u64) -> BTreeSet<&str> {
        let crons = self.in_service().flat_map(|version| version.crons.iter());
        crons.filter(|(_, schedule)| schedule.is_due(minute)).map(|(text, _)| &**text).collect()
    }

    /// The version whose `scheduled` handler runs what is due, by the weights of those that have the cron.
    pub fn version_of_cron(&self, claim: &CronClaim) -> Option<Arc<VersionEntry>> {
        let has = |version: &&Arc<VersionEntry>| version.crons.iter().any(|(text, _)| *text == claim.cron);
        let key = format!("{} {}", claim.cron, claim.due);
        let chosen = self.version_for(key.as_bytes()).filter(has);
        chosen.or_else(|| self.in_service().find(has)).cloned()
    }

    /// Counts a request as in flight until the permit is dropped; `None` when there are `limit` already.
    pub fn admit(&self, limit: u32) -> Option<Permit> {
        Self::count(&self.in_flight, limit)
    }

    /// Counts a WebSocket as open until the permit is dropped; `None` when there are `limit` already.
    pub fn admit_websocket(&self, limit: u32) -> Option<Permit> {
        Self::count(&self.websockets, limit)
    }

    fn count(counter: &Arc<AtomicU32>, limit: u32) -> Option<Permit> {
        let permit = Permit(counter.clone());
        (permit.0.fetch_add(1, Ordering::Relaxed) < limit).then_some(permit)
    }
}

/// A request in flight, or a WebSocket that is open.
pub struct Permit(Arc<AtomicU32>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Everything a request's way depends on.
#[derive(Default)]
pub struct Snapshot {
    /// All routes.
    pub routes: RouteIndex<Arc<AppEntry>>,
    /// All apps by name.
    pub apps: BTreeMap<String, Arc<AppEntry>>,
}

/// The snapshot that is served, and how the next one is made.
pub struct Serving {
    current: ArcSwap<Snapshot>,
    sources: Mutex<Sources>,
    applied: watch::Sender<u64>,
    defaults: LimitSettings,
    ceilings: LimitSettings,
    default_domain: String,
    egress: Arc<Egress>,
    logs: Arc<Logs>,
    services: Arc<Services>,
    cache: Arc<FrontCache>,
    largest_put: u64,
    /// Names this process: what is served from memory has no other name that lasts.
    process: [u8; 16],
    assets: Arc<AssetStore>,
    installs: AtomicU64,
}

#[derive(Default)]
struct Sources {
    revision: u64,
    followed: BTreeMap<String, Arc<AppEntry>>,
    installed: BTreeMap<String, Arc<AppEntry>>,
}

impl Serving {
    /// Serves nothing.
    pub fn new(
        config: &Config,
        egress: Arc<Egress>,
        logs: Arc<Logs>,
        services: Arc<Services>,
        cache: Arc<FrontCache>,
        assets: Arc<AssetStore>,
    ) -> Self {
        let mut process = [0; 16];
        // Without randomness apps from memory may find what a process before put on the disk under the same names.
        let _ = aws_lc_rs::rand::fill(&mut process);
        Self {
            current: ArcSwap::default(),
            sources: Mutex::default(),
            applied: watch::Sender::new(0),
            defaults: config.limits.clone(),
            ceilings: config.ceilings.clone(),
            default_domain: config.default_domain.clone(),
            egress,
            logs,
            services,
            cache,
            largest_put: config.cache.object_mb.min(config.front_cache.object_mb).saturating_mul(1 << 20),
            process,
            assets,
            installs: AtomicU64::new(0),
        }
    }

    /// What is served now.
    pub fn current(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// The revision that is served, and its changes.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Serves these apps, and no others that came this way, from now on. Apps whose state did not change, and versions
    /// that stay the same, keep their isolates. `secrets` gives the opened secrets of an app that changed; an app for
    /// which it fails keeps what it had.
    pub fn follow(
        &self,
        revision: u64,
        apps: &BTreeMap<String, AppState>,
        secrets: impl Fn(&AppState) -> Option<BTreeMap<String, String>>,
    ) {
        let mut sources = self.sources();
        let mut followed = BTreeMap::new();
        for (name, state) in apps {
            let previous = sources.followed.get(name);
            let entry = match previous {
                Some(previous) if previous.source == *state => Some(previous.clone()),
                _ => match secrets(state) {
                    Some(secrets) => Some(Arc::new(self.entry(state, &secrets, None, previous.map(Arc::as_ref)))),
                    // An app of the same name that is another one has gone.
                    None => previous.filter(|previous| previous.caches.owner() == self.identity(state, false)).cloned(),
                },
            };
            followed.extend(entry.map(|entry| (name.clone(), entry)));
        }
        sources.followed = followed;
        sources.revision = revision;
        self.publish(&sources);
        self.applied.send_replace(revision);
    }

    /// Serves an app from memory, whatever the control plane says of its name.
    pub fn install(&self, state: &AppState, bundle: Arc<Bundle>, secrets: &BTreeMap<String, String>) {
        let mut sources = self.sources();
        let previous = sources.installed.get(&state.name).cloned();
        let entry = Arc::new(self.entry(state, secrets, Some(bundle), previous.as_deref()));
        sources.installed.insert(state.name.clone(), entry);
        self.publish(&sources);
    }

    fn publish(&self, sources: &Sources) {
        let mut apps = sources.followed.clone();
        apps.extend(sources.installed.iter().map(|(name, entry)| (name.clone(), entry.clone())));
        let mut routes = Vec::with_capacity(apps.len() * 2);
        for (name, entry) in &apps {
            for pattern in &entry.source.routes {
                match RoutePattern::parse(pattern) {
                    Ok(pattern) => routes.push((pattern, entry.clone())),
                    Err(error) => tracing::warn!(app = name, %error, "route ignored"),
                }
            }
        }
        // Routes that are written down go before the names that apps have by default.
        for (name, entry) in &apps {
            if entry.source.default_route {
                let host = format!("{name}.{}", self.default_domain);
                routes.push((RoutePattern::whole_host(&host), entry.clone()));
            }
        }
        self.current.store(Arc::new(Snapshot { routes: routes.into_iter().collect(), apps }));
    }

    fn entry(
        &self,
        state: &AppState,
        secrets: &BTreeMap<String, String>,
        bundle: Option<Arc<Bundle>>,
        previous: Option<&AppEntry>,
    ) -> AppEntry {
        let identity = self.identity(state, bundle.is_some());
        let previous = previous.filter(|previous| previous.caches.owner() == identity);
        let purges = purges(state);
        let caches = match previous {
            Some(previous) => previous.caches.clone(),
            None => AppCaches::new(self.cache.clone(), identity, self.largest_put),
        };
        caches.purge(&purges);
        let name: Arc<str> = match previous {
            Some(previous) => previous.name.clone(),
            None => state.name.as_str().into(),
        };
        let versions = state.versions.iter().map(|(&number, version)| {
            let fresh = self.version(&name, (number, version), state, secrets, bundle.clone(), &caches);
            let kept = previous.and_then(|previous| previous.versions.get(&number)).filter(|old| old.same_as(&fresh));
            (number, kept.cloned().unwrap_or_else(|| Arc::new(fresh)))
        });
        AppEntry {
            versions: versions.collect(),
            in_flight: previous.map(|previous| previous.in_flight.clone()).unwrap_or_default(),
            websockets: previous.map(|previous| previous.websockets.clone()).unwrap_or_default(),
            purges,
            caches,
            source: state.clone(),
            name,
        }
    }

    fn version(
        &self,
        app: &Arc<str>,
        (number, version): (u64, &VersionState),
        state: &AppState,
        secrets: &BTreeMap<String, String>,
        bundle: Option<Arc<Bundle>>,
        caches: &AppCaches,
    ) -> VersionEntry {
        let config = &version.config;
        let assets = config.assets.as_ref().map(|settings| {
            let store = self.assets.clone();
            Arc::new(VersionAssets::new(app.clone(), number, settings, config.compression, store))
        });
        let host = AppHost {
            app: app.clone(),
            version: number,
            egress: self.egress.clone(),
            logs: self.logs.clone(),
            caches: caches.clone(),
            services: self.services.clone(),
            assets: assets.clone(),
        };
        let identity = caches.owner();
        let namespace = match &bundle {
            // Each time it is installed it may be other code.
            Some(_) => {
                let install = self.installs.fetch_add(1, Ordering::Relaxed).to_le_bytes();
                identity.within(&[&b"install"[..], &install])
            }
            None => namespace(identity, number, version, state),
        };
        let proxy = config.proxy.as_ref().and_then(|settings| {
            Proxy::new(app, settings, &self.egress)
                .inspect_err(|problem| tracing::error!(app = %app, problem, "the app's origin cannot be used"))
                .ok()
        });
        VersionEntry {
            app: app.clone(),
            number,
            hash: version.bundle,
            bundle,
            limits: self.defaults.with(&config.limits, &self.ceilings),
            env: environment(config, secrets),
            crons: crons(app, &config.crons),
            origin: config.origin.as_deref().and_then(|origin| origin.parse().ok()),
            proxy,
            host: Arc::new(host),
            identity,
            cache: VersionCache::new(namespace, &config.cache),
            assets,
            compression: config.compression,
            instances: Arc::default(),
            retired: Retired::default(),
        }
    }

    /// What tells an app from all others, also from those that had its name before it.
    fn identity(&self, state: &AppState, installed: bool) -> Namespace {
        match installed {
            true => Namespace::of(&[b"installed", &self.process, state.name.as_bytes()]),
            false => Namespace::of(&[b"app", state.incarnation.as_bytes(), state.name.as_bytes()]),
        }
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VersionEntry {
    /// Whether isolates of the one can serve for the other.
    fn same_as(&self, other: &Self) -> bool {
        self.identity == other.identity
            && (self.number, self.hash, &self.limits, &self.env, &self.origin, &self.proxy, self.compression)
                == (other.number, other.hash, &other.limits, &other.env, &other.origin, &other.proxy, other.compression)
            && self.crons.iter().map(|(text, _)| text).eq(other.crons.iter().map(|(text, _)| text))
            && self.asset_settings() == other.asset_settings()
            && self.cache.same_settings(&other.cache)
    }

    fn asset_settings(&self) -> Option<&AssetSettings> {
        self.assets.as_deref().map(VersionAssets::settings)
    }

    /// Whether isolates run it: it is neither a proxy nor static files only.
    pub fn has_code(&self) -> bool {
        self.proxy.is_none() && !self.is_without_worker()
    }

    /// Whether there are static files only, and no code to run.
    pub fn is_without_worker(&self) -> bool {
        self.asset_settings().is_some_and(|settings| settings.without_worker)
    }
}

/// What tells a version's cached responses from all others, now and after a restart: a response of other code or other
/// settings is another one. Secrets count by their numbers.
fn namespace(app: Namespace, number: u64, version: &VersionState, state: &AppState) -> Namespace {
    let config = serde_json::to_vec(&version.config).unwrap_or_default();
    let hash = version.bundle.to_string();
    let mut parts: Vec<Vec<u8>> = vec![number.to_le_bytes().into(), hash.into(), config];
    for secret in &state.secrets {
        parts.push(secret.name.as_str().into());
        parts.push(secret.version.to_le_bytes().into());
    }
    app.within(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn crons(app: &str, expressions: &[String]) -> Vec<(String, Schedule)> {
    let read = |text: &String| match cron::parse(text) {
        Ok(schedule) => Some((text.clone(), schedule)),
        Err(error) => {
            tracing::warn!(app, cron = text, error, "cron ignored");
            None
        }
    };
    expressions.iter().filter_map(read).collect()
}

fn purges(state: &AppState) -> Purges {
    let (mut floor, mut rules) = (0, Vec::new());
    for purge in &state.purges {
        match &purge.scope {
            PurgeScope::Everything => floor = purge.revision.max(floor),
            PurgeScope::Tag(tag) => rules.push((purge.revision, Scope::Tag(tag.as_str().into()))),
            PurgeScope::Prefix(prefix) => rules.push((purge.revision, Scope::Prefix(prefix.as_str().into()))),
        }
    }
    Purges::new(floor, rules)
}

/// `env`, sorted by name; a secret takes the place of a variable of the same name.
fn environment(config: &VersionConfig, secrets: &BTreeMap<String, String>) -> Environment {
    let mut env = BTreeMap::new();
    if let Some(name) = config.assets.as_ref().and_then(|assets| assets.binding.clone()) {
        env.insert(name, Binding::Assets);
    }
    for (name, value) in &config.vars {
        let binding = match value {
            Value::String(text) => Binding::Text(text.clone()),
            other => Binding::Json(other.to_string()),
        };
        env.insert(name.clone(), binding);
    }
    for (name, binding) in &config.services {
        let (service, entrypoint) = (binding.service.clone(), binding.entrypoint().to_owned());
        env.insert(name.clone(), Binding::Service { service, entrypoint });
    }
    env.extend(secrets.iter().map(|(name, value)| (name.clone(), Binding::Secret(value.clone()))));
    env.into_iter().collect()
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
