//! Apps that are proxies of an origin, and the client that they and `fetch` share.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use atoll_edge_node::{Config, EdgeNode};
use atoll_protocol::config::{ProxyProtocol, ProxySettings};
use atoll_runtime::Engine;
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Here, app, bundle, config, eventually, get, http1, http2, node, request, says, send};

type Sent = BoxBody<Bytes, Infallible>;

pub(crate) fn whole(text: impl Into<Bytes>) -> Sent {
    Full::new(text.into()).boxed()
}

fn with_trailers(text: &'static str, name: &'static str, value: &'static str) -> Sent {
    let mut fields = HeaderMap::new();
    fields.insert(name, HeaderValue::from_static(value));
    let frames = [Frame::data(Bytes::from_static(text.as_bytes())), Frame::trailers(fields)];
    BodyExt::boxed(StreamBody::new(futures::stream::iter(frames.map(Ok))))
}

/// A server that speaks HTTP/1.1 and HTTP/2 in clear text.
async fn origin<F, A>(handler: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Sent>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handler = handler.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let answer = handler(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                // A client that goes away is no failure here.
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// A server of bytes: connection by connection.
pub(crate) async fn raw_origin<F, A>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream, usize) -> A + Send + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            tokio::spawn(serve(stream, number));
        }
    });
    address
}

/// Reads to the end of a request's head; false at the connection's end.
async fn read_head(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => seen.push(byte),
            Err(_) => return false,
        }
    }
    true
}

pub(crate) fn settings(address: SocketAddr) -> ProxySettings {
    ProxySettings {
        url: format!("http://{address}"),
        preserve_host: false,
        protocol: ProxyProtocol::Auto,
        answer_timeout_ms: None,
        idle_timeout_ms: None,
    }
}

pub(crate) fn open() -> Config {
    let mut config = config();
    config.egress.allow = vec!["127.0.0.0/8".parse().unwrap()];
    config
}

fn install(node: &EdgeNode, name: &str, settings: ProxySettings) {
    let code = "export {};";
    let mut state = app(name, 1, code);
    state.versions.get_mut(&1).unwrap().config.proxy = Some(settings);
    node.install(state, bundle(code), &Default::default());
}

/// A node with one proxy called `p`.
pub(crate) async fn proxy(config: Config, engine: &Engine, settings: ProxySettings) -> EdgeNode {
    let node = node(config, engine, &[]).await;
    install(&node, "p", settings);
    node
}

/// Says what it was sent.
async fn mirror(request: Request<Incoming>) -> Response<Sent> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut text = format!("{} {} {:?}\n", parts.method, parts.uri, parts.version);
    for (name, value) in &parts.headers {
        text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
    }
    text.push_str(&format!("\n{}", String::from_utf8_lossy(&body)));
    Response::builder()
        .status(201)
        .header("x-origin", "yes")
        .header("keep-alive", "timeout=5")
        .body(whole(text))
        .unwrap()
}

/// Method, path, query, headers and body arrive as they were sent, but for what concerns a connection; `Host` is the
/// origin's or the client's; no JavaScript runs.
pub async fn forwards_to_the_origin(engine: Engine) {
    let address = origin(mirror).await;
    let node = proxy(open(), &engine, settings(address)).await;
    let put = request(&node, "p", "/a/../b//c?q=%2f&r")
        .method("PUT")
        .header("x-own", "1")
        .header("connection", "x-once")
        .header("x-once", "1")
        .header("x-forwarded-for", "192.0.2.1")
        .body(Full::from("the body"))
        .unwrap();
    let answer = send(&http1(), put).await;
    let seen = &answer.body;
    assert_eq!((answer.status.as_u16(), answer.header("x-origin")), (201, "yes"), "{seen}");
    assert!(!answer.headers.contains_key("keep-alive"));
    assert!(seen.starts_with("PUT /a/../b//c?q=%2f&r HTTP/1.1\n"), "{seen}");
    assert!(seen.ends_with("\n\nthe body") && seen.contains("\ncontent-length: 8\n"), "{seen}");
    let port = node.local_addr().port();
    for line in [
        format!("host: {address}"),
        format!("x-forwarded-host: p.localhost:{port}"),
        "x-forwarded-for: 192.0.2.1, 127.0.0.1".into(),
        "x-forwarded-proto: http".into(),
        "via: 1.1 atoll".into(),
        "cdn-loop: atoll".into(),
        "x-own: 1".into(),
    ] {
        assert!(seen.contains(&format!("\n{line}\n")), "{line} is not in\n{seen}");
    }
    assert!(!seen.contains("x-once"), "{seen}");
    assert_eq!(node.live_isolates(), 0);

    install(&node, "kept", ProxySettings { preserve_host: true, ..settings(address) });
    let answer = get(&node, "kept", "/").await;
    assert!(answer.body.contains(&format!("\nhost: kept.localhost:{port}\n")), "{}", answer.body);
    // Over HTTP/2 it is in the URL.
    let http2_only = ProxySettings { preserve_host: true, protocol: ProxyProtocol::Http2, ..settings(address) };
    install(&node, "new", http2_only);
    let answer = get(&node, "new", "/x").await;
    let expected = format!("GET http://new.localhost:{port}/x HTTP/2.0\n");
    assert!(answer.body.starts_with(&expected), "{}", answer.body);
}

