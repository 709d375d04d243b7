//! Measures starts inside one process: restoring generic isolates, then claim to first answer of a worker that has never
//! run, and the second answer of the same isolate.
//!
//! `cargo run --release -p atoll-runtime --example cold -- [--bundle FILE] [--path /] [--starts 200] [--every MS]
//! [--ahead] [--code DIR] [V8 flags]`. `--ahead` compiles as a deployment does and lets the first isolate answer a few
//! requests, so that their functions are in the compiled code; `--every 0` starts as fast as isolates become ready.

#![expect(clippy::print_stdout, reason = "it is a command")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_bundle::{Bundle, BundleHash, Module, ModuleKind};
use atoll_runtime::{
    Body, Engine, EngineOptions, FetchEvent, FetchFailure, Host, Limits, LogRecord, OutboundRequest, OutboundResponse,
    Pool, PoolOptions, Worker,
};
use bytes::Bytes;
use futures::future::BoxFuture;

/// Isolates that wait.
const WARM: usize = 64;

const HELLO: &str = "export default { async fetch(request, env, ctx) { \
    const url = new URL(request.url); \
    if (url.pathname === '/json') return Response.json({ ok: true }); \
    return new Response('Hello, world!\\n', { headers: { 'content-type': 'text/plain' } }); } };";

struct Nowhere;

impl Host for Nowhere {
    fn fetch(&self, _request: OutboundRequest) -> BoxFuture<'static, Result<OutboundResponse, FetchFailure>> {
        Box::pin(std::future::ready(Err(FetchFailure { code: "closed", message: "there is no network".into() })))
    }

    fn log(&self, record: LogRecord) {
        println!("{}", record.message);
    }
}

struct Options {
    source: Bytes,
    path: String,
    starts: usize,
    every: u64,
    ahead: bool,
    code: Option<PathBuf>,
    flags: Vec<String>,
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            source: Bytes::from_static(HELLO.as_bytes()),
            path: "/".into(),
            starts: 200,
            every: 12,
            ahead: false,
            code: None,
            flags: Vec::new(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value"));
            match argument.as_str() {
                "--bundle" => options.source = std::fs::read(value()).expect("the bundle is readable").into(),
                "--path" => options.path = value(),
                "--starts" => options.starts = value().parse().expect("--starts is a number"),
                "--every" => options.every = value().parse().expect("--every is a number of milliseconds"),
                "--ahead" => options.ahead = true,
                "--code" => options.code = Some(value().into()),
                _ => options.flags.push(argument),
            }
        }
        options
    }

    fn event(&self) -> FetchEvent {
        FetchEvent {
            method: http::Method::GET,
            url: format!("http://hello.localhost{}", self.path),
            headers: http::HeaderMap::new(),
            body: Body::Empty,
            request_id: "1".into(),
            cf: None,
        }
    }
}

fn worker(bundle: &Arc<Bundle>, hash: BundleHash, version: usize) -> Worker {
    Worker {
        app: "cold".into(),
        version: version as u64,
        bundle: bundle.clone(),
        hash,
        env: Default::default(),
        limits: Limits::default(),
        host: Arc::new(Nowhere),
    }
}

/// Resident bytes of this process.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux has /proc");
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages") * 4096
}

fn percentiles(name: &str, mut micros: Vec<u128>) {
    micros.sort_unstable();
    let at = |part: usize| micros[(micros.len() * part / 100).min(micros.len() - 1)];
    println!("{name}: p10 {} us, p50 {} us, p90 {} us, p99 {} us", at(10), at(50), at(90), at(99));
}

async fn ready(pool: &Pool, isolates: usize) {
    while pool.ready() < isolates {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn run(options: &Options, pool: &Pool) {
    let bundle = Arc::new(Bundle {
        main: "index.js".into(),
        compatibility_date: "2026-11-01".into(),
        compatibility_flags: vec![],
        modules: vec![Module { name: "index.js".into(), kind: ModuleKind::EsModule, content: options.source.clone() }],
    });
    let (_, hash) = bundle.pack();
    if options.ahead {
        if let Some(compiling) = pool.compile(worker(&bundle, hash, 0)) {
            compiling.ended().await;
        }
        let isolate = pool.start(worker(&bundle, hash, 0));
        for _ in 0..10 {
            drop(isolate.fetch(options.event()).await.expect("the worker answers"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for version in 1..=options.starts {
        ready(pool, WARM / 2).await;
        let at = Instant::now();
        let isolate = pool.start(worker(&bundle, hash, version));
        let answer = isolate.fetch(options.event()).await.expect("the worker answers");
        first.push(at.elapsed().as_micros());
        assert_eq!(answer.status, 200, "the worker answers {} with 200", options.path);
        drop(answer);
        let at = Instant::now();
        drop(isolate.fetch(options.event()).await.expect("the worker answers"));
        second.push(at.elapsed().as_micros());
        drop(isolate);
        if options.every > 0 {
            tokio::time::sleep(Duration::from_millis(options.every)).await;
        }
    }
    percentiles("first answer", first);
    percentiles("second answer", second);
}

fn main() {
    let options = Options::read();
    let engine = Engine::init(EngineOptions { flags: options.flags.clone() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let pool = Pool::new(&engine, PoolOptions { warm: WARM, code: options.code.clone() });
    runtime.block_on(async {
        // The first isolate initialises what all share.
        ready(&pool, 1).await;
        let (at, before) = (Instant::now(), resident());
        ready(&pool, WARM).await;
        let isolates = WARM as f64 - 1.0;
        println!(
            "restored: {:.2} ms and {:.2} MiB each",
            at.elapsed().as_secs_f64() * 1e3 / isolates,
            (resident() - before) as f64 / isolates / f64::from(1 << 20)
        );
        run(&options, &pool).await;
    });
}
