// Dictionaries of options whose getters throw: the getter's own error comes out, and nothing is half done. Which members
// are read is found by looking, so that every one of them throws in turn.

import { attempt, bytes, streamOf, utf8 } from "../run.js";

class Sentinel extends Error {}

// The members that `call` reads of a dictionary like `base`.
async function membersRead(call, base) {
  const seen = new Set();
  const dictionary = new Proxy(base, {
    get(target, name, receiver) {
      if (typeof name === "string") seen.add(name);
      return Reflect.get(target, name, receiver);
    },
  });
  try {
    await call(dictionary);
  } catch {
    // What is read until then throws in turn below.
  }
  return [...seen].sort();
}

// The members whose getters throw without that being what comes out; and what `intact` says when it is not `true`. `setUp`
// makes what is worked on anew each time.
async function swallowed(call, base, setUp, intact) {
  const wrong = [];
  const members = await membersRead((dictionary) => call(dictionary, setUp()), base());
  if (members.length === 0) wrong.push("reads nothing");
  for (const name of members) {
    const on = setUp();
    const dictionary = Object.defineProperty(base(), name, { get: () => { throw new Sentinel(name); } });
    let outcome = "nothing is thrown";
    try {
      await call(dictionary, on);
    } catch (error) {
      outcome = error instanceof Sentinel ? true : error?.constructor?.name;
    }
    if (outcome !== true) wrong.push(`${name}: ${outcome}`);
    const after = await attempt(() => intact(on));
    if (after !== true) wrong.push(`after ${name}: ${after}`);
  }
  return wrong;
}

const nothing = () => undefined;
const untouched = () => true;
const URL_A = "http://a.example/";
const KEY = { name: "HMAC", hash: "SHA-256", length: 256 };
const usable = (body) => body.bodyUsed === false && body.body?.locked !== true;
// Keys to work with, made once.
let keys;
const withKeys = (body) => async () => {
  keys ??= {
    hmac: await crypto.subtle.importKey("raw", bytes(1, 2, 3, 4), KEY, true, ["sign", "verify"]),
    aes: await crypto.subtle.importKey("raw", new Uint8Array(16), "AES-GCM", true, ["encrypt", "decrypt", "wrapKey", "unwrapKey"]),
    cbc: await crypto.subtle.importKey("raw", new Uint8Array(16), "AES-CBC", true, ["encrypt", "decrypt"]),
    ctr: await crypto.subtle.importKey("raw", new Uint8Array(16), "AES-CTR", true, ["encrypt", "decrypt"]),
    pbkdf2: await crypto.subtle.importKey("raw", bytes(1, 2), "PBKDF2", false, ["deriveBits", "deriveKey"]),
    hkdf: await crypto.subtle.importKey("raw", bytes(1, 2), "HKDF", false, ["deriveBits"]),
    ec: await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]),
    ecdh: await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]),
  };
  return body();
};
const JWK = { kty: "oct", k: "AQIDBA", alg: "HS256", ext: true, key_ops: ["sign"], use: "sig" };

