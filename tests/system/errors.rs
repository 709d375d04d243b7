//! What the owner of an app sees of its errors: codes, positions in the source they wrote, the log.

use std::io::{Read, Write};

use serde_json::{Value, json};

use crate::support::process::{Atoll, atoll};
use crate::support::{Project, Up, eventually};

/// Starts `atoll tail APP --json` and waits until lines arrive: `poke` is called until it has shown one.
fn tail(up: &Up, app: &str, mut poke: impl FnMut()) -> Atoll {
    let mut command = atoll();
    command.args(["tail", app, "--json", "--data-dir"]).arg(up.data());
    let mut tail = Atoll::spawn(&mut command);
    eventually("tail shows a first line", || {
        poke();
        tail.try_line()
    });
    tail
}

/// The next line of the log whose message contains `words`.
fn line_saying(tail: &mut Atoll, words: &str) -> Value {
    tail.line_with(|line| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        line["message"].as_str()?.contains(words).then_some(line)
    })
}

#[test]
fn exceptions_show_positions_in_the_typescript_source() {
    let up = Up::start();
    let project = Project::new("thrower")
        .file(
            "src/index.ts",
            "import { fail } from \"./deep/fail\";\n\
             interface Env { NAME: string }\n\
             export default {\n\
             \x20 async fetch(request: Request, env: Env): Promise<Response> {\n\
             \x20   const path: string = new URL(request.url).pathname;\n\
             \x20   console.log(\"asked for\", path, { nested: { value: 1 } });\n\
             \x20   if (path === \"/fail\") fail(path as unknown as number);\n\
             \x20   return new Response(\"fine\");\n\
             \x20 },\n\
             };\n",
        )
        .file(
            "src/deep/fail.ts",
            "type Reason = number;\n\n\nexport function fail(reason: Reason): never {\n  throw new TypeError(`no ${reason}`);\n}\n",
        );
    up.deploy(project.path());
    let mut tail = tail(&up, "thrower", || up.get("thrower", "/").expect(200, "fine"));
    up.get("thrower", "/fail").expect_error(500, "handler-exception");
    let logged = line_saying(&mut tail, "asked for /fail");
    assert_eq!(logged["level"], "log");
    assert_eq!(logged["app"], "thrower");
    assert!(logged["message"].as_str().unwrap().contains("nested: { value: 1 }"), "{logged}");
    let error = line_saying(&mut tail, "TypeError: no /fail");
    assert_eq!(error["level"], "error");
    assert_eq!(error["request_id"], logged["request_id"]);
    let message = error["message"].as_str().unwrap();
    for position in ["src/deep/fail.ts:5:", "src/index.ts:7:"] {
        assert!(message.contains(position), "no {position} in {message}");
    }
    assert!(!message.contains(project.path().to_str().unwrap()), "a path of this machine: {message}");
    assert!(!message.contains("ext:"), "the platform's own frames: {message}");
}

#[test]
fn what_nobody_handles_is_logged_with_its_stack_in_the_typescript_source() {
    let up = Up::start();
    let project = Project::new("careless").file(
        "src/index.ts",
        "interface Failure { code: number }\n\
         async function later(path: string): Promise<never> {\n\
         \x20 await null;\n\
         \x20 throw new RangeError(`rejected at ${path}`, { cause: new TypeError(\"the cause\") });\n\
         }\n\
         const soon = () => new Promise<void>((resolve) => setTimeout(resolve, 5));\n\
         let promise: Promise<void> | undefined;\n\
         addEventListener(\"rejectionhandled\", (event) => console.log(\"handled late\", event.promise === promise));\n\
         export default {\n\
         \x20 async fetch(request: Request, env: unknown, ctx: ExecutionContext): Promise<Response> {\n\
         \x20   const path: string = new URL(request.url).pathname;\n\
         \x20   console.log(\"asked for\", path);\n\
         \x20   if (path === \"/promise\") void later(path);\n\
         \x20   if (path === \"/value\") Promise.reject({ code: 7 } satisfies Failure);\n\
         \x20   if (path === \"/timer\") setTimeout(() => { throw new Error(\"thrown by a timer\"); }, 1);\n\
         \x20   if (path === \"/report\") reportError(new Error(\"reported\"));\n\
         \x20   if (path === \"/microtask\") queueMicrotask(() => { throw new Error(\"thrown by a microtask\"); });\n\
         \x20   if (path === \"/late\") {\n\
         \x20     promise = Promise.reject(new Error(\"handled later\"));\n\
         \x20     await soon();\n\
         \x20     promise.catch(() => {});\n\
         \x20   }\n\
         \x20   if (path === \"/prevented\") {\n\
         \x20     globalThis.onunhandledrejection = (event) => { event.preventDefault(); console.log(\"prevented\", event.reason.message); };\n\
         \x20     globalThis.onerror = (message) => { console.log(\"onerror\", message); return true; };\n\
         \x20     void later(path);\n\
         \x20     reportError(new Error(\"not logged\"));\n\
         \x20   }\n\
         \x20   ctx.waitUntil(soon());\n\
         \x20   return new Response(\"fine\");\n\
         \x20 },\n\
         };\n",
    );
    up.deploy(project.path());
    let mut tail = tail(&up, "careless", || up.get("careless", "/").expect(200, "fine"));
    let mut logged = |path: &str, words: &str| {
        up.get("careless", path).expect(200, "fine");
        let asked = line_saying(&mut tail, &format!("asked for {path}"));
        let line = line_saying(&mut tail, words);
        assert_eq!(line["request_id"], asked["request_id"], "{line}");
        (line["level"].as_str().unwrap().to_owned(), line["message"].as_str().unwrap().to_owned())
    };
    for (path, words, position) in [
        ("/promise", "Uncaught (in promise) RangeError: rejected at /promise", "src/index.ts:4:"),
        ("/timer", "Uncaught Error: thrown by a timer", "src/index.ts:15:"),
        ("/report", "Uncaught Error: reported", "src/index.ts:16:"),
        ("/microtask", "Uncaught Error: thrown by a microtask", "src/index.ts:17:"),
    ] {
        let (level, message) = logged(path, words);
        assert_eq!(level, "error");
        assert!(message.contains(position), "no {position} in {message}");
        assert!(path != "/promise" || message.contains("TypeError: the cause"), "{message}");
    }
    assert!(logged("/value", "Uncaught (in promise)").1.contains("{ code: 7 }"));
    assert_eq!(logged("/prevented", "onerror").1, "onerror Error: not logged");
    assert_eq!(line_saying(&mut tail, "rejected at /prevented")["message"], "prevented rejected at /prevented");
    // Which code has handled it in the end is not known.
    up.get("careless", "/late").expect(200, "fine");
    assert_eq!(line_saying(&mut tail, "handled late true")["level"], "log");
}

