//! Measures what each group of scripts costs an isolate when the snapshot has it evaluated, and what its first use costs
//! when it is loaded then: size of the snapshot, time to restore (p50 of 100), memory of an isolate (of 100 that live).
//!
//! `cargo run --release -p atoll-runtime --example isolate_cost` prints a table in Markdown.
//!
//! `… -- app FILE` measures what it would be worth to have an app in the snapshot, evaluated: `FILE` is a script that leaves a
//! worker's exports in the global `__app`, as esbuild makes one with `--format=iife --global-name=__app`. It prints, for a
//! snapshot without it, with it, and with it after it has answered once: the size, restoring, evaluating (with compiled code that
//! has what the first answer calls), the first answer and the second. It fails for an app that needs an object of Rust, such as
//! `crypto`, when it is evaluated: a snapshot cannot hold one.

#![expect(unsafe_code, reason = "isolates that live on one thread have to be entered and left, and clocks be read")]
#![expect(clippy::print_stdout, reason = "it is a command")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use atoll_runtime::{Engine, EngineOptions};
use deno_core::snapshot::{CreateSnapshotOptions, create_snapshot};
use deno_core::{JsRuntime, PollEventLoopOptions, RuntimeOptions, v8};

/// What the groups are measured against: the engine alone, from a snapshot of its own.
const BARE: &str = "bare";

/// Isolates that are restored, and live together.
const ISOLATES: usize = 100;

/// Groups of scripts, and code that uses each.
const GROUPS: &[(&str, &[&str], &str)] = &[
    ("nothing more", &[], "0"),
    ("`crypto`", &["ext:atoll_web/crypto.js", "ext:atoll_web/crypto_guard.js"], "crypto.subtle"),
    ("compression", &["ext:atoll_web/compression.js", "ext:atoll_web/decompression.js"], "DecompressionStream"),
    ("`performance`", &["ext:deno_web/15_performance.js"], "performance.now()"),
    ("`URLPattern`", &["ext:deno_web/01_urlpattern.js"], "URLPattern"),
    ("`FormData`", &["ext:atoll_web/form_data.js"], "FormData"),
    ("`MessageChannel`, `structuredClone`", &["ext:deno_web/13_message_port.js"], "structuredClone(1)"),
    ("`caches`", &["ext:atoll_web/cache.js"], "caches.default"),
    ("`HTMLRewriter`", &["ext:atoll_web/html_rewriter.js"], "HTMLRewriter"),
    ("`WebSocket`", &["ext:atoll_web/websocket.js"], "WebSocketPair"),
    ("`EventSource`", &["ext:atoll_web/event_source.js"], "EventSource"),
    ("`FixedLengthStream`", &["ext:atoll_web/identity_streams.js"], "FixedLengthStream"),
    ("calls of other workers", &["ext:atoll_web/service.js"], "0"),
    ("modules of Node.js (none used)", &["ext:atoll_node/registry.js"], "0"),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["build", group, file] => build(group, Path::new(file)),
        ["measure", group, file] => measure(group, Path::new(file)),
        ["app", app] => app_table(app),
        ["build-app", state, app, file] => build_app(state, Path::new(app), Path::new(file)),
        ["measure-app", state, app, file] => measure_app(state, Path::new(app), Path::new(file)),
        _ => table(),
    }
}