// The name of a case, what is called with a dictionary (and with what `setUp` made), a dictionary to begin with, and what
// has to be true afterwards.
const CALLS = {
  "new Request": [(init) => new Request(URL_A, init), () => ({ method: "POST", body: "x", headers: {} })],
  "new Request of a Request": [(init, from) => new Request(from, init), () => ({}), () => new Request(URL_A, { method: "POST", body: "x" }), usable],
  "new Request with a stream": [
    (init, body) => new Request(URL_A, Object.defineProperty(init, "body", { value: body })),
    () => ({ method: "POST", duplex: "half", headers: {} }),
    () => streamOf(bytes(1)),
    (body) => !body.locked,
  ],
  "fetch": [(init) => fetch("data:,x", init), () => ({ method: "GET" })],
  "fetch of a Request": [(init, from) => fetch(from, init), () => ({ signal: AbortSignal.abort() }), () => new Request(URL_A, { method: "POST", body: "x" }), usable],
  "new Response": [(init) => new Response("x", init), () => ({ status: 201, headers: {} })],
  "new Response with a stream": [(init, body) => new Response(body, init), () => ({}), () => streamOf(bytes(1)), (body) => !body.locked],
  "Response.json": [(init) => Response.json({}, init), () => ({})],
  "new Headers": [(init) => new Headers(init), () => ({ a: "1", b: "2" })],
  "Headers of a dictionary": [(init) => new Response("", { headers: init }), () => ({ a: "1" })],
  "new URLSearchParams": [(init) => new URLSearchParams(init), () => ({ a: "1", b: "2" })],
  "new Blob": [(options) => new Blob(["x"], options), () => ({})],
  "new File": [(options) => new File(["x"], "a", options), () => ({})],
  "new Event": [(init) => new Event("x", init), () => ({})],
  "new CustomEvent": [(init) => new CustomEvent("x", init), () => ({})],
  "new MessageEvent": [(init) => new MessageEvent("x", init), () => ({})],
  "new ErrorEvent": [(init) => new ErrorEvent("x", init), () => ({})],
  "new CloseEvent": [(init) => new CloseEvent("x", init), () => ({})],
  "new PromiseRejectionEvent": [(init) => new PromiseRejectionEvent("x", init), () => ({ promise: Promise.resolve() })],
  "addEventListener": [
    (options, on) => on.target.addEventListener("x", on.listener, options),
    () => ({}),
    () => {
      const on = { target: new EventTarget(), heard: 0 };
      on.listener = () => on.heard++;
      return on;
    },
    (on) => on.target.dispatchEvent(new Event("x")) && on.heard === 0,
  ],
  "removeEventListener": [
    (options, on) => on.target.removeEventListener("x", on.listener, options),
    () => ({}),
    () => {
      const on = { target: new EventTarget(), heard: 0 };
      on.target.addEventListener("x", on.listener = () => on.heard++);
      return on;
    },
    (on) => on.target.dispatchEvent(new Event("x")) && on.heard === 1,
  ],
  "structuredClone": [(options, buffer) => structuredClone(buffer, options), () => ({ transfer: [] }), () => new ArrayBuffer(4), (buffer) => buffer.byteLength === 4],
  "postMessage": [
    (options, { port1 }) => port1.postMessage("x", options),
    () => ({ transfer: [] }),
    () => new MessageChannel(),
    ({ port1, port2 }) => {
      port1.close();
      port2.close();
      return true;
    },
  ],
  "new TextDecoder": [(options) => new TextDecoder("utf-8", options), () => ({})],
  "TextDecoder.decode": [
    (options, decoder) => decoder.decode(bytes(0xe2, 0x82), options),
    () => ({ stream: true }),
    () => new TextDecoder(),
    (decoder) => decoder.decode(utf8("a")) === "a",
  ],
  "new TextDecoderStream": [(options) => new TextDecoderStream("utf-8", options), () => ({})],
  "new CountQueuingStrategy": [(init) => new CountQueuingStrategy(init), () => ({ highWaterMark: 1 })],
  "new ByteLengthQueuingStrategy": [(init) => new ByteLengthQueuingStrategy(init), () => ({ highWaterMark: 1 })],
  "new ReadableStream, source": [(source) => new ReadableStream(source), () => ({})],
  "new ReadableStream of bytes, source": [(source) => new ReadableStream(source), () => ({ type: "bytes" })],
  "new ReadableStream, strategy": [(strategy) => new ReadableStream({}, strategy), () => ({ highWaterMark: 1 })],
  "new WritableStream, sink": [(sink) => new WritableStream(sink), () => ({})],
  "new WritableStream, strategy": [(strategy) => new WritableStream({}, strategy), () => ({})],
  "new TransformStream, transformer": [(transformer) => new TransformStream(transformer), () => ({})],
  "new TransformStream, writable strategy": [(strategy) => new TransformStream({}, strategy), () => ({})],
  "new TransformStream, readable strategy": [(strategy) => new TransformStream({}, {}, strategy), () => ({})],
  "getReader": [(options, stream) => stream.getReader(options), () => ({}), () => streamOf(1), (stream) => !stream.locked],
  "read of a BYOB reader": [
    (options, { reader, view }) => reader.read(view, options),
    () => ({ min: 1 }),
    () => {
      const reader = new ReadableStream({ type: "bytes", start: (controller) => controller.enqueue(bytes(1)) }).getReader({ mode: "byob" });
      return { reader, view: new Uint8Array(1) };
    },
    ({ view }) => view.byteLength === 1,
  ],
  "values of a stream": [(options, stream) => stream.values(options), () => ({}), () => streamOf(1), (stream) => !stream.locked],
  "pipeTo": [
    (options, { from, to }) => from.pipeTo(to, options),
    () => ({}),
    () => ({ from: streamOf(1), to: new WritableStream() }),
    ({ from, to }) => !from.locked && !to.locked,
  ],
  "pipeThrough, options": [
    (options, { from, to }) => from.pipeThrough(to, options),
    () => ({}),
    () => ({ from: streamOf(1), to: new TransformStream() }),
    ({ from, to }) => !from.locked && !to.writable.locked,
  ],
  "pipeThrough, pair": [
    (pair, from) => from.pipeThrough(pair),
    () => ({ readable: new ReadableStream(), writable: new WritableStream() }),
    () => streamOf(1),
    (from) => !from.locked,
  ],
  "new URLPattern": [(init) => new URLPattern(init), () => ({ pathname: "/a" })],
  "new URLPattern, options": [(options) => new URLPattern({ pathname: "/a" }, options), () => ({})],
  "URLPattern.test": [(input) => new URLPattern({ pathname: "/a" }).test(input), () => ({ pathname: "/a" })],
  "URLPattern.exec": [(input) => new URLPattern({ pathname: "/a" }).exec(input), () => ({ pathname: "/a" })],
  "performance.mark": [
    (options) => performance.mark("of a dictionary", options),
    () => ({}),
    nothing,
    () => {
      const { length } = performance.getEntriesByName("of a dictionary");
      performance.clearMarks("of a dictionary");
      return length === 0;
    },
  ],
  "performance.measure": [(options) => performance.measure("of a dictionary", options), () => ({ start: 0, end: 1 })],
  "new WebAssembly.Memory": [(descriptor) => new WebAssembly.Memory(descriptor), () => ({ initial: 1, maximum: 2 })],
  "new WebAssembly.Table": [(descriptor) => new WebAssembly.Table(descriptor), () => ({ element: "anyfunc", initial: 1, maximum: 2 })],
  "new WebAssembly.Global": [(descriptor) => new WebAssembly.Global(descriptor, 1), () => ({ value: "i32", mutable: true })],
  "new Error": [(options) => new Error("x", options), () => ({ cause: 1 })],
  "new DOMException": [(options) => new DOMException("x", options), () => ({ name: "AbortError" })],
  "digest": [(algorithm) => crypto.subtle.digest(algorithm, bytes(1)), () => ({ name: "SHA-256" })],
  "generateKey of HMAC": [(algorithm) => crypto.subtle.generateKey(algorithm, true, ["sign"]), () => ({ ...KEY })],
  "generateKey of AES": [(algorithm) => crypto.subtle.generateKey(algorithm, true, ["encrypt"]), () => ({ name: "AES-GCM", length: 128 })],
  "generateKey of ECDSA": [(algorithm) => crypto.subtle.generateKey(algorithm, true, ["sign"]), () => ({ name: "ECDSA", namedCurve: "P-256" })],
  "generateKey of RSA": [
    (algorithm) => crypto.subtle.generateKey(algorithm, true, ["sign"]),
    () => ({ name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: bytes(1, 0, 1), hash: "SHA-256" }),
  ],
  "importKey, algorithm": [(algorithm) => crypto.subtle.importKey("raw", bytes(1), algorithm, true, ["sign"]), () => ({ ...KEY, length: 8 })],
  "importKey, JWK": [(jwk) => crypto.subtle.importKey("jwk", jwk, KEY, true, ["sign"]), () => ({ ...JWK })],
  "encrypt with AES-GCM": [(algorithm) => crypto.subtle.encrypt(algorithm, keys.aes, bytes(1)), () => ({ name: "AES-GCM", iv: new Uint8Array(12), tagLength: 128, additionalData: bytes(1) })],
  "decrypt with AES-CBC": [(algorithm) => crypto.subtle.decrypt(algorithm, keys.cbc, new Uint8Array(16)), () => ({ name: "AES-CBC", iv: new Uint8Array(16) })],
  "encrypt with AES-CTR": [(algorithm) => crypto.subtle.encrypt(algorithm, keys.ctr, bytes(1)), () => ({ name: "AES-CTR", counter: new Uint8Array(16), length: 64 })],
  "sign with HMAC": [(algorithm) => crypto.subtle.sign(algorithm, keys.hmac, bytes(1)), () => ({ name: "HMAC" })],
  "sign with ECDSA": [(algorithm) => crypto.subtle.sign(algorithm, keys.ec.privateKey, bytes(1)), () => ({ name: "ECDSA", hash: "SHA-256" })],
  "verify with ECDSA": [(algorithm) => crypto.subtle.verify(algorithm, keys.ec.publicKey, new Uint8Array(64), bytes(1)), () => ({ name: "ECDSA", hash: "SHA-256" })],
  "deriveBits with PBKDF2": [(algorithm) => crypto.subtle.deriveBits(algorithm, keys.pbkdf2, 128), () => ({ name: "PBKDF2", hash: "SHA-256", salt: bytes(1), iterations: 1 })],
  "deriveBits with HKDF": [(algorithm) => crypto.subtle.deriveBits(algorithm, keys.hkdf, 128), () => ({ name: "HKDF", hash: "SHA-256", salt: bytes(1), info: bytes(1) })],
  "deriveBits with ECDH": [(algorithm) => crypto.subtle.deriveBits(algorithm, keys.ecdh.privateKey, 128), () => ({ name: "ECDH", public: keys.ecdh.publicKey })],
  "deriveKey, what is derived": [
    (derived) => crypto.subtle.deriveKey({ name: "PBKDF2", hash: "SHA-256", salt: bytes(1), iterations: 1 }, keys.pbkdf2, derived, true, ["encrypt"]),
    () => ({ name: "AES-GCM", length: 128 }),
  ],
  "wrapKey": [(algorithm) => crypto.subtle.wrapKey("raw", keys.hmac, keys.aes, algorithm), () => ({ name: "AES-GCM", iv: new Uint8Array(12) })],
};

