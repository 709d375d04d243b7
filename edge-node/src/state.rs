//! What the node serves: one immutable snapshot of apps, versions and routes. A request reads it once and sees exactly
//! one revision.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

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
use crate::routing::{Rank, RouteIndex, RoutePattern};
use crate::services::Services;
use crate::sharded::Sharded;

/// More new versions at once, as a node is told that is new itself, are not remembered as new.
const MOST_NEW: usize = 256;

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
    source: Arc<AppState>,
    /// Where it answers.
    routes: Vec<(Arc<RoutePattern>, Rank)>,
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

    /// Whether anything is ever due.
    pub fn has_crons(&self) -> bool {
        self.in_service().any(|version| !version.crons.is_empty())
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

/// Everything a request's way depends on. Clones share what they have in common.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// All routes.
    pub routes: RouteIndex<Arc<AppEntry>>,
    /// All apps by name.
    pub apps: Sharded<Arc<AppEntry>>,
}

impl Snapshot {
    /// Has one entry take the place of another of the same name.
    fn replace(&mut self, old: Option<&Arc<AppEntry>>, new: Option<&Arc<AppEntry>>) {
        if let Some(old) = old {
            old.routes.iter().for_each(|(pattern, rank)| self.routes.remove(pattern, rank));
        }
        match (old, new) {
            (_, Some(new)) => {
                for (pattern, rank) in &new.routes {
                    self.routes.insert(pattern.clone(), rank.clone(), new.clone());
                }
                self.apps.insert(new.name.clone(), new.clone());
            }
            (Some(old), None) => drop(self.apps.remove(&old.name)),
            (None, None) => {}
        }
    }
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
    followed: BTreeMap<String, Arc<AppEntry>>,
    installed: BTreeMap<String, Arc<AppEntry>>,
    /// Versions with code that nothing served before; none when there are more than [`MOST_NEW`].
    new: Option<Vec<Weak<VersionEntry>>>,
}

impl Sources {
    fn note_new(&mut self, entry: &AppEntry, previous: Option<&AppEntry>) {
        let known = |version: &VersionEntry| {
            previous.is_some_and(|previous| previous.in_service().any(|other| other.hash == version.hash))
        };
        for version in entry.in_service().filter(|version| version.has_code() && !known(version)) {
            if let Some(new) = &mut self.new {
                new.push(Arc::downgrade(version));
            }
            self.new.take_if(|new| new.len() > MOST_NEW);
        }
    }
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
        apps: &BTreeMap<String, Arc<AppState>>,
        secrets: impl Fn(&AppState) -> Option<BTreeMap<String, String>>,
    ) {
        let mut sources = self.sources();
        let gone: Vec<String> = sources.followed.keys().filter(|name| !apps.contains_key(*name)).cloned().collect();
        let gone = gone.iter().map(|name| (name, None));
        self.change(&mut sources, revision, gone.chain(apps.iter().map(|(name, app)| (name, Some(app)))), secrets);
    }

    /// Serves what these apps have become, and all others as they are: what this costs does not grow with those. An app
    /// without a state is gone.
    pub fn follow_changes(
        &self,
        revision: u64,
        changes: &[(String, Option<Arc<AppState>>)],
        secrets: impl Fn(&AppState) -> Option<BTreeMap<String, String>>,
    ) {
        let changes = changes.iter().map(|(name, app)| (name, app.as_ref()));
        self.change(&mut self.sources(), revision, changes, secrets);
    }

    fn change<'a>(
        &self,
        sources: &mut Sources,
        revision: u64,
        changes: impl Iterator<Item = (&'a String, Option<&'a Arc<AppState>>)>,
        secrets: impl Fn(&AppState) -> Option<BTreeMap<String, String>>,
    ) {
        let mut next = Snapshot::clone(&self.current.load());
        for (name, state) in changes {
            let previous = sources.followed.get(name).cloned();
            let entry = match (state, &previous) {
                (None, _) => None,
                (Some(state), Some(previous)) if previous.source == *state => continue,
                (Some(state), _) => match secrets(state) {
                    Some(secrets) => Some(Arc::new(self.entry(state, &secrets, None, previous.as_deref()))),
                    // An app of the same name that is another one has gone.
                    None => previous.clone().filter(|previous| previous.caches.owner() == self.identity(state, false)),
                },
            };
            if !sources.installed.contains_key(name) {
                next.replace(previous.as_ref(), entry.as_ref());
            }
            match entry {
                Some(entry) => {
                    sources.note_new(&entry, previous.as_deref());
                    sources.followed.insert(name.clone(), entry);
                }
                None => drop(sources.followed.remove(name)),
            }
        }
        self.current.store(Arc::new(next));
        self.applied.send_replace(revision);
    }

    /// The versions with code that have come since this was called last and are served still; none when there were too
    /// many (256).
    pub fn take_new(&self) -> Vec<Arc<VersionEntry>> {
        let new = self.sources().new.replace(Vec::new()).unwrap_or_default();
        new.iter().filter_map(Weak::upgrade).collect()
    }

    /// Serves an app from memory, whatever the control plane says of its name.
    pub fn install(&self, state: &AppState, bundle: Arc<Bundle>, secrets: &BTreeMap<String, String>) {
        let mut sources = self.sources();
        let previous = sources.installed.get(&state.name).cloned();
        let entry = Arc::new(self.entry(&Arc::new(state.clone()), secrets, Some(bundle), previous.as_deref()));
        let mut next = Snapshot::clone(&self.current.load());
        next.replace(previous.as_ref().or_else(|| sources.followed.get(&state.name)), Some(&entry));
        sources.installed.insert(state.name.clone(), entry);
        self.current.store(Arc::new(next));
    }

    /// An app's routes: those that are written down, then the name that it has by default.
    fn routes(&self, name: &Arc<str>, state: &AppState) -> Vec<(Arc<RoutePattern>, Rank)> {
        let rank = |by_default, position| Rank { by_default, owner: name.clone(), position };
        let mut routes = Vec::with_capacity(state.routes.len() + 1);
        for (position, pattern) in state.routes.iter().enumerate() {
            match RoutePattern::parse(pattern) {
                Ok(pattern) => routes.push((pattern.into(), rank(false, position))),
                Err(error) => tracing::warn!(app = %name, %error, "route ignored"),
            }
        }
        if state.default_route {
            let host = format!("{name}.{}", self.default_domain);
            routes.push((RoutePattern::whole_host(&host).into(), rank(true, 0)));
        }
        routes
    }

    fn entry(
        &self,
        state: &Arc<AppState>,
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
            routes: self.routes(&name, state),
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
