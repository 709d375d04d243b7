//! Requests and answers.

use std::collections::BTreeMap;
use std::time::Duration;

use atoll_edge_node::{EdgeNode, StartError};
use atoll_protocol::api::Target;
use atoll_runtime::Engine;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{app, bundle, config, eventually, get, http1, http2, node, raw, request, says, send};

const ECHO: &str = "export default { async fetch(request) {
    const { method, url, headers, cf } = request;
    const body = request.body === null ? null : await request.text();
    return Response.json({ method, url, headers: Object.fromEntries(headers), cf, body });
} };";

/// HTTP/1.1 and HTTP/2 on one port, with and without bodies.
pub async fn answers_over_http1_and_http2(engine: Engine) {
    let node = node(config(), &engine, &[("echo", ECHO)]).await;
    for client in [http1(), http2()] {
        let got = send(&client, request(&node, "echo", "/a%20b?c=d").body(Full::default()).unwrap()).await;
        assert_eq!((got.status.as_u16(), got.header("content-type")), (200, "application/json"));
        assert!(!got.header("date").is_empty());
        let value: serde_json::Value = serde_json::from_str(&got.body).unwrap();
        assert_eq!(value["method"], "GET");
        assert!(value["url"].as_str().unwrap().ends_with("/a%20b?c=d"), "{value}");
        assert!(value["body"].is_null());

        let post = request(&node, "echo", "/").method("POST").body(Full::from("é body")).unwrap();
        let value: serde_json::Value = serde_json::from_str(&send(&client, post).await.body).unwrap();
        assert_eq!((value["method"].as_str(), value["body"].as_str()), (Some("POST"), Some("é body")));
    }
}

/// Forwarding headers and `request.cf`; hop-by-hop fields stay behind.
pub async fn tells_the_app_who_asked(engine: Engine) {
    let node = node(config(), &engine, &[("echo", ECHO)]).await;
    let text = "GET / HTTP/1.1\r\nHost: ECHO.localhost.:99\r\nConnection: close, x-once\r\nX-Once: 1\r\nTE: trailers\r\n\
                X-Real-IP: 6.6.6.6\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n";
    let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let value: serde_json::Value = serde_json::from_str(body.trim()).unwrap_or_else(|_| panic!("{answer}"));
    let header = |name: &str| value["headers"][name].as_str();
    assert_eq!(header("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(header("x-forwarded-for"), Some("1.2.3.4, 127.0.0.1"));
    assert_eq!(header("x-forwarded-proto"), Some("http"));
    assert_eq!((header("x-once"), header("connection")), (None, None));
    assert_eq!(header("te"), Some("trailers"), "they pass this platform");
    assert_eq!(value["cf"]["httpProtocol"], "HTTP/1.1");
    assert_eq!(value["cf"]["clientAddress"], "127.0.0.1");
}

/// Bad input has its own status and code.
pub async fn refuses_what_is_no_request(engine: Engine) {
    let node = node(config(), &engine, &[("hello", &says("hello"))]).await;
    let missing = get(&node, "nobody", "/x").await;
    assert_eq!((missing.status.as_u16(), missing.error()), (404, "route-not-found"));
    assert!(missing.body.contains("nobody.localhost/x"), "{}", missing.body);
    assert!(missing.header("content-type").starts_with("text/plain"));

    let many: String = (0..120).map(|at| format!("x-{at}: 1\r\n")).collect();
    let large = "a".repeat(70 << 10);
    for (request, status, code) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, "host-invalid"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), 400, "host-invalid"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), 400, "host-invalid"),
        ("TRACE / HTTP/1.1\r\nHost: hello.localhost\r\n\r\n".to_owned(), 405, "method-not-allowed"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".to_owned(), 405, "method-not-allowed"),
        ("NONSENSE\r\n\r\n".to_owned(), 400, ""),
        ("GET / HTTP/1.1\r\nbad header\r\n\r\n".to_owned(), 400, ""),
        (format!("GET / HTTP/1.1\r\nHost: hello.localhost\r\n{many}\r\n"), 431, ""),
        (format!("GET / HTTP/1.1\r\nHost: hello.localhost\r\nx: {large}\r\n\r\n"), 431, ""),
        ("GET http://hello.localhost/ HTTP/1.1\r\nHost: other\r\n\r\n".to_owned(), 200, ""),
        ("GET http://hello.localhost/ HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), 400, "host-invalid"),
        ("GET http://hello.localhost/ HTTP/1.1\r\n\r\n".to_owned(), 400, "host-invalid"),
        ("GET / HTTP/1.1\r\nHost: hello.localhost:x\r\n\r\n".to_owned(), 400, "host-invalid"),
        ("GET / HTTP/1.1\r\nHost: 1.2.3.256\r\n\r\n".to_owned(), 400, "host-invalid"),
    ] {
        let answer = raw(&node, request.as_bytes()).await;
        let shown: String = request.chars().take(60).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {answer}");
        assert!(code.is_empty() || answer.contains(&format!("atoll-error: {code}\r\n")), "{shown:?}: {answer}");
    }
    let mut many = request(&node, "hello", "/");
    for at in 0..120 {
        many = many.header(format!("x-{at}"), "1");
    }
    let answer = send(&http2(), many.body(Full::default()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.error()), (431, "headers-too-many"));
}

