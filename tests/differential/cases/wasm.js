// WebAssembly (JavaScript Interface). Workers and Atoll compile at run time only what a project brings along as a module.

import { attempt, attempts, bytes, descriptor } from "../run.js";

const EMPTY = bytes(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
// (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
const ADD = bytes(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 7, 1, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, 3, 2, 1, 0, 7, 7, 1, 3, 0x61, 0x64, 0x64, 0, 0, 10, 9, 1, 7, 0, 0x20, 0, 0x20, 1, 0x6a, 0x0b);

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
  "the shape": () => [Object.prototype.toString.call(WebAssembly), descriptor(globalThis, "WebAssembly"), descriptor(WebAssembly, "Module"), descriptor(WebAssembly, "compile")],
};
