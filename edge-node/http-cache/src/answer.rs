//! What a request is answered with from a stored response: status, fields, and which bytes of the content.

use http::header::{ACCEPT_RANGES, AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::entry::Head;
use crate::range::{self, ByteRange, Piece, Selected};
use crate::status::{CACHE_STATUS, Outcome};
use crate::{UnixMillis, conditional};

/// Which bytes of the content are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// None.
    Nothing,
    /// All.
    Whole,
    /// One range.
    Part(ByteRange),
    /// Several ranges with text between them.
    Pieces(Vec<Piece>),
}

/// An answer from the cache.
#[derive(Debug)]
pub struct Ready {
    /// The status.
    pub status: StatusCode,
    /// All fields.
    pub headers: HeaderMap,
    /// The content.
    pub bytes: Bytes,
}

/// What surrounds an answer.
pub struct Surroundings<'a> {
    /// The clock.
    pub now: UnixMillis,
    /// What the cache did, for `Cache-Status`; `None` leaves it out.
    pub outcome: Option<Outcome>,
    /// Separates the parts of a multipart answer; not guessable.
    pub boundary: &'a str,
    /// Bytes of the content, when they are known: else ranges are not looked at.
    pub length: Option<u64>,
}

/// Fields that an answer adds to those that are stored, at most.
const ADDED: usize = 4;

/// The answer to a GET or HEAD request whose key and variant is that of `head`.
pub fn answer(method: &Method, request: &HeaderMap, head: &Head, around: &Surroundings<'_>) -> Ready {
    let mut headers = head.headers.to_map(ADDED);
    headers.insert(AGE, HeaderValue::from(head.policy.age(around.now)));
    if let Some(outcome) = around.outcome {
        headers.insert(CACHE_STATUS, outcome.header());
    }
    let ready = |status, headers, bytes| Ready { status, headers, bytes };
    if conditional::not_modified(request, head.status, &headers, head.policy.response_time) {
        conditional::strip_content_fields(&mut headers);
        return ready(StatusCode::NOT_MODIFIED, headers, Bytes::Nothing);
    }
    let selected = match around.length {
        Some(length) if head.status == StatusCode::OK => {
            headers.entry(ACCEPT_RANGES).or_insert(HeaderValue::from_static("bytes"));
            range::select(method, request, &headers, length)
        }
        _ => Selected::Whole,
    };
    let length = around.length.unwrap_or(0);
    match selected {
        Selected::Whole if *method == Method::HEAD => {
            if let Some(length) = around.length {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            ready(head.status, headers, Bytes::Nothing)
        }
        Selected::Whole => ready(head.status, headers, Bytes::Whole),
        Selected::Unsatisfiable => {
            headers.remove(CONTENT_TYPE);
            headers.insert(CONTENT_RANGE, range::content_range(None, length));
            ready(StatusCode::RANGE_NOT_SATISFIABLE, headers, Bytes::Nothing)
        }
        Selected::Parts(parts) => match parts.as_slice() {
            [part] => {
                headers.insert(CONTENT_RANGE, range::content_range(Some(*part), length));
                ready(StatusCode::PARTIAL_CONTENT, headers, Bytes::Part(*part))
            }
            parts => {
                let (kind, pieces) = range::multipart(parts, &headers, length, around.boundary);
                headers.insert(CONTENT_TYPE, kind);
                ready(StatusCode::PARTIAL_CONTENT, headers, Bytes::Pieces(pieces))
            }
        },
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