/// Every group in processes of its own.
fn table() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    println!(
        "| In the snapshot besides S0 | Snapshot, KiB | Restore p50, ms of CPU time | Memory per isolate, KiB | First use when it is not there, ms |"
    );
    println!("|---|--:|--:|--:|--:|");
    let engine = folder.path().join("engine.bin");
    run(&["build", BARE, &engine.to_string_lossy()]);
    let size = std::fs::metadata(&engine).expect("the snapshot").len() >> 10;
    let cost = run(&["measure", BARE, &engine.to_string_lossy()]);
    let (time, memory) = cost.split_once(' ').expect("two columns");
    println!("| not even S0: a bare `JsRuntime` | {size} | {time} | {memory} | |");
    let bare = folder.path().join("0.bin");
    for (index, (name, _, _)) in GROUPS.iter().enumerate() {
        let file = folder.path().join(format!("{index}.bin"));
        run(&["build", &index.to_string(), &file.to_string_lossy()]);
        let size = std::fs::metadata(&file).expect("the snapshot").len() >> 10;
        let with = run(&["measure", &index.to_string(), &file.to_string_lossy()]);
        let without = run(&["measure", &index.to_string(), &bare.to_string_lossy()]);
        let cell = |line: &str, at: usize| line.split_whitespace().nth(at).unwrap_or("?").to_owned();
        println!("| {name} | {size} | {} | {} | {} |", cell(&with, 0), cell(&with, 1), cell(&without, 2));
    }
}

fn run(arguments: &[&str]) -> String {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).args(arguments).output().expect("it starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned()
}

fn extensions(group: &str) -> Vec<deno_core::Extension> {
    if group == BARE {
        return Vec::new();
    }
    let mut extensions = atoll_web::extensions();
    extensions.extend(atoll_node::extensions());
    extensions
}

/// What a group adds to the snapshot.
fn scripts(group: &str) -> &'static [&'static str] {
    group.parse().map_or(&[], |index: usize| GROUPS[index].1)
}

/// Makes a snapshot as the build does, with one group's scripts evaluated too.
fn build(group: &str, file: &Path) {
    let scripts = scripts(group);
    let bare = group == BARE;
    snapshot(group, file, move |runtime| {
        if bare {
            return;
        }
        for script in scripts {
            let code = format!("__bootstrap.core.loadExtScript({script:?})");
            runtime.execute_script("ext:atoll_web/warm_up", code).expect("the script evaluates");
        }
        atoll_web::warm_up(runtime);
    });
}

/// Makes a snapshot of what is evaluated in it.
fn snapshot(group: &str, file: &Path, evaluate: impl Fn(&mut JsRuntime) + 'static) {
    atoll_web::set_snapshot_flags();
    let output = create_snapshot(
        CreateSnapshotOptions {
            cargo_manifest_dir: env!("CARGO_MANIFEST_DIR"),
            startup_snapshot: None,
            skip_op_registration: false,
            extensions: extensions(group),
            extension_transpiler: None,
            with_runtime_cb: Some(Box::new(move |runtime| evaluate(runtime))),
        },
        None,
    )
    .expect("a snapshot");
    std::fs::write(file, &output.output).expect("the snapshot can be written");
    std::fs::write(file.with_extension("has"), output.consumed_lazy_specifiers.join("\n")).expect("and what it has");
}

/// Prints the time to restore in ms, the memory of an isolate in KiB, and the time of the group's first use in ms.
fn measure(group: &str, file: &Path) {
    let code = group.parse().map_or("0", |index: usize| GROUPS[index].2);
    Engine::init(EngineOptions::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _entered = runtime.enter();
    let snapshot = Snapshot::read(group, file);
    let restore = || {
        let mut runtime = snapshot.restore();
        // SAFETY: the isolate was entered when it was made; isolates that live together have to be left.
        unsafe { runtime.v8_isolate().exit() };
        runtime
    };
    // The first pays for what all share.
    let mut live = vec![restore()];
    let (before, mut times) = (resident(), Vec::new());
    for _ in 0..ISOLATES {
        let begun = cpu();
        live.push(restore());
        times.push(cpu() - begun);
    }
    let memory = resident().saturating_sub(before) / ISOLATES;
    spaces(&mut live[ISOLATES]);
    let mut uses: Vec<Duration> = live
        .iter_mut()
        .take(ISOLATES)
        .map(|runtime| {
            // SAFETY: entered and left in pairs.
            unsafe { runtime.v8_isolate().enter() };
            let begun = Instant::now();
            runtime.execute_script("use", code.to_owned()).expect("the group can be used");
            let took = begun.elapsed();
            // SAFETY: as above.
            unsafe { runtime.v8_isolate().exit() };
            took
        })
        .collect();
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e3
    };
    let (time, kib) = (median(&mut times), memory >> 10);
    match group {
        BARE => println!("{time:.2} {kib}"),
        _ => println!("{time:.2} {kib} {:.2}", median(&mut uses)),
    }
    // Disposing of a hundred isolates proves nothing.
    std::process::exit(0);
}

