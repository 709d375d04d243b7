//! What clients see of the edge: HTTP/1.1 and HTTP/2, refusals, headers, sizes.

use std::io::Write;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

use crate::support::http::{get, raw, try_request};
use crate::support::{Connection, Up};

const SHOW: &str = r#"export default { async fetch(request) {
  return Response.json({
    method: request.method, url: request.url, body: await request.text(),
    headers: [...request.headers], cf: request.cf ?? null,
  }, { status: 201, headers: [["x-many", "1"], ["set-cookie", "a=1"], ["set-cookie", "b=2"]] });
} };"#;

#[test]
fn requests_and_responses_cross_unchanged() {
    let up = Up::start();
    up.deploy_source("show", SHOW);
    let mut connection = Connection::open(up.edge).unwrap();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let body: &[u8] = if matches!(method, "GET" | "OPTIONS") { b"" } else { "späße".as_bytes() };
        let headers = [("x-custom", "one"), ("x-custom", "two"), ("connection", "keep-alive, x-hop"), ("x-hop", "1")];
        let response = connection.request(method, "show.localhost", "/p%20q/%C3%BC?a=1&b=%20", &headers, body).unwrap();
        assert_eq!(response.status, 201, "{method}: {}", response.text());
        let seen = response.json();
        assert_eq!(seen["method"], method);
        let url = seen["url"].as_str().unwrap();
        assert!(url.starts_with("http://show.localhost") && url.contains("/p%20q/%C3%BC?a=1&b=%20"), "{url}");
        assert_eq!(seen["body"], String::from_utf8_lossy(body).as_ref());
        let headers = seen["headers"].to_string();
        assert!(headers.contains("[\"x-custom\",\"one, two\"]"), "{headers}");
        assert!(!headers.contains("x-hop") && !headers.contains("\"connection\""), "hop-by-hop: {headers}");
        let cookies: Vec<_> = response.headers.iter().filter(|(name, _)| name == "set-cookie").collect();
        assert_eq!(cookies.len(), 2, "{:?}", response.headers);
        assert!(response.header("date").is_some());
    }
    let head = connection.request("HEAD", "show.localhost", "/", &[], b"").unwrap();
    assert_eq!((head.status, head.body.len()), (201, 0));
    let again = connection.request("GET", "show.localhost", "/", &[], b"").unwrap();
    assert_eq!(again.status, 201, "the connection is in order after HEAD");
}

#[test]
fn http_2_with_prior_knowledge_carries_many_requests_at_once() {
    let up = Up::start();
    up.deploy_source("show", SHOW);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(up.edge).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let answers = (0..50).map(|index| {
            let mut sender = sender.clone();
            async move {
                let request = http::Request::post(format!("http://show.localhost/{index}"))
                    .body(Full::new(Bytes::from(format!("body {index}"))))
                    .unwrap();
                let response = sender.send_request(request).await.unwrap();
                assert_eq!(response.status(), 201);
                let body = response.into_body().collect().await.unwrap().to_bytes();
                let seen: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(seen["body"], format!("body {index}"));
                assert!(seen["url"].as_str().unwrap().ends_with(&format!("/{index}")));
            }
        });
        futures::future::join_all(answers).await;
    });
}