/// A client over HTTP/2 may send each cookie by itself; apps are told of all in one field, and as one they are counted.
pub async fn tells_of_cookies_in_one_field(engine: Engine) {
    let code = "export default { fetch(request) { return new Response(request.headers.get('cookie')); } };";
    let node = node(config(), &engine, &[("a", code)]).await;
    for client in [http1(), http2()] {
        let crumbs =
            request(&node, "a", "/").header("cookie", "a=1").header("x", "y").header("cookie", "b=\"2, 3\"; c=4");
        assert_eq!(send(&client, crumbs.body(Full::default()).unwrap()).await.body, "a=1; b=\"2, 3\"; c=4");
    }
    let cookies: Vec<String> = (0..300).map(|at| format!("c{at}=1")).collect();
    let many = cookies.iter().fold(request(&node, "a", "/"), |request, cookie| request.header("cookie", cookie));
    assert_eq!(send(&http2(), many.body(Full::default()).unwrap()).await.body, cookies.join("; "));
}

/// An answer or an outbound request with too many header fields, or too large ones, is an exception and no more.
pub async fn bounds_the_headers_of_apps(engine: Engine) {
    let code = "export default { async fetch(request) {
        const url = new URL(request.url);
        const [count, size] = url.search.slice(1).split(',').map(Number);
        const headers = new Headers();
        for (let at = 0; at < count; at++) headers.append('x-' + at, 'a'.repeat(size));
        const body = url.pathname === '/stream' ? new Blob(['whole']).stream() : 'whole';
        if (url.pathname !== '/out') return new Response(body, { headers });
        return fetch('http://198.51.100.1/', { headers }).catch((error) => new Response(`${error}`));
    } };";
    let node = node(config(), &engine, &[("a", code)]).await;
    let limits = ["there are more than 4096 header fields", "bytes; the limit is 131072"];
    for client in [http1(), http2()] {
        for (asked, limit) in [("5000,0", limits[0]), ("40000,0", limits[1]), ("1,131072", limits[1])] {
            for path in ["/", "/stream"] {
                let asked = request(&node, "a", &format!("{path}?{asked}")).body(Full::default()).unwrap();
                let answer = send(&client, asked).await;
                assert_eq!((answer.status.as_u16(), answer.error()), (500, "handler-exception"));
                assert!(answer.body.contains(limit), "{}", answer.body);
            }
            let out = get(&node, "a", &format!("/out?{asked}")).await.body;
            assert!(out.starts_with("TypeError: ") && out.contains(limit), "{out}");
        }
    }
    // What clients take is sent whole.
    for path in ["/?90,100", "/stream?2,8000"] {
        let answer = get(&node, "a", path).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "whole"));
        assert!(answer.headers.contains_key("x-1"));
    }
}

