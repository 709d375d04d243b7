//! itty-router, h3, GraphQL Yoga, Apollo Server, tRPC.

use serde_json::json;

use crate::support::Up;
use crate::support::apps::{App, Bundler, has_header};

#[test]
fn itty_router() {
    let up = Up::start();
    for bundler in Bundler::BOTH {
        let app = App::deploy(&up, "itty", bundler);
        app.get("/").expect(200, "itty");
        app.get("/users/1/posts?x=1&x=2").expect(200, r#"{"id":"1","post":null,"query":{"x":["1","2"]}}"#);
        app.get("/users/1/posts/2").expect(200, r#"{"id":"1","post":"2","query":{}}"#);
        app.get("/files/a/b/c").expect(200, "a/b/c");
        app.get("/images/cat.png").expect(200, "cat png");
        app.post_json("/things", r#"{"a":[1]}"#).expect(201, r#"{"made":{"a":[1]}}"#);
        app.get_with("/cookies", &[("cookie", "a=1; b=2")]).expect(200, r#"{"a":"1","b":"2"}"#);
        let page = app.get("/page");
        page.expect(200, "<h1>page</h1>");
        has_header(&page, "content-type", "text/html");
        let yaml = app.get("/yaml");
        yaml.expect(200, "a: 1\nb: two");
        has_header(&yaml, "content-type", "application/yaml");
        let shared = app.get_with("/shared", &[("origin", "https://shop.example")]);
        shared.expect(200, r#"{"shared":true}"#);
        has_header(&shared, "access-control-allow-origin", "https://shop.example");
        app.get("/throws").expect(418, r#"{"status":418,"error":"short","stout":true}"#);
        assert_eq!(app.get("/bug").status, 500);
        app.get("/admin/me").expect(401, r#"{"status":401,"error":"who are you?"}"#);
        app.get_with("/admin/me", &[("authorization", "Bearer ada")]).expect(200, r#"{"user":"ada"}"#);
        let preflight = app.request("OPTIONS", "/things", &[("origin", "https://shop.example")], b"");
        preflight.expect(204, "");
        has_header(&preflight, "access-control-allow-methods", "GET,POST");
        assert_eq!(app.get("/nowhere").status, 404);
    }
}

#[test]
fn h3() {
    let up = Up::start();
    for bundler in Bundler::BOTH {
        let app = App::deploy(&up, "h3", bundler);
        let home = app.get("/");
        home.expect(200, "h3");
        has_header(&home, "x-seen", "/");
        has_header(&home, "vary", "x-test");
        app.get("/json/a%20b?x=1&x=2").expect(200, r#"{"name":"a b","query":{"x":["1","2"]}}"#);
        app.get("/rest/a/b").expect(200, r#"{"path":"a/b"}"#);
        app.post_json("/echo", r#"{"a":1}"#).expect(200, r#"{"body":{"a":1},"type":"application/json"}"#);
        let form = app.post_form("/echo", &[], "a=1&b=2").json();
        assert_eq!(form["body"], json!({ "a": "1", "b": "2" }));
        app.post_json("/valid", r#"{"count":2}"#).expect(200, r#"{"count":2}"#);
        let invalid = app.post_json("/valid", r#"{"count":"x"}"#);
        assert_eq!((invalid.status, &invalid.json()["data"]["issues"][0]["path"]), (400, &json!(["count"])));
        app.get("/valid?page=3").expect(200, r#"{"page":3}"#);
        assert_eq!(app.get("/valid?page=0").status, 400);
        app.get("/html").expect(200, "<p>&lt;tag&gt;</p>");
        app.get("/none").expect(204, "");
        let redirect = app.get("/redirect");
        assert_eq!(redirect.status, 307);
        has_header(&redirect, "location", "/json/there");
        let cookies = app.get_with("/cookies", &[("cookie", "visits=4")]);
        let set: Vec<_> = cookies.headers.iter().filter(|(name, _)| name == "set-cookie").collect();
        assert_eq!((set.len(), set[0].1.as_str()), (2, "visits=5; Path=/; HttpOnly"));
        let refused = app.get("/secret");
        assert_eq!(refused.status, 401);
        assert!(refused.header("www-authenticate").is_some_and(|value| value.starts_with("Basic")));
        app.get_with("/secret", &[("authorization", "Basic YWRhOmxvdmVsYWNl")]).expect(200, "inside");
        app.get("/error").expect(409, r#"{"status":409,"message":"conflict","data":{"field":"id"}}"#);
        let bug = app.get("/bug");
        assert!(bug.status == 500 && !bug.text().contains("not for strangers"), "{}", bug.text());
        app.get("/stream").expect(200, "stream");
        let events = app.get("/events");
        has_header(&events, "content-type", "text/event-stream");
        events.expect(200, "data: one\n\nid: 2\nevent: named\ndata: two\n\n");
        let web = app.get("/web");
        web.expect(203, "web");
        has_header(&web, "x-web", "yes");
        app.get("/again").expect(200, r#"{"name":"inner","query":{}}"#);
        app.get("/base/ping").expect(200, "pong");
        let headers = [("origin", "https://shop.example"), ("access-control-request-method", "PUT")];
        let preflight = app.request("OPTIONS", "/cors", &headers, b"");
        preflight.expect(204, "");
        has_header(&preflight, "access-control-allow-methods", "PUT");
        assert_eq!(app.get("/nowhere").status, 404);
    }
}

#[test]
fn graphql() {
    let up = Up::start();
    for bundler in Bundler::BOTH {
        let app = App::deploy(&up, "graphql", bundler);
        let ask = |query: &str| app.post_json("/graphql", &json!({ "query": query }).to_string());
        ask("{ owner books { id title(upper: true) author { name books { id } } } }").expect(
            200,
            r#"{"data":{"owner":"the library","books":[{"id":"1","title":"EREWHON","author":{"name":"Butler","books":[{"id":"1"}]}}]}}"#,
        );
        let query = "query($id: ID!) { node(id: $id) { id ... on Book { title } } search(text: \"x\") { __typename } }";
        let body = json!({ "query": query, "variables": { "id": "1" } }).to_string();
        app.post_json("/graphql", &body).expect(
            200,
            r#"{"data":{"node":{"id":"1","title":"Erewhon"},"search":[{"__typename":"Book"},{"__typename":"Author"}]}}"#,
        );
        app.get("/graphql?query=%7Bowner%7D").expect(200, r#"{"data":{"owner":"the library"}}"#);
        let fails = ask("{ fails }").json();
        assert_eq!(fails["errors"][0]["extensions"]["code"], "REFUSED");
        let invalid = ask("{ nothing }").json();
        assert_eq!(invalid["errors"][0]["message"], "Cannot query field \"nothing\" on type \"Query\".");
        assert!(ask("{ broken").json()["errors"][0]["message"].as_str().unwrap().contains("Syntax Error"));
        ask("mutation { add(book: {title: \"New\", author: \"1\"}) { id title } }")
            .expect(200, r#"{"data":{"add":{"id":"2","title":"New"}}}"#);
        let upload = [
            ("operations", None, r#"{"query":"mutation($f: File!) { upload(file: $f) }","variables":{"f":null}}"#),
            ("map", None, r#"{"0":["variables.f"]}"#),
            ("0", Some(("note.txt", "text/plain")), "a note"),
        ];
        app.post_multipart("/graphql", &upload).expect(200, r#"{"data":{"upload":"note.txt: a note"}}"#);
        let headers = [("content-type", "application/json"), ("accept", "text/event-stream")];
        let body = json!({ "query": "subscription { count(to: 3) }" }).to_string();
        let counted = app.request("POST", "/graphql", &headers, body.as_bytes());
        has_header(&counted, "content-type", "text/event-stream");
        let counted = counted.text();
        let data: Vec<&str> = counted.lines().filter_map(|line| line.strip_prefix("data: {")).collect();
        assert_eq!(data, [1, 2, 3].map(|n| format!("\"data\":{{\"count\":{n}}}}}")), "{counted}");
        let plain = app.get("/plain").json();
        assert_eq!(plain["data"]["books"][0]["title"], "Erewhon");
        assert!(app.get("/schema").text().contains("union Found = Author | Book"));
    }
}

#[test]
fn trpc() {
    let up = Up::start();
    for bundler in Bundler::BOTH {
        let app = App::deploy(&up, "trpc", bundler);
        let tested = app.get("/self-test");
        let expected = json!({
            "hello": "hello ada", "me": { "user": "ada" }, "made": { "id": 2, "text": "second" }, "numbers": [0, 1, 2],
            "refused": { "message": "sign in first", "code": "UNAUTHORIZED" }, "invalid": "BAD_REQUEST",
            "sent": ["GET /trpc/greet,me", "POST /trpc/notes.add", "GET /trpc/slow", "GET /trpc/me", "GET /trpc/greet"],
        });
        assert_eq!(tested.json(), expected, "{tested:?}");
        app.get("/trpc/greet?input=%7B%22name%22%3A%22ada%22%7D").expect(200, r#"{"result":{"data":"hello ada"}}"#);
        let refused = app.post_json("/trpc/notes.add", r#"{"text":"x"}"#);
        assert_eq!((refused.status, &refused.json()["error"]["data"]["code"]), (401, &"UNAUTHORIZED".into()));
        let batch = app.get("/trpc/notes.list,nothing?batch=1&input=%7B%7D");
        assert_eq!((batch.status, batch.json().as_array().map(Vec::len)), (207, Some(2)), "{}", batch.text());
        assert_eq!(app.get("/trpc/nothing").status, 404);
        let ticks = app.get("/trpc/ticks");
        has_header(&ticks, "content-type", "text/event-stream");
        let ticks = ticks.text();
        assert!(ticks.contains("data: {\"tick\":\"a\"}\nid: a\n") && ticks.contains("id: b\n"), "{ticks}");
    }
}

#[test]
fn apollo_server() {
    let up = Up::start();
    for bundler in Bundler::BOTH {
        let app = App::deploy(&up, "apollo", bundler);
        let ask = |query: &str| app.post_json("/", &json!({ "query": query }).to_string());
        let answer = ask("{ owner books { id title(upper: true) } }");
        assert_eq!(
            answer.json()["data"],
            json!({ "owner": "the library", "books": [{ "id": "1", "title": "EREWHON" }] })
        );
        has_header(&answer, "content-type", "application/json; charset=utf-8");
        let added = app.post_json(
            "/",
            &json!({ "query": "mutation($t: String!) { add(title: $t) { title } }", "variables": { "t": "Nowhere" } })
                .to_string(),
        );
        added.expect(200, "{\"data\":{\"add\":{\"title\":\"Nowhere\"}}}\n");
        let refused = ask("{ fails }");
        assert_eq!((refused.status, &refused.json()["errors"][0]["extensions"]["code"]), (418, &json!("REFUSED")));
        let invalid = ask("{ nothing }");
        assert_eq!(
            (invalid.status, &invalid.json()["errors"][0]["extensions"]["code"]),
            (400, &json!("GRAPHQL_VALIDATION_FAILED"))
        );
        let own = [("apollo-require-preflight", "1")];
        assert_eq!(app.get_with("/?query=%7B__typename%7D", &own).json()["data"]["__typename"], "Query");
        assert_eq!(app.get("/?query=%7B__typename%7D").status, 400, "a request that a form could make");
        assert!(ask("{ __schema { queryType { name } } }").text().contains("\"name\":\"Query\""));
    }
}
