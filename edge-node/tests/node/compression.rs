//! Compression of what apps answer.

use std::collections::BTreeMap;
use std::convert::Infallible;

use atoll_edge_node::EdgeNode;
use atoll_protocol::config::CompressionSettings;
use atoll_runtime::Engine;
use bytes::Bytes;
use futures::channel::mpsc;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::support::{Here, app, bundle, config, decoded, eventually, http1, http2, node, request};

const CODE: &str = "
const text = 'all work and no play makes a dull page. '.repeat(400);
const page = (headers) => new Response(text, { headers: { 'content-type': 'text/html', ...headers } });
let calls = 0;
export default { async fetch(request) {
    const { pathname } = new URL(request.url);
    switch (pathname) {
        case '/etag': return page({ etag: '\"v1\"' });
        case '/small': return new Response('small', { headers: { 'content-type': 'text/html' } });
        case '/picture': return page({ 'content-type': 'image/png' });
        case '/encoded': return page({ 'content-encoding': 'made-up' });
        case '/fixed': return page({ 'cache-control': 'no-transform' });
        case '/cookie': return page({ 'set-cookie': 'a=b' });
        case '/private': return page({ 'cache-control': 'private' });
        case '/cached': return page({ 'cache-control': 's-maxage=600', etag: '\"v2\"', 'x-call': String(++calls) });
        case '/length': return new Response(text, { headers: { 'content-type': 'text/plain', 'content-length': '16000' } });
        case '/events': {
            const { readable, writable } = new TransformStream();
            const writer = writable.getWriter();
            const encoder = new TextEncoder();
            const reader = request.body.getReader();
            (async () => {
                await writer.write(encoder.encode('data: first\\n\\n'));
                await reader.read();
                await writer.write(encoder.encode('data: second\\n\\n'));
                await writer.close();
            })();
            return new Response(readable, { headers: { 'content-type': 'text/event-stream' } });
        }
    }
    return page();
} };";

