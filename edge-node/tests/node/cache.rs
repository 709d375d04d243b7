//! The front cache, with real isolates behind it.

use std::collections::BTreeMap;
use std::time::Duration;

use atoll_edge_node::{Config, EdgeNode};
use atoll_protocol::config::{CacheKeySettings, CacheRule, CacheSettings, QuerySettings};
use atoll_protocol::sync::{AppState, Purge, PurgeScope};
use atoll_runtime::Engine;
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};

use crate::plane::Plane;
use crate::support::{Answer, app, bundle, config, eventually, get, http1, http2, node, raw, request, send};

/// Answers with the headers that the query names, and counts the calls of each path.
const CODE: &str = r#"
const calls = {};
let gone = false;
const pause = () => new Promise((resolve) => setTimeout(resolve, 5));
export default { async fetch(request) {
    const url = new URL(request.url);
    const path = url.pathname;
    if (path === '/calls') return Response.json(calls[url.searchParams.get('of')] ?? 0);
    if (path === '/go') { gone = true; return new Response('gone'); }
    const call = calls[path] = (calls[path] ?? 0) + 1;
    const headers = new Headers([...url.searchParams].filter(([name]) => !name.startsWith('x_')));
    const status = Number(url.searchParams.get('x_status') ?? 200);
    if (url.searchParams.has('x_throw') && call > 1) throw new Error('down');
    if (url.searchParams.has('x_304') && request.headers.has('if-none-match')) {
        return new Response(null, { status: 304, headers });
    }
    if (url.searchParams.has('x_wait')) while (!gone) await pause();
    if (url.searchParams.has('x_stream')) {
        let sent = 0;
        return new Response(new ReadableStream({ async pull(controller) {
            if (++sent === 1) return controller.enqueue(new TextEncoder().encode(`first ${call},`));
            while (!gone) await pause();
            if (url.searchParams.has('x_break')) throw new Error('broken');
            controller.enqueue(new TextEncoder().encode('last'));
            controller.close();
        } }, { highWaterMark: 0 }), { headers });
    }
    const size = Number(url.searchParams.get('x_size') ?? 0);
    const host = url.searchParams.has('x_host') ? request.headers.get('host') : null;
    const what = host ?? request.headers.get('x-forwarded-host') ?? request.headers.get('accept-language') ?? '';
    return new Response(size ? 'x'.repeat(size) : `${path} ${call} ${what}`.trim(), { status, headers });
} };"#;

fn one_isolate(mut config: Config) -> Config {
    config.isolates.max_per_version = 1;
    config
}

/// An app that wants all stored that may be.
fn caching(name: &str, version: u64, code: &str) -> AppState {
    let mut state = app(name, version, code);
    for version in state.versions.values_mut() {
        version.config.cache.enabled = Some(true);
    }
    state
}

fn serves(node: &EdgeNode) {
    node.install(caching("c", 1, CODE), bundle(CODE), &BTreeMap::new());
}

async fn started(engine: &Engine) -> EdgeNode {
    let node = node(one_isolate(config()), engine, &[]).await;
    serves(&node);
    node
}

