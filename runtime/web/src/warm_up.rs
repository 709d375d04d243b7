//! Runs what nearly every worker runs before the snapshot is taken: the functions it calls are compiled then and have their
//! inline caches filled, and the first request of a restored isolate does not have to.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use deno_core::{JsRuntime, PollEventLoopOptions};
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::sync::oneshot;

use crate::event::{Binding, Body, FetchEvent, FetchHead, FetchResponse};
use crate::{IsolateContext, Nowhere, install, requests};

/// The handlers of typical workers. Nothing here may leave an operation, a timer or an engine object behind that a
/// snapshot cannot hold: no streams that are teed, no decoders of streams, no `crypto` (its random numbers would be every
/// isolate's; a method that refuses its receiver is compiled and draws none), no `console`. A timer that is cancelled leaves
/// its list behind unless another of the same length fires. `queueMicrotask` must be used here: at its first use the engine takes
/// the property off the global to look behind it, and puts it back, which no app should see.
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
    // What frameworks and server-side rendering do.
    "{ async fetch(request, env, ctx) { \
        const stop = new AbortController(); \
        stop.signal.addEventListener('abort', () => {}, { once: true }); stop.signal.aborted; \
        const encoder = new TextEncoder(); \
        const source = new ReadableStream({ \
            start(controller) { controller.enqueue('a'); }, \
            pull(controller) { controller.enqueue('b'); controller.close(); }, \
            cancel() {} }); \
        const encoded = source.pipeThrough(new TransformStream({ \
            transform(chunk, controller) { controller.enqueue(encoder.encode(chunk)); }, flush() {} })); \
        const decoder = new TextDecoder(); \
        const reader = encoded.getReader(); \
        for (;;) { const { done, value } = await reader.read(); if (done) break; decoder.decode(value); } \
        new Response(new ReadableStream(), { headers: { 'content-type': 'text/html; charset=utf-8' } }); \
        const { readable, writable } = new TransformStream(); \
        const writer = writable.getWriter(); \
        const written = writer.write(encoder.encode('c')).then(() => writer.close()); \
        for await (const chunk of readable) decoder.decode(chunk); \
        await written; \
        stop.abort(); \
        const bytes = new ReadableStream({ type: 'bytes', start(controller) { \
            controller.enqueue(encoder.encode('d')); controller.close(); } }); \
        return new Response(await new Response(bytes).text()) } }",
    "{ async fetch(request) { \
        const url = new URL('/a/b?c=d&e=f#g', request.url); \
        url.searchParams.append('h', 'i'); url.pathname = '/j'; url.toString(); url.href; url.origin; \
        for (const [name, value] of url.searchParams) new URLSearchParams({ [name]: value }).toString(); \
        new URLPattern({ pathname: '/a/:id' }).exec(url); \
        const copy = new Request(request, { headers: new Headers(request.headers) }); \
        new Request(url, { method: 'POST', body: 'a=b', headers: { cookie: 'a=b' } }).headers.get('cookie'); \
        const form = new FormData(); form.append('a', 'b'); form.get('a'); form.has('b'); [...form]; \
        structuredClone({ a: [1, new Date(0)] }); atob(btoa('a')); \
        clearTimeout(undefined); performance.now; new Event('a'); new EventTarget().dispatchEvent(new Event('b')); \
        const headers = new Headers({ 'set-cookie': 'a=b' }); headers.append('set-cookie', 'c=d'); \
        headers.getSetCookie(); headers.forEach(() => {}); [...headers.keys()]; headers.delete('set-cookie'); \
        const response = new Response('a', { status: 404, headers }); \
        const again = new Response(response.clone().body, response); again.headers.set('x-a', 'b'); \
        await again.text(); await copy.text(); response.ok; request.signal; \
        return Response.redirect('http://example.com/', 302) } }",
    // What is sent as it is made, and what schedulers are made of.
    "{ async fetch(request) { \
        'a b'.split(' '); navigator.userAgent; \
        for (const refuse of [() => Crypto.prototype.randomUUID.call(null), () => queueMicrotask(null)]) { \
            try { refuse() } catch {} } \
        await new Promise((resolve) => queueMicrotask(resolve)); \
        const cancelled = setTimeout(() => {}, 1); \
        await new Promise((resolve) => { setTimeout(resolve, 1); clearTimeout(cancelled); }); \
        const encoder = new TextEncoder(); \
        let chunks = 0; \
        const page = new ReadableStream({ type: 'bytes', start(controller) { controller.desiredSize; }, \
            pull(controller) { \
                controller.enqueue(encoder.encode('a')); \
                if (++chunks === 3) controller.close(); } }); \
        return new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } }) } }",
    "{ fetch(request) { \
        const response = new Response('a'); response.headers.set('x-a', 'b'); \
        return new Response(response.body, response) } }",
];

