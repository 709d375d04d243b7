// Modules of Node.js for which there is nothing here: files, sockets, processes, threads. Packages import them for what
// they do elsewhere; a call says that it is not implemented. What has an answer without any of it gives it: no file exists,
// this is the main thread, standard output is the log, and addresses can be told apart.

(function (require) {
"use strict";

const { EventEmitter } = require("events");
const { Duplex, Readable, Stream, Writable } = require("stream");
const { BlockList, SocketAddress, isIP, isIPv4, isIPv6 } = require("internal/net_addresses");
const { DNS, FS, FUNCTIONS } = require("internal/stub_names");

function notImplemented(name) {
  const error = new Error(`${name} is not implemented on Atoll`);
  error.code = "ERR_METHOD_NOT_IMPLEMENTED";
  return error;
}

// The functions of a module. Those of promises reject.
function functions(module, isAsync = false) {
  const exports = {};
  for (const name of FUNCTIONS[module].split(" ")) {
    const full = `${module.replace("/", ".")}.${name}`;
    const fail = isAsync
      ? { async [name]() { throw notImplemented(full); } }
      : { [name]() { throw notImplemented(full); } };
    exports[name] = fail[name];
  }
  return exports;
}

// A class that can be extended but has no instances.
function uninhabited(module, name, Base = Object) {
  const { [name]: Class } = {
    [name]: class extends Base {
      constructor() {
        throw notImplemented(`new ${module}.${name}`);
      }
    },
  };
  return Class;
}

const classes = (module, names, Base) =>
  Object.fromEntries(names.split(" ").map((name) => [name, uninhabited(module, name, Base)]));

const constants = (names) => Object.fromEntries(names.split(" ").map((name) => [name, `E${name}`]));

// What is written to the descriptors of standard output and standard error is logged; there are no others.
const STREAMS = { __proto__: null, 1: "stdout", 2: "stderr" };

function writeTo(name, descriptor, chunk, rest) {
  const stream = STREAMS[descriptor];
  if (stream === undefined) throw notImplemented(name);
  const { Buffer } = require("buffer");
  const [offset, length] = rest.filter((arg) => typeof arg !== "function");
  const isText = typeof chunk === "string";
  const bytes = isText ? Buffer.from(chunk, typeof length === "string" ? length : "utf8") : chunk;
  const from = isText ? 0 : offset ?? 0;
  const end = isText || typeof length !== "number" ? bytes.length : from + length;
  require("process")[stream].write(Buffer.from(bytes.buffer, bytes.byteOffset + from, end - from));
  return end - from;
}

function fsync(descriptor, callback) {
  if (STREAMS[descriptor] === undefined) throw notImplemented("fs.fsync");
  queueMicrotask(() => callback(null));
}

function write(descriptor, chunk, ...rest) {
  const written = writeTo("fs.write", descriptor, chunk, rest);
  queueMicrotask(() => rest.at(-1)(null, written, chunk));
}

const MAKERS = {
  __proto__: null,
  child_process: () => ({ ...functions("child_process"), ...classes("child_process", "ChildProcess", EventEmitter) }),
  cluster: () => ({
    ...functions("cluster"), ...classes("cluster", "Worker", EventEmitter), SCHED_NONE: 1, SCHED_RR: 2, isMaster: true,
    isPrimary: true, isWorker: false, schedulingPolicy: 2, settings: {}, workers: {},
  }),
  dgram: () => ({ ...functions("dgram"), ...classes("dgram", "Socket", EventEmitter) }),
  dns: () => ({
    ...functions("dns"), ...classes("dns", "Resolver"), ...constants(DNS), EOF: "EOF", ADDRCONFIG: 32, ALL: 16,
    V4MAPPED: 8, promises: modules["dns/promises"],
  }),
  "dns/promises": () => ({
    ...functions("dns/promises", true), ...classes("dns.promises", "Resolver"), ...constants(DNS), EOF: "EOF",
  }),
  domain: () => ({ ...functions("domain"), ...classes("domain", "Domain", EventEmitter), active: null }),
  fs: () => ({
    ...functions("fs"),
    ...classes("fs", "Dir Dirent Stats"),
    ...classes("fs", "FileReadStream ReadStream", Readable),
    ...classes("fs", "FileWriteStream WriteStream", Writable),
    F_OK: 0, R_OK: 4, W_OK: 2, X_OK: 1,
    constants: FS,
    exists: (path, callback) => queueMicrotask(() => callback(false)),
    existsSync: () => false,
    fsync,
    promises: modules["fs/promises"],
    write,
    writeSync: (descriptor, chunk, ...rest) => writeTo("fs.writeSync", descriptor, chunk, rest),
  }),
  "fs/promises": () => ({ ...functions("fs/promises", true), constants: FS }),
  http2: () => ({
    ...functions("http2"), ...classes("http2", "Http2ServerRequest Http2ServerResponse", Stream), constants: {},
  }),
  inspector: () => ({ ...functions("inspector"), ...classes("inspector", "Session", EventEmitter), console, url: () => undefined }),
  "inspector/promises": () => ({ ...modules.inspector }),
  net: () => ({
    ...functions("net"), ...classes("net", "Server", EventEmitter), ...classes("net", "Socket Stream", Duplex),
    BlockList, SocketAddress, isIP, isIPv4, isIPv6,
  }),
  readline: () => ({
    ...functions("readline"), ...classes("readline", "Interface", EventEmitter), promises: modules["readline/promises"],
  }),
  "readline/promises": () => ({
    ...functions("readline/promises"), ...classes("readline.promises", "Interface Readline", EventEmitter),
  }),
  repl: () => ({ ...functions("repl"), ...classes("repl", "REPLServer Recoverable", EventEmitter) }),
  tls: () => ({
    ...functions("tls"), ...classes("tls", "SecureContext"), ...classes("tls", "Server", EventEmitter),
    ...classes("tls", "TLSSocket", Duplex), CLIENT_RENEG_LIMIT: 3, CLIENT_RENEG_WINDOW: 600,
    DEFAULT_ECDH_CURVE: "auto", DEFAULT_MAX_VERSION: "TLSv1.3", DEFAULT_MIN_VERSION: "TLSv1.2", rootCertificates: [],
  }),
  trace_events: () => ({ ...functions("trace_events"), getEnabledCategories: () => undefined }),
  v8: () => ({
    ...functions("v8"), ...classes("v8", "DefaultDeserializer DefaultSerializer Deserializer GCProfiler Serializer"),
  }),
  vm: () => ({ ...functions("vm"), ...classes("vm", "Script"), constants: {}, isContext: () => false }),
  wasi: () => classes("wasi", "WASI"),
  worker_threads: () => ({
    ...functions("worker_threads"), ...classes("worker_threads", "BroadcastChannel Worker", EventEmitter),
    MessageChannel, MessagePort, SHARE_ENV: Symbol.for("nodejs.worker_threads.SHARE_ENV"), isMainThread: true,
    parentPort: null, resourceLimits: {}, threadId: 0, workerData: null,
  }),
};

// Each is made when it is asked for first.
const modules = { __proto__: null };
for (const name of Object.keys(MAKERS)) {
  let made;
  Object.defineProperty(modules, name, { __proto__: null, enumerable: true, get: () => made ??= MAKERS[name]() });
}
return modules;
})
