//! How many outbound requests of an isolate are under way at once.
//!
//! A permit is held from before a request is sent until its response's body has been read or dropped. A body that
//! nobody reads yet lends its permit to whoever waits: otherwise `Promise.all` over more requests than there are
//! permits would wait for ever.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Hands out permits; cheap to clone.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Mutex<State>>);

struct State {
    free: u32,
    waiting: VecDeque<oneshot::Sender<Permit>>,
}

/// The right to have one outbound request under way. Dropping it passes it on.
pub(crate) struct Permit(Option<Connections>);

impl Connections {
    /// `limit` permits, at least one.
    pub(crate) fn new(limit: u32) -> Self {
        Self(Arc::new(Mutex::new(State { free: limit.max(1), waiting: VecDeque::new() })))
    }

    /// A permit, or what to wait for.
    pub(crate) fn acquire(&self) -> Result<Permit, oneshot::Receiver<Permit>> {
        let mut state = self.lock();
        if state.free > 0 {
            state.free -= 1;
            return Ok(Permit(Some(self.clone())));
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.push_back(sender);
        Err(receiver)
    }

    /// Whether somebody waits for a permit.
    pub(crate) fn contended(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(connections) = self.0.take() else { return };
        loop {
            let next = {
                let mut state = connections.lock();
                match state.waiting.pop_front() {
                    Some(next) => next,
                    None => {
                        state.free += 1;
                        return;
                    }
                }
            };
            let Err(mut returned) = next.send(Permit(Some(connections.clone()))) else { return };
            // Whoever waited has given up. The permit that came back is passed on by this loop, not by its own drop.
            returned.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_permit_goes_to_the_first_who_still_waits() {
        let connections = Connections::new(1);
        let first = connections.acquire().ok().unwrap();
        let gave_up = connections.acquire().err().unwrap();
        let mut waits = connections.acquire().err().unwrap();
        drop(gave_up);
        assert!(connections.contended());
        drop(first);
        let second = waits.try_recv().unwrap();
        assert!(!connections.contended());
        assert!(connections.acquire().is_err());
        drop(second);
    }

    #[test]
    fn permits_come_back() {
        let connections = Connections::new(2);
        for _ in 0..10 {
            let (a, b) = (connections.acquire().ok().unwrap(), connections.acquire().ok().unwrap());
            drop((a, b));
        }
    }
}
