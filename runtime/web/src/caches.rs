//! What crosses the boundary of an isolate for the Cache API.

use http::{HeaderMap, StatusCode};

use crate::event::Body;

/// What is looked for, kept or forgotten. Only requests with the method GET, or such as count as one, come here.
#[derive(Debug)]
pub struct CacheRequest {
    /// The name given to `caches.open`; `None` is `caches.default`.
    pub cache: Option<String>,
    /// Absolute `http:` or `https:` URL without a fragment.
    pub url: url::Url,
    /// The request's headers: conditions, ranges, and what `Vary` of a response refers to.
    pub headers: HeaderMap,
}

/// A response on its way into a cache or out of it.
#[derive(Debug)]
pub struct CachedResponse {
    /// The status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, in the coding that `Content-Encoding` names.
    pub body: Body,
}
