//! The body of a request over HTTP/2.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::windows::BytesRead;
use crate::listeners::expectation::Expectation;
use crate::listeners::frames::MARK;

/// The rest of a stream, which goes to the app and can be taken back from it. As long as it is there, what of it was not read
/// counts to the window of the connection, whether the client has given it up or not.
#[derive(Clone)]
pub struct Rest(Arc<Mutex<Option<RecvStream>>>);

impl Rest {
    fn lock(&self) -> MutexGuard<'_, Option<RecvStream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client has reset the stream. h2 has woken whoever reads.
    pub fn give_up(&self) {
        let stream = self.lock().take();
        // Not while it is locked.
        drop(stream);
    }
}

/// What a client sends after a request's head. h2 has checked that it is as long as `Content-Length` says.
pub struct RequestBody {
    stream: Option<Rest>,
    length: Option<u64>,
    has_data: bool,
    /// The client sends it when it is told to.
    expects: Option<Expectation>,
    /// Told of all that is read.
    read: Option<BytesRead>,
}

impl RequestBody {
    /// The rest of a stream that began with these fields.
    pub fn new(stream: RecvStream, headers: &HeaderMap, expects: Option<Expectation>, read: Option<BytesRead>) -> Self {
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let stream = (!stream.is_end_stream()).then(|| Rest(Arc::new(Mutex::new(Some(stream)))));
        Self { stream, length, has_data: true, expects, read }
    }

    /// By which it can be taken back; none when there is nothing of it.
    pub fn rest(&self) -> Option<Rest> {
        self.stream.clone()
    }

    /// None.
    pub fn empty() -> Self {
        Self { stream: None, length: Some(0), has_data: false, expects: None, read: None }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = &mut *self;
        let Some(rest) = &this.stream else { return Poll::Ready(None) };
        let mut stream = rest.lock();
        let Some(stream) = &mut *stream else { return Poll::Ready(Some(Err(Reason::CANCEL.into()))) };
        if this.has_data {
            let data = stream.poll_data(cx);
            // A client that sends already need not be told.
            if let Some(expects) = this.expects.take()
                && data.is_pending()
            {
                expects.want();
            }
            match ready!(data) {
                Some(Ok(data)) => {
                    // It fails only on a stream that has been reset, which shows with the next read.
                    let _ = stream.flow_control().release_capacity(data.len());
                    if let Some(read) = &this.read {
                        read.add(data.len());
                    }
                    this.length = this.length.map(|length| length.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => this.has_data = false,
            }
        }
        let trailers = ready!(stream.poll_trailers(cx)).map(|fields| {
            fields.map(|mut fields| {
                fields.remove(MARK);
                Frame::trailers(fields)
            })
        });
        Poll::Ready(trailers.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_none_or(|rest| rest.lock().as_ref().is_some_and(RecvStream::is_end_stream))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