struct Got {
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask(node: &EdgeNode, method: Method, path: &str, accepts: &str) -> Got {
    let request = request(node, "a", path).method(method).header("accept-encoding", accepts);
    let response = http1().request(request.body(Full::default()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    Got { headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

async fn get(node: &EdgeNode, path: &str, accepts: &str) -> Got {
    ask(node, Method::GET, path, accepts).await
}

/// What the client takes is what it gets, and the fields say so.
pub async fn is_as_the_client_takes_it(engine: Engine) {
    let node = node(config(), &engine, &[("a", CODE)]).await;
    let plain = get(&node, "/", "identity").await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "Accept-Encoding"));
    assert_eq!(plain.body.len(), 16_000);
    for (accepts, coding) in
        [("gzip, deflate, br, zstd", "zstd"), ("gzip, br", "gzip"), ("br", "br"), ("gzip;q=0.1, br;q=0.9", "br")]
    {
        let got = get(&node, "/", accepts).await;
        assert_eq!(got.header("content-encoding"), coding, "{accepts}");
        assert_eq!(got.header("vary"), "Accept-Encoding");
        assert_eq!(decoded(coding, &got.body), plain.body);
        assert!(got.body.len() < 1000);
        let head = ask(&node, Method::HEAD, "/length", accepts).await;
        assert_eq!((head.header("content-encoding"), head.header("content-length")), (coding, ""), "{accepts}");
    }
    assert_eq!(get(&node, "/etag", "gzip").await.header("etag"), "W/\"v1\"");
    assert_eq!(get(&node, "/etag", "identity").await.header("etag"), "\"v1\"");
    let response =
        http2().request(request(&node, "a", "/").header("accept-encoding", "br").body(Full::default()).unwrap());
    assert_eq!(response.await.unwrap().headers()["content-encoding"], "br");
}

/// What does not get smaller, must not change or could leak is left as it is; apps and operators choose.
pub async fn leaves_alone_what_it_should(engine: Engine) {
    let node = node(config(), &engine, &[("a", CODE)]).await;
    for path in ["/small", "/picture", "/fixed", "/cookie", "/private"] {
        let got = get(&node, path, "gzip, br").await;
        assert_eq!((got.header("content-encoding"), got.header("vary")), ("", ""), "{path}");
    }
    assert_eq!(get(&node, "/encoded", "gzip").await.header("content-encoding"), "made-up");
    let part = http1().request(
        request(&node, "a", "/")
            .header("accept-encoding", "gzip")
            .header("cache-control", "no-transform")
            .body(Full::default())
            .unwrap(),
    );
    assert!(!part.await.unwrap().headers().contains_key("content-encoding"));

    let install = |settings: CompressionSettings| {
        let mut state = app("a", 2, CODE);
        state.versions.get_mut(&2).unwrap().config.compression = settings;
        node.install(state, bundle(CODE), &BTreeMap::new());
    };
    install(CompressionSettings { enabled: true, personal: true });
    for path in ["/cookie", "/private"] {
        assert_eq!(get(&node, path, "gzip").await.header("content-encoding"), "gzip", "{path}");
    }
    install(CompressionSettings { enabled: false, personal: false });
    assert_eq!(get(&node, "/", "gzip").await.header("content-encoding"), "");
    let mut off = config();
    off.compression.enabled = false;
    let node = self::node(off, &engine, &[("a", CODE)]).await;
    let got = get(&node, "/", "gzip").await;
    assert_eq!((got.header("content-encoding"), got.header("vary")), ("", ""));
}

/// An event of a stream arrives before the next one is made.
pub async fn does_not_delay_streams(engine: Engine) {
    let node = node(config(), &engine, &[("a", CODE)]).await;
    for coding in ["gzip", "br", "zstd"] {
        let (mut go_on, body) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
        let request = request(&node, "a", "/events").method(Method::POST).header("accept-encoding", coding);
        let client =
            Client::builder(TokioExecutor::new()).http2_only(true).build(HttpConnector::new_with_resolver(Here));
        let mut answer = client.request(request.body(StreamBody::new(body)).unwrap()).await.unwrap();
        assert_eq!(answer.headers()["content-encoding"], coding);
        let mut received = Vec::new();
        // The second event is made only when the first is here.
        while decoded(coding, &received) != b"data: first\n\n" {
            received.extend_from_slice(&answer.frame().await.unwrap().unwrap().into_data().unwrap());
        }
        go_on.try_send(Ok(Frame::data("go on".into()))).unwrap();
        drop(go_on);
        received.extend_from_slice(&answer.collect().await.unwrap().to_bytes());
        assert_eq!(decoded(coding, &received), b"data: first\n\ndata: second\n\n");
    }
}

/// What the front cache has, it has compressed, whole for those who take it and plain for the others.
pub async fn is_kept_with_what_is_cached(engine: Engine) {
    let node = node(config(), &engine, &[("a", CODE)]).await;
    let first = get(&node, "/cached", "identity").await;
    assert!(first.header("cache-status").contains("fwd=uri-miss"), "{}", first.header("cache-status"));
    for coding in ["br", "zstd", "gzip"] {
        // A variant that is kept has a known length.
        eventually("the variant is kept", async || {
            let got = get(&node, "/cached", coding).await;
            assert!(got.header("cache-status").contains("hit"), "{}", got.header("cache-status"));
            assert_eq!(
                (got.header("content-encoding"), got.header("x-call"), got.header("etag")),
                (coding, "1", "W/\"v2\"")
            );
            assert_eq!(got.header("vary"), "Accept-Encoding");
            assert_eq!(decoded(coding, &got.body), first.body);
            got.header("content-length") == got.body.len().to_string()
        })
        .await;
    }
    let plain = get(&node, "/cached", "identity").await;
    assert_eq!((plain.body, plain.headers["etag"].to_str().unwrap()), (first.body, "\"v2\""));
    let part = request(&node, "a", "/cached").header("accept-encoding", "br").header("range", "bytes=0-2");
    let part = http1().request(part.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!((part.status().as_u16(), part.headers().get("content-encoding")), (206, None));
    let same = request(&node, "a", "/cached").header("accept-encoding", "br").header("if-none-match", "W/\"v2\"");
    let same = http1().request(same.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(same.status(), 304);
}
