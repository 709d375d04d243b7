//! How far ahead clients may send over HTTP/2: farther where the way is long and the app keeps up, and never without end.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use atoll_runtime::Engine;
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::support::{config, node};

/// How long anything may take.
const LONG: Duration = Duration::from_secs(280);
/// How long a byte is on its way at first.
const WAY: Duration = Duration::from_millis(50);
/// The window of a stream at first, and at most.
const WINDOWS: (usize, usize) = (512 << 10, 4 << 20);

/// Takes all it is sent, or nothing of it, for as long as the test lasts.
const APP: &str = "export default { async fetch(request) {
    if (request.url.endsWith('/leave')) await scheduler.wait(600_000);
    let length = 0;
    for await (const chunk of request.body ?? []) length += chunk.length;
    return new Response(String(length));
} };";

/// How long a byte is on its way, milliseconds.
type Way = Arc<AtomicU64>;

/// A way of some length to an address.
async fn long_way(to: SocketAddr, way: &Way) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let way = way.clone();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(to).await.unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(carry(near_in, far_out, way.clone()));
            tokio::spawn(carry(far_in, near_out, way.clone()));
        }
    });
    address
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin + Send + 'static, way: Way) {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(4096);
    tokio::spawn(async move {
        while let Some((arrives, bytes)) = under_way.recv().await {
            sleep_until(arrives).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let arrives = Instant::now() + Duration::from_millis(way.load(Ordering::Relaxed));
        if sender.send((arrives, buffer[..read].to_vec())).await.is_err() {
            return;
        }
    }
}

async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.max_send_buffer_size(64 << 20);
    let (sender, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap()
}

fn post(path: &str) -> Request<()> {
    Request::post(format!("http://a.localhost{path}")).body(()).unwrap()
}

/// Sends a body as fast as it may, and reads the answer.
async fn upload(sender: &mut SendRequest<Bytes>, length: usize) {
    let (response, mut body) = sender.send_request(post("/"), false).unwrap();
    let mut left = length;
    while left > 0 {
        body.reserve_capacity(left);
        let room = poll_fn(|cx| body.poll_capacity(cx)).await.unwrap().unwrap().min(left);
        left -= room;
        body.send_data(Bytes::from(vec![7; room]), left == 0).unwrap();
    }
    let mut answer = response.await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body_mut().data().await.unwrap().unwrap(), length.to_string());
}

/// What may be sent to an app that reads none of it, bytes: a stream's window, with what it grows by meanwhile.
async fn window(sender: &mut SendRequest<Bytes>) -> usize {
    let (_response, mut body) = sender.send_request(post("/leave"), false).unwrap();
    let mut sent = 0;
    let fill = async {
        loop {
            body.reserve_capacity(64 << 20);
            // What is not sent at once would be kept from the connection's other streams.
            let room = poll_fn(|cx| body.poll_capacity(cx)).await.unwrap().unwrap();
            body.send_data(Bytes::from(vec![7; room]), false).unwrap();
            sent += room;
        }
    };
    // What the node has to say of that window has come when the next answer has, which waits behind it for the
    // connection's window.
    tokio::select! {
        biased;
        () = fill => unreachable!("an app that reads nothing takes nothing more"),
        () = upload(sender, 1) => {}
    }
    body.send_reset(h2::Reason::CANCEL);
    sent
}

/// Over a long way, the windows of a connection whose uploads are read grow, up to an end; an app that reads nothing is
/// sent a window and no more.
pub async fn grow_while_uploads_are_read(engine: Engine) {
    let mut config = config();
    (config.limits.cpu_ms, config.limits.wall_ms) = (60_000, 600_000);
    let node = node(config, &engine, &[("a", APP)]).await;
    let (first, most) = WINDOWS;
    let mut near = connect(node.local_addr()).await;
    let way = Way::new(AtomicU64::new(WAY.as_millis() as u64));
    let mut far = connect(long_way(node.local_addr(), &way).await).await;
    let uploads = async {
        upload(&mut near, 1).await;
        assert_eq!(window(&mut near).await, first);
        upload(&mut far, 1).await;
        assert_eq!(window(&mut far).await, first);
        let grown = loop {
            upload(&mut far, 4 << 20).await;
            let window = window(&mut far).await;
            if window > first {
                break window;
            }
            // On a slow machine apps read slowly, and only a way that is longer still holds them up.
            way.fetch_max((way.load(Ordering::Relaxed) * 2).min(1000), Ordering::Relaxed);
        };
        assert!(grown <= most, "{grown}");
        way.store(WAY.as_millis() as u64, Ordering::Relaxed);
        for _ in 0..4 {
            upload(&mut far, 4 << 20).await;
        }
        let grown = window(&mut far).await;
        assert!(grown <= most, "{grown}");
        // Another connection begins small.
        let mut another = connect(node.local_addr()).await;
        upload(&mut another, 1).await;
        assert_eq!(window(&mut another).await, first);
    };
    timeout(LONG, uploads).await.expect("the windows grow");
}

/// What was sent of requests that their client has given up, and that their app has not read, does not count any more, however
/// long the app goes on.
pub async fn are_given_back_with_requests(engine: Engine) {
    let mut config = config();
    config.limits.wall_ms = 600_000;
    let node = node(config, &engine, &[("a", APP)]).await;
    let mut sender = connect(node.local_addr()).await;
    let uploads = async {
        for _ in 0..8 {
            // Each is half of what the connection has room for.
            assert_eq!(window(&mut sender).await, WINDOWS.0);
        }
    };
    timeout(LONG, uploads).await.expect("there is room for more");
}