#[test]
fn what_is_not_http_gets_400_and_the_node_goes_on() {
    let up = Up::start();
    up.deploy_source("show", SHOW);
    for (what, bytes) in [
        ("no HTTP", &b"hello there\r\n\r\n"[..]),
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        ("a space in a header's name", b"GET / HTTP/1.1\r\nHost: show.localhost\r\nx y: 1\r\n\r\n"),
        ("a bare CR", b"GET / HTTP/1.1\r\nHost: show.localhost\r\nx: a\rb\r\n\r\n"),
        ("two lengths", b"POST / HTTP/1.1\r\nHost: show.localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ("a length that is no number", b"POST / HTTP/1.1\r\nHost: show.localhost\r\nContent-Length: -1\r\n\r\n"),
        ("no host", b"GET / HTTP/1.1\r\n\r\n"),
        ("two hosts", b"GET / HTTP/1.1\r\nHost: show.localhost\r\nHost: other.localhost\r\n\r\n"),
        ("an impossible host", b"GET / HTTP/1.1\r\nHost: a b/c@d\r\n\r\n"),
    ] {
        match raw(up.edge, bytes) {
            Ok(response) => assert_eq!(response.status, 400, "{what}: {}", response.text()),
            Err(error) => panic!("{what}: no answer: {error}"),
        }
    }
    let smuggled =
        b"POST / HTTP/1.1\r\nHost: show.localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
        0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: show.localhost\r\n\r\n";
    let response = raw(up.edge, smuggled).unwrap();
    assert!(response.status == 400 || response.json()["body"] == "", "{}", response.text());
    let mut cut = Connection::open(up.edge).unwrap();
    cut.stream().write_all(b"POST / HTTP/1.1\r\nHost: show.localhost\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
    drop(cut);
    assert_eq!(up.get("show", "/").status, 201);
}

#[test]
fn refusals_carry_their_code() {
    let up = Up::start();
    up.deploy_with("show", SHOW, json!({ "limits": { "request_body_bytes": 1000 } }));
    let unknown = get(up.edge, "nobody.localhost", "/");
    unknown.expect_error(404, "route-not-found");
    assert!(unknown.text().contains("nobody.localhost"), "{}", unknown.text());

    let post = |size: usize| try_request(up.edge, "POST", "show.localhost", "/", &[], &vec![b'x'; size]).unwrap();
    assert_eq!(post(1000).status, 201);
    post(1001).expect_error(413, "body-too-large");
    let mut chunked = Connection::open(up.edge).unwrap();
    chunked.send_head("POST", "show.localhost", "/", &[("transfer-encoding", "chunked")]).unwrap();
    // The answer may come, and the connection close, before all is sent.
    let _ = chunked.send_chunk(&[b'x'; 2000]).and_then(|()| chunked.send_chunk(b""));
    let status = chunked.read_response(false).unwrap().status;
    assert!(matches!(status, 413 | 500), "the handler's read fails, or the node refuses: {status}");

    for method in ["TRACE", "CONNECT"] {
        let target = if method == "CONNECT" { "show.localhost:80" } else { "/" };
        let response = try_request(up.edge, method, "show.localhost", target, &[], b"").unwrap();
        assert_eq!(response.status, 405, "{method}");
    }
    let long = "v".repeat(70_000);
    let response = try_request(up.edge, "GET", "show.localhost", "/", &[("x-long", &long)], b"").unwrap();
    assert_eq!(response.status, 431);
    assert_eq!(up.get("show", "/").status, 201);
}

#[test]
fn outbound_requests_obey_the_address_policy() {
    const FETCH: &str = r#"export default { async fetch(request) {
      const target = new URL(request.url).searchParams.get("to");
      try {
        const answer = await fetch(target, { method: "POST", body: "ping", headers: { "x-app": "1" } });
        return new Response(await answer.text());
      } catch (error) { return new Response(`${error.name}: ${error.message}`, { status: 502 }); }
    } };"#;
    let origin = crate::support::origin::start(|request| {
        let loops = request.headers.iter().any(|(name, _)| name == "cdn-loop");
        (200, format!("{} {} {} loop={loops}", request.method, request.path, String::from_utf8_lossy(&request.body)))
    });
    let patient = || json!({ "limits": { "cpu_ms": 5000 } });
    let strict = Up::start();
    strict.deploy_with("out", FETCH, patient());
    for target in [
        format!("http://{origin}/"),
        format!("http://localhost:{}/", origin.port()),
        format!("http://[::ffff:127.0.0.1]:{}/", origin.port()),
        "http://169.254.169.254/latest/meta-data/".into(),
        "http://10.0.0.1/".into(),
        "http://0x7f000001/".into(),
    ] {
        let response = strict.get("out", &format!("/?to={target}"));
        assert_eq!(response.status, 502, "{target}: {}", response.text());
        assert!(response.text().starts_with("TypeError"), "{target}: {}", response.text());
    }
    drop(strict);
    let open = Up::with(&["--allow-egress", "127.0.0.0/8"]);
    open.deploy_with("out", FETCH, patient());
    open.get("out", &format!("/?to=http://{origin}/path")).expect(200, "POST /path ping loop=true");
    let response = open.get("out", "/?to=http://10.0.0.1/");
    assert_eq!(response.status, 502, "{}", response.text());
}