/// An origin is as far away as the node's policy says for `fetch`.
pub async fn obeys_the_address_policy(engine: Engine) {
    let address = origin(mirror).await;
    let node = proxy(config(), &engine, settings(address)).await;
    let answer = get(&node, "p", "/").await;
    assert_eq!((answer.status.as_u16(), answer.error()), (502, "origin-unreachable"), "{}", answer.body);
    assert!(answer.body.contains("not allowed"), "{}", answer.body);
}

/// The cache in front of an app is in front of an origin too.
pub async fn caches_what_the_origin_allows(engine: Engine) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let address = origin(move |_| {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            Response::builder().header("cache-control", "public, max-age=600").body(whole(number.to_string())).unwrap()
        }
    })
    .await;
    let node = proxy(open(), &engine, settings(address)).await;
    // The first answer shows that there is something to store.
    eventually("it is answered from the cache", async || {
        get(&node, "p", "/").await.header("cache-status").contains("hit")
    })
    .await;
    let before = asked.load(Ordering::Relaxed);
    get(&node, "p", "/").await;
    assert_eq!(asked.load(Ordering::Relaxed), before);
}

/// Messages cross a proxy in both directions.
pub async fn carries_websockets(engine: Engine) {
    let echo = "export default { fetch(request) {
        const [near, far] = Object.values(new WebSocketPair());
        far.accept();
        far.addEventListener('message', ({ data }) => far.send('echo ' + data));
        const protocol = request.headers.get('sec-websocket-protocol');
        return new Response(null, { status: 101, webSocket: near, headers: { 'sec-websocket-protocol': protocol } });
    } };";
    let node = node(open(), &engine, &[("echo", echo)]).await;
    let url = format!("http://echo.localhost:{}", node.local_addr().port());
    install(&node, "p", ProxySettings { url, ..settings(node.local_addr()) });
    let handshake = Request::builder()
        .uri(format!("ws://p.localhost:{}/", node.local_addr().port()))
        .header("host", "p.localhost")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", "chat")
        .body(())
        .unwrap();
    let stream = TcpStream::connect(node.local_addr()).await.unwrap();
    let (mut socket, answer) = tokio_tungstenite::client_async(handshake, stream).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("echo hello"));
    socket.close(None).await.unwrap();
}

