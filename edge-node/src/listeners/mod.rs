//! Listeners: where connections come from, what they are checked for, and how they become requests.

mod config;
mod connection;
mod date;
mod direct;
mod expectation;
mod frames;
mod framing;
mod guard;
mod heads;
mod http2;
mod http3;
mod open;
mod patience;
mod proxy_protocol;
mod rules;
mod sections;
mod stream;
mod taking;
mod tls;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::config::{
    CertificateFiles, ClientAuth, ConnectionConfig, ListenAddress, ListenerConfig, TlsConfig, TlsVersion,
};
use self::connection::Entry;
pub use self::connection::Shared;
pub use self::http2::{Tunnel, TunnelOnAnswer};
use self::open::Acceptor;
pub use self::rules::Rule;
pub use self::tls::{Certificate, CertificateError, NamedCertificates, OnName, Tls, TlsFileError};
use crate::certificates::ControlledCertificates;
use crate::client::Transport;
use crate::node::StartError;

/// How many ports are tried when any will do.
const PORTS: u32 = 16;

/// How often certificates are looked at.
const WATCH: Duration = Duration::from_secs(2);

/// A listening socket by a name that another process with the same configuration knows it by.
pub type NamedSocket = (String, OwnedFd);

/// Listeners that are bound and do not accept yet.
pub struct Bound {
    listeners: Vec<BoundListener>,
}

struct BoundListener {
    config: ListenerConfig,
    acceptors: Vec<Acceptor>,
    tls: Option<Arc<Tls>>,
    quic: Option<Quic>,
}

/// The UDP port of a listener. Without a socket, the process before has the port for as long as it drains.
struct Quic {
    address: SocketAddr,
    socket: Option<UdpSocket>,
}

impl Bound {
    /// Binds all listeners and reads their certificates. Sockets that are among the `inherited` are taken from there.
    pub fn open(
        configs: &[ListenerConfig],
        inherited: &mut Vec<NamedSocket>,
        on_name: &OnName,
        controlled: &ControlledCertificates,
    ) -> Result<Self, StartError> {
        let mut listeners = Vec::new();
        let took_over = !inherited.is_empty();
        for config in configs {
            let failed = |source| StartError::Listen { address: config.address.clone(), source };
            let tls = config.tls.as_ref().map(|files| Tls::open(files, on_name.clone())).transpose()?;
            if let Some(tls) = &tls {
                controlled.attach(tls);
            }
            // A port that the system chose for TCP may be another's for UDP.
            let any_port = matches!(config.address, ListenAddress::Tcp(address) if address.port() == 0);
            let mut tries = if any_port { PORTS } else { 1 };
            let (acceptors, quic) = loop {
                tries -= 1;
                match sockets(config, inherited, took_over) {
                    Err(error) if error.kind() == ErrorKind::AddrInUse && tries > 0 => {}
                    bound => break bound.map_err(failed)?,
                }
            };
            listeners.push(BoundListener { config: config.clone(), acceptors, tls, quic });
        }
        Ok(Self { listeners })
    }

    /// Where each listener listens; none for Unix sockets.
    pub fn addresses(&self) -> Vec<Option<SocketAddr>> {
        self.listeners.iter().map(|listener| listener.acceptors.first().and_then(Acceptor::local_addr)).collect()
    }

    /// All sockets, to be handed to another process.
    pub fn duplicate(&self) -> io::Result<Vec<NamedSocket>> {
        let sockets = self.listeners.iter().flat_map(|listener| {
            let named = |(number, acceptor): (usize, &Acceptor)| {
                Ok((socket_name(&listener.config.address, number as u32), acceptor.duplicate()?))
            };
            listener.acceptors.iter().enumerate().map(named)
        });
        sockets.collect()
    }

    /// Begins to accept.
    pub fn run(self, shared: &Arc<Shared>, tasks: &TaskTracker, cancel: &CancellationToken) -> Certificates {
        let mut certificates = Vec::new();
        for BoundListener { config, acceptors, tls, quic } in self.listeners {
            certificates.extend(tls.clone());
            let alt_svc = quic.as_ref().and_then(|quic| alt_svc(quic.address.port()));
            let transport = Transport { tls: None, redirect_https: config.redirect_https, alt_svc };
            let entry = Arc::new(Entry { tls: tls.clone(), proxies: config.proxy_protocol, transport });
            if let (Some(Quic { address, socket }), Some(tls)) = (quic, tls) {
                tasks.spawn(http3::run(shared.clone(), entry.clone(), tls, address, socket));
            }
            for acceptor in acceptors {
                tasks.spawn(acceptor.run(shared.clone(), entry.clone()));
            }
        }
        let certificates = Certificates(certificates.into());
        if !certificates.0.is_empty() {
            tasks.spawn(certificates.clone().watch(cancel.clone()));
        }
        certificates
    }
}

/// The sockets of a listener: those that are inherited, and new ones for the rest.
fn sockets(
    config: &ListenerConfig,
    inherited: &mut Vec<NamedSocket>,
    took_over: bool,
) -> io::Result<(Vec<Acceptor>, Option<Quic>)> {
    let mut acceptors: Vec<Acceptor> = Vec::new();
    for number in 0..config.sockets {
        let name = socket_name(&config.address, number);
        let acceptor = match inherited.iter().position(|(known, _)| *known == name) {
            Some(at) => Acceptor::adopt(&config.address, inherited.swap_remove(at).1),
            None => {
                // Port 0 is chosen once for all sockets that share it.
                let address = match acceptors.first().and_then(Acceptor::local_addr) {
                    Some(chosen) => ListenAddress::Tcp(chosen),
                    None => config.address.clone(),
                };
                Acceptor::bind(&address, config.sockets > 1)
            }
        };
        acceptors.push(acceptor?);
    }
    let Some(address) = acceptors.first().and_then(Acceptor::local_addr).filter(|_| config.http3) else {
        return Ok((acceptors, None));
    };
    let socket = match http3::bind(address) {
        Ok(socket) => Some(socket),
        Err(error) if error.kind() == ErrorKind::AddrInUse && took_over => None,
        Err(error) => return Err(error),
    };
    Ok((acceptors, Some(Quic { address, socket })))
}

fn socket_name(address: &ListenAddress, number: u32) -> String {
    format!("{address} {number}")
}

/// The certificates of all listeners.
#[derive(Clone)]
pub struct Certificates(Arc<[Arc<Tls>]>);

impl Certificates {
    /// Reads all files again. Those that cannot be used are named in the log, and what they replace goes on.
    pub fn reload(&self) {
        for tls in self.0.iter() {
            match tls.reload() {
                Ok(()) => tracing::info!("certificates read"),
                Err(error) => tracing::error!(%error, "certificates not replaced: the ones before go on"),
            }
        }
    }

    async fn watch(self, cancel: CancellationToken) {
        let mut every = interval(WATCH);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = cancel.cancelled() => return,
            }
            let changed = self.0.iter().filter(|tls| tls.has_changed());
            for tls in changed {
                match tls.reload() {
                    Ok(()) => tracing::info!("certificates have changed and been read"),
                    Err(error) => tracing::error!(%error, "certificates not replaced: the ones before go on"),
                }
            }
        }
    }
}

/// `Alt-Svc` for HTTP/3 on a port (RFC 9114 §3.1.1).
fn alt_svc(port: u16) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("h3=\":{port}\"; ma=86400")).ok()
}
