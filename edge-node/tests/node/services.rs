//! Apps that call each other.

use std::collections::BTreeMap;

use atoll_edge_node::EdgeNode;
use atoll_protocol::config::ServiceBinding;
use atoll_protocol::sync::AppState;
use atoll_runtime::Engine;
use bytes::Bytes;
use http_body_util::Full;

use crate::support::{app, bundle, config, eventually, get, http1, node, request, send};

/// An app with services: name in `env`, app, entrypoint.
fn with_services(name: &str, code: &str, services: &[(&str, &str, Option<&str>)]) -> AppState {
    let mut state = app(name, 1, code);
    for version in state.versions.values_mut() {
        for (binding, service, entrypoint) in services {
            let entrypoint = entrypoint.map(str::to_owned);
            let target = ServiceBinding { service: (*service).to_owned(), entrypoint };
            version.config.services.insert((*binding).to_owned(), target);
        }
    }
    state
}

fn install(node: &EdgeNode, name: &str, code: &str, services: &[(&str, &str, Option<&str>)]) {
    node.install(with_services(name, code, services), bundle(code), &BTreeMap::new());
}

const BACK: &str = r#"
import { WorkerEntrypoint } from "cloudflare:workers";

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    if (url.pathname === "/throws") throw new RangeError("out of it");
    if (url.pathname === "/redirect") return new Response(null, { status: 302, headers: { location: "/landed" } });
    if (url.pathname === "/stream") {
      const chunks = ["one ", "two ", "three"];
      return new Response(new ReadableStream({ pull(c) { chunks.length ? c.enqueue(new TextEncoder().encode(chunks.shift())) : c.close(); } }));
    }
    const body = await request.text();
    return new Response(`${request.method} ${request.url} ${request.headers.get("x-a")} ${body}`, { status: 201, headers: { "x-b": "b" } });
  },
};

