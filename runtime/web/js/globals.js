// What code finds on `globalThis`. Everything common is evaluated when the snapshot is built; the rest when it is
// touched first.

(function () {
const { core, primordials } = __bootstrap;
const {
  FunctionPrototypeBind,
  ObjectDefineProperties,
  ObjectSetPrototypeOf,
  Promise,
  PromiseReject,
  ReflectApply,
  ReflectDeleteProperty,
  SymbolToStringTag,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const abortSignals = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const encoding = core.loadExtScript("ext:deno_web/08_text_encoding.js");
const errors = core.loadExtScript("ext:atoll_web/errors.js");
const events = core.loadExtScript("ext:deno_web/02_event.js");
const exceptions = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const files = core.loadExtScript("ext:deno_web/09_file.js");
const streams = core.loadExtScript("ext:deno_web/06_streams.js");
const timers = core.loadExtScript("ext:deno_web/02_timers.js");
const urls = core.loadExtScript("ext:deno_web/00_url.js");
const { install: installByob } = core.loadExtScript("ext:atoll_web/byob.js");
const { create: createConsole } = core.loadExtScript("ext:atoll_web/console.js");
const { functions, install: installShapes, lazily, refuseClone } = core.loadExtScript("ext:atoll_web/shapes.js");
const { fetch } = core.loadExtScript("ext:atoll_web/fetch.js");
const { Headers } = core.loadExtScript("ext:atoll_web/headers.js");
const { loadFormData } = core.loadExtScript("ext:atoll_web/body.js");
const { Request } = core.loadExtScript("ext:atoll_web/request.js");
const { Response } = core.loadExtScript("ext:atoll_web/response.js");

const caches = core.loadExtScript("ext:atoll_web/cache.js");
const crypto = core.loadExtScript("ext:atoll_web/crypto.js");
const cryptoGuard = core.loadExtScript("ext:atoll_web/crypto_guard.js");
const { CompressionStream } = core.loadExtScript("ext:atoll_web/compression.js");
const { DecompressionStream } = core.loadExtScript("ext:atoll_web/decompression.js");
const { FormData } = loadFormData();
const identityStreams = core.loadExtScript("ext:atoll_web/identity_streams.js");
const messages = core.loadExtScript("ext:deno_web/13_message_port.js");
const performance = core.loadExtScript("ext:deno_web/15_performance.js");
const { URLPattern } = core.loadExtScript("ext:deno_web/01_urlpattern.js");

const { clearTimeout, setTimeout } = timers;

const hidden = core.propNonEnumerable;
const visible = core.propWritable;
const script = (specifier) => () => core.loadExtScript(specifier);

const cloudflare = script("ext:atoll_web/cloudflare.js");
const eventSource = script("ext:atoll_web/event_source.js");
const fileReader = script("ext:deno_web/10_filereader.js");
const htmlRewriter = script("ext:atoll_web/html_rewriter.js");
const serviceWorker = script("ext:atoll_web/service_worker.js");
const webSocket = script("ext:atoll_web/websocket.js");

class ServiceWorkerGlobalScope extends events.EventTarget {
  constructor() {
    throw new TypeError("Illegal constructor");
  }
}
webidl.configureInterface(ServiceWorkerGlobalScope);

class Navigator {
  #branded = true;

  constructor() {
    if (navigator !== undefined) throw new TypeError("Illegal constructor");
  }

  get userAgent() {
    this.#branded;
    // As on Workers: Hono, std-env, Clerk's SDK and others tell by it how an app finds its variables.
    return "Cloudflare-Workers";
  }

  // Of browsers' machines; as on Workers it says nothing.
  get platform() {
    this.#branded;
    return "";
  }

  get language() {
    this.#branded;
    return "en";
  }

  get languages() {
    this.#branded;
    return ["en"];
  }

  get hardwareConcurrency() {
    this.#branded;
    return 1;
  }
}
let navigator;
navigator = new Navigator();
webidl.configureInterface(Navigator);

class Scheduler {
  #branded = true;

  constructor() {
    if (scheduler !== undefined) throw new TypeError("Illegal constructor");
  }

  // Resolves after `delay` milliseconds; rejects when `options.signal` aborts.
  wait(delay, options = undefined) {
    this.#branded;
    const signal = options?.signal;
    if (signal?.aborted) return PromiseReject(signal.reason);
    return new Promise((resolve, reject) => {
      const abort = () => {
        clearTimeout(id);
        reject(signal.reason);
      };
      const id = setTimeout(() => {
        signal?.[abortSignals.remove](abort);
        resolve();
      }, delay);
      signal?.[abortSignals.add](abort);
    });
  }
}
let scheduler;
scheduler = new Scheduler();
webidl.configureInterface(Scheduler);

const { reportError, structuredClone } = {
  reportError(error) {
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'reportError'");
    errors.reportException(error);
  },
  structuredClone(value, options = undefined) {
    return ReflectApply(messages.structuredClone, this, arguments);
  },
};

// The methods of the global as an event target, also when they are called without `this`.
const global = (name) => visible(FunctionPrototypeBind(events.EventTarget.prototype[name], globalThis));

const properties = {
  AbortController: hidden(abortSignals.AbortController),
  AbortSignal: hidden(abortSignals.AbortSignal),
  Blob: hidden(files.Blob),
  ByteLengthQueuingStrategy: hidden(streams.ByteLengthQueuingStrategy),
  Cache: hidden(caches.Cache),
  CacheStorage: hidden(caches.CacheStorage),
  CloseEvent: hidden(events.CloseEvent),
  Cloudflare: lazily(cloudflare, "Cloudflare"),
  CompressionStream: hidden(CompressionStream),
  CountQueuingStrategy: hidden(streams.CountQueuingStrategy),
  Crypto: hidden(crypto.Crypto),
  CryptoKey: hidden(crypto.CryptoKey),
  CustomEvent: hidden(events.CustomEvent),
  DOMException: hidden(exceptions.DOMException),
  DecompressionStream: hidden(DecompressionStream),
  ErrorEvent: hidden(events.ErrorEvent),
  Event: hidden(events.Event),
  EventSource: lazily(eventSource, "EventSource"),
  EventTarget: hidden(events.EventTarget),
  ExtendableEvent: lazily(serviceWorker, "ExtendableEvent"),
  FetchEvent: lazily(serviceWorker, "FetchEvent"),
  File: hidden(files.File),
  FileReader: lazily(fileReader, "FileReader"),
  FixedLengthStream: hidden(identityStreams.FixedLengthStream),
  FormData: hidden(FormData),
  HTMLRewriter: lazily(htmlRewriter, "HTMLRewriter"),
  Headers: hidden(Headers),
  IdentityTransformStream: hidden(identityStreams.IdentityTransformStream),
  MessageChannel: hidden(messages.MessageChannel),
  MessageEvent: hidden(events.MessageEvent),
  MessagePort: hidden(messages.MessagePort),
  Navigator: hidden(Navigator),
  Performance: hidden(performance.Performance),
  PerformanceEntry: hidden(performance.PerformanceEntry),
  PerformanceMark: hidden(performance.PerformanceMark),
  PerformanceMeasure: hidden(performance.PerformanceMeasure),
  PerformanceObserver: hidden(performance.PerformanceObserver),
  PerformanceObserverEntryList: hidden(performance.PerformanceObserverEntryList),
  ProgressEvent: hidden(events.ProgressEvent),
  PromiseRejectionEvent: hidden(events.PromiseRejectionEvent),
  ReadableByteStreamController: hidden(streams.ReadableByteStreamController),
  ReadableStream: hidden(streams.ReadableStream),
  ReadableStreamBYOBReader: hidden(streams.ReadableStreamBYOBReader),
  ReadableStreamBYOBRequest: hidden(streams.ReadableStreamBYOBRequest),
  ReadableStreamDefaultController: hidden(streams.ReadableStreamDefaultController),
  ReadableStreamDefaultReader: hidden(streams.ReadableStreamDefaultReader),
  Request: hidden(Request),
  Response: hidden(Response),
  ScheduledEvent: lazily(serviceWorker, "ScheduledEvent"),
  Scheduler: hidden(Scheduler),
  ServiceWorkerGlobalScope: hidden(ServiceWorkerGlobalScope),
  SubtleCrypto: hidden(crypto.SubtleCrypto),
  TextDecoder: hidden(encoding.TextDecoder),
  TextDecoderStream: hidden(encoding.TextDecoderStream),
  TextEncoder: hidden(encoding.TextEncoder),
  TextEncoderStream: hidden(encoding.TextEncoderStream),
  TransformStream: hidden(streams.TransformStream),
  TransformStreamDefaultController: hidden(streams.TransformStreamDefaultController),
  URL: hidden(urls.URL),
  URLPattern: hidden(URLPattern),
  URLSearchParams: hidden(urls.URLSearchParams),
  WebSocket: lazily(webSocket, "WebSocket"),
  WebSocketPair: lazily(webSocket, "WebSocketPair"),
  WritableStream: hidden(streams.WritableStream),
  WritableStreamDefaultController: hidden(streams.WritableStreamDefaultController),
  WritableStreamDefaultWriter: hidden(streams.WritableStreamDefaultWriter),
  addEventListener: global("addEventListener"),
  atob: visible(functions.atob),
  btoa: visible(functions.btoa),
  caches: hidden(caches.caches),
  clearInterval: visible(functions.clearInterval),
  clearTimeout: visible(functions.clearTimeout),
  console: hidden(createConsole()),
  dispatchEvent: global("dispatchEvent"),
  fetch: visible(fetch),
  navigator: hidden(navigator),
  performance: hidden(performance.performance),
  queueMicrotask: visible(functions.queueMicrotask),
  removeEventListener: global("removeEventListener"),
  reportError: visible(reportError),
  scheduler: hidden(scheduler),
  self: hidden(globalThis),
  setInterval: visible(functions.setInterval),
  setTimeout: visible(functions.setTimeout),
  structuredClone: visible(structuredClone),
};

function install() {
  installShapes();
  installByob();
  refuseClone(Headers);
  refuseClone(Request);
  refuseClone(Response);
  cryptoGuard.prepare(crypto);
  // For its code: each isolate has it called again.
  performance.setTimeOrigin();
  core.defineGlobalProperties(globalThis, properties);
  ObjectSetPrototypeOf(globalThis, ServiceWorkerGlobalScope.prototype);
  ObjectDefineProperties(globalThis, {
    [webidl.brand]: { __proto__: null, value: webidl.brand, enumerable: false, configurable: true },
    [SymbolToStringTag]: {
      __proto__: null,
      value: "ServiceWorkerGlobalScope",
      enumerable: false,
      configurable: true,
    },
  });
  events.defineEventHandler(globalThis, "error", undefined, true);
  events.defineEventHandler(globalThis, "unhandledrejection");
  events.defineEventHandler(globalThis, "rejectionhandled");
}

const wasmStreaming = script("ext:atoll_web/wasm_streaming.js");
const { compileStreaming, instantiateStreaming } = {
  compileStreaming(source) {
    return wasmStreaming().compileStreaming(source);
  },
  instantiateStreaming(source, importObject = undefined) {
    return wasmStreaming().instantiateStreaming(source, importObject);
  },
};

// Does to the global of a runtime what cannot be kept in a snapshot. Agents of an isolate share no memory with anybody.
// It runs in every isolate and never before the snapshot is made: the engine compiles a function in parentheses with the
// script, so that the snapshot has its code.
// Returns what makes the `crypto` of the isolate, for a property that calls it when it is first read.
const finish = (function () {
  performance.setTimeOrigin();
  ReflectDeleteProperty(globalThis, "SharedArrayBuffer");
  ObjectDefineProperties(globalThis.WebAssembly, {
    compileStreaming: visible(compileStreaming),
    instantiateStreaming: visible(instantiateStreaming),
  });
  return cryptoGuard.getCrypto;
});

return { finish, install };
})();