/// Trailers cross proxies and `fetch`, in both directions.
pub async fn passes_trailers_on(engine: Engine) {
    let address = origin(|request: Request<Incoming>| async move {
        let welcome = request.headers().get("te").is_some_and(|te| te == "trailers");
        let collected = request.into_body().collect().await.unwrap();
        let sent = collected.trailers().is_some_and(|fields| fields.len() == 1 && fields["x-sum"] == "7");
        let body = with_trailers("the body", "grpc-status", "0");
        Response::builder()
            .header("x-seen", format!("{welcome} {sent}"))
            .header("trailer", "grpc-status")
            .body(body)
            .unwrap()
    })
    .await;
    let code = "export default { fetch(request) {
        const url = new URL(request.url);
        return fetch(ORIGIN + url.pathname, { method: request.method, headers: request.headers, body: request.body });
    } };"
        .replace("ORIGIN", &format!("'http://{address}'"));
    let node = node(open(), &engine, &[("code", &code)]).await;
    install(&node, "h1", settings(address));
    install(&node, "h2", ProxySettings { protocol: ProxyProtocol::Http2, ..settings(address) });
    let client: Client<_, Sent> =
        Client::builder(TokioExecutor::new()).http2_only(true).build(HttpConnector::new_with_resolver(Here));
    for name in ["h2", "h1", "code"] {
        let body = with_trailers("sent", "x-sum", "7");
        let post = request(&node, name, "/").method("POST").header("te", "trailers").header("trailer", "x-sum");
        let answer = client.request(post.body(body).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200, "{name}");
        assert_eq!(answer.headers()["x-seen"], "true true", "{name}");
        let collected = answer.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().expect(name)["grpc-status"], "0", "{name}");
        assert_eq!(collected.to_bytes(), "the body", "{name}");
    }
    // HTTP/1.1 has them at the end of a chunked body, for clients that say so.
    let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
    let asks = b"GET / HTTP/1.1\r\nHost: h1.localhost\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n";
    stream.write_all(asks).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("0\r\ngrpc-status: 0\r\n\r\n"), "{answer}");
}

/// A client that asks whether to go on is told so; hints that come before an answer are no answer.
pub async fn goes_on_and_waits_for_the_answer(engine: Engine) {
    let address = raw_origin(|mut stream, _| async move {
        while read_head(&mut stream).await {
            let answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
                HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    let node = proxy(open(), &engine, settings(address)).await;
    let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nHost: p.localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abc").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\ndone"), "{answer}");
}

/// An origin that does not answer in time, breaks off, or talks nonsense gets a code each.
pub async fn says_what_is_wrong_with_an_origin(engine: Engine) {
    let node = node(open(), &engine, &[]).await;
    let expect = async |name: &str, settings: ProxySettings, status: u16, code: &str| {
        install(&node, name, settings);
        let answer = get(&node, name, "/").await;
        assert_eq!((answer.status.as_u16(), answer.error()), (status, code), "{name}: {}", answer.body);
    };
    let silent = raw_origin(|mut stream, _| async move { while read_head(&mut stream).await {} }).await;
    let quick = ProxySettings { answer_timeout_ms: Some(50), ..settings(silent) };
    expect("silent", quick, 504, "origin-timeout").await;
    // Interim answers without end are no answer, whatever they are of.
    for interim in ["102 Processing\r\n\r\n", "103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"] {
        let endless = raw_origin(move |mut stream, _| async move {
            read_head(&mut stream).await;
            while stream.write_all(format!("HTTP/1.1 {interim}").repeat(100).as_bytes()).await.is_ok() {}
        })
        .await;
        let quick = ProxySettings { answer_timeout_ms: Some(500), ..settings(endless) };
        expect("endless", quick, 504, "origin-timeout").await;
    }
    let closing = raw_origin(|mut stream, _| async move { assert!(read_head(&mut stream).await) }).await;
    expect("closing", settings(closing), 502, "origin-unreachable").await;
    let nonsense = raw_origin(|mut stream, _| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"SSH-2.0-nonsense\r\n\r\n").await;
    })
    .await;
    expect("nonsense", settings(nonsense), 502, "origin-unreachable").await;
    let no_tls = raw_origin(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let secure = ProxySettings { url: format!("https://{no_tls}"), ..settings(no_tls) };
    expect("secure", secure, 502, "origin-unreachable").await;

    // A body that stops coming breaks off.
    let stalling = raw_origin(|mut stream, _| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
        read_head(&mut stream).await;
    })
    .await;
    install(&node, "stalling", ProxySettings { idle_timeout_ms: Some(50), ..settings(stalling) });
    let asked = request(&node, "stalling", "/").body(Full::default()).unwrap();
    let answer = http1().request(asked).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.into_body().collect().await.is_err());
}

