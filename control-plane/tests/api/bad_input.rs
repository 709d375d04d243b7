//! Everything that is refused, and how.

use std::time::Duration;

use atoll_protocol::api::{Scope, TokenCreated, TokenInfo};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Running, bundle, soon, until};

#[tokio::test]
async fn tokens_are_needed_and_must_have_the_scope() {
    let running = Running::new().await;
    let token = running.plane.admin_token();
    let (id, _) = token.strip_prefix("atoll_").unwrap().split_once('_').unwrap();
    let forged = format!("atoll_{id}_{}", "0".repeat(64));
    for token in ["", "x", "atoll_", "atoll_nobody_nothing", &forged, &token[..token.len() - 1]] {
        let answer = running.client(token).get("/v1/apps").await;
        answer.error(401, "token-invalid", &["token"]);
        assert!(answer.headers.contains_key("www-authenticate"));
    }
    for open in ["/v1/health", "/v1/openapi.json"] {
        assert_eq!(running.client("").get(open).await.status, StatusCode::OK);
    }

    let read = running.scoped(Scope::Read).await;
    let deploy = running.scoped(Scope::Deploy).await;
    let node = running.scoped(Scope::Node).await;
    deploy.deploy("shop", "1", json!({})).await.ok::<Value>();
    read.get("/v1/apps").await.ok::<Value>();
    let (_, hash) = bundle("1");
    assert_eq!(node.get(&format!("/v1/bundles/{hash}")).await.status, StatusCode::OK);
    for (client, method, path, needed) in [
        (&read, Method::POST, "/v1/apps/shop/deploy", "deploy"),
        (&read, Method::PUT, "/v1/bundles/x", "deploy"),
        (&read, Method::GET, "/v1/apps/shop/tail", "deploy"),
        (&deploy, Method::GET, "/v1/tokens", "admin"),
        (&deploy, Method::PUT, "/v1/certificates/shop", "admin"),
        (&deploy, Method::DELETE, "/v1/certificates/shop", "admin"),
        (&deploy, Method::POST, "/v1/certificates/acme:shop.example/renew", "admin"),
        (&node, Method::GET, "/v1/certificates", "read"),
        (&deploy, Method::POST, "/v1/tokens", "admin"),
        (&deploy, Method::GET, "/v1/sync?node=n&key=k", "node"),
        (&deploy, Method::POST, "/v1/nodes/n/report", "node"),
        (&node, Method::GET, "/v1/nodes", "read"),
        (&node, Method::DELETE, "/v1/apps/shop", "deploy"),
    ] {
        let answer = client.call(method, path, "").await;
        answer.error(403, "scope-insufficient", &["test", &format!("scope {needed} is needed")]);
    }
}

#[tokio::test]
async fn an_expired_or_deleted_token_says_so() {
    let running = Running::new().await;
    let admin = running.admin();
    let short = json!({ "name": "short", "scope": "read", "expires_in": 1 });
    let made: TokenCreated = admin.post("/v1/tokens", short).await.ok();
    assert_eq!(made.control_plane_key, running.plane.public_key_hex());
    let client = running.client(&made.token);
    let expired = until("the token expires", async || {
        let answer = client.get("/v1/apps").await;
        (answer.status != StatusCode::OK).then_some(answer)
    });
    expired.await.error(401, "token-expired", &["short", "expired at 20", "create another"]);

    let made: TokenCreated = admin.post("/v1/tokens", json!({ "name": "t", "scope": "admin" })).await.ok();
    let listed = admin.get("/v1/tokens").await;
    assert!(listed.ok::<Vec<TokenInfo>>().iter().any(|token| token.id == made.info.id));
    let secret = made.token.rsplit('_').next().unwrap();
    assert!(!String::from_utf8_lossy(&listed.body).contains(secret));
    let path = format!("/v1/tokens/{}", made.info.id);
    assert_eq!(admin.call(Method::DELETE, &path, "").await.status, StatusCode::NO_CONTENT);
    running.client(&made.token).get("/v1/apps").await.error(401, "token-invalid", &["deleted"]);
    admin.call(Method::DELETE, &path, "").await.error(404, "token-not-found", &[&made.info.id]);

    for (request, status, code) in [
        (json!({ "name": "", "scope": "read" }), 422, "token-name-missing"),
        (json!({ "name": "x".repeat(2000), "scope": "read" }), 422, "text-too-long"),
        (json!({ "name": "t", "scope": "all" }), 400, "json-invalid"),
        (json!({ "name": "t", "scope": "read", "expires_in": 0 }), 422, "token-expiry-invalid"),
        (json!({ "name": "t", "scope": "read", "expires_in": u64::MAX }), 422, "token-expiry-invalid"),
    ] {
        admin.post("/v1/tokens", request).await.error(status, code, &[]);
    }
}

