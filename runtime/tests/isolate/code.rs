//! Compiled code: what is in it, who finds it, and how what it belongs to is started.

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