export class Named extends WorkerEntrypoint {
  own = "secret";
  #count = 1;
  fetch(request) { return new Response(`named ${new URL(request.url).pathname} ${this.env.WHO ?? "nobody"}`); }
  add(a, b) { return a + b + this.#count - 1; }
  async echo(...args) { return args; }
  throws() { throw new TypeError("not this"); }
  gives() { return Symbol("x"); }
  many() { return new Uint8Array(33 << 20); }
}

export const object = { fetch() { return new Response("object"); } };
export const nothing = 7;
"#;

const FRONT: &str = r#"
const text = async (promise) => { try { const r = await promise; return `${r.status} ${await r.text()}`; } catch (e) { return `${e.constructor.name}: ${e.message}`; } };
const result = async (promise) => { try { return await promise; } catch (e) { return `${e.name}: ${e.message}`; } };
export default {
  async fetch(request, env, ctx) {
    const path = new URL(request.url).pathname;
    switch (path) {
      case "/fetch": {
        const r = await env.BACK.fetch("https://any.example/x?y#z", { method: "POST", body: "body", headers: { "x-a": "a" } });
        return Response.json([r.status, r.headers.get("x-b"), r.url, await r.text()]);
      }
      case "/pass": return env.BACK.fetch(request);
      case "/throws": return new Response(await text(env.BACK.fetch("http://b/throws")));
      case "/redirect": return new Response(await text(env.BACK.fetch("http://b/redirect")));
      case "/stream": return env.BACK.fetch("http://b/stream");
      case "/named": return new Response(await text(env.NAMED.fetch("http://b/n")) + ", " + await text(env.OBJECT.fetch("http://b/")));
      case "/missing": return new Response([await text(env.MISSING.fetch("http://b/")), await text(env.NOTHING.fetch("http://b/"))].join("\n"));
      case "/rpc": {
        const data = { map: new Map([[1, new Set([2n])]]), date: new Date(0), bytes: new Uint8Array([1, 2]), text: "\ud800", gone: undefined };
        const [back, undef] = await env.NAMED.echo(data, undefined);
        return Response.json([
          await env.NAMED.add(40, 2), back.map.get(1).has(2n), back.date.getTime(), [...back.bytes], back.text === "\ud800", "gone" in back, undef === undefined,
          await result(env.NAMED.throws()), await result(env.NAMED.own()), await result(env.NAMED.hasOwnProperty("x")), await result((async () => env.NAMED.constructor("x"))()),
          await result(env.NAMED.gives()), await result(env.NAMED.echo(Symbol())), await result(env.NAMED.echo(new WeakSet())), await result(env.NAMED.echo({ r: env.BACK })),
          await result(env.NAMED.many()), await result(env.BACK.add(1, 2)), await result(env.MISSING.add(1)),
        ]);
      }
      case "/shape": {
        const Fetcher = env.BACK.constructor;
        return Response.json([
          Fetcher.name, env.BACK instanceof Fetcher, String(env.BACK), typeof env.BACK.anything, typeof env.BACK.then, Object.keys(env.BACK).length,
          await result((async () => env.BACK.fetch())()), await result((async () => env.BACK.fetch.call({}, "http://x/"))()),
          await result((async () => new Fetcher())()), await result((async () => structuredClone(env.BACK))()), (await env.BACK) === env.BACK,
        ]);
      }
      case "/circle": {
        const r = await env.SELF.fetch("http://self/circle").catch((e) => new Response(`0 ${e.message}`));
        const body = await r.text();
        return new Response(`${Number(body.split(" ")[0]) + 1} ${body.slice(body.indexOf(" ") + 1)}`);
      }
      case "/fan": {
        const all = await Promise.allSettled(Array.from({ length: 40 }, () => env.NAMED.add(1, 1)));
        return new Response(`${all.filter((r) => r.status === "fulfilled").length}`);
      }
      case "/hello": return new Response("hello");
    }
    return new Response("?", { status: 404 });
  },
};
"#;

async fn pair(engine: &Engine) -> EdgeNode {
    let node = node(config(), engine, &[]).await;
    install(&node, "back", BACK, &[]);
    let services: &[_] = &[
        ("BACK", "back", None),
        ("NAMED", "back", Some("Named")),
        ("OBJECT", "back", Some("object")),
        ("NOTHING", "back", Some("nothing")),
        ("MISSING", "gone", None),
        ("SELF", "front", None),
    ];
    install(&node, "front", FRONT, services);
    node
}

/// `fetch` of a service is a request of the other app: method, URL, headers and body arrive, and so does the answer.
pub async fn fetch_each_other(engine: Engine) {
    let node = pair(&engine).await;
    assert_eq!(
        get(&node, "front", "/fetch").await.body,
        r#"[201,"b","https://any.example/x?y","POST https://any.example/x?y a body"]"#
    );
    let passed = request(&node, "front", "/pass").method("PUT").header("x-a", "c").body(Full::from("given")).unwrap();
    let passed = send(&http1(), passed).await;
    let port = node.local_addr().port();
    assert_eq!((passed.status.as_u16(), passed.header("x-b")), (201, "b"));
    assert_eq!(passed.body, format!("PUT http://front.localhost:{port}/pass c given"));
    assert_eq!(get(&node, "front", "/throws").await.body, "RangeError: out of it");
    assert_eq!(get(&node, "front", "/redirect").await.body, "201 GET http://b/landed null ");
    assert_eq!(get(&node, "front", "/stream").await.body, "one two three");
    assert_eq!(get(&node, "front", "/named").await.body, "200 named /n nobody, 200 object");
    let missing = get(&node, "front", "/missing").await.body;
    assert!(missing.contains("TypeError: there is no app \"gone\" on this node"), "{missing}");
    assert!(missing.contains("TypeError: The worker has no entrypoint \"nothing\""), "{missing}");
}

/// Methods of entrypoints take and give structured clones, and nothing else of the class can be reached.
pub async fn call_methods_of_each_other(engine: Engine) {
    let node = pair(&engine).await;
    let answer = get(&node, "front", "/rpc").await.body;
    let answer: Vec<serde_json::Value> = serde_json::from_str(&answer).expect(&answer);
    assert_eq!(answer[..7], serde_json::json!([42, true, 0, [1, 2], true, true, true]).as_array().unwrap()[..]);
    let says = [
        "TypeError: not this",
        "TypeError: The entrypoint \"Named\" has no method \"own\"",
        "TypeError: The entrypoint",
        "TypeError: Class constructor Fetcher",
        "DataCloneError: ",
        "DataCloneError: ",
        "DataCloneError: ",
        "",
        "RangeError: the result has ",
        "TypeError: The method \"add\" cannot be called",
        "TypeError: there is no app \"gone\"",
    ];
    for (at, expected) in says.iter().enumerate() {
        // What every object has is the binding's own.
        if at == 2 {
            assert_eq!(answer[7 + at], false, "hasOwnProperty");
            continue;
        }
        // A binding goes there and back.
        if at == 7 {
            assert_eq!(answer[7 + at], serde_json::json!([{}]), "a binding in an object");
            continue;
        }
        let said = answer[7 + at].as_str().unwrap_or_default();
        assert!(said.contains(expected), "{at}: {said:?} instead of {expected:?} in {answer:?}");
    }
    let shape = get(&node, "front", "/shape").await.body;
    assert!(
        shape.starts_with(r#"["Fetcher",true,"[object Fetcher]","function","undefined",0,"TypeError: "#)
            && shape.contains("TypeError: Illegal constructor")
            && shape.contains("DataCloneError")
            && shape.ends_with("true]"),
        "{shape}"
    );
}

/// Apps that call each other in a circle come to an end, and so does one that calls too often.
pub async fn come_to_an_end(engine: Engine) {
    let node = pair(&engine).await;
    let circle = get(&node, "front", "/circle").await;
    assert!(circle.body.starts_with("33 too many calls of services"), "{}", circle.body);
    assert_eq!(get(&node, "front", "/fan").await.body, "32");
    assert_eq!(get(&node, "front", "/hello").await.body, "hello");
}

/// The called app has its own limits, and the caller is told which it broke.
pub async fn keep_their_own_limits(engine: Engine) {
    let hog = "export default { async fetch(request) { \
        const body = await request.text(); if (body === 'spin') for (;;); await new Promise(() => {}); } };";
    let caller = "export default { async fetch(request, env) { \
        try { const r = await env.HOG.fetch('http://hog/', { method: 'POST', body: await request.text() }); \
        return new Response(`${r.status}`); } catch (e) { return new Response(e.message); } } };";
    let mut config = config();
    config.limits.cpu_ms = 1_000;
    let node = node(config, &engine, &[("hog", hog)]).await;
    install(&node, "caller", caller, &[("HOG", "hog", None)]);
    for (body, says) in [("spin", "CPU time"), ("hang", "never settle")] {
        let answer = request(&node, "caller", "/").method("POST").body(Full::from(body)).unwrap();
        let answer = send(&http1(), answer).await;
        assert!(
            answer.body.starts_with("the service \"hog\" gave no answer: ") && answer.body.contains(says),
            "{answer:?}"
        );
    }
}

/// A client that goes away takes the calls made for it along.
pub async fn end_with_the_client(engine: Engine) {
    let back = "let began = 0, gone = 0; export default { async fetch(request) { \
        if (new URL(request.url).pathname === '/state') return new Response(`${began} ${gone}`); \
        began++; request.signal.addEventListener('abort', () => gone++); \
        await scheduler.wait(30000); return new Response('late'); } };";
    let front = "export default { fetch(request, env) { return env.BACK.fetch(request); } };";
    let mut config = config();
    config.isolates.max_per_version = 1;
    let node = node(config, &engine, &[("back", back)]).await;
    install(&node, "front", front, &[("BACK", "back", None)]);
    let waiting = request(&node, "front", "/wait").body(Full::<Bytes>::default()).unwrap();
    let waiting = tokio::spawn(async move { send(&http1(), waiting).await });
    eventually("the called app has begun", async || get(&node, "back", "/state").await.body == "1 0").await;
    waiting.abort();
    eventually("the called app learns of it", async || get(&node, "back", "/state").await.body == "1 1").await;
}
