//! `Expect: 100-continue` over HTTP/2 and HTTP/3 (RFC 9110 §10.1.1): the client is told to go on when its body is first
//! waited for. Over HTTP/1 that is hyper's business.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use http::header::EXPECT;
use http::{HeaderMap, Response, StatusCode};

use super::rules::Rule;

/// Between the body of a request whose client waits, and whoever can tell the client to go on. Clones are one.
#[derive(Clone, Default)]
pub struct Expectation(Arc<State>);

#[derive(Default)]
struct State {
    /// The body has been waited for.
    wanted: AtomicBool,
    connection: AtomicWaker,
}

impl Expectation {
    /// The expectation of a request with these fields; an error when it is one that this node does not meet.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Rule> {
        let mut expected = None;
        for value in headers.get_all(EXPECT) {
            if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
                return Err(Rule::Expectation);
            }
            expected = Some(Self::default());
        }
        Ok(expected)
    }

    /// The body is waited for, and none of it has come.
    pub fn want(&self) {
        if !self.0.wanted.swap(true, Ordering::AcqRel) {
            self.0.connection.wake();
        }
    }

    /// What the client is to be told, once the body is waited for. To be asked no more when it has been given, or when
    /// the answer is there.
    pub fn poll_wanted(&self, cx: &mut Context<'_>) -> Poll<Response<()>> {
        if !self.0.wanted.load(Ordering::Acquire) {
            self.0.connection.register(cx.waker());
            // It may have been said before the waker was there.
            if !self.0.wanted.load(Ordering::Acquire) {
                return Poll::Pending;
            }
        }
        let mut interim = Response::new(());
        *interim.status_mut() = StatusCode::CONTINUE;
        Poll::Ready(interim)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::{Wake, Waker};

    use http::HeaderValue;

    use super::*;

    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn of(values: &[&'static str]) -> Result<bool, Rule> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(EXPECT, HeaderValue::from_static(value));
        }
        Expectation::of(&headers).map(|expected| expected.is_some())
    }

    #[test]
    fn one_expectation_is_met() {
        assert_eq!((of(&[]), of(&["100-continue"]), of(&["100-Continue"])), (Ok(false), Ok(true), Ok(true)));
        assert_eq!(of(&["tea"]), Err(Rule::Expectation));
        assert_eq!(of(&["100-continue", "tea"]), Err(Rule::Expectation));
    }

    #[test]
    fn whoever_can_tell_the_client_is_woken_once() {
        let (expectation, wakes) = (Expectation::default(), Arc::new(Wakes(AtomicUsize::new(0))));
        let waker = Waker::from(wakes.clone());
        let cx = &mut Context::from_waker(&waker);
        assert!(expectation.poll_wanted(cx).is_pending());
        let other = expectation.clone();
        other.want();
        other.want();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert!(matches!(expectation.poll_wanted(cx), Poll::Ready(interim) if interim.status() == 100));
    }
}
