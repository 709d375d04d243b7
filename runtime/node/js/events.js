// node:events.

(function (require) {
"use strict";

const { AbortError, nodeError, validate } = require("internal/errors");

const errorMonitor = Symbol("events.errorMonitor");
const captureRejectionSymbol = Symbol.for("nodejs.rejection");
const kCapture = Symbol("kCapture");

let defaultMaxListeners = 10;
let captureRejections = false;

const isEventTarget = (value) => value !== null && typeof value === "object" && typeof value.addEventListener === "function";
const isEmitter = (value) => value !== null && typeof value === "object" && typeof value.on === "function";

function EventEmitter(options) {
  EventEmitter.init.call(this, options);
}
EventEmitter.prototype._events = undefined;
EventEmitter.prototype._eventsCount = 0;
EventEmitter.prototype._maxListeners = undefined;

EventEmitter.init = function (options) {
  if (this._events === undefined || this._events === Object.getPrototypeOf(this)._events) {
    this._events = { __proto__: null };
    this._eventsCount = 0;
  }
  this._maxListeners ||= undefined;
  if (options?.captureRejections) {
    validate.boolean(options.captureRejections, "options.captureRejections");
    this[kCapture] = true;
  } else if (captureRejections) {
    this[kCapture] = true;
  }
};

function checkListener(listener) {
  if (typeof listener !== "function") throw nodeError("ERR_INVALID_ARG_TYPE", "listener", "Function", listener);
}

function call(emitter, listener, type, args) {
  const result = Reflect.apply(listener, emitter, args);
  if (result === undefined || result === null || !emitter[kCapture]) return;
  const { then } = result;
  if (typeof then !== "function") return;
  then.call(result, undefined, (error) => queueMicrotask(() => rejected(emitter, error, type, args)));
}

function rejected(emitter, error, type, args) {
  if (typeof emitter[captureRejectionSymbol] === "function") {
    emitter[captureRejectionSymbol](error, type, ...args);
    return;
  }
  const previous = emitter[kCapture];
  try {
    emitter[kCapture] = false;
    emitter.emit("error", error);
  } finally {
    emitter[kCapture] = previous;
  }
}

function unhandled(error) {
  if (error instanceof Error) throw error;
  let shown;
  try {
    shown = require("packages/inspect").inspect(error);
  } catch {
    shown = error;
  }
  const wrapped = nodeError("ERR_UNHANDLED_ERROR", shown);
  wrapped.context = error;
  throw wrapped;
}

function warnOfLeak(emitter, type, count) {
  const warning = new Error(
    `Possible EventEmitter memory leak detected. ${count} ${String(type)} listeners added to ` +
      `${require("packages/inspect").inspect(emitter, { depth: -1 })}. MaxListeners is ${emitter.getMaxListeners()}. ` +
      "Use emitter.setMaxListeners() to increase limit",
  );
  warning.name = "MaxListenersExceededWarning";
  warning.emitter = emitter;
  warning.type = type;
  warning.count = count;
  require("process").emitWarning(warning);
}

function add(emitter, type, listener, prepend) {
  checkListener(listener);
  let events = emitter._events;
  if (events === undefined) {
    events = emitter._events = { __proto__: null };
    emitter._eventsCount = 0;
  } else if (events.newListener !== undefined) {
    emitter.emit("newListener", type, listener.listener ?? listener);
    events = emitter._events;
  }
  const existing = events[type];
  if (existing === undefined) {
    events[type] = listener;
    emitter._eventsCount++;
    return emitter;
  }
  let list;
  if (typeof existing === "function") list = events[type] = prepend ? [listener, existing] : [existing, listener];
  else if (prepend) (list = existing).unshift(listener);
  else (list = existing).push(listener);
  const most = emitter.getMaxListeners();
  if (most > 0 && list.length > most && !list.warned) {
    list.warned = true;
    warnOfLeak(emitter, type, list.length);
  }
  return emitter;
}

function onceWrapper(emitter, type, listener) {
  checkListener(listener);
  let fired = false;
  const wrapper = (...args) => {
    if (fired) return undefined;
    emitter.removeListener(type, wrapper);
    fired = true;
    return Reflect.apply(listener, emitter, args);
  };
  wrapper.listener = listener;
  return wrapper;
}

function listenersOf(emitter, type, unwrap) {
  const found = emitter._events?.[type];
  if (found === undefined) return [];
  const list = typeof found === "function" ? [found] : found.slice();
  return unwrap ? list.map((listener) => listener.listener ?? listener) : list;
}

const methods = {
  setMaxListeners(n) {
    validate.number(n, "setMaxListeners", 0);
    this._maxListeners = n;
    return this;
  },
  getMaxListeners() {
    return this._maxListeners ?? defaultMaxListeners;
  },
  emit(type, ...args) {
    const events = this._events;
    if (type === "error") {
      if (events?.[errorMonitor] !== undefined) this.emit(errorMonitor, ...args);
      if (events?.error === undefined) unhandled(args[0]);
    }
    const handler = events?.[type];
    if (handler === undefined) return false;
    if (typeof handler === "function") {
      call(this, handler, type, args);
    } else {
      const list = handler.slice();
      for (let i = 0; i < list.length; i++) call(this, list[i], type, args);
    }
    return true;
  },
  addListener(type, listener) {
    return add(this, type, listener, false);
  },
  on(type, listener) {
    return add(this, type, listener, false);
  },
  prependListener(type, listener) {
    return add(this, type, listener, true);
  },
  once(type, listener) {
    return this.on(type, onceWrapper(this, type, listener));
  },
  prependOnceListener(type, listener) {
    return this.prependListener(type, onceWrapper(this, type, listener));
  },
  removeListener(type, listener) {
    checkListener(listener);
    const events = this._events;
    const found = events?.[type];
    if (found === undefined) return this;
    if (found === listener || found.listener === listener) {
      this._eventsCount--;
      if (this._eventsCount === 0) this._events = { __proto__: null };
      else delete events[type];
      if (events.removeListener) this.emit("removeListener", type, found.listener ?? listener);
    } else if (typeof found !== "function") {
      const at = found.findLastIndex((item) => item === listener || item.listener === listener);
      if (at < 0) return this;
      const original = found[at].listener ?? listener;
      found.splice(at, 1);
      if (found.length === 1) events[type] = found[0];
      if (events.removeListener !== undefined) this.emit("removeListener", type, original);
    }
    return this;
  },
  removeAllListeners(type) {
    const events = this._events;
    if (events === undefined) return this;
    if (events.removeListener === undefined) {
      if (arguments.length === 0) {
        this._events = { __proto__: null };
        this._eventsCount = 0;
      } else if (events[type] !== undefined) {
        this._eventsCount--;
        if (this._eventsCount === 0) this._events = { __proto__: null };
        else delete events[type];
      }
      return this;
    }
    if (arguments.length === 0) {
      for (const key of Reflect.ownKeys(events)) {
        if (key !== "removeListener") this.removeAllListeners(key);
      }
      this.removeAllListeners("removeListener");
      this._events = { __proto__: null };
      this._eventsCount = 0;
      return this;
    }
    const found = events[type];
    if (typeof found === "function") {
      this.removeListener(type, found);
    } else if (found !== undefined) {
      for (let i = found.length - 1; i >= 0; i--) this.removeListener(type, found[i]);
    }
    return this;
  },
  listeners(type) {
    return listenersOf(this, type, true);
  },
  rawListeners(type) {
    return listenersOf(this, type, false);
  },
  listenerCount(type, listener) {
    const list = listenersOf(this, type, false);
    if (listener === null || listener === undefined) return list.length;
    return list.filter((item) => item === listener || item.listener === listener).length;
  },
  eventNames() {
    return this._eventsCount > 0 ? Reflect.ownKeys(this._events) : [];
  },
};
methods.off = methods.removeListener;
for (const [name, value] of Object.entries(methods)) EventEmitter.prototype[name] = value;

function once(emitter, name, options = {}) {
  try {
    validate.object(options, "options");
    validate.abortSignal(options.signal, "options.signal");
  } catch (error) {
    return Promise.reject(error);
  }
  const { signal } = options;
  if (signal?.aborted) return Promise.reject(new AbortError(undefined, { cause: signal.reason }));
  return new Promise((resolve, reject) => {
    const stop = () => {
      signal?.removeEventListener("abort", aborted);
      remove(emitter, name, resolver);
      if (name !== "error" && !isEventTarget(emitter)) remove(emitter, "error", failed);
    };
    const resolver = (...args) => {
      stop();
      resolve(args);
    };
    const failed = (error) => {
      stop();
      reject(error);
    };
    const aborted = () => {
      stop();
      reject(new AbortError(undefined, { cause: signal.reason }));
    };
    listen(emitter, name, resolver, true);
    if (name !== "error" && typeof emitter.once === "function") emitter.once("error", failed);
    signal?.addEventListener("abort", aborted, { once: true });
  });
}

function listen(emitter, name, listener, isOnce) {
  if (typeof emitter?.on === "function") {
    if (isOnce) emitter.once(name, listener);
    else emitter.on(name, listener);
  } else if (typeof emitter?.addEventListener === "function") {
    emitter.addEventListener(name, listener, { once: isOnce });
  } else {
    throw nodeError("ERR_INVALID_ARG_TYPE", "emitter", "EventEmitter", emitter);
  }
}

function remove(emitter, name, listener) {
  if (typeof emitter.removeListener === "function") emitter.removeListener(name, listener);
  else emitter.removeEventListener(name, listener);
}

const AsyncIteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf(async function* () {}).prototype);

function on(emitter, name, options = {}) {
  validate.object(options, "options");
  validate.abortSignal(options.signal, "options.signal");
  const { signal, close } = options;
  if (signal?.aborted) throw new AbortError(undefined, { cause: signal.reason });
  const events = [];
  const waiting = [];
  let failure = null;
  let finished = false;
  const added = [];
  const watch = (event, listener) => {
    listen(emitter, event, listener, false);
    added.push([event, listener]);
  };
  const finish = () => {
    signal?.removeEventListener("abort", aborted);
    for (const [event, listener] of added.splice(0)) remove(emitter, event, listener);
    finished = true;
    for (const { resolve } of waiting.splice(0)) resolve({ value: undefined, done: true });
    return Promise.resolve({ value: undefined, done: true });
  };
  const fail = (error) => {
    const next = waiting.shift();
    if (next) next.reject(error);
    else failure = error;
    iterator.return();
  };
  const aborted = () => fail(new AbortError(undefined, { cause: signal.reason }));
  const iterator = Object.setPrototypeOf({
    next() {
      if (events.length > 0) return Promise.resolve({ value: events.shift(), done: false });
      if (failure !== null) {
        const rejection = Promise.reject(failure);
        failure = null;
        return rejection;
      }
      if (finished) return finish();
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    return: finish,
    throw(error) {
      if (!(error instanceof Error)) throw nodeError("ERR_INVALID_ARG_TYPE", "EventEmitter.AsyncIterator", "Error", error);
      fail(error);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  }, AsyncIteratorPrototype);
  watch(name, (...args) => {
    const next = waiting.shift();
    if (next) next.resolve({ value: args, done: false });
    else events.push(args);
  });
  if (name !== "error" && isEmitter(emitter)) watch("error", fail);
  for (const event of close ?? []) watch(event, finish);
  signal?.addEventListener("abort", aborted, { once: true });
  return iterator;
}

function addAbortListener(signal, listener) {
  if (signal === undefined) throw nodeError("ERR_INVALID_ARG_TYPE", "signal", "AbortSignal", signal);
  validate.abortSignal(signal, "signal");
  validate.func(listener, "listener");
  let removeListener;
  if (signal.aborted) {
    queueMicrotask(() => listener());
  } else {
    signal.addEventListener("abort", listener, { once: true });
    removeListener = () => signal.removeEventListener("abort", listener);
  }
  return {
    __proto__: null,
    [Symbol.dispose ?? Symbol.for("nodejs.dispose")]() {
      removeListener?.();
    },
  };
}

const targetListeners = new WeakMap();

function setMaxListeners(n = defaultMaxListeners, ...targets) {
  validate.number(n, "setMaxListeners", 0);
  if (targets.length === 0) {
    defaultMaxListeners = n;
    return;
  }
  for (const target of targets) {
    if (typeof target?.setMaxListeners === "function") target.setMaxListeners(n);
    else if (isEventTarget(target)) targetListeners.set(target, n);
    else throw nodeError("ERR_INVALID_ARG_TYPE", "eventTargets", ["EventEmitter", "EventTarget"], target);
  }
}

let EventEmitterAsyncResource;
function asyncResourceClass() {
  if (EventEmitterAsyncResource) return EventEmitterAsyncResource;
  const { AsyncResource } = require("async_hooks");
  EventEmitterAsyncResource = class EventEmitterAsyncResource extends EventEmitter {
    #resource;

    constructor(options = undefined) {
      const name = typeof options === "string" ? options : options?.name ?? new.target.name;
      super(typeof options === "string" ? undefined : options);
      this.#resource = new AsyncResource(name, typeof options === "string" ? undefined : options);
    }

    emit(...args) {
      return this.#resource.runInAsyncScope(super.emit, this, ...args);
    }

    emitDestroy() {
      this.#resource.emitDestroy();
    }

    get asyncId() {
      return this.#resource.asyncId();
    }

    get triggerAsyncId() {
      return this.#resource.triggerAsyncId();
    }

    get asyncResource() {
      return this.#resource;
    }
  };
  return EventEmitterAsyncResource;
}

Object.assign(EventEmitter, {
  EventEmitter,
  addAbortListener,
  captureRejectionSymbol,
  errorMonitor,
  getEventListeners(target, type) {
    if (typeof target?.listeners === "function") return target.listeners(type);
    if (isEventTarget(target)) return [];
    throw nodeError("ERR_INVALID_ARG_TYPE", "emitter", ["EventEmitter", "EventTarget"], target);
  },
  getMaxListeners(target) {
    if (typeof target?.getMaxListeners === "function") return target.getMaxListeners();
    if (isEventTarget(target)) return targetListeners.get(target) ?? defaultMaxListeners;
    throw nodeError("ERR_INVALID_ARG_TYPE", "emitter", ["EventEmitter", "EventTarget"], target);
  },
  listenerCount(emitter, type) {
    return typeof emitter.listenerCount === "function"
      ? emitter.listenerCount(type)
      : methods.listenerCount.call(emitter, type);
  },
  on,
  once,
  setMaxListeners,
  usingDomains: false,
});
Object.defineProperties(EventEmitter, {
  EventEmitterAsyncResource: { __proto__: null, get: asyncResourceClass, enumerable: true, configurable: true },
  captureRejections: {
    __proto__: null,
    get: () => captureRejections,
    set(value) {
      validate.boolean(value, "EventEmitter.captureRejections");
      captureRejections = value;
    },
    enumerable: true,
    configurable: true,
  },
  defaultMaxListeners: {
    __proto__: null,
    get: () => defaultMaxListeners,
    set(value) {
      validate.number(value, "defaultMaxListeners", 0);
      defaultMaxListeners = value;
    },
    enumerable: true,
    configurable: true,
  },
});

return EventEmitter;
})
