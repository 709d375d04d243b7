//! A body that is compressed as it is sent. What the source has given is never held back while it has nothing more: an
//! event of a stream of events arrives at once.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use atoll_runtime::BodyError;
use bytes::{Buf, Bytes};
use futures::Stream;
use http_body::Body as HttpBody;
use tokio::sync::OwnedSemaphorePermit;

use super::coder::{Coder, Effort};
use super::negotiate::Coding;
use crate::body::Outgoing;

/// Bytes that are compressed at once.
const STEP: usize = 16 << 10;
/// Bytes after which other tasks of the thread have their turn.
const TURN: usize = 64 << 10;

/// A body on its way through a coder.
pub struct Compressed {
    source: Outgoing,
    /// Gone when the end has been sent.
    coder: Option<Coder>,
    /// Given by the source and not compressed yet.
    waiting: Bytes,
    /// Something is in the coder that has not come out.
    unflushed: bool,
    /// Bytes compressed in this turn.
    turn: usize,
    /// The source has ended.
    ended: bool,
    /// A place among the streams that are compressed at once.
    _permit: OwnedSemaphorePermit,
}

impl Compressed {
    /// Compresses `source`.
    pub fn new(source: Outgoing, coding: Coding, permit: OwnedSemaphorePermit) -> io::Result<Self> {
        let coder = Some(Coder::new(coding, Effort::EveryTime)?);
        Ok(Self { source, coder, waiting: Bytes::new(), unflushed: false, turn: 0, ended: false, _permit: permit })
    }

    fn fail(&mut self, error: &io::Error) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.coder = None;
        Poll::Ready(Some(Err(BodyError::Failed(format!("the answer could not be compressed: {error}")))))
    }
}

impl Stream for Compressed {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let Some(coder) = &mut this.coder else { return Poll::Ready(None) };
            if this.turn >= TURN {
                this.turn = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if this.waiting.has_remaining() {
                let piece = this.waiting.split_to(this.waiting.len().min(STEP));
                this.turn += piece.len();
                this.unflushed = true;
                if let Err(error) = coder.write(&piece) {
                    return this.fail(&error);
                }
                if coder.ready() >= STEP {
                    return Poll::Ready(Some(Ok(coder.take())));
                }
                continue;
            }
            if this.ended {
                return match this.coder.take().map(Coder::finish) {
                    Some(Ok(rest)) => Poll::Ready(Some(Ok(rest))),
                    Some(Err(error)) => this.fail(&error),
                    None => Poll::Ready(None),
                };
            }
            match Pin::new(&mut this.source).poll_frame(cx) {
                Poll::Ready(None) => this.ended = true,
                Poll::Ready(Some(Err(error))) => {
                    this.coder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(Some(Ok(frame))) => this.waiting = frame.into_data().unwrap_or_default(),
                Poll::Pending if this.unflushed => {
                    this.unflushed = false;
                    if let Err(error) = coder.flush() {
                        return this.fail(&error);
                    }
                    if coder.ready() > 0 {
                        return Poll::Ready(Some(Ok(coder.take())));
                    }
                }
                Poll::Pending => {
                    this.turn = 0;
                    // The source has taken the waker.
                    return Poll::Pending;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use atoll_runtime::{Body, Trailers};
    use futures::{FutureExt, SinkExt, StreamExt, channel::mpsc};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::compress::coder::tests::decoded;

    fn compressed(body: Body, coding: Coding) -> Compressed {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Compressed::new(Outgoing::new(body), coding, permit).unwrap()
    }

    #[tokio::test]
    async fn an_event_is_not_held_back() {
        for coding in Coding::FASTEST {
            let (mut sender, receiver) = mpsc::channel::<Result<Bytes, BodyError>>(1);
            let mut stream = compressed(
                Body::Stream { stream: receiver.boxed(), length: None, trailers: Trailers::default() },
                coding,
            );
            let mut sent = Vec::new();
            for event in ["data: first\n\n", "data: second\n\n"] {
                sender.send(Ok(event.into())).await.unwrap();
                while !decoded(coding, &sent).ends_with(event.as_bytes()) {
                    sent.extend_from_slice(&stream.next().await.unwrap().unwrap());
                }
                assert!(stream.next().now_or_never().is_none(), "there is nothing more yet");
            }
            drop(sender);
            while let Some(chunk) = stream.next().await {
                sent.extend_from_slice(&chunk.unwrap());
            }
            assert_eq!(decoded(coding, &sent), b"data: first\n\ndata: second\n\n");
        }
    }

    #[tokio::test]
    async fn a_large_body_leaves_turns_to_others() {
        let content: Bytes = (0..1_000_000_u32).map(|n| (n / 7 % 251) as u8).collect::<Vec<_>>().into();
        for coding in Coding::FASTEST {
            let mut stream = compressed(Body::Full(content.clone()), coding);
            let (mut sent, mut turns) = (Vec::new(), 0);
            loop {
                match futures::poll!(stream.next()) {
                    Poll::Ready(Some(chunk)) => sent.extend_from_slice(&chunk.unwrap()),
                    Poll::Ready(None) => break,
                    Poll::Pending => turns += 1,
                }
            }
            assert!(turns >= content.len() / TURN - 1, "{turns}");
            assert_eq!(decoded(coding, &sent), content, "{coding:?}");
        }
    }

    #[tokio::test]
    async fn a_source_that_breaks_breaks_the_answer() {
        let chunks = [Ok(Bytes::from("half")), Err(BodyError::Closed)];
        let body =
            Body::Stream { stream: futures::stream::iter(chunks).boxed(), length: None, trailers: Trailers::default() };
        let mut stream = compressed(body, Coding::Gzip);
        let mut failed = false;
        while let Some(chunk) = stream.next().await {
            failed |= chunk.is_err();
        }
        assert!(failed);
    }
}
