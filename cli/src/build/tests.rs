//! Building real folders: what becomes of every kind of file, and what is said of every kind of mistake.

use std::path::Path;

use atoll_bundle::ModuleKind;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, content) in files {
            folder.write(name, content);
        }
        folder
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn project(&self, main: &str) -> Project {
        let text = format!("name = \"t\"\nmain = {main:?}\ncompatibility_date = \"2026-01-01\"\nno_bundle = true\n");
        self.write("wrangler.toml", &text);
        Project::load(self.0.path(), None, "2026-01-01").unwrap()
    }

    fn build(&self, main: &str) -> Result<Bundle, BuildError> {
        Builder::new(Mode::Production).build(&self.project(main))
    }
}

fn text<'a>(bundle: &'a Bundle, name: &str) -> &'a str {
    let names: Vec<_> = bundle.modules.iter().map(|module| &module.name).collect();
    let module = bundle.module(name).unwrap_or_else(|| panic!("no {name:?} in {names:?}"));
    std::str::from_utf8(&module.content).unwrap()
}

fn report(error: &BuildError) -> String {
    let mut out = String::new();
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor());
    handler.render_report(&mut out, error).unwrap();
    out
}

const HANDLER: &str = "export default { fetch() { return new Response('ok') } }\n";

#[test]
fn typescript_becomes_javascript_with_a_map_and_types_are_gone() {
    let folder = Folder::new(&[
        (
            "src/index.ts",
            "import { greet, type Name } from './lib/greet';\nimport type { X } from 'not-there';\nconst n: Name = 'x';\nexport default { async fetch(): Promise<Response> { return new Response(greet(n)); } };\n",
        ),
        (
            "src/lib/greet.ts",
            "export type Name = string;\nexport const greet = (name: Name): string => `hi ${name}`;\n",
        ),
    ]);
    let bundle = folder.build("src/index.ts").unwrap();
    assert_eq!(bundle.main, "src/index.js");
    let code = text(&bundle, "src/index.js");
    assert!(code.contains("from \"./lib/greet.js\""), "{code}");
    assert!(!code.contains("not-there") && !code.contains(": Name"), "{code}");
    let map: serde_json::Value = serde_json::from_str(text(&bundle, "src/index.js.map")).unwrap();
    assert_eq!(map["sources"], serde_json::json!(["index.ts"]));
    assert_eq!(bundle.module("src/index.js.map").unwrap().kind, ModuleKind::SourceMap);
    assert!(!text(&bundle, "src/index.js.map").contains(&folder.0.path().display().to_string()));
}

#[test]
fn a_map_stays_right_behind_a_rewritten_specifier() {
    let folder = Folder::new(&[
        (
            "src/index.ts",
            "export default { async fetch() { const m = await import('./other'); throw new Error(m.x); } };\n",
        ),
        ("src/other.ts", "export const x: string = 'x';\n"),
    ]);
    let bundle = folder.build("src/index.ts").unwrap();
    let code = text(&bundle, "src/index.js");
    let source = "export default { async fetch() { const m = await import('./other'); throw new Error(m.x); } };\n";
    let at = code.find("throw").unwrap();
    let original = source_map::original_offset(text(&bundle, "src/index.js.map"), code, source, at).unwrap();
    assert!(source[original..].starts_with("throw"), "{}", &source[original..]);
}

#[test]
fn every_kind_of_asset_is_a_module_of_its_kind() {
    let folder = Folder::new(&[
        (
            "src/index.js",
            "import wasm from './a.wasm';\nimport wasm2 from './a.wasm?module';\nimport text from './t.txt';\nimport page from './p.html';\nimport data from './d.bin';\nimport json from './j.json' with { type: 'json' };\nimport { version } from '../package.json';\nexport default { fetch() { return new Response(text + version) } }\n",
        ),
        ("src/a.wasm", "\0asm"),
        ("src/t.txt", "text"),
        ("src/p.html", "<p>"),
        ("src/d.bin", "\u{1}\u{2}"),
        ("src/j.json", "{\"a\":1}"),
        ("package.json", "{\"version\":\"1.2.3\"}"),
    ]);
    let bundle = folder.build("src/index.js").unwrap();
    let kind = |name: &str| bundle.module(name).unwrap().kind;
    assert_eq!(kind("src/a.wasm"), ModuleKind::Wasm);
    assert_eq!(kind("src/t.txt"), ModuleKind::Text);
    assert_eq!(kind("src/p.html"), ModuleKind::Text);
    assert_eq!(kind("src/d.bin"), ModuleKind::Data);
    assert_eq!(kind("src/j.json"), ModuleKind::Json);
    let code = text(&bundle, "src/index.js");
    assert!(code.contains("import json from \"./j.json\";"), "{code}");
    assert!(code.contains("import wasm2 from \"./a.wasm\""), "{code}");
    assert!(code.contains("from \"../package.json.import.js\""), "{code}");
    assert!(text(&bundle, "package.json.import.js").contains("as \"version\""));
}