/// A body over the limit ends with 413, whether its length is told or not.
pub async fn limits_bodies(engine: Engine) {
    let mut config = config();
    config.limits.request_body_bytes = 1000;
    let node = node(config, &engine, &[("echo", ECHO)]).await;
    let post = |size| request(&node, "echo", "/").method("POST").body(Full::from(vec![b'a'; size])).unwrap();
    assert_eq!(send(&http1(), post(1000)).await.status, 200);
    let refused = send(&http1(), post(1001)).await;
    assert_eq!((refused.status.as_u16(), refused.error()), (413, "body-too-large"));
    assert!(refused.body.contains("1000 bytes"));
    let chunk = "a".repeat(1001);
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: echo.localhost\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{chunk}\r\n0\r\n\r\n"
    );
    let answer = raw(&node, chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("atoll-error: body-too-large"), "{answer}");
    let expecting = "POST / HTTP/1.1\r\nHost: echo.localhost\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n";
    assert!(raw(&node, expecting.as_bytes()).await.starts_with("HTTP/1.1 413 "));
    let expecting = "POST / HTTP/1.1\r\nHost: echo.localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert!(raw(&node, expecting.as_bytes()).await.starts_with("HTTP/1.1 100 "));
}

/// HEAD, 204 and 304 have no body; lengths are right.
pub async fn answers_head_and_bodiless_statuses(engine: Engine) {
    let code = "export default { fetch(request) {
        const status = Number(new URL(request.url).pathname.slice(1));
        return status === 200 ? new Response('12345') : new Response(null, { status });
    } };";
    let node = node(config(), &engine, &[("s", code)]).await;
    for client in [http1(), http2()] {
        let head = request(&node, "s", "/200").method("HEAD").body(Full::default()).unwrap();
        let answer = send(&client, head).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-length"), answer.body.as_str()), (200, "5", ""));
        for status in [204, 304] {
            let uri = format!("/{status}");
            let answer = send(&client, request(&node, "s", &uri).body(Full::default()).unwrap()).await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (status, ""));
        }
        let answer = send(&client, request(&node, "s", "/200").body(Full::default()).unwrap()).await;
        assert_eq!((answer.header("content-length"), answer.body.as_str()), ("5", "12345"));
    }
}

/// Each failure of a handler has its status and code, and a line in the app's log.
pub async fn says_what_went_wrong(engine: Engine) {
    let mut config = config();
    config.expose_stacks = true;
    let throws = "export default { fetch() { throw new Error('broken thing'); } };";
    let apps = [
        ("throws", throws),
        ("nothing", "export default { fetch() { return 7; } };"),
        ("hangs", "export default { fetch() { return new Promise(() => {}); } };"),
        ("syntax", "export default {"),
    ];
    let node = node(config, &engine, &apps).await;
    let mut logs = node.logs();
    for (app, status, code) in [
        ("throws", 500, "handler-exception"),
        ("nothing", 500, "handler-invalid-response"),
        ("hangs", 500, "handler-hung"),
        ("syntax", 500, "startup-failed"),
    ] {
        let answer = get(&node, app, "/").await;
        assert_eq!((answer.status.as_u16(), answer.error()), (status, code), "{app}: {}", answer.body);
        assert!(!answer.header("atoll-request-id").is_empty());
    }
    let answer = get(&node, "throws", "/").await;
    assert!(answer.body.contains("broken thing") && answer.body.contains("index.js:1"), "{}", answer.body);
    let mut lines = Vec::new();
    while let Ok(line) = logs.try_recv() {
        lines.push(line);
    }
    assert!(
        lines.iter().any(|line| line.app == "throws" && line.level == "error" && line.message.contains("index.js"))
    );
    assert!(lines.iter().any(|line| line.app == "throws" && line.level == "request" && line.message.contains("500")));
}

/// A node that shuts down answers what it has begun, and takes nothing new.
pub async fn finishes_requests_when_draining(engine: Engine) {
    let code = "export default { async fetch() {
        await new Promise((resolve) => setTimeout(resolve, 300));
        return new Response('late');
    } };";
    let node = node(config(), &engine, &[("slow", code)]).await;
    let address = node.local_addr();
    let pending = tokio::spawn({
        let request = request(&node, "slow", "/").body(Full::default()).unwrap();
        async move { send(&http1(), request).await }
    });
    eventually("the request is under way", async || node.live_isolates() == 1).await;
    assert!(node.shutdown(Duration::from_secs(60)).await, "drained");
    assert_eq!(pending.await.unwrap().body, "late");
    assert!(TcpStream::connect(address).await.is_err());
}

