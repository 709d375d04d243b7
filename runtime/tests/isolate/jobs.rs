//! Jobs of `crypto.subtle` are work of the request that begins them.

use std::time::Duration;

use atoll_runtime::{HandlerError, Isolate, Limits};

use super::{Recorder, ask, bundle, get, patient, start_with};
use atoll_bundle::ModuleKind;

/// Derives a key from a password, as slowly as it may be.
const SLOW: &str =
    "const key = await crypto.subtle.importKey('raw', new Uint8Array(8), 'PBKDF2', false, ['deriveBits']);
    const derive = (iterations) => crypto.subtle.deriveBits(
      { name: 'PBKDF2', hash: 'SHA-256', salt: new Uint8Array(8), iterations }, key, 256);
    export default { async fetch(request) {
      const path = new URL(request.url).pathname;
      if (path === '/detached') { for (let i = 0; i < 20; i++) derive(1_000_000); return new Response('begun'); }
      await derive(path === '/quick' ? 10 : 1_000_000);
      if (path === '/long') for (let i = 0; i < 20; i++) await derive(1_000_000);
      return new Response('derived');
    } };";

fn slow(cpu: Duration) -> (Isolate, std::sync::Arc<Recorder>) {
    let limits = Limits { cpu, wall: Duration::from_secs(300), ..patient() };
    start_with(bundle(&[("index.js", ModuleKind::EsModule, SLOW.as_bytes())]), limits)
}

#[tokio::test]
async fn a_job_that_takes_more_than_a_request_may_ends_the_isolate() {
    let (isolate, host) = slow(Duration::from_millis(50));
    let error = isolate.fetch(get("/long")).await.unwrap_err();
    assert!(matches!(error, HandlerError::CpuLimit { limit_ms: 50, .. }), "{error}");
    isolate.ended().await;
    assert!(host.text().contains("CPU"), "{}", host.text());
}

#[tokio::test]
async fn jobs_within_the_limit_are_done() {
    let (isolate, _) = slow(Duration::from_secs(200));
    assert_eq!(ask(&isolate, "/").await, "derived");
    for _ in 0..3 {
        assert_eq!(ask(&isolate, "/quick").await, "derived");
    }
}

#[tokio::test]
async fn jobs_that_nobody_waits_for_count_as_well() {
    let (isolate, _) = slow(Duration::from_millis(1_000));
    assert_eq!(ask(&isolate, "/detached").await, "begun");
    // Twenty jobs of more than 100 ms each are more than it has; the rest of them goes with the isolate.
    isolate.ended().await;
}

#[tokio::test]
async fn jobs_at_the_top_level_count_to_the_start() {
    let code = SLOW.replace("export default", "await derive(1_000_000); export default");
    let limits = Limits { startup_cpu: Duration::from_millis(30), ..Limits::default() };
    let (isolate, _) = start_with(bundle(&[("index.js", ModuleKind::EsModule, code.as_bytes())]), limits);
    let error = isolate.started().await.unwrap_err();
    assert!(matches!(error, HandlerError::StartupCpuLimit { .. }), "{error}");
}
