//! 103 Early Hints, over each version of HTTP: those of origins, and the links that pages had before.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use atoll_edge_node::{Config, EdgeNode, ListenerConfig};
use atoll_protocol::config::{CacheSettings, ProxyProtocol, ProxySettings};
use atoll_runtime::Engine;
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::listeners::{Authority, http3, listener, tls_config};
use crate::support::{app, bundle, config, node};

/// How long anything may take.
const LONG: Duration = Duration::from_secs(120);

/// An origin that hints, and answers only when it may: a permit for each request.
struct Origin {
    address: SocketAddr,
    may_answer: Arc<Semaphore>,
}

impl Origin {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, may_answer) = (listener.local_addr().unwrap(), Arc::new(Semaphore::new(0)));
        let permits = may_answer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Self::serve(stream, permits.clone()));
            }
        });
        Self { address, may_answer }
    }

    async fn serve(mut stream: TcpStream, may_answer: Arc<Semaphore>) {
        while !read_head(&mut stream).await.is_empty() {
            let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload; as=style\r\nx-secret: 1\r\n\r\n";
            let progress = "HTTP/1.1 102 Processing\r\nlink: </not.css>; rel=preload\r\n\r\n";
            if stream.write_all([progress, hint, hint].concat().as_bytes()).await.is_err() {
                return;
            }
            may_answer.acquire().await.unwrap().forget();
            let answer =
                b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nlink: </page.css>; rel=preload; as=style\r\n\r\npage";
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }

    fn answers(&self) {
        self.may_answer.add_permits(1);
    }
}

/// A head with its empty line; what there is of it at the connection's end.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match timeout(LONG, stream.read_u8()).await.expect("something comes") {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// A head and the four bytes of the origin's body.
async fn read_answer(stream: &mut TcpStream) -> String {
    let head = read_head(stream).await;
    let mut body = [0; 4];
    timeout(LONG, stream.read_exact(&mut body)).await.expect("a body").unwrap();
    assert_eq!(&body, b"page", "{head}");
    head
}

fn reachable(mut config: Config) -> Config {
    config.egress.allow = vec!["127.0.0.0/8".parse().unwrap()];
    config
}

fn install_proxy(node: &EdgeNode, name: &str, origin: &Origin) {
    install(node, name, origin.address, ProxyProtocol::Auto);
}

fn install(node: &EdgeNode, name: &str, origin: SocketAddr, protocol: ProxyProtocol) {
    let code = "export {};";
    let mut state = app(name, 1, code);
    state.versions.get_mut(&1).unwrap().config.proxy = Some(ProxySettings {
        url: format!("http://{origin}"),
        preserve_host: false,
        protocol,
        answer_timeout_ms: None,
        idle_timeout_ms: None,
    });
    node.install(state, bundle(code), &BTreeMap::new());
}

fn links(headers: &HeaderMap) -> Vec<&str> {
    headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect()
}

const HINT: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload; as=style\r\n\r\n";

/// What an origin hints arrives before its answer, once, with `Link` alone; only at navigations, and in its turn where
/// requests are sent one after another.
pub async fn of_an_origin_go_to_navigations(engine: Engine) {
    let origin = Origin::start().await;
    let node = node(reachable(config()), &engine, &[]).await;
    install_proxy(&node, "p", &origin);
    let navigation = "GET / HTTP/1.1\r\nHost: p.localhost\r\nSec-Fetch-Mode: navigate\r\n\r\n";
    let other = "GET / HTTP/1.1\r\nHost: p.localhost\r\nSec-Fetch-Mode: cors\r\n\r\n";
    let old = "GET / HTTP/1.0\r\nHost: p.localhost\r\nSec-Fetch-Mode: navigate\r\n\r\n";
    let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
    stream.write_all([navigation, other, navigation, old].concat().as_bytes()).await.unwrap();
    for (hinted, version) in [(true, "1.1"), (false, "1.1"), (true, "1.1"), (false, "1.0")] {
        if hinted {
            assert_eq!(read_head(&mut stream).await, HINT);
        }
        origin.answers();
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/{version} 200 OK\r\n")), "{answer}");
    }
}

/// Answers requests over HTTP/2 with other interim answers, a hint twice, and, when it may, an answer.
async fn hint_over_http2(stream: TcpStream, may_answer: Arc<Semaphore>) {
    let interim = |status, link| Response::builder().status(status).header("link", link).header("x-secret", "1");
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        let permits = may_answer.clone();
        tokio::spawn(async move {
            for (status, link) in [
                (102, "</not.css>; rel=preload"),
                (103, "</a.css>; rel=preload; as=style"),
                (103, "</a.css>; rel=preload; as=style"),
            ] {
                respond.send_informational(interim(status, link).body(()).unwrap()).unwrap();
            }
            permits.acquire().await.unwrap().forget();
            let mut body = respond
                .send_response(Response::builder().header("content-length", "4").body(()).unwrap(), false)
                .unwrap();
            body.send_data("page".into(), true).unwrap();
        });
    }
}

