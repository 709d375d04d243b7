//! What the node serves: one immutable snapshot of apps and routes. A request reads it once and sees exactly one revision.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use atoll_bundle::{Bundle, BundleHash};
use atoll_protocol::sync::AppState;
use tokio::sync::watch;

pub use crate::app::{AppEntry, Opener, Permit};
use crate::apps::Apps;
use crate::base::States;
use crate::routing::RouteIndex;
use crate::sharded::Sharded;
use crate::source::Source;
use crate::version::Maker;
pub use crate::version::VersionEntry;

/// More new versions at once, as a node is told that is new itself, are not remembered as new.
const MOST_NEW: usize = 256;

/// Everything a request's way depends on. Clones share what they have in common.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// All apps by name.
    pub apps: Apps,
    /// The routes of those that were not read from disk.
    routes: RouteIndex<Arc<AppEntry>>,
    /// Those of them of which something may be due.
    with_crons: Sharded<Arc<AppEntry>>,
}

impl Snapshot {
    /// The app that answers at `host` ([normalized](crate::routing::normalize_host)) and `path` (without the query).
    pub fn find(&self, host: &str, path: &str) -> Option<&Arc<AppEntry>> {
        self.routes.find(&self.apps, host, path)
    }

    /// The apps of which something may be due.
    pub fn with_crons(&self) -> impl Iterator<Item = &Arc<AppEntry>> {
        self.with_crons.values().chain(self.apps.read_with_crons())
    }

    /// The bundles that are served, and those that will be as soon as somebody asks for them.
    pub fn bundles(&self) -> HashSet<BundleHash> {
        self.apps.bundles().collect()
    }

    /// Makes what the first requests would make to those apps that name one of the bundles. Blocks.
    pub fn make_ready(&self, bundles: &HashSet<BundleHash>) {
        self.apps.make_ready(bundles);
    }

    /// Has an entry take the place of what has the name; without one there is nothing there.
    fn replace(&mut self, name: &str, new: Option<&Arc<AppEntry>>) {
        let old = match new {
            Some(new) => self.apps.insert(new),
            None => self.apps.remove(name),
        };
        if let Some(old) = old {
            old.routes().iter().for_each(|(pattern, rank)| self.routes.remove(pattern, rank));
            self.with_crons.remove(name);
        }
        if let Some(new) = new {
            for (pattern, rank) in new.routes() {
                self.routes.insert(pattern.clone(), rank.clone(), new.clone());
            }
            if new.has_crons() {
                self.with_crons.insert(new.name.clone(), new.clone());
            }
        }
    }
}

/// The snapshot that is served, and how the next one is made.
pub struct Serving {
    current: ArcSwap<Snapshot>,
    sources: Mutex<Sources>,
    applied: watch::Sender<u64>,
    maker: Arc<Maker>,
}

#[derive(Default)]
struct Sources {
    followed: Apps,
    installed: BTreeMap<String, Arc<AppEntry>>,
    /// Code that nothing served before, with its app; none when there is more than [`MOST_NEW`].
    new: Option<Vec<(Arc<str>, BundleHash)>>,
}

impl Sources {
    fn note_new(&mut self, entry: &AppEntry, previous: Option<&AppEntry>) {
        if self.new.is_none() {
            return;
        }
        let known = previous.map(AppEntry::code_in_service).unwrap_or_default();
        for hash in entry.code_in_service().into_iter().filter(|hash| !known.contains(hash)) {
            if let Some(new) = &mut self.new {
                new.push((entry.name.clone(), hash));
            }
            self.new.take_if(|new| new.len() > MOST_NEW);
        }
    }
}

