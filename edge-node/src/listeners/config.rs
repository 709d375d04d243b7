//! What an operator can set of listeners and of connections.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use crate::config::ConfigError;

/// One of `[[listeners]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// Where it listens: `"0.0.0.0:443"`, `"[::]:443"` (IPv6, and IPv4 where the kernel maps it), `"unix:/path"`.
    pub address: ListenAddress,
    /// Serves TLS. Default clear text.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Serves HTTP/3 on the UDP port of the same number and says so in `Alt-Svc`. Needs `tls`. Default false.
    #[serde(default)]
    pub http3: bool,
    /// Answers every request with 308 to the same URL at `https:` and this port. Default none.
    #[serde(default)]
    pub redirect_https: Option<u16>,
    /// Networks of proxies that begin each connection with a PROXY protocol header, version 1 or 2; on a Unix socket
    /// every peer counts as one of them when this is not empty. Default none.
    #[serde(default)]
    pub proxy_protocol: Vec<IpNet>,
    /// Sockets with `SO_REUSEPORT` that share the address, each with a task that accepts, 1 to 64. Default 1: one
    /// socket without it.
    #[serde(default = "one")]
    pub sockets: u32,
}

fn one() -> u32 {
    1
}

impl ListenerConfig {
    /// A listener in clear text.
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            address: ListenAddress::Tcp(address),
            tls: None,
            http3: false,
            redirect_https: None,
            proxy_protocol: Vec::new(),
            sockets: 1,
        }
    }

    /// Checks what types cannot say.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |key, value: String, problem: &str| Err(ConfigError::Value { key, value, problem: problem.into() });
        let unix = matches!(self.address, ListenAddress::Unix(_));
        if self.http3 && (self.tls.is_none() || unix) {
            return wrong("listeners.http3", "true".into(), "HTTP/3 needs tls and an address with a port");
        }
        if self.tls.is_some() && self.redirect_https.is_some() {
            return wrong("listeners.redirect_https", "…".into(), "a listener with tls has nothing to redirect");
        }
        if !(1..=64).contains(&self.sockets) || (unix && self.sockets > 1) {
            let problem = "1 to 64 sockets can share a port; a Unix socket has one";
            return wrong("listeners.sockets", self.sockets.to_string(), problem);
        }
        match &self.tls {
            Some(tls) if tls.client_auth != ClientAuth::None && tls.client_ca.is_none() => {
                let problem = "name the certificates that client certificates are checked against";
                wrong("listeners.tls.client_ca", String::new(), problem)
            }
            _ => Ok(()),
        }
    }
}

