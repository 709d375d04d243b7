//! Static files before, beside and instead of code.

use std::collections::{BTreeMap, HashMap};

use atoll_assets::{File, Manifest, content_type, parse_headers, parse_redirects};
use atoll_bundle::BundleHash;
use atoll_edge_node::{EdgeNode, LocalAsset};
use atoll_protocol::config::AssetSettings;
use atoll_protocol::sync::AppState;
use atoll_runtime::Engine;
use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::plane::Plane;
use crate::support::{self, Answer, app, bundle, config, get, http1, node, request, send};

/// Static files with the rules for them.
struct Files {
    manifest: Bytes,
    contents: HashMap<BundleHash, Bytes>,
}

impl Files {
    fn new(files: &[(&str, &[u8])], headers: &str, redirects: &str) -> Self {
        let mut contents = HashMap::new();
        let mut manifest = Manifest {
            files: BTreeMap::new(),
            headers: parse_headers(headers).unwrap(),
            redirects: parse_redirects(redirects).unwrap(),
        };
        for (path, content) in files {
            let hash = BundleHash::of(content);
            contents.insert(hash, Bytes::copy_from_slice(content));
            let kind = content_type(path).map(str::to_owned);
            manifest.files.insert((*path).into(), File { hash, size: content.len() as u64, kind });
        }
        Self { manifest: manifest.encode().into(), contents }
    }

    fn hash(&self) -> BundleHash {
        BundleHash::of(&self.manifest)
    }

    fn local(&self) -> HashMap<BundleHash, LocalAsset> {
        let all = self.contents.iter().map(|(hash, bytes)| (*hash, bytes.clone()));
        all.chain([(self.hash(), self.manifest.clone())])
            .map(|(hash, bytes)| (hash, LocalAsset::Bytes(bytes)))
            .collect()
    }

    /// An app with these files; `settings` without the manifest.
    fn app(&self, name: &str, version: u64, code: &str, mut settings: Value) -> AppState {
        settings["manifest"] = json!(self.hash());
        let settings: AssetSettings = serde_json::from_value(settings).unwrap();
        let mut state = app(name, version, code);
        state.versions.get_mut(&version).unwrap().config.assets = Some(settings);
        state
    }

    fn install(&self, node: &EdgeNode, code: &str, settings: Value) {
        node.set_local_assets(self.local());
        node.install(self.app("a", 1, code, settings), bundle(code), &BTreeMap::new());
    }
}

async fn ask(node: &EdgeNode, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = request(node, "a", path).method(method);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(&http1(), request.body(Full::default()).unwrap()).await
}

/// The bytes of an answer.
async fn bytes(node: &EdgeNode, path: &str, headers: &[(&str, &str)]) -> (http::HeaderMap, Bytes) {
    let mut request = request(node, "a", path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = http1().request(request.body(Full::default()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.headers, body.collect().await.unwrap().to_bytes())
}

const WORKER: &str = "export default { async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === '/shape') {
        const take = env.ASSETS.fetch;
        const refused = await take.call({}, 'http://x/').catch((error) => error.name);
        return Response.json([typeof env.ASSETS, String(env.ASSETS), refused]);
    }
    if (pathname.startsWith('/through')) {
        const inner = await env.ASSETS.fetch(new URL(pathname.slice(8), request.url), { method: request.method });
        return new Response(inner.body, { status: inner.status, headers: { ...Object.fromEntries(inner.headers), 'x-worker': '1' } });
    }
    if (pathname.startsWith('/as-it-is')) return env.ASSETS.fetch(request);
    return new Response('worker ' + request.method + ' ' + pathname);
} };";

const ALL: &[(&str, &[u8])] = &[
    ("/index.html", b"<h1>home</h1>"),
    ("/about.html", b"<h1>about</h1>"),
    ("/docs/index.html", b"<h1>docs</h1>"),
    ("/404.html", b"<h1>nothing</h1>"),
    ("/as-it-is.txt", b"as it is"),
    ("/data.json", b"{}"),
];

