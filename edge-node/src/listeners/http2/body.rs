//! The body of a request over HTTP/2.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::windows::BytesRead;
use crate::listeners::expectation::Expectation;
use crate::listeners::frames::MARK;

/// What a client sends after a request's head. h2 has checked that it is as long as `Content-Length` says.
pub struct RequestBody {
    stream: Option<RecvStream>,
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
        Self { stream: Some(stream), length, has_data: true, expects, read }
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
        let Some(stream) = &mut this.stream else { return Poll::Ready(None) };
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
        self.stream.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
