// Values that are meant to hurt, given to every constructor and to the functions that convert: each gives a value or an
// exception of a class that a standard names, and the isolate lives on.

import { attempt, bytes } from "../run.js";

const detached = () => {
  const buffer = new ArrayBuffer(8);
  const view = new Uint8Array(buffer);
  structuredClone(buffer, { transfer: [buffer] });
  return view;
};
const throwing = () => { throw new RangeError("thrown by a getter"); };
const HUGE = "x".repeat(1 << 18);

// Fresh values each time: a constructor may change what it is given.
const VALUES = {
  "nothing": () => [],
  "undefined": () => [undefined],
  "null": () => [null],
  "numbers": () => [NaN, -1],
  "a large number": () => [2 ** 53],
  "a bigint": () => [1n],
  "a symbol": () => [Symbol("s")],
  "an empty string": () => [""],
  "a lone surrogate": () => ["\ud800", "\udfff"],
  "a NUL": () => ["\0", "\0"],
  "a huge string": () => [HUGE, HUGE],
  "invalid UTF-8": () => [bytes(0xff, 0xfe, 0xc0), bytes(0xed, 0xa0, 0x80)],
  "a detached view": () => [detached(), detached()],
  "a detached buffer": () => [detached().buffer],
  "a resizable buffer": () => [new ArrayBuffer(4, { maxByteLength: 8 })],
  "a getter that throws": () => [new Proxy({}, { get: throwing }), new Proxy({}, { get: throwing })],
  "a proxy whose traps throw": () => [new Proxy({}, { get: throwing, has: throwing, ownKeys: throwing, getPrototypeOf: throwing, getOwnPropertyDescriptor: throwing })],
  "a revoked proxy": () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return [proxy, proxy];
  },
  "a proxy of a function": () => [new Proxy(() => {}, {})],
  "toString that throws": () => [{ toString: throwing, valueOf: throwing }, { toString: throwing, valueOf: throwing }],
  "toPrimitive that gives an object": () => [{ [Symbol.toPrimitive]: () => ({}) }],
  "an iterator that throws": () => [{ [Symbol.iterator]: throwing }],
  "an iterator without an end": () => [{ *[Symbol.iterator]() { for (let i = 0; i < 1000; i++) yield ["a", "b"]; throw new RangeError("enough"); } }],
  "an iterator that gives rubbish": () => {
    let left = 100;
    return [{ [Symbol.iterator]: () => ({ next: () => left-- > 0 ? 5 : throwing() }) }];
  },
  "an object without a prototype": () => [Object.create(null), Object.create(null)],
  "an object that pretends": () => [Object.create(Response.prototype), Object.create(Request.prototype)],
  "an object with a wrong tag": () => [{ [Symbol.toStringTag]: "Blob", size: 1e9, stream: throwing }],
  "a function": () => [function () {}, () => {}],
  "a class": () => [class {}],
  "a promise": () => [Promise.resolve()],
  "a nested list": () => [[[[[]]]], [[]]],
  "a frozen object": () => [Object.freeze({}), Object.freeze({})],
  "a cycle": () => {
    const loop = {};
    loop.a = loop;
    loop[0] = loop;
    return [loop, loop];
  },
  "a large array": () => [new Array(2000)],
  "a regular expression": () => [/(a+)+$/],
  "a document.all of sorts": () => [globalThis],
};