/// Files come before the code, which gets all else, and which may ask for files.
pub async fn come_before_the_code(engine: Engine) {
    let node = node(config(), &engine, &[]).await;
    let files = Files::new(ALL, "/data.json\n  X-Own: yes\n  ! Cache-Control\n", "/old/* /docs/:splat 301\n");
    files.install(&node, WORKER, json!({ "binding": "ASSETS" }));
    let home = get(&node, "a", "/").await;
    assert_eq!((home.status.as_u16(), home.body.as_str()), (200, "<h1>home</h1>"));
    assert_eq!(home.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(home.header("cache-control"), "public, max-age=0, must-revalidate");
    assert_eq!(node.live_isolates(), 0, "no isolate is asked");
    let data = get(&node, "a", "/data.json").await;
    assert_eq!((data.header("x-own"), data.header("cache-control")), ("yes", ""));
    let moved = get(&node, "a", "/about.html?x=1").await;
    assert_eq!((moved.status.as_u16(), moved.header("location")), (307, "/about?x=1"));
    let old = get(&node, "a", "/old/a/b").await;
    assert_eq!((old.status.as_u16(), old.header("location")), (301, "/docs/a/b"));
    assert_eq!(ask(&node, Method::POST, "/about", &[]).await.status, 405);

    assert_eq!(get(&node, "a", "/none").await.body, "worker GET /none");
    assert_eq!(ask(&node, Method::POST, "/none", &[]).await.body, "worker POST /none");
    let through = get(&node, "a", "/through/about").await;
    assert_eq!((through.body.as_str(), through.header("x-worker")), ("<h1>about</h1>", "1"));
    assert_eq!(get(&node, "a", "/through/about.html").await.body, "<h1>about</h1>", "redirects are followed");
    assert_eq!(get(&node, "a", "/through/none").await.status, 404);
    assert_eq!(ask(&node, Method::POST, "/through/about", &[]).await.status, 405);
    assert_eq!(get(&node, "a", "/as-it-is").await.status, 404);
    assert_eq!(get(&node, "a", "/shape").await.body, "[\"object\",\"[object Fetcher]\",\"TypeError\"]");
}

/// `run_worker_first`, navigation, and apps without code.
pub async fn leave_to_the_code_what_is_its(engine: Engine) {
    let node = node(config(), &engine, &[]).await;
    let files = Files::new(ALL, "", "");
    let first = json!({ "binding": "ASSETS", "run_worker_first": ["/*", "!/docs/*"] });
    files.install(&node, WORKER, first);
    assert_eq!(get(&node, "a", "/about").await.body, "worker GET /about");
    assert_eq!(get(&node, "a", "/docs/").await.body, "<h1>docs</h1>");
    assert_eq!(get(&node, "a", "/through/about").await.body, "<h1>about</h1>");

    let spa = json!({ "not_found_handling": "single-page-application", "navigation_first": true });
    files.install(&node, WORKER, spa);
    assert_eq!(get(&node, "a", "/deep/link").await.body, "worker GET /deep/link");
    let navigation = ask(&node, Method::GET, "/deep/link", &[("sec-fetch-mode", "navigate")]).await;
    assert_eq!((navigation.status.as_u16(), navigation.body.as_str()), (200, "<h1>home</h1>"));

    let code = "throw new Error('never run');";
    for (handling, status, body) in
        [("single-page-application", 200, "<h1>home</h1>"), ("404-page", 404, "<h1>nothing</h1>"), ("none", 404, "")]
    {
        files.install(&node, code, json!({ "not_found_handling": handling, "without_worker": true }));
        let missing = get(&node, "a", "/none/at/all").await;
        assert_eq!((missing.status.as_u16(), missing.body.as_str()), (status, body), "{handling}");
        assert_eq!(missing.error(), "");
    }
    let upgrade = ask(&node, Method::GET, "/none", &[("connection", "upgrade"), ("upgrade", "h2c")]).await;
    assert_eq!(upgrade.status, 404);
}

/// Conditions, ranges, HEAD; small files and such as are not kept in memory.
pub async fn answer_conditions_and_ranges(engine: Engine) {
    let node = node(config(), &engine, &[]).await;
    let large: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let files = Files::new(&[("/a.txt", b"0123456789"), ("/large.bin", &large), ("/empty.txt", b"")], "", "");
    files.install(&node, WORKER, json!({ "without_worker": true }));
    let whole = get(&node, "a", "/a.txt").await;
    let etag = whole.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.len() == 34, "{etag}");
    for condition in [etag.as_str(), &format!("\"x\", W/{etag}"), "*"] {
        let same = ask(&node, Method::GET, "/a.txt", &[("if-none-match", condition)]).await;
        assert_eq!((same.status.as_u16(), same.header("etag"), same.body.as_str()), (304, etag.as_str(), ""));
        assert!(same.header("cache-control").contains("must-revalidate"));
    }
    let other = ask(&node, Method::GET, "/a.txt", &[("if-none-match", "\"other\"")]).await;
    assert_eq!(other.status, 200);
    let old = ask(&node, Method::GET, "/a.txt", &[("if-modified-since", "Sun, 06 Nov 2044 08:49:37 GMT")]).await;
    assert_eq!(old.status, 200, "files have no date");
    let part = ask(&node, Method::GET, "/a.txt", &[("range", "bytes=2-4"), ("if-range", &etag)]).await;
    assert_eq!((part.status.as_u16(), part.header("content-range"), part.body.as_str()), (206, "bytes 2-4/10", "234"));
    let changed = ask(&node, Method::GET, "/a.txt", &[("range", "bytes=2-4"), ("if-range", "\"x\"")]).await;
    assert_eq!((changed.status.as_u16(), changed.body.as_str()), (200, "0123456789"));
    let beyond = ask(&node, Method::GET, "/a.txt", &[("range", "bytes=20-")]).await;
    assert_eq!((beyond.status.as_u16(), beyond.header("content-range")), (416, "bytes */10"));
    let several = ask(&node, Method::GET, "/a.txt", &[("range", "bytes=0-0,-1")]).await;
    assert!(several.status == 206 && several.header("content-type").starts_with("multipart/byteranges"));
    let head = ask(&node, Method::HEAD, "/large.bin", &[]).await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.body.as_str()), (200, "5000000", ""));
    assert_eq!(get(&node, "a", "/empty.txt").await.status, 200);
    // The first time from memory, then from disk if it were there.
    for _ in 0..2 {
        assert!(bytes(&node, "/large.bin", &[]).await.1 == large);
        let (headers, part) = bytes(&node, "/large.bin", &[("range", "bytes=4999990-")]).await;
        assert!(part == large[4_999_990..] && headers["content-range"] == "bytes 4999990-4999999/5000000");
    }
}

