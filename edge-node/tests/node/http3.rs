//! HTTP/3 of clients that mean no good, or are slow.

use std::time::Duration;

use atoll_edge_node::{Config, EdgeNode, ListenerConfig};
use atoll_runtime::Engine;
use bytes::{Buf, Bytes};
use h3::error::Code;
use http::Request;
use quinn::{ConnectionError, VarInt};
use tokio::time::{interval, timeout};

use crate::listeners::{Authority, Http3, http3, listener, tls_config};
use crate::support::{config, eventually, node};

/// How long anything may take.
const LONG: Duration = Duration::from_secs(120);
/// The beginning of a head of 40 bytes (RFC 9114 §7.2.2).
const HALF_A_HEAD: [u8; 4] = [1, 40, 0, 0];

/// Bytes of `large`: more than is on its way at once.
const LARGE: usize = 32 << 20;

/// Reads the body and says what came of that; `flood` has no end.
const APP: &str = "export default { async fetch(request) {
    if (request.url.endsWith('/flood')) {
        return new Response(new ReadableStream({ pull(controller) { controller.enqueue(new Uint8Array(65536)); } }));
    }
    if (request.url.endsWith('/large')) return new Response(new Uint8Array(32 << 20));
    try {
        return new Response(await request.text());
    } catch {
        return new Response('broken', { status: 400 });
    }
} };";

/// A node that serves `a.localhost` over HTTP/3 with this code.
pub async fn serving(mut config: Config, engine: &Engine, code: &str) -> (EdgeNode, Authority) {
    let authority = Authority::new().await;
    let tls = tls_config(vec![authority.sign("a", &["a.localhost"]).await]);
    config.listen = None;
    config.listeners = vec![ListenerConfig { http3: true, ..listener(Some(tls)) }];
    (node(config, engine, &[("a", code)]).await, authority)
}

