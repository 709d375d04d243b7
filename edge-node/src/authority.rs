//! The host that a request is for, read once for as many requests of a connection as ask for the same.

use http::uri::Authority;

use crate::routing::normalize_host;

/// A host as URLs have it, maybe with a port, and nothing of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    authority: Authority,
    /// So many bytes of it are the name.
    name: usize,
    /// The name for comparison, where it is not a beginning of the authority.
    changed: Option<Box<str>>,
    /// So many bytes of the authority are the name for comparison, where they are.
    normal: usize,
}

impl Host {
    /// `None` when URLs cannot have it.
    pub fn new(authority: Authority) -> Option<Self> {
        let host = authority.host();
        let port_is_good = authority.as_str().strip_prefix(host).is_some_and(|rest| match rest.strip_prefix(':') {
            None => rest.is_empty(),
            Some(port) => {
                port.bytes().all(|byte| byte.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
            }
        });
        if !port_is_good || !is_host(host) {
            return None;
        }
        let normal = normalize_host(host);
        let changed = (!host.starts_with(&*normal)).then(|| (*normal).into());
        let (name, normal) = (host.len(), normal.len());
        Some(Self { authority, name, changed, normal })
    }

    /// With the port, as it was asked for.
    pub fn as_str(&self) -> &str {
        self.authority.as_str()
    }

    /// Without the port, as it was asked for.
    pub fn name(&self) -> &str {
        &self.as_str()[..self.name]
    }

    /// The name as [routes](crate::routing) know it.
    pub fn normal(&self) -> &str {
        self.changed.as_deref().unwrap_or_else(|| &self.as_str()[..self.normal])
    }
}

/// Whether URLs can have it as their host: most names need no more than a look at their characters.
fn is_host(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    // A last label that begins with a digit may be meant for an address; two hyphens may begin an encoded label.
    let is_simple = last.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        && !name.contains("--");
    is_simple || url::Host::parse(host).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_name_and_one_for_comparison() {
        for (asked, name, normal) in [
            ("a.com", "a.com", "a.com"),
            ("a.com:81", "a.com", "a.com"),
            ("A.com.:81", "A.com.", "a.com"),
            ("a.com.", "a.com.", "a.com"),
            ("[::1]:80", "[::1]", "[::1]"),
        ] {
            let host = Host::new(asked.parse().unwrap()).unwrap();
            assert_eq!((host.as_str(), host.name(), host.normal()), (asked, name, normal));
        }
        assert_eq!(Host::new("user@a.com".parse().unwrap()), None);
    }
}
