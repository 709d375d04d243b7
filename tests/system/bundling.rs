//! What a project may be made of: TypeScript, JSX, JSON, text, bytes, WebAssembly, npm packages, with and without the
//! project's own esbuild; and what is said when it cannot be built.

use crate::support::http::try_request;
use crate::support::project::PATIENT;
use crate::support::{Project, Up, npm};

/// `(func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)`.
const ADD_WASM: &[u8] = &[
    0, b'a', b's', b'm', 1, 0, 0, 0, 1, 7, 1, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, 3, 2, 1, 0, 7, 7, 1, 3, b'a', b'd', b'd',
    0, 0, 10, 9, 1, 7, 0, 0x20, 0, 0x20, 1, 0x6a, 0x0b,
];

fn everything(name: &str) -> Project {
    Project::new(name)
        .file(
            "src/index.tsx",
            r#"import data from "./data.json";
import text from "./hello.txt";
import bytes from "./raw.bin";
import add from "./add.wasm";
import { h, type Node } from "./jsx";
import * as maths from "./maths";
enum Colour { Red = 1, Blue }
const instance = new WebAssembly.Instance(add);
export default {
  async fetch(request: Request): Promise<Response> {
    const page: Node = <p id={maths.twice(21)}>{text.trim()}</p>;
    const lazy = await import("./lazy.mjs");
    const sum = (instance.exports.add as (a: number, b: number) => number)(2, 3);
    const raw = [...new Uint8Array(bytes)];
    return Response.json({ data, page, raw, sum, colour: Colour.Blue, lazy: lazy.default satisfies string });
  },
} as const;
"#,
        )
        .file("src/data.json", "{ \"answer\": 42 }")
        .file("src/hello.txt", "grüße\n")
        .file("src/raw.bin", [0, 255, 128])
        .file("src/add.wasm", ADD_WASM)
        .file("src/jsx.ts", "export type Node = { tag: string; props: object; children: unknown[] };\nexport const h = (tag: string, props: object, ...children: unknown[]): Node => ({ tag, props, children });\n")
        .file("src/maths/index.ts", "export { twice } from \"./twice.js\";\n")
        .file("src/maths/twice.ts", "export function twice(n: number): number { return n * 2; }\n")
        .file("src/lazy.mjs", "export default \"loaded late\";\n")
        .file("tsconfig.json", "{ \"compilerOptions\": { \"jsx\": \"react\", \"jsxFactory\": \"h\" } }\n")
        .file("wrangler.toml", format!("name = \"{name}\"\nmain = \"src/index.tsx\"\ncompatibility_date = \"2026-11-01\"\n{PATIENT}"))
}

#[test]
fn typescript_jsx_and_all_kinds_of_modules_with_and_without_esbuild() {
    let up = Up::start();
    for (name, esbuild) in [("own", false), ("with-esbuild", true)] {
        let project = everything(name);
        if esbuild {
            npm::install(&project, &["esbuild"]);
        }
        up.deploy(project.path());
        let expected = serde_json::json!({
            "data": { "answer": 42 }, "page": { "tag": "p", "props": { "id": 42 }, "children": ["grüße"] },
            "raw": [0, 255, 128], "sum": 5, "colour": 2, "lazy": "loaded late",
        });
        let response = up.get(name, "/");
        assert_eq!(response.status, 200, "{name}: {}", response.text());
        assert_eq!(response.json(), expected, "{name}");
    }
}

