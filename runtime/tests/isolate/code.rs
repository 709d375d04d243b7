//! Compiled code: what is in it, who finds it, and how what it belongs to is started.

use atoll_runtime::CodeStarts;

use super::*;

#[tokio::test]
async fn code_is_compiled_ahead_once_and_found_by_later_pools() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let options = PoolOptions { warm: 1, code: Some(directory.path().join("code")) };
        Pool::new(&Engine::init(EngineOptions::default()), options)
    };
    // Large enough that functions are compiled when they are called first.
    let padding = format!("// {}\n", "x".repeat(40_000));
    let source = format!(
        "{padding}console.log('top level'); const late = () => 'late'; \
         export default {{ fetch() {{ return new Response(late()) }} }}"
    );
    let host = Arc::new(Recorder::default());
    let worker = || {
        let bundle = bundle(&[("index.js", ModuleKind::EsModule, source.as_bytes())]);
        let (_, hash) = bundle.pack();
        let (env, limits, host) = ([].into(), patient(), host.clone());
        Worker { app: "app".into(), version: 1, bundle, hash, env, limits, host }
    };
    let size = || {
        let mut entries: Vec<_> =
            std::fs::read_dir(directory.path().join("code")).unwrap().map(Result::unwrap).collect();
        // One may be under way to take the other's place.
        entries.retain(|entry| entry.path().extension().is_none_or(|extension| extension != "new"));
        assert_eq!(entries.len(), 1);
        entries[0].metadata().unwrap().len()
    };
    let pool = open();
    pool.compile(worker()).expect("nothing is compiled yet").ended().await;
    assert_eq!(host.text(), "", "nothing is logged before there is a request");
    assert!(pool.compile(worker()).is_none(), "it is compiled");
    let compiled = size();
    drop(pool);

    let pool = open();
    assert!(pool.compile(worker()).is_none(), "it is found on disk");
    let isolate = pool.start(worker());
    let deadline = Instant::now() + Duration::from_secs(120);
    while size() <= compiled {
        assert_eq!(ask(&isolate, "/").await, "late");
        assert!(Instant::now() < deadline, "the functions that requests call are added");
    }
    assert_eq!(host.text(), "log: top level\n");
    let hash = worker().hash;
    pool.sweep(&[hash].into());
    assert!(pool.compile(worker()).is_none(), "what is needed stays");
    pool.sweep(&[].into());
    assert!(open().compile(worker()).is_some(), "what is not needed goes");
}

/// Regular expressions of every kind, and an answer that lists what they find.
const EXPRESSIONS: &str = r#"
import { env } from "cloudflare:workers";
const kept = new RegExp(env.KEY.slice(0, 3) + env.KEY.slice(3));
const joined = new RegExp(["top", "level", "(?<word>[\\p{L}\\p{N}]+)"].join("-"), "u");
const sticky = /a(b)?/y;
const find = (expression, text) => [...text.matchAll(expression)].map((match) => [match.index, ...match, { ...match.groups }]);
export default { fetch(request) {
    const asked = new URL(request.url).searchParams.get("q");
    const found = [kept.test(env.KEY), kept.source.length];
    for (const text of ["top-level-word aab\nAAB (x) 1/2", "top-level-w\u00f6rter\u20ac aab\nAAB \u{1f600} \u2028"]) {
        sticky.lastIndex = 16;
        found.push(
            joined.exec(text)?.groups.word, sticky.exec(text)?.index, sticky.lastIndex, find(/^a+(?<last>b)$/gim, text),
            find(/(?<=a)b|(?<!a)x/g, text), find(/[\p{Lu}&&[A-C]]/gv, text), find(/./gsu, text).length, find(/(?:)/g, text).length,
            find(/(\d)\/(\d)|[^\x00-\x7f]/g, text), /\u{1f600}/u.test(text), /(?<a>x)|(?<a>1)/d.exec(text)?.indices.groups.a,
            find(new RegExp(`${asked}|x`, "g"), text), text.replace(/(a)(?<b>b)/gi, "$<b>$1"), String(new RegExp("/\n")),
        );
    }
    return Response.json(found);
} };
"#;

