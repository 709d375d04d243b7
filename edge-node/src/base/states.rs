//! The states of apps by name: what a base has of them, and what has changed since.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use super::Base;
use crate::source::Source;

/// The states of apps by name. Clones share those of the base.
#[derive(Clone, Default)]
pub struct States {
    base: Option<Arc<Base>>,
    /// In the place of what the base has of these; none of those that are gone.
    changed: BTreeMap<String, Option<Source>>,
}

/// An app's state, before anything is made of it.
pub enum Kept<'a> {
    /// As the base has it under this number.
    Base(&'a Base, u32),
    /// As it has become since.
    Changed(&'a str, &'a Source),
}

impl<'a> Kept<'a> {
    /// The app's name.
    pub fn name(&self) -> &'a str {
        match self {
            Self::Base(base, app) => base.name(*app),
            Self::Changed(name, _) => name,
        }
    }

    /// The state as text.
    pub fn text(&self) -> &'a [u8] {
        match self {
            Self::Base(base, app) => base.text(*app),
            Self::Changed(_, source) => source.text(),
        }
    }

    /// The state.
    pub fn source(&self) -> Source {
        match self {
            Self::Base(base, app) => base.source(*app),
            Self::Changed(_, source) => (*source).clone(),
        }
    }
}

impl States {
    /// Those of a base.
    pub(super) fn of(base: Base) -> Self {
        Self { base: Some(Arc::new(base)), changed: BTreeMap::new() }
    }

    /// What they have in common with others.
    pub fn base(&self) -> Option<&Arc<Base>> {
        self.base.as_ref()
    }

    /// What has become of apps since the base, which for those no longer counts.
    pub fn changed(&self) -> impl Iterator<Item = (&str, Option<&Source>)> {
        self.changed.iter().map(|(name, source)| (&**name, source.as_ref()))
    }

    /// The state of an app, before anything is made of it.
    pub fn kept<'a>(&'a self, name: &'a str) -> Option<Kept<'a>> {
        match (self.changed.get(name), &self.base) {
            (Some(changed), _) => changed.as_ref().map(|source| Kept::Changed(name, source)),
            (None, Some(base)) => base.find(name).map(|app| Kept::Base(base, app)),
            (None, None) => None,
        }
    }

    /// The state of an app.
    pub fn get(&self, name: &str) -> Option<Source> {
        self.kept(name).map(|kept| kept.source())
    }

    /// Whether there is an app of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.kept(name).is_some()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Kept<'_>> {
        let base = self.base.iter().flat_map(|base| (0..base.len()).map(|app| Kept::Base(base, app)));
        let base = base.filter(|kept| !self.changed.contains_key(kept.name()));
        base.chain(self.changed.iter().filter_map(|(name, source)| Some(Kept::Changed(name, source.as_ref()?))))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        let base = self.base.as_ref();
        let is_in_base = |name: &str| base.is_some_and(|base| base.find(name).is_some());
        let replaced = self.changed.keys().filter(|name| is_in_base(name)).count();
        base.map_or(0, |base| base.len() as usize) - replaced + self.changed.values().flatten().count()
    }

    /// Whether there are none.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Puts a state in the place of what the app had.
    pub fn insert(&mut self, name: String, source: Source) {
        self.changed.insert(name, Some(source));
    }

    /// Takes an app out.
    pub fn remove(&mut self, name: &str) -> Option<Source> {
        let removed = self.get(name);
        if self.base.as_ref().is_some_and(|base| base.find(name).is_some()) {
            self.changed.insert(name.to_owned(), None);
        } else {
            self.changed.remove(name);
        }
        removed
    }

    /// Takes those out whose names do not fit.
    pub fn retain(&mut self, fits: impl Fn(&str) -> bool) {
        let gone = self.iter().map(|kept| kept.name().to_owned()).filter(|name| !fits(name));
        for name in gone.collect::<Vec<_>>() {
            self.remove(&name);
        }
    }
}

impl FromIterator<(String, Source)> for States {
    fn from_iter<I: IntoIterator<Item = (String, Source)>>(states: I) -> Self {
        Self { base: None, changed: states.into_iter().map(|(name, source)| (name, Some(source))).collect() }
    }
}

impl<'de> Deserialize<'de> for States {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(BTreeMap::<String, Source>::deserialize(deserializer)?.into_iter().collect())
    }
}

impl PartialEq for States {
    /// What is in the base and what has changed since makes no difference.
    fn eq(&self, other: &Self) -> bool {
        let by_name = |states: &Self| {
            states.iter().map(|kept| (kept.name().to_owned(), kept.text().to_vec())).collect::<BTreeMap<_, _>>()
        };
        by_name(self) == by_name(other)
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|kept| (kept.name(), String::from_utf8_lossy(kept.text()).into_owned())))
            .finish()
    }
}