#[test]
fn hono_from_npm_runs_unmodified() {
    let up = Up::start();
    for (name, packages) in [("hono-app", &["hono"][..]), ("hono-esbuild", &["hono", "esbuild"])] {
        let project = Project::new(name).file(
            "src/index.ts",
            r#"import { Hono } from "hono";
import { cors } from "hono/cors";
import { etag } from "hono/etag";
import { basicAuth } from "hono/basic-auth";
import { HTTPException } from "hono/http-exception";
import { stream } from "hono/streaming";

type Bindings = { GREETING: string };
const app = new Hono<{ Bindings: Bindings }>();
app.use("/api/*", cors({ origin: "https://example.com" }));
app.use("/tagged", etag());
app.use("/private/*", basicAuth({ username: "u", password: "p" }));
app.get("/", (c) => c.text(c.env.GREETING));
app.get("/api/users/:id{[0-9]+}", (c) => c.json({ id: Number(c.req.param("id")), q: c.req.query("q") }));
app.post("/api/echo", async (c) => c.json(await c.req.json(), 201));
app.get("/tagged", (c) => c.text("tagged"));
app.get("/private/x", (c) => c.text("inside"));
app.get("/stream", (c) => stream(c, async (s) => { for (const part of ["a", "b", "c"]) await s.write(part); }));
app.get("/teapot", () => { throw new HTTPException(418, { message: "short and stout" }); });
app.notFound((c) => c.text("nothing here", 404));
app.onError((error, c) => error instanceof HTTPException ? error.getResponse() : c.text("oops", 500));
export default app;
"#,
        );
        let project = project.wrangler("[vars]\nGREETING = \"hello from hono\"\n");
        npm::install(&project, packages);
        up.deploy(project.path());
        up.get(name, "/").expect(200, "hello from hono");
        let host = format!("{name}.localhost");
        let origin = [("origin", "https://example.com")];
        let user = try_request(up.edge, "GET", &host, "/api/users/12?q=x", &origin, b"").unwrap();
        assert_eq!(user.header("access-control-allow-origin"), Some("https://example.com"));
        user.expect(200, "{\"id\":12,\"q\":\"x\"}");
        up.get(name, "/api/users/twelve").expect(404, "nothing here");
        up.post(name, "/api/echo", b"{\"a\":[1]}").expect(201, "{\"a\":[1]}");
        assert!(up.get(name, "/tagged").header("etag").is_some());
        assert_eq!(up.get(name, "/private/x").status, 401);
        up.get(name, "/stream").expect(200, "abc");
        up.get(name, "/teapot").expect(418, "short and stout");
    }
}

#[test]
fn itty_router_from_npm_runs_unmodified() {
    let up = Up::start();
    for (name, packages) in [("itty-app", &["itty-router"][..]), ("itty-esbuild", &["itty-router", "esbuild"])] {
        let project = Project::new(name).file(
            "src/index.ts",
            r#"import { AutoRouter, cors, error, json, type IRequest } from "itty-router";
const { preflight } = cors();
const router = AutoRouter({ before: [preflight] });
router
  .get("/", () => "itty")
  .get("/todos/:id", ({ id, query }: IRequest) => ({ id, query }))
  .post("/todos", async (request: IRequest) => json(await request.json(), { status: 201 }))
  .get("/fails", () => error(422, "not this"));
export default router;
"#,
        );
        npm::install(&project, packages);
        up.deploy(project.path());
        up.get(name, "/").expect(200, "\"itty\"");
        up.get(name, "/todos/7?a=b").expect(200, "{\"id\":\"7\",\"query\":{\"a\":\"b\"}}");
        up.post(name, "/todos", b"{\"t\":1}").expect(201, "{\"t\":1}");
        let failed = up.get(name, "/fails");
        assert_eq!(failed.status, 422);
        assert_eq!(failed.json()["error"], "not this");
        assert_eq!(up.get(name, "/nowhere").status, 404);
        let preflight = try_request(up.edge, "OPTIONS", &format!("{name}.localhost"), "/todos", &[], b"").unwrap();
        assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, Some("*")));
    }
}

#[test]
fn commonjs_packages_work_or_are_named() {
    let up = Up::start();
    let project = Project::new("cjs")
        .file(
            "src/index.ts",
            "import shout, { whisper } from \"old-package\";\n\
             export default { fetch: () => new Response(shout(\"a\") + whisper(\"B\")) };\n",
        )
        .file("node_modules/old-package/package.json", "{ \"name\": \"old-package\", \"main\": \"lib/main.js\" }")
        .file(
            "node_modules/old-package/lib/main.js",
            "const { upper } = require('./upper');\nmodule.exports = (s) => upper(s);\nmodule.exports.default = module.exports;\nmodule.exports.whisper = (s) => s.toLowerCase();\n",
        )
        .file("node_modules/old-package/lib/upper.js", "exports.upper = (s) => s.toUpperCase();\n");
    let ran = up.run(&["deploy", project.path().to_str().unwrap()]);
    if ran.code == Some(0) {
        up.get("cjs", "/").expect(200, "Ab");
    } else {
        ran.fails_saying(&["old-package", "esbuild"]);
    }
    npm::install(&project, &["esbuild"]);
    up.deploy(project.path());
    up.get("cjs", "/").expect(200, "Ab");
}

