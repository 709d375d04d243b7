//! Packages that ask for what others do not: got, which looks into `node:http`; packages that are named like modules of
//! Node.js; CommonJS that is imported when it is needed; Hono, which finds out where it runs.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use crate::support::apps::{App, Bundler, project, set_variable};
use crate::support::{Up, origin};

#[test]
fn packages_that_look_closer_run_unmodified() {
    let up = Up::with(&["--allow-egress", "127.0.0.0/8"]);
    let tries = Arc::new(AtomicU32::new(0));
    let origin = origin::start_raw(move |request, stream| {
        let (status, text) = match request.path.as_str() {
            "/echo?q=x+y" => {
                let header = |wanted: &str| {
                    request.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
                };
                let (one, kind) = (header("x-one"), header("content-type"));
                let body = String::from_utf8_lossy(&request.body).into_owned();
                (200, json!({ "method": request.method, "one": one, "type": kind, "body": body }).to_string())
            }
            "/text" => (200, "some text".to_owned()),
            "/flaky" if tries.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => (503, "later".to_owned()),
            "/flaky" => (200, "now".to_owned()),
            // Nobody waits for the answer: the connection ends first.
            "/late" => return stream.read(&mut [0]).map(drop),
            path => (404, path.to_owned()),
        };
        let length = text.len();
        let head = format!("HTTP/1.1 {status} Origin\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        stream.write_all(format!("{head}{text}").as_bytes())
    });
    for bundler in Bundler::BOTH {
        let project = project("packages", bundler);
        set_variable(&project, "ORIGIN", &format!("http://{origin}"));
        up.deploy(project.path());
        let app = App::named(&up, "packages");
        let client = json!({
            "echoed": { "method": "POST", "one": "1", "type": "application/json", "body": "{\"a\":1}" },
            "seen": ["POST", 200], "missing": ["HTTPError", "ERR_NON_2XX_3XX_RESPONSE", 404], "text": "some text",
            "flaky": [1, "now"], "late": ["TimeoutError", "ETIMEDOUT"], "ended": "AbortError",
        });
        assert_eq!(app.get("/client").json(), client);
        app.get("/variables").expect(200, r#"["workerd",true,true]"#);
        app.get("/named").expect(200, r#"["AB","xn--bcher-kva.example","browser"]"#);
        app.get("/late").expect(200, "[1,true,false]");
        app.get("/form").expect(200, r#"["ada","a.txt","content"]"#);
        app.get("/mixed").expect(200, r#"[true,"no sockets"]"#);
        app.get("/log").expect(200, "logged");
    }
}
