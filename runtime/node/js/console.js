// node:console: the console of the worker, and one that writes to streams.

(function (require) {
"use strict";

const { nodeError } = require("internal/errors");

const LEVELS = {
  debug: "out", dir: "out", dirxml: "out", error: "err", info: "out", log: "out", trace: "err", warn: "err",
};

class Console {
  #out;
  #err;
  #indent = "";
  #counts = new Map();
  #timers = new Map();

  constructor(options, stderr) {
    const isStream = typeof options?.write === "function";
    this.#out = isStream ? options : options?.stdout;
    this.#err = (isStream ? stderr : options?.stderr) ?? this.#out;
    for (const stream of [this.#out, this.#err]) {
      if (typeof stream?.write !== "function") {
        throw nodeError("ERR_INVALID_ARG_TYPE", "stdout", "Writable", stream);
      }
    }
    for (const name of Object.keys(LEVELS)) {
      this[name] = (...args) => this.#write(LEVELS[name], name === "trace" ? ["Trace:", ...args] : args);
    }
    for (const name of Object.getOwnPropertyNames(Console.prototype)) {
      if (name !== "constructor") this[name] = this[name].bind(this);
    }
  }

  #write(where, args) {
    const text = require("packages/inspect").format(...args);
    const stream = where === "err" ? this.#err : this.#out;
    stream.write(`${text.split("\n").map((line) => this.#indent + line).join("\n")}\n`);
  }

  assert(condition, ...args) {
    if (condition) return;
    if (typeof args[0] === "string") args[0] = `Assertion failed: ${args[0]}`;
    else args.unshift("Assertion failed");
    this.#write("err", args);
  }

  clear() {}

  count(label = "default") {
    const count = (this.#counts.get(`${label}`) ?? 0) + 1;
    this.#counts.set(`${label}`, count);
    this.#write("out", [`${label}: ${count}`]);
  }

  countReset(label = "default") {
    this.#counts.delete(`${label}`);
  }

  group(...args) {
    if (args.length > 0) this.#write("out", args);
    this.#indent += "  ";
  }

  groupCollapsed(...args) {
    this.group(...args);
  }

  groupEnd() {
    this.#indent = this.#indent.slice(2);
  }

  table(data) {
    this.#write("out", [data]);
  }

  time(label = "default") {
    this.#timers.set(`${label}`, performance.now());
  }

  timeEnd(label = "default") {
    this.timeLog(label);
    this.#timers.delete(`${label}`);
  }

  timeLog(label = "default", ...args) {
    const start = this.#timers.get(`${label}`);
    if (start !== undefined) this.#write("out", [`${label}: ${(performance.now() - start).toFixed(3)}ms`, ...args]);
  }
}

const { console } = globalThis;
const names = [
  "assert", "clear", "count", "countReset", "debug", "dir", "dirxml", "error", "group", "groupCollapsed", "groupEnd",
  "info", "log", "profile", "profileEnd", "table", "time", "timeEnd", "timeLog", "timeStamp", "trace", "warn",
];
const result = { Console };
for (const name of names) result[name] = console[name];
return result;
})
