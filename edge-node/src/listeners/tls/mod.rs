//! TLS of one listener: certificates by name, their reload, session tickets, and what a handshake agreed on.

mod certificate;
mod client_certificate;
mod files;
mod names;

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::pki_types::CertificateDer;
use rustls::server::{
    ClientHello, ProducesTickets, ResolvesServerCert, ServerConnection, ServerSessionMemoryCache, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ProtocolVersion, ServerConfig, SupportedProtocolVersion};

pub use self::certificate::{Certificate, CertificateError, NamedCertificates};
pub use self::files::TlsFileError;
use self::files::{certificate, roots};
use super::config::{ClientAuth, TlsConfig, TlsVersion};
use crate::client::TlsFacts;

/// Sessions of TLS 1.2 clients without tickets that are kept.
const SESSIONS: usize = 4096;

/// The protocol by which an authority asks for the answer to a challenge, and nothing else (RFC 8737 §6.2).
pub const CHALLENGE_PROTOCOL: &[u8] = b"acme-tls/1";

/// Called with the name that a client asks for, as soon as it has asked.
pub type OnName = Arc<dyn Fn(&str) + Send + Sync>;

/// TLS of one listener.
pub struct Tls {
    files: TlsConfig,
    on_name: OnName,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Current>,
    /// Held while what is current is replaced by what is made of it.
    change: Mutex<()>,
}

/// What new connections get.
pub struct Current {
    /// For TCP and Unix sockets: HTTP/2 and HTTP/1.1.
    pub stream: Arc<ServerConfig>,
    /// For QUIC: HTTP/3.
    pub quic: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    tickets: Arc<dyn ProducesTickets>,
    stamps: Vec<Option<Stamp>>,
}

/// What changes when a file does: modification time in seconds and nanoseconds, inode, length.
type Stamp = (i64, i64, u64, u64);

