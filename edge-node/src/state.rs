//! What the node serves: one immutable snapshot of apps and routes. A request reads it once and sees exactly one revision.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use atoll_bundle::{Bundle, BundleHash};
use atoll_protocol::sync::AppState;
use tokio::sync::watch;

pub use crate::app::{AppEntry, Opener, Permit};
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
    /// All routes.
    pub routes: RouteIndex<Arc<AppEntry>>,
    /// All apps by name.
    pub apps: Sharded<Arc<AppEntry>>,
    /// Those of them of which something may be due.
    pub with_crons: Sharded<Arc<AppEntry>>,
}

impl Snapshot {
    /// The bundles that are served, and those that will be as soon as somebody asks for them.
    pub fn bundles(&self) -> HashSet<BundleHash> {
        self.apps.values().flat_map(|app| app.bundles()).collect()
    }

    /// Has one entry take the place of another of the same name.
    fn replace(&mut self, old: Option<&Arc<AppEntry>>, new: Option<&Arc<AppEntry>>) {
        if let Some(old) = old {
            old.routes().iter().for_each(|(pattern, rank)| self.routes.remove(pattern, rank));
            self.with_crons.remove(&old.name);
        }
        match (old, new) {
            (_, Some(new)) => {
                for (pattern, rank) in new.routes() {
                    self.routes.insert(pattern.clone(), rank.clone(), new.clone());
                }
                if new.has_crons() {
                    self.with_crons.insert(new.name.clone(), new.clone());
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
    maker: Arc<Maker>,
}

#[derive(Default)]
struct Sources {
    followed: BTreeMap<String, Arc<AppEntry>>,
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
    pub fn follow(&self, revision: u64, apps: &BTreeMap<String, Source>, opener: &Opener) {
        let mut sources = self.sources();
        let gone: Vec<String> = sources.followed.keys().filter(|name| !apps.contains_key(*name)).cloned().collect();
        let gone = gone.iter().map(|name| (name, None));
        let changes = gone.chain(apps.iter().map(|(name, app)| (name, Some(app))));
        self.change(&mut sources, revision, changes, opener, &|app| {
            app.state().is_ok_and(|app| opener(&app).is_some())
        });
    }

    /// Serves these apps for the first time. What their secrets are is found out when they are called: `opener` must be
    /// able to open them all.
    pub fn resume(&self, revision: u64, apps: &BTreeMap<String, Source>, opener: &Opener) {
        let mut sources = self.sources();
        let entry = |(name, source): (&String, &Source)| {
            (name.clone(), Arc::new(AppEntry::new(&self.maker, source, opener, None, None)))
        };
        sources.followed = apps.iter().map(entry).collect();
        let mut next = Snapshot::default();
        for (name, entry) in &sources.followed {
            next.replace(None, Some(sources.installed.get(name).unwrap_or(entry)));
        }
        for installed in sources.installed.values().filter(|app| !sources.followed.contains_key(&*app.name)) {
            next.replace(None, Some(installed));
        }
        self.current.store(Arc::new(next));
        self.applied.send_replace(revision);
    }

    /// Serves what these apps have become, and all others as they are: what this costs does not grow with those. An app
    /// without a state is gone.
    pub fn follow_changes(&self, revision: u64, changes: &[(String, Option<Source>)], opener: &Opener) {
        let changes = changes.iter().map(|(name, app)| (name, app.as_ref()));
        self.change(&mut self.sources(), revision, changes, opener, &|app| {
            app.state().is_ok_and(|app| opener(&app).is_some())
        });
    }

    fn change<'a>(
        &self,
        sources: &mut Sources,
        revision: u64,
        changes: impl Iterator<Item = (&'a String, Option<&'a Source>)>,
        opener: &Opener,
        can_be_opened: &dyn Fn(&Source) -> bool,
    ) {
        let mut next = Snapshot::clone(&self.current.load());
        for (name, state) in changes {
            let previous = sources.followed.get(name).cloned();
            let entry = match (state, &previous) {
                (None, _) => None,
                (Some(state), Some(previous)) if previous.is_of(state) => continue,
                (Some(state), _) if can_be_opened(state) => {
                    Some(Arc::new(AppEntry::new(&self.maker, state, opener, None, previous.as_deref())))
                }
                // An app of the same name that is another one has gone.
                (Some(state), _) => previous.clone().filter(|previous| previous.is_same_app(state, false)),
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
        let new: Vec<_> = {
            let mut sources = self.sources();
            let new = sources.new.replace(Vec::new()).unwrap_or_default();
            new.into_iter().filter_map(|(name, hash)| Some((sources.followed.get(&*name)?.clone(), hash))).collect()
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
        next.replace(previous.as_ref().or_else(|| sources.followed.get(&state.name)), Some(&entry));
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
