//! An app as it is served. Until something is asked of it, it is little more than its state and its routes: its versions
//! are made by the first request, so that an app that nobody calls costs a node neither time at its start nor memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use arc_swap::ArcSwap;
use atoll_bundle::{Bundle, BundleHash};
use atoll_http_cache::purge::{Purges, Scope};
use atoll_protocol::api::{CronClaim, Target};
use atoll_protocol::sync::{AppState, PurgeScope, VersionState};

use crate::rollout;
use crate::routing::{Rank, RoutePattern};
use crate::source::{self, Source};
use crate::version::{Maker, VersionEntry, has_code};

/// Opens the secrets of an app; `None` when they cannot be opened.
pub type Opener = Arc<dyn Fn(&AppState) -> Option<BTreeMap<String, String>> + Send + Sync>;

/// Most apps purge nothing.
static NO_PURGES: LazyLock<Arc<Purges>> = LazyLock::new(Arc::default);

/// An app at one revision.
pub struct AppEntry {
    /// Its name.
    pub name: Arc<str>,
    source: Source,
    /// Where it answers.
    routes: Vec<(Arc<RoutePattern>, Rank)>,
    purges: Arc<Purges>,
    standing: Arc<Standing>,
    maker: Arc<Maker>,
    opener: Opener,
    /// The code, when the app is served from memory.
    installed: Option<Arc<Bundle>>,
    made: OnceLock<Made>,
}

/// What is made of an app when something is asked of it.
#[derive(Default)]
struct Made {
    targets: Vec<Target>,
    versions: Versions,
}

type Versions = BTreeMap<u64, Arc<VersionEntry>>;

/// What an app keeps from one revision to the next.
struct Standing {
    in_flight: AtomicU32,
    websockets: AtomicU32,
    /// The purges of the last revision, as code that began with an earlier one sees them too.
    purges: Arc<ArcSwap<Purges>>,
}

impl Standing {
    fn new(purges: Arc<Purges>) -> Self {
        Self { in_flight: AtomicU32::new(0), websockets: AtomicU32::new(0), purges: Arc::new(ArcSwap::new(purges)) }
    }
}

impl AppEntry {
    /// An app in the place of `previous`, whose versions it keeps as far as they stay what they are. `opener` is asked
    /// when versions are made: now, when those of `previous` have been.
    pub fn new(
        maker: &Arc<Maker>,
        source: &Source,
        opener: &Opener,
        installed: Option<Arc<Bundle>>,
        previous: Option<&Self>,
    ) -> Self {
        let previous = previous.filter(|previous| previous.is_same_app(source, installed.is_some()));
        let purges = purges(source);
        let standing = match previous {
            Some(previous) => {
                previous.standing.purges.store(purges.clone());
                previous.standing.clone()
            }
            None => Arc::new(Standing::new(purges.clone())),
        };
        let entry = Self {
            name: source.name.clone(),
            routes: routes(source, &maker.default_domain),
            source: source.clone(),
            purges,
            standing,
            maker: maker.clone(),
            opener: opener.clone(),
            installed,
            made: OnceLock::new(),
        };
        if let Some(made) = previous.and_then(|previous| previous.made.get()) {
            entry.made.get_or_init(|| entry.make(&made.versions));
        }
        entry
    }

    /// Whether an app with this state is the same one, rather than another that has taken its name.
    pub fn is_same_app(&self, source: &Source, installed: bool) -> bool {
        self.installed.is_some() == installed
            && self.name == source.name
            && (installed || self.source.incarnation == source.incarnation)
    }

    /// Whether this is what it is made of.
    pub fn is_of(&self, text: &[u8]) -> bool {
        self.source.text() == text
    }

    /// Where it answers.
    pub fn routes(&self) -> &[(Arc<RoutePattern>, Rank)] {
        &self.routes
    }

    /// What of its cached responses is not to be used any more.
    pub fn purges(&self) -> &Purges {
        &self.purges
    }

    #[cfg(test)]
    pub fn shared_purges(&self) -> Arc<Purges> {
        self.standing.purges.load_full()
    }

    /// Makes what its first request would make.
    pub fn make_ready(&self) {
        self.made();
    }

    fn made(&self) -> &Made {
        self.made.get_or_init(|| self.make(&Versions::new()))
    }

