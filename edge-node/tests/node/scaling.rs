//! Isolates come and go.

use std::time::Duration;

use atoll_runtime::Engine;
use futures::future::join_all;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{config, eventually, get, http1, node, request, says, send};

/// A busy isolate gets help, and a hog does not stop its own app's other requests.
pub async fn starts_more_isolates_when_one_is_busy(engine: Engine) {
    let code = "export default { fetch(request) {
        const end = Date.now() + Number(new URL(request.url).searchParams.get('ms'));
        while (Date.now() < end) {}
        return new Response('done');
    } };";
    let node = node(config(), &engine, &[("busy", code)]).await;
    assert_eq!(get(&node, "busy", "/?ms=0").await.body, "done");
    assert_eq!(node.live_isolates(), 1);
    // A request that comes just before the isolate is seen to be busy waits as long as the hog runs; then there is another hog.
    let mut helped = false;
    for _ in 0..10 {
        let mut hog = std::pin::pin!(get(&node, "busy", "/?ms=1500"));
        loop {
            tokio::select! {
                hog = &mut hog => {
                    assert_eq!(hog.body, "done", "{hog:?}");
                    break;
                }
                other = get(&node, "busy", "/?ms=0") => {
                    assert_eq!(other.body, "done", "{other:?}");
                    helped |= node.live_isolates() > 1;
                }
            }
        }
        if helped {
            break;
        }
    }
    assert!(helped, "no other isolate answered while one was busy");
    assert!((2..=4).contains(&node.live_isolates()), "{}", node.live_isolates());
}

/// The thread of an isolate writes its answer and no more: what follows on the connection is for others, and is not kept
/// waiting by what that thread does next.
pub async fn a_connection_does_not_wait_for_an_app_it_has_asked_before(engine: Engine) {
    let code = "export default { fetch(request, env, ctx) {
        ctx.waitUntil(scheduler.wait(1).then(() => { for (;;) {} }));
        return new Response('first');
    } };";
    let mut config = config();
    config.limits.cpu_ms = 30_000;
    let node = node(config, &engine, &[("hog", code), ("other", &says("second"))]).await;
    let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
    let requests = "GET / HTTP/1.1\r\nHost: hog.localhost\r\n\r\nGET / HTTP/1.1\r\nHost: other.localhost\r\n\r\n";
    stream.write_all(requests.as_bytes()).await.unwrap();
    let half_of_what_the_hog_may = Duration::from_secs(15);
    let mut until_second = async || {
        let mut answers = String::new();
        while !answers.ends_with("second") {
            let mut piece = [0; 1024];
            let length = timeout(half_of_what_the_hog_may, stream.read(&mut piece)).await.expect("an answer").unwrap();
            assert!(length > 0, "{answers}");
            answers.push_str(std::str::from_utf8(&piece[..length]).unwrap());
        }
        let again = b"GET /again HTTP/1.1\r\nHost: other.localhost\r\n\r\n";
        stream.write_all(again).await.unwrap();
        answers
    };
    assert!(until_second().await.contains("first"));
    until_second().await;
}

/// Where the cache has nothing of an app, an isolate starts as soon as the app is known: even for a request that is refused
/// later. What is cached is answered without one.
pub async fn starts_the_code_beside_the_request(engine: Engine) {
    let code = "export default { fetch() { \
        return new Response('done', { headers: { 'cache-control': 's-maxage=600' } }); } };";
    let mut config = config();
    config.limits.request_body_bytes = 10;
    config.isolates.idle_seconds = 2;
    let node = node(config, &engine, &[("early", code)]).await;
    let large = request(&node, "early", "/").method("POST").body(Full::from(vec![b'a'; 11])).unwrap();
    assert_eq!(send(&http1(), large).await.error(), "body-too-large");
    assert_eq!(node.live_isolates(), 1);
    assert_eq!(get(&node, "early", "/").await.header("cache-status"), "atoll; fwd=uri-miss; stored");
    eventually("it ends", async || node.live_isolates() == 0).await;
    assert!(get(&node, "early", "/").await.header("cache-status").contains("hit"));
    assert_eq!(node.live_isolates(), 0);
}

/// Idle isolates end, and the next request starts one again.
pub async fn ends_idle_isolates(engine: Engine) {
    let mut config = config();
    config.isolates.idle_seconds = 2;
    let node = node(config, &engine, &[("hello", &says("hello"))]).await;
    for _ in 0..2 {
        assert_eq!(get(&node, "hello", "/").await.body, "hello");
        assert_eq!(node.live_isolates(), 1);
        eventually("it ends", async || node.live_isolates() == 0).await;
    }
}

