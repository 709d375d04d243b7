//! Isolates run real code under real limits.

#[path = "isolate/appearance.rs"]
mod appearance;
#[path = "isolate/code.rs"]
mod code;
#[path = "isolate/constructors.rs"]
mod constructors;
#[path = "isolate/jobs.rs"]
mod jobs;
#[path = "isolate/json.rs"]
mod json;
mod node;
#[path = "isolate/poisoned.rs"]
mod poisoned;
#[path = "isolate/source_maps.rs"]
mod source_maps;
#[path = "isolate/starts.rs"]
mod starts;
#[path = "isolate/switches.rs"]
mod switches;
#[path = "isolate/terminations.rs"]
mod terminations;
#[path = "isolate/wasi.rs"]
mod wasi;
#[path = "isolate/wasm.rs"]
mod wasm;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use atoll_bundle::{Bundle, Module, ModuleKind};
use atoll_runtime::{
    Binding, Body, Engine, EngineOptions, FetchEvent, FetchFailure, FetchHead, FetchResponse, HandlerError, Host,
    Isolate, Limits, LogRecord, OutboundRequest, OutboundResponse, Pool, PoolOptions, ScheduledEvent, ScheduledOutcome,
    Worker,
};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::{BoxFuture, join_all};

/// Collects the log and lets nothing out.
#[derive(Default)]
struct Recorder(Mutex<Vec<LogRecord>>);

impl Recorder {
    fn text(&self) -> String {
        self.0.lock().unwrap().iter().map(|record| format!("{}: {}\n", record.level.as_str(), record.message)).collect()
    }
}

impl Host for Recorder {
    fn fetch(&self, _request: OutboundRequest) -> BoxFuture<'static, Result<OutboundResponse, FetchFailure>> {
        Box::pin(std::future::ready(Err(FetchFailure { code: "closed", message: "no network here".into() })))
    }

    fn log(&self, record: LogRecord) {
        self.0.lock().unwrap().push(record);
    }
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool::new(&Engine::init(EngineOptions::default()), PoolOptions { warm: 2, code: None }))
}

fn bundle(modules: &[(&str, ModuleKind, &[u8])]) -> Arc<Bundle> {
    let mut modules: Vec<Module> = modules
        .iter()
        .map(|(name, kind, content)| Module {
            name: (*name).to_owned(),
            kind: *kind,
            content: Bytes::copy_from_slice(content),
        })
        .collect();
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    Arc::new(Bundle {
        main: "index.js".into(),
        compatibility_date: "2026-08-03".into(),
        compatibility_flags: Vec::new(),
        modules,
    })
}