/// Each file in the coding that suits the client, made once, with a tag of its own.
pub async fn have_a_variant_for_every_coding(engine: Engine) {
    let node = node(config(), &engine, &[]).await;
    let text = "body { color: red }\n".repeat(500);
    let picture = vec![7_u8; 5000];
    let listed: [(&str, &[u8]); 4] =
        [("/a.css", text.as_bytes()), ("/p.png", &picture), ("/s.css", b"a{}"), ("/fixed.css", text.as_bytes())];
    let files = Files::new(&listed, "/fixed.css\n  Cache-Control: no-transform\n", "");
    files.install(&node, WORKER, json!({ "without_worker": true }));
    let mut tags = Vec::new();
    for (accepts, coding) in [("gzip, br, zstd", "br"), ("gzip, zstd", "zstd"), ("gzip", "gzip"), ("identity", "")] {
        for _ in 0..2 {
            let (headers, body) = bytes(&node, "/a.css", &[("accept-encoding", accepts)]).await;
            let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
            assert_eq!((header("content-encoding").as_str(), header("vary").as_str()), (coding, "Accept-Encoding"));
            assert_eq!(header("content-length"), body.len().to_string());
            assert_eq!(support::decoded(coding, &body), text.as_bytes(), "{accepts}");
            assert!(header("etag").starts_with('"'), "a strong tag");
            tags.push(header("etag"));
        }
    }
    tags.dedup();
    assert_eq!(tags.len(), 4);
    let same = ask(&node, Method::GET, "/a.css", &[("accept-encoding", "br"), ("if-none-match", &tags[0])]).await;
    assert_eq!(
        (same.status.as_u16(), same.header("vary"), same.header("content-encoding")),
        (304, "Accept-Encoding", "")
    );
    let part = ask(&node, Method::GET, "/a.css", &[("accept-encoding", "br"), ("range", "bytes=0-3")]).await;
    assert_eq!((part.status.as_u16(), part.header("content-encoding"), part.body.as_str()), (206, "", "body"));
    for path in ["/p.png", "/s.css", "/fixed.css"] {
        let plain = bytes(&node, path, &[("accept-encoding", "br")]).await.0;
        assert!(!plain.contains_key("content-encoding") && !plain.contains_key("vary"), "{path}");
    }
}

