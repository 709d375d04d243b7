//! Runs what nearly every worker runs, once, before the snapshot is taken: the functions it calls are compiled then, and
//! the first request of a restored isolate does not have to.

use std::sync::Arc;

use bytes::Bytes;
use deno_core::JsRuntime;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::sync::oneshot;

use crate::event::{Binding, Body, FetchEvent, FetchFailure, Host, LogRecord, OutboundRequest, OutboundResponse};
use crate::{IsolateContext, install, requests};

/// The handlers of typical workers. Nothing here may leave an operation, a timer or an engine object behind that a
/// snapshot cannot hold: no streams that are pumped, no `crypto`, no `console`.
const WORKERS: &[&str] = &[
    "{ fetch(request) { return new Response('text') } }",
    "{ fetch(request) { \
        const { hostname, pathname, search } = new URL(request.url); \
        return new Response(hostname + pathname + search, { headers: { 'content-type': 'text/plain' } }) } }",
    "{ async fetch(request, env, ctx) { \
        const url = new URL(request.url); \
        url.searchParams.get('a'); url.pathname; request.method; request.headers.get('accept'); \
        ctx.waitUntil(Promise.resolve()); \
        return Response.json({ a: 1, b: env.TEXT }, { status: 201, headers: { 'x-a': 'b' } }) } }",
    "{ async fetch(request) { \
        const body = request.method === 'POST' ? await request.json() : null; \
        const headers = new Headers([['content-type', 'application/json']]); \
        headers.set('x-a', 'b'); headers.append('x-c', 'd'); headers.has('x-e'); \
        for (const [name, value] of request.headers) headers.set('y-' + name, value); \
        return new Response(new TextEncoder().encode(JSON.stringify(body)), { headers }) } }",
    "{ async fetch(request) { await request.text(); return new Response(null, { status: 204 }) } }",
];

struct Nowhere;

impl Host for Nowhere {
    fn fetch(&self, _request: OutboundRequest) -> BoxFuture<'static, Result<OutboundResponse, FetchFailure>> {
        let failure = FetchFailure { code: "closed", message: "there is no network while a snapshot is made".into() };
        Box::pin(std::future::ready(Err(failure)))
    }

    fn log(&self, _record: LogRecord) {}
}

/// Warms `runtime` up. To be called when the snapshot is built, after the extensions were evaluated.
///
/// # Panics
///
/// When a typical worker is not answered: the web platform is broken then.
pub fn warm_up(runtime: &mut JsRuntime) {
    let state = runtime.op_state();
    let env = [("JSON".to_owned(), Binding::Json("{}".into())), ("TEXT".to_owned(), Binding::Text("text".into()))];
    install(&mut state.borrow_mut(), IsolateContext::new(Arc::new(Nowhere), env.into(), 50, 6));
    for worker in WORKERS {
        let namespace = format!("{{ default: {worker} }}");
        run(runtime, format!("__atoll__.prepare({namespace}); __atoll__.start({namespace})"));
        for method in [Method::GET, Method::POST] {
            let body = if method == Method::POST { Body::Full(Bytes::from_static(b"{\"a\":1}")) } else { Body::Empty };
            let (responder, mut answer) = oneshot::channel();
            let event = FetchEvent {
                method,
                url: "http://example.com/path?a=b".into(),
                headers: HeaderMap::from_iter([(HeaderName::from_static("accept"), HeaderValue::from_static("*/*"))]),
                body,
                request_id: String::new(),
                cf: None,
            };
            let begun = requests::begin(&mut state.borrow_mut(), event, responder).expect("a slot is free");
            let (slot, kind) = (begun.slot, begun.body.code());
            run(runtime, format!("__atoll__.dispatch({slot}, {:?}, {:?}, {kind})", begun.method.as_str(), begun.url));
            let answered = answer.try_recv().expect("the worker answers without waiting for anything");
            answered.expect("the worker answers with a response");
            requests::take_finished(&mut state.borrow_mut());
        }
    }
    run(runtime, "__atoll__.reset()".to_owned());
    assert_eq!(requests::in_flight(&state.borrow()), 0, "the warm-up leaves no request behind");
    state.borrow_mut().try_take::<IsolateContext>();
}

fn run(runtime: &mut JsRuntime, code: String) {
    runtime.execute_script("ext:atoll_web/warm_up", code).expect("the warm-up does not throw");
    runtime.v8_isolate().perform_microtask_checkpoint();
}