/// A port in use is named with a remedy.
pub async fn names_a_port_in_use(engine: Engine) {
    let first = node(config(), &engine, &[]).await;
    let mut second = config();
    second.listen = Some(first.local_addr());
    let error = EdgeNode::start(second, engine).await.err().expect("the port is taken");
    assert!(matches!(error, StartError::Listen { .. }));
    let message = error.to_string();
    assert!(message.contains(&first.local_addr().to_string()) && message.contains("--listen"), "{message}");
}

/// Debug headers and the access log agree on how an answer was made.
pub async fn says_how_an_answer_was_made(engine: Engine) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let mut config = config();
    config.debug_headers = true;
    config.access_log = Some(path.to_str().unwrap().to_owned());
    let node = node(config, &engine, &[("hello", &says("hello"))]).await;
    for start in ["cold", "warm"] {
        let answer = get(&node, "hello", "/p?q").await;
        assert_eq!(answer.header("atoll-isolate"), start);
        assert_eq!((answer.header("atoll-app"), answer.header("atoll-version")), ("hello", "1"));
        assert!(answer.header("server-timing").contains("dur="));
    }
    get(&node, "nobody", "/").await;
    let mut lines = Vec::new();
    eventually("three lines are written", async || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).collect();
        lines.len() == 3
    })
    .await;
    assert_eq!((lines[0]["path"].as_str(), lines[0]["bytes"].as_u64()), (Some("/p"), Some(5)));
    assert_eq!((lines[0]["start"].as_str(), lines[1]["start"].as_str()), (Some("cold"), Some("warm")));
    assert_eq!((lines[2]["status"].as_u64(), lines[2]["error"].as_str()), (Some(404), Some("route-not-found")));
}

/// A new install answers at once; a request under way ends with the code it began with.
pub async fn replaces_an_installed_app(engine: Engine) {
    let code = "export default { fetch() {
        let sent = 0;
        return new Response(new ReadableStream({ async pull(controller) {
            if (sent === 3) return controller.close();
            if (sent++ > 0) await new Promise((resolve) => setTimeout(resolve, 50));
            controller.enqueue(new TextEncoder().encode('old '));
        } }));
    } };";
    let node = node(config(), &engine, &[("a", code)]).await;
    let response = http1().request(request(&node, "a", "/").body(Full::<Bytes>::default()).unwrap()).await.unwrap();
    let new = says("new");
    node.install(app("a", 1, &new), bundle(&new), &BTreeMap::from([("S".to_owned(), "x".to_owned())]));
    assert_eq!(get(&node, "a", "/").await.body, "new");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "old old old ");
}

/// A client that goes away aborts `request.signal`, before the answer and during it.
pub async fn tells_the_app_that_its_client_has_gone(engine: Engine) {
    let code = "export default { async fetch(request) {
        const early = request.url.endsWith('/early');
        request.signal.addEventListener('abort', () => console.log(early ? 'gone early' : 'gone late'));
        console.log('here');
        if (early) await new Promise((resolve) => setTimeout(resolve, 20_000));
        return new Response(new ReadableStream({ async pull(controller) {
            await new Promise((resolve) => setTimeout(resolve, 10));
            controller.enqueue(new TextEncoder().encode('more'));
        } }));
    } };";
    let node = node(config(), &engine, &[("a", code)]).await;
    let mut logs = node.logs();
    for (path, line) in [("/early", "gone early"), ("/late", "gone late")] {
        let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
        let text = format!("GET {path} HTTP/1.1\r\nHost: a.localhost\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        while logs.recv().await.unwrap().message != "here" {}
        if path == "/late" {
            stream.read_exact(&mut [0; 64]).await.unwrap();
        }
        drop(stream);
        while logs.recv().await.unwrap().message != line {}
    }
}