const cases = {};
for (const [name, [call, base, setUp = nothing, intact = untouched]] of Object.entries(CALLS)) {
  const body = () => swallowed(call, base, setUp, intact);
  cases[name] = /subtle/.test(`${call}`) ? withKeys(body) : body;
}

// Only in Workers and here.
const of = (name, ...rest) => async () => (name in globalThis ? await swallowed(...rest) : "is not there");
cases["caches.match"] = of("caches", (options) => caches.default.match(URL_A, options), () => ({ ignoreMethod: false }), nothing, untouched);
cases["scheduler.wait"] = of("scheduler", (options) => scheduler.wait(1, options), () => ({}), nothing, untouched);
cases["new EventSource"] = async () => swallowed((init) => new EventSource("data:,x", init).close(), () => ({}), nothing, untouched);

// Lists whose reading throws.
const rest = (list) => ({
  *[Symbol.iterator]() {
    yield* list;
    throw new Sentinel();
  },
});
const comesOut = async (body) => {
  try {
    await body();
    return "nothing is thrown";
  } catch (error) {
    return error instanceof Sentinel || error?.constructor?.name;
  }
};
cases["AbortSignal.any"] = async () => {
  const controller = new AbortController();
  const outcome = await comesOut(() => AbortSignal.any(rest([controller.signal])));
  controller.abort();
  return [outcome, controller.signal.aborted];
};
cases["lists of parts"] = async () => [await comesOut(() => new Blob(rest(["a"]))), await comesOut(() => new File(rest(["a"]), "x"))];
cases["lists of pairs"] = async () => [await comesOut(() => new Headers(rest([["a", "b"]]))), await comesOut(() => new URLSearchParams(rest([["a", "b"]])))];
cases["lists of what is transferred"] = async () => {
  const buffer = new ArrayBuffer(4);
  return [await comesOut(() => structuredClone(buffer, { transfer: rest([buffer]) })), buffer.byteLength];
};
cases["lists of uses of a key"] = async () => [
  await comesOut(() => crypto.subtle.generateKey(KEY, true, rest(["sign"]))),
  await comesOut(() => crypto.subtle.importKey("raw", bytes(1), KEY, true, rest(["sign"]))),
];
cases["lists of protocols"] = async () => comesOut(() => new WebSocket("ws://127.0.0.1:1/", rest(["a"])));

export default cases;
