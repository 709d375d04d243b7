//! What a node knows of the platform's state: what it serves, and what it has been told but cannot serve yet.
//!
//! Pure: frames go in, and what is to be done comes out.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use atoll_bundle::BundleHash;
use atoll_protocol::certificates::CertificateState;
use atoll_protocol::sync::Frame;
use serde::{Deserialize, Serialize};

use crate::base::{Kept, States};
use crate::source::Source;

/// The state as it is kept on disk.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct SavedState {
    /// Identifies the control plane's data; empty before the first snapshot.
    pub history: String,
    /// The revision that the control plane's frames have brought the node to.
    pub revision: u64,
    /// The public key of the node whose key opens the secrets of all `apps`; empty when that is not known.
    #[serde(default)]
    pub key: String,
    /// The apps as they are served.
    pub apps: States,
    /// Newer states of apps whose bundles or secrets are not there yet; their older state is served meanwhile.
    pub pending: BTreeMap<String, Source>,
    /// The certificates as they are served, with the challenges that are answered.
    #[serde(default)]
    pub certificates: BTreeMap<String, CertificateState>,
    /// Newer states of certificates, which have not been checked; none of one that is gone. They are on disk, or refused,
    /// before the revision is.
    #[serde(skip)]
    pub arrived: BTreeMap<String, Option<CertificateState>>,
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
    /// And these certificates.
    certificates: BTreeSet<String>,
}

/// What becomes of a state: its revision, and what it has of each app that changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    revision: u64,
    apps: BTreeMap<String, Option<Source>>,
    pending: BTreeMap<String, Option<Source>>,
    #[serde(default)]
    certificates: BTreeMap<String, Option<CertificateState>>,
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
            Frame::Snapshot { history, revision, apps, certificates } => {
                self.pending = apps.into_iter().map(|app| (app.name.clone(), Source::new(app))).collect();
                self.apps.retain(|name| self.pending.contains_key(name));
                // Apps of another history are served until those that take their places can be.
                if self.history == history {
                    for app in self.pending.values() {
                        end_predecessor(&mut self.apps, app);
                    }
                }
                self.arrived = self.certificates.keys().map(|name| (name.clone(), None)).collect();
                self.arrived.extend(certificates.into_iter().map(|state| (state.name.clone(), Some(state))));
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
                        let state = Source::new(*state);
                        end_predecessor(&mut self.apps, &state);
                        self.pending.insert(app, state);
                    }
                    None => {
                        self.apps.remove(&app);
                        self.pending.remove(&app);
                    }
                }
                self.revision = revision;
            }
            Frame::Certificate { revision, name, state } => {
                if revision < self.revision {
                    return Err(OutOfOrder { current: self.revision, received: revision });
                }
                self.arrived.insert(name, state.map(|state| *state));
                self.revision = revision;
            }
            Frame::Heartbeat { .. } | Frame::Tail { .. } => {}
        }
        Ok(())
    }

    /// Serves the pending state of `app` from now on. Gives back what it has taken the place of.
    pub fn settle(&mut self, app: &str) -> Settled {
        let Some((name, state)) = self.pending.remove_entry(app) else {
            return Settled { name: app.to_owned(), previous: self.apps.get(app) };
        };
        self.unkept.apps.insert(name.clone());
        let previous = self.apps.get(&name);
        self.apps.insert(name.clone(), state);
        Settled { previous, name }
    }

    /// Takes back a [`settle`](Self::settle): the app's state is pending again.
    pub fn unsettle(&mut self, settled: Settled) {
        let Settled { name, previous } = settled;
        if let Some(state) = self.apps.remove(&name) {
            self.pending.insert(name.clone(), state);
        }
        if let Some(previous) = previous {
            self.apps.insert(name, previous);
        }
    }

    /// The apps that may be other than they are on disk, as they are to be served; none of those that are gone.
    pub fn changed(&self) -> Vec<(String, Option<Source>)> {
        self.unkept.apps.iter().map(|name| (name.clone(), self.apps.get(name))).collect()
    }

    /// Takes the certificates that have arrived. Of one that `check` refuses, the state before stays; given back are the
    /// refusals by name.
    pub fn settle_certificates<E>(
        &mut self,
        check: impl Fn(&CertificateState) -> Result<(), E>,
    ) -> BTreeMap<String, Result<(), E>> {
        let mut outcomes = BTreeMap::new();
        for (name, state) in std::mem::take(&mut self.arrived) {
            match state {
                None => {
                    self.certificates.remove(&name);
                    outcomes.insert(name.clone(), Ok(()));
                }
                Some(state) => {
                    let outcome = check(&state);
                    match outcome {
                        Ok(()) => {
                            self.certificates.insert(name.clone(), state);
                        }
                        // Challenges need no key.
                        Err(_) => {
                            if let Some(old) = self.certificates.get_mut(&name) {
                                old.challenges = state.challenges;
                            }
                        }
                    }
                    outcomes.insert(name.clone(), outcome);
                }
            }
            self.unkept.certificates.insert(name);
        }
        outcomes
    }

    /// The secrets of all apps are known to be sealed for the key with this public half.
    pub fn opened_with(&mut self, key: String) {
        if self.key != key {
            self.key = key;
            // A change does not say it.
            self.unkept.all = true;
        }
    }

    /// Whether something is to be brought up that has arrived.
    pub fn is_unsettled(&self) -> bool {
        !self.pending.is_empty() || !self.arrived.is_empty()
    }

    /// Whether [`change`](Self::change) tells all that is not on disk yet.
    pub fn is_change(&self) -> bool {
        !self.unkept.all
    }

    /// What became of the state on disk.
    pub fn change(&self) -> Change {
        let of = |app: &dyn Fn(&str) -> Option<Source>| {
            self.unkept.apps.iter().map(|name| (name.clone(), app(name))).collect()
        };
        let certificates = self.unkept.certificates.iter();
        Change {
            revision: self.revision,
            apps: of(&|name| self.apps.get(name)),
            pending: of(&|name| self.pending.get(name).cloned()),
            certificates: certificates.map(|name| (name.clone(), self.certificates.get(name).cloned())).collect(),
        }
    }

    /// The state is on disk as it is now.
    pub fn kept(&mut self) {
        self.unkept = Unkept::default();
    }

    /// Becomes what a change says.
    pub fn apply(&mut self, change: Change) {
        self.revision = change.revision;
        for (name, state) in change.apps {
            match state {
                Some(state) => self.apps.insert(name, state),
                None => drop(self.apps.remove(&name)),
            }
        }
        become_of(&mut self.pending, change.pending);
        become_of(&mut self.certificates, change.certificates);
    }

    /// The bundles that a served or pending version names, and the manifests of static files.
    pub fn named(&self) -> (HashSet<BundleHash>, HashSet<BundleHash>) {
        let (mut bundles, mut manifests) = (HashSet::new(), HashSet::new());
        let served = self.apps.iter().map(|app| app.source());
        let states = served.chain(self.pending.values().cloned()).flat_map(|app| app.state());
        for version in states.flat_map(|state| state.versions.into_values()) {
            bundles.insert(version.bundle);
            manifests.extend(version.config.assets.map(|assets| assets.manifest));
        }
        (bundles, manifests)
    }
}

