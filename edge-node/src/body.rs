//! Bodies between HTTP and isolates: the listener's and client's streams become [`Body`]s and the other way round.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use atoll_runtime::{Body, BodyError, Trailers};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::headers::remove_hop_by_hop;

/// What arrived over HTTP, for an isolate.
pub fn incoming<B: HttpBody<Data = Bytes> + Send + Unpin + 'static>(body: B) -> Body {
    limited(body, u64::MAX).0
}

/// The same, but at most `limit` bytes, then [`BodyError::TooLarge`]. The mark says whether it has come to that.
pub fn limited<B: HttpBody<Data = Bytes> + Send + Unpin + 'static>(body: B, limit: u64) -> (Body, Overflow) {
    let overflow = Overflow::default();
    if body.is_end_stream() {
        return (Body::Empty, overflow);
    }
    let length = body.size_hint().exact();
    let mark = Arc::new(AtomicBool::new(false));
    let trailers = Trailers::awaited();
    let limited =
        Limited { body, left: limit, limit, ended: false, overflow: mark.clone(), trailers: trailers.clone() };
    (Body::Stream { stream: Box::pin(limited), length, trailers }, Overflow(Some(mark)))
}

/// Bodies of at most so many bytes are short: they are taken as a whole when they have arrived with the head, since a stream costs
/// an isolate as much as a small request, and kept for a second reader while there may be one. Bytes.
pub const SHORT: u64 = 8 << 10;

/// The same as [`limited`], but a body that is short and has arrived is taken at once, which tells whoever sends it that it is
/// wanted (RFC 9110 §10.1.1).
pub fn taken<B: HttpBody<Data = Bytes> + Send + Unpin + 'static>(mut body: B, limit: u64) -> (Body, Overflow) {
    let length = body.size_hint().exact().filter(|length| *length <= SHORT.min(limit) && !body.is_end_stream());
    let Some(length) = length else { return limited(body, limit) };
    let first = match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending | Poll::Ready(None) => return limited(body, limit),
        Poll::Ready(Some(first)) => first,
    };
    let first = match first.map(Frame::into_data) {
        Ok(Ok(data)) if data.len() as u64 == length && body.is_end_stream() => {
            return (Body::Full(data), Overflow::default());
        }
        Ok(Ok(data)) => Ok(data),
        // No body of such a length begins with its trailers.
        Ok(Err(_)) | Err(_) => Err(BodyError::Closed),
    };
    let (rest, overflow) = limited(body, limit);
    let begins = stream::once(std::future::ready(first));
    let whole: Body = match rest {
        Body::Stream { stream, trailers, .. } => {
            Body::Stream { stream: Box::pin(begins.chain(stream)), length: Some(length), trailers }
        }
        _ => Body::Stream { stream: Box::pin(begins), length: Some(length), trailers: Trailers::awaited() },
    };
    (whole, overflow)
}

/// Whether a body was larger than its limit.
#[derive(Default)]
pub struct Overflow(Option<Arc<AtomicBool>>);

impl Overflow {
    /// Whether the limit has been passed so far.
    pub fn happened(&self) -> bool {
        self.0.as_ref().is_some_and(|mark| mark.load(Ordering::Relaxed))
    }
}

struct Limited<B> {
    body: B,
    left: u64,
    limit: u64,
    ended: bool,
    overflow: Arc<AtomicBool>,
    trailers: Trailers,
}

impl<B: HttpBody<Data = Bytes> + Unpin> Stream for Limited<B> {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while !this.ended {
            let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(cx));
            let data = match frame {
                None => {
                    this.ended = true;
                    return Poll::Ready(None);
                }
                Some(Err(_)) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(BodyError::Closed)));
                }
                Some(Ok(frame)) => frame.into_data(),
            };
            let data = match data {
                Ok(data) => data,
                Err(frame) => {
                    if let Ok(mut fields) = frame.into_trailers() {
                        remove_hop_by_hop(&mut fields);
                        this.trailers.set(fields);
                    }
                    continue;
                }
            };
            match this.left.checked_sub(data.len() as u64) {
                Some(left) => {
                    this.left = left;
                    return Poll::Ready(Some(Ok(data)));
                }
                None => {
                    this.ended = true;
                    this.overflow.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(BodyError::TooLarge { limit: this.limit })));
                }
            }
        }
        Poll::Ready(None)
    }
}

/// What an isolate sends, for HTTP. A stream with a known length never yields more than that, and fails when it ends
/// early, so that framing holds whatever the handler does.
pub struct Outgoing {
    body: Body,
    /// Bytes still owed, when the length was announced.
    owed: Option<u64>,
}

impl Outgoing {
    /// A body to be sent.
    pub fn new(body: Body) -> Self {
        let owed = match &body {
            Body::Stream { length, .. } => *length,
            _ => None,
        };
        Self { body, owed }
    }

    /// No body.
    pub fn empty() -> Self {
        Self::new(Body::Empty)
    }

