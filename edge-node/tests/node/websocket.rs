//! WebSockets through the node, with a client of other people's making.

use std::time::Duration;

use atoll_edge_node::{Config, EdgeNode};
use atoll_runtime::Engine;
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::{app, bundle, config, eventually, get, node, raw, request, says};

/// Answers every message with itself; some words make it do something.
const ECHO: &str = r#"
let closes = [];
let open = 0;
export default {
    async fetch(request) {
        if (request.url.endsWith("/closes")) return Response.json({ closes, open });
        if (request.headers.get("upgrade") !== "websocket") return new Response("upgrade", { status: 426 });
        const { 0: client, 1: server } = new WebSocketPair();
        server.accept();
        open++;
        server.addEventListener("message", async ({ data }) => {
            if (data === "close") server.close(4321, "as asked");
            else if (data === "spin") { for (;;); }
            else if (data === "busy") { const end = Date.now() + 20; while (Date.now() < end); server.send("done"); }
            else if (data === "flood") { while (server.readyState === 1) server.send("x".repeat(100000)); }
            else server.send(data);
        });
        server.addEventListener("close", ({ code, reason, wasClean }) => {
            open--;
            closes.push([code, reason, wasClean]);
        });
        const protocol = request.headers.get("sec-websocket-protocol")?.split(",")[0];
        return new Response(null, {
            status: 101,
            webSocket: client,
            headers: protocol ? { "sec-websocket-protocol": protocol } : {},
        });
    },
};"#;

type Client<S = TcpStream> = WebSocketStream<S>;

/// A client of `app`, and the headers of the answer that made it one.
async fn connect(node: &EdgeNode, app: &str, path: &str) -> Result<(Client, HeaderMap), Error> {
    let stream = TcpStream::connect(node.local_addr()).await.expect("a connection");
    let url = format!("ws://{app}.localhost:{}{path}", node.local_addr().port());
    let mut handshake = url.into_client_request().expect("a handshake");
    handshake.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("chat, other"));
    let (client, response) = client_async(handshake, stream).await?;
    Ok((client, response.into_parts().0.headers))
}

async fn client(node: &EdgeNode, app: &str) -> Client {
    connect(node, app, "/").await.expect("a WebSocket").0
}

async fn next<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) -> Message {
    client.next().await.expect("a message").expect("no failure")
}

/// The code and reason of the close that comes next.
async fn closed<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) -> (u16, String) {
    loop {
        match next(client).await {
            Message::Close(Some(CloseFrame { code, reason })) => return (code.into(), reason.to_string()),
            Message::Close(None) => return (1005, String::new()),
            _ => {}
        }
    }
}

/// All WebSockets of an app in one isolate, which counts them.
fn one() -> Config {
    let mut config = config();
    config.isolates.max_per_version = 1;
    config
}

async fn closes(node: &EdgeNode) -> serde_json::Value {
    serde_json::from_str(&get(node, "echo", "/closes").await.body).expect("JSON")
}

/// Text, bytes, fragments, pings, large messages and closes, both ways.
pub async fn carries_messages(engine: Engine) {
    let node = node(one(), &engine, &[("echo", ECHO)]).await;
    let (mut client, headers) = connect(&node, "echo", "/").await.unwrap();
    assert_eq!(headers["sec-websocket-protocol"], "chat");
    let large = "é".repeat(500_000);
    for message in [Message::text("héllo"), Message::binary(vec![0, 255, 3]), Message::text(""), Message::text(large)]
    {
        client.send(message.clone()).await.unwrap();
        assert_eq!(next(&mut client).await, message);
    }
    client.send(Message::Ping(Bytes::from_static(b"are you there"))).await.unwrap();
    assert_eq!(next(&mut client).await, Message::Pong(Bytes::from_static(b"are you there")));
    client.send(Message::text("close")).await.unwrap();
    assert_eq!(closed(&mut client).await, (4321, "as asked".into()));
    // The client has answered the close by itself.
    assert!(client.next().await.is_none());
    let mut client = self::client(&node, "echo").await;
    client.close(Some(CloseFrame { code: 3001.into(), reason: "enough".into() })).await.unwrap();
    assert_eq!(closed(&mut client).await, (3001, "enough".into()));
    let expected = serde_json::json!([[4321, "as asked", true], [3001, "enough", true]]);
    eventually("both closes are seen", async || closes(&node).await["closes"] == expected).await;
    assert_eq!(closes(&node).await["open"], 0);
}

