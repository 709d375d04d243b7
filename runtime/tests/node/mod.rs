//! Modules of Node.js in an isolate: what `data.js`, `text.js` and `crypto.js` call answers what Node.js itself answered,
//! which `answers.json` keeps (`node answer.mjs` writes it).

mod http;

use std::collections::BTreeMap;

use super::*;

const CASES: [(&str, &str); 9] = [
    ("agreement.js", include_str!("agreement.js")),
    ("certificates.js", include_str!("certificates.js")),
    ("classes.js", include_str!("classes.js")),
    ("crypto.js", include_str!("crypto.js")),
    ("data.js", include_str!("data.js")),
    ("pairs.js", include_str!("pairs.js")),
    ("pss.js", include_str!("pss.js")),
    ("show.js", include_str!("show.js")),
    ("text.js", include_str!("text.js")),
];

/// An isolate with these flags; its entry is `code`.
fn start_flagged(flags: &[&str], code: &str, modules: &[(&str, &str)]) -> (Isolate, Arc<Recorder>) {
    let code = [("index.js", ModuleKind::EsModule, code.as_bytes())];
    let modules = modules.iter().map(|(name, text)| (*name, ModuleKind::EsModule, text.as_bytes()));
    let modules: Vec<_> = code.into_iter().chain(modules).collect();
    let mut bundle = Arc::unwrap_or_clone(bundle(&modules));
    bundle.compatibility_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    // What is tested is no question of time: everything is slow on a machine that is busy.
    let limits = Limits { cpu: Duration::from_secs(60), startup_cpu: Duration::from_secs(60), ..Limits::default() };
    start_with(Arc::new(bundle), limits)
}

/// What a handler with this body answers with `nodejs_compat`.
async fn ask_node(imports: &str, body: &str) -> String {
    let code = format!("{imports} export default {{ async fetch(request, env) {{ {body} }} }}");
    let (isolate, _) = start_flagged(&["nodejs_compat"], &code, &[]);
    ask(&isolate, "/").await
}

#[tokio::test]
async fn node_modules_answer_what_node_js_answers() {
    let wanted: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_str(include_str!("answers.json")).expect("answers.json");
    let imports: String =
        wanted.keys().enumerate().map(|(index, module)| format!("import m{index} from 'node:{module}';\n")).collect();
    let table: String = wanted.keys().enumerate().map(|(index, module)| format!("'{module}': m{index}, ")).collect();
    let code = format!(
        "{imports}
         import {{ cases as crypto }} from './crypto.js';
         import {{ cases as data }} from './data.js';
         import {{ cases as text }} from './text.js';
         import {{ answers }} from './show.js';
         const modules = {{ {table} }};
         const all = {{ ...text, ...data, ...crypto }};
         export default {{ async fetch(request) {{
            const name = new URL(request.url).searchParams.get('module');
            return Response.json((await answers({{ [name]: all[name] }}, (name) => modules[name]))[name]);
         }} }}"
    );
    let (isolate, _) = start_flagged(&["nodejs_compat"], &code, &CASES);
    let mut differences = Vec::new();
    let mut count = 0;
    for (module, wanted) in wanted {
        let got: BTreeMap<String, String> =
            serde_json::from_str(&ask(&isolate, &format!("/?module={module}")).await).expect("answers");
        assert_eq!(got.len(), wanted.len(), "the cases of {module}: write answers.json anew");
        for (case, answer) in wanted {
            count += 1;
            let got = got.get(&case).map_or("nothing", String::as_str);
            if got != answer {
                differences.push(format!("{module}: {case}\n  Node.js: {answer}\n  here:    {got}"));
            }
        }
    }
    assert!(differences.is_empty(), "{} of {count} differ\n{}", differences.len(), differences.join("\n"));
}

/// Texts whose length's square nobody would wait for.
#[tokio::test]
async fn variables_of_long_texts_are_read_in_linear_time() {
    let body = "const n = 2_000_000, space = ' '.repeat(n);
        const lines = Array.from({ length: 100_000 }, (_, at) => `K${at} = v #`).join('\\n');
        const quotes = Array.from({ length: 100_000 }, (_, at) => `Q${at}='x`).join('\\n\\n');
        return Response.json([
            parseEnv(`A${space}B=1`), parseEnv(`A=1${space}2`), parseEnv(space), parseEnv(`A=1\\n${space}\\nB=2`),
            parseEnv('\\n'.repeat(n)), parseEnv('#'.repeat(n)), parseEnv(lines), parseEnv(quotes),
        ].map((read) => [Object.keys(read).length, Object.keys(read).at(-1)?.length]));";
    let answer = ask_node("import { parseEnv } from 'node:util';", body).await;
    assert_eq!(answer, "[[1,2000002],[1,1],[0,null],[2,1],[0,null],[0,null],[100000,6],[50000,6]]");
}