/// Several failures in a row, and an origin is left alone for a while; then one request finds that it is back.
pub async fn breaks_the_circuit(engine: Engine) {
    let failing = Arc::new(AtomicUsize::new(0));
    let served = failing.clone();
    let address = raw_origin(move |mut stream, _| {
        let served = served.clone();
        async move {
            read_head(&mut stream).await;
            if served.fetch_add(1, Ordering::Relaxed) >= 3 {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback").await;
            }
        }
    })
    .await;
    let mut config = open();
    config.egress.breaker_failures = 3;
    config.egress.breaker_pause_ms = 300;
    let node = proxy(config, &engine, settings(address)).await;
    for _ in 0..3 {
        assert_eq!(get(&node, "p", "/").await.error(), "origin-unreachable");
    }
    let answer = get(&node, "p", "/").await;
    // On a slow machine the pause may be over.
    if answer.status != 200 {
        assert_eq!((answer.status.as_u16(), answer.error()), (503, "origin-circuit-open"), "{}", answer.body);
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(failing.load(Ordering::Relaxed), 3, "the origin was left alone");
    }
    // Another app is not concerned.
    install(&node, "other", settings(address));
    assert_eq!(get(&node, "other", "/").await.body, "back");
    eventually("the origin is tried again", async || get(&node, "p", "/").await.body == "back").await;
}

/// Opens a WebSocket to another host, or fetches it, and says what went wrong.
const GATEWAY: &str = r#"
const kept = [];
export default { async fetch(request) {
    const url = new URL(request.url);
    const to = url.searchParams.get('to');
    try {
        if (url.pathname !== '/open') return new Response(await (await fetch(to)).text());
        const { webSocket } = await fetch(to, { headers: { Upgrade: 'websocket' } });
        webSocket.accept();
        kept.push(webSocket);
        return new Response('open');
    } catch ({ message }) {
        return new Response(message);
    }
} };"#;