#[tokio::test]
async fn compiled_code_has_the_regular_expressions_of_a_program_and_not_those_of_requests() {
    let directory = tempfile::tempdir().unwrap();
    let code = directory.path().join("code");
    let open = || Pool::new(&Engine::init(EngineOptions::default()), PoolOptions { warm: 1, code: Some(code.clone()) });
    // Large enough that functions are compiled when they are called first.
    let source = format!("// {}\n{EXPRESSIONS}", "x".repeat(40_000));
    let bundle = bundle(&[("index.js", ModuleKind::EsModule, source.as_bytes())]);
    let (_, hash) = bundle.pack();
    let host = Arc::new(Recorder::default());
    let worker = || {
        let env = [("KEY".to_owned(), Binding::Secret("s3cret".into()))].into();
        let (limits, host, bundle) = (patient(), host.clone(), bundle.clone());
        Worker { app: "app".into(), version: 1, bundle, hash, env, limits, host }
    };
    let contains = |text: &str| {
        let content = std::fs::read(code.join(hash.to_string())).unwrap_or_default();
        content.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let pool = open();
    pool.compile(worker()).expect("nothing is compiled yet").ended().await;
    let (joined, called) = ("top-level-(?<word>[\\p{L}\\p{N}]+)", "(?<=a)b|(?<!a)x");
    assert!(contains(joined), "what the top level made is there before there is a request");
    assert!(!contains(called), "nobody has called this yet");
    let isolate = pool.start(worker());
    let expected = ask(&isolate, "/?q=personal").await;
    assert!(expected.starts_with(r#"[true,6,"word",16,18,[],[[17,"b",{}],[24,"x",{}]],"#), "{expected}");
    let deadline = Instant::now() + Duration::from_secs(120);
    while !contains(called) {
        assert_eq!(ask(&isolate, "/?q=personal").await, expected);
        assert!(Instant::now() < deadline, "what requests call is added");
    }
    assert!(contains(joined) && !contains("personal"), "what requests ask for is in memory only");
    assert!(!contains("s3cret"), "and so are secrets");
    drop(pool);
    for _ in 0..2 {
        let pool = open();
        let isolate = pool.start(worker());
        assert_eq!(ask(&isolate, "/?q=personal").await, expected);
        assert_eq!(ask(&isolate, "/?q=personal").await, expected);
        assert_eq!(pool.code_starts(), CodeStarts { memory: 0, disk: 1, none: 0 });
    }
}

/// Says whether a module that it imports by its own name, unseen, is itself.
const IMPORTS_ITSELF: &str = "const handler = { async fetch() {
    const imported = await eval(`im${'port'}('./index.js')`);
    return new Response(imported.default === handler ? 'the same' : 'another');
} };
export default handler;";

#[tokio::test]
async fn modules_that_import_nothing_are_as_others() {
    let other = ("other.js", ModuleKind::EsModule, b"export default 'other'".as_slice());
    for (code, expected) in [
        ("export default { fetch() { return new Response('plain') } }", "plain"),
        // What looks like an import.
        ("const text = 'import(1)'; export default { fetch() { return new Response(text) } }", "import(1)"),
        ("export default { fetch() { return new Response(import.meta.url) } }", "file:///index.js"),
        ("const late = await 'late'; export default { fetch() { return new Response(late) } }", "late"),
        ("export default { async fetch() { return new Response((await import('./other.js')).default) } }", "other"),
        (
            "export default { async fetch() { return new Response((await eval(`im${'port'}('./other.js')`)).default) } }",
            "other",
        ),
        (
            "export { default as other } from './other.js'; export default { fetch() { return new Response('from') } }",
            "from",
        ),
        ("const handler = { fetch() { return new Response('declared') } }; export { handler as default }", "declared"),
        ("addEventListener('fetch', (event) => event.respondWith(new Response('listened')))", "listened"),
        (
            "export default { fetch() { return new Response(new Error('e').stack.split('\\n')[1].trim()) } }
            //# sourceMappingURL=none.map",
            "at Object.fetch (file:///index.js:1:48)",
        ),
        ("export default { fetch() { return new Response('caf\u{e9} \u{20ac}') } }", "caf\u{e9} \u{20ac}"),
        // One that is alone is in no map: it is another instance of itself that it imports. In doubt, as with this comment, a
        // module is not alone.
        (IMPORTS_ITSELF, "another"),
        (&format!("/* import( */ {IMPORTS_ITSELF}"), "the same"),
    ] {
        let bundle = bundle(&[("index.js", ModuleKind::EsModule, code.as_bytes()), other]);
        let (_, hash) = bundle.pack();
        let worker = || Worker {
            app: "app".into(),
            version: 1,
            bundle: bundle.clone(),
            hash,
            env: [].into(),
            limits: patient(),
            host: Arc::new(Recorder::default()),
        };
        // Compiled for its own start, and before it.
        for _ in 0..2 {
            assert_eq!(ask(&pool().start(worker()), "/").await, expected, "{code}");
            if let Some(compiling) = pool().compile(worker()) {
                compiling.ended().await;
            }
        }
    }
}
