//! Large contents of the cache in clear text over HTTP/1.1: their bytes go from where they are stored into the socket.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use atoll_edge_node::{Config, EdgeNode};
use atoll_runtime::Engine;
use http::Method;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::interval;

use crate::plane::Plane;
use crate::support::{app, eventually, http1, request, send};

/// Answers with as many bytes as the path says, each of which tells where it is.
const APP: &str = "export default { fetch(request) {
    if (request.method === 'POST') return new Response('changed');
    const bytes = new Uint8Array(Number(new URL(request.url).pathname.slice(1)));
    for (let at = 0; at < bytes.length; at++) bytes[at] = at * 31 + (at >> 8);
    return new Response(bytes, { headers: { 'cache-control': 'max-age=600' } });
} };";

/// Sizes of contents, and of the disk, MiB: one in memory alone, one that is on disk until it has been asked for again and
/// again.
const CASES: [(usize, u64); 2] = [(3 << 20, 0), (10 << 20, 64)];
/// The size of a content that is not large, but asked for often.
const MEDIUM: usize = 100_003;
/// The size of the file that contents of that size share, where there are large pages.
const SHARED: usize = 2 << 20;

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + (at >> 8)) as u8).collect()
}

/// Files in memory that this process has for contents of this size.
fn sealed(size: usize) -> usize {
    let sizes = [size, if size == MEDIUM { SHARED } else { size }].map(|size| size as u64);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten().map(|file| file.path());
    let is_ours = |to: PathBuf| to.to_string_lossy().starts_with("/memfd:atoll-cache");
    let named = open.filter(|file| std::fs::read_link(file).is_ok_and(is_ours));
    named.filter(|file| std::fs::metadata(file).is_ok_and(|file| sizes.contains(&file.len()))).count()
}

async fn started(engine: &Engine, plane: &Plane, directory: &Path, disk: u64) -> EdgeNode {
    let config = plane.config(directory);
    started_with(engine, plane, config, disk).await
}

async fn started_with(engine: &Engine, plane: &Plane, mut config: Config, disk: u64) -> EdgeNode {
    config.front_cache.disk_mb = disk;
    config.limits.cpu_ms = 60_000;
    let mut state = app("l", 1, APP);
    for version in state.versions.values_mut() {
        version.config.cache.enabled = Some(true);
    }
    plane.upload(APP);
    plane.opens_with(1, vec![state]);
    let node = EdgeNode::start(config, engine.clone()).await.unwrap();
    node.applied(1).await;
    node
}

/// A client that the node cannot send much ahead.
async fn connect(node: &EdgeNode) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    socket.connect(node.local_addr()).await.unwrap()
}

fn head(node: &EdgeNode, method: &str, size: usize, more: &str) -> String {
    format!("{method} /{size} HTTP/1.1\r\nHost: l.localhost:{}\r\n{more}\r\n", node.local_addr().port())
}

/// The head of an answer, and what it says that its length is.
async fn read_head(stream: &mut TcpStream) -> (String, usize) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let length = length.parse().unwrap();
    (head, length)
}

async fn read_body(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("a whole body");
    body
}

/// Asks until the content is in a file in memory.
async fn cached(node: &EdgeNode, size: usize) {
    eventually("it is where it can be sent from", async || {
        let mut stream = connect(node).await;
        stream.write_all(head(node, "GET", size, "").as_bytes()).await.unwrap();
        let (_, length) = read_head(&mut stream).await;
        assert!(read_body(&mut stream, length).await == content(size));
        sealed(size) > 0
    })
    .await;
}