#[tokio::test]
async fn node_modules_export_the_names_of_the_table() {
    let modules: Vec<&str> = atoll_node::modules().collect();
    let code = format!(
        "import {{ createRequire }} from 'module'; const require = createRequire('/');
         export default {{ fetch: () => Response.json(Object.fromEntries({modules:?}.map((name) => [name,
            Object.keys(require(name)).filter((key) => key !== 'default' && /^[A-Za-z_$][\\w$]*$/.test(key)).sort()]))) }}"
    );
    let (isolate, _) = start_flagged(&["nodejs_compat"], &code, &[]);
    let got: BTreeMap<String, Vec<String>> = serde_json::from_str(&ask(&isolate, "/").await).expect("names");
    for module in modules {
        assert_eq!(got[module].join(" "), atoll_node::exports(module).unwrap().join(" "), "{module}: src/exports.txt");
    }
}

#[tokio::test]
async fn node_modules_need_their_flag() {
    let code = "import { Buffer } from 'node:buffer'; export default { fetch: () => new Response(Buffer.name) }";
    let (isolate, _) = start_flagged(&[], code, &[]);
    let error = isolate.fetch(get("/")).await.unwrap_err().to_string();
    assert!(error.contains("\"node:buffer\"") && error.contains("nodejs_compat"), "{error}");
    let (isolate, _) = start_flagged(&["nodejs_compat"], code, &[]);
    assert_eq!(ask(&isolate, "/").await, "Buffer");
    let (isolate, _) = start_flagged(&["nodejs_compat"], &code.replace("node:buffer", "node:sqlite"), &[]);
    let error = isolate.fetch(get("/")).await.unwrap_err().to_string();
    assert!(error.contains("\"node:sqlite\"") && error.contains("not available"), "{error}");

    let globals = "typeof Buffer + typeof process + typeof setImmediate + typeof global";
    let code = format!("export default {{ fetch: () => new Response({globals}) }}");
    let (isolate, _) = start_flagged(&[], &code, &[]);
    assert_eq!(ask(&isolate, "/").await, "undefined".repeat(4));
    let (isolate, _) = start_flagged(&["nodejs_compat"], &code, &[]);
    assert_eq!(ask(&isolate, "/").await, "functionobjectfunctionobject");
}

#[tokio::test]
async fn nodejs_als_gives_only_the_storage() {
    let code = "import { AsyncLocalStorage } from 'node:async_hooks'; const storage = new AsyncLocalStorage();
        export default { fetch: (request) => storage.run(new URL(request.url).pathname, async () => {
            await scheduler.wait(1); return new Response(storage.getStore() + typeof Buffer); }) }";
    let (isolate, _) = start_flagged(&["nodejs_als"], code, &[]);
    let (a, b) = tokio::join!(ask(&isolate, "/a"), ask(&isolate, "/b"));
    assert_eq!((a.as_str(), b.as_str()), ("/aundefined", "/bundefined"));
}

