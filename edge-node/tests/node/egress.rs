//! What apps reach, and how.

use atoll_runtime::Engine;
use bytes::Bytes;
use http_body_util::Full;

use crate::support::{app, bundle, config, get, http1, node, request, says, send};

/// Fetches what the path names and answers with it, or with the error.
const PROXY: &str = "export default { async fetch(request) {
    const url = new URL(request.url).searchParams.get('url');
    const { method, headers, body } = request;
    try { return await fetch(url, { method, headers, body }); }
    catch (error) { return new Response(String(error), { status: 599 }); }
} };";

/// The node's own address is not reachable for apps unless its operator allows it.
pub async fn reaches_only_what_is_allowed(engine: Engine) {
    let origin = node(config(), &engine, &[("origin", &says("from the origin"))]).await;
    let port = origin.local_addr().port();
    let closed = node(config(), &engine, &[("proxy", PROXY)]).await;
    for host in ["127.0.0.1", "origin.localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433"] {
        let answer = get(&closed, "proxy", &format!("/?url=http://{host}:{port}/")).await;
        assert_eq!(answer.status, 599, "{host}");
        assert!(answer.body.contains("TypeError") && answer.body.contains("not allowed"), "{host}: {}", answer.body);
    }
    let mut open = config();
    open.egress.allow = vec!["127.0.0.0/8".parse().unwrap()];
    let open = node(open, &engine, &[("proxy", PROXY)]).await;
    let answer = get(&open, "proxy", &format!("/?url=http://origin.localhost:{port}/")).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "from the origin"));
    let answer = get(&open, "proxy", &format!("/?url=https://origin.localhost:{port}/")).await;
    assert!(answer.body.contains("no secure connection to origin.localhost"), "{}", answer.body);
    let answer = get(&open, "proxy", "/?url=http://127.0.0.1:22/").await;
    assert!(answer.body.contains("port 22"), "{}", answer.body);
    let answer = get(&open, "proxy", "/?url=http://127.0.0.1:1/").await;
    assert!(answer.status == 599, "{}", answer.body);
}

/// Bodies go through an app to an origin and back.
pub async fn streams_both_ways(engine: Engine) {
    let echo = "export default { async fetch(request) { return new Response(request.body, {
        headers: { 'x-length': (request.headers.get('content-length') ?? 'unknown') } }); } };";
    let mut open = config();
    open.egress.allow = vec!["127.0.0.0/8".parse().unwrap()];
    let node = node(open, &engine, &[("proxy", PROXY), ("echo", echo)]).await;
    let body = Bytes::from(vec![b'x'; 300_000]);
    let uri = format!("/?url=http://echo.localhost:{}/", node.local_addr().port());
    let post = request(&node, "proxy", &uri).method("POST").body(Full::new(body.clone())).unwrap();
    let answer = send(&http1(), post).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body.as_bytes(), body);
}

/// After `passThroughOnException` the origin answers in the app's stead, and gets the body, unless the app has read of one that
/// was too long to be kept.
pub async fn passes_through_to_the_origin(engine: Engine) {
    let origin_code = "export default { async fetch(request) { return new Response('origin ' + new URL(request.url).pathname + await request.text()); } };";
    let mut open = config();
    open.egress.allow = vec!["127.0.0.0/8".parse().unwrap()];
    let node = node(open, &engine, &[("origin", origin_code)]).await;
    let code = "export default { async fetch(request, env, ctx) {
        ctx.passThroughOnException();
        if (request.url.endsWith('/read')) await request.text();
        throw new Error('x');
    } };";
    let mut state = app("a", 1, code);
    let origin = format!("http://origin.localhost:{}", node.local_addr().port());
    state.versions.get_mut(&1).unwrap().config.origin = Some(origin);
    node.install(state, bundle(code), &Default::default());
    let answer = get(&node, "a", "/the/path").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "origin /the/path"));
    let post = |path: &str| request(&node, "a", path).method("POST").body(Full::from("x")).unwrap();
    assert_eq!(send(&http1(), post("/")).await.body, "origin /x");
    assert_eq!(send(&http1(), post("/read")).await.body, "origin /readx");
    let long = request(&node, "a", "/read").method("POST").body(Full::from(vec![b'x'; 9 << 10])).unwrap();
    assert_eq!(send(&http1(), long).await.error(), "handler-exception");
}

/// An app that fetches itself is cut off after so many rounds.
pub async fn cuts_loops(engine: Engine) {
    let code = "export default { fetch(request) { return fetch(request); } };";
    let mut open = config();
    open.egress.allow = vec!["127.0.0.0/8".parse().unwrap()];
    open.egress.loop_depth = 3;
    let node = node(open, &engine, &[("self", code)]).await;
    let answer = get(&node, "self", "/").await;
    let seen = format!("{} {} {}", answer.status, answer.error(), answer.body);
    assert!(seen.contains("loop") || seen.contains("already passed"), "{seen}");
}