/// A snapshot, and the scripts that are not in it.
struct Snapshot<'a> {
    group: &'a str,
    blob: &'static [u8],
    sources: &'static [(&'static str, &'static str)],
}

impl<'a> Snapshot<'a> {
    fn read(group: &'a str, file: &Path) -> Self {
        let blob: &'static [u8] = Box::leak(std::fs::read(file).expect("the snapshot").into_boxed_slice());
        let has = std::fs::read_to_string(file.with_extension("has")).expect("what it has");
        let mut sources: Vec<(&str, &str)> = Vec::new();
        for (specifier, path) in if group == BARE { Vec::new() } else { residual(&has) } {
            sources.push((specifier, Box::leak(std::fs::read_to_string(path).expect("a script").into_boxed_str())));
        }
        Self { group, blob, sources: Box::leak(sources.into_boxed_slice()) }
    }

    fn restore(&self) -> JsRuntime {
        let mut runtime = JsRuntime::new(RuntimeOptions {
            startup_snapshot: Some(self.blob),
            residual_lazy_js_sources: self.sources,
            skip_op_registration: true,
            extensions: extensions(self.group),
            ..Default::default()
        });
        if self.group != BARE {
            let finish = "Object.defineProperty(globalThis, 'crypto', { get: __atoll__.finish(), configurable: true })";
            runtime.execute_script("finish", finish).expect("the global is finished");
        }
        runtime
    }
}

/// What an app's place in the snapshot can be.
const STATES: [&str; 3] = ["without", "evaluated", "answered"];

/// Asks the app for a page and waits for the whole of it.
const ASK: &str = "(async () => { const context = { waitUntil() {}, passThroughOnException() {} }; \
    const answer = await __app.default.fetch(new Request('http://example.com/'), {}, context); \
    return (await answer.text()).length; })()";

fn app_table(app: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    println!(
        "| The app in the snapshot | Snapshot, KiB | Restore | Evaluate | First answer | Second | Restore to first answer |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for state in STATES {
        let file = folder.path().join(state);
        run(&["build-app", state, app, &file.to_string_lossy()]);
        let size = std::fs::metadata(&file).expect("the snapshot").len() >> 10;
        println!("| {state} | {size} | {} |", run(&["measure-app", state, app, &file.to_string_lossy()]));
    }
}

fn build_app(state: &str, app: &Path, file: &Path) {
    let (evaluated, answered) = (state != STATES[0], state == STATES[2]);
    let code = std::fs::read_to_string(app).expect("the app's script");
    snapshot("0", file, move |runtime| {
        atoll_web::warm_up(runtime);
        if evaluated {
            runtime.execute_script("app", code.clone()).expect("the app evaluates");
        }
        if answered {
            ask(runtime);
        }
    });
}

/// Has the app answer. The length of what it says.
fn ask(runtime: &mut JsRuntime) -> u32 {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let asked = runtime.execute_script("ask", ASK).expect("the app can be called");
    let answer = runtime.resolve(asked);
    let length = tokio.block_on(runtime.with_event_loop_promise(answer, PollEventLoopOptions::default()));
    let length = length.expect("the app answers");
    deno_core::scope!(scope, runtime);
    v8::Local::new(scope, length).uint32_value(scope).expect("a number")
}

