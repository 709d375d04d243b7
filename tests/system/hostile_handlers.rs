//! Hostile handlers by the hundred, from `tests/hostile`: whatever they do, each call is answered, an app beside them does not
//! notice, and afterwards the node is as it was.
//!
//! A file holds the bodies of `fetch` handlers, each after a line `### NAME` with the limits that are not the usual ones
//! (`cpu_ms=500`). What a handler ends with is the engine's affair and changes with it; that it ends, and how a client is told, is not.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::http::try_request;
use crate::support::project::repository;
use crate::support::{Up, eventually};

/// How often each handler is called, one call after the other.
const CALLS: usize = 2;

/// How many handlers are called at once.
const CALLERS: usize = 3;

/// How long a call may take on a machine that is busy with other tests: several times its wall-clock limit.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an app's own fault may be answered with.
const ENDS: &[(u16, &str)] = &[
    (500, "handler-exception"),
    (500, "handler-hung"),
    (500, "handler-invalid-response"),
    (503, "code-stuck"),
    (503, "cpu-limit"),
    (503, "engine-abort"),
    (503, "isolate-stopped"),
    (503, "memory-limit"),
    (504, "wall-clock-limit"),
];

struct Case {
    name: String,
    limits: Value,
    body: String,
}

fn cases(file: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(repository("tests/hostile").join(file)).unwrap();
    let case = |section: &str| {
        let (head, body) = section.split_once('\n').unwrap_or((section, ""));
        let mut words = head.split_whitespace();
        let name = words.next().unwrap_or_else(|| panic!("{file}: a handler without a name")).to_owned();
        let mut limits = json!({ "cpu_ms": 50, "memory_mb": 64, "wall_ms": 4000 });
        for word in words {
            let (limit, value) = word.split_once('=').unwrap_or_else(|| panic!("{file}: {name}: {word}"));
            limits[limit] = value.parse::<u64>().unwrap().into();
        }
        Case { name, limits, body: body.to_owned() }
    };
    text.split("### ").skip(1).map(case).collect()
}

/// Calls all handlers of a file. When all is over, the process may have grown by so many MiB.
fn run(file: &str, growth: u64) {
    let cases = cases(file);
    let mut up = Up::start();
    up.deploy_source("calm", r#"export default { fetch: () => new Response("calm") };"#);
    let mut api = up.api();
    let mut revision = 0;
    for Case { name, limits, body } in &cases {
        let source = format!(
            "export default {{ async fetch(request, env, ctx) {{\n{body}\nreturn new Response(\"done\"); }} }};"
        );
        revision = api.deploy(&format!("hostile-{name}"), &source, json!({ "limits": limits }));
    }
    api.settle(revision);
    up.get("calm", "/").expect(200, "calm");
    let before = up.process.resident_mib();

    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let calm = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                up.get("calm", "/").expect(200, "calm");
            }
        });
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| {
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Err(problem) = call(&up, case) {
                            wrong.lock().unwrap().push(format!("{}: {problem}", case.name));
                        }
                    }
                })
            })
            .collect();
        let called = callers.into_iter().map(std::thread::ScopedJoinHandle::join).all(|joined| joined.is_ok());
        over.store(true, Ordering::Relaxed);
        assert!(calm.join().is_ok() && called, "{:?}", wrong.lock().unwrap());
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(up.process.alive(), "the process ended");

    let mut since = (Instant::now(), up.process.cpu_time());
    eventually("nothing uses the processors", || {
        let passed = since.0.elapsed();
        if passed < Duration::from_secs(1) {
            return None;
        }
        let used = up.process.cpu_time() - since.1;
        since = (Instant::now(), up.process.cpu_time());
        (used < passed / 3).then_some(())
    });
    eventually("memory returns", || {
        up.get("calm", "/").expect(200, "calm");
        (up.process.resident_mib() < before + growth).then_some(())
    });
}

/// Calls a handler, some times.
fn call(up: &Up, case: &Case) -> Result<(), String> {
    for _ in 0..CALLS {
        let begun = Instant::now();
        let answer = try_request(up.edge, "GET", &format!("hostile-{}.localhost", case.name), "/", &[], b"");
        let answer = answer.map_err(|error| format!("no answer: {error}"))?;
        let seen = (answer.status, answer.error());
        let is_own = (200..300).contains(&answer.status) && seen.1.is_empty();
        if !is_own && !ENDS.contains(&seen) {
            return Err(format!("answered with {seen:?}: {}", answer.text().chars().take(300).collect::<String>()));
        }
        if answer.status == 503 && answer.header("retry-after").is_none() {
            return Err("it is not said when to try again".into());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("answered after {:?}", begun.elapsed()));
        }
    }
    Ok(())
}

#[test]
fn what_takes_time() {
    run("cpu.txt", 1500);
}

#[test]
fn what_takes_memory() {
    run("memory.txt", 1000);
}

#[test]
fn what_is_given_huge_lengths() {
    run("lengths.txt", 2000);
}