/// Sends a request and reads its answer; `None` when its stream is reset.
async fn ask(sender: &mut Http3, request: Request<()>, body: &str) -> Option<(u16, String)> {
    let mut stream = sender.send_request(request).await.ok()?;
    if !body.is_empty() {
        stream.send_data(Bytes::copy_from_slice(body.as_bytes())).await.ok()?;
    }
    // The answer may be there before the end of the request.
    let _ = stream.finish().await;
    let status = stream.recv_response().await.ok()?.status();
    let mut text = Vec::new();
    while let Some(mut data) = stream.recv_data().await.ok()? {
        text.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    Some((status.as_u16(), String::from_utf8(text).unwrap()))
}

fn get() -> http::request::Builder {
    Request::get("https://a.localhost/")
}

/// Requests that are given up as soon as they have begun end the connection, with `H3_EXCESSIVE_LOAD`, and no other one.
pub async fn ends_floods_of_resets(engine: Engine) {
    let (node, authority) = serving(config(), &engine, APP).await;
    let (_other, mut sender) = http3(&authority, node.local_addr(), "a.localhost").await;
    assert_eq!(ask(&mut sender, get().body(()).unwrap(), "").await.unwrap().0, 200);
    let (quic, _sender) = http3(&authority, node.local_addr(), "a.localhost").await;
    let flood = async {
        while let Ok((mut stream, _)) = quic.open_bi().await {
            let _ = stream.write_all(&HALF_A_HEAD).await;
            let _ = stream.reset(VarInt::from_u32(0x10c));
        }
        quic.closed().await
    };
    let ended = timeout(LONG, flood).await.expect("the connection ends");
    let ConnectionError::ApplicationClosed(close) = &ended else { panic!("{ended:?}") };
    assert_eq!(close.error_code.into_inner(), Code::H3_EXCESSIVE_LOAD.value(), "{ended:?}");
    assert_eq!(ask(&mut sender, get().body(()).unwrap(), "").await.unwrap().0, 200);
}

/// What RFC 9114 §4 calls malformed is reset, or broken for the app, and the connection goes on.
pub async fn refuses_what_is_malformed(engine: Engine) {
    let (node, authority) = serving(config(), &engine, APP).await;
    let (_quic, mut sender) = http3(&authority, node.local_addr(), "a.localhost").await;
    let post = |length: &str| {
        Request::post("https://a.localhost/").header("content-length", length).body(()).expect("a request")
    };
    assert_eq!(ask(&mut sender, post("x"), "abc").await, None);
    assert_eq!(ask(&mut sender, post("5"), "abc").await, Some((400, "broken".into())));
    assert_eq!(ask(&mut sender, post("3"), "abc").await, Some((200, "abc".into())));
    let trace = Request::builder().method("TRACE").uri("https://a.localhost/").body(()).unwrap();
    assert_eq!(ask(&mut sender, trace, "").await.unwrap().0, 405);
    for (name, value) in [("connection", "close"), ("keep-alive", "1"), ("upgrade", "websocket"), ("te", "gzip")] {
        assert_eq!(ask(&mut sender, get().header(name, value).body(()).unwrap(), "").await, None, "{name}");
    }
    assert_eq!(ask(&mut sender, get().header("te", "trailers").body(()).unwrap(), "").await.unwrap().0, 200);
    assert_eq!(ask(&mut sender, get().header("x", " a").body(()).unwrap(), "").await.unwrap().0, 400);
    let mut twice = post("3");
    twice.headers_mut().append("content-length", "3".parse().unwrap());
    assert_eq!(ask(&mut sender, twice, "abc").await.unwrap().0, 400);
    let many = (0..101).fold(get(), |request, at| request.header(format!("x-{at}"), "1"));
    assert_eq!(ask(&mut sender, many.body(()).unwrap(), "").await.unwrap().0, 431);
    assert_eq!(ask(&mut sender, get().body(()).unwrap(), "").await.unwrap().0, 200);
}

/// A head that does not come to its end, and an answer of which nothing is taken, cost their stream and no other one.
pub async fn gives_slow_clients_up(engine: Engine) {
    let mut config = config();
    config.limits.cpu_ms = 60_000;
    config.connections.header_timeout_ms = 2_000;
    config.connections.write_timeout_ms = 2_000;
    // What was sent gives no time worth mentioning.
    config.connections.min_rate = 1 << 20;
    let (node, authority) = serving(config, &engine, APP).await;
    let (quic, mut sender) = http3(&authority, node.local_addr(), "a.localhost").await;
    let (mut to, mut from) = quic.open_bi().await.unwrap();
    to.write_all(&HALF_A_HEAD).await.unwrap();
    let ended = timeout(LONG, from.read(&mut [0; 16])).await.expect("the stream ends");
    assert!(!matches!(ended, Ok(Some(_))), "{ended:?}");

    let request = Request::get("https://a.localhost/flood").body(()).unwrap();
    let mut stream = sender.send_request(request).await.unwrap();
    stream.finish().await.unwrap();
    assert_eq!(stream.recv_response().await.unwrap().status(), 200);
    let before = quic.stats().frame_rx.reset_stream;
    eventually("the stream is given up", async || quic.stats().frame_rx.reset_stream > before).await;
    assert_eq!(ask(&mut sender, get().body(()).unwrap(), "").await.unwrap().0, 200);
}

/// An answer that takes longer than a client may be silent comes whole to one that takes some of it all the time, and to
/// one that takes much, and then nothing for a while.
pub async fn waits_for_clients_that_go_on(engine: Engine) {
    let mut config = config();
    config.connections.write_timeout_ms = 1_000;
    let (node, authority) = serving(config, &engine, APP).await;
    let (_quic, mut sender) = http3(&authority, node.local_addr(), "a.localhost").await;
    let request = Request::get("https://a.localhost/large").body(()).unwrap();
    let mut stream = sender.send_request(request).await.unwrap();
    stream.finish().await.unwrap();
    assert_eq!(stream.recv_response().await.unwrap().status(), 200);
    let (mut taken, mut allowed, mut pace) = (0, 0, interval(Duration::from_millis(10)));
    // At once what its windows have room for.
    let mut pause = interval(Duration::from_secs(3));
    pause.tick().await;
    pause.tick().await;
    while let Some(mut data) = timeout(LONG, stream.recv_data()).await.expect("more of it").expect("it goes on") {
        taken += data.remaining();
        data.advance(data.remaining());
        while allowed < taken {
            pace.tick().await;
            allowed += 64 << 10;
        }
    }
    assert_eq!(taken, LARGE);
}