/// What an origin that speaks HTTP/2 hints goes on in the same way.
pub async fn of_an_origin_that_speaks_http2_go_on(engine: Engine) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, may_answer) = (listener.local_addr().unwrap(), Arc::new(Semaphore::new(0)));
    let permits = may_answer.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(hint_over_http2(stream, permits.clone()));
        }
    });
    let node = node(reachable(config()), &engine, &[]).await;
    install(&node, "p", address, ProxyProtocol::Http2);
    let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
    for (mode, hinted) in [("navigate", true), ("cors", false), ("navigate", true)] {
        let request = format!("GET / HTTP/1.1\r\nHost: p.localhost\r\nSec-Fetch-Mode: {mode}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        if hinted {
            assert_eq!(read_head(&mut stream).await, HINT);
        }
        may_answer.add_permits(1);
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

/// The same over HTTP/2.
pub async fn of_an_origin_go_out_over_http2(engine: Engine) {
    let origin = Origin::start().await;
    let node = node(reachable(config()), &engine, &[]).await;
    install_proxy(&node, "p", &origin);
    let stream = TcpStream::connect(node.local_addr()).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    for hinted in [true, false, true] {
        let mode = if hinted { "navigate" } else { "cors" };
        let request = Request::get("http://p.localhost/").header("sec-fetch-mode", mode).body(()).unwrap();
        let (mut response, _) = sender.send_request(request, true).unwrap();
        if hinted {
            let interim = timeout(LONG, poll_fn(|cx| response.poll_informational(cx))).await.unwrap();
            let interim = interim.expect("an interim answer").unwrap();
            assert_eq!((interim.status().as_u16(), interim.headers().len()), (103, 1));
            assert_eq!(links(interim.headers()), ["</a.css>; rel=preload; as=style"]);
        }
        origin.answers();
        let answer = timeout(LONG, response).await.unwrap().unwrap();
        assert!(answer.status() == 200 && answer.headers()["content-length"] == "4");
        let mut body = answer.into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "page");
    }
}

/// The same over HTTP/3.
pub async fn of_an_origin_go_out_over_http3(engine: Engine) {
    let (origin, authority) = (Origin::start().await, Authority::new().await);
    let tls = tls_config(vec![authority.sign("p", &["p.localhost"]).await]);
    let listeners = vec![ListenerConfig { http3: true, ..listener(Some(tls)) }];
    let node = node(reachable(Config { listen: None, listeners, ..config() }), &engine, &[]).await;
    install_proxy(&node, "p", &origin);
    let (_quic, mut sender) = http3(&authority, node.local_addr(), "p.localhost").await;
    for hinted in [true, false] {
        let mode = if hinted { "navigate" } else { "cors" };
        let request = Request::get("https://p.localhost/").header("sec-fetch-mode", mode).body(()).unwrap();
        let mut stream = sender.send_request(request).await.unwrap();
        stream.finish().await.unwrap();
        if hinted {
            let interim = timeout(LONG, stream.recv_response()).await.unwrap().unwrap();
            assert_eq!((interim.status().as_u16(), interim.headers().len()), (103, 1));
            assert_eq!(links(interim.headers()), ["</a.css>; rel=preload; as=style"]);
        }
        origin.answers();
        let answer = timeout(LONG, stream.recv_response()).await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        while stream.recv_data().await.unwrap().is_some() {}
    }
}

/// A page that an app makes anew is preceded by the links that it had the last time, where the app wants that; no other
/// app's clients are told of them, and none of another page.
pub async fn tell_what_a_page_needed_before(engine: Engine) {
    let origin = Origin::start().await;
    let node = node(reachable(config()), &engine, &[]).await;
    let code = format!(
        "export default {{ async fetch(request) {{
            const answer = await fetch('http://{}/');
            const links = '</app.css>; rel=preload; as=style, </next>; rel=next';
            return new Response(answer.body, {{ headers: {{ link: links, 'content-length': '4' }} }});
        }} }};",
        origin.address
    );
    for (name, early_hints) in [("a", true), ("b", true), ("c", false)] {
        let mut state = app(name, 1, &code);
        state.versions.get_mut(&1).unwrap().config.cache = CacheSettings { early_hints, ..CacheSettings::default() };
        node.install(state, bundle(&code), &BTreeMap::new());
    }
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </app.css>; rel=preload; as=style\r\n\r\n";
    let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
    for (app, path, mode, hinted) in [
        ("a", "/?1", "navigate", false),
        ("a", "/?2", "navigate", true),
        ("a", "/?2", "cors", false),
        ("a", "/other", "navigate", false),
        ("b", "/?2", "navigate", false),
        ("c", "/?1", "navigate", false),
        ("c", "/?2", "navigate", false),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {app}.localhost\r\nSec-Fetch-Mode: {mode}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        if hinted {
            assert_eq!(read_head(&mut stream).await, hint);
        }
        origin.answers();
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{app}{path}: {answer}");
    }
}
