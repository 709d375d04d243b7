// What is on `globalThis`: the minimum common API of WinterTC (Ecma TC55, December 2025), and the shape of each name.

import { attempt, attempts, descriptor } from "../run.js";

const CLASSES = [
  "AbortController", "AbortSignal", "Blob", "ByteLengthQueuingStrategy", "CompressionStream", "CountQueuingStrategy", "Crypto", "CryptoKey",
  "CustomEvent", "DecompressionStream", "DOMException", "ErrorEvent", "Event", "EventTarget", "File", "FormData", "Headers", "MessageChannel",
  "MessageEvent", "MessagePort", "Performance", "PromiseRejectionEvent", "ReadableByteStreamController", "ReadableStream",
  "ReadableStreamBYOBReader", "ReadableStreamBYOBRequest", "ReadableStreamDefaultController", "ReadableStreamDefaultReader", "Request",
  "Response", "SubtleCrypto", "TextDecoder", "TextDecoderStream", "TextEncoder", "TextEncoderStream", "TransformStream",
  "TransformStreamDefaultController", "URL", "URLPattern", "URLSearchParams", "WritableStream", "WritableStreamDefaultController",
  "WritableStreamDefaultWriter",
];
const FUNCTIONS = [
  "atob", "btoa", "clearInterval", "clearTimeout", "fetch", "queueMicrotask", "reportError", "setInterval", "setTimeout", "structuredClone",
];
const OBJECTS = ["console", "crypto", "navigator", "performance", "self", "globalThis", "WebAssembly"];
const HANDLERS = ["onerror", "onunhandledrejection", "onrejectionhandled"];

const each = (names, look) => Object.fromEntries(names.map((name) => [name, attempt(() => look(globalThis[name], name))]));
// Those that differ from what is wanted, so that a long table shows only what is remarkable.
const except = (names, look) => names.filter((name) => attempt(() => look(globalThis[name], name)) !== true);

const all = {
  "every class is there": () => except(CLASSES, (value) => typeof value === "function"),
  "every function is there": () => except(FUNCTIONS, (value) => typeof value === "function"),
  "every object is there": () => except(OBJECTS, (value) => typeof value === "object"),
  "every handler is there": () => HANDLERS.map((name) => name in globalThis),
  "classes are writable, configurable and not enumerable": () =>
    except(CLASSES, (_, name) => descriptor(globalThis, name) === "function cw"),
  "functions are enumerable, writable and configurable": () => except(FUNCTIONS, (_, name) => descriptor(globalThis, name) === "function cew"),
  "classes know their names": () => except(CLASSES, (value, name) => value.name === name),
  "classes can be looked at twice": () => except(CLASSES, (value, name) => value === globalThis[name]),
  "prototypes cannot be replaced": () => except(CLASSES, (value) => descriptor(value, "prototype") === "object "),
  "prototypes know their class": () => except(CLASSES, (value) => value.prototype.constructor === value),
  "the constructor property is hidden": () => except(CLASSES, (value) => descriptor(value.prototype, "constructor") === "function cw"),
  "prototypes have a tag": () => except(CLASSES, (value, name) => value.prototype[Symbol.toStringTag] === name),
  "the tag is not writable": () => except(CLASSES, (value) => descriptor(value.prototype, Symbol.toStringTag) === "string c"),
  "classes need new": () => except(CLASSES, (value) => attempt(() => value()) === "TypeError"),
  "all attributes and methods are enumerable": () =>
    CLASSES.flatMap((name) =>
      Object.getOwnPropertyNames(globalThis[name].prototype)
        .filter((key) => key !== "constructor" && !descriptor(globalThis[name].prototype, key).includes("e"))
        .map((key) => `${name}.${key}`)),
  "no method has a prototype": () =>
    CLASSES.flatMap((name) => {
      const { prototype } = globalThis[name];
      return Object.getOwnPropertyNames(prototype)
        .filter((key) => key !== "constructor" && typeof Object.getOwnPropertyDescriptor(prototype, key).value === "function" && Object.hasOwn(prototype[key], "prototype"))
        .map((key) => `${name}.${key}`);
    }),
  "no global function has a prototype": () => except(FUNCTIONS, (value) => !Object.hasOwn(value, "prototype")),
  "functions know their names": () => except(FUNCTIONS, (value, name) => value.name === name),
  "how many arguments functions want": () => Object.entries(each(FUNCTIONS, (value) => value.length)).map(([name, length]) => `${name} ${length}`),
  "how many arguments constructors want": () => Object.entries(each(CLASSES, (value) => value.length)).map(([name, length]) => `${name} ${length}`),
  "inheritance": () => [
    ["AbortSignal", "EventTarget"], ["MessagePort", "EventTarget"], ["Performance", "EventTarget"], ["CustomEvent", "Event"], ["ErrorEvent", "Event"],
    ["MessageEvent", "Event"], ["PromiseRejectionEvent", "Event"], ["File", "Blob"], ["DOMException", "Error"],
  ].filter(([name, parent]) => Object.getPrototypeOf(globalThis[name].prototype) !== globalThis[parent].prototype),
  "self": () => [self === globalThis, globalThis.self === globalThis.self],
  "the global's tag": () => typeof globalThis[Symbol.toStringTag],
  "navigator.userAgent": () => [typeof navigator.userAgent, navigator.userAgent.length > 0],
  "console's methods": () => ["log", "debug", "info", "warn", "error", "assert", "clear", "count", "countReset", "dir", "dirxml", "group", "groupCollapsed", "groupEnd", "table", "time", "timeEnd", "timeLog", "trace"].filter((name) => typeof console[name] !== "function"),
  "console's methods work on their own": () => attempt(() => {
    const { debug } = console;
    debug("expected by a test");
  }),
  "console of difficult values": () => attempt(() => {
    const loop = {};
    loop.loop = loop;
    for (const value of [loop, Symbol("x"), 1n, new Proxy({}, {}), Object.create(null), { get a() { throw new Error(); } }, { toString() { throw new Error(); } }]) console.debug(value);
    console.debug("%s %d %i %f %o %O %c %%", Symbol("a"), "5", 1n, {}, [], {}, "css");
  }),
  "what is not there": () => ["window", "document", "XMLHttpRequest", "localStorage", "importScripts", "require", "module", "__dirname", "Worker", "SharedArrayBuffer", "alert"].map((name) => name in globalThis),
  "the language": () => attempts(
    () => typeof Iterator.prototype.map,
    () => Object.groupBy([1, 2], (n) => (n % 2 ? "odd" : "even")).odd,
    () => [3, 1].toSorted(),
    () => new Set([1]).union(new Set([2])).size,
    () => Promise.withResolvers() instanceof Object,
    () => Array.fromAsync([1]),
    () => /[\p{L}--[a-z]]/v.test("A"),
    () => structuredClone(new Date(0)).getTime(),
    () => new Intl.DateTimeFormat("en", { timeZone: "UTC" }).format(0),
    () => "ab".at(-1),
    () => Uint8Array.fromBase64?.("AQI=").length,
    () => Math.sumPrecise?.([0.1, 0.2]),
  ),
  "Atomics and shared memory": () => [typeof Atomics, typeof SharedArrayBuffer],
  "the time zone": () => [Intl.DateTimeFormat().resolvedOptions().timeZone, new Date(0).getTimezoneOffset()],
};

export default all;