/// What asks for a WebSocket in a wrong way, or gets none.
pub async fn refuses_wrong_handshakes(engine: Engine) {
    let unasked = "export default { fetch() { return new Response(null, { status: 101, webSocket: new WebSocketPair()[0] }); } };";
    let mut small = one();
    small.websocket.max_per_app = 1;
    let node = node(small, &engine, &[("echo", ECHO), ("unasked", unasked), ("plain", &says("plain"))]).await;
    let head = "GET / HTTP/1.1\r\nHost: echo.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let old = raw(&node, format!("{head}{key}Sec-WebSocket-Version: 8\r\n\r\n").as_bytes()).await.to_lowercase();
    assert!(old.starts_with("http/1.1 426") && old.contains("atoll-error: websocket-version"), "{old}");
    assert!(old.contains("sec-websocket-version: 13"), "{old}");
    let keyless = raw(&node, format!("{head}Sec-WebSocket-Version: 13\r\n\r\n").as_bytes()).await.to_lowercase();
    assert!(keyless.starts_with("http/1.1 400") && keyless.contains("websocket-handshake"), "{keyless}");
    assert_eq!(get(&node, "echo", "/").await.status, 426);
    assert_eq!(get(&node, "unasked", "/").await.error(), "handler-invalid-response");
    match connect(&node, "plain", "/").await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 200),
        other => panic!("{:?}", other.map(|_| ())),
    }
    let first = client(&node, "echo").await;
    match connect(&node, "echo", "/").await {
        Err(Error::Http(response)) => {
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()["atoll-error"], "websocket-limit");
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
    drop(first);
    eventually("the place is free again", async || connect(&node, "echo", "/").await.is_ok()).await;
}

/// A frame of a client, masked with zeros.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0], payload].concat()
}

/// What no client sends, and the code of the close that says so.
fn hostile() -> Vec<(Vec<u8>, u16)> {
    let close = |code: u16| masked(0x88, &code.to_be_bytes());
    let mut frames = vec![
        (masked(0x81, &[0xc3, 0x28]), 1007),
        (vec![0x81, 0x01, b'a'], 1002),
        // Reserved bits, one by one, and reserved opcodes.
        (masked(0xc1, b""), 1002),
        (masked(0xa1, b""), 1002),
        (masked(0x91, b""), 1002),
        (masked(0x83, b""), 1002),
        (masked(0x8b, b""), 1002),
        // Lengths: beyond the limit, and beyond what there is.
        (vec![0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0], 1009),
        (vec![0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 1009),
        (vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], 1002),
        // Control frames: too long, and in fragments.
        (vec![0x89, 0xfe, 0, 200, 0, 0, 0, 0], 1002),
        (masked(0x09, b"a"), 1002),
        (masked(0x08, &1000_u16.to_be_bytes()), 1002),
        // A continuation of nothing, also after a whole message; a message within another.
        (masked(0x80, b"a"), 1002),
        ([masked(0x02, b"a"), masked(0x80, b"b"), masked(0x00, b"c")].concat(), 1002),
        ([masked(0x01, b"a"), masked(0x82, b"b")].concat(), 1002),
        // Text that turns out to be none in a later fragment, or at its end.
        ([masked(0x01, &[0xe2, 0x82]), masked(0x89, b"ping"), masked(0x80, &[0x28])].concat(), 1007),
        ([masked(0x01, &[0xf0, 0x9f]), masked(0x80, &[0x98])].concat(), 1007),
        (masked(0x01, &[0xed, 0xa0, 0x80]), 1007),
        (masked(0x88, &[3]), 1002),
        (masked(0x88, &[3, 0xe8, 0xc3, 0x28]), 1007),
    ];
    frames.extend([0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535].map(|code| (close(code), 1002)));
    frames
}

