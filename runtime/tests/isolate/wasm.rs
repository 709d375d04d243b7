//! WebAssembly: compiled once for all isolates of a bundle, and within the limits.

use super::*;

/// A section of a module.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(content.len()), content].concat()
}

fn leb(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        out.push(if value == 0 { byte } else { byte | 0x80 });
        if value == 0 {
            return out;
        }
    }
}

/// A module with a memory of one page and `functions` functions `() -> ()` of this body, the first exported as `run`.
fn module(functions: usize, body: &[u8]) -> Vec<u8> {
    let body = [&leb(body.len() + 2)[..], &[0], body, &[0x0b]].concat();
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 0, 0]),
        section(3, &[leb(functions), vec![0; functions]].concat()),
        section(5, &[1, 0, 1]),
        section(7, b"\x01\x03run\x00\x00"),
        section(10, &[leb(functions), body.repeat(functions)].concat()),
    ]
    .concat()
}

const INSTANTIATE: &str = "(await WebAssembly.instantiate(wasm)).exports.run(); return new Response('ran')";

fn start_wasm(pool: &Pool, wasm: &[u8], handler: &str, limits: Limits) -> Isolate {
    let code = format!("import wasm from './m.wasm'; export default {{ async fetch(request) {{ {handler} }} }}");
    let bundle = bundle(&[("index.js", ModuleKind::EsModule, code.as_bytes()), ("m.wasm", ModuleKind::Wasm, wasm)]);
    let (_, hash) = bundle.pack();
    let host = Arc::new(Recorder::default());
    pool.start(Worker { app: "test".into(), version: 1, bundle, hash, env: [].into(), limits, host })
}

/// Limits that only memory can pass.
fn enough_time(memory: usize) -> Limits {
    Limits { cpu: Duration::from_secs(30), startup_cpu: Duration::from_secs(30), memory, ..Limits::default() }
}

#[tokio::test]
async fn isolates_of_a_bundle_share_compiled_code() {
    // A pool of its own, because it counts.
    let pool = Pool::new(&Engine::init(EngineOptions::default()), PoolOptions { warm: 1, code: None });
    let first = module(3, &[0x41, 0x2a, 0x1a]);
    for _ in 0..4 {
        let isolate = start_wasm(&pool, &first, INSTANTIATE, enough_time(128 << 20));
        assert_eq!(ask(&isolate, "/").await, "ran");
    }
    assert_eq!(pool.wasm_compilations(), 1);
    let other = start_wasm(&pool, &module(4, &[]), INSTANTIATE, enough_time(128 << 20));
    assert_eq!(ask(&other, "/").await, "ran");
    assert_eq!(pool.wasm_compilations(), 2);
    let broken = start_wasm(&pool, b"\0asm\x01\0\0\0\x01\x7f", INSTANTIATE, enough_time(128 << 20));
    let error = broken.fetch(get("/")).await.unwrap_err();
    assert_eq!(error.code(), "startup-failed", "{error}");
    assert!(error.to_string().contains("\"m.wasm\" does not compile"), "{error}");
}

#[tokio::test]
async fn an_endless_loop_in_wasm_is_ended() {
    let endless = module(1, &[0x03, 0x40, 0x0c, 0, 0x0b]);
    let isolate =
        start_wasm(pool(), &endless, INSTANTIATE, Limits { startup_cpu: Duration::from_secs(30), ..Limits::default() });
    let error = isolate.fetch(get("/")).await.unwrap_err();
    assert_eq!(error.code(), "cpu-limit", "{error}");
}

#[tokio::test]
async fn endless_recursion_in_wasm_is_an_error_of_the_handler() {
    // call 0
    let recursive = module(1, &[0x10, 0]);
    let handler = "const { run } = (await WebAssembly.instantiate(wasm)).exports;
        try { run() } catch (error) { return new Response(error.name) }";
    let isolate = start_wasm(pool(), &recursive, handler, enough_time(128 << 20));
    assert_eq!(ask(&isolate, "/").await, "RangeError");
}

#[tokio::test]
async fn growing_a_wasm_memory_stops_at_the_limit() {
    // loop: grow the memory by 16 pages; again unless that failed
    let grow = [0x03, 0x40, 0x41, 16, 0x40, 0, 0x41, 0x7f, 0x47, 0x0d, 0, 0x0b];
    let handler = "const { run } = (await WebAssembly.instantiate(wasm)).exports; run(); return new Response('ran')";
    let isolate = start_wasm(pool(), &module(1, &grow), handler, enough_time(256 << 20));
    assert_eq!(ask(&isolate, "/").await, "ran", "the engine refuses more than any app may have");

    // What an app may have less than that is enforced as well.
    let small = start_wasm(
        pool(),
        &module(1, &grow),
        "const { run } = (await WebAssembly.instantiate(wasm)).exports; run();
         await new Promise((resolve) => setTimeout(resolve, 20_000)); return new Response('kept')",
        enough_time(32 << 20),
    );
    let error = small.fetch(get("/")).await.unwrap_err();
    assert_eq!(error.code(), "memory-limit", "{error}");
    small.ended().await;
    let other = start_wasm(pool(), &module(1, &[]), INSTANTIATE, enough_time(32 << 20));
    assert_eq!(ask(&other, "/").await, "ran");
}

#[tokio::test]
async fn many_wasm_memories_and_tables_are_memory_too() {
    for code in [
        "const kept = []; for (;;) { const memory = new WebAssembly.Memory({ initial: 256 });
            new Uint8Array(memory.buffer).fill(1); kept.push(memory); }",
        "const kept = []; for (;;) kept.push(new WebAssembly.Table({ initial: 1_000_000, element: 'anyfunc' }));",
    ] {
        let isolate = start_wasm(pool(), &module(1, &[]), code, enough_time(128 << 20));
        let error = isolate.fetch(get("/")).await.unwrap_err();
        // The engine may refuse a memory before the limit is seen to be passed.
        assert!(["memory-limit", "handler-exception"].contains(&error.code()), "{code}: {error}");
    }
}

#[tokio::test]
async fn a_wasm_module_of_very_many_functions_is_compiled_or_refused() {
    let many = start_wasm(pool(), &module(300_000, &[]), INSTANTIATE, enough_time(128 << 20));
    assert_eq!(ask(&many, "/").await, "ran");
    let too_many = start_wasm(pool(), &module(1_000_001, &[]), INSTANTIATE, enough_time(128 << 20));
    let error = too_many.fetch(get("/")).await.unwrap_err();
    assert_eq!(error.code(), "startup-failed", "{error}");
    let other = start_wasm(pool(), &module(1, &[]), INSTANTIATE, enough_time(128 << 20));
    assert_eq!(ask(&other, "/").await, "ran");
}
