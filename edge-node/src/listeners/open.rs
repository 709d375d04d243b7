//! Opening listeners: addresses become sockets, and tasks that accept.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::time::sleep;

use super::config::ListenAddress;
use super::connection::{self, Entry, Shared};
use super::direct::Direct;
use super::stream::Socket;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 4096;
/// After the kernel refused a connection, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What the kernel takes of a connection before it has been sent, bytes. More would only be memory: up to 4 MiB of each
/// client that reads slowly, and of large answers so much that none of it stays in the processor's caches.
pub(super) const UNSENT: u32 = 128 << 10;

/// A listening socket.
pub enum Acceptor {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl Acceptor {
    /// Listens on an address. With `shared`, other sockets may share the port (`SO_REUSEPORT`).
    pub fn bind(address: &ListenAddress, shared: bool) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(address) => {
                let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
                socket.set_reuseaddr(true)?;
                if shared {
                    socket.set_reuseport(true)?;
                }
                socket.bind(*address)?;
                socket.listen(BACKLOG).map(Self::of)
            }
            ListenAddress::Unix(path) => {
                remove_stale(path)?;
                UnixListener::bind(path).map(Self::Unix)
            }
        }
    }

    fn of(listener: TcpListener) -> Self {
        // Connections have it of the socket that they are accepted from. Failing only costs memory.
        let _ = SockRef::from(&listener).set_tcp_notsent_lowat(UNSENT);
        Self::Tcp(listener)
    }

    /// Takes over a socket that another process listened on.
    pub fn adopt(address: &ListenAddress, socket: OwnedFd) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(_) => {
                let listener = std::net::TcpListener::from(socket);
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Self::of)
            }
            ListenAddress::Unix(_) => {
                let listener = StdUnixListener::from(socket);
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Self::Unix)
            }
        }
    }

    /// The same socket once more, to be handed to another process.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        use std::os::fd::AsFd;
        match self {
            Self::Tcp(listener) => listener.as_fd().try_clone_to_owned(),
            Self::Unix(listener) => listener.as_fd().try_clone_to_owned(),
        }
    }

    /// Where it listens, when that is an IP address.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    async fn accept(&self) -> io::Result<(Socket, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Failing only costs latency.
                let _ = stream.set_nodelay(true);
                Ok((Socket::Tcp(Direct::new(stream)), Some(peer.ip())))
            }
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| (Socket::Unix(stream), None)),
        }
    }

    /// Takes connections until draining begins.
    pub async fn run(self, shared: Arc<Shared>, entry: Arc<Entry>) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = shared.drain.cancelled() => return,
                accepted = self.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => {
                    shared.tasks.spawn(connection::serve(shared.clone(), entry.clone(), socket, peer));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Removes what a process that is gone has left; a socket that somebody answers on stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    match StdUnixStream::connect(path) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        // Nothing there, or something that is no socket, which binding will name.
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn the_kernel_takes_little_that_it_cannot_send() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let address = ListenAddress::Tcp(any);
        let bound = Acceptor::bind(&address, false).unwrap();
        let inherited = Acceptor::adopt(&address, bound.duplicate().unwrap()).unwrap();
        for acceptor in [bound, inherited] {
            let (accepted, client) =
                tokio::join!(acceptor.accept(), TcpStream::connect(acceptor.local_addr().unwrap()));
            let Socket::Tcp(stream) = accepted.unwrap().0 else { panic!("it is TCP") };
            assert_eq!(SockRef::from(&stream).tcp_notsent_lowat().unwrap(), UNSENT);
            drop(client.unwrap());
        }
    }
}