#[test]
fn an_exception_tells_a_stranger_nothing_of_the_code() {
    let up = Up::start();
    up.deploy_source("leaky", "export default { fetch() { throw new Error('inner secret'); } };");
    let response = up.get("leaky", "/");
    response.expect_error(500, "handler-exception");
    assert!(!response.text().contains("index.js"), "{}", response.text());
}

#[test]
fn passing_through_answers_from_the_origin() {
    let up = Up::with(&["--allow-egress", "127.0.0.0/8"]);
    let origin = crate::support::origin::start(|request| (200, format!("origin {} {}", request.method, request.path)));
    up.deploy_with(
        "fails-open",
        "export default { fetch(r, env, ctx) { ctx.passThroughOnException(); throw new Error('broken'); } };",
        json!({ "origin": format!("http://{origin}") }),
    );
    up.get("fails-open", "/path?query").expect(200, "origin GET /path?query");
    up.deploy_source(
        "fails",
        "export default { fetch(r, env, ctx) { ctx.passThroughOnException(); throw new Error('broken'); } };",
    );
    up.get("fails", "/").expect_error(500, "handler-exception");
}

#[test]
fn what_no_listener_answers_goes_to_the_origin() {
    let up = Up::with(&["--allow-egress", "127.0.0.0/8"]);
    let origin = crate::support::origin::start(|request| {
        (200, format!("origin {} {} {}", request.method, request.path, String::from_utf8_lossy(&request.body)))
    });
    let code = "addEventListener('fetch', (event) => {
            if (event.request.url.endsWith('/own')) event.respondWith(new Response('own'));
            if (event.request.url.endsWith('/throws')) {
              event.passThroughOnException();
              event.respondWith(Promise.reject(new Error('broken')));
            }
            if (event.request.url.endsWith('/reads')) {
              event.passThroughOnException();
              event.respondWith(event.request.text().then(() => { throw new Error('read'); }));
            }
        });";
    up.deploy_with("leaves-some", code, json!({ "origin": format!("http://{origin}") }));
    up.get("leaves-some", "/own").expect(200, "own");
    up.get("leaves-some", "/path?query").expect(200, "origin GET /path?query ");
    up.post("leaves-some", "/", b"body").expect(200, "origin POST / body");
    up.post("leaves-some", "/throws", b"body").expect(200, "origin POST /throws body");
    let large = vec![b'x'; 1 << 20];
    let echoed = up.post("leaves-some", "/large", &large).text();
    assert_eq!(echoed.len(), "origin POST /large ".len() + large.len());
    // What was read is not there any more, unless it was short, whether it came with the head or later.
    up.post("leaves-some", "/reads", b"body").expect(200, "origin POST /reads body");
    let head = "POST /reads HTTP/1.1\r\nHost: leaves-some.localhost\r\nContent-Length: 4\r\n";
    let together = format!("{head}\r\nbody");
    crate::support::http::raw(up.edge, together.as_bytes()).unwrap().expect(200, "origin POST /reads body");
    let mut apart = crate::support::http::Connection::open(up.edge).unwrap();
    apart.stream().write_all(format!("{head}Expect: 100-continue\r\n\r\n").as_bytes()).unwrap();
    let mut interim = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    apart.stream().read_exact(&mut interim).unwrap();
    apart.stream().write_all(b"body").unwrap();
    apart.read_response(false).unwrap().expect(200, "origin POST /reads body");
    up.post("leaves-some", "/reads", &large).expect_error(500, "handler-exception");
    up.deploy_source("leaves-all", code);
    up.get("leaves-all", "/own").expect(200, "own");
    up.get("leaves-all", "/").expect_error(500, "handler-unanswered");
}

#[test]
fn work_after_the_response_is_done_and_logged() {
    let up = Up::start();
    up.deploy_source(
        "background",
        r#"let done = 0;
           export default { fetch(request, env, ctx) {
             ctx.waitUntil((async () => {
               await new Promise((resolve) => setTimeout(resolve, 30));
               done += 1;
               console.warn("done in the background");
             })());
             return new Response(String(done));
           } };"#,
    );
    let mut tail = tail(&up, "background", || assert_eq!(up.get("background", "/").status, 200));
    let line = line_saying(&mut tail, "done in the background");
    assert_eq!(line["level"], "warn");
    eventually("the work was done", || (up.get("background", "/").text() != "0").then_some(()));
}
