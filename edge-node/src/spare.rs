//! A request that can be sent somewhere else after an app had it, together with its body, as long as the app has not begun
//! to read that, or it was announced as a short one.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use atoll_runtime::{Body, BodyError, BodyStream, FetchEvent, Trailers};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};

use crate::body::SHORT;

/// A request, kept beside the one that the app has.
pub struct Spare {
    event: FetchEvent,
    body: Kept,
}

enum Kept {
    Empty,
    Full(Bytes),
    Stream { shared: Arc<Mutex<Shared>>, length: Option<u64>, trailers: Trailers },
}

/// A stream that two have an eye on.
struct Shared {
    /// `None` once the app has begun to read a body that is not short, and once the request was sent elsewhere.
    stream: Option<BodyStream>,
    /// What the app has read of a short one: its bytes, since chunks may hold more memory than they are long.
    read: Option<BytesMut>,
}

impl Spare {
    /// Keeps a request that is about to be sent to an app. `None` for the handshake of a WebSocket.
    pub fn keep(event: &mut FetchEvent) -> Option<Self> {
        let (body, sent) = match std::mem::replace(&mut event.body, Body::Empty) {
            Body::Empty => (Kept::Empty, Body::Empty),
            Body::Full(bytes) => (Kept::Full(bytes.clone()), Body::Full(bytes)),
            Body::Stream { stream, length, trailers } => {
                let read = length.is_some_and(|length| length <= SHORT).then(BytesMut::new);
                let shared = Arc::new(Mutex::new(Shared { stream: Some(stream), read }));
                let stream = Box::pin(Lent { shared: shared.clone(), begun: None, ended: false });
                (Kept::Stream { shared, length, trailers: trailers.clone() }, Body::Stream { stream, length, trailers })
            }
            socket @ Body::Socket(_) => {
                event.body = socket;
                return None;
            }
        };
        event.body = sent;
        Some(Self { event: without_body(event), body })
    }

    /// The request, whose body the app cannot read any more; `None` when it has read some of one that is not short.
    pub fn back(self) -> Option<FetchEvent> {
        let body = match self.body {
            Kept::Empty => Body::Empty,
            Kept::Full(bytes) => Body::Full(bytes),
            Kept::Stream { shared, length, trailers } => {
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let rest = shared.stream.take()?;
                let stream: BodyStream = match shared.read.take() {
                    Some(read) if !read.is_empty() => {
                        let read = std::future::ready(Ok(read.freeze()));
                        Box::pin(stream::once(read).chain(rest))
                    }
                    _ => rest,
                };
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

/// The body as the app has it: one that is not short is the app's own from the first chunk on.
struct Lent {
    shared: Arc<Mutex<Shared>>,
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
        let Shared { stream, read } = &mut *shared;
        let Some(lent) = stream else {
            if std::mem::replace(&mut this.ended, true) {
                return Poll::Ready(None);
            }
            return Poll::Ready(Some(Err(BodyError::Failed("the request was sent elsewhere".into()))));
        };
        let item = std::task::ready!(lent.as_mut().poll_next(cx));
        match read {
            Some(read) => item.iter().flatten().for_each(|chunk| read.extend_from_slice(chunk)),
            None => this.begun = stream.take(),
        }
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

    fn stream(chunks: &'static [&'static str], length: u64) -> Body {
        let chunks = stream::iter(chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))));
        Body::Stream { stream: Box::pin(chunks), length: Some(length), trailers: Trailers::default() }
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
        for length in [6, SHORT + 1] {
            let mut sent = event(stream(&["one", "two"], length));
            let back = Spare::keep(&mut sent).unwrap().back().unwrap();
            assert!(matches!(back.body, Body::Stream { length: Some(kept), .. } if kept == length));
            assert_eq!(read(back.body), [Ok(Bytes::from("one")), Ok(Bytes::from("two"))]);
            assert_eq!(read(sent.body), [Err("the request was sent elsewhere".into())]);
        }
    }

    #[test]
    fn a_body_that_was_begun_is_the_apps_unless_it_is_short() {
        let mut sent = event(stream(&["one", "two"], SHORT + 1));
        let spare = Spare::keep(&mut sent).unwrap();
        assert_eq!(read(sent.body).len(), 2);
        assert!(spare.back().is_none());
        for taken in 0..=3 {
            let mut sent = event(stream(&["one", "two"], 6));
            let spare = Spare::keep(&mut sent).unwrap();
            let Body::Stream { mut stream, .. } = sent.body else { panic!("a stream") };
            for _ in 0..taken {
                stream.next().now_or_never().expect("nothing to wait for");
            }
            let back = spare.back().unwrap();
            let chunks: Vec<Bytes> = read(back.body).into_iter().map(Result::unwrap).collect();
            assert_eq!(chunks.concat(), b"onetwo", "after {taken}");
            let after = stream.next().now_or_never().expect("nothing to wait for");
            assert!(matches!(after, Some(Err(BodyError::Failed(_)))), "after {taken}");
        }
    }

    #[test]
    fn asking_for_what_is_not_there_yet_begins_nothing() {
        let pending = Body::Stream { stream: Box::pin(stream::pending()), length: None, trailers: Trailers::default() };
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