/// Two versions share the clients by weight, and a client stays with its version.
pub async fn splits_clients_by_weight(engine: Engine) {
    let code = says("any");
    let mut config = config();
    config.debug_headers = true;
    let node = node(config, &engine, &[]).await;
    let mut state = app("a", 1, &code);
    let second = state.versions[&1].clone();
    state.versions.insert(2, second);
    state.targets = vec![Target { version: 1, weight: 70 }, Target { version: 2, weight: 30 }];
    node.install(state, bundle(&code), &BTreeMap::new());
    let client = http1();
    let mut served = BTreeMap::new();
    for key in 0..100 {
        let ask = || request(&node, "a", "/").header("atoll-version-key", format!("client {key}"));
        let first = send(&client, ask().body(Full::default()).unwrap()).await;
        let again = send(&client, ask().body(Full::default()).unwrap()).await;
        assert_eq!(first.header("atoll-version"), again.header("atoll-version"));
        *served.entry(first.header("atoll-version").to_owned()).or_insert(0) += 1;
    }
    assert!((50..90).contains(&served["1"]) && served["1"] + served["2"] == 100, "{served:?}");
}

/// A body that is passed on unread keeps its length, and so does a blob.
pub async fn keeps_the_lengths_of_bodies(engine: Engine) {
    let code = "export default { async fetch(request) {
        const path = new URL(request.url).pathname;
        const made = new Response(path === '/blob' ? new Blob(['hel', 'lo']) : path === '/bytes' ? new Uint8Array(5) : 'hello');
        if (path === '/blob') return made;
        const { body } = made;
        if (path === '/read') { const [one] = body.tee(); return new Response(one, made); }
        return new Response(body, made);
    } };";
    let node = node(config(), &engine, &[("app", code)]).await;
    for (path, length) in [("/text", "5"), ("/bytes", "5"), ("/blob", "5"), ("/read", "")] {
        let answer = get(&node, "app", path).await;
        assert_eq!((answer.body.len(), answer.header("content-length")), (5, length), "{path}");
    }
}

/// What answers when the client has sent all it has.
const READS: &str = "export default { async fetch(request) {
    console.log('here');
    return new Response(await request.text());
} };";

/// A draining node says with the last answer of a connection that it ends: `Connection: close`, or GOAWAY.
pub async fn says_that_connections_end_when_draining(engine: Engine) {
    let node = node(config(), &engine, &[("a", READS)]).await;
    let (address, mut logs) = (node.local_addr(), node.logs());
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"POST / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 3\r\n\r\nab").await.unwrap();
    let (sender, connection) = h2::client::handshake(TcpStream::connect(address).await.unwrap()).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let post = http::Request::post("http://a.localhost/").body(()).unwrap();
    let (response, mut body) = sender.send_request(post, false).unwrap();
    for _ in 0..2 {
        while logs.recv().await.unwrap().message != "here" {}
    }
    let drained = tokio::spawn(async move { node.shutdown(Duration::from_secs(60)).await });
    eventually("no connection is taken", async || TcpStream::connect(address).await.is_err()).await;
    plain.write_all(b"c").await.unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("\r\nconnection: close\r\n") && answer.ends_with("\r\n\r\nabc"), "{answer}");
    body.send_data("abc".into(), true).unwrap();
    let mut answer = response.await.unwrap();
    assert_eq!(answer.body_mut().data().await.unwrap().unwrap(), "abc");
    drop((answer, body, sender));
    // It ends in order.
    connection.await.unwrap().unwrap();
    assert!(drained.await.unwrap());
}

/// A drain has an end, whatever is under way.
pub async fn drains_no_longer_than_it_may(engine: Engine) {
    let node = node(config(), &engine, &[("a", READS)]).await;
    let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 3\r\n\r\nab").await.unwrap();
    eventually("the request is under way", async || node.live_isolates() == 1).await;
    assert!(!node.shutdown(Duration::from_millis(100)).await, "it was not answered");
    let mut rest = Vec::new();
    // The connection is gone, in whichever way.
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
}
