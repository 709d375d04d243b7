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

/// What of V8 is written in C++ looks for a termination in its loops: see third_party/v8/patches.
#[tokio::test]
async fn builtins_over_array_likes_of_any_length_are_terminated() {
    for body in [
        "Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1);",
        "Array.prototype.includes.call({ length: 2 ** 53 - 1 }, 1);",
        "const a = []; a.length = 2 ** 32 - 1; a[2 ** 31] = 1; a.indexOf(2);",
        "const a = []; a.length = 2 ** 32 - 1; Object.defineProperty(a, 2 ** 31, { get() {} }); a.includes(2);",
        "Array.prototype.fill.call(new Proxy({ length: 2 ** 53 - 1 }, {}), 1);",
        "Array.prototype.fill.call({ length: 2 ** 53 - 1, set 0(_) {} }, 1, 2 ** 52);",
        "Array.prototype.shift.call({ length: 2 ** 53 - 1 });",
        "[].concat({ length: 2 ** 32 - 1, [Symbol.isConcatSpreadable]: true });",
        "const a = []; a.length = 2 ** 32 - 1; a[0] = 1;
            Object.setPrototypeOf(a, Object.setPrototypeOf(new String('x'), Array.prototype)); [].concat(a, 1);",
        "const raw = []; raw.length = 2 ** 32 - 1; raw.fill('', 0, 10); Object.setPrototypeOf(raw, ['']); String.raw({ raw });",
        "JSON.stringify({}, Object.assign([], { length: 2 ** 32 - 1 }));",
        "Intl.getCanonicalLocales({ length: 2 ** 32 - 1 });",
        "const r = /a/g; r.exec = Object.bind(null, { 0: 'x' }); r[Symbol.replace]('aaa', 'b');",
        "new Uint8Array({ length: 2 ** 26 });",
        // These ask for a property of each index, which C++ answers.
        "Array.prototype.lastIndexOf.call({ length: 2 ** 53 - 1 }, 1);",
        "Array.prototype.reverse.call({ length: 2 ** 53 - 1 });",
        "Array.prototype.copyWithin.call({ length: 2 ** 53 - 1 }, 1, 0);",
    ] {
        ends(body, 50).await;
    }
}

/// What took as many steps as the product of both lengths, or as the square of one: more than the CPU time of many requests.
#[tokio::test]
async fn searches_and_normal_forms_of_strings_take_linear_time() {
    let (isolate, _) = handler(
        "const block = 'b' + 'a'.repeat(999_999), needle = 'b' + 'a'.repeat(1e6);
        const text = block.repeat(6) + 'a'.repeat(4e6);
        const reverse = 'a'.repeat(1e6) + 'b';
        return Response.json([
            text.indexOf(needle), text.indexOf(needle + 'b'), text.split(needle).length, text.replaceAll(needle, '').length,
            'a'.repeat(4e6).lastIndexOf(reverse), ('a'.repeat(1e6) + 'b' + 'a'.repeat(4e6)).lastIndexOf(reverse),
        ]);",
    );
    let answer = isolate.fetch(get("/")).await.unwrap();
    assert_eq!(text(answer).await, "[5000000,-1,2,8999999,-1,0]");
    let (isolate, _) = handler(
        "const text = 'a' + '\\u0315'.repeat(1e6) + '\\u0300'.repeat(1e6), [composed, decomposed] = [text.normalize(), text.normalize('NFD')];
        return Response.json([
            composed === 'à' + '\\u0300'.repeat(1e6 - 1) + '\\u0315'.repeat(1e6),
            decomposed === 'a' + '\\u0300'.repeat(1e6) + '\\u0315'.repeat(1e6),
        ]);",
    );
    assert_eq!(text(isolate.fetch(get("/")).await.unwrap()).await, "[true,true]");
}

/// The code points of a property are kept for the whole process; which ones they are depends on the flags and on whether
/// they are asked for or excluded.
#[tokio::test]
async fn classes_of_unicode_are_the_same_for_every_expression() {
    let body = "const sample = ['a', 'Z', '1', ' ', 'ß', 'Ω', '中', '😀', '\\u0301', '\\u{10ffff}'];
        const rows = [];
        for (const name of ['L', 'Lu', 'Letter', 'Script=Han', 'scx=Grek', 'Emoji', 'ASCII', 'Any', 'Assigned', 'White_Space'])
            for (const flags of ['u', 'iu', 'v', 'iv'])
                for (const form of ['\\\\p{*}', '\\\\P{*}', '[^\\\\p{*}]', '[\\\\p{*}0-9]', '[\\\\p{*}\\\\p{Nd}a]']) {
                    const expression = new RegExp('^' + form.replace('*', name) + '$', flags);
                    rows.push(sample.map((char) => (expression.test(char) ? 1 : 0)).join(''));
                }
        return new Response(rows.join(' '));";
    let mut answers = Vec::new();
    for _ in 0..2 {
        let (isolate, _) = handler(body);
        answers.push(text(isolate.fetch(get("/")).await.unwrap()).await);
    }
    assert_eq!(answers[0], answers[1]);
    let rows: Vec<&str> = answers[0].split(' ').collect();
    // \p{L}, \P{L}, [^\p{L}], [\p{L}0-9] and [\p{L}\p{Nd}a].
    assert_eq!(rows[..5], ["1100111000", "0011000111", "0011000111", "1110111000", "1110111000"]);
    // \p{Lu}: /u folds after the set is made, so that a lower-case letter matches either way.
    assert_eq!(rows[20..22], ["0100010000", "1011101111"]);
    assert_eq!(rows[25..27], ["1100110000", "1111111111"]);
    assert_eq!(rows[60], "0000001000");
}

