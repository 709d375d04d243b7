//! WebSockets: ends within an isolate, ends that are handed out, ends that come from other hosts.

use std::sync::Arc;

use atoll_web::event::*;
use atoll_web::requests;
use atoll_web::socket::{Close, Message, Received, Socket};
use serde_json::json;

use crate::cases::cases;
use crate::support::*;

cases![
    within_an_isolate,
    handed_out,
    closes_are_checked,
    what_cannot_be_a_response,
    a_slow_reader_ends_the_socket,
    slow_readers_share_the_memory,
    a_lost_peer_is_an_error_and_a_close,
    never_accepted,
    to_another_host,
    refused_by_another_host,
    passed_through,
    ends_with_its_request,
    counts_as_memory,
];

fn text(text: &str) -> Message {
    Message::Text(text.into())
}

fn socket(body: Body) -> Socket {
    match body {
        Body::Socket(socket) => socket,
        other => panic!("no WebSocket: {other:?}"),
    }
}

/// Both ends of a pair are used by one handler.
async fn within_an_isolate(source: Source) {
    let code = r#"export default { async fetch() {
        const log = [];
        const [a, b] = Object.values(new WebSocketPair());
        const [c] = new WebSocketPair();
        log.push(a instanceof WebSocket, a.readyState, a.url, b.protocol, c.binaryType, WebSocket.OPEN, a.CLOSED);
        a.onclose = (event) => log.push(["a", event.code, event.reason, event.wasClean, a.readyState]);
        b.addEventListener("message", ({ data }) => {
            log.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
            if (data === "end") b.close(4001, "ende");
        });
        const done = new Promise((resolve) => b.addEventListener("close", (event) => {
            log.push(["b", event.code, event.reason, event.wasClean]);
            resolve();
        }));
        a.accept();
        a.accept();
        a.send("héllo \ud800");
        a.send(new Uint8Array([9, 1, 2, 9]).subarray(1, 3));
        a.send(new DataView(new Uint8Array([3]).buffer));
        a.send(new ArrayBuffer(2));
        a.send(12);
        log.push(a.bufferedAmount);
        b.accept();
        a.send("end");
        await done;
        try { a.send("x"); } catch (error) { log.push(error.name); }
        a.close();
        return Response.json(log);
    } };"#;
    let mut isolate = Isolate::new(source, code).await;
    let log: serde_json::Value = serde_json::from_str(&isolate.get("/").await).unwrap();
    assert_eq!(
        log,
        json!([
            true,
            1,
            null,
            "",
            "arraybuffer",
            1,
            3,
            17,
            "héllo \u{fffd}",
            [1, 2],
            [3],
            [0, 0],
            "12",
            "end",
            ["a", 4001, "ende", true, 3],
            ["b", 4001, "ende", true],
            "TypeError"
        ])
    );
    assert_eq!(isolate.finished().len(), 1);
}

const ECHO: &str = r#"export default { fetch(request) {
    const { 0: client, 1: server } = new WebSocketPair();
    server.accept();
    server.send("welcome");
    server.addEventListener("message", async ({ data }) => {
        await null;
        if (data === "bye") server.close(3000, "as you wish");
        else if (data === "throw") throw new Error("thrown by a listener");
        else server.send(data);
    });
    server.addEventListener("close", ({ code, reason, wasClean }) => console.log("closed", code, reason, wasClean));
    server.addEventListener("error", ({ message }) => console.log("error", message));
    return new Response(null, { status: 101, webSocket: client, headers: { "sec-websocket-protocol": "echo" } });
} };"#;

