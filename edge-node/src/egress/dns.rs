//! Names to addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hickory_resolver::TokioResolver;

/// A name has no address, or no name server answered.
#[derive(Debug, thiserror::Error)]
#[error("the name {0} could not be resolved")]
pub struct DnsError(pub String);

/// A caching resolver with the system's configuration.
pub struct Dns {
    /// `None` when the system has no usable configuration; then the C library's resolver is asked.
    resolver: Option<TokioResolver>,
}

impl Dns {
    /// Reads the system's configuration.
    pub fn from_system() -> Self {
        let resolver = TokioResolver::builder_tokio().and_then(|mut builder| {
            builder.options_mut().timeout = Duration::from_secs(3);
            builder.build()
        });
        let resolver = resolver
            .inspect_err(|error| tracing::warn!(%error, "no resolver configuration; names go to the C library"))
            .ok();
        Self { resolver }
    }

    /// The addresses of `host`: of a literal the address itself, of `localhost` and names below it the loopback
    /// addresses (RFC 6761 §6.3), else what the resolver says. Never empty.
    pub async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        if let Some(addresses) = without_asking(host) {
            return Ok(addresses);
        }
        let failed = || DnsError(host.to_owned());
        let mut addresses: Vec<IpAddr> = match &self.resolver {
            Some(resolver) => {
                let answer = resolver.lookup_ip(host).await.map_err(|error| {
                    tracing::debug!(host, %error, "lookup failed");
                    failed()
                })?;
                answer.iter().collect::<Vec<_>>()
            }
            None => tokio::net::lookup_host((host, 0)).await.map_err(|_| failed())?.map(|to| to.ip()).collect(),
        };
        // IPv6 first (RFC 6724 §2.1, its table of precedences).
        addresses.sort_by_key(|address| !address.is_ipv6());
        if addresses.is_empty() { Err(failed()) } else { Ok(addresses) }
    }
}

fn without_asking(host: &str) -> Option<Vec<IpAddr>> {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = literal.parse() {
        return Some(vec![address]);
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    (name == "localhost" || name.ends_with(".localhost"))
        .then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_localhost_need_no_resolver() {
        let expect = |host: &str, addresses: &[&str]| {
            let expected: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!(without_asking(host), Some(expected), "{host}");
        };
        expect("10.1.2.3", &["10.1.2.3"]);
        expect("[::1]", &["::1"]);
        expect("LocalHost", &["127.0.0.1", "::1"]);
        expect("app.localhost.", &["127.0.0.1", "::1"]);
        assert_eq!(without_asking("example.com"), None);
        assert_eq!(without_asking("notlocalhost"), None);
    }
}
