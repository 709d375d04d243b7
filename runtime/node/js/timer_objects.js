// Timers as Node.js has them: objects in the place of numbers. They are in the snapshot, because most workers have them on
// the global.

(function () {
const { core, primordials } = __bootstrap;
const { MathTrunc, ObjectDefineProperty, ReflectApply, SymbolDispose, SymbolFor, SymbolToPrimitive } = primordials;
const { clearTimeout, setInterval, setTimeout } = core.loadExtScript("ext:atoll_web/shapes.js").functions;
// Scripts that are loaded when they are needed.
const registry = () => core.loadExtScript("ext:atoll_node/registry.js");

// The longest delay, in milliseconds. Others are 1.
const MOST = 2 ** 31 - 1;

function clamp(after) {
  after = +after;
  return after >= 1 && after <= MOST ? MathTrunc(after) : 1;
}

function requireCallback(callback) {
  if (typeof callback === "function") return;
  throw registry().nodeError("ERR_INVALID_ARG_TYPE", "callback", "Function", callback);
}

// Ends what a value stands for, if it is a timer; set by the classes.
let stopTimeout;
let stopImmediate;

class Timeout {
  #id = 0;
  #args;
  #repeats;
  #referenced = true;
  #done = false;

  constructor(callback, after, args, repeats) {
    requireCallback(callback);
    this._idleTimeout = clamp(after);
    this._onTimeout = callback;
    this._repeat = repeats ? this._idleTimeout : null;
    this.#args = args;
    this.#repeats = repeats;
    this.#start();
  }

  #start() {
    const run = () => {
      if (!this.#repeats) this.#done = true;
      ReflectApply(this._onTimeout, this, this.#args);
    };
    this.#id = this.#repeats ? setInterval(run, this._idleTimeout) : setTimeout(run, this._idleTimeout);
  }

  close() {
    clearTimeout(this.#id);
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
    this.#done = false;
    this.#start();
    return this;
  }

  unref() {
    this.#referenced = false;
    return this;
  }

  [SymbolToPrimitive]() {
    return this.#id;
  }

  [SymbolDispose]() {
    stopTimeout(this);
  }

  static {
    stopTimeout = (value) => {
      if (typeof value !== "object" || value === null || !(#id in value)) return;
      clearTimeout(value.#id);
      value.#done = true;
    };
  }
}

class Immediate {
  #id;
  #referenced = true;

  constructor(callback, args) {
    requireCallback(callback);
    this._onImmediate = callback;
    this.#id = setTimeout(() => {
      this.#id = undefined;
      ReflectApply(callback, this, args);
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

  [SymbolDispose]() {
    stopImmediate(this);
  }

  static {
    stopImmediate = (value) => {
      if (typeof value !== "object" || value === null || !(#id in value)) return;
      clearTimeout(value.#id);
      value.#id = undefined;
    };
  }
}

// A timer may also be named by its number, for which it is asked as a primitive.
function clear(timer) {
  if (typeof timer === "number" || typeof timer === "string") clearTimeout(+timer);
  else stopTimeout(timer);
}

// As methods they are no constructors.
const timers = {
  __proto__: null,
  clearImmediate(immediate) {
    stopImmediate(immediate);
  },
  clearInterval(timer) {
    clear(timer);
  },
  clearTimeout(timer) {
    clear(timer);
  },
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

// What `promisify` of `node:util` makes of a function.
function promisesAs(name) {
  ObjectDefineProperty(timers[name], SymbolFor("nodejs.util.promisify.custom"), {
    __proto__: null,
    get: () => registry().builtin("timers/promises")[name],
    enumerable: true,
    configurable: true,
  });
}
promisesAs("setImmediate");
promisesAs("setTimeout");

return timers;
})();