/// Whole, in part, as a head alone, and one after another on one connection: each byte is as the app sent it.
pub async fn are_sent_as_they_were_stored(engine: Engine) {
    for (size, disk) in CASES.into_iter().chain([(MEDIUM, 0)]) {
        let (plane, directory) = (Plane::new().await, tempfile::tempdir().unwrap());
        let node = started(&engine, &plane, directory.path(), disk).await;
        let content = content(size);
        cached(&node, size).await;
        let mut stream = connect(&node).await;
        let ranges = [(0, size), (1, size - 1), (4097, 80_000), (size - 70_000, size), (5, 6)];
        let mut requests = head(&node, "HEAD", size, "");
        for (start, end) in ranges {
            requests += &head(&node, "GET", size, "");
            requests += &head(&node, "GET", size, &format!("Range: bytes={start}-{}\r\n", end - 1));
        }
        stream.write_all(requests.as_bytes()).await.unwrap();
        let (answer, length) = read_head(&mut stream).await;
        assert!(answer.contains("; hit") && length == size, "{answer}");
        for (start, end) in ranges {
            for (status, part) in [("200", &content[..]), ("206", &content[start..end])] {
                let (answer, length) = read_head(&mut stream).await;
                assert!(answer.starts_with(&format!("http/1.1 {status}")) && answer.contains("; hit"), "{answer}");
                assert!(length == part.len() && read_body(&mut stream, length).await == part, "{start} to {end}");
            }
        }
        // Several ranges are one piece of memory that is made for the answer.
        stream.write_all(head(&node, "GET", size, "Range: bytes=9-40000,60000-90000\r\n").as_bytes()).await.unwrap();
        let (_, length) = read_head(&mut stream).await;
        let parts = read_body(&mut stream, length).await;
        assert!(memchr::memmem::find(&parts, &content[9..=40_000]).is_some());
        assert!(memchr::memmem::find(&parts, &content[60_000..=90_000]).is_some());
    }
}

/// What is invalidated while it is sent is sent to its end, to a client that reads little by little, and its memory is given
/// back then.
pub async fn outlive_their_place_in_the_cache(engine: Engine) {
    for (size, disk) in CASES {
        // Another length than that of the other test, whose contents may be there still.
        let size = size + 1;
        let (plane, directory) = (Plane::new().await, tempfile::tempdir().unwrap());
        let node = started(&engine, &plane, directory.path(), disk).await;
        let asked = |method| request(&node, "l", &format!("/{size}")).method(method).body(Full::default()).unwrap();
        let mut slow = loop {
            cached(&node, size).await;
            let (mut slow, mut gone) = (connect(&node).await, connect(&node).await);
            for stream in [&mut slow, &mut gone] {
                stream.write_all(head(&node, "GET", size, "").as_bytes()).await.unwrap();
                let (answer, length) = read_head(stream).await;
                assert!(answer.contains("; hit") && length == size, "{answer}");
            }
            assert_eq!(send(&http1(), asked(Method::POST)).await.body, "changed");
            assert!(!send(&http1(), asked(Method::HEAD)).await.header("cache-status").contains("hit"));
            // The file may have been there a moment before answers came from it; then these come from where they were.
            if sealed(size) > 0 {
                break slow;
            }
        };
        let mut body = Vec::new();
        let mut piece = vec![0; 9_999];
        while body.len() < size {
            let read = slow.read(&mut piece).await.unwrap();
            assert!(read > 0, "it ended after {} bytes", body.len());
            body.extend_from_slice(&piece[..read]);
        }
        assert!(body == content(size));
        eventually("its memory is given back", async || sealed(size) == 0).await;
    }
}

/// A client that has read fast, so that the kernel has megabytes for it, and becomes slow gets all as long as it goes on
/// reading; one that stops is given up.
pub async fn wait_for_clients_that_go_on(engine: Engine) {
    const PATIENCE: Duration = Duration::from_secs(1);
    // Of another length than those of the other tests.
    let size = (10 << 20) + 3;
    let (plane, directory) = (Plane::new().await, tempfile::tempdir().unwrap());
    let mut config = plane.config(directory.path());
    config.connections.write_timeout_ms = PATIENCE.as_millis() as u64;
    let node = started_with(&engine, &plane, config, 64).await;
    cached(&node, size).await;
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&node).await;
        stream.write_all(head(&node, "GET", size, "").as_bytes()).await.unwrap();
        let (answer, length) = read_head(&mut stream).await;
        assert!(answer.contains("; hit") && length == size, "{answer}");
        let body = read_body(&mut stream, size / 4).await;
        bodies.push((stream, body));
    }
    let (mut stopped, _) = bodies.pop().expect("two clients");
    let (mut slow, mut body) = bodies.pop().expect("two clients");
    let (since, mut pace, mut piece) = (Instant::now(), interval(Duration::from_millis(40)), vec![0; 8 << 10]);
    while since.elapsed() < 4 * PATIENCE {
        pace.tick().await;
        let read = slow.read(&mut piece).await.expect("it goes on");
        body.extend_from_slice(&piece[..read]);
    }
    let left = size - body.len();
    body.extend_from_slice(&read_body(&mut slow, left).await);
    assert!(body == content(size));
    // It reads nothing, so nothing but the end of the connection makes writing fail.
    eventually("the client is given up", async || stopped.write_all(b"x").await.is_err()).await;
}
