//! Compression of answers: Brotli, Zstandard and gzip, as the client takes them and the app allows.
//!
//! An answer is compressed on its way out, after the front cache, which keeps it as the app gave it. Small bodies that are
//! there as a whole are compressed at once, all others piece by piece, so that no thread is busy with one for long. What
//! the cache has in memory it keeps compressed too ([`CodedContents`]).

mod coder;
mod contents;
mod negotiate;
mod rules;
mod stream;

use std::sync::Arc;

use atoll_protocol::config::CompressionSettings;
use atoll_runtime::{Body, Trailers};
use futures::StreamExt;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Response};
use http_body::Body as HttpBody;
use tokio::sync::Semaphore;

pub use self::coder::{Effort, compress};
pub use self::contents::{CodedContents, Variant};
pub use self::negotiate::{Accepts, Coding};
pub use self::rules::{SMALLEST_BODY, add_vary, eligible, forbids_transformation, mark};
use self::stream::Compressed;
use crate::body::Outgoing;

/// Bodies up to this size are compressed at once, bytes.
const AT_ONCE: usize = 16 << 10;

/// Compresses the answers of a node.
pub struct Compression {
    enabled: bool,
    /// Places for streams that are compressed at once; beyond them, answers go as they are.
    streams: Arc<Semaphore>,
}

impl Compression {
    /// With at most so many streams at once, each of which takes up to 1 MiB of memory.
    pub fn new(enabled: bool, streams: usize) -> Self {
        Self { enabled, streams: Arc::new(Semaphore::new(streams.min(Semaphore::MAX_PERMITS))) }
    }

    /// What a client takes; nothing when this node compresses nothing, or a request forbids it (RFC 9111 §5.2.1.6).
    pub fn accepts(&self, request: &HeaderMap) -> Accepts {
        let accepts = if self.enabled { Accepts::of(request) } else { Accepts::default() };
        if accepts.any() && forbids_transformation(request) { Accepts::default() } else { accepts }
    }

    /// Compresses an answer when that is right, and says in it that it depends on what the client takes.
    pub fn apply(
        &self,
        settings: &CompressionSettings,
        method: &Method,
        accepts: &Accepts,
        mut response: Response<Outgoing>,
    ) -> Response<Outgoing> {
        if !self.enabled {
            return response;
        }
        let is_head = *method == Method::HEAD;
        let length = if is_head {
            response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok())
        } else if response.body().is_end_stream() {
            return response;
        } else {
            response.body().size_hint().exact()
        };
        if !eligible(settings, response.status(), response.headers(), length) {
            return response;
        }
        add_vary(response.headers_mut());
        let Some(coding) = accepts.best(Coding::FASTEST) else { return response };
        if is_head {
            mark(response.headers_mut(), coding);
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let body = match body.into_body() {
            Body::Full(bytes) if bytes.len() <= AT_ONCE => match compress(coding, Effort::EveryTime, &bytes) {
                Ok(smaller) if smaller.len() < bytes.len() => {
                    mark(&mut parts.headers, coding);
                    Outgoing::new(Body::Full(smaller))
                }
                _ => Outgoing::new(Body::Full(bytes)),
            },
            body => {
                let trailers = match &body {
                    Body::Stream { trailers, .. } => trailers.clone(),
                    _ => Trailers::default(),
                };
                let source = Outgoing::new(body);
                let Ok(permit) = self.streams.clone().try_acquire_owned() else {
                    return Response::from_parts(parts, source);
                };
                match Compressed::new(source, coding, permit) {
                    Ok(compressed) => {
                        mark(&mut parts.headers, coding);
                        Outgoing::new(Body::Stream { stream: compressed.boxed(), length: None, trailers })
                    }
                    // A coder fails to start only for want of memory, and then there is no answer either.
                    Err(error) => {
                        let failed = atoll_runtime::BodyError::Failed(error.to_string());
                        let stream = futures::stream::iter([Err(failed)]).boxed();
                        Outgoing::new(Body::Stream { stream, length: None, trailers })
                    }
                }
            }
        };
        Response::from_parts(parts, body)
    }
}
