//! Scripts that take what they can: each request ends with its error within its limit, other apps are answered
//! meanwhile, memory returns, the process lives.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::http::try_request;
use crate::support::{Response, Up, eventually};

const CALM: &str = r#"export default { fetch: () => new Response("calm") };"#;

/// A hostile script and how its request has to end.
struct Case {
    name: &'static str,
    /// Body of the `fetch` handler.
    handler: &'static str,
    limits: Value,
    /// The answers that are right: status and code.
    ends: &'static [(u16, &'static str)],
}

/// Calls each script while another app is called all the time.
fn run(cases: &[Case]) {
    let mut up = Up::start();
    up.deploy_source("calm", CALM);
    up.get("calm", "/").expect(200, "calm");
    for case in cases {
        let source = format!("export default {{ async fetch(request) {{ {} }} }};", case.handler);
        up.deploy_with(case.name, &source, json!({ "limits": case.limits }));
    }
    let before = up.process.resident_mib();
    for case in cases {
        let response = beside_calm(&up, case.name);
        let seen = (response.status, response.error());
        assert!(
            case.ends.contains(&seen),
            "{}: {seen:?}, expected one of {:?}: {}",
            case.name,
            case.ends,
            response.text()
        );
        assert!(up.process.alive(), "{}: the process ended", case.name);
    }
    eventually("memory returns", || {
        up.get("calm", "/").expect(200, "calm");
        let now = up.process.resident_mib();
        (now < before + 200).then_some(())
    });
}

/// The hostile app's answer; the calm app answers all the while.
fn beside_calm(up: &Up, app: &str) -> Response {
    beside_calm_at(up, app, "/")
}

fn beside_calm_at(up: &Up, app: &str, path: &str) -> Response {
    let over = AtomicBool::new(false);
    let host = format!("{app}.localhost");
    std::thread::scope(|scope| {
        let calm = scope.spawn(|| {
            let mut answers = 0;
            while !over.load(Ordering::Relaxed) || answers == 0 {
                up.get("calm", "/").expect(200, "calm");
                answers += 1;
            }
        });
        let answer = try_request(up.edge, "GET", &host, path, &[], b"");
        over.store(true, Ordering::Relaxed);
        calm.join().unwrap_or_else(|_| panic!("the calm app was not answered beside {app}"));
        answer.unwrap_or_else(|error| panic!("{app}: {error}"))
    })
}

#[test]
fn cpu_hogs_end_at_their_cpu_limit() {
    let cpu: &[_] = &[(503, "cpu-limit")];
    let limits = || json!({ "cpu_ms": 50 });
    run(&[
        Case { name: "endless-loop", handler: "for (;;) {}", limits: limits(), ends: cpu },
        Case {
            name: "endless-microtasks",
            handler: "const next = () => Promise.resolve().then(next); await next();",
            limits: limits(),
            ends: cpu,
        },
        Case { name: "endless-await", handler: "while (true) await null;", limits: limits(), ends: cpu },
        Case {
            name: "catastrophic-regex",
            handler: r#"return new Response(String(/^(a+)+$/.test("a".repeat(60) + "b")));"#,
            limits: limits(),
            ends: cpu,
        },
        Case {
            name: "try-catch-finally",
            handler: "for (;;) { try { for (;;) {} } catch {} finally { for (;;) {} } }",
            limits: limits(),
            ends: cpu,
        },
        Case {
            name: "after-a-wait",
            handler: "await new Promise((resolve) => setTimeout(resolve, 20)); for (;;) {}",
            limits: limits(),
            ends: cpu,
        },
        Case {
            name: "sorting",
            handler: "new Array(1e6).fill(0).map(Math.random).sort((a, b) => { for (;;) {} });",
            limits: limits(),
            ends: cpu,
        },
    ]);
}

#[test]
fn memory_hogs_end_at_their_memory_limit() {
    let memory: &[_] = &[(503, "memory-limit")];
    // A single allocation that is refused is an exception that the handler may catch; these do not.
    let refused: &[_] = &[(503, "memory-limit"), (500, "handler-exception")];
    let limits = || json!({ "cpu_ms": 30_000, "memory_mb": 64 });
    run(&[
        Case {
            name: "growing-array",
            handler: "const a = []; while (true) a.push(new Array(1000).fill(1.5));",
            limits: limits(),
            ends: memory,
        },
        Case {
            name: "pushing-numbers",
            handler: "const a = []; while (true) a.push(a.length + 0.5);",
            limits: limits(),
            ends: refused,
        },
        Case {
            name: "growing-strings",
            handler: r#"const a = []; while (true) a.push(("x" + a.length).repeat(5000).split("").join("-"));"#,
            limits: limits(),
            ends: memory,
        },
        Case {
            name: "closures",
            handler: "let f = () => 0; while (true) { const g = f; f = () => g; }",
            limits: limits(),
            ends: memory,
        },
        Case {
            name: "array-buffers",
            handler: "const a = []; while (true) a.push(new Uint8Array(1 << 20).fill(1));",
            limits: limits(),
            ends: refused,
        },
        Case {
            name: "huge-array-buffer",
            handler: "return new Response(String(new Uint8Array(2 ** 32).fill(1).length));",
            limits: limits(),
            ends: refused,
        },
        Case {
            name: "wasm-memory",
            handler: "const m = new WebAssembly.Memory({ initial: 4096 }); new Uint8Array(m.buffer).fill(1); \
                      await new Promise((resolve) => setTimeout(resolve, 25_000)); return new Response('kept');",
            limits: limits(),
            ends: refused,
        },
        Case {
            name: "json-text",
            handler: r#"let s = "[1]"; while (true) { s = JSON.stringify([s, s, s, s]); JSON.parse(s); }"#,
            limits: limits(),
            ends: refused,
        },
        Case {
            name: "eager-stream",
            handler: "return new Response(new ReadableStream({ start(c) { while (true) c.enqueue(new Uint8Array(1e6)); } }));",
            limits: limits(),
            ends: refused,
        },
    ]);
}