/// There are never more isolates than may live, however many apps are called.
pub async fn keeps_to_the_number_of_isolates(engine: Engine) {
    let mut config = config();
    config.isolates.max_live = 3;
    let names: Vec<String> = (0..10).map(|at| format!("app{at}")).collect();
    let code = says("hello");
    let apps: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), code.as_str())).collect();
    let node = node(config, &engine, &apps).await;
    for name in &names {
        eventually("the app answers", async || get(&node, name, "/").await.body == "hello").await;
        assert!(node.live_isolates() <= 3);
    }
}

/// More requests than the cap get 503 with advice; the others are answered.
pub async fn caps_the_requests_of_an_app(engine: Engine) {
    let code = "export default { async fetch(request) { return new Response(await request.text()); } };";
    let mut config = config();
    config.limits.concurrency = 3;
    let node = node(config, &engine, &[("slow", code)]).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
        let head = "POST / HTTP/1.1\r\nHost: slow.localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\
                    Connection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        // It comes when the handler reads the body.
        let mut interim = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
        stream.read_exact(&mut interim).await.unwrap();
        assert!(interim.starts_with(b"HTTP/1.1 100"));
        held.push(stream);
    }
    for refused in join_all((0..5).map(|_| get(&node, "slow", "/"))).await {
        assert_eq!((refused.status.as_u16(), refused.error()), (503, "app-overloaded"));
        assert_eq!(refused.header("retry-after"), "1");
    }
    for mut stream in held {
        stream.write_all(b"late").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("late"), "{answer}");
    }
    eventually("there is room again", async || get(&node, "slow", "/").await.status == 200).await;
}

/// A request over its limit ends with the limit's error; the next one is served by a fresh isolate.
pub async fn replaces_an_isolate_that_broke_a_limit(engine: Engine) {
    let code = "let served = 0;
    export default { fetch(request) {
        if (request.url.endsWith('/loop')) while (true) {}
        return new Response(`${++served}`);
    } };";
    let mut config = config();
    config.limits.cpu_ms = 1_000;
    let node = node(config, &engine, &[("a", code)]).await;
    assert_eq!(get(&node, "a", "/").await.body, "1");
    assert_eq!(get(&node, "a", "/").await.body, "2");
    let killed = get(&node, "a", "/loop").await;
    assert_eq!((killed.status.as_u16(), killed.error()), (503, "cpu-limit"), "{}", killed.body);
    assert!(killed.body.contains("1000 ms"));
    assert_eq!(get(&node, "a", "/").await.body, "1");
}

/// Code that does not start is not tried for every request.
pub async fn remembers_that_code_does_not_start(engine: Engine) {
    let node = node(config(), &engine, &[("bad", "throw new Error('no start');")]).await;
    let answers = join_all((0..20).map(|_| get(&node, "bad", "/"))).await;
    assert!(answers.iter().all(|answer| answer.error() == "startup-failed"));
    assert!(answers[0].body.contains("no start"), "{}", answers[0].body);
    eventually("the failed isolate is gone", async || node.live_isolates() == 0).await;
    assert_eq!(get(&node, "bad", "/").await.error(), "startup-failed");
}

/// When all isolates together hold too much, the largest is stopped although it is busy, and the others go on.
pub async fn stops_the_largest_when_all_are_too_large(engine: Engine) {
    let code = "let held, go = false;
    export default { async fetch(request) {
        const url = new URL(request.url);
        if (url.pathname === '/go') { go = true; return new Response('gone'); }
        held = new Uint8Array(Number(url.searchParams.get('mb')) * 1024 * 1024).fill(7);
        while (!go) await new Promise((resolve) => setTimeout(resolve, 5));
        return new Response(`held ${held.length >> 20}`);
    } };";
    let mut config = config();
    config.isolates.ceiling_mb = 150;
    config.isolates.max_per_version = 1;
    let node = node(config, &engine, &[("large", code), ("middle", code), ("small", code)]).await;
    let (small, middle) = (get(&node, "small", "/?mb=1"), get(&node, "middle", "/?mb=50"));
    let stopped = async {
        eventually("both are busy", async || node.live_isolates() == 2).await;
        let answer = get(&node, "large", "/?mb=110").await;
        assert_eq!((answer.status.as_u16(), answer.error()), (503, "isolate-stopped"), "{}", answer.body);
        for app in ["small", "middle"] {
            assert_eq!(get(&node, app, "/go").await.body, "gone", "{app} goes on");
        }
    };
    let (small, middle, ()) = tokio::join!(small, middle, stopped);
    assert_eq!((small.body.as_str(), middle.body.as_str()), ("held 1", "held 50"));
    // What was stopped is started again for the next request.
    assert_eq!(get(&node, "large", "/go").await.body, "gone");
}