/// The other end of a pair is the answer, and the request lasts as long as both ends.
async fn handed_out(source: Source) {
    let mut isolate = Isolate::new(source, ECHO).await;
    let response = isolate.answer(get("/")).await.unwrap();
    assert_eq!(response.status, 101);
    assert_eq!(response.headers["sec-websocket-protocol"], "echo");
    let client = socket(response.body);
    assert_eq!(isolate.run_until(client.receive()).await, Received::Message(text("welcome")));
    let slots = requests::slots(&mut isolate.runtime.op_state().borrow_mut());
    assert!(requests::streaming(&isolate.runtime.op_state().borrow(), slots[0]));
    for message in [text("a"), Message::Binary(vec![0, 255]), text("")] {
        assert!(client.send(message.clone(), None).await);
        assert_eq!(isolate.run_until(client.receive()).await, Received::Message(message));
    }
    let fresh = requests::take_fresh(&mut isolate.runtime.op_state().borrow_mut());
    assert_eq!(fresh, slots);
    assert!(requests::take_fresh(&mut isolate.runtime.op_state().borrow_mut()).is_empty());
    client.send(text("throw"), None).await;
    client.send(text("after"), None).await;
    assert_eq!(isolate.run_until(client.receive()).await, Received::Message(text("after")));
    client.send(text("bye"), None).await;
    let close = Close::new(3000, "as you wish");
    assert_eq!(isolate.run_until(client.receive()).await, Received::Close(close.clone()));
    assert!(isolate.finished().is_empty());
    client.close(close);
    drop(client);
    isolate.run().await;
    assert_eq!(isolate.finished(), slots);
    let log = isolate.world.lines();
    assert!(log.iter().any(|(_, id, line)| line.contains("thrown by a listener") && id.is_some()), "{log:?}");
    assert_eq!(log.last().unwrap().2, "closed 3000 as you wish true");
}

async fn closes_are_checked(source: Source) {
    let code = r#"export default { fetch() {
        const log = [];
        const attempt = (f) => { try { log.push(f() ?? "ok"); } catch (error) { log.push(error.name); } };
        for (const code of [999, 1004, 1005, 1006, 1015, 2000, 2999, 5000, 70000, -1, "x", NaN]) {
            attempt(() => new WebSocketPair()[0].close(code));
        }
        for (const code of [1000, 1001, 1011, 1014, 3000, 4999, "1000", undefined]) {
            attempt(() => new WebSocketPair()[0].close(code));
        }
        attempt(() => new WebSocketPair()[0].close(1000, "é".repeat(62)));
        attempt(() => new WebSocketPair()[0].close(1000, "é".repeat(61)));
        attempt(() => new WebSocketPair()[0].send("not accepted"));
        attempt(() => WebSocket.prototype.send.call({}, "x"));
        attempt(() => WebSocket("ws://a"));
        attempt(() => new WebSocket());
        for (const url of ["a", "ftp://a", "ws://a/#f", "ws://a/#", "ws://[", "about:blank"]) {
            attempt(() => new WebSocket(url));
        }
        for (const protocols of ["", "a b", ["a", "a"], ["a", "A"], "é", [""]]) {
            attempt(() => new WebSocket("ws://a", protocols));
        }
        const socket = new WebSocket("HTTPS://a.example:443/x", ["one", "two"]);
        log.push(socket.url, socket.readyState, socket.extensions);
        attempt(() => socket.send("x"));
        attempt(() => socket.close(1001));
        attempt(() => socket.accept());
        socket.binaryType = "nonsense";
        socket.binaryType = "blob";
        log.push(socket.binaryType, Object.keys(new WebSocketPair()).join());
        attempt(() => socket.close());
        log.push(socket.readyState);
        return Response.json(log);
    } };"#;
    let mut isolate = Isolate::new(source, code).await;
    let log: Vec<serde_json::Value> = serde_json::from_str(&isolate.get("/").await).unwrap();
    let expected = [
        &["InvalidAccessError"; 12][..],
        &["ok"; 8],
        &["SyntaxError", "ok", "TypeError", "TypeError", "TypeError", "TypeError"],
        &["SyntaxError"; 12],
    ]
    .concat();
    assert_eq!(log[..expected.len()], expected);
    let rest = &log[expected.len()..];
    let end = ["InvalidStateError", "InvalidAccessError", "TypeError", "blob", "0,1", "ok"];
    assert_eq!(rest[..3], [json!("wss://a.example/x"), json!(0), json!("")]);
    assert_eq!(rest[3..9], end);
    assert_eq!(rest[9], json!(2));
}