#[tokio::test]
async fn a_bundle_is_checked_before_it_is_kept() {
    let running = Running::new().await;
    let api = running.admin();
    let (archive, hash) = bundle("1");
    let (_, other) = bundle("2");
    let put = async |hash: String, body: Vec<u8>| api.call(Method::PUT, &format!("/v1/bundles/{hash}"), body).await;
    put(other.to_string(), archive.to_vec()).await.error(
        422,
        "bundle-hash-mismatch",
        &[&hash.to_string(), &other.to_string(), "again"],
    );
    put(hash.to_string(), b"nonsense".to_vec()).await.error(422, "bundle-malformed", &["gzip"]);
    put(hash.to_string(), archive[..archive.len() / 2].to_vec()).await.error(422, "bundle-malformed", &[]);
    put("ABC".into(), archive.to_vec()).await.error(400, "bundle-hash-invalid", &["64", "ABC"]);
    put(hash.to_string(), vec![0; (10 << 20) + 1]).await.error(413, "body-too-large", &["10485760"]);
    assert_eq!(std::fs::read_dir(running.dir.path().join("bundles")).unwrap().count(), 0);

    let deploy = api.post("/v1/apps/shop/deploy", json!({ "bundle": hash })).await;
    deploy.error(422, "bundle-not-found", &[&hash.to_string(), "PUT /v1/bundles"]);
    let version = api.post("/v1/apps/shop/versions", json!({ "bundle": hash })).await;
    version.error(422, "bundle-not-found", &[&hash.to_string()]);
    api.get("/v1/apps/shop").await.error(404, "app-not-found", &["shop"]);
}

#[tokio::test]
async fn a_request_that_is_wrong_names_what_and_where() {
    let running = Running::new().await;
    let api = running.admin();
    let hash = api.upload("1").await;
    let with = |more: Value| {
        let mut request = json!({ "bundle": hash });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request.to_string()
    };
    for (body, status, code, words) in [
        ("{".to_owned(), 400, "json-invalid", &["JSON", "line 1"][..]),
        (String::new(), 400, "json-invalid", &["JSON"]),
        ("{}".to_owned(), 400, "json-invalid", &["bundle"]),
        (with(json!({ "colour": 1 })), 400, "json-invalid", &["colour", "expected one of", "routes"]),
        (with(json!({ "bundle": "abc" })), 400, "json-invalid", &["bundle", "64 lower-case"]),
        (with(json!({ "config": { "limits": { "cpu_ms": "x" } } })), 400, "json-invalid", &["config.limits.cpu_ms"]),
        (with(json!({ "config": { "limits": { "cpu_ms": 0 } } })), 422, "limit-invalid", &["cpu_ms is 0", "1 to"]),
        (with(json!({ "config": { "vars": { "a b": 1 } } })), 422, "binding-name-invalid", &["a b"]),
        (with(json!({ "config": { "origin": "x" } })), 422, "origin-invalid", &["\"x\"", "http(s)://"]),
        (with(json!({ "routes": ["a.*.b/*"] })), 422, "route-invalid", &["a.*.b/*", "start"]),
        (with(json!({ "message": "x".repeat(2000) })), 422, "text-too-long", &["message", "1024"]),
        (" ".repeat((1 << 20) + 1), 413, "body-too-large", &["1048576"]),
    ] {
        api.call(Method::POST, "/v1/apps/shop/deploy", body).await.error(status, code, words);
    }
    let valid = with(json!({}));
    for name in ["Shop", "-shop", "a_b", "a.b", "%C3%A4", &"a".repeat(64)] {
        let answer = api.call(Method::POST, &format!("/v1/apps/{name}/deploy"), valid.clone()).await;
        answer.error(400, "app-name-invalid", &["1 to 63"]);
    }
    api.get("/v1/apps/%FF").await.error(400, "path-invalid", &[]);
    api.get("/v1/apps/shop").await.error(404, "app-not-found", &["shop"]);

    api.call(Method::POST, "/v1/apps/shop/deploy", valid).await.ok::<Value>();
    let set = async |name: &str, value: Value| api.put(&format!("/v1/apps/shop/secrets/{name}"), value).await;
    set("a%20b", json!({ "value": "x" })).await.error(422, "binding-name-invalid", &["a b"]);
    set("KEY", json!({ "value": "x".repeat((64 << 10) + 1) })).await.error(413, "secret-too-large", &["KEY", "65536"]);
    set("KEY", json!({ "value": 5 })).await.error(400, "json-invalid", &["value"]);
}