/// TLS of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificates. The one whose name is that of the client's SNI is used, exact names before wildcards; then one that
    /// the control plane has sent; then the first of these, also without SNI. A node that follows a control plane may do
    /// without; then a client that asks for another name is refused.
    pub certificates: Vec<CertificateFiles>,
    /// Certificates, PEM, that client certificates are checked against.
    pub client_ca: Option<PathBuf>,
    /// Whether clients are asked for a certificate. Default no.
    pub client_auth: ClientAuth,
    /// Tells apps of the client's certificate in the header `Client-Cert` (RFC 9440) too. Default false: in
    /// `request.cf.tlsClientAuth` only.
    pub client_cert_header: bool,
    /// The lowest version, `"1.2"` or `"1.3"`. Default `"1.2"`.
    pub min_version: TlsVersion,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// PEM with the certificate and what leads from it to the root.
    pub cert: PathBuf,
    /// PEM with the private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They may have one; one that is not valid ends the handshake.
    Optional,
    /// They must have one.
    Required,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    V12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V13,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// An IP address with a port.
    Tcp(SocketAddr),
    /// A path in the file system.
    Unix(PathBuf),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            // The kernel's sun_path holds 108 bytes with a terminating zero.
            return match path.len() {
                1..108 if path.starts_with('/') => Ok(Self::Unix(path.into())),
                _ => Err(format!("{text:?}: after unix: comes an absolute path of at most 107 bytes")),
            };
        }
        let problem = || format!("{text:?} is no address such as 0.0.0.0:443, [::]:443 or unix:/run/atoll.sock");
        text.parse().map(Self::Tcp).map_err(|_| problem())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// `[connections]`: what a connection may take and how long it may wait.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionConfig {
    /// Open connections of all clients; more are closed at once. Default 20,000.
    pub max: usize,
    /// Open connections of one client: an IPv4 address, or an IPv6 network of 64 bits. More are closed at once.
    /// Default 1,024.
    pub per_client: usize,
    /// Requests in flight on the node; more get 503. Default 16,384.
    pub max_requests: usize,
    /// Resident memory of the process, MiB, above which new requests get 503. Default: nine tenths of what the
    /// machine or the control group has.
    pub shed_mb: Option<u64>,
    /// From the first byte of a request's head to its last, and for a TLS handshake or PROXY header, milliseconds.
    /// Default 30,000.
    pub header_timeout_ms: u64,
    /// Without a byte of an HTTP/1 request's body that is waited for, milliseconds. Default 60,000.
    pub body_timeout_ms: u64,
    /// A connection without a request ends after this long, milliseconds. Default 75,000.
    pub idle_timeout_ms: u64,
    /// A client that takes nothing of an answer for this long is given up, milliseconds. Over HTTP/1 it takes what it
    /// acknowledges; over HTTP/2 and HTTP/3 what its windows have room for, and after what it was sent it may be silent
    /// for longer, ten times as long at most. Default 60,000.
    pub write_timeout_ms: u64,
    /// Bytes per second that a client has to send of a body, or take of an answer, on average, when the node waits for
    /// it; slower ones use up the time-outs above. Default 128.
    pub min_rate: u32,
    /// Requests of one HTTP/2 or HTTP/3 connection under way at once. Default 256.
    pub streams: u32,
    /// A request's head, bytes. Default 65,536.
    pub header_bytes: u32,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            max: 20_000,
            per_client: 1024,
            max_requests: 16_384,
            shed_mb: None,
            header_timeout_ms: 30_000,
            body_timeout_ms: 60_000,
            idle_timeout_ms: 75_000,
            write_timeout_ms: 60_000,
            min_rate: 128,
            streams: 256,
            header_bytes: 64 << 10,
        }
    }
}

impl ConnectionConfig {
    /// Checks what types cannot say.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (key, value) in [
            ("connections.max", self.max as u64),
            ("connections.per_client", self.per_client as u64),
            ("connections.max_requests", self.max_requests as u64),
            ("connections.header_timeout_ms", self.header_timeout_ms),
            ("connections.body_timeout_ms", self.body_timeout_ms),
            ("connections.idle_timeout_ms", self.idle_timeout_ms),
            ("connections.write_timeout_ms", self.write_timeout_ms),
            ("connections.min_rate", self.min_rate.into()),
            ("connections.streams", self.streams.into()),
        ] {
            if value == 0 {
                return Err(ConfigError::Value { key, value: "0".into(), problem: "it must be at least 1".into() });
            }
        }
        if !(8 << 10..=1 << 20).contains(&self.header_bytes) {
            let (key, value) = ("connections.header_bytes", self.header_bytes.to_string());
            return Err(ConfigError::Value { key, value, problem: "it must be 8,192 to 1,048,576".into() });
        }
        Ok(())
    }
}

/// Whether a peer is one of `networks`; an IPv4-mapped address counts as the IPv4 address.
pub fn contains(networks: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    networks.iter().any(|network| network.contains(&peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for text in ["127.0.0.1:80", "[::]:443", "unix:/run/a.sock"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for text in ["", "80", "localhost:80", "unix:", "unix:a.sock"] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
        assert!(format!("unix:/{}", "a".repeat(107)).parse::<ListenAddress>().is_err());
    }

    #[test]
    fn what_cannot_work_is_refused_by_key() {
        for (text, key) in [
            ("address = '127.0.0.1:1'\nhttp3 = true", "listeners.http3"),
            ("address = 'unix:/a'\nsockets = 2", "listeners.sockets"),
            ("address = '127.0.0.1:1'\nsockets = 0", "listeners.sockets"),
            (
                "address = '127.0.0.1:1'\ntls = { client_auth = 'required', certificates = [{ cert = 'a', key = 'b' }] }",
                "listeners.tls.client_ca",
            ),
        ] {
            let config: ListenerConfig = toml::from_str(text).unwrap();
            let error = config.validate().unwrap_err();
            assert!(matches!(error, ConfigError::Value { key: named, .. } if named == key), "{text}: {error}");
        }
        let none = ConnectionConfig { per_client: 0, ..Default::default() };
        assert!(none.validate().unwrap_err().to_string().contains("connections.per_client"));
    }
}
