//! Wakes a thread of a tokio runtime through its I/O.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Rings from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Bell(Arc<OwnedFd>);

/// Hears it ring.
#[derive(Debug)]
pub(crate) struct Rung(AsyncFd<OwnedFd>);

impl Bell {
    /// A bell for the calling thread's tokio runtime, which must have I/O. `None` when the system gives no descriptors.
    #[expect(unsafe_code, reason = "the descriptor must be the same as long as the runtime knows it")]
    pub(crate) fn new() -> Option<(Self, Rung)> {
        let bell = eventfd().ok()?;
        let copy = bell.try_clone().ok()?;
        // SAFETY: what is registered owns the descriptor, which nothing closes or replaces before it is dropped.
        let rung = unsafe { AsyncFd::register_with_interest(copy, Interest::READABLE) }.ok()?;
        Some((Self(Arc::new(bell)), Rung(rung)))
    }

    /// Has [`Rung::next`] return. Rings that nobody has heard yet are one.
    #[expect(unsafe_code, reason = "the standard library writes to files only")]
    pub(crate) fn ring(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: the descriptor is open as long as `self` lives, and eight bytes are read from a value of that size. It fails
        // only when the counter is full, after 2^64 rings.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
}

impl Rung {
    /// Waits for a ring since the last call. False when the runtime ends.
    pub(crate) async fn next(&mut self) -> bool {
        // What was counted is not read: every ring is an event of its own (`EPOLLET`), whatever the counter says.
        match self.0.readable().await {
            Ok(mut ready) => {
                ready.clear_ready();
                true
            }
            Err(_) => false,
        }
    }
}

#[expect(unsafe_code, reason = "the standard library has no eventfd")]
fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_ring_is_heard_and_none_that_was_not() {
        let (bell, mut rung) = Bell::new().unwrap();
        for _ in 0..3 {
            let ringing = bell.clone();
            std::thread::spawn(move || ringing.ring()).join().unwrap();
            assert!(rung.next().await);
            assert!(futures::FutureExt::now_or_never(rung.next()).is_none());
        }
    }
}