/// Evaluates the app's script, with compiled code when there is some.
fn evaluate(runtime: &mut JsRuntime, code: &str, compiled: &[u8]) -> v8::Global<v8::UnboundScript> {
    use v8::script_compiler::{self, CachedData, CompileOptions, NoCacheReason, Source};
    deno_core::scope!(scope, runtime);
    let text = v8::String::new(scope, code).expect("it is not too long");
    let (mut source, options) = if compiled.is_empty() {
        (Source::new(text, None), CompileOptions::NoCompileOptions)
    } else {
        let source = Source::new_with_cached_data(text, None, CachedData::new(compiled));
        (source, CompileOptions::ConsumeCodeCache)
    };
    let script = script_compiler::compile_unbound_script(scope, &mut source, options, NoCacheReason::NoReason);
    let script = script.expect("the app compiles");
    assert!(source.get_cached_data().is_none_or(|data| !data.rejected()), "the compiled code is not this script's");
    script.bind_to_current_context(scope).run(scope).expect("the app evaluates");
    v8::Global::new(scope, script)
}

/// Prints the times of 40 isolates, medians in milliseconds.
fn measure_app(state: &str, app: &Path, file: &Path) {
    Engine::init(EngineOptions::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _entered = runtime.enter();
    let snapshot = Snapshot::read("0", file);
    let code = std::fs::read_to_string(app).expect("the app's script");
    let mut compiled = Vec::new();
    let mut times: [Vec<f64>; 5] = Default::default();
    for round in 0..42 {
        let begun = cpu();
        let mut runtime = snapshot.restore();
        let restored = cpu();
        if state == STATES[0] {
            let script = evaluate(&mut runtime, &code, &compiled);
            if round < 2 {
                ask(&mut runtime);
                deno_core::scope!(scope, &mut runtime);
                compiled = v8::Local::new(scope, script).create_code_cache().expect("compiled code").to_vec();
            }
        }
        let evaluated = cpu();
        let length = ask(&mut runtime);
        let answered = cpu();
        assert!(ask(&mut runtime) > 0 && length > 0);
        let again = cpu();
        if round >= 2 {
            let all =
                [restored - begun, evaluated - restored, answered - evaluated, again - answered, answered - begun];
            for (times, took) in times.iter_mut().zip(all) {
                times.push(took.as_secs_f64() * 1e3);
            }
        }
    }
    let cells: Vec<String> = times
        .iter_mut()
        .map(|times| {
            times.sort_unstable_by(f64::total_cmp);
            format!("{:.2}", times[times.len() / 2])
        })
        .collect();
    println!("{}", cells.join(" | "));
    std::process::exit(0);
}

/// Prints what V8 has of each space, in KiB.
fn spaces(runtime: &mut JsRuntime) {
    let isolate = runtime.v8_isolate();
    let kib = |bytes: usize| bytes >> 10;
    for index in 0..isolate.number_of_heap_spaces() {
        let Some(space) = isolate.get_heap_space_statistics(index) else { continue };
        let (used, committed) = (kib(space.space_used_size()), kib(space.physical_space_size()));
        println!("{}: {used} KiB used of {committed}", space.space_name().to_string_lossy());
    }
    let heap = isolate.get_heap_statistics();
    println!("malloced {} KiB, external {} KiB", kib(heap.malloced_memory()), kib(heap.external_memory()));
}

/// The scripts that are loaded on first use and not in a snapshot that `has` others.
fn residual(has: &str) -> Vec<(&'static str, PathBuf)> {
    let has: Vec<&str> = has.lines().collect();
    let mut scripts = atoll_web::residual_scripts(&has);
    for extension in atoll_node::extensions() {
        for file in extension.lazy_loaded_js_files.iter() {
            if let deno_core::ExtensionFileSourceCode::LoadedFromFsDuringSnapshot(path) = &file.code
                && !has.contains(&file.specifier)
            {
                scripts.push((file.specifier, PathBuf::from(path)));
            }
        }
    }
    scripts.sort_unstable_by_key(|(specifier, _)| *specifier);
    scripts
}

/// CPU time of this thread, which does all there is to do: what else the machine does changes it less than the time that passes.
fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the time and no more.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "Linux has this clock");
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("less than a second"))
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: usize = status.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096
}
