//! The clients of services that workers talk to, as their makers publish them, against one origin that stands for all.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::apps::{App, Bundler, has_header, project, set_variable};
use crate::support::origin::{Received, start_raw};
use crate::support::{Up, eventually};

/// What the origin has been told of failures.
type Reports = Arc<Mutex<String>>;

fn answer(received: &Received, stream: &mut TcpStream, reports: &Reports) -> std::io::Result<()> {
    let (path, query) = received.path.split_once('?').unwrap_or((&received.path, ""));
    let body = String::from_utf8_lossy(&received.body);
    let (status, kind, text) = match (received.method.as_str(), path) {
        ("POST", "/v1/customers") => (200, "application/json", json!({ "id": "cus_1", "sent": body }).to_string()),
        ("GET", "/v1/customers") => {
            let second = query.contains("starting_after=cus_2");
            let data = if second { json!([{ "id": "cus_3" }]) } else { json!([{ "id": "cus_1" }, { "id": "cus_2" }]) };
            let page = json!({ "object": "list", "url": "/v1/customers", "has_more": !second, "data": data });
            (200, "application/json", page.to_string())
        }
        (_, "/v1/customers/cus_missing") => {
            let error = json!({ "error": { "type": "invalid_request_error", "message": "No such customer" } });
            (404, "application/json", error.to_string())
        }
        ("POST", "/sql") => {
            let arrays = received.headers.iter().any(|(name, value)| name == "neon-array-mode" && value == "true");
            let row = if arrays { json!(["1", "ada"]) } else { json!({ "id": "1", "name": "ada" }) };
            let fields = json!([{ "name": "id", "dataTypeID": 23 }, { "name": "name", "dataTypeID": 25 }]);
            let result = json!({ "command": "SELECT", "rowCount": 1, "fields": fields, "rows": [row] });
            (200, "application/json", result.to_string())
        }
        ("POST", "/v1/chat/completions") => {
            let chunk = |delta: Value, reason: Option<&str>| {
                let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
                format!("data: {}\n\n", json!({ "id": "c", "created": 1, "model": "small", "choices": [choice] }))
            };
            let words = ["Hello", ", wörld"].map(|word| chunk(json!({ "role": "assistant", "content": word }), None));
            (200, "text/event-stream", words.concat() + &chunk(json!({}), Some("stop")) + "data: [DONE]\n\n")
        }
        ("POST", "/api/42/envelope/") => {
            reports.lock().unwrap().push_str(&body);
            (200, "application/json", "{}".to_owned())
        }
        _ => (404, "text/plain", format!("nothing at {path}")),
    };
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status} Origin\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}{text}").as_bytes())
}

#[test]
fn services() {
    let up = Up::with(&["--allow-egress", "127.0.0.0/8"]);
    let reports = Reports::default();
    let told = reports.clone();
    let origin = start_raw(move |received, stream| answer(received, stream, &told));
    for bundler in Bundler::BOTH {
        let project = project("services", bundler);
        set_variable(&project, "ORIGIN", &format!("http://{origin}"));
        up.deploy(project.path());
        let app = App::named(&up, "services");

        let paid = app.get("/customers").json();
        let made = json!({ "id": "cus_1", "sent": "email=a%40b.example&metadata[plan]=large" });
        let listed = json!(["cus_1", "cus_2", "cus_3"]);
        assert_eq!(paid, json!({ "made": made, "missing": "StripeInvalidRequestError 404", "listed": listed }));
        let event = r#"{"id":"evt_1","object":"event","type":"customer.created"}"#;
        let forged = json!({ "type": "customer.created", "forged": "StripeSignatureVerificationError" });
        assert_eq!(app.post_json("/webhook", event).json(), forged);
        let row = json!([{ "id": 1, "name": "ada" }]);
        assert_eq!(app.get("/users").json(), json!({ "rows": row, "built": row }));

        app.get("/text").expect(200, "Hello, wörld");
        let messages = app.get("/messages");
        has_header(&messages, "content-type", "text/event-stream");
        assert!(messages.text().contains(r#""delta":", wörld""#), "{messages:?}");

        app.get("/").expect(200, "hello");
        assert_eq!(app.get("/items/1?a=b").json(), json!({ "id": 1, "query": { "a": "b" } }));
        assert_eq!(app.get("/items/one").status, 422);
        let posted = app.post_json("/items", r#"{"name":"ada"}"#);
        posted.expect(200, r#"{"name":"ada"}"#);
        has_header(&posted, "set-cookie", "last=ada; Path=/");
        assert_eq!(app.post_json("/items", r#"{"name":1}"#).status, 422);
        // Its chunks are strings.
        app.get("/words").expect(200, "one two");

        reports.lock().unwrap().clear();
        assert_eq!(app.get("/fails").status, 500);
        eventually("the failure is told", || {
            let told = reports.lock().unwrap();
            (told.contains(r#""value":"told to the service""#) && told.contains("index.ts")).then_some(())
        });
    }
}
