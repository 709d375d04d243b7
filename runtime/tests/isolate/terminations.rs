//! Code that is terminated stays terminated: nothing that it has left behind is run, whoever has caught the termination.

use super::*;

/// Runs a hostile body, whose isolate must be gone afterwards, with its thread.
async fn ends(body: &str, cpu_ms: u64) {
    let code = format!("export default {{ async fetch() {{ {body} }} }}");
    let mut bundle = Arc::unwrap_or_clone(bundle(&[("index.js", ModuleKind::EsModule, code.as_bytes())]));
    bundle.compatibility_flags = vec!["nodejs_compat".to_owned()];
    let (isolate, _) = start_with(Arc::new(bundle), Limits { cpu: Duration::from_millis(cpu_ms), ..patient() });
    isolate.started().await.unwrap();
    let answer = isolate.fetch(get("/")).await;
    assert!(
        matches!(answer, Err(HandlerError::CpuLimit { .. })),
        "{body}: {:?}",
        answer.map(|response| response.status)
    );
    isolate.ended().await;
}

#[tokio::test]
async fn jobs_that_terminated_code_has_left_are_not_run() {
    ends("queueMicrotask(() => { for (;;); }); for (;;);", 50).await;
    ends("for (let i = 0; i < 1000; i++) Promise.resolve().then(() => { for (;;); }); for (;;);", 50).await;
    ends("for (let i = 0; i < 1000; i++) setTimeout(() => { for (;;); }); await scheduler.wait(60_000);", 50).await;
    ends(
        "for (let i = 0; i < 1000; i++) scheduler.wait(1).then(() => { for (;;); }); await scheduler.wait(60_000);",
        50,
    )
    .await;
    let sockets = "const { 0: a, 1: b } = new WebSocketPair(); a.accept(); b.accept();
        a.addEventListener('message', () => { for (;;); }); for (let i = 0; i < 100; i++) b.send('x');
        await scheduler.wait(60_000);";
    ends(sockets, 50).await;
}

#[tokio::test]
async fn code_cannot_catch_its_termination_by_way_of_a_module_of_the_platform() {
    let body = "Object.defineProperty(Object.prototype, 'writable', { configurable: true, get() { for (;;); } });
        try { await import('node:crypto'); } catch { for (;;); }
        for (;;);";
    // Enough to come to where the module asks for the property.
    ends(body, 300).await;
}

/// Some builtins of V8 run to their end whatever happens: here for some seconds.
#[tokio::test]
async fn an_app_waits_for_code_of_its_that_cannot_be_interrupted() {
    let limits = Limits { cpu: Duration::from_millis(50), ..patient() };
    let start = |app: &str, body: &str| {
        let code = format!("export default {{ async fetch() {{ {body} }} }}");
        let bundle = bundle(&[("index.js", ModuleKind::EsModule, code.as_bytes())]);
        let (_, hash) = bundle.pack();
        let (env, host) = (Vec::new().into(), Arc::new(Recorder::default()));
        pool().start(Worker { app: app.into(), version: 1, bundle, hash, env, limits: limits.clone(), host })
    };
    let answer = "return new Response('here');";
    let stuck = "Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1, 2 ** 53 - 3e6);";
    let other = start("other", answer);
    other.started().await.unwrap();
    let (one, two) = (start("endless", stuck), start("endless", stuck));
    let (first, second) = tokio::join!(one.started(), two.started());
    first.and(second).unwrap();
    // Nobody waits for them.
    let (first, second) = tokio::join!(one.fetch(get("/")), two.fetch(get("/")));
    for ended in [first, second] {
        let ended = ended.map(|response| response.status);
        assert!(matches!(ended, Err(HandlerError::CpuLimit { .. })), "{ended:?}");
    }
    let next = start("endless", answer);
    tokio::select! {
        biased;
        started = next.started() => panic!("it did not wait: {started:?}"),
        answer = other.fetch(get("/")) => assert_eq!(answer.unwrap().status, 200),
    }
    // As soon as one of them is through, there is room.
    assert_eq!(next.fetch(get("/")).await.unwrap().status, 200);
    tokio::join!(one.ended(), two.ended());
}

#[tokio::test]
async fn an_app_that_makes_the_engine_abort_is_not_started_again_and_again() {
    let code = "export default { fetch() { Array.prototype.sort.call({ length: 2 ** 32 - 2 }); } }";
    let bundle = bundle(&[("index.js", ModuleKind::EsModule, code.as_bytes())]);
    let (_, hash) = bundle.pack();
    let start = || {
        let (env, host) = (Vec::new().into(), Arc::new(Recorder::default()));
        let (bundle, limits) = (bundle.clone(), patient());
        pool().start(Worker { app: "aborting".into(), version: 1, bundle, hash, env, limits, host })
    };
    for _ in 0..2 {
        let isolate = start();
        isolate.started().await.unwrap();
        let ended = isolate.fetch(get("/")).await.map(|response| response.status);
        assert!(matches!(ended, Err(HandlerError::EngineAbort)), "{ended:?}");
    }
    for _ in 0..20 {
        let ended = start().fetch(get("/")).await.map(|response| response.status);
        assert!(matches!(ended, Err(HandlerError::EngineAbort)), "{ended:?}");
    }
}