async fn what_cannot_be_a_response(source: Source) {
    let code = r#"export default { async fetch(request) {
        const log = [];
        const attempt = (init) => {
            try { new Response(null, init); log.push("ok"); } catch (error) { log.push(error.name); }
        };
        const [a, b] = new WebSocketPair();
        attempt({ status: 101 });
        attempt({ webSocket: a });
        attempt({ status: 200, webSocket: a });
        attempt({ status: 101, webSocket: {} });
        attempt({ status: 101, webSocket: null });
        attempt({ status: 200, webSocket: null });
        attempt({ status: 101, webSocket: a });
        const response = new Response(null, { status: 101, webSocket: a });
        log.push(response.webSocket === a, new Response("").webSocket);
        try { response.clone(); } catch (error) { log.push(error.name); }
        if (request.url.endsWith("/accepted")) {
            a.accept();
            return response;
        }
        return Response.json(log);
    } };"#;
    let mut isolate = Isolate::new(source, code).await;
    let log: serde_json::Value = serde_json::from_str(&isolate.get("/").await).unwrap();
    let range = "RangeError";
    assert_eq!(log, json!([range, range, range, "TypeError", range, "ok", "ok", true, null, "TypeError"]));
    let error = isolate.answer(get("/accepted")).await.unwrap_err();
    assert_eq!(error.code(), "handler-invalid-response");
}

/// What cannot be sent does not pile up.
async fn a_slow_reader_ends_the_socket(source: Source) {
    let code = r#"export default { fetch(request, env, ctx) {
        const [client, server] = new WebSocketPair();
        server.accept();
        const log = [];
        server.onerror = (event) => log.push(["error", event.message]);
        ctx.waitUntil(new Promise((resolve) => {
            server.onclose = ({ code, wasClean }) => { console.log(JSON.stringify([...log, code, wasClean])); resolve(); };
        }));
        const chunk = "x".repeat(1 << 20);
        let sent = 0;
        while (server.readyState === WebSocket.OPEN) { server.send(chunk); sent++; }
        console.log("sent", sent, server.bufferedAmount > 1 << 20);
        return new Response(null, { status: 101, webSocket: client });
    } };"#;
    let mut isolate = Isolate::new(source, code).await;
    let client = socket(isolate.answer(get("/")).await.unwrap().body);
    let Received::Close(close) = isolate.run_until(client.receive()).await else { panic!("no close") };
    assert_eq!(close.code, 1013);
    drop(client);
    isolate.run().await;
    let lines: Vec<String> = isolate.world.lines().into_iter().map(|(_, _, line)| line).collect();
    assert!(lines[0].starts_with("WebSocket: the other side reads too slowly"), "{lines:?}");
    assert!(lines[1].starts_with("sent 8 true") || lines[1].starts_with("sent 9 true"), "{lines:?}");
    assert!(lines[2].contains("reads too slowly") && lines[2].ends_with("1006,false]"), "{lines:?}");
    assert_eq!(isolate.finished().len(), 1);
}

/// Many slow readers end one by one, and a quick one among them stays.
async fn slow_readers_share_the_memory(source: Source) {
    let code = r#"const all = []; export default { async fetch(request) {
        if (request.url.endsWith("/tell")) {
            const chunk = new Uint8Array(1 << 18);
            for (let i = 0; i < 20; i++) for (const socket of all) if (socket.readyState === 1) socket.send(chunk);
            return Response.json(all.map((socket) => socket.readyState));
        }
        const [client, server] = new WebSocketPair();
        server.accept();
        all.push(server);
        return new Response(null, { status: 101, webSocket: client });
    } };"#;
    let mut isolate = Isolate::new(source, code).await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(socket(isolate.answer(get("/")).await.unwrap().body));
    }
    let before = atoll_web::off_heap(&isolate.runtime.op_state().borrow());
    isolate.get("/tell").await;
    let waiting = atoll_web::off_heap(&isolate.runtime.op_state().borrow()) - before;
    assert!((1..50 << 20).contains(&waiting), "{waiting}");
}