#[tokio::test]
async fn unknown_addresses_methods_and_queries_are_told() {
    let running = Running::new().await;
    let api = running.admin();
    api.get("/v1/nothing").await.error(404, "route-not-found", &["/v1/nothing", "openapi.json"]);
    api.get("/").await.error(404, "route-not-found", &["/"]);
    let patch = api.call(Method::PATCH, "/v1/apps", "").await;
    patch.error(405, "method-not-allowed", &["PATCH", "/v1/apps"]);
    assert!(patch.headers["allow"].to_str().unwrap().contains("GET"));
    api.get("/v1/revisions/x").await.error(400, "path-invalid", &["x"]);
    api.get("/v1/revisions/0?wait_ms=x").await.error(400, "query-invalid", &["wait_ms"]);

    let key = "09".repeat(32);
    for (query, code, word) in [
        (format!("key={key}"), "query-invalid", "node"),
        ("node=n".into(), "query-invalid", "key"),
        (format!("node=n&key={key}&since=x"), "query-invalid", "since"),
        (format!("node=a%2Fb&key={key}"), "node-name-invalid", "a/b"),
        ("node=n&key=09".into(), "node-key-invalid", "64"),
        (format!("node=n&key={}", "00".repeat(32)), "node-key-invalid", "X25519"),
    ] {
        api.get(&format!("/v1/sync?{query}")).await.error(400, code, &[word]);
    }
    let report = |edge: &str, domain: &str| json!({ "revision": 1, "edge_url": edge, "default_domain": domain });
    let answer = api.post("/v1/nodes/n/report", report("nowhere", "localhost")).await;
    answer.error(422, "report-invalid", &["nowhere"]);
    let answer = api.post("/v1/nodes/n/report", report("http://x", "Local Host")).await;
    answer.error(422, "report-invalid", &["Local Host"]);
    api.post("/v1/nodes/n/logs", json!({ "no": "array" })).await.error(400, "json-invalid", &["sequence"]);
}

#[tokio::test]
async fn malformed_http_gets_400_and_harms_nobody() {
    let running = Running::new().await;
    for (request, status) in [
        ("GET /v1/health HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n", "HTTP/1.1 400"),
        ("GET /v1 /x HTTP/1.1\r\n\r\n", "HTTP/1.1 400"),
        ("POST /v1/tokens HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n", "HTTP/1.1 400"),
        (&format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000)), "HTTP/1.1 414"),
    ] {
        let mut stream = TcpStream::connect(running.plane.local_addr()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        soon("an answer", stream.read_exact(&mut head)).await.unwrap();
        assert_eq!(std::str::from_utf8(&head).unwrap(), status, "{request:.80}");
    }
    assert_eq!(running.client("").get("/v1/health").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_breaks_off_changes_nothing() {
    let running = Running::new().await;
    let api = running.admin();
    let hash = api.upload("1").await;
    let body = json!({ "bundle": hash }).to_string();
    let mut stream = TcpStream::connect(running.plane.local_addr()).await.unwrap();
    let head = format!(
        "POST /v1/apps/shop/deploy HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        running.plane.admin_token(),
        body.len() + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    assert!(running.plane.shutdown(Duration::from_secs(60)).await, "the request is over");
    let plane = atoll_control_plane::ControlPlane::start(crate::support::config(running.dir.path())).await.unwrap();
    let api = crate::support::Api::new(&plane.base_url(), &plane.admin_token());
    api.get("/v1/apps/shop").await.error(404, "app-not-found", &[]);
}