/// Frames that no client sends close the connection with the code that says why, and the app hears of a failure. What
/// clients may send, they may: fragments with pings between them, and any extension they offer is declined.
pub async fn refuses_hostile_frames(engine: Engine) {
    let node = node(one(), &engine, &[("echo", ECHO)]).await;
    for (frame, code) in hostile() {
        let mut client = client(&node, "echo").await;
        client.get_mut().write_all(&frame).await.unwrap();
        assert_eq!(closed(&mut client).await.0, code, "{frame:?}");
    }
    // Without any close.
    drop(client(&node, "echo").await.into_inner());
    let lost = serde_json::json!([1006, "", false]);
    let failures = hostile().len() + 1;
    eventually("the app has seen all of them", async || {
        let seen = closes(&node).await;
        let closes = seen["closes"].as_array().unwrap();
        seen["open"] == 0 && closes.iter().filter(|close| **close == lost).count() == failures
    })
    .await;

    let mut whole = client(&node, "echo").await;
    let pieces =
        [masked(0x01, &[0xe2]), masked(0x89, b"?"), masked(0x00, b""), masked(0x00, &[0x82]), masked(0x80, &[0xac])];
    for byte in pieces.concat() {
        whole.get_mut().write_all(&[byte]).await.unwrap();
    }
    assert_eq!(next(&mut whole).await, Message::Pong(Bytes::from_static(b"?")));
    assert_eq!(next(&mut whole).await, Message::text("€"));
    for code in [1000, 1001, 1013, 3000, 4999] {
        let mut client = client(&node, "echo").await;
        client.get_mut().write_all(&masked(0x88, &u16::to_be_bytes(code))).await.unwrap();
        assert_eq!(closed(&mut client).await.0, code);
    }

    for offer in [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits=99, x-odd; a=\"b\"",
        ",,;=",
        "permessage-deflate\r\nSec-WebSocket-Extensions: permessage-deflate",
    ] {
        let handshake = format!(
            "GET / HTTP/1.1\r\nHost: echo.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Extensions: {offer}\r\n\r\n"
        );
        let answer = raw(&node, handshake.as_bytes()).await.to_lowercase();
        assert!(answer.starts_with("http/1.1 101 ") && !answer.contains("extensions"), "{offer}: {answer}");
    }
}

/// Limits of a request do not end a WebSocket: its time is not limited, and each message has CPU time of its own.
pub async fn outlives_the_limits_of_requests(engine: Engine) {
    let mut short = one();
    short.limits.wall_ms = 2_000;
    short.limits.cpu_ms = 1_000;
    short.isolates.idle_seconds = 1;
    let node = node(short, &engine, &[("echo", ECHO)]).await;
    // A machine may be too busy to start an isolate within the time that a request has here.
    let mut open = None;
    eventually("a handshake is in time", async || {
        open = connect(&node, "echo", "/").await.ok();
        open.is_some()
    })
    .await;
    let (mut client, _) = open.unwrap();
    let begun = std::time::Instant::now();
    let mut busy = 0;
    // More CPU time than one request has: 20 ms for each.
    while begun.elapsed() < Duration::from_secs(3) || busy < 60 {
        client.send(Message::text("busy")).await.unwrap();
        assert_eq!(next(&mut client).await, Message::text("done"));
        busy += 1;
    }
    assert_eq!(node.live_isolates(), 1);
    drop(client);
    eventually("the isolate ends", async || node.live_isolates() == 0).await;
}

/// An isolate that breaks a limit closes its WebSockets with 1011 and says why in the log.
pub async fn closes_when_the_isolate_dies(engine: Engine) {
    let mut config = one();
    config.limits.cpu_ms = 1_000;
    let node = node(config, &engine, &[("echo", ECHO)]).await;
    let mut logs = node.logs();
    let (mut one, mut other) = (client(&node, "echo").await, client(&node, "echo").await);
    one.send(Message::text("spin")).await.unwrap();
    assert_eq!(closed(&mut one).await.0, 1011);
    assert_eq!(closed(&mut other).await.0, 1011);
    let mut said = String::new();
    while !said.contains("CPU time") {
        said = logs.recv().await.expect("a line").message;
    }
    // The app goes on with another isolate.
    let mut again = client(&node, "echo").await;
    again.send(Message::text("alive")).await.unwrap();
    assert_eq!(next(&mut again).await, Message::text("alive"));
}

