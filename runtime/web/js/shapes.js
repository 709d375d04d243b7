// Corrects the shape of what deno_web and deno_core bring along: property attributes and tags of interfaces (Web IDL,
// section 3.7), functions that are no constructors, and what structured cloning refuses (HTML standard, section 2.7.3).

(function () {
const { core, primordials } = __bootstrap;
const {
  FunctionPrototypeCall,
  ObjectDefineProperties,
  ObjectDefineProperty,
  ReflectApply,
  ReflectDefineProperty,
  SymbolToStringTag,
  TypeError,
} = primordials;
const abortSignals = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const base64 = core.loadExtScript("ext:deno_web/05_base64.js");
const encoding = core.loadExtScript("ext:deno_web/08_text_encoding.js");
const events = core.loadExtScript("ext:deno_web/02_event.js");
const streams = core.loadExtScript("ext:deno_web/06_streams.js");
const { reportException } = core.loadExtScript("ext:atoll_web/errors.js");
const timers = core.loadExtScript("ext:deno_web/02_timers.js");
const urls = core.loadExtScript("ext:deno_web/00_url.js");

// The core's, which is replaced on the global.
const enqueueMicrotask = globalThis.queueMicrotask;

// Global functions. As methods they are no constructors.
const { atob, btoa, clearInterval, clearTimeout, queueMicrotask, setInterval, setTimeout } = {
  atob(data) {
    return ReflectApply(base64.atob, this, arguments);
  },
  btoa(data) {
    return ReflectApply(base64.btoa, this, arguments);
  },
  clearInterval(id = undefined) {
    return FunctionPrototypeCall(timers.clearInterval, this, id);
  },
  clearTimeout(id = undefined) {
    return FunctionPrototypeCall(timers.clearTimeout, this, id);
  },
  queueMicrotask(callback) {
    return ReflectApply(enqueueMicrotask, this, arguments);
  },
  // Code as a string is not run: nothing that is no function is a handler.
  setInterval(handler, timeout = undefined) {
    requireHandler(handler, "setInterval");
    arguments[0] = reporting(handler);
    return ReflectApply(timers.setInterval, this, arguments);
  },
  setTimeout(handler, timeout = undefined) {
    requireHandler(handler, "setTimeout");
    arguments[0] = reporting(handler);
    return ReflectApply(timers.setTimeout, this, arguments);
  },
};

// What a handler throws is reported while it is still known which request it works for.
function reporting(handler) {
  return function () {
    try {
      ReflectApply(handler, this, arguments);
    } catch (error) {
      reportException(error);
    }
  };
}

function requireHandler(handler, name) {
  if (typeof handler !== "function") {
    throw new TypeError(`Failed to execute '${name}': the handler is not a function`);
  }
}

// Interfaces whose prototype has no tag.
const UNTAGGED = ["CloseEvent", "CustomEvent", "ErrorEvent", "MessageEvent", "ProgressEvent", "PromiseRejectionEvent"];

// Neither serialisable nor, where they are not handed over, transferable.
const UNCLONEABLE = [
  abortSignals.AbortController,
  encoding.TextDecoder,
  encoding.TextDecoderStream,
  encoding.TextEncoder,
  encoding.TextEncoderStream,
  events.Event,
  events.EventTarget,
  streams.ByteLengthQueuingStrategy,
  streams.CountQueuingStrategy,
  streams.ReadableByteStreamController,
  streams.ReadableStreamBYOBReader,
  streams.ReadableStreamBYOBRequest,
  streams.ReadableStreamDefaultController,
  streams.ReadableStreamDefaultReader,
  streams.TransformStreamDefaultController,
  streams.WritableStreamDefaultController,
  streams.WritableStreamDefaultWriter,
  urls.URL,
  urls.URLSearchParams,
];

// Makes structured cloning refuse the objects of a class, wherever in a value they are. A subclass that can be cloned or
// handed over sets the property anew.
function refuseClone(Interface) {
  ReflectDefineProperty(Interface.prototype, core.hostObjectBrand, {
    __proto__: null,
    value: undefined,
    writable: true,
    enumerable: false,
    configurable: true,
  });
}

function install() {
  for (let i = 0; i < UNTAGGED.length; i++) {
    const tag = { __proto__: null, value: UNTAGGED[i], writable: false, enumerable: false, configurable: true };
    ReflectDefineProperty(events[UNTAGGED[i]].prototype, SymbolToStringTag, tag);
  }
  const methods = ["composedPath", "preventDefault", "stopImmediatePropagation", "stopPropagation"];
  for (let i = 0; i < methods.length; i++) {
    ReflectDefineProperty(events.Event.prototype, methods[i], { __proto__: null, enumerable: true });
  }
  const constants = { __proto__: null };
  const names = ["NONE", "CAPTURING_PHASE", "AT_TARGET", "BUBBLING_PHASE"];
  for (let i = 0; i < names.length; i++) {
    constants[names[i]] = { __proto__: null, value: i, enumerable: true, writable: false, configurable: false };
  }
  ObjectDefineProperties(events.Event.prototype, constants);
  for (let i = 0; i < UNCLONEABLE.length; i++) refuseClone(UNCLONEABLE[i]);
}

// A property of the global that is made when it is read first, and is a plain one from then on.
function lazily(load, name, enumerable = false) {
  const { get, set } = {
    get() {
      const value = load()[name];
      define(globalThis, value);
      return value;
    },
    set(value) {
      define(this ?? globalThis, value);
    },
  };
  const define = (holder, value) =>
    ObjectDefineProperty(holder, name, { __proto__: null, value, writable: true, enumerable, configurable: true });
  return { __proto__: null, get, set, enumerable, configurable: true };
}

return {
  functions: { atob, btoa, clearInterval, clearTimeout, queueMicrotask, setInterval, setTimeout },
  install,
  lazily,
  refuseClone,
};
})();
