//! Which certificate answers to which name.

use std::collections::HashMap;

/// Values by DNS name, with wildcards for one label (RFC 9525 §6.3).
pub struct NameIndex<T> {
    exact: HashMap<String, T>,
    wildcard: HashMap<String, T>,
}

impl<T> Default for NameIndex<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wildcard: HashMap::new() }
    }
}

impl<T> NameIndex<T> {
    /// Adds a name such as `a.com` or `*.a.com`. A name that is there keeps its first value.
    pub fn add(&mut self, name: &str, value: T) {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix("*.") {
            Some(parent) => self.wildcard.entry(parent.to_owned()).or_insert(value),
            None => self.exact.entry(name).or_insert(value),
        };
    }

    /// The value for a name in lower case: that of the name itself before that of the wildcard above it.
    pub fn find(&self, name: &str) -> Option<&T> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if let Some(value) = self.exact.get(name) {
            return Some(value);
        }
        let (label, parent) = name.split_once('.')?;
        if label.is_empty() { None } else { self.wildcard.get(parent) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_names_come_before_wildcards_and_wildcards_are_one_label() {
        let mut index = NameIndex::default();
        index.add("*.a.com", 1);
        index.add("B.a.com", 2);
        index.add("b.a.com", 3);
        assert_eq!(index.find("x.a.com"), Some(&1));
        assert_eq!(index.find("b.a.com."), Some(&2));
        for name in ["a.com", "x.y.a.com", ".a.com", "com", ""] {
            assert_eq!(index.find(name), None, "{name}");
        }
    }
}
