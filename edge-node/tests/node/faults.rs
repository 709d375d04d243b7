//! The front cache when what is around it fails: origins that are slow, dead, or lie; a disk that is full.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use atoll_edge_node::EdgeNode;
use atoll_protocol::sync::AppState;
use atoll_runtime::Engine;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{app, bundle, config, eventually, get, http1, node, request};

/// An origin that misbehaves as the path says.
#[derive(Clone)]
struct Origin {
    port: u16,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    go: watch::Sender<bool>,
}

impl Origin {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let origin = Self { port, asked: Arc::default(), go: watch::Sender::new(false) };
        let serving = origin.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.answer(stream).await });
            }
        });
        origin
    }

    fn asked(&self, path: &str) -> usize {
        self.asked.lock().expect("no panic").get(path).copied().unwrap_or(0)
    }

    /// Answers one request of a connection and closes it.
    async fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let times = {
            let mut asked = self.asked.lock().expect("no panic");
            let times = asked.entry(path.clone()).or_default();
            *times += 1;
            *times
        };
        let answer = match (path.as_str(), times) {
            ("/lies", _) => "HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: 100\r\n\r\nfirst",
            ("/early", _) => {
                "HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n"
            }
            ("/slow", _) => {
                let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: 9\r\n\r\nfirst";
                stream.write_all(head.as_bytes()).await?;
                let _ = self.go.subscribe().wait_for(|go| *go).await;
                "last"
            }
            ("/dies", 1) => {
                "HTTP/1.1 200 OK\r\ncache-control: max-age=0, stale-if-error=600\r\ncontent-length: 4\r\n\r\nkept"
            }
            ("/hangs", 1) => {
                "HTTP/1.1 200 OK\r\ncache-control: max-age=0, stale-while-revalidate=600\r\ncontent-length: 4\r\n\r\nkept"
            }
            ("/hangs", _) => {
                let _ = self.go.subscribe().wait_for(|go| *go).await;
                ""
            }
            ("/ok", _) => "HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: 2\r\n\r\nok",
            // It closes without a word.
            _ => "",
        };
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    }
}

fn caching(code: &str) -> AppState {
    let mut state = app("c", 1, code);
    for version in state.versions.values_mut() {
        version.config.cache.enabled = Some(true);
    }
    state
}

/// A node with an app that fetches from the origin.
async fn in_front_of(origin: &Origin, engine: &Engine) -> EdgeNode {
    let code = format!(
        "export default {{ fetch(request) {{
            return fetch('http://127.0.0.1:{}' + new URL(request.url).pathname, {{ headers: {{ connection: 'close' }} }});
        }} }};",
        origin.port
    );
    let mut config = config();
    config.egress.allow = vec!["127.0.0.0/8".parse().expect("a network")];
    let node = node(config, engine, &[]).await;
    node.install(caching(&code), bundle(&code), &BTreeMap::new());
    node
}

async fn open(node: &EdgeNode, path: &str) -> http::Response<Incoming> {
    http1().request(request(node, "c", path).body(Full::<Bytes>::default()).expect("a request")).await.expect("a head")
}

/// An answer that an origin cuts short is an error for who reads it, after what has come, and nothing for anybody else.
pub async fn stores_nothing_that_an_origin_cuts_short(engine: Engine) {
    let origin = Origin::start().await;
    let node = in_front_of(&origin, &engine).await;
    for path in ["/lies", "/early"] {
        for _ in 0..3 {
            let before = origin.asked(path);
            let answer = open(&node, path).await;
            let status = answer.headers()["cache-status"].to_str().expect("text").to_owned();
            assert!(status.contains("uri-miss"), "{path}: {status}");
            let mut body = answer.into_body();
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first", "{path}");
            assert!(body.collect().await.is_err(), "{path} looks whole");
            assert!(origin.asked(path) > before, "{path} is answered although it broke off");
        }
    }
    assert_eq!(get(&node, "c", "/ok").await.body, "ok");
    assert!(get(&node, "c", "/ok").await.header("cache-status").contains("hit"));
}