#[tokio::test]
async fn node_process_has_the_variables_and_logs_what_is_written() {
    let body = "process.stdout.write('one\\ntw'); process.stdout.write('o\\n'); process.stderr.write('three\\n');
        await scheduler.wait(1);
        return Response.json([process.env.GREETING, process.env.CONFIG, process.env.NOTHING])";
    let code = format!("export default {{ async fetch() {{ {body} }} }}");
    let (isolate, host) = start_flagged(&["nodejs_compat"], &code, &[]);
    assert_eq!(ask(&isolate, "/").await, r#"["hi","{\"depth\":[1,2]}",null]"#);
    assert_eq!(host.text(), "log: one\nlog: two\nerror: three\n");
}

#[tokio::test]
async fn what_is_written_to_the_descriptors_of_standard_output_is_logged() {
    let code = r#"
        import fs from "node:fs";
        const says = (call) => { try { return call() } catch (error) { return `${error.code}: ${error.message}` } };
        export default { async fetch() {
            const bytes = new TextEncoder().encode("..four\n..");
            const callback = (...args) => new Promise((resolve) => fs.write(...args, (error, written) => resolve([error, written])));
            return Response.json([
                fs.writeSync(1, "öne\n"), fs.writeSync(2, "two\n", null, "utf8"), await callback(1, "three\n"),
                await callback(1, bytes, 2, 5, null), await new Promise((resolve) => fs.fsync(1, resolve)),
                says(() => fs.writeSync(3, "x")), says(() => fs.write(0, "x", () => {})), says(() => fs.fsync(9, () => {})),
            ]);
        } }"#;
    let (isolate, host) = start_flagged(&["nodejs_compat"], code, &[]);
    let missing = |name: &str| format!("ERR_METHOD_NOT_IMPLEMENTED: {name} is not implemented on Atoll");
    let expected = serde_json::json!([
        5,
        4,
        [null, 6],
        [null, 5],
        null,
        missing("fs.writeSync"),
        missing("fs.write"),
        missing("fs.fsync")
    ]);
    let got: serde_json::Value = serde_json::from_str(&ask(&isolate, "/").await).expect("JSON");
    assert_eq!(got, expected);
    assert_eq!(host.text(), "log: öne\nerror: two\nlog: three\nlog: four\n");
}

#[tokio::test]
async fn node_modules_survive_changed_prototypes() {
    // Loaded after the code has changed what scripts are evaluated with, and nothing of the platform shows.
    let body = "const seen = []; const note = (value) => { for (const key of ['ops', 'core', 'primordials'])
            if (value !== null && typeof value === 'object' && key in value) seen.push(key); };
        const define = Object.defineProperty;
        Object.defineProperty = (...args) => { note(globalThis.__bootstrap); args.forEach(note); return define(...args); };
        const call = Function.prototype.call;
        const names = ['stream', 'util', 'assert', 'url', 'events'];
        for (const name of names) process.getBuiltinModule(name);
        return Response.json([seen, typeof __bootstrap, call.name])";
    assert_eq!(ask_node("", body).await, r#"[[],"undefined","call"]"#);
}

#[tokio::test]
async fn node_modules_with_nothing_behind_them_say_so_when_they_are_used() {
    let code = r#"
        import fs, { readFileSync } from "node:fs";
        import { readFile } from "fs/promises";
        import http, { Agent } from "http";
        import net, { isIP } from "node:net";
        import { isMainThread } from "worker_threads";
        import { EventEmitter } from "events";
        const says = (call) => { try { return call() } catch (error) { return `${error.code}: ${error.message}` } };
        class Pooled extends http.Agent {}
        class Connection extends net.Socket {}
        export default { async fetch() { return Response.json([
            says(() => readFileSync("/etc/passwd")), says(() => fs.createReadStream("x")), says(() => net.connect(1)),
            says(() => new Connection()), await readFile("x").catch((error) => error.message), fs.existsSync("/"),
            new Pooled({ keepAlive: true }) instanceof EventEmitter && Agent === http.Agent, http.STATUS_CODES[404],
            ["1.2.3.4", "::1", "1.2.3", "fe80::1%eth0"].map(isIP), isMainThread, fs.promises.readFile === readFile,
            Connection.prototype instanceof EventEmitter,
        ]) } }"#;
    let (isolate, _) = start_flagged(&["nodejs_compat"], code, &[]);
    let expected = serde_json::json!([
        "ERR_METHOD_NOT_IMPLEMENTED: fs.readFileSync is not implemented on Atoll",
        "ERR_METHOD_NOT_IMPLEMENTED: fs.createReadStream is not implemented on Atoll",
        "ERR_METHOD_NOT_IMPLEMENTED: net.connect is not implemented on Atoll",
        "ERR_METHOD_NOT_IMPLEMENTED: new net.Socket is not implemented on Atoll",
        "fs.promises.readFile is not implemented on Atoll",
        false,
        true,
        "Not Found",
        [4, 6, 0, 6],
        true,
        true,
        true
    ]);
    let got: serde_json::Value = serde_json::from_str(&ask(&isolate, "/").await).expect("JSON");
    assert_eq!(got, expected);
}
