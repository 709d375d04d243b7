//! What strangers send on purpose: ambiguous framing, slowness, floods. Hand-made bytes over real sockets.

use std::time::Duration;

use atoll_edge_node::EdgeNode;
use atoll_runtime::Engine;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{config, eventually, get, node, says};

/// Sends bytes and reads until the node closes the connection, which it has to.
async fn exchange(node: &EdgeNode, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is an end, too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

const READS: &str = "export default { async fetch(request) {
    try { return new Response('got ' + (await request.text())); } catch { return new Response('caught'); }
} };";

/// Every rule has its status and code, the connection ends, and what was smuggled is not answered.
pub async fn refuses_ambiguous_requests_and_closes(engine: Engine) {
    let node = node(config(), &engine, &[("a", READS)]).await;
    let post = |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a.localhost\r\n{fields}\r\n{body}");
    let at = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a.localhost\r\n\r\n");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.localhost\r\n\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let long = "a".repeat(17 << 10);
    for (request, status, code) in [
        (
            post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", &format!("0\r\n\r\n{smuggled}")),
            400,
            "length-and-chunked",
        ),
        (
            post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", &format!("0\r\n\r\n{smuggled}")),
            400,
            "length-and-chunked",
        ),
        (post("Content-Length: 0\r\nContent-Length: 5\r\n", "hello"), 400, "content-length-invalid"),
        (post("Content-Length: 5, 5\r\n", "hello"), 400, "content-length-invalid"),
        (post("Content-Length: +5\r\n", "hello"), 400, "content-length-invalid"),
        (post("x: a\r\n Content-Length: 5\r\n", "hello"), 400, "header-folded"),
        (post("x: a\rContent-Length: 5\r\n", "hello"), 400, "line-end-invalid"),
        (post("x: a\nContent-Length: 5\r\n", "hello"), 400, "line-end-invalid"),
        (post("Content-Length : 5\r\n", "hello"), 400, "header-invalid"),
        (post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 501, "transfer-encoding-unsupported"),
        (post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501, "transfer-encoding-unsupported"),
        (
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
            501,
            "transfer-encoding-unsupported",
        ),
        (post("Expect: a-miracle\r\n", ""), 417, "expectation-failed"),
        (post(chunked, "x\r\n"), 400, "chunk-invalid"),
        (post(chunked, &format!("3\r\nabcX\r\n{smuggled}")), 400, "chunk-invalid"),
        (post(chunked, "3\nabc\r\n0\r\n\r\n"), 400, "line-end-invalid"),
        (post(chunked, "3;a\n\r\nabc\r\n0\r\n\r\n"), 400, "line-end-invalid"),
        (post(chunked, &format!("1;{long}\r\na\r\n0\r\n\r\n")), 413, "chunk-extension-too-large"),
        (format!("GET /{long} HTTP/1.1\r\nHost: a.localhost\r\n\r\n"), 414, "target-too-long"),
        (post(&format!("x: {}\r\n", "a".repeat(70 << 10)), ""), 431, "head-too-large"),
        (post(&"x: 1\r\n".repeat(101), ""), 431, "headers-too-many"),
        ("GET / HTTP/1.2\r\n\r\n".into(), 505, "version-unsupported"),
        ("NONSENSE\r\n\r\n".into(), 400, "request-line-invalid"),
        (at("a.localhost"), 400, "request-line-invalid"),
        (at("*"), 400, "request-line-invalid"),
        (at("/a#/../b"), 400, "request-line-invalid"),
        (at("/<script>"), 400, "request-line-invalid"),
        (at("/?\""), 400, "request-line-invalid"),
        (at("ftp://a.localhost/"), 400, "request-line-invalid"),
        (at("http:///a"), 400, "request-line-invalid"),
        (post("Content-Length:\x0b5\r\n", "hello"), 400, "header-invalid"),
        (post("Content-Length: 5 5\r\n", "hello"), 400, "content-length-invalid"),
        (post("Transfer-Encoding:\r\n", smuggled), 501, "transfer-encoding-unsupported"),
        (post("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n"), 501, "transfer-encoding-unsupported"),
        (post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), 501, "transfer-encoding-unsupported"),
        (post(chunked, "0_5\r\nhello\r\n0\r\n\r\n"), 400, "chunk-invalid"),
        (post(chunked, " 5\r\nhello\r\n0\r\n\r\n"), 400, "chunk-invalid"),
        (post(chunked, "5;a\rb\r\nhello\r\n0\r\n\r\n"), 400, "chunk-invalid"),
        (post(chunked, "0\r\na: b\n\r\n"), 400, "line-end-invalid"),
    ] {
        let answer = exchange(&node, request.as_bytes()).await;
        let shown: String = request.chars().take(120).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {answer}");
        assert!(answer.contains(&format!("atoll-error: {code}\r\n")), "{shown:?}: {answer}");
        assert!(answer.contains("connection: close\r\n"), "{shown:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{shown:?}: {answer}");
    }
    let pipelined = format!("GET / HTTP/1.1\r\nHost: a.localhost\r\n\r\n{}", post("Content-Length: x\r\n", ""));
    let answer = exchange(&node, pipelined.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("HTTP/1.1 400 "), "in their turn: {answer}");
    assert_eq!(get(&node, "a", "/").await.body, "got ");
}

