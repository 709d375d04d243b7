// Every name that code can find: on the global, on its classes, in the modules of the platform and of Node.js and on
// their classes, and on what a handler is given. A name is in the list once for each place where it is found.

const MODULES = [
  "_http_agent", "_http_client", "_http_common", "_http_incoming", "_http_outgoing", "_http_server", "_stream_duplex", "_stream_passthrough", "_stream_readable",
  "_stream_transform", "_stream_wrap", "_stream_writable", "_tls_common", "_tls_wrap", "assert", "assert/strict", "async_hooks", "buffer", "child_process", "cluster",
  "console", "constants", "crypto", "dgram", "diagnostics_channel", "dns", "dns/promises", "domain", "events", "fs", "fs/promises", "http", "http2", "https",
  "inspector", "inspector/promises", "module", "net", "os", "path", "path/posix", "path/win32", "perf_hooks", "process", "punycode", "querystring", "readline",
  "readline/promises", "repl", "sqlite", "stream", "stream/consumers", "stream/promises", "stream/web", "string_decoder", "sys", "test", "timers", "timers/promises",
  "tls", "trace_events", "tty", "url", "util", "util/types", "v8", "vm", "wasi", "worker_threads", "zlib",
].map((name) => `node:${name}`).concat("cloudflare:email", "cloudflare:node", "cloudflare:sockets", "cloudflare:workers", "cloudflare:workflows");

// What the engine gives every object or function.
const COMMON = new Set([Object.prototype, Function.prototype, Array.prototype, Error.prototype, null]);
const ignored = (key) => typeof key === "symbol" && !key.description?.startsWith("Symbol.") || key === "constructor";
const spelt = (key) => typeof key === "symbol" ? `[${key.description}]` : key;

// All properties of an object and of those that it inherits from.
function properties(object) {
  const keys = new Set();
  for (let holder = object; !COMMON.has(holder); holder = Object.getPrototypeOf(holder)) {
    for (const key of Reflect.ownKeys(holder)) if (!ignored(key)) keys.add(key);
  }
  return [...keys];
}

const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";
const isClass = (value) => typeof value === "function" && isObject(value.prototype) && properties(value.prototype).length > 0;

function describe(path, value, names) {
  if (typeof value === "function") {
    for (const key of Object.getOwnPropertyNames(value)) {
      if (!["length", "name", "prototype", "arguments", "caller"].includes(key)) names.add(`${path}.${key}`);
    }
    if (isClass(value)) for (const key of properties(value.prototype)) names.add(`${path}.prototype.${spelt(key)}`);
  } else if (isObject(value) && !Array.isArray(value) && !ArrayBuffer.isView(value)) {
    for (const key of properties(value)) names.add(`${path}.${spelt(key)}`);
  }
}

export async function names(request, env, ctx) {
  const found = new Set();
  for (const key of properties(globalThis)) {
    found.add(`globalThis.${spelt(key)}`);
    if (globalThis[key] !== globalThis) describe(spelt(key), globalThis[key], found);
  }
  for (const module of MODULES) {
    const exports = await import(module).catch(() => undefined);
    if (exports === undefined) continue;
    found.add(module);
    for (const key of Object.keys(exports)) {
      if (key === "default") continue;
      found.add(`${module} ${key}`);
      // What is on the global as well is described there.
      if (globalThis[key] !== exports[key]) describe(`${module} ${key}`, exports[key], found);
    }
  }
  describe("ctx", ctx, found);
  describe("request", request, found);
  describe("request.cf", request.cf ?? {}, found);
  return [...found].sort();
}