/// Who waits for a slow origin reads what has come, the origin is asked once, and nobody else waits.
pub async fn waits_for_a_slow_origin_only_where_it_must(engine: Engine) {
    let origin = Origin::start().await;
    let node = in_front_of(&origin, &engine).await;
    let mut bodies = Vec::new();
    for _ in 0..4 {
        let mut body = open(&node, "/slow").await.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
        bodies.push(body);
    }
    assert_eq!(get(&node, "c", "/ok").await.body, "ok");
    origin.go.send_replace(true);
    for body in bodies {
        assert_eq!(body.collect().await.unwrap().to_bytes(), "last");
    }
    assert_eq!(origin.asked("/slow"), 1);
    eventually("it is stored", async || get(&node, "c", "/slow").await.header("cache-status").contains("hit")).await;
    assert_eq!(get(&node, "c", "/slow").await.body, "firstlast");
}

/// What is stale stands in for an origin that is dead or hangs, as far as it may; what is not there is an error each time.
pub async fn stands_in_for_a_dead_origin(engine: Engine) {
    let origin = Origin::start().await;
    let node = in_front_of(&origin, &engine).await;
    for path in ["/dies", "/hangs"] {
        assert_eq!(get(&node, "c", path).await.body, "kept");
    }
    let many = async |path: &str| futures::future::join_all((0..8).map(|_| get(&node, "c", path))).await;
    for answer in many("/dies").await {
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "kept"));
        assert!(answer.header("cache-status").ends_with("detail=stale-if-error"), "{answer:?}");
    }
    for answer in many("/hangs").await {
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "kept"));
    }
    for answer in many("/dead").await {
        assert_eq!(answer.error(), "handler-exception", "{answer:?}");
    }
    assert!(!get(&node, "c", "/dead").await.header("cache-status").contains("hit"));
    origin.go.send_replace(true);
}

/// A file system of its own, of one mebibyte; gone when this is dropped.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(folder: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(folder).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).output();
    }
}

/// On a disk that is full nothing more is stored; everything is answered, and what was stored is whole.
pub async fn goes_on_when_the_disk_is_full(engine: Engine) {
    let dir = tempfile::tempdir().expect("a folder");
    let cache = dir.path().join("cache");
    std::fs::create_dir(&cache).expect("a folder");
    let Some(_small) = Small::mount(&cache) else {
        println!("skipped: a small file system cannot be mounted here, so no disk is full");
        return;
    };
    // One and a half times as many as fit, none of which fits into memory.
    let code = "export default { fetch(request) {
        const path = new URL(request.url).pathname;
        const body = path.padEnd(path === '/small' ? 6 : 200_000, path);
        return new Response(body, { headers: { 'cache-control': 'max-age=600' } });
    } };";
    let mut config = config();
    config.data_dir = Some(dir.path().to_owned());
    (config.front_cache.memory_mb, config.front_cache.disk_mb) = (1, 64);
    let node = node(config, &engine, &[]).await;
    node.install(caching(code), bundle(code), &BTreeMap::new());
    let paths: Vec<String> = (10..18).map(|number| format!("/large-{number}")).collect();
    for _ in 0..3 {
        for path in &paths {
            let answer = get(&node, "c", path).await;
            assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 200_000), "{path}");
            assert!(
                answer.body.as_bytes().chunks(path.len()).all(|chunk| path.as_bytes().starts_with(chunk)),
                "{path}"
            );
        }
    }
    let mut hits = 0;
    for path in &paths {
        hits += usize::from(get(&node, "c", path).await.header("cache-status").contains("hit"));
    }
    assert!(hits < paths.len(), "the disk is not full");
    get(&node, "c", "/small").await;
    assert!(get(&node, "c", "/small").await.header("cache-status").contains("hit"));
    // What is being written to the disk still is given up, or done, in a moment.
    let half_written = || std::fs::read_dir(cache.join("tmp")).expect("a folder").next().is_some();
    eventually("no half-written file is left", async || !half_written()).await;
}