impl Serving {
    /// Serves nothing. Versions are made by `maker`.
    pub fn new(maker: Maker) -> Self {
        Self {
            current: ArcSwap::default(),
            sources: Mutex::default(),
            applied: watch::Sender::new(0),
            maker: Arc::new(maker),
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
    /// that stay the same, keep their isolates. `opener` gives the opened secrets of an app that changed; an app for
    /// which it fails keeps what it had.
    pub fn follow(&self, revision: u64, apps: &States, opener: &Opener) {
        let mut sources = self.sources();
        let gone = sources.followed.names().filter(|name| !apps.contains(name)).map(|name| (name.to_owned(), None));
        let changed = apps.iter().filter(|app| !sources.followed.is_of(app.name(), app.text()));
        let changed = changed.map(|app| (app.name().to_owned(), Some(app.source())));
        let changes: Vec<_> = gone.chain(changed).collect();
        self.change(&mut sources, revision, &changes, opener);
    }

    /// Serves these apps for the first time. What their secrets are is found out when they are called: `opener` must be
    /// able to open them all. Nothing is made of those that were read from a base.
    pub fn resume(&self, revision: u64, apps: &States, opener: &Opener) {
        let mut sources = self.sources();
        sources.followed = apps.base().map(|base| Apps::read(base, &self.maker, opener)).unwrap_or_default();
        let mut next = Snapshot { apps: sources.followed.clone(), ..Snapshot::default() };
        for app in sources.followed.read_unlike_their_hosts() {
            next.replace(&app.name, Some(app));
        }
        for (name, source) in apps.changed() {
            let entry = source.map(|source| Arc::new(AppEntry::new(&self.maker, source, opener, None, None)));
            match &entry {
                Some(entry) => drop(sources.followed.insert(entry)),
                None => drop(sources.followed.remove(name)),
            }
            next.replace(name, entry.as_ref());
        }
        for (name, installed) in &sources.installed {
            next.replace(name, Some(installed));
        }
        self.current.store(Arc::new(next));
        self.applied.send_replace(revision);
    }

    /// Serves what these apps have become, and all others as they are: what this costs does not grow with those. An app
    /// without a state is gone.
    pub fn follow_changes(&self, revision: u64, changes: &[(String, Option<Source>)], opener: &Opener) {
        self.change(&mut self.sources(), revision, changes, opener);
    }

    fn change(&self, sources: &mut Sources, revision: u64, changes: &[(String, Option<Source>)], opener: &Opener) {
        let can_be_opened = |app: &Source| app.state().is_ok_and(|app| opener(&app).is_some());
        let mut next = Snapshot::clone(&self.current.load());
        for (name, state) in changes {
            if state.as_ref().is_some_and(|state| sources.followed.is_of(name, state.text())) {
                continue;
            }
            let previous = sources.followed.get(name).cloned();
            let entry = match state {
                None => None,
                Some(state) if can_be_opened(state) => {
                    Some(Arc::new(AppEntry::new(&self.maker, state, opener, None, previous.as_deref())))
                }
                // An app of the same name that is another one has gone.
                Some(state) => previous.clone().filter(|previous| previous.is_same_app(state, false)),
            };
            if !sources.installed.contains_key(name) {
                next.replace(name, entry.as_ref());
            }
            match entry {
                Some(entry) => {
                    sources.note_new(&entry, previous.as_deref());
                    sources.followed.insert(&entry);
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
        let new: Vec<_> = {
            let mut sources = self.sources();
            let new = sources.new.replace(Vec::new()).unwrap_or_default();
            new.into_iter().filter_map(|(name, hash)| Some((sources.followed.get(&name)?.clone(), hash))).collect()
        };
        let version = |(app, hash): (Arc<AppEntry>, BundleHash)| {
            app.in_service().find(|version| version.hash == hash && version.has_code()).cloned()
        };
        new.into_iter().filter_map(version).collect()
    }

    /// Serves an app from memory, whatever the control plane says of its name.
    pub fn install(&self, state: &AppState, bundle: Arc<Bundle>, secrets: &BTreeMap<String, String>) {
        let mut sources = self.sources();
        let previous = sources.installed.get(&state.name).cloned();
        let secrets = secrets.clone();
        let opener: Opener = Arc::new(move |_| Some(secrets.clone()));
        let source = Source::new(state.clone());
        let entry = Arc::new(AppEntry::new(&self.maker, &source, &opener, Some(bundle), previous.as_deref()));
        let mut next = Snapshot::clone(&self.current.load());
        next.replace(&state.name, Some(&entry));
        sources.installed.insert(state.name.clone(), entry);
        self.current.store(Arc::new(next));
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