/// Deploys a project that cannot be deployed; the error has to say all of `words`, and nothing may be left behind.
#[track_caller]
fn refused(up: &Up, name: &str, project: &Project, words: &[&str]) {
    up.run(&["deploy", project.path().to_str().unwrap()]).fails_saying(words);
    up.get(name, "/").expect_error(404, "route-not-found");
    assert_eq!(up.api().call("GET", &format!("/v1/apps/{name}"), b"").status, 404, "{name} is half there");
}

#[test]
fn what_cannot_be_built_is_named_with_its_place() {
    let up = Up::start();
    let main = |name: &str, text: &str| Project::new(name).file("src/index.ts", text);
    refused(
        &up,
        "syntax",
        &main("syntax", "export default {\n  fetch() { return new Response(; },\n};\n"),
        &["src/index.ts", "2:"],
    );
    refused(
        &up,
        "unresolved",
        &main(
            "unresolved",
            "import x from \"./not-there\";\nimport y from \"no-package\";\nexport default { fetch: () => x + y };\n",
        ),
        &["./not-there", "src/index.ts"],
    );
    refused(
        &up,
        "package",
        &main("package", "import y from \"no-package\";\nexport default { fetch: () => y };\n"),
        &["no-package", "src/index.ts"],
    );
    let missing = main("export", "import { absent } from \"./other\";\nexport default { fetch: () => absent };\n");
    refused(&up, "export", &missing.file("src/other.ts", "export const present = 1;\n"), &["absent", "other"]);
    refused(&up, "nothing", &main("nothing", "export const handler = 1;\n"), &["src/index.ts", "default"]);
    refused(&up, "no-fetch", &main("no-fetch", "export default { other() {} };\n"), &["fetch"]);
    refused(
        &up,
        "throws",
        &main(
            "throws",
            "const early: number = 1;\nfunction top(): never { throw new Error(\"at the top\"); }\ntop();\nexport default { fetch() {} };\n",
        ),
        &["at the top", "src/index.ts:2:"],
    );
    refused(
        &up,
        "builtin",
        &main("builtin", "import sqlite from \"node:sqlite\";\nexport default { fetch: () => sqlite };\n"),
        &["node:sqlite"],
    );
    refused(&up, "no-main", &Project::new("no-main"), &["src/index.ts"]);
    refused(
        &up,
        "slow-start",
        &main("slow-start", "for (;;) {}\nexport default { fetch() {} };\n").file(
            "wrangler.toml",
            "name = \"slow-start\"\nmain = \"src/index.ts\"\ncompatibility_date = \"2026-11-01\"\n",
        ),
        &["400 ms", "CPU"],
    );
    let noise: String =
        (0..40 << 20).map(|n: u32| char::from(b' ' + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 90)).collect();
    let large =
        main("large", "import text from \"./large.txt\";\nexport default { fetch: () => new Response(text) };\n");
    refused(&up, "large", &large.file("src/large.txt", noise), &["large.txt", "limit"]);
    up.run(&["deploy", "/nonexistent/project"]).fails_saying(&["/nonexistent/project"]);
    up.run(&["deploy", Project::empty().path().to_str().unwrap()]).fails_saying(&["wrangler.toml"]);
}

#[test]
fn a_failed_deploy_leaves_the_old_version_in_place() {
    let up = Up::start();
    let project =
        Project::new("steady").file("src/index.ts", "export default { fetch: () => new Response(\"one\") };\n");
    assert_eq!(up.deploy(project.path())["version"], 1);
    project.write("src/index.ts", "export default { fetch: () => new Response(\"two\" };\n");
    up.run(&["deploy", project.path().to_str().unwrap()]).fails_saying(&["src/index.ts", "1:"]);
    up.get("steady", "/").expect(200, "one");
    project.write("src/index.ts", "export default { fetch: () => new Response(\"two\") };\n");
    let deployed = up.deploy(project.path());
    assert_eq!((&deployed["app"], &deployed["version"]), (&"steady".into(), &2.into()));
    assert_eq!(deployed["url"], format!("http://steady.localhost:{}/", up.edge.port()));
    up.get("steady", "/").expect(200, "two");
}