/// What an isolate may not hold is not written as JSON either: the text is refused, or the isolate ends, where an array buffer of
/// its size would, whichever way V8 writes it.
#[test]
fn json_of_one_text_many_times_over_is_bounded() {
    let mut up = Up::start();
    up.deploy_source("calm", CALM);
    let code = r#"
        const text = "x".repeat(1 << 20), escaped = "\u0001".repeat(1 << 18);
        let nested = text;
        for (let i = 0; i < 8; i++) nested = new Array(8).fill(nested);
        const much = {
          texts: () => JSON.stringify(new Array(250).fill(text)),
          more: () => JSON.stringify(new Array(100_000).fill(text)),
          indented: () => JSON.stringify(new Array(100_000).fill(text), null, 2),
          replaced: () => JSON.stringify(new Array(100_000).fill(text), (_, value) => value),
          wide: () => JSON.stringify(new Array(100_000).fill("→" + text)),
          widened: () => JSON.stringify(["→", ...new Array(100_000).fill(text)], null),
          escaped: () => JSON.stringify(new Array(100_000).fill(escaped)),
          nested: () => JSON.stringify(nested),
          keys: () => JSON.stringify(new Array(100_000).fill({ [text]: 1 })),
          sparse: () => JSON.stringify(Object.assign([], { length: 2 ** 27 })),
          deep: () => { let value = []; for (let i = 0; i < 1e6; i++) value = [value]; JSON.stringify(value); },
        };
        export default { fetch: (request) => new Response(much[new URL(request.url).pathname.slice(1)]()) };"#;
    let limits = json!({ "limits": { "cpu_ms": 30_000, "memory_mb": 64 } });
    let ways =
        ["texts", "more", "indented", "replaced", "wide", "widened", "escaped", "nested", "keys", "sparse", "deep"];
    up.deploy_with("json", code, limits);
    up.get("calm", "/").expect(200, "calm");
    let before = up.process.resident_mib();
    for way in ways {
        let response = beside_calm_at(&up, "json", &format!("/{way}"));
        // An exception, the end of the isolate, or on a machine that is busy the end of its time.
        let seen = response.error();
        assert!(matches!(seen, "handler-exception" | "memory-limit" | "wall-clock-limit"), "{way}: {response:?}");
        assert!(up.process.alive(), "{way}");
        let most = up.process.most_resident_mib();
        assert!(most < before + 300, "{way}: {before} MiB, then {most}");
    }
    eventually("memory returns", || (up.process.resident_mib() < before + 200).then_some(()));
}

#[test]
fn a_string_split_into_characters_does_not_take_the_node_down() {
    run(&[Case {
        name: "split",
        handler: "return new Response(String('a'.repeat(2 ** 28).split('').length));",
        limits: json!({ "cpu_ms": 30_000 }),
        ends: &[(503, "memory-limit"), (500, "handler-exception")],
    }]);
}

#[test]
fn requests_that_go_nowhere_end() {
    run(&[
        Case {
            name: "never-settles",
            handler: "await new Promise(() => {});",
            limits: json!({}),
            ends: &[(500, "handler-hung")],
        },
        Case {
            name: "too-late",
            handler: "await new Promise((resolve) => setTimeout(resolve, 60_000)); return new Response('late');",
            limits: json!({ "wall_ms": 500 }),
            ends: &[(504, "wall-clock-limit")],
        },
        Case {
            name: "deep-recursion",
            handler: "const f = () => f() + 1; return new Response(f());",
            limits: json!({}),
            ends: &[(500, "handler-exception")],
        },
        Case {
            name: "not-a-response",
            handler: "return 'text';",
            limits: json!({}),
            ends: &[(500, "handler-invalid-response")],
        },
    ]);
}

#[test]
fn an_infinite_stream_ends_when_its_cpu_time_is_used() {
    let mut up = Up::start();
    up.deploy_source("calm", CALM);
    up.deploy_with(
        "endless-stream",
        r#"export default { fetch() {
             return new Response(new ReadableStream({ pull(controller) { controller.enqueue(new Uint8Array(1 << 14)); } }));
           } };"#,
        json!({ "limits": { "cpu_ms": 1000 } }),
    );
    let response = beside_calm(&up, "endless-stream");
    // The head was sent before the limit was reached: the body is cut off, not ended.
    assert_eq!(response.status, 200);
    assert!(!response.complete, "{} bytes and an orderly end", response.body.len());
    assert!(up.process.alive());
}

#[test]
fn code_that_never_finishes_loading_is_stopped() {
    let up = Up::start();
    up.deploy_source("calm", CALM);
    let limits = json!({ "limits": { "startup_cpu_ms": 400 } });
    up.deploy_with("endless-start", "for (;;) {} export default { fetch: () => new Response('never') };", limits);
    for _ in 0..3 {
        beside_calm(&up, "endless-start").expect_error(503, "startup-cpu-limit");
    }
}

#[test]
fn after_a_kill_the_next_request_gets_a_fresh_isolate() {
    let up = Up::start();
    up.deploy_with(
        "sometimes",
        r#"let calls = 0;
           export default { fetch(request) {
             calls += 1;
             if (request.url.endsWith("/hang")) for (;;) {}
             return new Response(String(calls));
           } };"#,
        json!({ "limits": { "cpu_ms": 1000 } }),
    );
    up.get("sometimes", "/").expect(200, "1");
    up.get("sometimes", "/hang").expect_error(503, "cpu-limit");
    up.get("sometimes", "/").expect(200, "1");
}
