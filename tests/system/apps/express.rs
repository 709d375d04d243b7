//! Express, on the servers and requests of `node:http`.

use serde_json::json;

use crate::support::apps::{App, Bundler, has_header, project, set_variable};
use crate::support::{Up, origin};

#[test]
fn express_runs_unmodified() {
    let up = Up::with(&["--allow-egress", "127.0.0.0/8"]);
    let origin = origin::start(|request| {
        let header = |wanted: &str| request.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let sent = json!({ "method": request.method, "path": request.path, "one": header("x-one"),
            "type": header("content-type"), "length": header("content-length"), "body": body });
        (202, sent.to_string())
    });
    for bundler in Bundler::BOTH {
        let project = project("express", bundler);
        set_variable(&project, "ORIGIN", &format!("http://{origin}"));
        up.deploy(project.path());
        let app = App::named(&up, "express");
        answers(&app);
        bodies(&app);
        errors(&app);
        requests(&app);
    }
}

fn answers(app: &App) {
    let book = app.get("/books/1?q=a%20b");
    assert_eq!(book.json(), json!({ "id": "1", "title": "Erewhon", "query": "a b", "host": "express.localhost" }));
    has_header(&book, "content-type", "application/json; charset=utf-8");
    has_header(&book, "x-powered-by", "Express");
    has_header(&book, "content-length", &book.body.len().to_string());
    let tag = book.header("etag").expect("an entity tag").to_owned();
    let unchanged = app.get_with("/books/1?q=a%20b", &[("if-none-match", &tag)]);
    unchanged.expect(304, "");
    let head = app.request("HEAD", "/books/1?q=a%20b", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    let cookies = app.get_with("/cookies", &[("cookie", "c=3")]);
    cookies.expect(200, "c=3");
    let set: Vec<&str> =
        cookies.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, v)| v.as_str()).collect();
    assert_eq!(set, ["a=1; Path=/; HttpOnly", "b=2; Path=/"]);
    let away = app.get("/away");
    assert_eq!((away.status, away.header("location")), (302, Some("/books/1")));
    app.get("/pieces").expect(200, "one two three");
    app.get("/nothing").expect(204, "");
    app.get("/late").expect(200, "sent");
}

fn bodies(app: &App) {
    let made = app.post_json("/books", r#"{"title":"Zadig"}"#);
    made.expect(201, r#"{"title":"Zadig","length":"17"}"#);
    has_header(&made, "location", "/books/2");
    app.post_form("/forms", &[], "a[b]=1&c=x+y").expect(200, r#"{"a":{"b":"1"},"c":"x y"}"#);
    let text = app.request("POST", "/texts", &[("content-type", "text/plain; charset=iso-8859-1")], b"\xfc");
    text.expect(200, "<p>ü</p>");
    has_header(&text, "content-type", "text/html; charset=utf-8");
    // Enough to come in many pieces.
    let long = "x".repeat(90_000);
    let text = app.request("POST", "/texts", &[("content-type", "text/plain")], long.as_bytes());
    text.expect(200, &format!("<p>{long}</p>"));
}

fn errors(app: &App) {
    let missing = app.get("/books/9");
    assert!(missing.status == 404 && missing.text().contains("Cannot GET /books/9"), "{missing:?}");
    app.get("/fail").expect(500, r#"{"error":"out of books"}"#);
    let refused = app.post_json("/books", "{");
    assert!(refused.status == 500 && refused.text().contains(r#""status":400"#), "{refused:?}");
    let large = app.request("POST", "/texts", &[("content-type", "text/plain")], &[b'x'; 110_000]);
    large.expect(500, r#"{"error":"request entity too large","status":413}"#);
}

fn requests(app: &App) {
    let got = app.get("/upstream");
    assert_eq!(got.status, 202);
    has_header(&got, "x-type", "application/json");
    let sent = json!({ "method": "GET", "path": "/echo?q=1", "one": "1", "type": null, "length": null, "body": "" });
    assert_eq!(got.json(), sent);
    let posted = app.request("POST", "/upstream", &[("content-type", "text/plain")], b"second");
    let sent = json!({ "method": "POST", "path": "/echo", "one": null, "type": "text/plain", "length": "12",
        "body": "first second" });
    assert_eq!(posted.json(), sent);
    app.get("/nowhere").expect(502, "Error");
}