#[test]
fn packages_resolve_by_exports_conditions_and_keep_their_place() {
    let folder = Folder::new(&[
        (
            "src/index.ts",
            "import { a } from 'pkg';\nimport b from '@scope/lib/sub';\nexport default { fetch() { return new Response(a + b) } }\n",
        ),
        (
            "node_modules/pkg/package.json",
            r#"{"name":"pkg","type":"module","exports":{".":{"workerd":"./worker.js","default":"./node.js"}}}"#,
        ),
        ("node_modules/pkg/worker.js", "export * from './inner.js';\n"),
        ("node_modules/pkg/inner.js", "export const a = 'a';\n"),
        ("node_modules/pkg/node.js", "export const a = require('fs');\n"),
        (
            "node_modules/@scope/lib/package.json",
            r#"{"name":"@scope/lib","exports":{"./sub":{"import":"./esm/sub.mjs"}}}"#,
        ),
        ("node_modules/@scope/lib/esm/sub.mjs", "export default 'b';\n"),
    ]);
    let bundle = folder.build("src/index.ts").unwrap();
    let code = text(&bundle, "src/index.js");
    assert!(code.contains("\"../node_modules/pkg/worker.js\""), "{code}");
    assert!(code.contains("\"../node_modules/@scope/lib/esm/sub.mjs\""), "{code}");
    assert!(bundle.module("node_modules/pkg/node.js").is_none());
}

