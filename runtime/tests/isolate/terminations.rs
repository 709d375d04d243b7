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