/// What a client does not read does not pile up.
pub async fn gives_up_a_client_that_does_not_read(engine: Engine) {
    let mut quick = one();
    quick.websocket.ping_ms = 1_000;
    let node = node(quick, &engine, &[("echo", ECHO)]).await;
    let mut client = client(&node, "echo").await;
    client.send(Message::text("flood")).await.unwrap();
    // The app gives up after 8 MiB; the node when nothing is read for twice the time of a ping.
    eventually("the app has given up", async || {
        closes(&node).await["closes"] == serde_json::json!([[1006, "", false]])
    })
    .await;
    let end = async { while client.next().await.is_some_and(|message| message.is_ok()) {} };
    timeout(Duration::from_secs(120), end).await.expect("the connection ends");
}

/// A drain, and a new version, close with 1001 what is open.
pub async fn says_that_it_goes(engine: Engine) {
    let mut quick = one();
    quick.websocket.grace_ms = 50;
    let node = node(quick, &engine, &[("echo", ECHO)]).await;
    let mut old = client(&node, "echo").await;
    let code = format!("{ECHO}\n// version 2");
    node.install(app("echo", 2, &code), bundle(&code), &Default::default());
    assert_eq!(closed(&mut old).await, (1001, "a new version was deployed".into()));
    let mut new = client(&node, "echo").await;
    new.send(Message::text("2")).await.unwrap();
    assert_eq!(next(&mut new).await, Message::text("2"));
    let (drained, close) = tokio::join!(node.shutdown(Duration::from_secs(60)), closed(&mut new));
    assert!(drained);
    assert_eq!(close, (1001, "the node is shutting down".into()));
}

/// An app that is a client: by the constructor, by `fetch`, and as a proxy that only passes on.
pub async fn reaches_other_hosts(engine: Engine) {
    let gateway = r#"export default { async fetch(request) {
        const url = new URL(request.url);
        const to = url.searchParams.get("to");
        if (url.pathname === "/proxy") return fetch(to, request);
        if (url.pathname === "/relay") {
            const upstream = (await fetch(to, { headers: { Upgrade: "websocket" } })).webSocket;
            const [client, server] = Object.values(new WebSocketPair());
            upstream.accept();
            server.accept();
            upstream.addEventListener("message", ({ data }) => server.send(`<${data}>`));
            upstream.addEventListener("close", ({ code, reason }) => server.close(code, reason));
            server.addEventListener("message", ({ data }) => upstream.send(data));
            const headers = { "sec-websocket-protocol": "chat" };
            return new Response(null, { status: 101, webSocket: client, headers });
        }
        const result = await new Promise((resolve) => {
            const log = [];
            const socket = new WebSocket(to.replace("http", "ws"), ["chat"]);
            socket.onopen = () => { log.push(socket.protocol); socket.send("over"); };
            socket.onmessage = ({ data }) => { log.push(data); socket.close(1000, "and out"); };
            socket.onerror = ({ message }) => log.push(message);
            socket.onclose = ({ code, reason, wasClean }) => resolve([...log, code, reason, wasClean]);
        });
        return Response.json(result);
    } };"#;
    let mut open = one();
    open.egress.allow = vec!["127.0.0.0/8".parse().unwrap()];
    let open = node(open, &engine, &[("echo", ECHO), ("gateway", gateway), ("plain", &says("plain"))]).await;
    let port = open.local_addr().port();
    let to = |app: &str| format!("?to=http://{app}.localhost:{port}/");
    let answer = get(&open, "gateway", &to("echo")).await;
    assert_eq!(answer.body, r#"["chat","over",1000,"and out",true]"#);
    let answer = get(&open, "gateway", &to("plain")).await;
    assert!(answer.body.contains("status 200 instead of 101") && answer.body.contains("1006"), "{}", answer.body);
    for (path, reply) in [("/proxy", "through"), ("/relay", "<through>")] {
        let (mut client, _) = connect(&open, "gateway", &format!("{path}{}", to("echo"))).await.unwrap();
        client.send(Message::text("through")).await.unwrap();
        assert_eq!(next(&mut client).await, Message::text(reply));
        client.send(Message::text("close")).await.unwrap();
        assert_eq!(closed(&mut client).await, (4321, "as asked".into()), "{path}");
    }
    let shut = node(one(), &engine, &[("gateway", gateway)]).await;
    let answer = get(&shut, "gateway", &to("echo")).await;
    assert!(answer.body.contains("not allowed"), "{}", answer.body);
}