#[test]
fn commonjs_is_wrapped_and_imported_by_name() {
    let folder = Folder::new(&[
        (
            "src/index.js",
            "import thing, { named } from 'old';\nexport default { fetch() { return new Response(thing.named + named) } }\n",
        ),
        ("node_modules/old/package.json", r#"{"name":"old","main":"./index.js"}"#),
        (
            "node_modules/old/index.js",
            "'use strict';\nif (process.env.NODE_ENV === 'production') module.exports = require('./prod');\nelse module.exports = require('./dev');\ntry { require('fs') } catch {}\n",
        ),
        (
            "node_modules/old/prod.js",
            "exports.named = 'n';\nObject.defineProperty(exports, '__esModule', { value: true });\n",
        ),
        ("node_modules/old/dev.js", "exports.named = 'd';\n"),
    ]);
    let bundle = folder.build("src/index.js").unwrap();
    assert!(text(&bundle, "src/index.js").contains("\"../node_modules/old/index.js.import.js\""));
    let facade = text(&bundle, "node_modules/old/index.js.import.js");
    assert!(facade.contains("as \"named\""), "{facade}");
    let body = text(&bundle, "node_modules/old/index.js");
    assert!(body.contains("if (\"production\" === 'production')"), "{body}");
    assert!(body.contains("\"./prod\":()=>__atoll_"), "{body}");
    assert!(body.contains("\"fs\":()=>{throw new Error("), "{body}");
    assert_eq!(body.lines().next().unwrap().matches("'use strict'").count(), 1, "line numbers stay");
}

#[test]
fn jsx_follows_tsconfig_and_paths_resolve() {
    let folder = Folder::new(&[
        (
            "tsconfig.json",
            r#"{"compilerOptions":{"jsx":"react-jsx","jsxImportSource":"mini","baseUrl":".","paths":{"@/*":["./src/*"]}}} // comment"#,
        ),
        (
            "src/index.tsx",
            "import { Page } from '@/page';\nexport default { fetch() { return new Response(String(<Page n={1} />)) } }\n",
        ),
        ("src/page.tsx", "export const Page = (p: { n: number }) => <b>{p.n}</b>;\n"),
        ("node_modules/mini/package.json", r#"{"name":"mini","type":"module","exports":{"./jsx-runtime":"./jsx.js"}}"#),
        (
            "node_modules/mini/jsx.js",
            "export const jsx = (t, p) => JSON.stringify([t, p]);\nexport const jsxs = jsx;\nexport const Fragment = '';\n",
        ),
    ]);
    let bundle = folder.build("src/index.tsx").unwrap();
    assert!(text(&bundle, "src/index.js").contains("\"../node_modules/mini/jsx.js\""));
    assert!(text(&bundle, "src/index.js").contains("\"./page.js\""));
}

#[test]
fn a_syntax_error_shows_file_line_column_and_the_line() {
    let folder = Folder::new(&[("src/index.ts", "const a = 1;\nexport default { fetch( { }\n")]);
    let error = folder.build("src/index.ts").unwrap_err();
    assert_eq!(error.code(), "syntax-error");
    let report = report(&error);
    assert!(report.contains("src/index.ts:2:") || report.contains("src/index.ts:3:"), "{report}");
    let folder = Folder::new(&[("src/index.js", "export default {\n  fetch() { return new Response(1 2) }\n}\n")]);
    let error = folder.build("src/index.js").unwrap_err();
    assert!(error.to_string().starts_with("src/index.js:2:35: "), "{error}");
}

#[test]
fn an_import_that_does_not_resolve_says_where_it_stands_and_what_was_tried() {
    let folder = Folder::new(&[(
        "src/index.ts",
        "const a: number = 1;\nimport { b } from './gone';\nimport c from 'left-pad';\nexport default { fetch() { return new Response(b + c + a) } }\n",
    )]);
    let error = folder.build("src/index.ts").unwrap_err();
    assert_eq!(error.to_string(), "src/index.ts:2:20: the import \"./gone\" does not resolve");
    assert!(report(&error).contains("neither src/./gone nor it with .ts"), "{}", report(&error));
    folder.write("src/gone.ts", "export const b = 1;");
    let error = folder.build("src/index.ts").unwrap_err();
    assert_eq!(error.to_string(), "src/index.ts:3:16: the import \"left-pad\" does not resolve");
    assert!(report(&error).contains("npm install left-pad"), "{}", report(&error));
}

#[test]
fn an_import_whose_failing_is_minded_fails_when_it_runs() {
    let minded = [
        "try { await import('left-pad') } catch {}",
        "import('left-pad').catch(() => {})",
        "import('left-pad').then((pad) => pad.default).catch(() => {})",
        "import('left-pad').then(() => {}, () => {})",
        "try { await import('node:sqlite') } catch {}",
    ];
    let build = |code: &str| {
        let entry = format!("export default {{ async fetch() {{ {code}; return new Response() }} }}");
        Folder::new(&[("index.js", &entry)]).build("index.js")
    };
    for code in minded {
        let bundle = build(code).unwrap_or_else(|error| panic!("{code}: {error}"));
        assert!(text(&bundle, "index.js").contains(code), "{code}");
    }
    let unminded = [
        "await import('left-pad')",
        "try { await import('left-pad') } finally {}",
        "try { [1].map(() => import('left-pad')) } catch {}",
        "try {} catch { await import('left-pad') }",
        "import('left-pad').then(() => {})",
        "import('left-pad').finally(() => {})",
    ];
    for code in unminded {
        let error = build(code).expect_err(code);
        assert!(error.to_string().ends_with("the import \"left-pad\" does not resolve"), "{code}: {error}");
    }
}

#[test]
fn a_required_es_module_says_what_it_is() {
    let folder = Folder::new(&[
        ("index.js", &format!("import 'old';\n{HANDLER}")),
        ("node_modules/old/package.json", r#"{"main":"./index.js"}"#),
        ("node_modules/old/index.js", "const made = require('new');\nexports.made = made.default;\n"),
        ("node_modules/new/package.json", r#"{"type":"module","main":"./index.js"}"#),
        ("node_modules/new/index.js", "export default class {}\n"),
    ]);
    let bundle = folder.build("index.js").unwrap();
    let body = text(&bundle, "node_modules/old/index.js");
    assert!(body.contains("\"new\":()=>__atoll_es(__atoll_0)"), "{body}");
    assert!(body.contains("\"__esModule\",{value:true}"), "{body}");
}

#[test]
fn built_in_modules_are_named() {
    for specifier in ["node:fs", "fs", "cloudflare:sockets", "atoll:nothing"] {
        let folder = Folder::new(&[("index.js", &format!("import x from '{specifier}';\n{HANDLER}"))]);
        let error = folder.build("index.js").unwrap_err();
        assert_eq!(error.code(), "import-not-available");
        assert!(error.to_string().starts_with("index.js:1:15: the built-in module"), "{error}");
        let is_told = report(&error).contains("opens no TCP connections");
        assert_eq!(is_told, specifier == "cloudflare:sockets", "{}", report(&error));
    }
}

#[test]
fn modules_of_the_platform_stay_imports() {
    let code = "import { WASI } from 'atoll:wasi';\nimport { env } from 'cloudflare:workers';\n\
        export default { fetch() { return new Response(typeof WASI + env) } }\n";
    let folder = Folder::new(&[("index.js", code)]);
    let modules = folder.build("index.js").unwrap();
    let built = format!("{modules:?}");
    assert!(built.contains("atoll:wasi") && built.contains("cloudflare:workers"), "{built}");
    let folder = Folder::new(&[("index.js", &format!("import {{ Wasi }} from 'atoll:wasi';\n{HANDLER}"))]);
    let error = folder.build("index.js").unwrap_err();
    assert_eq!(error.to_string(), "index.js:1:10: \"atoll:wasi\" does not export \"Wasi\" here");
}

#[test]
fn files_of_no_known_kind_and_broken_json_are_named() {
    let folder = Folder::new(&[("index.js", &format!("import s from './s.css';\n{HANDLER}")), ("s.css", "p {}")]);
    let error = folder.build("index.js").unwrap_err();
    assert_eq!(error.to_string(), "index.js:1:15: nothing says what kind of module \"s.css\" is");
    assert!(report(&error).contains("add a rule to wrangler.toml"), "{}", report(&error));
    let folder =
        Folder::new(&[("index.js", &format!("import j from './j.json';\n{HANDLER}")), ("j.json", "{\n  \"a\": ,\n}")]);
    assert_eq!(folder.build("index.js").unwrap_err().to_string(), "j.json:2:8: expected value");
}

#[test]
fn a_name_that_is_not_exported_is_an_error() {
    let folder = Folder::new(&[
        ("index.ts", "import { a, b } from './lib';\nexport default { fetch() { return new Response(a + b) } }\n"),
        ("lib.ts", "export * from './more';\nexport const c = 1;\n"),
        ("more.ts", "export const a = 'a';\n"),
    ]);
    let error = folder.build("index.ts").unwrap_err();
    assert_eq!(error.code(), "export-missing");
    assert_eq!(error.to_string(), "index.ts:1:13: \"lib.ts\" does not export \"b\"");
}

#[test]
fn the_entry_must_be_there_and_have_a_default_export() {
    let folder = Folder::new(&[("index.js", "export const fetch = () => {};\n")]);
    assert!(matches!(folder.build("index.js").unwrap_err(), BuildError::NoDefaultExport(file) if file == "index.js"));
    folder.write("other.js", "export default { other() {} };\n");
    assert!(matches!(folder.build("other.js").unwrap_err(), BuildError::NoHandler(file) if file == "other.js"));
    folder.write("spread.js", "const o = { fetch() {} };\nexport default { ...o };\n");
    folder.build("spread.js").unwrap();
    assert!(matches!(folder.build("gone.js").unwrap_err(), BuildError::NoEntry(file) if file == "gone.js"));
}

#[test]
fn the_same_project_has_the_same_hash_wherever_it_lies() {
    let files = [
        ("src/index.ts", "import { x } from './x';\nexport default { fetch() { return new Response(x) } }\n"),
        ("src/x.ts", "export const x = '1';\n"),
    ];
    let hash = |folder: &Folder| folder.build("src/index.ts").unwrap().pack().1;
    assert_eq!(hash(&Folder::new(&files)), hash(&Folder::new(&files)));
}

#[test]
fn a_builder_notices_changed_files() {
    let folder = Folder::new(&[("index.js", HANDLER)]);
    let project = folder.project("index.js");
    let mut builder = Builder::new(Mode::Development);
    let first = builder.build(&project).unwrap();
    assert_eq!(builder.build(&project).unwrap(), first);
    folder.write("index.js", &format!("// longer\n{HANDLER}"));
    assert_ne!(builder.build(&project).unwrap(), first);
}

#[test]
fn relative_specifiers_go_up_and_down() {
    let cases = [
        ("a.js", "b.js", "./b.js"),
        ("x/a.js", "b.js", "../b.js"),
        ("x/a.js", "x/y/b.js", "./y/b.js"),
        ("x/y/a.js", "x/z/b.js", "../z/b.js"),
    ];
    for (from, to, expected) in cases {
        assert_eq!(graph::relative_specifier(from, to), expected);
    }
    assert_eq!(graph::shown_path(Path::new("/p"), Path::new("/q/node_modules/m/i.js")), "node_modules/m/i.js");
}

#[test]
fn modules_of_node_js_are_built_in_with_their_flag() {
    let folder = Folder::new(&[
        (
            "src/index.js",
            "import { Buffer } from 'buffer';\nimport path from 'node:path';\nimport old from 'old';\nexport default { fetch() { return new Response(Buffer.name + path.sep + old) } }\n",
        ),
        ("node_modules/old/package.json", "{\"name\":\"old\",\"main\":\"index.js\",\"browser\":{\"util\":false}}"),
        (
            "node_modules/old/index.js",
            "const util = require('util');\nlet fs; try { fs = require('fs') } catch {}\nmodule.exports = util.format('%s', 1);\n",
        ),
    ]);
    let build = |flags: &[&str]| {
        let mut project = folder.project("src/index.js");
        project.compatibility_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Builder::new(Mode::Production).build(&project)
    };
    let bundle = build(&["nodejs_compat"]).unwrap();
    let code = text(&bundle, "src/index.js");
    assert!(code.contains("from \"node:buffer\"") && code.contains("from \"node:path\""), "{code}");
    let code = text(&bundle, "node_modules/old/index.js");
    assert!(code.contains("from\"node:util\"") && code.contains("node:fs"), "{code}");

    let error = report(&build(&[]).unwrap_err());
    assert!(error.contains("src/index.js:1") && error.contains("node:buffer"), "{error}");
    assert!(error.contains("nodejs_compat"), "{error}");
    folder.write("src/index.js", "import { open } from 'node:sqlite';\nexport default { fetch() { return open() } }\n");
    let error = report(&build(&["nodejs_compat"]).unwrap_err());
    assert!(error.contains("node:sqlite") && error.contains("no compatibility flag"), "{error}");
    folder.write("src/index.js", "import { nope } from 'node:path';\nexport default { fetch() { return nope() } }\n");
    let error = report(&build(&["nodejs_compat"]).unwrap_err());
    assert!(error.contains("does not export \"nope\""), "{error}");
}

#[test]
fn scripts_that_listen_need_no_default_export() {
    let folder =
        Folder::new(&[("index.js", "addEventListener('fetch', (event) => event.respondWith(new Response()));")]);
    assert!(folder.build("index.js").is_ok());
    let folder = Folder::new(&[("index.js", "export const a = 1; addEventListener('fetch', () => {});")]);
    assert!(matches!(folder.build("index.js").unwrap_err(), BuildError::NoDefaultExport(_)));
}

#[test]
fn the_platforms_own_modules_are_left_to_it() {
    let class = "export default class extends WorkerEntrypoint { fetch() { return new Response(env.A); } }";
    let code = format!("import {{ WorkerEntrypoint, env }} from 'cloudflare:workers';\n{class}");
    assert!(Folder::new(&[("index.js", &code)]).build("index.js").is_ok());
    let code = format!("import {{ abortIsolate }} from 'cloudflare:workers';\n{HANDLER}");
    let error = Folder::new(&[("index.js", &code)]).build("index.js").unwrap_err().to_string();
    assert!(error.contains("does not export \"abortIsolate\""), "{error}");
}

#[test]
fn an_alias_is_imported_instead() {
    let folder = Folder::new(&[
        (
            "src/index.js",
            "import { a } from 'lib';\nimport b from 'lib/part.js';\nimport fs from 'node:fs';\nimport rest from 'library';\nimport asked from 'asked';\nexport default { fetch() { return new Response(a + b + fs + rest + asked) } };\n",
        ),
        ("src/own/index.js", "export const a = 'own';\n"),
        ("src/own/part.js", "export default 'part';\n"),
        ("src/files.js", "export default 'files';\n"),
        ("node_modules/library/index.js", "export default 'library';\n"),
        // An alias may name the file that browsers do not get.
        (
            "node_modules/asked/package.json",
            r#"{ "browser": { "./lib/node.js": "./lib/client.js" }, "main": "lib/node.js" }"#,
        ),
        ("node_modules/asked/lib/node.js", "module.exports = 'node';\n"),
        ("node_modules/asked/lib/client.js", "module.exports = 'client';\n"),
    ]);
    let mut project = folder.project("src/index.js");
    let alias = [("lib", "./src/own"), ("node:fs", "./src/files.js"), ("asked", "asked/lib/node.js")];
    project.alias = alias.map(|(name, target)| (name.to_owned(), target.to_owned())).into();
    let bundle = Builder::new(Mode::Production).build(&project).unwrap();
    let names: Vec<_> = bundle.modules.iter().map(|module| module.name.as_str()).collect();
    let own = ["src/own/index.js", "src/own/part.js", "src/files.js"];
    for wanted in own.into_iter().chain(["node_modules/library/index.js", "node_modules/asked/lib/node.js"]) {
        assert!(names.contains(&wanted), "{wanted} in {names:?}");
    }
    assert!(!names.contains(&"node_modules/asked/lib/client.js"), "{names:?}");
}
