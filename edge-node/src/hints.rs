//! Early hints (RFC 8297): links that a client is told of while its answer is still being made.
//!
//! They go to navigations of browsers alone (`Sec-Fetch-Mode: navigate`): whoever sends that knows interim answers, and
//! older programs take one for the answer. A hint is a `Link` field and nothing else, and it is optional: what comes too
//! late, or is too much, is dropped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use http::header::LINK;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};

use crate::headers::first;

/// Links that one request may be told of.
const MOST_LINKS: usize = 32;
/// Bytes of their values.
const MOST_BYTES: usize = 4096;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Between who knows what an answer will need and the connection that the answer goes to. Clones are one.
#[derive(Clone, Debug)]
pub struct Hints(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What has been told, the first `sent` of which are with the client.
    told: Vec<HeaderValue>,
    sent: usize,
    bytes: usize,
    closed: bool,
    connection: Option<Waker>,
}

impl Hints {
    /// Where a request with this head can be told of links; `None` when its client is not to be.
    pub fn wanted(method: &Method, version: Version, headers: &HeaderMap) -> Option<Self> {
        let can = method == Method::GET && version >= Version::HTTP_11;
        let navigates = || first(headers, &SEC_FETCH_MODE).is_some_and(|mode| mode == "navigate");
        (can && navigates()).then(|| Self(Arc::default()))
    }

    /// Tells the client of these, as far as it has not been and there is room.
    pub fn tell<'a>(&self, links: impl IntoIterator<Item = &'a HeaderValue>) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        for link in links {
            let fits = state.told.len() < MOST_LINKS && state.bytes + link.len() <= MOST_BYTES;
            if fits && !link.is_empty() && !state.told.contains(link) {
                state.bytes += link.len();
                state.told.push(link.clone());
            }
        }
        let connection = if state.told.len() > state.sent { state.connection.take() } else { None };
        drop(state);
        if let Some(connection) = connection {
            connection.wake();
        }
    }

    /// The answer is there: nothing more is told. To be called before its head can be sent.
    pub fn close(&self) {
        self.state().closed = true;
    }

    /// What the connection has to send; `None` when there will be nothing more.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Response<()>>> {
        let mut state = self.state();
        if state.closed {
            return Poll::Ready(None);
        }
        if state.told.len() == state.sent {
            state.connection = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::EARLY_HINTS;
        for link in &state.told[state.sent..] {
            response.headers_mut().append(LINK, link.clone());
        }
        state.sent = state.told.len();
        Poll::Ready(Some(response))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hints of the request that an HTTP/1 connection is at.
#[derive(Debug, Default)]
pub struct CurrentHints {
    there: AtomicBool,
    hints: Mutex<Option<Hints>>,
}

impl CurrentHints {
    /// The next request begins.
    pub fn set(&self, hints: Hints) {
        *self.hints.lock().unwrap_or_else(PoisonError::into_inner) = Some(hints);
        self.there.store(true, Ordering::Release);
    }

    /// Appends to `out` what is to be sent before the answer. To be called where all of the answer before has been sent.
    pub fn write(&self, cx: &mut Context<'_>, out: &mut Vec<u8>) {
        if !self.there.load(Ordering::Acquire) {
            return;
        }
        let mut current = self.hints.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(hints) = &*current else { return };
        loop {
            match hints.poll_next(cx) {
                Poll::Ready(Some(interim)) => write(&interim, out),
                Poll::Ready(None) => break,
                Poll::Pending => return,
            }
        }
        self.there.store(false, Ordering::Release);
        *current = None;
    }
}

/// An interim answer as HTTP/1.1 has it (RFC 9112 §4).
fn write(interim: &Response<()>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\n");
    for (name, value) in interim.headers() {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn hints() -> Hints {
        let headers = HeaderMap::from_iter([(SEC_FETCH_MODE, HeaderValue::from_static("navigate"))]);
        Hints::wanted(&Method::GET, Version::HTTP_2, &headers).unwrap()
    }

    fn next(hints: &Hints) -> Poll<Option<Vec<HeaderValue>>> {
        let interim = hints.poll_next(&mut Context::from_waker(Waker::noop()));
        interim.map(|interim| interim.map(|interim| interim.headers().get_all(LINK).iter().cloned().collect()))
    }

    #[test]
    fn only_navigations_are_told() {
        let mode = |mode| HeaderMap::from_iter([(SEC_FETCH_MODE, HeaderValue::from_static(mode))]);
        let wanted = |method: Method, version, headers: &HeaderMap| Hints::wanted(&method, version, headers).is_some();
        assert!(wanted(Method::GET, Version::HTTP_11, &mode("navigate")));
        assert!(wanted(Method::GET, Version::HTTP_3, &mode("navigate")));
        assert!(!wanted(Method::GET, Version::HTTP_10, &mode("navigate")));
        assert!(!wanted(Method::POST, Version::HTTP_2, &mode("navigate")));
        assert!(!wanted(Method::GET, Version::HTTP_2, &mode("cors")));
        assert!(!wanted(Method::GET, Version::HTTP_2, &HeaderMap::new()));
    }

    #[test]
    fn each_link_is_told_once_and_none_after_the_end() {
        let (hints, [a, b]) = (hints(), ["</a>", "</b>"].map(HeaderValue::from_static));
        assert_eq!(next(&hints), Poll::Pending);
        hints.tell([&a]);
        assert_eq!(next(&hints), Poll::Ready(Some(vec![a.clone()])));
        hints.tell([&a, &b, &b]);
        assert_eq!(next(&hints), Poll::Ready(Some(vec![b.clone()])));
        hints.tell([&a]);
        assert_eq!(next(&hints), Poll::Pending);
        hints.tell([&HeaderValue::from_static("</c>")]);
        hints.close();
        assert_eq!(next(&hints), Poll::Ready(None), "it came too late");
    }

    #[test]
    fn number_and_size_are_bounded() {
        let many = hints();
        let links: Vec<_> = (0..100).map(|at| HeaderValue::from_str(&format!("</{at}>")).unwrap()).collect();
        many.tell(&links);
        assert!(matches!(next(&many), Poll::Ready(Some(told)) if told.len() == MOST_LINKS));
        let long = hints();
        let [large, small] = [MOST_BYTES, 10].map(|size| HeaderValue::from_str(&"a".repeat(size)).unwrap());
        long.tell([&small, &large]);
        assert!(matches!(next(&long), Poll::Ready(Some(told)) if told == [small]));
    }

    #[test]
    fn over_http1_they_are_heads() {
        let (current, hints, mut out) = (CurrentHints::default(), hints(), Vec::new());
        let cx = &mut Context::from_waker(Waker::noop());
        current.write(cx, &mut out);
        current.set(hints.clone());
        hints.tell([&HeaderValue::from_static("</a>; rel=preload"), &HeaderValue::from_static("</b>")]);
        current.write(cx, &mut out);
        let head = "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\nlink: </b>\r\n\r\n";
        assert_eq!(String::from_utf8(out.clone()).unwrap(), head);
        hints.tell([&HeaderValue::from_static("</c>")]);
        hints.close();
        current.write(cx, &mut out);
        assert_eq!(out.len(), head.len());
        assert!(current.hints.lock().unwrap().is_none());
    }
}