async fn with(node: &EdgeNode, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = request(node, "c", path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(&http1(), request.body(Full::default()).unwrap()).await
}

async fn ask(node: &EdgeNode, path: &str) -> Answer {
    get(node, "c", path).await
}

async fn calls(node: &EdgeNode, path: &str) -> String {
    ask(node, &format!("/calls?of={path}")).await.body
}

/// A second request is answered without the app: whole, in part, or with the word that nothing changed.
pub async fn answers_from_what_is_stored(engine: Engine) {
    let node = started(&engine).await;
    let path = "/a?cache-control=max-age=600&etag=%22v%22";
    let first = ask(&node, path).await;
    assert_eq!((first.body.as_str(), first.header("cache-status")), ("/a 1", "atoll; fwd=uri-miss; stored"));
    let second = ask(&node, path).await;
    assert_eq!((second.body.as_str(), second.header("content-length")), ("/a 1", "4"));
    assert!(second.header("cache-status").starts_with("atoll; hit; ttl="), "{second:?}");
    assert!(second.header("age").parse::<u64>().is_ok() && !second.header("date").is_empty());
    let part = with(&node, path, &[("range", "bytes=1-2")]).await;
    assert_eq!((part.status, part.body.as_str()), (StatusCode::PARTIAL_CONTENT, "a "));
    assert_eq!((part.header("content-range"), part.header("content-length")), ("bytes 1-2/4", "2"));
    let parts = with(&node, path, &[("range", "bytes=0-0,3-3")]).await;
    assert!(parts.header("content-type").starts_with("multipart/byteranges; boundary="), "{parts:?}");
    assert!(parts.body.contains("Content-Range: bytes 3-3/4\r\n\r\n1\r\n--"), "{}", parts.body);
    // Thousands of parts are no cheaper than the whole, which is what is sent.
    for many in ["0-0,".repeat(10_000), "9-,".repeat(10_000) + "0-0,2-2,0-0", "0-,".repeat(5_000)] {
        let whole = with(&node, path, &[("range", &format!("bytes={many}"))]).await;
        assert_eq!((whole.status, whole.header("content-length")), (StatusCode::OK, "4"));
    }
    let none = with(&node, path, &[("range", "bytes=9-")]).await;
    assert_eq!((none.status, none.header("content-range")), (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */4"));
    let changed = with(&node, path, &[("range", "bytes=0-0"), ("if-range", "\"w\"")]).await;
    assert_eq!((changed.status, changed.body.as_str()), (StatusCode::OK, "/a 1"));
    let known = with(&node, path, &[("if-none-match", "W/\"v\"")]).await;
    assert_eq!((known.status, known.body.as_str()), (StatusCode::NOT_MODIFIED, ""));
    let head = send(&http1(), request(&node, "c", path).method(Method::HEAD).body(Full::default()).unwrap()).await;
    assert_eq!((head.header("content-length"), head.body.as_str()), ("4", ""));
    assert!(head.header("cache-status").contains("hit"));
    assert_eq!(calls(&node, "/a").await, "1");
    // The first request may itself want less than the whole.
    let ranged = "/r?cache-control=max-age=600";
    let part = with(&node, ranged, &[("range", "bytes=1-1")]).await;
    assert_eq!((part.status, part.body.as_str()), (StatusCode::PARTIAL_CONTENT, "r"));
    assert_eq!(ask(&node, ranged).await.body, "/r 1");
}

/// What is not for others is not stored, and the answer says why.
pub async fn says_why_it_does_not_store(engine: Engine) {
    let node = started(&engine).await;
    for (path, request, why) in [
        ("/1?cache-control=max-age=600,no-store", &[][..], "no-store"),
        ("/2?cache-control=max-age=600,private", &[], "private"),
        ("/3?cache-control=max-age=600&set-cookie=a=b", &[], "set-cookie"),
        ("/4?cache-control=max-age=600&vary=*", &[], "vary"),
        ("/5", &[], "no-freshness"),
        ("/6?cache-control=max-age=600", &[("authorization", "Basic eDp5")], "authorization"),
        ("/7?cache-control=max-age=600&x_status=206", &[], "status"),
        // However static it looks: a page behind a login is private whatever its URL ends with.
        ("/account/style.css", &[("cookie", "session=1")], "no-freshness"),
    ] {
        let first = with(&node, path, request).await;
        assert_eq!(first.header("cache-status"), format!("atoll; fwd=uri-miss; detail={why}"), "{path}");
        let again = with(&node, path, request).await;
        assert_ne!(first.body, again.body, "{path}");
    }
    // There is no disk for it.
    for _ in 0..2 {
        let large = ask(&node, "/11?cache-control=max-age=600&x_size=9000000").await;
        assert_eq!(large.header("cache-status"), "atoll; fwd=uri-miss; detail=too-large");
        assert_eq!(large.body.len(), 9_000_000);
    }
    let shared = "/8?cache-control=s-maxage=600";
    with(&node, shared, &[("authorization", "Basic eDp5")]).await;
    assert!(ask(&node, shared).await.header("cache-status").contains("hit"));
    let targeted = "/9?cache-control=no-store&cdn-cache-control=max-age=600&atoll-cdn-cache-control=max-age=30";
    let first = ask(&node, targeted).await;
    assert_eq!((first.header("cdn-cache-control"), first.header("atoll-cdn-cache-control")), ("max-age=600", ""));
    let second = ask(&node, targeted).await;
    assert_eq!((second.body.as_str(), second.header("cache-control")), ("/9 1", "no-store"));
    let posted = request(&node, "c", "/10").method(Method::POST).body(Full::default()).unwrap();
    assert_eq!(send(&http1(), posted).await.header("cache-status"), "atoll; fwd=method");
}

/// Variants, spellings and apps do not get each other's answers.
pub async fn keeps_apart_what_differs(engine: Engine) {
    let node = started(&engine).await;
    node.install(caching("d", 1, CODE), bundle(CODE), &BTreeMap::new());
    let path = "/v?cache-control=max-age=600&vary=Accept-Language";
    for (language, body) in [("de", "/v 1 de"), ("en", "/v 2 en"), ("de", "/v 1 de"), ("en", "/v 2 en")] {
        assert_eq!(with(&node, path, &[("accept-language", language)]).await.body, body);
    }
    assert_eq!(
        with(&node, path, &[("accept-language", "fr")]).await.header("cache-status"),
        "atoll; fwd=vary-miss; stored"
    );
    let secret = "/account?cache-control=max-age=600";
    assert_eq!(ask(&node, secret).await.body, "/account 1");
    for spelling in ["/account/x.css", "/account%2fx.css", "/account;x.css", "/%61ccount"] {
        let answer = ask(&node, &format!("{spelling}?cache-control=max-age=600")).await;
        assert!(answer.header("cache-status").contains("uri-miss"), "{spelling}");
    }
    assert_eq!(get(&node, "d", secret).await.header("cache-status"), "atoll; fwd=uri-miss; stored");
}

/// Nobody can make an answer that others get.
pub async fn is_not_poisoned(engine: Engine) {
    let node = started(&engine).await;
    let path = "/p?cache-control=max-age=600";
    let evil = with(&node, path, &[("x-forwarded-host", "evil.example")]).await;
    assert_eq!(
        (evil.body.as_str(), evil.header("cache-status")),
        ("/p 1 evil.example", "atoll; fwd=bypass; detail=unkeyed-header")
    );
    assert_eq!(ask(&node, path).await.body, "/p 2");
    // A host in the target, and another in `Host`: the app hears of the one that the cache goes by.
    let hosts = "/host?x_host=1&cache-control=max-age=600";
    let uri = request(&node, "c", hosts).body(()).unwrap().into_parts().0.uri;
    let named = uri.authority().unwrap();
    let absolute = format!("GET {uri} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    let evil = raw(&node, absolute.as_bytes()).await;
    assert!(evil.starts_with("HTTP/1.1 200 ") && evil.ends_with(&format!("/host 1 {named}")), "{evil}");
    let honest = ask(&node, hosts).await;
    assert!(honest.header("cache-status").starts_with("atoll; hit"), "{honest:?}");
    assert_eq!(honest.body, format!("/host 1 {named}"));
    let evil = request(&node, "c", hosts).header("host", "evil.example").body(Full::default()).unwrap();
    assert_eq!(send(&http2(), evil).await.error(), "host-invalid");
    // A body with a GET request, and fields that Connection takes away before the app sees them.
    let fat = request(&node, "c", path).body(Full::from("a=b")).unwrap();
    assert_eq!(send(&http1(), fat).await.header("cache-status"), "atoll; fwd=bypass; detail=request-body");
    let vary = "/q?cache-control=max-age=600&vary=accept-language";
    let hidden = with(&node, vary, &[("accept-language", "de"), ("connection", "accept-language")]).await;
    assert_eq!(hidden.body, "/q 1");
    assert_eq!(with(&node, vary, &[("accept-language", "de")]).await.body, "/q 2 de");
}

/// What is stale is asked about; a 304 makes it fresh again.
pub async fn validates_what_is_stale(engine: Engine) {
    let node = started(&engine).await;
    let path = "/s?cache-control=max-age=0,public&etag=%22v%22&x_304=1";
    assert_eq!(ask(&node, path).await.header("cache-status"), "atoll; fwd=uri-miss; stored");
    for call in 2..5 {
        let answer = ask(&node, path).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "/s 1"));
        assert!(answer.header("cache-status").starts_with("atoll; fwd=stale; fwd-status=304"), "{answer:?}");
        assert_eq!(calls(&node, "/s").await, call.to_string());
    }
    let known = with(&node, path, &[("if-none-match", "\"v\"")]).await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    // A changed response takes the place of the stored one.
    let changing = "/t?cache-control=max-age=0,public&etag=%22v%22";
    assert_eq!((ask(&node, changing).await.body, ask(&node, changing).await.body), ("/t 1".into(), "/t 2".into()));
}

/// RFC 5861: stale while it is validated, stale when that fails; and not without the app's word.
pub async fn serves_stale_as_the_app_allows(engine: Engine) {
    let node = started(&engine).await;
    let path = "/w?cache-control=max-age=0,stale-while-revalidate=600";
    assert_eq!(ask(&node, path).await.body, "/w 1");
    let stale = ask(&node, path).await;
    assert_eq!(stale.body, "/w 1");
    assert!(stale.header("cache-status").ends_with("detail=stale-while-revalidate"), "{stale:?}");
    eventually("it is refreshed in the background", async || ask(&node, path).await.body != "/w 1").await;
    let failing = "/e?cache-control=max-age=0,stale-if-error=600&x_throw=1";
    assert_eq!(ask(&node, failing).await.body, "/e 1");
    for _ in 0..2 {
        let stale = ask(&node, failing).await;
        assert_eq!((stale.status, stale.body.as_str()), (StatusCode::OK, "/e 1"));
        assert!(stale.header("cache-status").ends_with("detail=stale-if-error"), "{stale:?}");
    }
    let strict = "/f?cache-control=max-age=0,must-revalidate,stale-if-error=600&etag=%22v%22&x_throw=1";
    ask(&node, strict).await;
    assert_eq!(ask(&node, strict).await.error(), "handler-exception");
}

/// A request that changes something makes what is stored for it old; so does a deploy.
pub async fn forgets_what_a_change_makes_old(engine: Engine) {
    let node = started(&engine).await;
    let path = "/i?cache-control=max-age=600";
    ask(&node, path).await;
    for (method, body) in [(Method::POST, "/i 3"), (Method::DELETE, "/i 5"), ("ODD".parse().unwrap(), "/i 7")] {
        assert!(ask(&node, path).await.header("cache-status").contains("hit"));
        send(&http1(), request(&node, "c", path).method(method).body(Full::default()).unwrap()).await;
        assert_eq!(ask(&node, path).await.body, body);
    }
    let failed = request(&node, "c", &format!("{path}&x_status=404")).method(Method::POST);
    send(&http1(), failed.body(Full::default()).unwrap()).await;
    assert_eq!(ask(&node, path).await.body, "/i 7", "a failure changes nothing");
    let code = CODE.replace("${path}", "new ${path}");
    node.install(caching("c", 2, &code), bundle(&code), &BTreeMap::new());
    assert_eq!(ask(&node, path).await.body, "new /i 1");
}

/// All who ask for what is on its way get it as it comes, and the app is asked once.
pub async fn streams_to_all_who_ask_and_asks_once(engine: Engine) {
    let node = started(&engine).await;
    let path = "/m?cache-control=max-age=600&x_stream=1";
    let mut bodies = Vec::new();
    for _ in 0..5 {
        let sent = http1().request(request(&node, "c", path).body(Full::<Bytes>::default()).unwrap()).await.unwrap();
        bodies.push(sent.into_body());
    }
    for body in &mut bodies {
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "first 1,", "before the app has sent the rest");
    }
    // A client that goes away does not take the answer with it, not even the one that came first.
    drop(bodies.remove(0));
    ask(&node, "/go").await;
    for body in bodies {
        assert_eq!(body.collect().await.unwrap().to_bytes(), "last");
    }
    assert_eq!(calls(&node, "/m").await, "1");
    eventually("it is stored", async || ask(&node, path).await.header("cache-status").contains("hit")).await;
    assert_eq!(ask(&node, path).await.body, "first 1,last");
    assert_eq!(calls(&node, "/m").await, "1");
}

/// A response that breaks off is never stored as if it were whole.
pub async fn stores_nothing_that_breaks_off(engine: Engine) {
    let node = started(&engine).await;
    let path = "/b?cache-control=max-age=600&x_stream=1&x_break=1";
    let sent = http1().request(request(&node, "c", path).body(Full::<Bytes>::default()).unwrap()).await.unwrap();
    let mut body = sent.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first 1,");
    ask(&node, "/go").await;
    assert!(body.collect().await.is_err());
    let again = http1().request(request(&node, "c", path).body(Full::<Bytes>::default()).unwrap()).await.unwrap();
    assert!(again.headers()["cache-status"].to_str().unwrap().contains("uri-miss"));
    assert!(again.into_body().collect().await.is_err());
    assert_eq!(calls(&node, "/b").await, "2");
}

/// An app says where the cache is off and what its keys are; an operator whether there is a cache.
pub async fn obeys_the_app_and_the_operator(engine: Engine) {
    let node = started(&engine).await;
    let mut state = app("c", 2, CODE);
    state.versions.get_mut(&2).unwrap().config.cache = CacheSettings {
        enabled: Some(true),
        rules: vec![CacheRule { path: "/api/*".into(), enabled: false }],
        key: CacheKeySettings {
            query: QuerySettings::Except(vec!["utm".into()]),
            cookies: vec!["group".into()],
            ..CacheKeySettings::default()
        },
        ..CacheSettings::default()
    };
    node.install(state, bundle(CODE), &BTreeMap::new());
    let off = ask(&node, "/api/x?cache-control=max-age=600").await;
    assert_eq!(off.header("cache-status"), "atoll; fwd=bypass; detail=off");
    let path = "/k?cache-control=max-age=600";
    assert_eq!(ask(&node, path).await.body, "/k 1");
    assert_eq!(ask(&node, &format!("{path}&utm=1")).await.body, "/k 1");
    assert_eq!(with(&node, path, &[("cookie", "group=b; other=1")]).await.body, "/k 2");
    assert_eq!(with(&node, path, &[("cookie", "group=b; other=2")]).await.body, "/k 2");
    let only = with(&node, "/none", &[("cache-control", "only-if-cached")]).await;
    assert_eq!((only.status, only.error()), (StatusCode::GATEWAY_TIMEOUT, "only-if-cached"));
    // By default a client cannot send everyone's requests to the app.
    assert_eq!(with(&node, path, &[("cache-control", "no-cache")]).await.body, "/k 1");
    let mut config = one_isolate(config());
    config.front_cache.client_directives = true;
    let obliging = super::support::node(config, &engine, &[]).await;
    serves(&obliging);
    ask(&obliging, path).await;
    let fresh = with(&obliging, path, &[("cache-control", "no-cache")]).await;
    assert_eq!((fresh.body.as_str(), fresh.header("cache-status")), ("/k 2", "atoll; fwd=request; stored"));
    let mut config = one_isolate(super::support::config());
    config.front_cache.enabled = false;
    let without = super::support::node(config, &engine, &[]).await;
    serves(&without);
    assert_eq!((ask(&without, path).await.body, ask(&without, path).await.body), ("/k 1".into(), "/k 2".into()));
}

/// An app that says nothing of the cache gets stored what says that it is for shared caches, and nothing else.
pub async fn stores_by_default_what_is_for_shared_caches(engine: Engine) {
    let node = node(one_isolate(config()), &engine, &[("c", CODE)]).await;
    for path in ["/1?cache-control=max-age=600", "/2?expires=Fri,%2001%20Jan%202100%2000:00:00%20GMT"] {
        assert_eq!(ask(&node, path).await.header("cache-status"), "atoll; fwd=uri-miss; detail=not-shared");
        assert!(ask(&node, path).await.body.contains('2'), "{path}");
    }
    for path in
        ["/3?cache-control=public,max-age=600", "/4?cache-control=s-maxage=600", "/5?cdn-cache-control=max-age=600"]
    {
        assert_eq!(ask(&node, path).await.header("cache-status"), "atoll; fwd=uri-miss; stored");
        assert!(ask(&node, path).await.header("cache-status").contains("hit"), "{path}");
    }
    // An app that never says so is left alone, until it does.
    eventually("the cache looks away", async || {
        ask(&node, "/6").await.header("cache-status") == "atoll; fwd=bypass; detail=inactive"
    })
    .await;
    ask(&node, "/7?cache-control=s-maxage=600").await;
    assert_eq!(ask(&node, "/7?cache-control=s-maxage=600").await.header("cache-status"), "atoll; fwd=uri-miss; stored");
}

fn purged(plane: &Plane, revision: u64, purges: Vec<Purge>) -> AppState {
    plane.upload(CODE);
    AppState { revision, purges, ..caching("c", 1, CODE) }
}

/// A purge holds for everything that was asked for before it, also for what is on its way when it comes.
pub async fn is_purged_by_the_control_plane(engine: Engine) {
    let plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    plane.opens_with(1, vec![purged(&plane, 1, vec![])]);
    let node = EdgeNode::start(one_isolate(plane.config(dir.path())), engine).await.unwrap();
    node.applied(1).await;
    let (tagged, prefixed) = ("/img/t?cache-control=max-age=600&cache-tag=news,x", "/img/p?cache-control=max-age=600");
    let other = "/o?cache-control=max-age=600";
    let streamed = "/n?cache-control=max-age=600&cache-tag=news&x_stream=1";
    for path in [tagged, prefixed, other] {
        ask(&node, path).await;
    }
    let sent = http1().request(request(&node, "c", streamed).body(Full::<Bytes>::default()).unwrap()).await.unwrap();
    let mut body = sent.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first 1,");
    let mut purges = vec![Purge { revision: 2, scope: PurgeScope::Tag("NEWS".into()) }];
    plane.changes(2, purged(&plane, 2, purges.clone())).await;
    node.applied(2).await;
    eventually("it is acknowledged", async || plane.report().is_some_and(|report| report.revision == 2)).await;
    ask(&node, "/go").await;
    assert_eq!(body.collect().await.unwrap().to_bytes(), "last", "who reads is not cut off");
    assert!(ask(&node, streamed).await.body.starts_with("first 2,"));
    assert_eq!(ask(&node, tagged).await.body, "/img/t 2");
    assert!(ask(&node, tagged).await.header("cache-status").contains("hit"), "what came after it is good");
    assert_eq!((ask(&node, prefixed).await.body, ask(&node, other).await.body), ("/img/p 1".into(), "/o 1".into()));
    let host = format!("c.localhost:{}/img/", node.local_addr().port());
    purges.push(Purge { revision: 3, scope: PurgeScope::Prefix(host) });
    plane.changes(3, purged(&plane, 3, purges)).await;
    node.applied(3).await;
    assert_eq!((ask(&node, prefixed).await.body, ask(&node, other).await.body), ("/img/p 2".into(), "/o 1".into()));
    plane.changes(4, purged(&plane, 4, vec![Purge { revision: 4, scope: PurgeScope::Everything }])).await;
    node.applied(4).await;
    assert_eq!(ask(&node, other).await.body, "/o 2");
}

/// Large and long-lived responses are there after the node was killed; a purge while it was away holds.
pub async fn finds_on_disk_what_a_killed_node_stored(engine: Engine) {
    let plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    plane.opens_with(1, vec![purged(&plane, 1, vec![])]);
    let mut config = one_isolate(plane.config(dir.path()));
    config.front_cache.disk_mb = 64;
    let first = EdgeNode::start(config.clone(), engine.clone()).await.unwrap();
    first.applied(1).await;
    // The port is part of the URL, and so of the key.
    config.listen = Some(first.local_addr());
    let (large, tagged) = ("/l?cache-control=max-age=600&x_size=300000", "/t?cache-control=max-age=7200&cache-tag=t");
    for path in [large, tagged] {
        ask(&first, path).await;
    }
    let cached = dir.path().join("cache/entries");
    eventually("both are on disk", async || std::fs::read_dir(&cached).is_ok_and(|found| found.count() == 2)).await;
    // Its data directory is free only after an orderly end; the cache's files are as they were when they were renamed.
    assert!(first.shutdown(Duration::from_secs(60)).await);
    let torn = dir.path().join("cache/tmp/9");
    std::fs::write(&torn, b"a fill that was under way").unwrap();
    let second = EdgeNode::start(config, engine).await.unwrap();
    second.applied(1).await;
    assert!(!torn.exists());
    let answer = ask(&second, large).await;
    assert!(answer.header("cache-status").contains("hit") && answer.body.len() == 300_000, "{:?}", answer.headers);
    let part = with(&second, large, &[("range", "bytes=299999-")]).await;
    assert_eq!((part.status, part.body.as_str()), (StatusCode::PARTIAL_CONTENT, "x"));
    let purges = vec![Purge { revision: 2, scope: PurgeScope::Tag("t".into()) }];
    plane.changes(2, purged(&plane, 2, purges)).await;
    second.applied(2).await;
    assert!(ask(&second, tagged).await.header("cache-status").contains("uri-miss"));
    assert_eq!(calls(&second, "/l").await, "0");
}

/// An app that stores without end pushes its own objects out of memory and off the disk, and nobody else's.
pub async fn keeps_what_neighbours_of_a_hog_stored(engine: Engine) {
    let plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    plane.upload(CODE);
    plane.opens_with(1, vec![caching("c", 1, CODE), caching("hog", 1, CODE)]);
    let mut config = one_isolate(plane.config(dir.path()));
    (config.front_cache.memory_mb, config.front_cache.disk_mb) = (2, 4);
    let node = EdgeNode::start(config, engine).await.unwrap();
    node.applied(1).await;
    let (small, large) = ("/s?cache-control=max-age=600&x_size=20000", "/l?cache-control=max-age=600&x_size=100000");
    for path in [small, large] {
        assert!(ask(&node, path).await.header("cache-status").ends_with("stored"));
    }
    let files = |folder: &str| {
        let below = std::fs::read_dir(dir.path().join("cache").join(folder)).into_iter().flatten().flatten();
        below.flat_map(|below| std::fs::read_dir(below.path()).into_iter().flatten().flatten()).count()
    };
    eventually("it is on disk", async || files("entries") == 1).await;
    // Many times the memory, and twice the disk. Equal contents would be kept once.
    let path = |number| format!("/{number}?cache-control=max-age=600&x_size={}", 100_001 + number);
    for number in 0..80 {
        let path = path(number);
        let answer = get(&node, "hog", &path).await;
        assert!(answer.header("cache-status").ends_with("stored"), "{answer:?}");
        // The disk is written beside the requests; a disk that does not keep up gets nothing more.
        eventually("it is on disk, or made room", async || files("entries") > 30 || files("entries") > number).await;
    }
    for path in [small, large] {
        let answer = ask(&node, path).await;
        assert!(answer.header("cache-status").contains("; hit"), "{answer:?}");
    }
    assert!(get(&node, "hog", &path(0)).await.header("cache-status").contains("miss"));
}
