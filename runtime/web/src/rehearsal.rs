//! What a restored isolate rehearses with before it is given a worker: a worker of the platform's own and one request to it.
//! What happens once in an isolate (shapes of objects, literals, functions called for the first time, tables made) the start
//! of an app and its first request then find done.

use std::sync::Arc;

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, header};

use crate::IsolateContext;
use crate::event::{Body, FetchEvent, FetchFailure, FetchHead, Host, LogRecord, OutboundRequest, OutboundResponse};

/// The world of code that is not an app's, or must not see the world yet: no network, no log.
pub struct Nowhere;

impl Host for Nowhere {
    fn fetch(&self, _request: OutboundRequest) -> BoxFuture<'static, Result<OutboundResponse, FetchFailure>> {
        let failure = FetchFailure { code: "closed", message: "there is no network before the first request".into() };
        Box::pin(std::future::ready(Err(failure)))
    }

    fn log(&self, _record: LogRecord) {}
}

/// A module that does what most workers do. The engine compiles a function in parentheses with the module, instead of
/// reading it twice.
pub const WORKER: &str = r#"
export default {
  fetch: (async function (request) {
    const { pathname } = new URL(request.url);
    const type = request.headers.get("accept") ?? "text/plain";
    const response = new Response(pathname, { headers: { "content-type": type } });
    const again = new Response(response.body, response);
    for (const [name, value] of response.headers.entries()) again.headers.set(name, value);
    return again;
  }),
};
"#;

/// What it may ask of the world: nothing.
pub fn context() -> IsolateContext {
    IsolateContext::new(Arc::new(Nowhere), Vec::new().into(), 0, 1)
}

/// Its one request.
pub fn request() -> FetchEvent {
    let head = FetchHead {
        url: "http://example.com/path?a=b".into(),
        headers: HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("*/*"))]),
        ..FetchHead::default()
    };
    FetchEvent::new(head, Body::Empty)
}
