// WebAssembly (JavaScript Interface). Workers and Atoll compile at run time only what a project brings along as a module.

import { attempt, attempts, bytes, descriptor } from "../run.js";

const EMPTY = bytes(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
// (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
const ADD = bytes(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 7, 1, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, 3, 2, 1, 0, 7, 7, 1, 3, 0x61, 0x64, 0x64, 0, 0, 10, 9, 1, 7, 0, 0x20, 0, 0x20, 1, 0x6a, 0x0b);

// (module (import "m" "f" (func (result i32))) (func (export "g") (result i32) call 0))
const IMPORTS = bytes(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7f, 2, 7, 1, 1, 0x6d, 1, 0x66, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 0x67, 0, 1, 10, 6, 1, 4, 0, 0x10, 0, 0x0b);
const WASM = { headers: { "content-type": "application/wasm" } };
const streamed = (instantiate, body, init) => attempt(async () => (await instantiate(new Response(body, init))).instance.exports.add(2, 3));

export default {
  "the names": () => ["Module", "Instance", "Memory", "Table", "Global", "Tag", "Exception", "CompileError", "LinkError", "RuntimeError", "compile", "instantiate", "validate"].map((name) => typeof WebAssembly[name]),
  "streaming": () => ["compileStreaming", "instantiateStreaming"].map((name) => typeof WebAssembly[name]),
  "validate": () => attempts(() => WebAssembly.validate(EMPTY), () => WebAssembly.validate(bytes(1, 2)), () => WebAssembly.validate(), () => WebAssembly.validate("x")),
  "compile": () => attempt(async () => (await WebAssembly.compile(EMPTY)) instanceof WebAssembly.Module),
  "instantiate": () => attempt(async () => (await WebAssembly.instantiate(ADD)).instance.exports.add(2, 3)),
  "new Module": () => attempt(() => new WebAssembly.Module(EMPTY) instanceof WebAssembly.Module),
  "new Instance": () => attempt(() => new WebAssembly.Instance(new WebAssembly.Module(ADD)).exports.add(2, 3)),
  "memory": () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 2 });
    return [memory.buffer.byteLength, memory.grow(1), memory.buffer.byteLength, attempt(() => memory.grow(1))];
  },
  "memories that cannot be": () => attempts(() => new WebAssembly.Memory(), () => new WebAssembly.Memory({}), () => new WebAssembly.Memory({ initial: 2, maximum: 1 }), () => new WebAssembly.Memory({ initial: 70_000 })),
  "tables": () => {
    const table = new WebAssembly.Table({ element: "anyfunc", initial: 2 });
    return [table.length, table.get(0), attempt(() => table.get(5)), table.grow(1), table.length];
  },
  "globals": () => {
    const variable = new WebAssembly.Global({ value: "i32", mutable: true }, 5);
    variable.value = 7;
    return [variable.value, attempt(() => { new WebAssembly.Global({ value: "i32" }, 1).value = 2; })];
  },
  "bytes that are no module": () => attempts(() => WebAssembly.compile(bytes(1, 2, 3)), () => WebAssembly.compile(), () => WebAssembly.compile("x")),
  "errors": () => ["CompileError", "LinkError", "RuntimeError"].map((name) => [WebAssembly[name].name, new WebAssembly[name]("x", { cause: 1 }).cause, new WebAssembly[name]("x").message, Object.getPrototypeOf(WebAssembly[name]) === Error]),
  "tags and exceptions": () => {
    const tag = new WebAssembly.Tag({ parameters: ["i32", "i64"] });
    const exception = new WebAssembly.Exception(tag, [5, 6n]);
    return [exception.is(tag), exception.getArg(tag, 0), exception.getArg(tag, 1), attempt(() => exception.getArg(tag, 2)), exception.is(new WebAssembly.Tag({ parameters: [] })), exception instanceof Error];
  },
  "tags and exceptions that cannot be": () => attempts(() => new WebAssembly.Tag(), () => new WebAssembly.Tag({}), () => new WebAssembly.Tag({ parameters: ["x"] }), () => new WebAssembly.Exception(), () => new WebAssembly.Exception(new WebAssembly.Tag({ parameters: ["i32"] }), [])),
  "JSTag": () => [typeof WebAssembly.JSTag, attempt(() => new WebAssembly.Exception(WebAssembly.JSTag, [{}]) instanceof WebAssembly.Exception)],
  "streaming of a Response": () => streamed((source) => WebAssembly.instantiateStreaming(source), ADD, WASM),
  "streaming of a promise": () => streamed((source) => WebAssembly.instantiateStreaming(Promise.resolve(source)), ADD, WASM),
  "compileStreaming": () => attempt(async () => (await WebAssembly.compileStreaming(new Response(EMPTY, WASM))) instanceof WebAssembly.Module),
  "streaming with other types": async () => {
    const types = ["application/wasm; charset=utf-8", "Application/WASM", "text/plain", "", "application/wasm,"];
    const outcomes = [];
    for (const type of types) outcomes.push(await streamed((source) => WebAssembly.instantiateStreaming(source), ADD, { headers: { "content-type": type } }));
    return outcomes;
  },
  "streaming of a failure": () => streamed((source) => WebAssembly.instantiateStreaming(source), ADD, { ...WASM, status: 404 }),
  "streaming of something else": () => attempts(...[1, "x", null, {}, ADD].map((source) => async () => typeof await WebAssembly.compileStreaming(source))),
  "streaming of a body that was used": () => attempt(async () => {
    const response = new Response(EMPTY, WASM);
    await response.arrayBuffer();
    return typeof await WebAssembly.compileStreaming(response);
  }),
  "streaming of bytes that are no module": () => streamed((source) => WebAssembly.instantiateStreaming(source), bytes(1, 2, 3), WASM),
  "imports": () => attempts(
    () => new WebAssembly.Instance(new WebAssembly.Module(IMPORTS), { m: { f: () => 5 } }).exports.g(),
    () => new WebAssembly.Instance(new WebAssembly.Module(IMPORTS), { m: { f: () => { throw new RangeError(); } } }).exports.g(),
    () => new WebAssembly.Instance(new WebAssembly.Module(IMPORTS), { m: {} }),
    () => new WebAssembly.Instance(new WebAssembly.Module(IMPORTS)),
    () => WebAssembly.Module.imports(new WebAssembly.Module(IMPORTS)),
    () => WebAssembly.Module.exports(new WebAssembly.Module(IMPORTS)),
    () => WebAssembly.Module.customSections(new WebAssembly.Module(IMPORTS), "x"),
  ),
  "the shape": () => [Object.prototype.toString.call(WebAssembly), descriptor(globalThis, "WebAssembly"), descriptor(WebAssembly, "Module"), descriptor(WebAssembly, "compile")],
};