    /// The body as it was given. Whoever reads it minds the announced length.
    pub fn into_body(self) -> Body {
        self.body
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match &mut this.body {
            // A WebSocket takes the whole connection; it is no body.
            Body::Empty | Body::Socket(_) => Poll::Ready(None),
            Body::Full(_) => {
                let Body::Full(bytes) = std::mem::replace(&mut this.body, Body::Empty) else { unreachable!() };
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Body::Stream { stream, trailers, .. } => {
                let item = std::task::ready!(stream.as_mut().poll_next(cx));
                let item = match (item, &mut this.owed) {
                    (Some(Ok(chunk)), Some(owed)) => match owed.checked_sub(chunk.len() as u64) {
                        Some(left) => {
                            *owed = left;
                            Some(Ok(chunk))
                        }
                        None => Some(Err(BodyError::Failed("the body is longer than its announced length".into()))),
                    },
                    (None, Some(1..)) => {
                        Some(Err(BodyError::Failed("the body ended before its announced length".into())))
                    }
                    (item, _) => item,
                };
                let fields = if item.is_none() { trailers.get().cloned() } else { None };
                if !matches!(item, Some(Ok(_))) {
                    this.body = Body::Empty;
                    this.owed = None;
                }
                let trailers = fields.map(|fields| Ok(Frame::trailers(fields)));
                Poll::Ready(item.map(|item| item.map(Frame::data)).or(trailers))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Body::Empty | Body::Socket(_) => true,
            Body::Full(bytes) => bytes.is_empty(),
            Body::Stream { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Body::Empty | Body::Socket(_) => SizeHint::with_exact(0),
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Stream { .. } => self.owed.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http_body_util::BodyExt;

    use super::*;

    fn chunks(chunks: &[&'static str], length: Option<u64>) -> Outgoing {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
        Outgoing::new(Body::Stream { stream: stream::iter(chunks).boxed(), length, trailers: Trailers::default() })
    }

    #[tokio::test]
    async fn every_kind_of_body_arrives_whole() {
        let full = Outgoing::new(Body::Full("abc".into()));
        assert_eq!(full.size_hint().exact(), Some(3));
        assert_eq!(full.collect().await.unwrap().to_bytes(), "abc");
        assert!(Outgoing::new(Body::Empty).is_end_stream());
        let stream = chunks(&["a", "bc"], None);
        assert_eq!(stream.size_hint().exact(), None);
        assert_eq!(stream.collect().await.unwrap().to_bytes(), "abc");
    }

    #[tokio::test]
    async fn a_short_body_that_has_arrived_is_taken_and_any_other_is_a_stream() {
        let full = |length: u64| http_body_util::Full::new(Bytes::from(vec![b'x'; length as usize]));
        assert!(matches!(taken(full(0), 100).0, Body::Empty));
        assert!(matches!(taken(full(100), 100).0, Body::Full(bytes) if bytes.len() == 100));
        assert!(matches!(taken(full(SHORT), u64::MAX).0, Body::Full(_)));
        for (body, limit) in [(full(101), 100), (full(SHORT + 1), u64::MAX)] {
            let (length, (body, overflow)) = (body.size_hint().exact().unwrap(), taken(body, limit));
            assert!(matches!(body, Body::Stream { .. }));
            let whole = Outgoing::new(body).collect().await.map(|body| body.to_bytes().len() as u64);
            assert_eq!(
                (whole.ok(), overflow.happened()),
                (Some(length).filter(|length| *length <= limit), limit == 100)
            );
        }
        // What has arrived of one comes before the rest of it.
        for parts in [&["a", "bc"][..], &["", "abc"], &["abc"]] {
            let (body, _) = taken(chunks(parts, Some(3)), 100);
            assert_eq!(Outgoing::new(body).collect().await.unwrap().to_bytes(), "abc");
        }
        let slow = stream::once(tokio::task::yield_now()).map(|()| Ok(Bytes::from_static(b"abc")));
        let slow = Body::Stream { stream: slow.boxed(), length: Some(3), trailers: Trailers::default() };
        let (body, _) = taken(Outgoing::new(slow), 100);
        assert_eq!(Outgoing::new(body).collect().await.unwrap().to_bytes(), "abc");
        // One that breaks off does so as a stream.
        let (body, _) = taken(chunks(&["a"], Some(3)), 100);
        assert!(matches!(body, Body::Stream { .. }) && Outgoing::new(body).collect().await.is_err());
    }

    #[tokio::test]
    async fn trailers_go_along_with_a_body() {
        let mut fields = http::HeaderMap::new();
        fields.insert("grpc-status", http::HeaderValue::from_static("0"));
        fields.insert("connection", http::HeaderValue::from_static("close"));
        let frames = [Frame::data(Bytes::from_static(b"abc")), Frame::trailers(fields)];
        let body = http_body_util::StreamBody::new(stream::iter(frames.map(Ok::<_, std::io::Error>)));
        let collected = Outgoing::new(incoming(body)).collect().await.unwrap();
        let trailers = collected.trailers().unwrap();
        assert_eq!((trailers.len(), &trailers["grpc-status"]), (1, &http::HeaderValue::from_static("0")));
        assert_eq!(collected.to_bytes(), "abc");
    }

    #[tokio::test]
    async fn a_stream_that_breaks_its_announced_length_fails() {
        assert_eq!(chunks(&["a", "bc"], Some(3)).collect().await.unwrap().to_bytes(), "abc");
        assert!(chunks(&["a", "bc"], Some(4)).collect().await.is_err());
        assert!(chunks(&["a", "bc"], Some(2)).collect().await.is_err());
    }
}
