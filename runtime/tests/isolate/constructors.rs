//! Every class on the global, found by looking and not by a list, takes values that are meant to hurt, and so do its members.

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

// Methods and attributes, on what is no object of their class.
function members() {
  const all = classes();
  const wrong = [];
  let count = 0;
  for (const [name, Class] of Object.entries(all)) {
    const others = [undefined, null, 5, {}, Object.create(Class.prototype), new Proxy(Object.create(Class.prototype), {}), new Proxy({}, traps), revoked()];
    for (const key of Reflect.ownKeys(Class.prototype)) {
      if (key === "constructor") continue;
      const { get, set, value } = Object.getOwnPropertyDescriptor(Class.prototype, key);
      const calls = [[get, []], [set, ["x"]], [value, []], [value, ["x", "y"]]].filter(([call]) => typeof call === "function");
      for (const [call, list] of calls) {
        others.forEach((other, at) => {
          count++;
          const what = `${name}.${String(key)} on ${at}`;
          const check = (error) => {
            if (!named(error)) wrong.push(`${what}: ${error?.constructor?.name} ${error?.message ?? String(error)}`);
          };
          try {
            const given = Reflect.apply(call, other, list);
            if (given instanceof Promise) given.then(() => {}, check);
          } catch (error) {
            check(error);
          }
        });
      }
    }
  }
  return { names: Object.keys(all), count, wrong };
}

export default {
  async fetch(request) {
    if (request.url.endsWith("/members")) {
      const report = members();
      await scheduler.wait(1);
      return Response.json(report);
    }
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

/// The classes of the minimum common API and of Workers.
const NAMES: &str = "AbortController AbortSignal Blob ByteLengthQueuingStrategy CompressionStream CountQueuingStrategy \
    Crypto CryptoKey CustomEvent DecompressionStream DOMException ErrorEvent Event EventTarget File FormData Headers \
    MessageChannel MessageEvent MessagePort Performance PromiseRejectionEvent ReadableByteStreamController \
    ReadableStream ReadableStreamBYOBReader ReadableStreamBYOBRequest ReadableStreamDefaultController \
    ReadableStreamDefaultReader Request Response SubtleCrypto TextDecoder TextDecoderStream TextEncoder \
    TextEncoderStream TransformStream TransformStreamDefaultController URL URLPattern URLSearchParams \
    WebAssembly.CompileError WebAssembly.Exception WebAssembly.Global WebAssembly.Instance WebAssembly.LinkError \
    WebAssembly.Memory WebAssembly.Module WebAssembly.RuntimeError WebAssembly.Table WebAssembly.Tag WritableStream \
    WritableStreamDefaultController WritableStreamDefaultWriter Cache CacheStorage CloseEvent crypto.DigestStream \
    EventSource FixedLengthStream HTMLRewriter IdentityTransformStream WebSocket WebSocketPair";

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
    for name in NAMES.split_whitespace() {
        assert!(report.names.iter().any(|found| found == name), "{name} is among {:?}", report.names);
    }
    assert!(report.count > 100 * report.names.len() - 100, "{} attempts", report.count);
    // The isolate lives on.
    let again: Report = serde_json::from_str(&ask(&isolate, "/").await).expect("a report");
    assert_eq!(again.count, report.count);
}

#[tokio::test]
async fn every_member_takes_other_objects() {
    let limits = Limits { cpu: Duration::from_secs(60), startup_cpu: Duration::from_secs(60), ..Limits::default() };
    let (isolate, _) = start_with(bundle(&[("index.js", ModuleKind::EsModule, CODE.as_bytes())]), limits);
    let report: Report = serde_json::from_str(&ask(&isolate, "/members").await).expect("a report");
    assert!(report.wrong.is_empty(), "{:#?}", report.wrong);
    assert!(report.count > 10 * report.names.len(), "{} attempts", report.count);
    let again: Report = serde_json::from_str(&ask(&isolate, "/members").await).expect("a report");
    assert_eq!(again.count, report.count);
}
