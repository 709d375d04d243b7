//! Measures starts inside one process: restoring generic isolates, then claim to first answer of a worker that has never
//! run, and the second answer of the same isolate.
//!
//! `cargo run --release -p atoll-runtime --example cold -- [--bundle FILE] [--path /] [--starts 200] [--every MS]
//! [--warm 64] [--ahead] [--code DIR] [--keep] [V8 flags]`. `--ahead` compiles as a deployment does and lets the first
//! isolate answer a few requests, so that their functions are in the compiled code; `--every 0` starts as fast as isolates
//! become ready; `--keep` keeps every isolate that has answered, prints what each adds to the resident set, and how the
//! pages of the process are spread over kinds of mappings.

#![expect(clippy::print_stdout, reason = "it is a command")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_bundle::{Bundle, BundleHash, Module, ModuleKind};
use atoll_runtime::{
    Body, Counting, Engine, EngineOptions, FetchEvent, FetchFailure, FetchHead, Host, Limits, LogRecord, Mimalloc,
    OutboundRequest, OutboundResponse, Pool, PoolOptions, Worker,
};
use bytes::Bytes;
use futures::future::BoxFuture;

/// As in the node: what an isolate takes depends on it.
#[global_allocator]
static ALLOCATOR: Counting<Mimalloc> = Counting(Mimalloc);

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
    warm: usize,
    ahead: bool,
    keep: bool,
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
            warm: 64,
            ahead: false,
            keep: false,
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
                "--warm" => options.warm = value().parse().expect("--warm is a number"),
                "--keep" => options.keep = true,
                "--ahead" => options.ahead = true,
                "--code" => options.code = Some(value().into()),
                _ => options.flags.push(argument),
            }
        }
        options
    }

    fn event(&self) -> FetchEvent {
        let url = format!("http://hello.localhost{}", self.path);
        FetchEvent::new(FetchHead { url, ..FetchHead::default() }, Body::Empty)
    }
}

fn worker(bundle: &Arc<Bundle>, hash: BundleHash, version: usize) -> Worker {
    Worker {
        app: "cold".into(),
        version: version as u64,
        bundle: bundle.clone(),
        hash,
        env: Default::default(),
        // Under callgrind everything takes some fifty times as long.
        limits: Limits { cpu: Duration::from_secs(10), startup_cpu: Duration::from_secs(10), ..Limits::default() },
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
    let (mut first, mut second, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    let mut before = resident();
    for version in 1..=options.starts {
        ready(pool, if options.keep { options.warm } else { options.warm / 2 }).await;
        if version == 2 {
            before = resident();
        }
        let at = Instant::now();
        let isolate = pool.start(worker(&bundle, hash, version));
        let answer = isolate.fetch(options.event()).await.expect("the worker answers");
        first.push(at.elapsed().as_micros());
        assert_eq!(answer.status, 200, "the worker answers {} with 200", options.path);
        drop(answer);
        let at = Instant::now();
        drop(isolate.fetch(options.event()).await.expect("the worker answers"));
        second.push(at.elapsed().as_micros());
        if options.keep {
            kept.push(isolate);
        }
        if options.every > 0 {
            tokio::time::sleep(Duration::from_millis(options.every)).await;
        }
    }
    percentiles("first answer", first);
    percentiles("second answer", second);
    if options.keep {
        ready(pool, options.warm).await;
        let each = (resident() - before) as f64 / (options.starts as f64 - 1.0) / f64::from(1 << 20);
        println!("an isolate that has answered adds {each:.2} MiB");
        mappings(options.starts + options.warm);
    }
}

/// Prints the kinds of mappings that most of the resident set is in, and what each makes per isolate.
fn mappings(isolates: usize) {
    let smaps = std::fs::read_to_string("/proc/self/smaps").expect("Linux has it");
    let mut kinds: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let (mut kind, mut size) = (String::new(), String::new());
    for line in smaps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["Size:", kib, _] => size = (*kib).to_owned(),
            ["Rss:", kib, _] => {
                let kind = if kind.starts_with('-') || !kind.contains('/') {
                    format!("{kind} of {size} KiB")
                } else {
                    kind.clone()
                };
                let entry = kinds.entry(kind).or_default();
                entry.0 += 1;
                entry.1 += kib.parse::<usize>().unwrap_or(0);
            }
            [range, access, _, _, _, name @ ..] if range.contains('-') => kind = format!("{access} {}", name.join(" ")),
            _ => {}
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_unstable_by_key(|(_, (_, kib))| std::cmp::Reverse(*kib));
    for (kind, (count, kib)) in kinds.iter().take(16) {
        let each = *kib as f64 / isolates as f64;
        println!("{each:8.1} KiB per isolate, {:.2} mappings: {kind}", *count as f64 / isolates as f64);
    }
}

fn main() {
    let options = Options::read();
    let engine = Engine::init(EngineOptions { flags: options.flags.clone() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let pool = Pool::new(&engine, PoolOptions { warm: options.warm, code: options.code.clone() });
    runtime.block_on(async {
        // The first isolate initialises what all share.
        ready(&pool, options.warm.min(1)).await;
        let (at, before) = (Instant::now(), resident());
        ready(&pool, options.warm).await;
        let isolates = options.warm as f64 - 1.0;
        println!(
            "restored: {:.2} ms and {:.2} MiB each",
            at.elapsed().as_secs_f64() * 1e3 / isolates,
            (resident() - before) as f64 / isolates / f64::from(1 << 20)
        );
        run(&options, &pool).await;
    });
}
