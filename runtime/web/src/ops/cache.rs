//! The ops behind `caches`. They count as outbound requests of the request that makes them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use deno_core::{JsBuffer, OpState, op2};
use http::StatusCode;
use url::Url;

use crate::IsolateContext;
use crate::bodies::{Bodies, HostBody};
use crate::caches::{CacheRequest, CachedResponse};
use crate::coding::Coding;
use crate::event::{Body, Host, Trailers};
use crate::headers;
use crate::ops::fetch::{FetchError, Reply};
use crate::pipes::Pipes;
use crate::requests::Requests;

/// The host to ask, when the request `slot` may ask once more.
fn ask(state: &Rc<RefCell<OpState>>, slot: u32) -> Result<Arc<dyn Host>, FetchError> {
    let mut state = state.borrow_mut();
    let context = state.try_borrow::<IsolateContext>().ok_or(FetchError::Unavailable)?;
    let (host, limit) = (context.host.clone(), context.subrequests);
    if state.borrow_mut::<Requests>().count_subrequest(slot, limit) {
        Ok(host)
    } else {
        Err(FetchError::Subrequests(limit))
    }
}

fn request(cache: Option<String>, url: String, list: &str) -> Result<CacheRequest, FetchError> {
    let url = Url::parse(&url).map_err(|_| FetchError::Url(url))?;
    Ok(CacheRequest { cache, url, headers: headers::from_text(list)? })
}

/// What the cache holds; a status of 0 says that it holds nothing.
#[op2]
pub(crate) async fn op_atoll_cache_match(
    state: Rc<RefCell<OpState>>,
    #[smi] slot: u32,
    #[string] cache: Option<String>,
    #[string] url: String,
    #[string] list: String,
) -> Result<Reply, FetchError> {
    let request = request(cache, url, &list)?;
    let host = ask(&state, slot)?;
    let Some(found) = host.cache_match(request).await? else { return Ok(Reply::none()) };
    let mut reply = Reply::new(found.status, &found.headers);
    if let Some(body) = HostBody::new(found.body, slot) {
        let mut state = state.borrow_mut();
        reply.hold(state.borrow_mut::<Bodies>(), body.coded(Coding::of(&found.headers)))?;
    }
    Ok(reply)
}

/// Puts a response into the cache. `head` is its status and, after a line feed, its header list. Its body is `bytes`, or an unread body from outside, or a pipe, or none of them.
#[op2]
#[allow(clippy::too_many_arguments, reason = "one call across the boundary is cheaper than several")]
pub(crate) async fn op_atoll_cache_put(
    state: Rc<RefCell<OpState>>,
    #[smi] slot: u32,
    #[string] cache: Option<String>,
    #[string] url: String,
    #[string] request_list: String,
    #[string] head: String,
    #[buffer] bytes: Option<JsBuffer>,
    #[smi] handle: u32,
    #[smi] pipe: u32,
) -> Result<(), FetchError> {
    let request = request(cache, url, &request_list)?;
    let (status, list) = head.split_once('\n').ok_or(FetchError::Unavailable)?;
    let status: StatusCode = status.parse().map_err(|_| FetchError::Unavailable)?;
    let mut headers = headers::from_text(list)?;
    let host = ask(&state, slot)?;
    let (body, _permit) = {
        let mut state = state.borrow_mut();
        if let Some(bytes) = bytes {
            (Body::Full(Bytes::copy_from_slice(&bytes)), None)
        } else if handle != 0 {
            let body = state.borrow_mut::<Bodies>().take(handle).ok_or(FetchError::BodyUsed)?;
            body.into_described(&mut headers)
        } else if pipe != 0 {
            let (stream, length) = state.borrow_mut::<Pipes>().take(pipe).ok_or(FetchError::BodyUsed)?;
            (Body::Stream { stream, length, trailers: Trailers::default() }, None)
        } else {
            (Body::Empty, None)
        }
    };
    host.cache_put(request, CachedResponse { status, headers, body }).await?;
    Ok(())
}

/// Forgets what the cache holds; whether there was something.
#[op2]
pub(crate) async fn op_atoll_cache_delete(
    state: Rc<RefCell<OpState>>,
    #[smi] slot: u32,
    #[string] cache: Option<String>,
    #[string] url: String,
    #[string] list: String,
) -> Result<bool, FetchError> {
    let request = request(cache, url, &list)?;
    let host = ask(&state, slot)?;
    Ok(host.cache_delete(request).await?)
}
