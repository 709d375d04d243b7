//! What a node knows of the platform's state: what it serves, and what it has been told but cannot serve yet.
//!
//! Pure: frames go in, and what is to be done comes out.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use atoll_bundle::BundleHash;
use atoll_protocol::sync::{AppState, Frame};
use serde::{Deserialize, Serialize};

/// The state as it is kept on disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedState {
    /// Identifies the control plane's data; empty before the first snapshot.
    pub history: String,
    /// The revision that the control plane's frames have brought the node to.
    pub revision: u64,
    /// The apps as they are served.
    pub apps: BTreeMap<String, AppState>,
    /// Newer states of apps whose bundles or secrets are not there yet; their older state is served meanwhile.
    pub pending: BTreeMap<String, AppState>,
    /// What is not on disk yet.
    #[serde(skip)]
    unkept: Unkept,
}

/// How a state differs from the one on disk.
#[derive(Clone, Debug, Default, PartialEq)]
struct Unkept {
    /// Everything may differ.
    all: bool,
    /// Only these apps may.
    apps: BTreeSet<String>,
}

/// What becomes of a state: its revision, and what it has of each app that changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    revision: u64,
    apps: BTreeMap<String, Option<AppState>>,
    pending: BTreeMap<String, Option<AppState>>,
}

/// A frame that does not follow from what the node has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a change to revision {received} came although the node is at revision {current}")]
pub struct OutOfOrder {
    /// The node's revision.
    pub current: u64,
    /// The frame's.
    pub received: u64,
}

impl SavedState {
    /// Takes in a frame; changed apps are pending until [`settle`](Self::settle). Frames without state change nothing.
    pub fn take(&mut self, frame: Frame) -> Result<(), OutOfOrder> {
        match frame {
            Frame::Snapshot { history, revision, apps } => {
                let named: HashSet<&str> = apps.iter().map(|app| app.name.as_str()).collect();
                self.apps.retain(|name, _| named.contains(name.as_str()));
                self.pending = apps.into_iter().map(|app| (app.name.clone(), app)).collect();
                self.history = history;
                self.revision = revision;
                self.unkept.all = true;
            }
            Frame::Change { revision, app, state } => {
                if revision < self.revision {
                    return Err(OutOfOrder { current: self.revision, received: revision });
                }
                self.unkept.apps.insert(app.clone());
                match state {
                    Some(state) => {
                        self.pending.insert(app, *state);
                    }
                    None => {
                        self.apps.remove(&app);
                        self.pending.remove(&app);
                    }
                }
                self.revision = revision;
            }
            Frame::Heartbeat { .. } | Frame::Tail { .. } => {}
        }
        Ok(())
    }

    /// Serves the pending state of `app` from now on.
    pub fn settle(&mut self, app: &str) {
        if let Some((name, state)) = self.pending.remove_entry(app) {
            self.unkept.apps.insert(name.clone());
            self.apps.insert(name, state);
        }
    }

    /// Whether [`change`](Self::change) tells all that is not on disk yet.
    pub fn is_change(&self) -> bool {
        !self.unkept.all
    }

    /// What became of the state on disk.
    pub fn change(&self) -> Change {
        let of = |apps: &BTreeMap<String, AppState>| {
            self.unkept.apps.iter().map(|name| (name.clone(), apps.get(name).cloned())).collect()
        };
        Change { revision: self.revision, apps: of(&self.apps), pending: of(&self.pending) }
    }

    /// The state is on disk as it is now.
    pub fn kept(&mut self) {
        self.unkept = Unkept::default();
    }

    /// Becomes what a change says.
    pub fn apply(&mut self, change: Change) {
        self.revision = change.revision;
        for (of, changes) in [(&mut self.apps, change.apps), (&mut self.pending, change.pending)] {
            for (name, state) in changes {
                match state {
                    Some(state) => {
                        of.insert(name, state);
                    }
                    None => {
                        of.remove(&name);
                    }
                }
            }
        }
    }

    /// The bundles that a served or pending version names.
    pub fn bundles(&self) -> HashSet<BundleHash> {
        let states = self.apps.values().chain(self.pending.values());
        states.flat_map(|state| state.versions.values().map(|version| version.bundle)).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use atoll_protocol::sync::VersionState;

    use super::*;

    /// An app with one version.
    pub(crate) fn app(name: &str, revision: u64) -> AppState {
        AppState {
            name: name.into(),
            revision,
            routes: vec![],
            default_route: true,
            deployment: 1,
            targets: vec![],
            versions: BTreeMap::from([(
                revision,
                VersionState { bundle: BundleHash::of(b"1"), config: Default::default() },
            )]),
            secrets: vec![],
            purges: vec![],
        }
    }

    /// What became of one app.
    pub(crate) fn change(revision: u64, name: &str, state: Option<AppState>) -> Frame {
        Frame::Change { revision, app: name.into(), state: state.map(Box::new) }
    }

    #[test]
    fn the_old_state_serves_until_the_new_one_is_settled() {
        let mut state = SavedState::default();
        let snapshot = Frame::Snapshot { history: "h".into(), revision: 5, apps: vec![app("a", 4), app("b", 5)] };
        state.take(snapshot).unwrap();
        assert!(state.apps.is_empty());
        state.settle("a");
        state.settle("b");
        state.take(change(6, "a", Some(app("a", 6)))).unwrap();
        assert_eq!((state.apps["a"].revision, state.pending["a"].revision, state.revision), (4, 6, 6));
        state.settle("a");
        assert_eq!(state.apps["a"].revision, 6);
        assert!(state.pending.is_empty());
    }

    #[test]
    fn a_deletion_takes_effect_at_once() {
        let mut state = SavedState::default();
        state.take(change(1, "a", Some(app("a", 1)))).unwrap();
        state.settle("a");
        state.take(change(2, "a", Some(app("a", 2)))).unwrap();
        state.take(change(3, "a", None)).unwrap();
        assert!(state.apps.is_empty() && state.pending.is_empty());
    }

    #[test]
    fn a_snapshot_drops_what_it_does_not_name_even_at_a_lower_revision() {
        let mut state = SavedState::default();
        state.take(change(9, "a", Some(app("a", 9)))).unwrap();
        state.settle("a");
        state.take(Frame::Snapshot { history: "other".into(), revision: 1, apps: vec![app("b", 1)] }).unwrap();
        assert_eq!((state.revision, state.history.as_str(), state.apps.len()), (1, "other", 0));
        assert!(state.pending.contains_key("b"));
    }

    #[test]
    fn a_change_that_goes_back_is_refused() {
        let mut state = SavedState { revision: 9, ..Default::default() };
        assert_eq!(state.take(change(8, "a", None)), Err(OutOfOrder { current: 9, received: 8 }));
        assert_eq!(state.revision, 9);
    }
}
