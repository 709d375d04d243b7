// node:process: what of a process an isolate has.

(function (require, internals) {
"use strict";

const { nodeError, validate } = require("internal/errors");
const EventEmitter = require("events");

const VERSION = "22.19.0";
const START = Date.now();

const env = {};
{
  const list = internals.environment();
  for (let i = 0; i < list.length; i += 3) {
    // Other workers are no texts.
    if (list[i] !== "service") env[list[i + 1]] = list[i + 2];
  }
}

// As in Node.js, every variable is a string.
const environment = new Proxy(env, {
  defineProperty(target, name, descriptor) {
    if ("value" in descriptor && typeof name !== "symbol") descriptor = { ...descriptor, value: `${descriptor.value}` };
    return Reflect.defineProperty(target, name, descriptor);
  },
  set(target, name, value) {
    if (typeof name === "symbol") throw new TypeError("Cannot convert a Symbol value to a string");
    target[name] = `${value}`;
    return true;
  },
});

function process() {}
process.prototype = Object.create(EventEmitter.prototype, {
  constructor: { __proto__: null, value: process, writable: true, configurable: true },
  [Symbol.toStringTag]: { __proto__: null, value: "process", configurable: true },
});
const self = Object.create(process.prototype);
EventEmitter.init.call(self);

// What is written is logged line by line.
function lineWriter(level, fd) {
  let stream;
  return () => {
    if (stream !== undefined) return stream;
    const { Writable } = require("stream");
    let rest = "";
    stream = new Writable({
      decodeStrings: false,
      write(chunk, encoding, callback) {
        rest += typeof chunk === "string" ? chunk : chunk.toString();
        const lines = rest.split("\n");
        rest = lines.pop();
        for (const line of lines) globalThis.console[level](line);
        callback();
      },
    });
    stream.fd = fd;
    stream.isTTY = false;
    stream._isStdio = true;
    stream.destroySoon = stream.destroy;
    stream._destroy = (error, callback) => callback(error);
    return stream;
  };
}

let stdin;
function standardInput() {
  if (stdin === undefined) {
    const { Readable } = require("stream");
    stdin = new Readable({ read() {} });
    stdin.push(null);
    stdin.fd = 0;
    stdin.isTTY = false;
  }
  return stdin;
}

function hrtime(previous) {
  const now = performance.now();
  let seconds = Math.floor(now / 1000);
  let nanoseconds = Math.floor(now % 1000 * 1e6);
  if (previous !== undefined) {
    validate.array(previous, "time");
    if (previous.length !== 2) throw nodeError("ERR_OUT_OF_RANGE", "time", 2, previous.length);
    seconds -= previous[0];
    nanoseconds -= previous[1];
    if (nanoseconds < 0) {
      seconds--;
      nanoseconds += 1e9;
    }
  }
  return [seconds, nanoseconds];
}
hrtime.bigint = () => BigInt(Math.floor(performance.now() * 1e6));

function exit(code) {
  throw new Error(`process.exit(${code ?? ""}) was called: a worker has no process to end`);
}

function unavailable(name) {
  throw nodeError("ERR_METHOD_NOT_IMPLEMENTED", `process.${name}`);
}

const emitted = new Set();
function emitWarning(warning, type, code) {
  let detail;
  if (type !== null && typeof type === "object" && !Array.isArray(type)) {
    ({ code, detail } = type);
    type = type.type;
  }
  if (typeof warning === "string") {
    const error = new Error(warning);
    error.name = String(type || "Warning");
    if (code !== undefined) error.code = code;
    if (detail !== undefined) error.detail = detail;
    warning = error;
  } else if (!(warning instanceof Error)) {
    throw nodeError("ERR_INVALID_ARG_TYPE", "warning", ["Error", "string"], warning);
  }
  if (warning.name === "DeprecationWarning") {
    if (self.noDeprecation || warning.code !== undefined && emitted.has(warning.code)) return;
    emitted.add(warning.code);
    if (self.throwDeprecation) throw warning;
  }
  queueMicrotask(() => {
    if (self.listenerCount("warning") > 0) {
      self.emit("warning", warning);
      return;
    }
    const shown = `${warning.code ? `[${warning.code}] ` : ""}${warning.name}: ${warning.message}`;
    globalThis.console.warn(detail === undefined ? shown : `${shown}\n${detail}`);
  });
}

let mask = 0o22;
let title = "atoll";

Object.assign(self, {
  abort: () => unavailable("abort"),
  allowedNodeEnvironmentFlags: new Set(),
  arch: "x64",
  argv: ["workerd"],
  argv0: "workerd",
  binding: () => unavailable("binding"),
  chdir: () => unavailable("chdir"),
  config: Object.freeze({ target_defaults: {}, variables: {} }),
  constrainedMemory: () => 0,
  availableMemory: () => 0,
  cpuUsage: () => ({ user: 0, system: 0 }),
  cwd: () => "/bundle",
  debugPort: 0,
  emitWarning,
  env: environment,
  execArgv: [],
  execPath: "",
  // A worker has no end of which anybody could be told.
  finalization: Object.freeze({ register() {}, registerBeforeExit() {}, unregister() {} }),
  _getActiveHandles: () => [],
  _getActiveRequests: () => [],
  _rawDebug: (...args) => globalThis.console.error(require("util").format(...args)),
  assert(value, message) {
    require("assert").ok(value, message);
  },
  exit,
  reallyExit: exit,
  exitCode: undefined,
  features: Object.freeze({
    typescript: false,
    require_module: false,
    inspector: false,
    debug: false,
    uv: false,
    ipv6: false,
    tls_alpn: false,
    tls_sni: false,
    tls_ocsp: false,
    tls: false,
    cached_builtins: false,
  }),
  getActiveResourcesInfo: () => [],
  getBuiltinModule(id) {
    validate.string(id, "id");
    return internals.builtin(id);
  },
  getegid: () => 0,
  geteuid: () => 0,
  getgid: () => 0,
  getSourceMapsSupport: () => ({ __proto__: null, enabled: false, nodeModules: false, generatedCode: false }),
  getgroups: () => [],
  getuid: () => 0,
  hasUncaughtExceptionCaptureCallback: () => false,
  hrtime,
  kill: () => unavailable("kill"),
  loadEnvFile: () => unavailable("loadEnvFile"),
  memoryUsage: Object.assign(() => ({ rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 }), { rss: () => 0 }),
  nextTick(callback, ...args) {
    validate.func(callback, "callback");
    queueMicrotask(args.length === 0 ? () => callback() : () => callback(...args));
  },
  moduleLoadList: [],
  noDeprecation: false,
  pid: 1,
  platform: "linux",
  ppid: 0,
  release: Object.freeze({ name: "node", lts: "Jod", sourceUrl: "", headersUrl: "" }),
  report: undefined,
  ref() {},
  resourceUsage: () => ({}),
  setSourceMapsEnabled() {},
  setUncaughtExceptionCaptureCallback() {},
  sourceMapsEnabled: false,
  throwDeprecation: false,
  traceDeprecation: false,
  umask(value) {
    const previous = mask;
    if (value !== undefined) mask = typeof value === "string" ? parseInt(value, 8) : value & 0o777;
    return previous;
  },
  unref() {},
  uptime: () => (Date.now() - START) / 1000,
  version: `v${VERSION}`,
  // Of the others there is only the name, as on Workers: code looks for numbers in them.
  versions: Object.freeze({
    ...Object.fromEntries([
      "acorn", "ada", "amaro", "ares", "brotli", "cjs_module_lexer", "cldr", "icu", "llhttp", "napi", "nghttp2", "openssl",
      "simdjson", "simdutf", "sqlite", "tz", "undici", "unicode", "uv", "uvwasi", "v8", "zlib", "zstd",
    ].map((name) => [name, ""])),
    node: VERSION,
    modules: "127",
  }),
});

for (const name of ["initgroups", "setegid", "seteuid", "setgid", "setgroups", "setuid"]) {
  const { [name]: refused } = {
    [name]() {
      throw Object.assign(new Error(`EPERM, Operation not permitted: ${name}`), { code: "EPERM", errno: 1, syscall: name });
    },
  };
  self[name] = refused;
}

const getters = {
  stderr: lineWriter("error", 2),
  stdin: standardInput,
  stdout: lineWriter("log", 1),
};
for (const [name, get] of Object.entries(getters)) {
  Object.defineProperty(self, name, { __proto__: null, get, enumerable: true, configurable: true });
}
Object.defineProperty(self, "title", {
  __proto__: null,
  get: () => title,
  set(value) {
    title = `${value}`;
  },
  enumerable: true,
  configurable: true,
});

return self;
})
