//! Hono: routing, middleware, streaming, JSX.

use serde_json::json;

use crate::support::apps::{App, Bundler, has_header};
use crate::support::{Up, npm};

#[test]
fn hono() {
    let up = Up::start();
    for bundler in Bundler::BOTH {
        let app = App::deploy(&up, "hono", bundler);
        routes(&app);
        api(&app);
        forms_and_errors(&app);
        authentication(&app);
        cookies(&app);
        streams(&app);
        sockets(&up, &app);
        pages(&app);
    }
}

fn routes(app: &App) {
    app.get("/wild/a/b").expect(200, "wild /wild/a/b");
    app.get("/files/a/b.txt").expect(200, "file a/b.txt");
    app.get("/optional").expect(200, "hello nobody");
    app.get("/optional/ada").expect(200, "hello ada");
    app.get("/files/a.png").expect(404, r#"{"error":"no GET /files/a.png"}"#);
    app.request("PURGE", "/", &[], b"").expect(404, r#"{"error":"no PURGE /"}"#);
    app.get("/api/queries?q=1&q=%C3%BC").expect(200, r#"["1","ü"]"#);
    let head = app.request("HEAD", "/optional/ada", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

fn api(app: &App) {
    let shop = ("origin", "https://shop.example");
    let books = app.get_with("/api/books?tag=satire&limit=1", &[shop]);
    books.expect(200, r#"[{"id":1,"title":"Erewhon","tags":["satire"]}]"#);
    has_header(&books, "access-control-allow-origin", "https://shop.example");
    has_header(&books, "access-control-allow-credentials", "true");
    has_header(&books, "x-frame-options", "SAMEORIGIN");
    has_header(&books, "vary", "Origin");
    let stranger = app.get_with("/api/books/1", &[("origin", "https://other.example")]);
    assert_eq!(stranger.header("access-control-allow-origin"), None);
    let preflight = app.request("OPTIONS", "/api/books", &[shop, ("access-control-request-method", "POST")], b"");
    preflight.expect(204, "");
    has_header(&preflight, "access-control-max-age", "600");
    has_header(&preflight, "access-control-allow-methods", "GET,POST");

    let book = app.get("/api/books/1");
    let tag = book.header("etag").expect("an entity tag").to_owned();
    let unchanged = app.get_with("/api/books/1", &[("if-none-match", &tag)]);
    unchanged.expect(304, "");
    has_header(&unchanged, "etag", &tag);
    assert_eq!(unchanged.header("content-type"), None);
    app.get_with("/api/books/1", &[("if-none-match", "\"other\"")]).expect(200, &book.text());
    assert_eq!(app.get("/api/books/x").status, 404);

    let made = app.post_json("/api/books", r#"{"title":"x"}"#);
    made.expect(201, r#"{"id":2,"title":"x","tags":[]}"#);
    has_header(&made, "location", "/api/books/2");
    let invalid = app.post_json("/api/books", r#"{"title":""}"#);
    assert_eq!((invalid.status, &invalid.json()["error"]["name"]), (400, &"ZodError".into()), "{}", invalid.text());
    app.post_json("/api/books", "{").expect(400, "Malformed JSON in request body");
    app.post_json("/api/books", &format!(r#"{{"title":"{}"}}"#, "x".repeat(300))).expect(413, "Payload Too Large");
    app.get("/api/pretty?pretty").expect(200, "{\n  \"a\": [\n    1\n  ]\n}");
    let named = app.get("/api/id");
    has_header(&named, "x-request-id", &named.text());
    assert!(app.get("/api/timed").header("server-timing").is_some_and(|value| value.contains("work;dur=")));
}

fn forms_and_errors(app: &App) {
    let form = [("name", None, "ada"), ("file", Some(("notes ü.txt", "text/plain")), "some\r\nlines")];
    app.post_multipart("/api/form", &form).expect(200, "ada: notes ü.txt text/plain some\r\nlines");
    app.post_form("/api/form", &[], "name=ada%20l").expect(200, "ada l: no file");
    app.post_form("/api/form", &[], "other=1").expect(400, "name?");
    app.get("/api/books/7").expect(404, "no such book");
    app.get("/api/broken").expect(500, "api error");
}

fn authentication(app: &App) {
    let refused = app.get("/guarded/basic/in");
    refused.expect(401, "Unauthorized");
    has_header(&refused, "www-authenticate", "Basic realm=\"Secure Area\"");
    app.get_with("/guarded/basic/in", &[("authorization", "Basic YWRhOmxvdmVsYWNl")]).expect(200, "basic");
    app.get_with("/guarded/bearer/in", &[("authorization", "Bearer token-1")]).expect(200, "bearer");
    for (headers, status) in [(&[("authorization", "Bearer token-2")][..], 401), (&[], 401)] {
        let refused = app.get_with("/guarded/bearer/in", headers);
        assert_eq!(refused.status, status);
        assert!(refused.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")), "{refused:?}");
    }
    let bearer = |path: &str| format!("Bearer {}", app.get(path).text());
    let inside = app.get_with("/guarded/jwt/in", &[("authorization", &bearer("/guarded/token"))]);
    assert_eq!((inside.status, &inside.json()["sub"]), (200, &"ada".into()));
    for token in [bearer("/guarded/token?expired=1"), bearer("/guarded/token") + "x", "Bearer x.y.z".into()] {
        assert_eq!(app.get_with("/guarded/jwt/in", &[("authorization", &token)]).status, 401, "{token}");
    }
    assert_eq!(app.get("/guarded/jwt/in").status, 401);
    app.post_form("/guarded/form/in", &[("origin", "https://shop.example")], "a=b").expect(200, "same site");
    assert_eq!(app.post_form("/guarded/form/in", &[("origin", "https://evil.example")], "a=b").status, 403);
    assert_eq!(app.get("/guarded/ip/in").status, 403);
}

fn cookies(app: &App) {
    let set = app.get("/guarded/cookies/set");
    let cookies: Vec<&str> =
        set.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value.as_str()).collect();
    assert_eq!(cookies.len(), 4, "{cookies:?}");
    assert_eq!(cookies[0], "plain=a%20b; Max-Age=60; Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(cookies[1], "__Secure-safe=1; Path=/; Secure");
    assert_eq!(cookies[3], "gone=; Max-Age=0; Path=/");
    let signed = cookies[2].split(';').next().unwrap();
    let read = |cookie: &str| app.get_with("/guarded/cookies/get", &[("cookie", cookie)]).json();
    assert_eq!(read(&format!("plain=a%20b; {signed}")), json!({ "plain": "a b", "signed": "value" }));
    assert_eq!(read(&signed.replace("=value.", "=other."))["signed"], false);
}

fn streams(app: &App) {
    let plain = app.get("/live/compressed/text");
    let text = "all the same ".repeat(500);
    plain.expect(200, &text);
    let packed = app.get_with("/live/compressed/text", &[("accept-encoding", "gzip")]);
    has_header(&packed, "content-encoding", "gzip");
    assert!(packed.body.starts_with(&[0x1f, 0x8b]) && packed.body.len() < 1000, "{} bytes", packed.body.len());
    let deflated = app.get_with("/live/compressed/text", &[("accept-encoding", "deflate")]);
    has_header(&deflated, "content-encoding", "deflate");
    let small = app.get_with("/live/compressed/small", &[("accept-encoding", "gzip")]);
    small.expect(200, "small");
    assert_eq!(small.header("content-encoding"), None);
    app.get("/live/stream").expect(200, "abcdefgh");
    app.get("/live/text").expect(200, "one\ntwo\nthree\n");
    let events = app.get("/live/events");
    has_header(&events, "content-type", "text/event-stream");
    let ticks: String = (0..3).map(|id| format!("event: tick\ndata: {{\"id\":{id}}}\nid: {id}\n\n")).collect();
    let failed = "event: failed\ndata: enough\n\nevent: error\ndata: enough\n\n";
    events.expect(200, &format!("{ticks}data: two\ndata: lines\n\n{failed}"));
}

fn sockets(up: &Up, app: &App) {
    let url = format!("ws://{}/live/socket/ada", up.edge);
    let heard = npm::run("dialogue.mjs", &[&url, "hono.localhost", "hello", "ünï", "protocol"]);
    assert_eq!(heard.trim(), r#"["ada: hello","ada: ünï","",1000,"done"]"#);
    assert_eq!(app.get("/live/socket/ada").status, 404);
}

fn pages(app: &App) {
    let page = app.get("/pages/plain");
    has_header(&page, "content-type", "text/html; charset=UTF-8");
    page.expect(
        200,
        "<p lang=\"fr\">Hello, &lt;world&gt;!</p><ul><li>1</li><li>2</li></ul><input type=\"checkbox\" checked=\"\"/>",
    );
    let laid_out = app.get("/pages/laid-out").text();
    assert!(laid_out.starts_with("<!DOCTYPE html><html><head><title>A &amp; B</title>"), "{laid_out}");
    assert!(laid_out.contains("{color:red}"), "{laid_out}");
    app.get("/pages/template").expect(200, "<p>&lt;escaped&gt; <i>raw</i> later</p>");
    let suspended = app.get("/pages/suspense").text();
    let (waiting, arrived) = (suspended.find("<i>waiting</i>"), suspended.find("<b>arrived</b>"));
    assert!(waiting.is_some() && waiting < arrived, "{suspended}");
}
