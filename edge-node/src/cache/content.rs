//! The bytes of an answer from the cache: from memory, from disk, or as they arrive.

use std::io;
use std::sync::Arc;

use atoll_http_cache::answer::Bytes as Wanted;
use atoll_http_cache::disk::Blob;
use atoll_http_cache::fill::Reader;
use atoll_http_cache::range::{ByteRange, Piece};
use atoll_runtime::{Body, BodyError, Trailers};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::{HeaderMap, Response, StatusCode};

use crate::body::Outgoing;

/// Bytes read from disk at once.
const READ: u64 = 256 << 10;

/// A response of these parts.
pub fn response(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// What is wanted of content in memory.
pub fn from_memory(bytes: &Bytes, wanted: Wanted) -> Body {
    match wanted {
        Wanted::Nothing => Body::Empty,
        Wanted::Whole => Body::Full(bytes.clone()),
        Wanted::Part(range) => Body::Full(slice(bytes, range)),
        Wanted::Pieces(pieces) => {
            let mut all = BytesMut::new();
            for piece in pieces {
                match piece {
                    Piece::Text(text) => all.extend_from_slice(&text),
                    Piece::Body(range) => all.extend_from_slice(&slice(bytes, range)),
                }
            }
            Body::Full(all.freeze())
        }
    }
}

fn slice(bytes: &Bytes, range: ByteRange) -> Bytes {
    let position = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(position(range.start)..position(range.start + range.length))
}

/// What is wanted of content on disk.
pub fn from_disk(blob: Blob, wanted: Wanted) -> Body {
    from_reads(blob.len(), move |start, length| blob.read(start, length), wanted)
}

/// What is wanted of content of `length` bytes that is read piece by piece: `read` takes the first byte and how many, and
/// may block.
pub fn from_reads<R>(length: u64, read: R, wanted: Wanted) -> Body
where
    R: Fn(u64, u64) -> io::Result<Vec<u8>> + Send + Sync + 'static,
{
    let whole = ByteRange { start: 0, length };
    let pieces = match wanted {
        Wanted::Nothing => return Body::Empty,
        Wanted::Whole => vec![Piece::Body(whole)],
        Wanted::Part(range) => vec![Piece::Body(range)],
        Wanted::Pieces(pieces) => pieces,
    };
    let length = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => text.len() as u64,
        Piece::Body(range) => range.length,
    });
    let length = Some(length.sum());
    let reads = pieces.into_iter().flat_map(|piece| match piece {
        Piece::Text(text) => vec![Piece::Text(text)],
        Piece::Body(ByteRange { start, length }) => (0..length.div_ceil(READ))
            .map(|number| {
                let from = start + number * READ;
                Piece::Body(ByteRange { start: from, length: READ.min(start + length - from) })
            })
            .collect(),
    });
    let read = Arc::new(read);
    let stream = stream::iter(reads.collect::<Vec<_>>()).then(move |piece| {
        let read = read.clone();
        async move {
            match piece {
                Piece::Text(text) => Ok(Bytes::from(text)),
                Piece::Body(range) => {
                    let done = tokio::task::spawn_blocking(move || read(range.start, range.length)).await;
                    let failed = |error: String| BodyError::Failed(format!("a stored response broke off: {error}"));
                    match done {
                        Ok(Ok(bytes)) => Ok(Bytes::from(bytes)),
                        Ok(Err(error)) => Err(failed(error.to_string())),
                        Err(error) => Err(failed(error.to_string())),
                    }
                }
            }
        }
    });
    Body::Stream { stream: stream.boxed(), length, trailers: Trailers::default() }
}

/// What is wanted of content that is on its way; `length` of it when that is known. Several ranges are not cut.
pub fn from_reader(reader: Reader, wanted: &Wanted, length: Option<u64>) -> Body {
    let (skip, take) = match wanted {
        Wanted::Nothing => return Body::Empty,
        Wanted::Part(range) => (range.start, Some(range.length)),
        Wanted::Whole | Wanted::Pieces(_) => (0, length),
    };
    let part = matches!(wanted, Wanted::Part(_));
    let state = (reader, skip, take.filter(|_| part));
    let stream = stream::unfold(Some(state), |state| async move {
        let (mut reader, mut skip, mut left) = state?;
        loop {
            if left == Some(0) {
                return None;
            }
            let mut chunk = match reader.next().await? {
                Ok(chunk) => chunk,
                Err(error) => return Some((Err(BodyError::Failed(error.to_string())), None)),
            };
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            skip -= skipped as u64;
            drop(chunk.split_to(skipped));
            if let Some(left) = &mut left {
                chunk.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= chunk.len() as u64;
            }
            if !chunk.is_empty() {
                return Some((Ok(chunk), Some((reader, skip, left))));
            }
        }
    });
    Body::Stream { stream: stream.boxed(), length: take, trailers: Trailers::default() }
}