fn start_with(bundle: Arc<Bundle>, limits: Limits) -> (Isolate, Arc<Recorder>) {
    let host = Arc::new(Recorder::default());
    let (_, hash) = bundle.pack();
    let env = [
        ("CONFIG".to_owned(), Binding::Json(r#"{"depth":[1,2]}"#.into())),
        ("GREETING".to_owned(), Binding::Text("hi".into())),
        ("KEY".to_owned(), Binding::Secret("s3cret".into())),
    ];
    let worker = Worker { app: "test".into(), version: 1, bundle, hash, env: env.into(), limits, host: host.clone() };
    (pool().start(worker), host)
}

/// Limits that are no question of how busy the machine is.
fn patient() -> Limits {
    let (cpu, startup_cpu, wall) = (Duration::from_secs(10), Duration::from_secs(10), Duration::from_secs(120));
    Limits { cpu, startup_cpu, wall, ..Limits::default() }
}

fn start(code: &str) -> (Isolate, Arc<Recorder>) {
    start_with(bundle(&[("index.js", ModuleKind::EsModule, code.as_bytes())]), patient())
}

/// A handler whose body is `body`.
fn handler(body: &str) -> (Isolate, Arc<Recorder>) {
    start(&format!("export default {{ async fetch(request, env, ctx) {{ {body} }} }}"))
}

fn get(path: &str) -> FetchEvent {
    let url = format!("http://test.localhost{path}");
    FetchEvent::new(FetchHead { url, request_id: "r1".into(), ..FetchHead::default() }, Body::Empty)
}

fn post(body: Body) -> FetchEvent {
    let mut event = FetchEvent { body, ..get("/") };
    event.head_mut().method = http::Method::POST;
    event
}

async fn read(body: Body) -> Result<Vec<u8>, String> {
    match body {
        Body::Empty => Ok(Vec::new()),
        Body::Full(bytes) => Ok(bytes.to_vec()),
        Body::Socket(_) => Err("a WebSocket is no body".to_owned()),
        Body::Stream { mut stream, .. } => {
            let mut out = Vec::new();
            while let Some(chunk) = stream.next().await {
                out.extend_from_slice(&chunk.map_err(|error| error.to_string())?);
            }
            Ok(out)
        }
    }
}

async fn text(response: FetchResponse) -> String {
    String::from_utf8(read(response.body).await.unwrap()).unwrap()
}

/// Polls until the condition holds.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until nothing is under way, `waitUntil` included.
async fn settled(isolate: &Isolate) {
    eventually("nothing is under way", || isolate.load().in_flight == 0).await;
}

async fn ask(isolate: &Isolate, path: &str) -> String {
    text(isolate.fetch(get(path)).await.unwrap()).await
}

#[tokio::test]
async fn built_in_modules_are_imported() {
    let (isolate, _) = start(
        "import { DurableObject, WorkerEntrypoint, WorkflowEntrypoint, env, waitUntil } from 'cloudflare:workers';
        import workers from 'cloudflare:workers';
        const greeting = env.GREETING;
        export class Unused extends DurableObject { method() { return 1; } }
        export class Neither extends WorkflowEntrypoint { run() {} }
        export class Other extends WorkerEntrypoint { fetch() { return new Response('other'); } }
        export const anything = 7;
        export default class extends WorkerEntrypoint {
            #calls = 0;
            async fetch(request) {
                waitUntil(Promise.resolve());
                return Response.json([greeting, this.env.GREETING === env.GREETING, workers.env === env, ++this.#calls, typeof this.ctx.waitUntil]);
            }
        }",
    );
    assert_eq!(ask(&isolate, "/").await, r#"["hi",true,true,1,"function"]"#);
    assert_eq!(ask(&isolate, "/").await, r#"["hi",true,true,1,"function"]"#);
    for (import, problem) in [
        ("import { nothing } from 'cloudflare:workers'", "does not provide an export named 'nothing'"),
        ("import { connect } from 'cloudflare:sockets'", "this built-in module is not available"),
    ] {
        let (isolate, _) = start(&format!("{import}; export default {{ fetch() {{}} }}"));
        let error = isolate.started().await.unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[tokio::test]
async fn scripts_in_the_syntax_of_service_workers_run() {
    let (isolate, host) = start(
        "const greeting = GREETING + CONFIG.depth[1];
        addEventListener('fetch', (event) => {
            event.passThroughOnException();
            const { pathname } = new URL(event.request.url);
            if (pathname === '/throws') throw new RangeError('thrown');
            if (pathname === '/silent') return;
            if (pathname === '/twice') event.respondWith(new Response('first'));
            event.respondWith(answer(event, pathname));
        });
        addEventListener('fetch', { handleEvent(event) {
            if (new URL(event.request.url).pathname === '/silent/2') event.respondWith(new Response('not reached'));
        } });
        async function answer(event, pathname) {
            await scheduler.wait(1);
            event.waitUntil(scheduler.wait(1).then(() => console.log('waited')));
            let late = '';
            try { event.respondWith(new Response()); } catch (error) { late = error.name; }
            return Response.json([greeting, pathname, event.type, event instanceof FetchEvent, event.target === self, late]);
        }",
    );
    let expected = r#"["hi2","/silent/2","fetch",true,true,"InvalidStateError"]"#;
    assert_eq!(ask(&isolate, "/silent/2").await, expected);
    match isolate.fetch(get("/throws")).await {
        Err(HandlerError::Exception { message, pass_through: true, .. }) => assert_eq!(message, "RangeError: thrown"),
        other => panic!("{other:?}"),
    }
    for (path, problem) in [("/silent", "no listener of the fetch event"), ("/twice", "InvalidStateError")] {
        let error = isolate.fetch(get(path)).await.unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    settled(&isolate).await;
    assert!(host.text().contains("waited"), "{}", host.text());
    let (isolate, _) = start("export default { fetch() { return new Response(typeof GREETING); } }");
    assert_eq!(ask(&isolate, "/").await, "undefined");
    let (isolate, _) = start("const nothing = 1;");
    assert!(isolate.started().await.unwrap_err().to_string().contains("has no default export"));
}

#[tokio::test]
async fn scheduled_events_are_handled() {
    let event = |cron: &str| ScheduledEvent { cron: cron.into(), scheduled_ms: 1.5e12, request_id: "cron".into() };
    let code = "{ async scheduled(controller, env, ctx) {
        if (controller.cron === 'fail') throw new Error('no');
        if (controller.cron === 'once') controller.noRetry();
        ctx.waitUntil(scheduler.wait(1).then(() => console.log('later')));
        console.log(controller.cron, controller.scheduledTime, controller.type, env.GREETING);
    } }";
    let (isolate, host) = start(&format!("export default {code}"));
    assert_eq!(isolate.scheduled(event("* * * * *")).await.unwrap(), ScheduledOutcome { no_retry: false });
    assert!(isolate.scheduled(event("once")).await.unwrap().no_retry);
    assert!(matches!(isolate.scheduled(event("fail")).await, Err(HandlerError::Exception { .. })));
    let error = isolate.fetch(get("/")).await.unwrap_err().to_string();
    assert!(error.contains("The worker has no fetch handler"), "{error}");
    settled(&isolate).await;
    let text = host.text();
    assert!(text.contains("* * * * * 1500000000000 scheduled hi") && text.contains("later"), "{text}");
    let class = "import { WorkerEntrypoint } from 'cloudflare:workers';
        export default class extends WorkerEntrypoint { scheduled(controller) { console.log(this.env.GREETING); } }";
    let (isolate, host) = start(class);
    isolate.scheduled(event("x")).await.unwrap();
    assert!(host.text().contains("hi"));
    let (isolate, host) =
        start("addEventListener('scheduled', (event) => console.log(event.cron, event.scheduledTime))");
    isolate.scheduled(event("y")).await.unwrap();
    assert!(host.text().contains("y 1500000000000"));
    let (isolate, _) = start("export default { fetch() { return new Response() } }");
    let error = isolate.scheduled(event("x")).await.unwrap_err().to_string();
    assert!(error.contains("The worker has no scheduled handler"), "{error}");
}

#[tokio::test]
async fn a_handler_answers() {
    let (isolate, _) = start("export default { fetch(request) { return new Response('hello ' + request.url) } }");
    assert_eq!(ask(&isolate, "/a?b").await, "hello http://test.localhost/a?b");
    assert_eq!(ask(&isolate, "/c").await, "hello http://test.localhost/c");
}

#[tokio::test]
async fn env_has_text_json_and_secrets() {
    let (isolate, _) = handler("return Response.json([env.GREETING, env.CONFIG.depth[1], env.KEY])");
    assert_eq!(ask(&isolate, "/").await, r#"["hi",2,"s3cret"]"#);
}

#[tokio::test]
async fn module_kinds_import_as_on_workers() {
    let wasm = [
        0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 7, 1, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, 3, 2, 1, 0, 7, 7, 1, 3, 0x61, 0x64,
        0x64, 0, 0, 10, 9, 1, 7, 0, 0x20, 0, 0x20, 1, 0x6a, 11,
    ];
    let main = r#"
        import config from "./config.json";
        import text from "./dir/note.txt";
        import data from "./blob.bin";
        import wasm from "./add.wasm";
        import { twice } from "./dir/lib.js";
        export default { async fetch() {
            const { exports } = await WebAssembly.instantiate(wasm);
            const late = await import("./dir/late.js");
            return Response.json([config.a, text, data instanceof ArrayBuffer, new Uint8Array(data)[1],
                wasm instanceof WebAssembly.Module, exports.add(2, 3), twice(4), late.value]);
        } }
    "#;
    let (isolate, _) = start_with(
        bundle(&[
            ("index.js", ModuleKind::EsModule, main.as_bytes()),
            ("config.json", ModuleKind::Json, br#"{"a":1}"#),
            ("dir/note.txt", ModuleKind::Text, "ünï".as_bytes()),
            ("blob.bin", ModuleKind::Data, &[7, 8]),
            ("add.wasm", ModuleKind::Wasm, &wasm),
            (
                "dir/lib.js",
                ModuleKind::EsModule,
                b"import c from '../config.json'; export const twice = (x) => x * 2 * c.a;",
            ),
            ("dir/late.js", ModuleKind::EsModule, b"export const value = 'late'"),
        ]),
        patient(),
    );
    assert_eq!(ask(&isolate, "/").await, r#"[1,"ünï",true,8,true,5,8,"late"]"#);
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let (isolate, _) = handler("return new Response(request.body.pipeThrough(new TransformStream()))");
    let (sender, receiver) = futures::channel::mpsc::channel::<Result<Bytes, atoll_runtime::BodyError>>(0);
    let response = isolate
        .fetch(post(Body::Stream { stream: Box::pin(receiver), length: None, trailers: Default::default() }))
        .await
        .unwrap();
    let Body::Stream { mut stream, .. } = response.body else { panic!("a stream body") };
    let mut sender = sender;
    for chunk in ["one", "two"] {
        futures::SinkExt::send(&mut sender, Ok(Bytes::from(chunk))).await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), chunk, "a chunk arrives before the next is sent");
    }
    drop(sender);
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn exceptions_have_message_and_stack() {
    let (isolate, _) = handler("throw new RangeError('too far')");
    let Err(HandlerError::Exception { message, stack, pass_through }) = isolate.fetch(get("/")).await else {
        panic!("an exception")
    };
    assert_eq!(message, "RangeError: too far");
    assert!(stack.contains("index.js:1:"), "{stack}");
    assert!(!pass_through);
    let (isolate, _) = handler("ctx.passThroughOnException(); throw 7");
    let Err(HandlerError::Exception { pass_through: true, .. }) = isolate.fetch(get("/")).await else {
        panic!("an exception that passes through")
    };
}

#[tokio::test]
async fn what_is_not_a_response_is_named() {
    let (isolate, _) = handler("return 'text'");
    let error = isolate.fetch(get("/")).await.unwrap_err();
    assert!(matches!(error, HandlerError::InvalidResponse(_)), "{error}");
}

async fn startup_failure(modules: &[(&str, ModuleKind, &[u8])]) -> String {
    let (isolate, host) = start_with(bundle(modules), patient());
    let error = isolate.started().await.unwrap_err();
    let HandlerError::Startup { message, stack } = &error else { panic!("{error:?}") };
    let text = format!("{message}\n{stack}");
    let again = isolate.fetch(get("/")).await.unwrap_err();
    assert_eq!(again.code(), "startup-failed", "{again}");
    isolate.ended().await;
    assert!(host.text().contains("failed to start"), "{}", host.text());
    text
}

#[tokio::test]
async fn code_that_cannot_start_says_why() {
    let module = |code: &'static str| [("index.js", ModuleKind::EsModule, code.as_bytes())];
    let text = startup_failure(&module("export default { fetch( { }")).await;
    assert!(text.contains("SyntaxError") && text.contains("index.js:1"), "{text}");
    let text = startup_failure(&module("import './gone.js'; export default { fetch() {} }")).await;
    assert!(text.contains("gone.js") && text.contains("not in the bundle"), "{text}");
    let text = startup_failure(&module("import 'left-pad'; export default { fetch() {} }")).await;
    assert!(text.contains("left-pad"), "{text}");
    let text = startup_failure(&module("export const x = 1")).await;
    assert!(text.contains("default"), "{text}");
    let text = startup_failure(&module("export default { other() {} }")).await;
    assert!(text.contains("fetch"), "{text}");
    let text = startup_failure(&module("\nthrow new Error('at the top')")).await;
    assert!(text.contains("at the top") && text.contains("index.js:2"), "{text}");
    let text = startup_failure(&module("await new Promise(() => {}); export default { fetch() {} }")).await;
    assert!(text.to_lowercase().contains("await"), "{text}");
}

#[tokio::test]
async fn wait_until_goes_on_after_the_response() {
    let (isolate, host) = handler(
        "ctx.waitUntil(new Promise(r => setTimeout(() => { console.log('later'); r() }, 20))); return new Response('now')",
    );
    assert_eq!(ask(&isolate, "/").await, "now");
    settled(&isolate).await;
    assert!(host.text().contains("log: later"), "{}", host.text());
}

#[tokio::test]
async fn a_promise_that_cannot_settle_is_an_error_at_once() {
    let (isolate, _) = handler("await new Promise(() => {})");
    let error = isolate.fetch(get("/")).await.unwrap_err();
    assert!(matches!(error, HandlerError::Hung), "{error}");
}

#[tokio::test]
async fn a_client_that_goes_away_aborts_the_signal() {
    let (isolate, host) = handler(
        "request.signal.addEventListener('abort', () => console.log('gone', request.signal.reason.name)); \
         console.log('here'); await new Promise(r => setTimeout(r, 100_000)); return new Response('late')",
    );
    isolate.started().await.unwrap();
    tokio::select! {
        _ = isolate.fetch(get("/")) => panic!("it answers too early"),
        () = eventually("the handler runs", || host.text().contains("here")) => {}
    }
    eventually("the signal is aborted", || host.text().contains("gone AbortError")).await;
    isolate.stop("the test is over");
    isolate.ended().await;
}

/// Runs a hostile body; another isolate must answer meanwhile, and the hostile one must be gone afterwards.
async fn hostile(body: &str, expected: &str) {
    let (victim, _) = handler("return new Response('fine')");
    let code = format!("export default {{ async fetch() {{ {body} }} }}");
    // Enough time to fill the memory, and not for more.
    let cpu = Duration::from_millis(if expected == "memory-limit" { 60_000 } else { 50 });
    let bundle = bundle(&[("index.js", ModuleKind::EsModule, code.as_bytes())]);
    let (isolate, host) = start_with(bundle, Limits { cpu, ..patient() });
    isolate.started().await.unwrap();
    let (attack, answer) = tokio::join!(isolate.fetch(get("/")), ask(&victim, "/"));
    let error = match attack {
        Err(error) => error,
        Ok(response) => panic!("{body} answered {:?}", read(response.body).await.map(|b| b.len())),
    };
    assert_eq!(error.code(), expected, "{body}: {error}");
    assert_eq!(answer, "fine");
    isolate.ended().await;
    assert!(isolate.load().stopped);
    assert!(host.text().contains("error:"), "the owner can read of it: {}", host.text());
}

#[tokio::test]
async fn endless_work_ends_at_its_cpu_limit() {
    hostile("while (true) {}", "cpu-limit").await;
    hostile("const spin = () => Promise.resolve().then(spin); await spin()", "cpu-limit").await;
    hostile("/^(a+)+$/.test('a'.repeat(40) + '!')", "cpu-limit").await;
    hostile("await new Promise(r => setTimeout(r, 1)); for (;;);", "cpu-limit").await;
    // The optimising compiler must not take the interrupt check out of this loop.
    hostile("let a; while (true) a = new Array(1000).fill(1)", "cpu-limit").await;
}

#[tokio::test]
async fn memory_has_a_limit() {
    hostile("const a = []; while (true) a.push(new Array(1000).fill(a.length))", "memory-limit").await;
    let code = b"export default { fetch() { try { new Uint8Array(200 << 20) } catch (error) { return new Response(error.name) } } }";
    // The engine collects garbage several times before it gives up.
    let (isolate, _) = start_with(bundle(&[("index.js", ModuleKind::EsModule, code)]), patient());
    assert_eq!(ask(&isolate, "/").await, "RangeError");
}

#[tokio::test]
async fn starting_has_a_cpu_limit() {
    let (isolate, _) = start_with(bundle(&[("index.js", ModuleKind::EsModule, b"while (true) {}")]), Limits::default());
    let error = isolate.fetch(get("/")).await.unwrap_err();
    assert_eq!(error.code(), "startup-cpu-limit", "{error}");
}

#[tokio::test]
async fn waiting_has_a_wall_clock_limit() {
    let code = b"export default { async fetch() { await new Promise(r => setTimeout(r, 60_000)) } }";
    let limits = Limits { wall: Duration::from_millis(100), ..patient() };
    let (isolate, _) = start_with(bundle(&[("index.js", ModuleKind::EsModule, code)]), limits);
    let error = isolate.fetch(get("/")).await.unwrap_err();
    assert_eq!(error.code(), "wall-clock-limit", "{error}");
}

#[tokio::test]
async fn a_string_split_that_would_abort_the_engine_is_refused() {
    let (isolate, _) = handler("try { 'a'.repeat(2**28).split('') } catch (error) { return new Response(error.name) }");
    assert_eq!(ask(&isolate, "/").await, "RangeError");
}

#[tokio::test]
async fn an_abort_of_the_engine_costs_one_isolate() {
    let (victim, _) = handler("return new Response('fine')");
    let code = b"export default { fetch() { 'x'.repeat(2 ** 28).match(/x/g) } }";
    let (isolate, _) = start_with(bundle(&[("index.js", ModuleKind::EsModule, code)]), Limits::default());
    let (attack, answer) = tokio::join!(isolate.fetch(get("/")), ask(&victim, "/"));
    let error = attack.unwrap_err();
    assert!(matches!(error.code(), "engine-abort" | "cpu-limit" | "memory-limit"), "{error}");
    assert_eq!(answer, "fine");
    assert!(isolate.load().stopped);
    assert_eq!(ask(&victim, "/").await, "fine");
}

#[tokio::test]
async fn requests_run_concurrently_in_one_isolate() {
    let code = "let waiting; export default { async fetch(request) { \
        if (request.url.endsWith('/wait')) { await new Promise(r => { waiting = r; setTimeout(() => {}, 100_000) }); return new Response('woken') } \
        waiting(); return new Response('waker') } }";
    let (isolate, _) = start(code);
    let waiter = tokio::spawn({
        let isolate = isolate.clone();
        async move { ask(&isolate, "/wait").await }
    });
    eventually("the first request is under way", || isolate.load().in_flight > 0 && isolate.load().queued == 0).await;
    assert_eq!(ask(&isolate, "/").await, "waker");
    assert_eq!(waiter.await.unwrap(), "woken");
}

#[tokio::test]
async fn nothing_of_the_engine_is_reachable() {
    let (isolate, _) = handler(
        "return Response.json([typeof Deno, typeof __bootstrap, typeof __atoll__, typeof process, typeof require, \
         Object.getOwnPropertyNames(globalThis).filter(name => name.startsWith('__'))])",
    );
    assert_eq!(ask(&isolate, "/").await, r#"["undefined","undefined","undefined","undefined","undefined",[]]"#);
}

#[tokio::test]
async fn an_isolate_ends_when_nobody_holds_it() {
    let (isolate, _) = handler("return new Response('x')");
    ask(&isolate, "/").await;
    let weak = isolate.downgrade();
    let ended = isolate.clone();
    let wait = tokio::spawn(async move {
        let weak = ended.downgrade();
        drop(ended);
        weak
    });
    drop(isolate);
    wait.await.unwrap();
    while weak.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_full_batch_of_events_does_not_leave_the_next_one_waiting() {
    let (isolate, _) = start("export default { fetch() { return new Response('here'); } };");
    // They wait for the start, and are taken in one go.
    for answer in join_all((0..64).map(|_| ask(&isolate, "/"))).await {
        assert_eq!(answer, "here");
    }
    assert_eq!(ask(&isolate, "/").await, "here");
}
