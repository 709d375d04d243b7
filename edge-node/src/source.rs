//! An app's state as a node keeps it: the text, and the little that is asked of every app. A node has many apps that
//! nobody calls; as text a state takes a tenth of what it takes when it is taken apart.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use atoll_bundle::BundleHash;
use atoll_protocol::sync::{AppState, Purge};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// An app's state. Clones share it.
#[derive(Clone, Debug)]
pub struct Source(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    /// Its own, or a part of the file that the node has read.
    text: Bytes,
    facts: Facts,
}

/// What is known of an app without taking its state apart.
#[derive(Debug, Default)]
pub struct Facts {
    /// The app's name.
    pub name: Arc<str>,
    /// Tells it from others that had its name.
    pub incarnation: Box<str>,
    /// Its routes as they are written down.
    pub routes: Vec<String>,
    /// Whether it also answers by its name.
    pub default_route: bool,
    /// Purges of its cached responses.
    pub purges: Vec<Purge>,
    /// Whether anything may be due.
    pub has_crons: bool,
}

impl Source {
    /// Keeps a state.
    pub fn new(state: AppState) -> Self {
        let text = serde_json::to_vec(&state).expect("a state has string keys only");
        Self::of(text.into(), state)
    }

    /// Reads a state's text. What is no app's state is refused.
    pub fn read(text: Bytes) -> Result<Self, serde_json::Error> {
        let state = serde_json::from_slice(&text)?;
        Ok(Self::of(text, state))
    }

    /// An app of which nothing is known but its name, because its text cannot be read.
    pub fn unreadable(name: &str, text: Bytes) -> Self {
        Self(Arc::new(Kept { text, facts: Facts { name: name.into(), ..Facts::default() } }))
    }

    fn of(text: Bytes, state: AppState) -> Self {
        let facts = Facts {
            has_crons: state.versions.values().any(|version| !version.config.crons.is_empty()),
            name: state.name.into(),
            incarnation: state.incarnation.into(),
            routes: state.routes,
            default_route: state.default_route,
            purges: state.purges,
        };
        Self(Arc::new(Kept { text, facts }))
    }

    /// The state as text.
    pub fn text(&self) -> &[u8] {
        &self.0.text
    }

    /// The whole state. Its text has been understood once, so there is always one.
    pub fn state(&self) -> Result<AppState, serde_json::Error> {
        serde_json::from_slice(&self.0.text)
    }

    /// The revision of its last change.
    #[cfg(test)]
    pub fn revision(&self) -> u64 {
        self.state().expect("a state").revision
    }
}

/// The bundles that a state's versions name, without taking the rest of it apart; none of what is no state.
pub fn bundles(text: &[u8]) -> Vec<BundleHash> {
    #[derive(Deserialize)]
    struct Outline {
        versions: BTreeMap<String, Version>,
    }
    #[derive(Deserialize)]
    struct Version {
        bundle: BundleHash,
    }
    let outline = serde_json::from_slice::<Outline>(text).into_iter();
    outline.flat_map(|state| state.versions.into_values()).map(|version| version.bundle).collect()
}

impl Deref for Source {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0.facts
    }
}

impl PartialEq for Source {
    /// States that are written the same are the same.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.text == other.0.text
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: &RawValue = serde_json::from_slice(&self.0.text).map_err(serde::ser::Error::custom)?;
        text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Source {
    /// What is no app's state is refused here, and not when it is needed.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: Box<str> = Box::<RawValue>::deserialize(deserializer)?.into();
        Self::read(text.into_boxed_bytes().into()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saved::tests::app;

    #[test]
    fn a_state_is_what_it_was_and_nothing_else_is_taken_for_one() {
        let state = AppState { routes: vec!["a.com/*".into()], ..app("a", 7) };
        let source = Source::new(state.clone());
        assert_eq!(source.state().unwrap(), state);
        assert_eq!((&*source.name, source.revision(), &*source.routes), ("a", 7, &*state.routes));
        let text = serde_json::to_string(&source).unwrap();
        assert_eq!(text, serde_json::to_string(&state).unwrap());
        assert_eq!(bundles(text.as_bytes()), [state.versions[&7].bundle]);
        let read: Source = serde_json::from_str(&text).unwrap();
        assert!(read == source && read != Source::new(app("a", 7)));
        for wrong in ["{}", "7", &text.replace("\"revision\":7", "\"revision\":\"7\"")] {
            assert!(serde_json::from_str::<Source>(wrong).is_err(), "{wrong}");
        }
    }
}