/// Bodies that are framed well arrive, however their bytes are cut.
pub async fn takes_bodies_in_any_pieces(engine: Engine) {
    let node = node(config(), &engine, &[("a", READS)]).await;
    let head = "POST / HTTP/1.1\r\nHost: a.localhost\r\nConnection: close\r\n";
    for request in [
        format!("{head}Content-Length: 5\r\n\r\nhello"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n2;x=\"y\"\r\nhe\r\n003\r\nllo\r\n0\r\nTrailer: 1\r\n\r\n"),
    ] {
        for size in [1, 7, 64] {
            let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
            stream.set_nodelay(true).unwrap();
            for piece in request.as_bytes().chunks(size) {
                stream.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.contains("got hello"), "{size}: {answer}");
        }
    }
}

/// Slow heads and bodies get 408, idle connections end, and a client that takes nothing is given up.
pub async fn gives_slow_clients_up(engine: Engine) {
    let mut config = config();
    config.connections.header_timeout_ms = 1_000;
    config.connections.body_timeout_ms = 1_000;
    config.connections.write_timeout_ms = 1_000;
    // What was sent gives no time worth mentioning.
    config.connections.min_rate = 1 << 20;
    let flood = "export default { fetch() {
        return new Response(new ReadableStream({ pull(controller) { controller.enqueue(new Uint8Array(65536)); } }));
    } };";
    let large = "export default { fetch() { return new Response(new Uint8Array(4 << 20)); } };";
    let node = node(config, &engine, &[("a", READS), ("flood", flood), ("large", large)]).await;
    for (bytes, code) in [
        ("GET / HTTP/1.1\r\nHost: a.local", "head-timeout"),
        ("POST / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 9\r\n\r\nhel", "body-timeout"),
        ("POST / HTTP/1.1\r\nHost: a.localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel", "body-timeout"),
    ] {
        let answer = exchange(&node, bytes.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains(code), "{bytes:?}: {answer}");
    }
    // Nothing is read, so nothing but the end of the connection makes writing fail.
    let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: flood.localhost\r\n\r\n").await.unwrap();
    eventually("the client is given up", async || stream.write_all(b"x").await.is_err()).await;
    // Over HTTP/2 its stream is, whatever part of the answer has been taken.
    let stream = TcpStream::connect(node.local_addr()).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for app in ["flood", "large"] {
        let request = Request::get(format!("http://{app}.localhost/")).body(()).unwrap();
        let (response, _) = sender.clone().ready().await.unwrap().send_request(request, true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let ended = loop {
            match tokio::time::timeout(Duration::from_secs(120), body.data()).await.expect("it is given up") {
                // Its window is not opened again.
                Some(Ok(_)) => {}
                ended => break ended,
            }
        };
        assert_eq!(ended.unwrap().unwrap_err().reason(), Some(h2::Reason::CANCEL), "{app}");
    }
}

/// A connection that asks for nothing ends, whether it has asked before or not.
pub async fn ends_idle_connections(engine: Engine) {
    let mut config = config();
    config.connections.idle_timeout_ms = 1_000;
    let node = node(config, &engine, &[("a", READS)]).await;
    assert_eq!(exchange(&node, b"").await, "", "nothing was asked");
    let answer = exchange(&node, b"GET / HTTP/1.1\r\nHost: a.localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// One client has so many connections and no more; places come back.
pub async fn limits_connections_per_client(engine: Engine) {
    let mut config = config();
    config.connections.per_client = 3;
    let node = node(config, &engine, &[("a", &says("hello"))]).await;
    let request = b"GET / HTTP/1.1\r\nHost: a.localhost\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
        stream.write_all(request).await.unwrap();
        stream.read_exact(&mut [0; 15]).await.unwrap();
        open.push(stream);
    }
    assert_eq!(exchange(&node, b"GET / HTTP/1.1\r\nHost: a.localhost\r\nConnection: close\r\n\r\n").await, "");
    drop(open);
    eventually("places come back", async || {
        exchange(&node, b"GET / HTTP/1.1\r\nHost: a.localhost\r\nConnection: close\r\n\r\n").await.contains("hello")
    })
    .await;
}

/// A node with more requests than it may have answers 503 and says when to try again.
pub async fn sheds_load(engine: Engine) {
    let mut config = config();
    config.connections.max_requests = 1;
    let waits = "export default { async fetch(request) {
        if (request.url.endsWith('/wait')) {
            console.log('waits');
            await new Promise((resolve) => setTimeout(resolve, 100_000));
        }
        return new Response('done');
    } };";
    let node = node(config, &engine, &[("a", waits)]).await;
    assert_eq!(get(&node, "a", "/").await.body, "done");
    let mut logs = node.logs();
    let waiting = loop {
        let mut waiting = TcpStream::connect(node.local_addr()).await.unwrap();
        waiting.write_all(b"GET /wait HTTP/1.1\r\nHost: a.localhost\r\n\r\n").await.unwrap();
        // The place of the request before may not be free yet; then it is answered at once.
        tokio::select! {
            () = async { while logs.recv().await.expect("a line").message != "waits" {} } => break waiting,
            _ = waiting.readable() => {}
        }
    };
    let answer = get(&node, "a", "/").await;
    assert_eq!((answer.status.as_u16(), answer.error(), answer.header("retry-after")), (503, "node-busy", "1"));
    drop(waiting);
    eventually("the place is free again", async || get(&node, "a", "/").await.status == 200).await;

    let mut config = crate::support::config();
    config.connections.shed_mb = Some(1);
    let node = crate::support::node(config, &engine, &[("a", waits)]).await;
    eventually("memory is watched", async || get(&node, "a", "/").await.error() == "node-busy").await;
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The frames of a flood, by their number.
type Flood<'a> = (&'a str, &'a dyn Fn(u32) -> Vec<u8>);

