//! Every class on the global, found by looking and not by a list, takes values that are meant to hurt.

use super::*;

const CODE: &str = r#"
const sentinel = new RangeError("thrown by what was given");
const throwing = () => { throw sentinel; };
const detached = () => {
  const buffer = new ArrayBuffer(8);
  structuredClone(buffer, { transfer: [buffer] });
  return buffer;
};
const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
};
const traps = { get: throwing, has: throwing, ownKeys: throwing, getPrototypeOf: throwing, getOwnPropertyDescriptor: throwing };
const VALUES = [
  () => undefined, () => null, () => NaN, () => 2 ** 53, () => 1n, () => Symbol("s"), () => "", () => "\ud800", () => "\0",
  () => "x".repeat(1 << 17), () => new Uint8Array([0xff, 0xc0, 0xed, 0xa0]), detached, () => new Uint8Array(detached()),
  () => new Proxy({}, { get: throwing }), () => new Proxy({}, traps), revoked, () => new Proxy(() => {}, traps),
  () => ({ toString: throwing, valueOf: throwing }), () => ({ [Symbol.iterator]: throwing }), () => Object.create(null),
  () => Object.create(Response.prototype), () => class extends Object {}, () => [[[[]]]], () => globalThis, () => new Array(2000),
];
const KNOWN = [TypeError, RangeError, SyntaxError, EvalError, URIError, ReferenceError, AggregateError,
  WebAssembly.CompileError, WebAssembly.LinkError, WebAssembly.RuntimeError];
const named = (error) => error === sentinel || error instanceof DOMException || KNOWN.some((kind) => error?.constructor === kind);

const isClass = (value) => {
  try {
    return typeof value === "function" && typeof value.prototype === "object" && value.prototype !== null;
  } catch {
    return false;
  }
};
function classes() {
  const found = {};
  for (const [prefix, holder] of [["", globalThis], ["WebAssembly.", WebAssembly], ["crypto.", Object.getPrototypeOf(crypto)]]) {
    for (const name of Object.getOwnPropertyNames(holder)) {
      if (!/^[A-Z]/.test(name)) continue;
      const value = holder[name];
      if (isClass(value)) found[prefix + name] = value;
    }
  }
  return found;
}

export default {
  async fetch() {
    const all = classes();
    const wrong = [];
    let count = 0;
    const attempt = (what, call) => {
      count++;
      try {
        const made = call();
        // What was begun is let go again.
        if (made instanceof EventSource || made instanceof WebSocket) made.close();
        if (made instanceof MessagePort) made.close();
        made?.catch?.(() => {});
      } catch (error) {
        if (!named(error)) wrong.push(`${what}: ${error?.constructor?.name} ${error?.message ?? String(error)}`);
      }
    };
    for (const [name, Class] of Object.entries(all)) {
      VALUES.forEach((value, at) => {
        attempt(`new ${name}(${at})`, () => new Class(value()));
        attempt(`new ${name}(${at}, ${at})`, () => new Class(value(), value()));
        attempt(`${name}(${at})`, () => Class(value()));
        attempt(`new (class extends ${name})(${at})`, () => new (class extends Class {})(value()));
      });
      attempt(`${name} by Reflect`, () => Reflect.construct(Class, [], revoked()));
      attempt(`${name} with a prototype that throws`, () => Reflect.construct(Class, ["a"], new Proxy(function () {}, traps)));
    }
    // What constructors begin goes on for a while.
    await scheduler.wait(1);
    return Response.json({ names: Object.keys(all), count, wrong });
  },
};
"#;

#[derive(serde::Deserialize)]
struct Report {
    names: Vec<String>,
    count: usize,
    wrong: Vec<String>,
}

#[tokio::test]
async fn every_class_takes_hostile_values() {
    let limits = Limits { cpu: Duration::from_secs(60), startup_cpu: Duration::from_secs(60), ..Limits::default() };
    let (isolate, _) = start_with(bundle(&[("index.js", ModuleKind::EsModule, CODE.as_bytes())]), limits);
    let report: Report = serde_json::from_str(&ask(&isolate, "/").await).expect("a report");
    assert!(report.wrong.is_empty(), "{:#?}", report.wrong);
    for name in [
        "Cache",
        "CacheStorage",
        "EventSource",
        "FixedLengthStream",
        "HTMLRewriter",
        "IdentityTransformStream",
        "Request",
        "URLPattern",
        "WebAssembly.Module",
        "WebSocket",
        "WebSocketPair",
        "crypto.DigestStream",
    ] {
        assert!(report.names.iter().any(|found| found == name), "{name} is among {:?}", report.names);
    }
    assert!(report.count > 100 * report.names.len() - 100, "{} attempts", report.count);
    // The isolate lives on.
    let again: Report = serde_json::from_str(&ask(&isolate, "/").await).expect("a report");
    assert_eq!(again.count, report.count);
}
