//! A request that can be sent somewhere else after an app had it, together with its body, as long as the app has not begun
//! to read that, or it was short and had arrived.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use atoll_runtime::{Body, BodyError, BodyStream, FetchEvent, Trailers};
use bytes::Bytes;
use futures::Stream;

/// A request, kept beside the one that the app has.
pub struct Spare {
    event: FetchEvent,
    body: Kept,
}

enum Kept {
    Empty,
    Full(Bytes),
    Stream { lent: Arc<Mutex<Option<BodyStream>>>, length: Option<u64>, trailers: Trailers },
}

impl Spare {
    /// Keeps a request that is about to be sent to an app. `None` for the handshake of a WebSocket.
    pub fn keep(event: &mut FetchEvent) -> Option<Self> {
        let (body, sent) = match std::mem::replace(&mut event.body, Body::Empty) {
            Body::Empty => (Kept::Empty, Body::Empty),
            Body::Full(bytes) => (Kept::Full(bytes.clone()), Body::Full(bytes)),
            Body::Stream { stream, length, trailers } => {
                let lent = Arc::new(Mutex::new(Some(stream)));
                let stream = Box::pin(Lent { shared: lent.clone(), begun: None, ended: false });
                (Kept::Stream { lent, length, trailers: trailers.clone() }, Body::Stream { stream, length, trailers })
            }
            socket @ Body::Socket(_) => {
                event.body = socket;
                return None;
            }
        };
        event.body = sent;
        Some(Self { event: without_body(event), body })
    }

    /// The request, whose body the app cannot read any more; `None` when it has read some of it.
    pub fn back(self) -> Option<FetchEvent> {
        let body = match self.body {
            Kept::Empty => Body::Empty,
            Kept::Full(bytes) => Body::Full(bytes),
            Kept::Stream { lent, length, trailers } => {
                let stream = lent.lock().unwrap_or_else(PoisonError::into_inner).take()?;
                Body::Stream { stream, length, trailers }
            }
        };
        Some(FetchEvent { body, ..self.event })
    }
}

/// The same request once more, without its body.
pub fn without_body(event: &FetchEvent) -> FetchEvent {
    FetchEvent { head: event.head.clone(), body: Body::Empty }
}

/// The body as the app has it: it is the app's own from the first chunk on.
struct Lent {
    shared: Arc<Mutex<Option<BodyStream>>>,
    begun: Option<BodyStream>,
    /// It has said that the request was sent elsewhere.
    ended: bool,
}

impl Stream for Lent {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(stream) = &mut this.begun {
            return stream.as_mut().poll_next(cx);
        }
        let mut shared = this.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = &mut *shared else {
            if std::mem::replace(&mut this.ended, true) {
                return Poll::Ready(None);
            }
            return Poll::Ready(Some(Err(BodyError::Failed("the request was sent elsewhere".into()))));
        };
        let item = std::task::ready!(stream.as_mut().poll_next(cx));
        this.begun = shared.take();
        Poll::Ready(item)
    }
}

#[cfg(test)]
mod tests {
    use atoll_runtime::FetchHead;
    use futures::{FutureExt, StreamExt};
    use http::Method;

    use super::*;

    fn event(body: Body) -> FetchEvent {
        let head = FetchHead { method: Method::POST, url: "http://a/".into(), ..FetchHead::default() };
        FetchEvent::new(head, body)
    }

    fn stream(chunks: &'static [&'static str]) -> Body {
        let chunks = futures::stream::iter(chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))));
        Body::Stream { stream: Box::pin(chunks), length: Some(6), trailers: Trailers::default() }
    }

    fn read(body: Body) -> Vec<Result<Bytes, String>> {
        match body {
            Body::Stream { stream, .. } => {
                let chunks = stream.map(|chunk| chunk.map_err(|error| error.to_string())).collect();
                FutureExt::now_or_never(chunks).expect("nothing to wait for")
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_body_that_was_not_read_comes_back_and_leaves_the_app_none() {
        let mut sent = event(stream(&["one", "two"]));
        let back = Spare::keep(&mut sent).unwrap().back().unwrap();
        assert!(matches!(back.body, Body::Stream { length: Some(6), .. }));
        assert_eq!(read(back.body), [Ok(Bytes::from("one")), Ok(Bytes::from("two"))]);
        assert_eq!(read(sent.body), [Err("the request was sent elsewhere".into())]);
    }

    #[test]
    fn a_body_that_was_begun_is_the_apps() {
        let mut sent = event(stream(&["one", "two"]));
        let spare = Spare::keep(&mut sent).unwrap();
        assert_eq!(read(sent.body).len(), 2);
        assert!(spare.back().is_none());
    }

    #[test]
    fn asking_for_what_is_not_there_yet_begins_nothing() {
        let pending =
            Body::Stream { stream: Box::pin(futures::stream::pending()), length: None, trailers: Trailers::default() };
        let mut sent = event(pending);
        let spare = Spare::keep(&mut sent).unwrap();
        let Body::Stream { mut stream, .. } = sent.body else { panic!("a stream") };
        assert!(stream.next().now_or_never().is_none());
        assert!(spare.back().is_some());
    }

    #[test]
    fn whole_bodies_and_none_come_back() {
        let mut sent = event(Body::Full("all".into()));
        assert!(matches!(Spare::keep(&mut sent).unwrap().back().unwrap().body, Body::Full(all) if all == "all"));
        assert!(matches!(sent.body, Body::Full(_)));
        assert!(matches!(Spare::keep(&mut event(Body::Empty)).unwrap().back().unwrap().body, Body::Empty));
    }
}