async fn a_lost_peer_is_an_error_and_a_close(source: Source) {
    let mut isolate = Isolate::new(source, ECHO).await;
    let client = socket(isolate.answer(get("/")).await.unwrap().body);
    client.fail("the connection broke");
    drop(client);
    isolate.run().await;
    let lines: Vec<String> = isolate.world.lines().into_iter().map(|(_, _, line)| line).collect();
    assert_eq!(lines, ["error the connection broke", "closed 1006  false"]);
    assert_eq!(isolate.finished().len(), 1);
}

/// An end that nobody takes up is no reason to keep the request.
async fn never_accepted(source: Source) {
    let code = "let kept; export default { fetch() { const [a, b] = new WebSocketPair(); kept = b; \
                return new Response(null, { status: 101, webSocket: a }); } };";
    let mut isolate = Isolate::new(source, code).await;
    let client = socket(isolate.answer(get("/")).await.unwrap().body);
    assert!(isolate.finished().is_empty());
    drop(client);
    isolate.run().await;
    assert_eq!(isolate.finished().len(), 1);
}

/// A host that answers `/echo` with a WebSocket whose other end `serve` has.
fn host(serve: impl Fn(Socket) + Send + Sync + 'static) -> Arc<World> {
    let serve = Arc::new(serve);
    World::answering(move |request| {
        let serve = serve.clone();
        async move {
            if request.url.path() != "/echo" || request.headers.get("upgrade").is_none_or(|value| value != "websocket")
            {
                return Ok(response(426, &[], Body::Full("no".into())));
            }
            assert_eq!(request.url.scheme(), "https");
            let (near, far) = Socket::pair();
            serve(far);
            Ok(response(101, &[("sec-websocket-protocol", "two")], Body::Socket(near)))
        }
    })
}

/// Answers every message with itself until the close, which it answers too.
fn echo(far: Socket) {
    tokio::spawn(async move {
        loop {
            match far.receive().await {
                Received::Message(message) => drop(far.send(message, None).await),
                Received::Close(close) => return far.close(close),
                Received::Lost(_) => return,
            }
        }
    });
}

async fn to_another_host(source: Source) {
    let code = r#"export default { async fetch() {
        const log = [];
        await new Promise((resolve) => {
            const socket = new WebSocket("wss://other.example/echo", ["one", "two"]);
            socket.onopen = () => { log.push(["open", socket.readyState, socket.protocol]); socket.send("1"); };
            socket.onmessage = async ({ data, origin }) => {
                log.push([typeof data === "string" ? data : await data.text(), origin]);
                if (data === "1") { socket.binaryType = "blob"; socket.send(new Uint8Array([50])); }
                else socket.close(4000);
            };
            socket.onclose = ({ code, wasClean }) => { log.push(["close", code, wasClean]); socket.send("??"); resolve(); };
        });
        for (const url of ["https://other.example/echo", "wss://other.example/echo"]) {
            const { status, webSocket } = await fetch(url, { headers: { upgrade: "websocket" } });
            webSocket.accept();
            const message = new Promise((resolve) => webSocket.onmessage = resolve);
            webSocket.send("2");
            log.push([status, webSocket.protocol, (await message).data]);
            webSocket.close();
        }
        return Response.json(log);
    } };"#;
    let mut isolate = Isolate::with(source, code, host(echo), Vec::new()).await;
    let log: serde_json::Value = serde_json::from_str(&isolate.get("/").await).unwrap();
    assert_eq!(
        log,
        json!([
            ["open", 1, "two"],
            ["1", "wss://other.example"],
            ["2", "wss://other.example"],
            ["close", 4000, true],
            [101, "two", "2"],
            [101, "two", "2"]
        ])
    );
}