impl Tls {
    /// Reads the files. `on_name` hears of every name that is asked for.
    pub fn open(files: &TlsConfig, on_name: OnName) -> Result<Arc<Self>, TlsFileError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = load(files, &provider, &on_name, None)?;
        let files = files.clone();
        Ok(Arc::new(Self {
            files,
            on_name,
            provider,
            current: ArcSwap::from_pointee(current),
            change: Mutex::default(),
        }))
    }

    /// What new connections get.
    pub fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// Whether a file has changed since it was read.
    pub fn has_changed(&self) -> bool {
        self.current.load().stamps != stamps(&self.files)
    }

    /// Reads the files again. When one cannot be used, everything stays as it is, and the same files are not tried
    /// again until one of them changes.
    pub fn reload(&self) -> Result<(), TlsFileError> {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.current.load_full();
        let stamps = stamps(&self.files);
        match load(&self.files, &self.provider, &self.on_name, Some(&old)) {
            Ok(new) => {
                self.current.store(Arc::new(new));
                Ok(())
            }
            Err(error) => {
                self.current.store(Arc::new(Current {
                    stream: old.stream.clone(),
                    quic: old.quic.clone(),
                    certificates: old.certificates.clone(),
                    tickets: old.tickets.clone(),
                    stamps,
                }));
                Err(error)
            }
        }
    }

    /// Serves certificates from the control plane beside those of the files, instead of those before.
    pub fn adopt(&self, controlled: Arc<NamedCertificates>) {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.current.load_full();
        let certificates =
            Arc::new(Certificates { files: old.certificates.files.clone(), controlled, on_name: self.on_name.clone() });
        let with = |config: &ServerConfig| {
            let mut config = config.clone();
            config.cert_resolver = certificates.clone();
            Arc::new(config)
        };
        self.current.store(Arc::new(Current {
            stream: with(&old.stream),
            quic: with(&old.quic),
            certificates: certificates.clone(),
            tickets: old.tickets.clone(),
            stamps: old.stamps.clone(),
        }));
    }

    /// What a handshake with `current` agreed on.
    pub fn facts(&self, current: &Current, session: &ServerConnection) -> TlsFacts {
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let cipher = session.negotiated_cipher_suite().map(|suite| cipher_name(suite.suite()));
        let peer = session.peer_certificates();
        self.describe(current, version, cipher, session.server_name(), peer)
    }

    /// The same of a QUIC handshake, whose version is always TLS 1.3.
    pub fn quic_facts(
        &self,
        current: &Current,
        sni: Option<&str>,
        peer: Option<&[CertificateDer<'static>]>,
    ) -> TlsFacts {
        self.describe(current, "TLSv1.3", None, sni, peer)
    }

    fn describe(
        &self,
        current: &Current,
        version: &'static str,
        cipher: Option<String>,
        sni: Option<&str>,
        peer: Option<&[CertificateDer<'static>]>,
    ) -> TlsFacts {
        let leaf = peer.and_then(<[_]>::first);
        let sni = sni.map(str::to_ascii_lowercase);
        TlsFacts {
            version,
            cipher,
            names: current.certificates.find(sni.as_deref()).map(|shown| shown.names.clone()).unwrap_or_default(),
            sni,
            client_auth: client_certificate::facts(leaf),
            client_cert: leaf.filter(|_| self.files.client_cert_header).and_then(client_certificate::header),
        }
    }
}

fn load(
    files: &TlsConfig,
    provider: &Arc<CryptoProvider>,
    on_name: &OnName,
    old: Option<&Current>,
) -> Result<Current, TlsFileError> {
    // Taken first, so that a change while reading is seen as one.
    let stamps = stamps(files);
    let of_files = files.certificates.iter().map(|pair| certificate(pair, provider).map(Arc::new));
    let of_files = of_files.collect::<Result<Vec<_>, _>>()?;
    let certificates = Arc::new(Certificates {
        files: Arc::new(NamedCertificates::in_order(of_files)),
        controlled: old.map(|old| old.certificates.controlled.clone()).unwrap_or_default(),
        on_name: on_name.clone(),
    });
    // A ticket stands for the client's certificate too, so tickets end with what they were checked against.
    let same_clients = old.filter(|old| old.stamps.last() == stamps.last());
    let tickets = match same_clients {
        Some(old) => old.tickets.clone(),
        None => Ticketer::new().map_err(|error| TlsFileError {
            path: PathBuf::from("/dev/urandom"),
            problem: format!("no key for session tickets: {error}"),
        })?,
    };
    let build = |versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]]| {
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions);
        let builder = builder.expect("the provider supports TLS 1.2 and 1.3");
        let builder = match (&files.client_ca, files.client_auth) {
            (None, _) | (_, ClientAuth::None) => builder.with_no_client_auth(),
            (Some(path), auth) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider.clone());
                let verifier = if auth == ClientAuth::Optional { verifier.allow_unauthenticated() } else { verifier };
                let verifier = verifier
                    .build()
                    .map_err(|error| TlsFileError { path: path.clone(), problem: error.to_string() })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(certificates.clone());
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        config.ticketer = tickets.clone();
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        Ok(Arc::new(config))
    };
    let versions: &[_] = match files.min_version {
        TlsVersion::V12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::V13 => &[&rustls::version::TLS13],
    };
    let stream = build(versions, &[b"h2", b"http/1.1", CHALLENGE_PROTOCOL])?;
    let quic = build(&[&rustls::version::TLS13], &[b"h3"])?;
    Ok(Current { stream, quic, certificates, tickets, stamps })
}

/// The stamps of all files; the last is that of the clients' certificates.
fn stamps(files: &TlsConfig) -> Vec<Option<Stamp>> {
    let paths = files.certificates.iter().flat_map(|pair| [&pair.cert, &pair.key]);
    let stamp = |path: &PathBuf| -> io::Result<Stamp> {
        let meta = std::fs::metadata(path)?;
        Ok((meta.mtime(), meta.mtime_nsec(), meta.ino(), meta.len()))
    };
    let mut stamps: Vec<_> = paths.map(|path| stamp(path).ok()).collect();
    stamps.push(files.client_ca.as_ref().and_then(|path| stamp(path).ok()));
    stamps
}

/// IANA's name of a suite.
fn cipher_name(suite: CipherSuite) -> String {
    suite.as_str().unwrap_or_default().replacen("TLS13_", "TLS_", 1)
}

/// The certificates of a listener, chosen by the client's SNI: those of files first.
struct Certificates {
    files: Arc<NamedCertificates>,
    controlled: Arc<NamedCertificates>,
    on_name: OnName,
}

impl Certificates {
    fn find(&self, sni: Option<&str>) -> Option<&Certificate> {
        let named = sni.and_then(|name| self.files.find(name).or_else(|| self.controlled.find(name)));
        named.or_else(|| self.files.first())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.files.names().chain(self.controlled.names())).finish()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        if hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == CHALLENGE_PROTOCOL)) {
            return self.controlled.challenge(&name?).cloned();
        }
        let found = self.find(name.as_deref())?;
        if let Some(name) = &name {
            (self.on_name)(name);
        }
        Some(found.key.clone())
    }
}