const CONSTRUCTORS = [
  "AbortController", "AbortSignal", "Blob", "ByteLengthQueuingStrategy", "CloseEvent", "CompressionStream", "CountQueuingStrategy", "Crypto", "CryptoKey", "CustomEvent",
  "DOMException", "DecompressionStream", "ErrorEvent", "Event", "EventTarget", "File", "FormData", "Headers", "MessageChannel",
  "MessageEvent", "MessagePort", "Performance", "PromiseRejectionEvent", "ReadableByteStreamController", "ReadableStream", "ReadableStreamBYOBReader",
  "ReadableStreamBYOBRequest", "ReadableStreamDefaultController", "ReadableStreamDefaultReader", "Request", "Response", "SubtleCrypto",
  "TextDecoder", "TextDecoderStream", "TextEncoder", "TextEncoderStream", "TransformStream", "TransformStreamDefaultController", "URL", "URLPattern",
  "URLSearchParams", "WritableStream", "WritableStreamDefaultController", "WritableStreamDefaultWriter",
];
const FUNCTIONS = {
  atob: (...list) => atob(...list),
  btoa: (...list) => btoa(...list),
  structuredClone: (...list) => structuredClone(...list),
  queueMicrotask: (...list) => queueMicrotask(...(typeof list[0] === "function" ? [() => {}] : list)),
  "crypto.getRandomValues": (...list) => crypto.getRandomValues(...list),
  "crypto.subtle.digest": (...list) => crypto.subtle.digest("SHA-256", ...list),
  "crypto.subtle.importKey": (...list) => crypto.subtle.importKey("raw", ...list),
  "Response.json": (...list) => Response.json(...list),
  "Response.redirect": (...list) => Response.redirect(...list),
  "ReadableStream.from": (...list) => ReadableStream.from(...list),
  "AbortSignal.any": (...list) => AbortSignal.any(...list),
  "AbortSignal.abort": (...list) => AbortSignal.abort(...list).aborted,
  "URL.canParse": (...list) => URL.canParse(...list),
  "TextEncoder.encode": (...list) => new TextEncoder().encode(...list),
  "TextEncoder.encodeInto": (...list) => new TextEncoder().encodeInto("x", ...list),
  "TextDecoder.decode": (...list) => new TextDecoder().decode(...list),
  "Headers.append": (...list) => new Headers().append(...list),
  "FormData.append": (...list) => new FormData().append(...list),
  "URLSearchParams.append": (...list) => new URLSearchParams().append(...list),
  "EventTarget.addEventListener": (...list) => new EventTarget().addEventListener(...list),
  "EventTarget.dispatchEvent": (...list) => new EventTarget().dispatchEvent(...list),
  "Response body": (...list) => new Response(...list).text(),
  "fetch": (...list) => fetch(...list),
  "Blob.slice": (...list) => new Blob(["abc"]).slice(...list),
  "performance.mark": (...list) => performance.mark(...list),
};

// What standards let these throw: errors of the language, DOMExceptions, and what a getter of ours threw.
const PROPER = /^(a value|TypeError|RangeError|SyntaxError|URIError|DOMException [A-Z][A-Za-z]+Error)$/;

async function outcome(body) {
  const result = await attempt(async () => {
    await body();
    return "a value";
  });
  return PROPER.test(result) ? null : result;
}

const cases = {};
for (const name of CONSTRUCTORS) {
  cases[`new ${name}`] = async () => {
    const improper = [];
    for (const [what, make] of Object.entries(VALUES)) {
      const result = await outcome(() => void new globalThis[name](...make()));
      if (result !== null) improper.push(`${what}: ${result}`);
    }
    return improper;
  };
  cases[`a subclass of ${name}`] = async () => {
    const improper = [];
    class Mine extends globalThis[name] {
      constructor(...list) {
        super(...list);
        this.mine = true;
      }
      get size() {
        return throwing();
      }
      toString() {
        return throwing();
      }
    }
    for (const [what, make] of Object.entries(VALUES)) {
      const result = await outcome(() => void new Mine(...make()));
      if (result !== null) improper.push(`${what}: ${result}`);
    }
    return improper;
  };
}
for (const [name, body] of Object.entries(FUNCTIONS)) {
  cases[name] = async () => {
    const improper = [];
    for (const [what, make] of Object.entries(VALUES)) {
      const result = await outcome(() => body(...make()));
      if (result !== null) improper.push(`${what}: ${result}`);
    }
    return improper;
  };
}

export default cases;