/// Messages of one app's clients that do not come to their end take no more than the app's share of the memory.
pub async fn keeps_memory_for_other_apps(engine: Engine) {
    let mut config = one();
    (config.websocket.memory_mb, config.websocket.app_memory_mb, config.websocket.message_bytes) = (4, 2, 4 << 20);
    let node = node(config, &engine, &[("hog", ECHO), ("echo", ECHO)]).await;
    // The head of a masked frame of 1.5 MB, and most of what it announces.
    let mut unfinished = vec![0x82, 0x80 | 127];
    unfinished.extend_from_slice(&1_500_000_u64.to_be_bytes());
    unfinished.resize(1_200_000, 0);
    let (refused, mut refusals) = tokio::sync::mpsc::channel(4);
    for _ in 0..4 {
        let (mut hog, unfinished, refused) = (client(&node, "hog").await, unfinished.clone(), refused.clone());
        tokio::spawn(async move {
            // The node may close before it has read everything; then the connection may end before its close is read.
            let _ = hog.get_mut().write_all(&unfinished).await;
            let code = match hog.next().await {
                Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => Some(code.into()),
                _ => None,
            };
            let _ = refused.send(code).await;
        });
    }
    for _ in 0..3 {
        let code: Option<u16> = refusals.recv().await.unwrap();
        assert!(code.is_none_or(|code| code == 1013), "{code:?}");
    }
    let mut neighbour = client(&node, "echo").await;
    let large = Message::binary(vec![7; 1_900_000]);
    neighbour.send(large.clone()).await.unwrap();
    assert_eq!(next(&mut neighbour).await, large);
    assert!(refusals.try_recv().is_err(), "one of the four holds what it has sent");
}

/// The same over HTTP/2 (RFC 8441).
pub async fn speaks_over_http2(engine: Engine) {
    let node = node(one(), &engine, &[("echo", ECHO)]).await;
    let stream = TcpStream::connect(node.local_addr()).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap();
    let extended = |protocol: &'static str| {
        let mut connect = request(&node, "echo", "/").method("CONNECT").header("sec-websocket-version", "13");
        connect = connect.extension(hyper::ext::Protocol::from_static(protocol));
        connect.body(Empty::<Bytes>::new()).unwrap()
    };
    // The server's settings say that this is possible; they come with its first frames.
    let mut response = None;
    eventually("the server allows extended CONNECT", async || {
        let answer = sender.send_request(extended("websocket")).await;
        response = answer.ok();
        response.is_some()
    })
    .await;
    let mut response = response.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let io = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    let mut client = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
    for message in [Message::text("over HTTP/2"), Message::binary(vec![5; 300_000])] {
        client.send(message.clone()).await.unwrap();
        assert_eq!(next(&mut client).await, message);
    }
    client.send(Message::text("close")).await.unwrap();
    assert_eq!(closed(&mut client).await, (4321, "as asked".into()));
    for (frame, code) in hostile() {
        let mut response = sender.send_request(extended("websocket")).await.unwrap();
        let mut io = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
        io.write_all(&frame).await.unwrap();
        let mut client = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
        assert_eq!(closed(&mut client).await.0, code, "{frame:?}");
    }
    let unknown = sender.send_request(extended("carrier-pigeon")).await.unwrap();
    assert_eq!(
        (unknown.status().as_u16(), unknown.headers()["atoll-error"].to_str().unwrap()),
        (501, "protocol-unknown")
    );
    let plain = Request::builder().method("CONNECT").uri("echo.localhost:80").body(Empty::<Bytes>::new()).unwrap();
    let refused = sender.send_request(plain).await.unwrap();
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    drop(refused.into_body().collect().await);
}
