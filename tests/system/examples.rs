//! Every project under `examples/` is deployed as it is and answers as its README says.

use crate::support::project::repository;
use crate::support::{Connection, Project, Up, npm, origin};

/// A copy of an example, with the packages it asks for in the versions it pins.
fn example(name: &str) -> Project {
    let folder = repository("examples").join(name);
    let project = Project::copy_of(&folder).patient();
    if let Ok(text) = std::fs::read_to_string(folder.join("package.json")) {
        let package: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (dependency, pinned) in package["dependencies"].as_object().expect("dependencies") {
            let installed = npm::node_modules().join(dependency).join("package.json");
            let installed = std::fs::read_to_string(installed).unwrap_or_default();
            let version = format!("\"version\": {pinned}");
            assert!(installed.contains(&version), "examples/{name} pins {dependency} {pinned}; tests/npm has another");
            npm::install(&project, &[dependency]);
        }
    }
    project
}

fn readme(name: &str) -> String {
    std::fs::read_to_string(repository("examples").join(name).join("README.md")).unwrap()
}

#[test]
fn every_example_has_a_test_and_a_readme() {
    let mut names: Vec<String> = std::fs::read_dir(repository("examples"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["chat", "hello", "hono-router", "itty-router", "json-api", "streaming", "wasi", "wasm"]);
    for name in names {
        assert!(readme(&name).contains("atoll deploy"), "examples/{name}/README.md");
    }
}

#[test]
fn hello() {
    let up = Up::start();
    up.deploy(example("hello").path());
    up.get("hello", "/?name=Ada").expect(200, "Hello, Ada!\n");
    up.get("hello", "/").expect(200, "Hello, world!\n");
}

/// By the npm package `ws`, in the Node.js of the machine.
#[test]
fn chat() {
    let up = Up::start();
    up.deploy(example("chat").path());
    assert_eq!(up.get("chat", "/room").status, 426);
    let said = npm::run("chat.mjs", &[&format!("ws://{}", up.edge)]);
    let heard: serde_json::Value = serde_json::from_str(&said).unwrap();
    let expected = serde_json::json!([
        "Bob is here, 2 in the room",
        "Bob: hello Ada",
        "still there?",
        "Bob has left",
        [1008, "say it in at most 1000 characters"],
    ]);
    assert_eq!(heard, expected);
}

#[test]
fn streaming() {
    let up = Up::start();
    up.deploy(example("streaming").path());
    let mut connection = Connection::open(up.edge).unwrap();
    connection.send_head("GET", "streaming.localhost", "/countdown?from=3&pause=20", &[]).unwrap();
    let (head, mut framing) = connection.read_head().unwrap();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    let mut pieces = Vec::new();
    while let Some(piece) = connection.read_body(&mut framing).unwrap() {
        pieces.push(String::from_utf8(piece).unwrap());
    }
    assert_eq!(pieces.concat(), "data: 3\n\ndata: 2\n\ndata: 1\n\ndata: 0\n\n");
    assert!(pieces.len() > 1, "the events came all at once");
    let text = readme("streaming");
    up.post("streaming", "/upper", text.as_bytes()).expect(200, &text.to_uppercase());
    assert_eq!(up.get("streaming", "/upper").status, 400);
}

#[test]
fn wasi() {
    let up = Up::start();
    up.deploy(example("wasi").path());
    up.post("wasi", "/", b"hello").expect(200, "HELLO");
    up.post("wasi", "/?file=notes/hello.txt", b"").expect(200, "HELLO FROM A FILE\n");
    up.post("wasi", "/?file=missing", b"").expect(404, "cannot open missing\n");
}

#[test]
fn wasm() {
    let up = Up::start();
    up.deploy(example("wasm").path());
    up.get("wasm", "/?a=2&b=40").expect(200, r#"{"a":2,"b":40,"sum":42}"#);
    assert_eq!(up.get("wasm", "/?a=2").status, 400);
}

#[test]
fn json_api() {
    let up = Up::with(&["--allow-egress", "127.0.0.0/8"]);
    let origin = origin::start(|request| match request.path.as_str() {
        "/items" => (200, r#"[{"id":1,"name":"pen","price":2},{"id":2,"name":"ink","price":3}]"#.into()),
        "/items/1" => (200, r#"{"id":1,"name":"pen","price":2}"#.into()),
        "/items/3" => (500, "broken".into()),
        _ => (404, "no such item".into()),
    });
    let project = example("json-api");
    let settings = std::fs::read_to_string(project.path().join("wrangler.toml")).unwrap();
    assert!(settings.contains("http://127.0.0.1:9000"));
    project.write("wrangler.toml", settings.replace("http://127.0.0.1:9000", &format!("http://{origin}")));
    up.deploy(project.path());
    up.get("json-api", "/summary").expect(200, r#"{"count":2,"total":5}"#);
    up.get("json-api", "/items/1").expect(200, r#"{"id":1,"name":"pen","price":2,"label":"pen (2.00)"}"#);
    up.get("json-api", "/items/2").expect(404, r#"{"error":"the origin answered 404"}"#);
    up.get("json-api", "/items/3").expect(502, r#"{"error":"the origin answered 500"}"#);
    assert_eq!(up.get("json-api", "/").status, 404);
}

#[test]
fn hono_router() {
    let up = Up::start();
    up.deploy(example("hono-router").path());
    let page = up.get("hono-router", "/");
    assert_eq!(page.status, 200);
    assert!(
        page.text().contains("<h1>Books</h1>") && page.text().contains("The Voyage of the Beagle"),
        "{}",
        page.text()
    );
    let book = up.get("hono-router", "/api/books/2");
    assert!(book.header("etag").is_some());
    assert_eq!((book.status, &book.json()["id"]), (200, &2.into()));
    up.get("hono-router", "/api/books/9").expect(404, r#"{"error":"no book 9"}"#);
    let created = up.post("hono-router", "/api/books", br#"{"title":"On Ants"}"#);
    created.expect(201, r#"{"id":3,"title":"On Ants"}"#);
    assert_eq!(up.post("hono-router", "/api/books", b"{}").status, 400);
}

#[test]
fn itty_router() {
    let up = Up::start();
    up.deploy(example("itty-router").path());
    up.get("itty-router", "/todos/2").expect(200, r#"{"id":"2","text":"deploy it"}"#);
    assert_eq!(up.get("itty-router", "/todos/9").status, 404);
    assert_eq!(up.get("itty-router", "/todos").json().as_array().map(Vec::len), Some(2));
    assert_eq!(up.post("itty-router", "/todos", br#"{"text":"x"}"#).status, 201);
    assert_eq!(up.post("itty-router", "/todos", b"{}").status, 400);
}