/// Rapid reset, floods of control frames and endless CONTINUATION end the connection; the node goes on.
pub async fn ends_http2_floods(engine: Engine) {
    let node = node(config(), &engine, &[("a", &says("hello"))]).await;
    // :method GET, :scheme http, :path /, :authority a.localhost, without compression of the last.
    let mut head = vec![0x82, 0x86, 0x84, 0x41, 11];
    head.extend(b"a.localhost");
    let resets = |at: u32| [frame(1, 5, 2 * at + 1, &head), frame(3, 0, 2 * at + 1, &[0, 0, 0, 8])].concat();
    let pings = |_: u32| frame(6, 0, 0, &[0; 8]);
    let settings = |_: u32| frame(4, 0, 0, &[]);
    let continuation = |at: u32| match at {
        0 => frame(1, 1, 1, &head),
        _ => frame(9, 0, 1, &[0, 1, b'x', 1, b'y'].repeat(1000)),
    };
    let empty = |at: u32| if at == 0 { frame(1, 4, 1, &head) } else { frame(0, 0, 1, &[]) };
    let floods: [Flood<'_>; 5] = [
        ("resets", &resets),
        ("pings", &pings),
        ("settings", &settings),
        ("continuation", &continuation),
        ("empty data", &empty),
    ];
    for (what, flood) in floods {
        let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
        let (mut from, mut to) = stream.into_split();
        let bytes: Vec<u8> = (0..50_000).flat_map(flood).collect();
        let writing = tokio::spawn(async move { to.write_all(&bytes).await });
        let mut sink = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(120), from.read_to_end(&mut sink)).await;
        assert!(ended.is_ok(), "{what}: the connection goes on");
        // Whatever could be written: the connection is gone.
        let _ = writing.await;
    }
    assert_eq!(get(&node, "a", "/").await.body, "hello");
}

/// What is in a body over HTTP/2 is not counted, wherever the first bytes of its connection are cut.
pub async fn takes_no_body_for_frames(engine: Engine) {
    let code =
        "export default { async fetch(request) { return new Response(`${(await request.bytes()).length} bytes`); } };";
    let node = node(config(), &engine, &[("a", code)]).await;
    // :method POST, :scheme http, :path /, :authority a.localhost, without compression of the last.
    let mut head = vec![0x83, 0x86, 0x84, 0x41, 11];
    head.extend(b"a.localhost");
    let pings = frame(6, 0, 0, &[]).repeat(1500);
    let request = [frame(4, 0, 0, &[]), frame(1, 4, 1, &head), frame(0, 1, 1, &pings)].concat();
    for cut in [1, 9, 20, 40, 100] {
        let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
        stream.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &request[..cut]].concat()).await.unwrap();
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        // The node's settings come when it has read the first part.
        let read = stream.read(&mut buffer).await.unwrap();
        answer.extend_from_slice(&buffer[..read]);
        stream.write_all(&request[cut..]).await.unwrap();
        let expected = format!("{} bytes", pings.len());
        while !answer.windows(expected.len()).any(|part| part == expected.as_bytes()) {
            let read = tokio::time::timeout(Duration::from_secs(120), stream.read(&mut buffer)).await;
            let read = read.expect("an answer").unwrap();
            assert!(read > 0, "cut after {cut} bytes: the connection ended");
            answer.extend_from_slice(&buffer[..read]);
        }
    }
}