/// The flags of the engine that a snapshot is made with. A snapshot can hold what functions have seen, for their inline caches,
/// but no machine code: no function passes the filters of the compilers. They are not turned off, because how long a function
/// runs before it is optimised is in the snapshot too. Byte code that has its source positions from the start, and neither
/// compares nor catches, never changes, and isolates share it.
const SNAPSHOT_FLAGS: [&str; 4] =
    ["--no-enable-lazy-source-positions", "--no-sparkplug", "--maglev-filter=~", "--turbo-filter=~"];

/// Sets these flags. To be called before there is a runtime in the process.
///
/// # Panics
///
/// When the engine does not know one of them.
pub fn set_snapshot_flags() {
    // The first element stands for the program's name, which V8 skips.
    let flags = std::iter::once("").chain(SNAPSHOT_FLAGS).map(str::to_owned).collect();
    let unknown = deno_core::v8_set_flags(flags);
    assert!(unknown.len() <= 1, "the engine does not know {unknown:?}");
}

/// Warms `runtime` up. To be called when the snapshot is built, after the extensions were evaluated.
///
/// # Panics
///
/// When a typical worker is not answered: the web platform is broken then.
pub fn warm_up(runtime: &mut JsRuntime) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build();
    tokio.expect("a runtime without I/O needs nothing of the system").block_on(serve_all(runtime));
}

async fn serve_all(runtime: &mut JsRuntime) {
    let state = runtime.op_state();
    let env = [("JSON".to_owned(), Binding::Json("{}".into())), ("TEXT".to_owned(), Binding::Text("text".into()))];
    install(&mut state.borrow_mut(), IsolateContext::new(Arc::new(Nowhere), env.into(), 50, 6));
    for worker in WORKERS {
        let namespace = format!("{{ default: {worker} }}");
        run(runtime, format!("__atoll__.prepare({namespace}); __atoll__.start({namespace})"));
        for method in [Method::GET, Method::POST] {
            let body = if method == Method::POST { Body::Full(Bytes::from_static(b"{\"a\":1}")) } else { Body::Empty };
            let (responder, answer) = oneshot::channel();
            let accept = (HeaderName::from_static("accept"), HeaderValue::from_static("*/*"));
            let head = FetchHead {
                method,
                url: "http://example.com/path?a=b".into(),
                headers: HeaderMap::from_iter([accept]),
                ..FetchHead::default()
            };
            let event = FetchEvent::new(head, body);
            let begun = requests::begin(&mut state.borrow_mut(), event, responder).expect("a slot is free");
            let (slot, kind) = (begun.slot, begun.body.code());
            run(
                runtime,
                format!("__atoll__.dispatch({slot}, {:?}, {:?}, {kind})", begun.method().as_str(), begun.url()),
            );
            drive(runtime, async {
                match answer.await.expect("the worker answers") {
                    Ok(response) => take(response).await,
                    Err(error) => panic!("{worker} fails: {error:?}"),
                }
            })
            .await;
            requests::take_finished(&mut state.borrow_mut());
        }
    }
    run(runtime, "__atoll__.reset()".to_owned());
    assert_eq!(requests::in_flight(&state.borrow()), 0, "the warm-up leaves no request behind");
    state.borrow_mut().try_take::<IsolateContext>();
}

/// Drives the event loop until `taken` is done and nothing is under way any more.
async fn drive(runtime: &mut JsRuntime, taken: impl Future<Output = ()>) {
    let mut taken = pin!(taken);
    let mut done = false;
    std::future::poll_fn(|cx| {
        let polled = runtime.poll_event_loop(cx, PollEventLoopOptions::default());
        done = done || taken.as_mut().poll(cx).is_ready();
        match polled {
            Poll::Ready(Err(error)) => panic!("the warm-up fails: {error}"),
            Poll::Ready(Ok(())) if done => Poll::Ready(()),
            _ => Poll::Pending,
        }
    })
    .await;
}

/// Takes a response to its end.
async fn take(response: FetchResponse) {
    if let Body::Stream { mut stream, .. } = response.body {
        while let Some(chunk) = stream.next().await {
            chunk.expect("the worker's stream does not fail");
        }
    }
}

fn run(runtime: &mut JsRuntime, code: String) {
    runtime.execute_script("ext:atoll_web/warm_up", code).expect("the warm-up does not throw");
    runtime.v8_isolate().perform_microtask_checkpoint();
}
