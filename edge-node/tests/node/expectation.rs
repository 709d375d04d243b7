//! `Expect: 100-continue` over HTTP/2 and HTTP/3: the client is told to go on when its body is waited for, and not before.

use std::future::poll_fn;
use std::time::Duration;

use atoll_edge_node::{Config, ListenerConfig};
use atoll_runtime::Engine;
use bytes::{Buf, Bytes};
use http::Request;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::listeners::{Authority, http3, listener, tls_config};
use crate::support::{config, node};

/// How long anything may take.
const LONG: Duration = Duration::from_secs(60);

/// Reads the body, or answers without it.
const APP: &str = "export default { async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/refuse') return new Response('no', { status: 403 });
    return new Response(await request.text());
} };";

fn post(scheme: &str, path: &str, expectation: &str) -> Request<()> {
    Request::post(format!("{scheme}://a.localhost{path}")).header("expect", expectation).body(()).unwrap()
}

/// Over HTTP/2: once, when the app waits for the body; not when the app answers without it; and no other expectation is
/// met.
pub async fn over_http2_is_met_when_the_body_is_wanted(engine: Engine) {
    let node = node(config(), &engine, &[("a", APP)]).await;
    let stream = TcpStream::connect(node.local_addr()).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    for _ in 0..2 {
        let (mut response, mut body) = sender.send_request(post("http", "/", "100-continue"), false).unwrap();
        let interim = timeout(LONG, poll_fn(|cx| response.poll_informational(cx))).await.unwrap();
        let interim = interim.expect("an interim answer").unwrap();
        assert_eq!((interim.status().as_u16(), interim.headers().len()), (100, 0));
        body.send_data(Bytes::from_static(b"abc"), false).unwrap();
        body.send_data(Bytes::from_static(b"def"), true).unwrap();
        let next = timeout(LONG, poll_fn(|cx| response.poll_informational(cx))).await.unwrap();
        assert!(next.is_none(), "it is told once");
        let answer = timeout(LONG, response).await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.into_body().data().await.unwrap().unwrap(), "abcdef");
    }
    for (path, expectation, status, code) in
        [("/refuse", "100-continue", 403, None), ("/", "tea", 417, Some("expectation-failed"))]
    {
        let (mut response, _body) = sender.send_request(post("http", path, expectation), false).unwrap();
        let interim = timeout(LONG, poll_fn(|cx| response.poll_informational(cx))).await.unwrap();
        assert!(interim.is_none(), "{path}: {interim:?}");
        let answer = timeout(LONG, response).await.unwrap().unwrap();
        let said = answer.headers().get("atoll-error").map(|code| code.to_str().unwrap());
        assert_eq!((answer.status().as_u16(), said), (status, code));
    }
}

/// The same over HTTP/3.
pub async fn over_http3_is_met_when_the_body_is_wanted(engine: Engine) {
    let authority = Authority::new().await;
    let tls = tls_config(vec![authority.sign("a", &["a.localhost"]).await]);
    let listeners = vec![ListenerConfig { http3: true, ..listener(Some(tls)) }];
    let node = node(Config { listen: None, listeners, ..config() }, &engine, &[("a", APP)]).await;
    let (_quic, mut sender) = http3(&authority, node.local_addr(), "a.localhost").await;
    let mut stream = sender.send_request(post("https", "/", "100-continue")).await.unwrap();
    let interim = timeout(LONG, stream.recv_response()).await.unwrap().unwrap();
    assert_eq!(interim.status(), 100);
    stream.send_data(Bytes::from_static(b"abc")).await.unwrap();
    stream.finish().await.unwrap();
    let answer = timeout(LONG, stream.recv_response()).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    let mut body = Vec::new();
    while let Some(mut data) = timeout(LONG, stream.recv_data()).await.unwrap().unwrap() {
        body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    assert_eq!(body, b"abc");
    for (path, expectation, status) in [("/refuse", "100-continue", 403), ("/", "tea", 417)] {
        let mut stream = sender.send_request(post("https", path, expectation)).await.unwrap();
        let answer = timeout(LONG, stream.recv_response()).await.unwrap().unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
}