/// An app whose name has become another app's was deleted: it is not served until that one can be.
fn end_predecessor(apps: &mut States, app: &Source) {
    let other = |old: Kept<'_>| {
        // Only what has changed is looked at more closely.
        old.text() != app.text() && {
            let old = old.source();
            !old.incarnation.is_empty() && old.incarnation != app.incarnation
        }
    };
    if apps.kept(&app.name).is_some_and(other) {
        apps.remove(&app.name);
    }
}

/// What [`SavedState::settle`] has changed.
#[derive(Debug)]
pub struct Settled {
    name: String,
    previous: Option<Source>,
}

impl Settled {
    /// The app's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn become_of<T>(of: &mut BTreeMap<String, T>, changes: BTreeMap<String, Option<T>>) {
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

#[cfg(test)]
pub(crate) mod tests {
    use atoll_protocol::sync::{AppState, VersionState};

    use super::*;

    /// An app with one version.
    pub(crate) fn app(name: &str, revision: u64) -> AppState {
        AppState {
            name: name.into(),
            incarnation: String::new(),
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
        let snapshot = Frame::Snapshot {
            history: "h".into(),
            revision: 5,
            apps: vec![app("a", 4), app("b", 5)],
            certificates: vec![],
        };
        state.take(snapshot).unwrap();
        assert!(state.apps.is_empty());
        state.settle("a");
        state.settle("b");
        state.take(change(6, "a", Some(app("a", 6)))).unwrap();
        assert_eq!((state.apps.get("a").unwrap().revision(), state.pending["a"].revision(), state.revision), (4, 6, 6));
        state.settle("a");
        assert_eq!(state.apps.get("a").unwrap().revision(), 6);
        assert!(state.pending.is_empty());
    }

    #[test]
    fn what_was_settled_can_be_taken_back() {
        let mut state = SavedState::default();
        state.take(change(1, "a", Some(app("a", 1)))).unwrap();
        state.settle("a");
        state.take(change(2, "a", Some(app("a", 2)))).unwrap();
        state.take(change(3, "b", Some(app("b", 3)))).unwrap();
        let before = state.clone();
        let settled = ["a", "b"].map(|name| state.settle(name));
        assert_eq!(settled.each_ref().map(Settled::name), ["a", "b"]);
        assert_eq!(
            (state.apps.get("a").unwrap().revision(), state.apps.get("b").unwrap().revision(), state.pending.len()),
            (2, 3, 0)
        );
        let changed: Vec<_> = state.changed().into_iter().map(|(name, app)| (name, app.unwrap().revision())).collect();
        assert_eq!(changed, [("a".to_owned(), 2), ("b".to_owned(), 3)]);
        settled.into_iter().for_each(|settled| state.unsettle(settled));
        assert_eq!(state, before);
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
    fn a_deleted_app_does_not_answer_for_the_next_one_of_its_name() {
        let of = |incarnation: &str, revision| AppState { incarnation: incarnation.into(), ..app("a", revision) };
        let snapshot = |history: &str, app| Frame::Snapshot {
            history: history.into(),
            revision: 9,
            apps: vec![app],
            certificates: vec![],
        };
        let mut state = SavedState { history: "h".into(), ..SavedState::default() };
        for (frame, served) in [
            (change(1, "a", Some(of("h.0", 1))), false),
            (change(2, "a", Some(of("h.0", 2))), true),
            (change(4, "a", Some(of("h.3", 4))), false),
            (snapshot("h", of("h.8", 9)), false),
            (snapshot("other", of("other.0", 9)), true),
        ] {
            state.take(frame).unwrap();
            assert_eq!(state.apps.contains("a"), served, "{:?}", state.pending);
            state.settle("a");
        }
    }

    #[test]
    fn a_snapshot_drops_what_it_does_not_name_even_at_a_lower_revision() {
        let mut state = SavedState::default();
        state.take(change(9, "a", Some(app("a", 9)))).unwrap();
        state.settle("a");
        state
            .take(Frame::Snapshot {
                history: "other".into(),
                revision: 1,
                apps: vec![app("b", 1)],
                certificates: vec![],
            })
            .unwrap();
        assert_eq!((state.revision, state.history.as_str(), state.apps.len()), (1, "other", 0));
        assert!(state.pending.contains_key("b"));
    }

    #[test]
    fn a_change_that_goes_back_is_refused() {
        let mut state = SavedState { revision: 9, ..Default::default() };
        assert_eq!(state.take(change(8, "a", None)), Err(OutOfOrder { current: 9, received: 8 }));
        assert_eq!(state.revision, 9);
    }

    fn certificate(name: &str, revision: u64) -> CertificateState {
        CertificateState { name: name.into(), revision, chain: None, key: None, challenges: vec![] }
    }

    #[test]
    fn a_certificate_that_cannot_be_served_leaves_the_one_before() {
        let mut state = SavedState::default();
        let frame = |revision, name: &str, state: Option<CertificateState>| Frame::Certificate {
            revision,
            name: name.into(),
            state: state.map(Box::new),
        };
        state.take(frame(1, "a", Some(certificate("a", 1)))).unwrap();
        state.take(frame(2, "b", Some(certificate("b", 2)))).unwrap();
        assert!(state.is_unsettled() && state.certificates.is_empty());
        let outcomes = state.settle_certificates(|state| if state.name == "a" { Ok(()) } else { Err("bad") });
        assert_eq!(outcomes, BTreeMap::from([("a".into(), Ok(())), ("b".into(), Err("bad"))]));
        state.kept();
        state.take(frame(3, "a", Some(certificate("a", 3)))).unwrap();
        state.settle_certificates(|_| Err(()));
        assert_eq!((state.certificates["a"].revision, state.certificates.len(), state.revision), (1, 1, 3));
        let mut restarted = SavedState::default();
        restarted.certificates.insert("old".into(), certificate("old", 1));
        restarted.apply(state.change());
        assert_eq!((restarted.certificates.len(), restarted.revision), (2, 3));

        state.take(Frame::Snapshot { history: "h".into(), revision: 4, apps: vec![], certificates: vec![] }).unwrap();
        state.settle_certificates(|_| Ok::<_, ()>(()));
        assert!(state.certificates.is_empty() && !state.is_unsettled());
        assert_eq!(state.take(frame(3, "a", None)), Err(OutOfOrder { current: 4, received: 3 }));
    }
}
