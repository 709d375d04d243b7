//! An app as it is served. Until something is asked of it, it is little more than its state and its routes: its versions
//! are made by the first request, so that an app that nobody calls costs a node neither time at its start nor memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use arc_swap::ArcSwap;
use atoll_bundle::{Bundle, BundleHash};
use atoll_http_cache::purge::{Purges, Scope};
use atoll_protocol::api::CronClaim;
use atoll_protocol::sync::{AppState, PurgeScope, VersionState};

use crate::rollout;
use crate::routing::{Rank, RoutePattern};
use crate::version::{Maker, VersionEntry, has_code};

/// Opens the secrets of an app; `None` when they cannot be opened.
pub type Opener = Arc<dyn Fn(&AppState) -> Option<BTreeMap<String, String>> + Send + Sync>;

/// Most apps purge nothing.
static NO_PURGES: LazyLock<Arc<Purges>> = LazyLock::new(Arc::default);

/// An app at one revision.
pub struct AppEntry {
    /// Its name.
    pub name: Arc<str>,
    source: Arc<AppState>,
    /// Where it answers.
    routes: Vec<(Arc<RoutePattern>, Rank)>,
    purges: Arc<Purges>,
    standing: Arc<Standing>,
    maker: Arc<Maker>,
    opener: Opener,
    /// The code, when the app is served from memory.
    installed: Option<Arc<Bundle>>,
    versions: OnceLock<BTreeMap<u64, Arc<VersionEntry>>>,
}

/// What an app keeps from one revision to the next.
struct Standing {
    in_flight: AtomicU32,
    websockets: AtomicU32,
    /// The purges of the last revision, as code that began with an earlier one sees them too.
    purges: Arc<ArcSwap<Purges>>,
}

impl Default for Standing {
    fn default() -> Self {
        let purges = Arc::new(ArcSwap::new(NO_PURGES.clone()));
        Self { in_flight: AtomicU32::new(0), websockets: AtomicU32::new(0), purges }
    }
}

impl AppEntry {
    /// An app in the place of `previous`, whose versions it keeps as far as they stay what they are. `opener` is asked
    /// when versions are made: now, when those of `previous` have been.
    pub fn new(
        maker: &Arc<Maker>,
        state: &Arc<AppState>,
        opener: &Opener,
        installed: Option<Arc<Bundle>>,
        previous: Option<&Self>,
    ) -> Self {
        let previous = previous.filter(|previous| previous.is_same_app(state, installed.is_some()));
        let name: Arc<str> = match previous {
            Some(previous) => previous.name.clone(),
            None => state.name.as_str().into(),
        };
        let standing = previous.map(|previous| previous.standing.clone()).unwrap_or_default();
        let purges = purges(state);
        standing.purges.store(purges.clone());
        let entry = Self {
            routes: routes(&name, state, &maker.default_domain),
            name,
            source: state.clone(),
            purges,
            standing,
            maker: maker.clone(),
            opener: opener.clone(),
            installed,
            versions: OnceLock::new(),
        };
        if let Some(versions) = previous.and_then(|previous| previous.versions.get()) {
            entry.versions.get_or_init(|| entry.make(versions));
        }
        entry
    }

    /// Whether an app with this state is the same one, rather than another that has taken its name.
    pub fn is_same_app(&self, state: &AppState, installed: bool) -> bool {
        self.installed.is_some() == installed
            && *self.name == *state.name
            && (installed || self.source.incarnation == state.incarnation)
    }

    /// Whether this is what it is made of.
    pub fn is_of(&self, state: &Arc<AppState>) -> bool {
        self.source == *state
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

    fn versions(&self) -> &BTreeMap<u64, Arc<VersionEntry>> {
        self.versions.get_or_init(|| self.make(&BTreeMap::new()))
    }

    fn make(&self, kept: &BTreeMap<u64, Arc<VersionEntry>>) -> BTreeMap<u64, Arc<VersionEntry>> {
        let Some(secrets) = (self.opener)(&self.source) else {
            tracing::error!(app = %self.name, "its secrets cannot be opened: nothing of it is served");
            return BTreeMap::new();
        };
        let caches = self.maker.caches(&self.source, self.installed.is_some(), self.standing.purges.clone());
        let make = |(&number, version): (&u64, &VersionState)| {
            let bundle = self.installed.clone();
            let fresh = self.maker.version(&self.name, (number, version), &self.source, &secrets, bundle, &caches);
            let kept = kept.get(&number).filter(|old| old.same_as(&fresh));
            (number, kept.cloned().unwrap_or_else(|| Arc::new(fresh)))
        };
        self.source.versions.iter().map(make).collect()
    }

    /// The version for a client; `None` when nothing is deployed.
    pub fn version_for(&self, client: &[u8]) -> Option<&Arc<VersionEntry>> {
        self.versions().get(&rollout::choose(&self.name, &self.source.targets, client)?)
    }

    /// The versions that a client may be given.
    pub fn in_service(&self) -> impl Iterator<Item = &Arc<VersionEntry>> {
        self.source.targets.iter().filter_map(|target| self.versions().get(&target.version))
    }

    /// What is known of those versions before they are made.
    fn states_in_service(&self) -> impl Iterator<Item = &VersionState> {
        self.source.targets.iter().filter_map(|target| self.source.versions.get(&target.version))
    }

    /// The code of those that have any. Makes no version.
    pub fn code_in_service(&self) -> impl Iterator<Item = BundleHash> {
        self.states_in_service().filter(|version| has_code(&version.config)).map(|version| version.bundle)
    }

    /// The bundles that its versions name. Makes no version.
    pub fn bundles(&self) -> impl Iterator<Item = BundleHash> {
        self.source.versions.values().map(|version| version.bundle)
    }

    /// Whether anything is ever due. Makes no version.
    pub fn has_crons(&self) -> bool {
        self.states_in_service().any(|version| !version.config.crons.is_empty())
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
fn routes(name: &Arc<str>, state: &AppState, default_domain: &str) -> Vec<(Arc<RoutePattern>, Rank)> {
    let rank = |by_default, position| Rank { by_default, owner: name.clone(), position };
    let mut routes = Vec::with_capacity(state.routes.len() + 1);
    for (position, pattern) in state.routes.iter().enumerate() {
        match RoutePattern::parse(pattern) {
            Ok(pattern) => routes.push((pattern.into(), rank(false, position))),
            Err(error) => tracing::warn!(app = %name, %error, "route ignored"),
        }
    }
    if state.default_route {
        let host = format!("{name}.{default_domain}");
        routes.push((RoutePattern::whole_host(&host).into(), rank(true, 0)));
    }
    routes
}

fn purges(state: &AppState) -> Arc<Purges> {
    if state.purges.is_empty() {
        return NO_PURGES.clone();
    }
    let (mut floor, mut rules) = (0, Vec::new());
    for purge in &state.purges {
        match &purge.scope {
            PurgeScope::Everything => floor = purge.revision.max(floor),
            PurgeScope::Tag(tag) => rules.push((purge.revision, Scope::Tag(tag.as_str().into()))),
            PurgeScope::Prefix(prefix) => rules.push((purge.revision, Scope::Prefix(prefix.as_str().into()))),
        }
    }
    Arc::new(Purges::new(floor, rules))
}
