// structuredClone (HTML standard, section 2.7).

import { attempt, attempts, bytes, descriptor } from "../run.js";

const clone = (value, options) => structuredClone(value, options);

export default {
  "primitives": () => [undefined, null, true, 1, -0, NaN, "a", "\ud800", 5n].map((value) => clone(value)),
  "primitive objects": () => [new Boolean(false), new Number(-0), new String("a"), Object(5n)].map((value) => [typeof clone(value), clone(value).valueOf(), Object.prototype.toString.call(clone(value))]),
  "symbols": () => attempts(() => clone(Symbol()), () => clone(Object(Symbol())), () => clone({ a: Symbol() })),
  "functions": () => attempts(() => clone(() => {}), () => clone({ a() {} }), () => clone(class {})),
  "dates": () => [clone(new Date(5)), clone(new Date(NaN)).getTime()],
  "regular expressions": () => {
    const pattern = /a(b)/giu;
    pattern.lastIndex = 3;
    const copy = clone(pattern);
    return [copy.source, copy.flags, copy.lastIndex];
  },
  "objects": () => {
    const source = { a: { b: [1, 2] }, c: undefined };
    const copy = clone(source);
    return [copy, copy !== source, copy.a !== source.a, "c" in copy];
  },
  "arrays with holes and properties": () => {
    const list = [1, , 3];
    list.extra = "x";
    const copy = clone(list);
    return [copy.length, 1 in copy, copy.extra];
  },
  "an array's length": () => clone(Object.assign([], { length: 5 })).length,
  "maps": () => clone(new Map([["a", 1], [{ k: 1 }, new Map()]])),
  "sets": () => clone(new Set([1, "a", new Set([2])])),
  "a map's own properties are lost": () => Object.keys(clone(Object.assign(new Map(), { a: 1 }))),
  "buffers": () => [clone(bytes(1, 2).buffer), clone(new Uint16Array([1, 2])), clone(new DataView(bytes(1, 2, 3).buffer, 1)), clone(new Float64Array([0.5])), clone(new BigInt64Array([1n]))],
  "views share their buffer": () => {
    const { buffer } = bytes(1, 2);
    const copy = clone({ a: new Uint8Array(buffer), b: new Uint8Array(buffer, 1) });
    return [copy.a.buffer === copy.b.buffer, copy.a.buffer === buffer];
  },
  "resizable buffers": () => {
    const copy = clone(new ArrayBuffer(2, { maxByteLength: 8 }));
    return [copy.resizable, copy.byteLength, copy.maxByteLength];
  },
  "cycles": () => {
    const loop = { list: [] };
    loop.self = loop;
    loop.list.push(loop);
    const copy = clone(loop);
    return [copy.self === copy, copy.list[0] === copy, copy !== loop];
  },
  "the same object twice": () => {
    const shared = {};
    const copy = clone([shared, shared]);
    return copy[0] === copy[1];
  },
  "errors": () => [new Error("a"), new TypeError("b"), new RangeError(), new SyntaxError("d"), new ReferenceError("e"), new EvalError("f"), new URIError("g")].map((error) => {
    const copy = clone(error);
    return [copy.constructor.name, copy.name, copy.message, typeof copy.stack, Object.hasOwn(copy, "message")];
  }),
  "an error's cause": () => clone(new Error("a", { cause: { b: 1 } })).cause,
  "an error with another name": () => {
    const error = new TypeError("a");
    error.name = "Custom";
    const copy = clone(error);
    return [copy.name, copy.constructor.name];
  },
  "an error's own properties are lost": () => "extra" in clone(Object.assign(new Error("a"), { extra: 1 })),
  "a class derived from Error": () => {
    class Mine extends RangeError {}
    const copy = clone(new Mine("a"));
    return [copy instanceof Mine, copy.constructor.name, copy.message];
  },
  "AggregateError": () => {
    const copy = clone(new AggregateError([1], "m"));
    return [copy.constructor.name, copy.message, "errors" in copy];
  },
  "DOMException": () => {
    const copy = clone(new DOMException("m", "AbortError"));
    return [copy instanceof DOMException, copy.name, copy.message, copy.code];
  },
  "instances become plain": () => {
    class Point {
      x = 1;
      get y() {
        return 2;
      }
    }
    const copy = clone(new Point());
    return [Object.getPrototypeOf(copy) === Object.prototype, copy];
  },
  "getters are read": () => clone({ get a() { return 1; } }),
  "getters that throw": () => attempt(() => clone({ get a() { throw new RangeError(); } })),
  "hidden and symbol properties are lost": () => Reflect.ownKeys(clone(Object.defineProperty({ [Symbol("s")]: 1 }, "h", { value: 1, enumerable: false }))),
  "null prototypes": () => Object.getPrototypeOf(clone(Object.create(null))) === Object.prototype,
  "a frozen object": () => Object.isFrozen(clone(Object.freeze({ a: 1 }))),
  "a key __proto__": () => Object.keys(clone(JSON.parse('{"__proto__":{"a":1}}'))),
  "what cannot be cloned": () => attempts(...[new WeakMap(), new WeakSet(), new WeakRef({}), Promise.resolve(), (function* () {})(), new Proxy(() => {}, {})].map((value) => () => clone(value))),
  "a proxy": () => attempt(() => clone(new Proxy({ a: 1 }, {}))),
  "arguments": () => (function () { return clone(arguments); })(1, 2),
  "platform objects": () => attempts(() => clone(new Headers({ a: "1" })), () => clone(new Response("x")), () => clone(new Request("http://a/")), () => clone(new URL("http://a/")), () => clone(new EventTarget()), () => clone(new Event("x")), () => clone(new AbortController()), () => clone(new TextEncoder()), () => clone(crypto)),
  "blobs": async () => {
    const copy = clone(new Blob(["abc"], { type: "a/b" }));
    return [copy instanceof Blob, copy.size, copy.type, await copy.text()];
  },
  "files": async () => {
    const copy = clone(new File(["abc"], "f", { type: "a/b", lastModified: 3 }));
    return [copy instanceof File, copy.name, copy.lastModified, await copy.text()];
  },
  "keys": async () => {
    const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 128 }, true, ["encrypt"]);
    return attempt(() => {
      const copy = clone(key);
      return [copy instanceof CryptoKey, copy.algorithm, copy.usages];
    });
  },
  "wasm modules": () => {
    const module = new WebAssembly.Module(bytes(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    return attempt(() => clone(module) instanceof WebAssembly.Module);
  },
  "wasm memories": () => attempt(() => clone(new WebAssembly.Memory({ initial: 1 }))),
  "transfer": () => {
    const source = bytes(1, 2);
    const copy = clone(source, { transfer: [source.buffer] });
    return [copy, source.byteLength, source.buffer.byteLength, source.buffer.detached];
  },
  "transfer without reference": () => {
    const { buffer } = bytes(1);
    return [clone(1, { transfer: [buffer] }), buffer.byteLength];
  },
  "transfer twice": () => {
    const { buffer } = bytes(1);
    return attempt(() => clone(buffer, { transfer: [buffer, buffer] }));
  },
  "transfer of what is detached": () => {
    const { buffer } = bytes(1);
    clone(buffer, { transfer: [buffer] });
    return attempts(() => clone(buffer, { transfer: [buffer] }), () => clone(buffer));
  },
  "transfer of what cannot be": () => attempts(() => clone({}, { transfer: [{}] }), () => clone(1, { transfer: [1] }), () => clone(1, { transfer: 1 }), () => clone(1, { transfer: null }), () => clone(1, { transfer: undefined })),
  "a failed clone detaches nothing": () => {
    const { buffer } = bytes(1);
    const result = attempt(() => clone([buffer, () => {}], { transfer: [buffer] }));
    return [result, buffer.byteLength];
  },
  "options": () => attempts(() => clone(1, null), () => clone(1, 1), () => clone(1, "x"), () => clone(1, {}), () => clone()),
  "deep": () => {
    let deep = {};
    for (let i = 0; i < 100; i++) deep = { deep };
    let depth = 0;
    for (let at = clone(deep); at.deep; at = at.deep) depth++;
    return depth;
  },
  "very deep": () => {
    let deep = {};
    for (let i = 0; i < 200_000; i++) deep = { deep };
    return attempt(() => typeof clone(deep)) !== null;
  },
  "many": () => clone(Array.from({ length: 50_000 }, (_, i) => ({ i }))).length,
  "the shape": () => [descriptor(globalThis, "structuredClone"), structuredClone.length, structuredClone.name],
};