async fn refused_by_another_host(source: Source) {
    let code = r#"export default { async fetch() {
        const failed = (url, close) => new Promise((resolve) => {
            const socket = new WebSocket(url);
            const log = [];
            socket.onerror = ({ message }) => log.push(message);
            socket.onclose = ({ code, wasClean }) => resolve([...log, code, wasClean, socket.readyState]);
            if (close) socket.close();
        });
        const plain = await fetch("https://other.example/x", { headers: { upgrade: "websocket" } });
        return Response.json([
            await failed("wss://other.example/x"),
            await failed("wss://other.example/echo", true),
            [plain.status, plain.webSocket, await plain.text()],
        ]);
    } };"#;
    let mut isolate = Isolate::with(source, code, host(echo), Vec::new()).await;
    let log: serde_json::Value = serde_json::from_str(&isolate.get("/").await).unwrap();
    let problem = |url: &str, problem: &str| format!("WebSocket connection to '{url}' failed: {problem}");
    let early = "the WebSocket was closed before the connection was open";
    assert_eq!(
        log,
        json!([
            [
                problem("wss://other.example/x", "the server answered with the status 426 instead of 101"),
                1006,
                false,
                3
            ],
            [problem("wss://other.example/echo", early), 1006, false, 3],
            [426, null, "no"]
        ])
    );
}

/// What another host answered goes on as it is, without a turn of JavaScript for a message.
async fn passed_through(source: Source) {
    let code = r#"export default { async fetch(request) {
        const upstream = await fetch("https://other.example/echo", request);
        return request.url.endsWith("/copy") ? new Response(upstream.body, upstream) : upstream;
    } };"#;
    let mut isolate = Isolate::with(source, code, host(echo), Vec::new()).await;
    for path in ["/", "/copy"] {
        let event = request(http::Method::GET, path, &[("upgrade", "websocket")], Body::Empty);
        let response = isolate.answer(event).await.unwrap();
        assert_eq!(response.headers["sec-websocket-protocol"], "two");
        let client = socket(response.body);
        client.send(text("through"), None).await;
        assert_eq!(client.receive().await, Received::Message(text("through")));
        client.close(Close::new(1000, ""));
        assert_eq!(client.receive().await, Received::Close(Close::new(1000, "")));
        drop(client);
        isolate.run().await;
        assert_eq!(isolate.finished().len(), 1);
    }
}

/// A WebSocket to another host does not outlive the request that opened it.
async fn ends_with_its_request(source: Source) {
    let code = r#"export default { async fetch() {
        const { webSocket } = await fetch("https://other.example/echo", { headers: { upgrade: "websocket" } });
        webSocket.accept();
        webSocket.send("1");
        return new Response("done");
    } };"#;
    let (given, mut far) = tokio::sync::mpsc::channel(1);
    let world = host(move |socket| given.try_send(socket).unwrap());
    let mut isolate = Isolate::with(source, code, world, Vec::new()).await;
    assert_eq!(isolate.get("/").await, "done");
    let far = far.recv().await.unwrap();
    assert_eq!(far.receive().await, Received::Message(text("1")));
    assert_eq!(isolate.finished().len(), 1);
    assert!(matches!(far.receive().await, Received::Lost(_)));
    isolate.run().await;
}

/// What waits to be sent is the isolate's own memory.
async fn counts_as_memory(source: Source) {
    let code = r#"export default { fetch() {
        const [client, server] = new WebSocketPair();
        server.accept();
        server.send(new Uint8Array(3 << 20));
        return new Response(null, { status: 101, webSocket: client });
    } };"#;
    let mut isolate = Isolate::new(source, code).await;
    let before = atoll_web::off_heap(&isolate.runtime.op_state().borrow());
    let client = socket(isolate.answer(get("/")).await.unwrap().body);
    let waiting = atoll_web::off_heap(&isolate.runtime.op_state().borrow());
    assert!(waiting >= before + (3 << 20));
    assert!(matches!(client.receive().await, Received::Message(Message::Binary(_))));
    drop(client);
    isolate.run().await;
    assert_eq!(atoll_web::off_heap(&isolate.runtime.op_state().borrow()), before);
}
