// node:async_hooks: what follows a request's asynchronous calls, on the engine's continuation-preserved data.

(function (require, internals) {
"use strict";

const { AsyncVariable, getAsyncContext, setAsyncContext } = internals;
const { nodeError, validate } = require("internal/errors");

function within(context, callback, thisArg, args) {
  const previous = getAsyncContext();
  setAsyncContext(context);
  try {
    return Reflect.apply(callback, thisArg, args);
  } finally {
    setAsyncContext(previous);
  }
}

class AsyncLocalStorage {
  #variable = new AsyncVariable();
  #default;
  #name;

  constructor(options = {}) {
    validate.object(options, "options");
    this.#default = options.defaultValue;
    this.#name = options.name === undefined ? "" : `${options.name}`;
  }

  static bind(fn) {
    return AsyncResource.bind(fn);
  }

  static snapshot() {
    const context = getAsyncContext();
    return (fn, ...args) => within(context, fn, undefined, args);
  }

  get name() {
    return this.#name;
  }

  disable() {
    this.#variable = new AsyncVariable();
  }

  enterWith(store) {
    this.#variable.enter([store]);
  }

  exit(callback, ...args) {
    return this.run(undefined, callback, ...args);
  }

  getStore() {
    const held = this.#variable.get();
    return held === undefined ? this.#default : held[0];
  }

  run(store, callback, ...args) {
    const previous = this.#variable.enter([store]);
    try {
      return Reflect.apply(callback, null, args);
    } finally {
      setAsyncContext(previous);
    }
  }
}

let lastId = 1;

class AsyncResource {
  #context = getAsyncContext();
  #id = ++lastId;

  constructor(type, options = {}) {
    validate.string(type, "type");
    if (type === "") throw nodeError("ERR_ASYNC_TYPE", type);
    void options;
  }

  static bind(fn, type, thisArg) {
    type = type || fn.name || "bound-anonymous-fn";
    return new AsyncResource(type).bind(fn, thisArg);
  }

  asyncId() {
    return this.#id;
  }

  bind(fn, thisArg) {
    validate.func(fn, "fn");
    const resource = this;
    const bound = thisArg === undefined
      ? function (...args) {
        return resource.runInAsyncScope(fn, this, ...args);
      }
      : (...args) => resource.runInAsyncScope(fn, thisArg, ...args);
    Object.defineProperty(bound, "length", { __proto__: null, value: fn.length, configurable: true });
    return bound;
  }

  emitDestroy() {
    return this;
  }

  runInAsyncScope(fn, thisArg, ...args) {
    return within(this.#context, fn, thisArg, args);
  }

  triggerAsyncId() {
    return 0;
  }
}

const asyncWrapProviders = Object.freeze({ __proto__: null });

return {
  AsyncLocalStorage,
  AsyncResource,
  asyncWrapProviders,
  createHook(hooks) {
    validate.object(hooks, "fns");
    // The engine tells nobody of its asynchronous calls: hooks are taken and never called.
    const hook = {
      enable: () => hook,
      disable: () => hook,
    };
    return hook;
  },
  executionAsyncId: () => 0,
  executionAsyncResource: () => ({}),
  triggerAsyncId: () => 0,
};
})
