//! An app's state as a node keeps it: the text, and the little that is asked of every app. A node has many apps that
//! nobody calls; as text a state takes a tenth of what it takes when it is taken apart.

use std::ops::Deref;
use std::sync::Arc;

use atoll_protocol::sync::{AppState, Purge};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// An app's state. Clones share it.
#[derive(Clone, Debug)]
pub struct Source(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    text: Box<RawValue>,
    facts: Facts,
}

/// What is known of an app without taking its state apart.
#[derive(Debug)]
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
        let text = serde_json::value::to_raw_value(&state).expect("a state has string keys only");
        Self::of(text, state)
    }

    fn of(text: Box<RawValue>, state: AppState) -> Self {
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

    /// The whole state. Its text has been understood once, so there is always one.
    pub fn state(&self) -> Result<AppState, serde_json::Error> {
        serde_json::from_str(self.0.text.get())
    }

    /// The revision of its last change.
    #[cfg(test)]
    pub fn revision(&self) -> u64 {
        self.state().expect("a state").revision
    }
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
        Arc::ptr_eq(&self.0, &other.0) || self.0.text.get() == other.0.text.get()
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Source {
    /// What is no app's state is refused here, and not when it is needed.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let state = serde_json::from_str(text.get()).map_err(serde::de::Error::custom)?;
        Ok(Self::of(text, state))
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
        let read: Source = serde_json::from_str(&text).unwrap();
        assert!(read == source && read != Source::new(app("a", 7)));
        for wrong in ["{}", "7", &text.replace("\"revision\":7", "\"revision\":\"7\"")] {
            assert!(serde_json::from_str::<Source>(wrong).is_err(), "{wrong}");
        }
    }
}