    fn make(&self, kept: &Versions) -> Made {
        let Some(state) = self.state() else { return Made::default() };
        let Some(secrets) = (self.opener)(&state) else {
            tracing::error!(app = %self.name, "its secrets cannot be opened: nothing of it is served");
            return Made::default();
        };
        let caches = self.maker.caches(&state, self.installed.is_some(), self.standing.purges.clone());
        let make = |(&number, version): (&u64, &VersionState)| {
            let bundle = self.installed.clone();
            let fresh = self.maker.version(&self.name, (number, version), &state, &secrets, bundle, &caches);
            let kept = kept.get(&number).filter(|old| old.same_as(&fresh));
            (number, kept.cloned().unwrap_or_else(|| Arc::new(fresh)))
        };
        let versions = state.versions.iter().map(make).collect();
        Made { versions, targets: state.targets }
    }

    fn state(&self) -> Option<AppState> {
        let state = self.source.state();
        state.inspect_err(|error| tracing::error!(app = %self.name, %error, "its state cannot be read")).ok()
    }

    /// The version for a client; `None` when nothing is deployed.
    pub fn version_for(&self, client: &[u8]) -> Option<&Arc<VersionEntry>> {
        let made = self.made();
        made.versions.get(&rollout::choose(&self.name, &made.targets, client)?)
    }

    /// The version with this number, whether clients are given it or not.
    pub fn version(&self, number: u64) -> Option<&Arc<VersionEntry>> {
        self.made().versions.get(&number)
    }

    /// The versions that a client may be given.
    pub fn in_service(&self) -> impl Iterator<Item = &Arc<VersionEntry>> {
        let made = self.made();
        made.targets.iter().filter_map(|target| made.versions.get(&target.version))
    }

    /// The code of those that have any. Makes no version.
    pub fn code_in_service(&self) -> Vec<BundleHash> {
        let Some(state) = self.state() else { return Vec::new() };
        let versions = state.targets.iter().filter_map(|target| state.versions.get(&target.version));
        versions.filter(|version| has_code(&version.config)).map(|version| version.bundle).collect()
    }

    /// The bundles that its versions name. Makes no version.
    pub fn bundles(&self) -> Vec<BundleHash> {
        source::bundles(self.source.text())
    }

    /// Whether anything may ever be due. Makes no version.
    pub fn has_crons(&self) -> bool {
        self.source.has_crons
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
        self.count(|standing| &standing.in_flight, limit)
    }

    /// Counts a WebSocket as open until the permit is dropped; `None` when there are `limit` already.
    pub fn admit_websocket(&self, limit: u32) -> Option<Permit> {
        self.count(|standing| &standing.websockets, limit)
    }

    fn count(&self, counter: fn(&Standing) -> &AtomicU32, limit: u32) -> Option<Permit> {
        let permit = Permit { standing: self.standing.clone(), counter };
        (counter(&permit.standing).fetch_add(1, Ordering::Relaxed) < limit).then_some(permit)
    }
}

/// A request in flight, or a WebSocket that is open.
pub struct Permit {
    standing: Arc<Standing>,
    counter: fn(&Standing) -> &AtomicU32,
}

impl Drop for Permit {
    fn drop(&mut self) {
        (self.counter)(&self.standing).fetch_sub(1, Ordering::Relaxed);
    }
}

/// An app's routes: those that are written down, then the name that it has by default.
fn routes(source: &Source, default_domain: &str) -> Vec<(Arc<RoutePattern>, Rank)> {
    let rank = |by_default, position| Rank { by_default, owner: source.name.clone(), position };
    let mut routes = Vec::with_capacity(source.routes.len() + 1);
    for (position, pattern) in source.routes.iter().enumerate() {
        match RoutePattern::parse(pattern) {
            Ok(pattern) => routes.push((pattern.into(), rank(false, position))),
            Err(error) => tracing::warn!(app = %source.name, %error, "route ignored"),
        }
    }
    if source.default_route {
        let host = format!("{}.{default_domain}", source.name);
        routes.push((RoutePattern::whole_host(&host).into(), rank(true, 0)));
    }
    routes
}

fn purges(source: &Source) -> Arc<Purges> {
    if source.purges.is_empty() {
        return NO_PURGES.clone();
    }
    let (mut floor, mut rules) = (0, Vec::new());
    for purge in &source.purges {
        match &purge.scope {
            PurgeScope::Everything => floor = purge.revision.max(floor),
            PurgeScope::Tag(tag) => rules.push((purge.revision, Scope::Tag(tag.as_str().into()))),
            PurgeScope::Prefix(prefix) => rules.push((purge.revision, Scope::Prefix(prefix.as_str().into()))),
        }
    }
    Arc::new(Purges::new(floor, rules))
}