/// Files are on the node's disk before a version is served, and served without the control plane.
pub async fn outlive_the_control_plane(engine: Engine) {
    let mut plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    let large = vec![b'x'; 3 << 20];
    let first = Files::new(&[("/index.html", b"one"), ("/large.txt", &large)], "", "");
    let settings = json!({ "without_worker": true });
    plane.upload("");
    plane.upload_assets(first.contents.iter().map(|(hash, bytes)| (*hash, bytes.clone())));
    plane.upload_assets([(first.hash(), first.manifest.clone())]);
    plane.opens_with(1, vec![first.app("a", 1, "", settings.clone())]);
    let node = EdgeNode::start(plane.config(dir.path()), engine.clone()).await.unwrap();
    node.applied(1).await;
    assert_eq!(get(&node, "a", "/").await.body, "one");

    // A version of which a file cannot be had is not served.
    let second = Files::new(&[("/index.html", b"two"), ("/new.txt", b"new")], "", "");
    plane.upload_assets([(second.hash(), second.manifest.clone())]);
    plane.upload_assets([(BundleHash::of(b"two"), Bytes::from("evil"))]);
    plane.changes(2, second.app("a", 2, "", settings.clone())).await;
    node.applied(2).await;
    assert_eq!(get(&node, "a", "/").await.body, "one");
    support::eventually("the failure is reported", async || {
        plane
            .report()
            .is_some_and(|report| report.failures.get("a").is_some_and(|failure| failure.contains("static file")))
    })
    .await;

    assert!(node.shutdown(std::time::Duration::from_secs(60)).await);
    plane.stop().await;
    let node = EdgeNode::start(plane.config(dir.path()), engine.clone()).await.unwrap();
    node.ready().await;
    assert_eq!(get(&node, "a", "/").await.body, "one");
    for _ in 0..2 {
        let part = ask(&node, Method::GET, "/large.txt", &[("range", "bytes=-3")]).await;
        assert_eq!((part.status.as_u16(), part.body.as_str()), (206, "xxx"));
    }

    // A file that is damaged on disk is not served as it is; it is fetched again when it can be.
    let damaged = dir.path().join("assets").join(BundleHash::of(&large).to_string());
    drop(node);
    support::eventually("the directory is free", async || {
        let Ok(node) = EdgeNode::start(plane.config(dir.path()), engine.clone()).await else { return false };
        std::fs::write(&damaged, "damaged").unwrap();
        node.ready().await;
        let broken = get(&node, "a", "/large.txt").await;
        assert_eq!((broken.status.as_u16(), broken.error()), (503, "asset-unavailable"));
        assert_eq!(get(&node, "a", "/").await.body, "one");
        plane.start().await;
        support::eventually("it is fetched again", async || {
            get(&node, "a", "/large.txt").await.body.len() == large.len()
        })
        .await;
        true
    })
    .await;
}
