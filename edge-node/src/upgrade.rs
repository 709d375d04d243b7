//! Handing a node over to another process without refusing a connection: the old one starts the new one with its
//! listening sockets and the lock of its data directory, waits until that serves, and only then drains.
//!
//! Both ends of the exchange are a Unix socket, which the new process finds as its standard input. One message carries
//! the names of the sockets and, as ancillary data (SCM_RIGHTS), the sockets; the answer is one word.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use tokio::task::spawn_blocking;

use crate::listeners::NamedSocket;

/// Set for a process that takes a node over.
pub const UPGRADE_VARIABLE: &str = "ATOLL_UPGRADE";
/// What a process says when it serves.
const READY: &[u8] = b"ready\n";
/// Sockets that one message carries; the kernel's limit is 253.
const MAX_SOCKETS: usize = 200;
/// Their names.
const MAX_NAMES: usize = 64 << 10;

/// A node cannot be handed over.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The new program could not be started.
    #[error("{program} could not be started: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The sockets could not be handed over.
    #[error("the listening sockets could not be handed over: {0}")]
    HandOver(#[source] io::Error),
    /// The new process ended, or said something else, before it served.
    #[error("the new process did not come to serve; its own log says why")]
    NotReady,
    /// The new process took too long.
    #[error("the new process did not serve within {0} s")]
    TooLate(u64),
}

/// What a process is given by the one before.
pub struct Inheritance {
    /// The listening sockets.
    pub(crate) sockets: Vec<NamedSocket>,
    channel: UnixStream,
}

impl Inheritance {
    /// Takes what the process before has sent, when there is one. To be called once, before standard input is used.
    pub fn receive() -> Result<Option<Self>, UpgradeError> {
        if std::env::var_os(UPGRADE_VARIABLE).is_none() {
            return Ok(None);
        }
        let channel = io::stdin().as_fd().try_clone_to_owned().map_err(UpgradeError::HandOver)?;
        let channel = UnixStream::from(channel);
        let sockets = receive(&channel).map_err(UpgradeError::HandOver)?;
        Ok(Some(Self { sockets, channel }))
    }

    /// Tells the process before that this one serves.
    pub fn ready(mut self) {
        if let Err(error) = self.channel.write_all(READY) {
            tracing::warn!(%error, "the process before is gone");
        }
    }
}

/// Starts `program` with `arguments`, hands it the sockets, and waits until it serves. The process goes on when it
/// does, and is ended when it does not.
pub async fn hand_over(
    program: &Path,
    arguments: &[std::ffi::OsString],
    sockets: Vec<NamedSocket>,
    patience: Duration,
) -> Result<u32, UpgradeError> {
    let (ours, theirs) = UnixStream::pair().map_err(UpgradeError::HandOver)?;
    let start = |source| UpgradeError::Start { program: program.display().to_string(), source };
    let mut command = Command::new(program);
    command.args(arguments).env(UPGRADE_VARIABLE, "1").stdin(Stdio::from(OwnedFd::from(theirs)));
    let mut child = command.spawn().map_err(start)?;
    // The other end lives on in the command until it is dropped.
    drop(command);
    let exchanged = spawn_blocking(move || -> Result<(), UpgradeError> {
        send(&ours, &sockets).map_err(UpgradeError::HandOver)?;
        drop(sockets);
        ours.set_read_timeout(Some(patience)).map_err(UpgradeError::HandOver)?;
        let mut said = [0; READY.len()];
        match (&ours).read_exact(&mut said) {
            Ok(()) if said == *READY => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(UpgradeError::TooLate(patience.as_secs())),
            _ => Err(UpgradeError::NotReady),
        }
    })
    .await;
    match exchanged {
        Ok(Ok(())) => Ok(child.id()),
        Ok(Err(error)) => {
            end(&mut child);
            Err(error)
        }
        Err(_) => {
            end(&mut child);
            Err(UpgradeError::NotReady)
        }
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

fn send(channel: &UnixStream, sockets: &[NamedSocket]) -> io::Result<()> {
    if sockets.len() > MAX_SOCKETS {
        return Err(io::Error::other(format!("{} sockets are more than {MAX_SOCKETS}", sockets.len())));
    }
    let names: String = sockets.iter().map(|(name, _)| format!("{name}\n")).collect();
    let descriptors: Vec<_> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("too many sockets"));
    }
    let length = u32::try_from(names.len()).map_err(io::Error::other)?;
    rustix::net::sendmsg(channel, &[IoSlice::new(&length.to_be_bytes())], &mut control, SendFlags::empty())?;
    let mut channel = channel;
    channel.write_all(names.as_bytes())
}

fn receive(channel: &UnixStream) -> io::Result<Vec<NamedSocket>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut length = [0; 4];
    let received =
        rustix::net::recvmsg(channel, &mut [IoSliceMut::new(&mut length)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let length = u32::from_be_bytes(length) as usize;
    if received.bytes != 4 || length > MAX_NAMES {
        return Err(io::Error::other("standard input is not the process before"));
    }
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            sockets.extend(descriptors);
        }
    }
    let mut names = vec![0; length];
    let mut channel = channel;
    channel.read_exact(&mut names)?;
    let names = String::from_utf8(names).map_err(io::Error::other)?;
    let names: Vec<&str> = names.lines().collect();
    if names.len() != sockets.len() {
        return Err(io::Error::other("not all sockets arrived"));
    }
    Ok(names.into_iter().map(str::to_owned).zip(sockets).collect())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn sockets_arrive_with_their_names() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        send(&ours, &[("a 0".into(), OwnedFd::from(listener))]).unwrap();
        let mut sockets = receive(&theirs).unwrap();
        let (name, socket) = sockets.pop().unwrap();
        assert_eq!(name, "a 0");
        let listener = TcpListener::from(socket);
        let _client = TcpStream::connect(address).unwrap();
        listener.accept().unwrap();
    }

    #[test]
    fn nothing_to_hand_over_is_well() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        send(&ours, &[]).unwrap();
        assert!(receive(&theirs).unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_program_that_does_not_serve_is_told() {
        let failed = hand_over(Path::new("/bin/true"), &[], Vec::new(), Duration::from_secs(20)).await;
        assert!(matches!(failed, Err(UpgradeError::NotReady | UpgradeError::HandOver(_))), "{failed:?}");
        let failed = hand_over(Path::new("/nowhere"), &[], Vec::new(), Duration::from_secs(20)).await;
        assert!(matches!(failed, Err(UpgradeError::Start { .. })), "{failed:?}");
    }
}