/// The states of the threads that isolates have, as the kernel names them: `R` runs, `S` sleeps.
fn states_of_isolates() -> Vec<char> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map_while(Result::ok);
    // A thread may end meanwhile.
    let state = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        stat.split_once("(isolate) ")?.1.chars().next()
    };
    tasks.filter_map(state).collect()
}

/// Some builtins of V8 go through an array-like of any length to its end, whatever happens.
#[tokio::test]
async fn code_that_cannot_be_interrupted_is_stopped_and_its_app_refused() {
    let limits = Limits { cpu: Duration::from_millis(50), ..patient() };
    let start = |app: &str, version: u64, body: &str| {
        let code = format!("export default {{ async fetch() {{ {body} }} }}");
        let bundle = bundle(&[("index.js", ModuleKind::EsModule, code.as_bytes())]);
        let (_, hash) = bundle.pack();
        let (env, host) = (Vec::new().into(), Arc::new(Recorder::default()));
        pool().start(Worker { app: app.into(), version, bundle, hash, env, limits: limits.clone(), host })
    };
    let answer = "return new Response('here');";
    let stuck = "Array.prototype.every.call({ length: 2 ** 53 - 1 }, () => true);";
    let (one, two) = (start("endless", 1, stuck), start("endless", 1, stuck));
    let (first, second) = tokio::join!(one.started(), two.started());
    first.and(second).unwrap();
    // Nobody waits for them.
    let (first, second) = tokio::join!(one.fetch(get("/")), two.fetch(get("/")));
    for ended in [first, second] {
        let ended = ended.map(|response| response.status);
        assert!(matches!(ended, Err(HandlerError::CpuLimit { .. })), "{ended:?}");
    }
    // Nor, as soon as it is plain that they go on, for an isolate that the app cannot have, whatever version it is for.
    let begun = Instant::now();
    loop {
        match start("endless", 2, answer).fetch(get("/")).await.map(|response| response.status) {
            Err(HandlerError::CodeStuck) => break,
            ended => assert!(ended.is_ok_and(|status| status == 200) && begun.elapsed() < Duration::from_secs(60)),
        }
    }
    assert_eq!(start("other", 1, answer).fetch(get("/")).await.unwrap().status, 200);
    while pool().losses().0 < 2 || states_of_isolates().contains(&'R') {
        assert!(begun.elapsed() < Duration::from_secs(120), "{:?}: {:?}", pool().losses(), states_of_isolates());
        tokio::task::yield_now().await;
    }
    // What they held is lost, which counts against their version.
    let ended = start("endless", 1, answer).fetch(get("/")).await.map(|response| response.status);
    assert!(matches!(ended, Err(HandlerError::CodeStuck)), "{ended:?}");
    assert_eq!(start("endless", 2, answer).fetch(get("/")).await.unwrap().status, 200);
}

/// What V8 does not know of makes it collect nothing, and a turn may last.
#[tokio::test]
async fn parts_of_blobs_end_their_isolate_within_a_turn() {
    let body = "const part = new Uint8Array(1 << 20); const all = []; for (;;) all.push(new Blob([part]));";
    let (isolate, _) = handler(body);
    isolate.started().await.unwrap();
    let ended = isolate.fetch(get("/")).await.map(|response| response.status);
    assert!(matches!(ended, Err(HandlerError::MemoryLimit { .. })), "{ended:?}");
    isolate.ended().await;
}

/// A resizable buffer sets aside the addresses that it may need one day, of which a process has 128 TiB.
#[tokio::test]
async fn addresses_that_an_isolate_sets_aside_are_bounded() {
    let body = "let made = 0; const all = [], names = [];
        for (let i = 0; i < 3; i++) {
          try { for (; made < 100_000; made++) all.push(new ArrayBuffer(8, { maxByteLength: 2 ** 32 })); }
          catch (error) { names.push(error.name); }
        }
        return new Response(`${names} after ${made < 100 ? 'few' : made}`);";
    let (isolate, _) = handler(body);
    let answer = isolate.fetch(get("/")).await.unwrap();
    assert_eq!(read(answer.body).await.unwrap(), b"RangeError,RangeError,RangeError after few");
    // What is not needed any more is given back.
    let body = "for (let i = 0; i < 2000; i++) { new ArrayBuffer(8, { maxByteLength: 2 ** 32 });
            new WebAssembly.Memory({ initial: 0 }); }
        return new Response('all');";
    let (isolate, _) = handler(body);
    let answer = isolate.fetch(get("/")).await.unwrap();
    assert_eq!(read(answer.body).await.unwrap(), b"all");
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