/// WebSockets to an origin count among the connections to it, and for its circuit breaker.
pub async fn counts_websockets(engine: Engine) {
    let over = Arc::new(Notify::new());
    let ends = over.clone();
    let address = raw_origin(move |mut stream, number| {
        let ends = ends.clone();
        async move {
            if number == 0 {
                let socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                ends.notified().await;
                drop(socket);
            } else {
                read_head(&mut stream).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nthis").await;
            }
        }
    })
    .await;
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = attempts.clone();
    let failing = raw_origin(move |mut stream, _| {
        let counted = counted.clone();
        async move {
            read_head(&mut stream).await;
            counted.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
    let mut config = open();
    config.isolates.max_per_version = 1;
    (config.egress.origin_connections, config.egress.origin_queue) = (1, 0);
    (config.egress.breaker_failures, config.egress.breaker_pause_ms) = (3, 600_000);
    let node = node(config, &engine, &[("gateway", GATEWAY)]).await;
    let ask = async |path: &str, to: SocketAddr| get(&node, "gateway", &format!("{path}?to=http://{to}/")).await.body;
    assert_eq!(ask("/open", address).await, "open");
    for path in ["/", "/open"] {
        let busy = ask(path, address).await;
        assert!(busy.contains("has as many requests of this app under way"), "{busy}");
    }
    over.notify_one();
    eventually("its place is free again", async || ask("/", address).await == "this").await;
    for _ in 0..3 {
        let lost = ask("/open", failing).await;
        assert!(lost.contains("closed the connection before it answered"), "{lost}");
    }
    for path in ["/open", "/"] {
        let left = ask(path, failing).await;
        assert!(left.contains("has failed several times in a row"), "{left}");
    }
    assert_eq!(attempts.load(Ordering::Relaxed), 3, "the origin was left alone");
}

/// A connection that ends just as a request comes costs nobody an answer, where that is safe.
pub async fn sends_again_where_that_is_safe(engine: Engine) {
    let posts = Arc::new(AtomicUsize::new(0));
    let counted = posts.clone();
    // Every connection answers once, takes one more request, and ends.
    let address = raw_origin(move |mut stream, _| {
        let counted = counted.clone();
        async move {
            counted.fetch_add(usize::from(read_head(&mut stream).await), Ordering::Relaxed);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
            counted.fetch_add(usize::from(read_head(&mut stream).await), Ordering::Relaxed);
        }
    })
    .await;
    let node = proxy(open(), &engine, settings(address)).await;
    let client = http1();
    for _ in 0..4 {
        let answer = send(&client, request(&node, "p", "/").body(Full::default()).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "done"));
    }
    let before = posts.load(Ordering::Relaxed);
    let mut sent = 0;
    eventually("a request comes as its connection ends", async || {
        sent += 1;
        let post = request(&node, "p", "/").method("POST").body(Full::from("x")).unwrap();
        send(&client, post).await.error() == "origin-unreachable"
    })
    .await;
    assert!(posts.load(Ordering::Relaxed) - before <= sent, "what may have been acted on is not sent twice");
}

/// An app has its number of connections to an origin; others wait in a queue that has an end, and another app does not
/// feel it.
pub async fn caps_connections(engine: Engine) {
    let (free, asked) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (go, counted) = (free.clone(), asked.clone());
    let address = origin(move |_| {
        let (go, counted) = (go.clone(), counted.clone());
        async move {
            counted.fetch_add(1, Ordering::SeqCst);
            go.acquire().await.unwrap().forget();
            Response::new(whole("done"))
        }
    })
    .await;
    let mut config = open();
    config.egress.origin_connections = 1;
    config.egress.origin_queue = 1;
    config.egress.connect_timeout_ms = 60_000;
    let node = Arc::new(proxy(config, &engine, settings(address)).await);
    let ask = |name: &'static str| {
        let node = node.clone();
        tokio::spawn(async move { get(&node, name, "/").await })
    };
    let first = ask("p");
    eventually("one is under way", async || asked.load(Ordering::SeqCst) == 1).await;
    // One of the two waits, the other is one too many.
    let (mut second, mut third) = (ask("p"), ask("p"));
    let (refused, waiting) = tokio::select! {
        answer = &mut second => (answer.unwrap(), third),
        answer = &mut third => (answer.unwrap(), second),
    };
    assert_eq!((refused.status.as_u16(), refused.error()), (503, "origin-busy"), "{}", refused.body);
    install(&node, "other", settings(address));
    let other = ask("other");
    eventually("another app is served", async || asked.load(Ordering::SeqCst) == 2).await;
    free.add_permits(3);
    for answer in [first, other, waiting] {
        assert_eq!(answer.await.unwrap().body, "done");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

/// A body goes through a proxy piece by piece, and a client that goes away ends the request at the origin.
pub async fn streams_and_cancels(engine: Engine) {
    let (sender, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (next, gone) = (sender.clone(), dropped.clone());
    let address = origin(move |_| {
        let (next, gone) = (next.clone(), gone.clone());
        async move {
            struct Tells(Arc<Notify>);
            impl Drop for Tells {
                fn drop(&mut self) {
                    self.0.notify_one();
                }
            }
            let pieces = futures::stream::unfold(Tells(gone), move |tells| {
                let next = next.clone();
                async move {
                    next.notified().await;
                    Some((Ok(Frame::data(Bytes::from_static(b"piece"))), tells))
                }
            });
            Response::new(BodyExt::boxed(StreamBody::new(pieces)))
        }
    })
    .await;
    let node = proxy(open(), &engine, settings(address)).await;
    install(&node, "h2", ProxySettings { protocol: ProxyProtocol::Http2, ..settings(address) });
    for (name, client) in [("p", http1()), ("h2", http2())] {
        let answer = client.request(request(&node, name, "/").body(Full::default()).unwrap()).await.unwrap();
        let mut body = answer.into_body();
        for _ in 0..3 {
            sender.notify_one();
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(piece, "piece");
        }
        drop(body);
        drop(client);
        dropped.notified().await;
    }
}

/// A new version takes the place of a proxy, and a proxy that of code.
pub async fn is_replaced_like_any_app(engine: Engine) {
    let address = origin(mirror).await;
    let node = node(open(), &engine, &[("p", &says("code"))]).await;
    assert_eq!(get(&node, "p", "/").await.body, "code");
    install(&node, "p", settings(address));
    assert_eq!(get(&node, "p", "/").await.status, 201);
    let code = says("code again");
    node.install(app("p", 2, &code), bundle(&code), &Default::default());
    assert_eq!(get(&node, "p", "/").await.body, "code again");
}
