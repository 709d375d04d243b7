// node:timers and node:timers/promises: the timers of the web, with objects in place of numbers.

(function (require) {
"use strict";

const { AbortError, nodeError, validate } = require("internal/errors");

const { clearInterval, clearTimeout, setInterval, setTimeout } = globalThis;
const customPromisify = Symbol.for("nodejs.util.promisify.custom");
const MOST = 2 ** 31 - 1;

function clamp(after) {
  after = +after;
  return after >= 1 && after <= MOST ? Math.trunc(after) : 1;
}

class Timeout {
  #id;
  #start;
  #referenced = true;
  #done = false;

  constructor(callback, after, args, repeats) {
    if (typeof callback !== "function") throw nodeError("ERR_INVALID_ARG_TYPE", "callback", "Function", callback);
    this._idleTimeout = clamp(after);
    this._onTimeout = callback;
    this._repeat = repeats ? this._idleTimeout : null;
    const run = () => {
      if (!repeats) this.#done = true;
      Reflect.apply(this._onTimeout, this, args);
    };
    this.#start = () => (repeats ? setInterval : setTimeout)(run, this._idleTimeout);
    this.#id = this.#start();
  }

  close() {
    clearTimeout(this.#id);
    clearInterval(this.#id);
    this.#done = true;
    return this;
  }

  get _destroyed() {
    return this.#done;
  }

  hasRef() {
    return this.#referenced;
  }

  ref() {
    this.#referenced = true;
    return this;
  }

  refresh() {
    clearTimeout(this.#id);
    clearInterval(this.#id);
    this.#done = false;
    this.#id = this.#start();
    return this;
  }

  unref() {
    this.#referenced = false;
    return this;
  }

  [Symbol.toPrimitive]() {
    return this.#id;
  }

  [Symbol.dispose ?? Symbol.for("nodejs.dispose")]() {
    this.close();
  }
}

class Immediate {
  #id;
  #referenced = true;

  constructor(callback, args) {
    if (typeof callback !== "function") throw nodeError("ERR_INVALID_ARG_TYPE", "callback", "Function", callback);
    this._onImmediate = callback;
    this.#id = setTimeout(() => {
      this.#id = undefined;
      Reflect.apply(callback, this, args);
    }, 0);
  }

  get _destroyed() {
    return this.#id === undefined;
  }

  hasRef() {
    return this.#referenced;
  }

  ref() {
    this.#referenced = true;
    return this;
  }

  unref() {
    this.#referenced = false;
    return this;
  }

  // For clearImmediate, which is no method of the object.
  static cancel(immediate) {
    clearTimeout(immediate.#id);
    immediate.#id = undefined;
  }

  [Symbol.dispose ?? Symbol.for("nodejs.dispose")]() {
    Immediate.cancel(this);
  }
}

function clear(timer) {
  if (timer instanceof Timeout) timer.close();
  else if (typeof timer === "number" || typeof timer === "string") clearTimeout(+timer);
}

// A promise for `start(resolve)`, whose result is cancelled by `stop` when the signal aborts.
function abortable(options, start, stop) {
  try {
    validate.object(options, "options");
    validate.abortSignal(options.signal, "options.signal");
    if (options.ref !== undefined) validate.boolean(options.ref, "options.ref");
  } catch (error) {
    return Promise.reject(error);
  }
  const { signal } = options;
  if (signal?.aborted) return Promise.reject(new AbortError(undefined, { cause: signal.reason }));
  return new Promise((resolve, reject) => {
    const aborted = () => {
      stop(timer);
      reject(new AbortError(undefined, { cause: signal.reason }));
    };
    const timer = start((value) => {
      signal?.removeEventListener("abort", aborted);
      resolve(value);
    });
    signal?.addEventListener("abort", aborted, { once: true });
  });
}

const promises = {
  scheduler: {
    wait: (delay, options) => promises.setTimeout(delay, undefined, options),
    yield: () => promises.setImmediate(),
  },
  setImmediate(value, options = {}) {
    return abortable(options, (resolve) => timers.setImmediate(resolve, value), timers.clearImmediate);
  },
  async *setInterval(after, value, options = {}) {
    validate.object(options, "options");
    validate.abortSignal(options.signal, "options.signal");
    const { signal } = options;
    if (signal?.aborted) throw new AbortError(undefined, { cause: signal.reason });
    let due = 0;
    let wake;
    const timer = timers.setInterval(() => {
      due++;
      wake?.();
    }, after);
    const aborted = () => wake?.();
    signal?.addEventListener("abort", aborted, { once: true });
    try {
      while (!signal?.aborted) {
        if (due === 0) await new Promise((resolve) => wake = resolve);
        for (; due > 0; due--) yield value;
      }
      throw new AbortError(undefined, { cause: signal.reason });
    } finally {
      timers.clearInterval(timer);
      signal?.removeEventListener("abort", aborted);
    }
  },
  setTimeout(after, value, options = {}) {
    return abortable(options, (resolve) => timers.setTimeout(resolve, after, value), timers.clearTimeout);
  },
};

const timers = {
  clearImmediate(immediate) {
    if (immediate instanceof Immediate) Immediate.cancel(immediate);
  },
  clearInterval: clear,
  clearTimeout: clear,
  promises,
  setImmediate(callback, ...args) {
    return new Immediate(callback, args);
  },
  setInterval(callback, after, ...args) {
    return new Timeout(callback, after, args, true);
  },
  setTimeout(callback, after, ...args) {
    return new Timeout(callback, after, args, false);
  },
};
for (const name of ["setImmediate", "setTimeout"]) {
  Object.defineProperty(timers[name], customPromisify, {
    __proto__: null,
    get: () => promises[name],
    enumerable: true,
    configurable: true,
  });
}

return timers;
})
