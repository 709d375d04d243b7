//! What one worker asks of another one of the same node: a request for one of its entrypoints, or a call of a method.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::StatusCode;

use crate::event::FetchEvent;
use crate::socket::Socket;

/// The longest list of arguments, or result, of a call, bytes as they are serialised.
pub const LONGEST_CALL: usize = 32 << 20;

/// How many more calls of workers one event from outside may lead to. All that it leads to, directly or through others,
/// take from the same count, so workers that call each other in a circle come to an end.
#[derive(Clone, Debug)]
pub struct Calls(Arc<AtomicU32>);

impl Calls {
    /// How many there may be.
    pub const MOST: u32 = 32;

    /// Takes one; false when there are none left.
    pub fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(Self::MOST)))
    }
}

/// Work for an entrypoint of a worker.
#[derive(Debug)]
pub struct ServiceEvent {
    /// The name under which the entry module exports it; `default` for the default export.
    pub entrypoint: String,
    /// `ctx.props`: an object as V8 serialises it; empty for one without properties.
    pub props: Bytes,
    /// What is asked of it.
    pub work: Work,
    /// How many calls may follow.
    pub calls: Calls,
}

impl ServiceEvent {
    /// Identifies in logs the request that led to it.
    pub fn request_id(&self) -> String {
        match &self.work {
            Work::Fetch(event) => event.head.request_id.to_string(),
            Work::Call(call) => call.request_id.clone(),
        }
    }
}

/// The status that answers a call whose method threw, with what it threw as the body.
pub const THROWN: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

/// What is asked of an entrypoint.
#[derive(Debug)]
pub enum Work {
    /// To answer a request.
    Fetch(FetchEvent),
    /// To run a method. The answer has the status 200 and the result as its body, [`THROWN`] and what the method threw, or
    /// 101 and an end of the session in which the result is the first message.
    Call(Call),
}

/// A call of a method.
pub struct Call {
    /// Its name.
    pub method: String,
    /// The arguments: an array as V8 serialises it. Empty when a property is read.
    pub arguments: Bytes,
    /// An end of the session in which the caller answers what is asked of things in the arguments that stay with it.
    pub session: Option<Socket>,
    /// Identifies in logs the request that led to it.
    pub request_id: String,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({:?}, {} bytes)", self.method, self.arguments.len())
    }
}

/// Work for another worker, or for this one.
#[derive(Debug)]
pub struct ServiceRequest {
    /// The app's name.
    pub service: String,
    /// The version that is called, whatever part of the requests it has: a worker that calls itself. `None` for the one that
    /// the request meets.
    pub version: Option<u64>,
    /// The work.
    pub event: ServiceEvent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_of_calls_comes_to_an_end() {
        let calls = Calls::default();
        let other = calls.clone();
        let taken = (0..100).filter(|round| if round % 2 == 0 { calls.take() } else { other.take() }).count();
        assert_eq!(taken, Calls::MOST as usize);
        assert!(!other.take());
    }
}
