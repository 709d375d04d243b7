// node:util.

(function (require) {
"use strict";

const { nodeError, validate } = require("internal/errors");
const types = require("internal/types");
const inspection = require("packages/inspect");

// The timer of the web cannot say how it becomes a promise.
const { setTimeout: webSetTimeout } = globalThis;
const customPromisify = Symbol.for("nodejs.util.promisify.custom");
const customPromisifyArgs = Symbol.for("nodejs.util.promisify.customArgs");
const { inspect } = inspection;

function promisify(original) {
  validate.func(original, "original");
  const custom = original === webSetTimeout ? require("timers").promises.setTimeout : original[customPromisify];
  if (custom) {
    validate.func(custom, "The \"util.promisify.custom\" property");
    return Object.defineProperty(custom, customPromisify, { __proto__: null, value: custom, configurable: true });
  }
  const names = original[customPromisifyArgs];
  function promisified(...args) {
    return new Promise((resolve, reject) => {
      const done = (error, ...values) => {
        if (error) return reject(error);
        if (names !== undefined && values.length > 1) {
          return resolve(Object.fromEntries(names.map((name, i) => [name, values[i]])));
        }
        return resolve(values[0]);
      };
      Reflect.apply(original, this, [...args, done]);
    });
  }
  Object.setPrototypeOf(promisified, Object.getPrototypeOf(original));
  Object.defineProperty(promisified, customPromisify, { __proto__: null, value: promisified, configurable: true });
  const properties = Object.getOwnPropertyDescriptors(original);
  delete properties.prototype;
  return Object.defineProperties(promisified, properties);
}
promisify.custom = customPromisify;

function callbackify(original) {
  validate.func(original, "original");
  function callbackified(...args) {
    const callback = args.pop();
    validate.func(callback, "last argument");
    Reflect.apply(original, this, args).then(
      (value) => queueMicrotask(() => Reflect.apply(callback, this, [null, value])),
      (reason) => {
        if (!reason) {
          const error = nodeError("ERR_FALSY_VALUE_REJECTION");
          error.reason = reason;
          reason = error;
        }
        queueMicrotask(() => Reflect.apply(callback, this, [reason]));
      },
    );
  }
  const properties = Object.getOwnPropertyDescriptors(original);
  if (typeof properties.length?.value === "number") properties.length.value++;
  if (typeof properties.name?.value === "string") properties.name.value += "Callbackified";
  delete properties.prototype;
  return Object.defineProperties(callbackified, properties);
}

const warned = new Set();
function deprecate(fn, message, code) {
  let done = false;
  function deprecated(...args) {
    if (!done) {
      done = true;
      if (code === undefined || !warned.has(code)) {
        if (code !== undefined) warned.add(code);
        require("process").emitWarning(message, "DeprecationWarning", code);
      }
    }
    return new.target ? Reflect.construct(fn, args, new.target) : Reflect.apply(fn, this, args);
  }
  Object.setPrototypeOf(deprecated, fn);
  if (fn.prototype) deprecated.prototype = fn.prototype;
  return deprecated;
}

function inherits(constructor, superConstructor) {
  if (constructor === undefined || constructor === null) {
    throw nodeError("ERR_INVALID_ARG_TYPE", "ctor", "Function", constructor);
  }
  if (superConstructor === undefined || superConstructor === null) {
    throw nodeError("ERR_INVALID_ARG_TYPE", "superCtor", "Function", superConstructor);
  }
  if (superConstructor.prototype === undefined) {
    throw nodeError("ERR_INVALID_ARG_TYPE", "superCtor.prototype", "Object", superConstructor.prototype);
  }
  Object.defineProperty(constructor, "super_", {
    __proto__: null,
    value: superConstructor,
    writable: true,
    configurable: true,
  });
  Object.setPrototypeOf(constructor.prototype, superConstructor.prototype);
}

function debuglog(set, callback) {
  set = `${set}`.toUpperCase();
  const wanted = `${require("process").env.NODE_DEBUG ?? ""}`.toUpperCase().split(",");
  const enabled = wanted.some((name) => name === set || name.endsWith("*") && set.startsWith(name.slice(0, -1)));
  const log = (...args) => {
    if (enabled) globalThis.console.error(`${set} 1: ${inspection.format(...args)}`);
  };
  Object.defineProperty(log, "enabled", { __proto__: null, get: () => enabled, enumerable: true, configurable: true });
  callback?.(log);
  return log;
}

// SGR codes by name, as `util.inspect.colors` has them.
function styleText(format, text, options = {}) {
  validate.string(text, "text");
  void options;
  let [before, after] = ["", ""];
  for (const name of Array.isArray(format) ? format : [format]) {
    if (name === "none") continue;
    const codes = inspect.colors[name];
    if (codes === undefined) validate.oneOf(name, "format", Object.keys(inspect.colors));
    before += `\u001b[${codes[0]}m`;
    after = `\u001b[${codes[1]}m${after}`;
  }
  return `${before}${text}${after}`;
}

function getSystemErrorName(number) {
  validate.integer(number, "err");
  if (number >= 0) throw nodeError("ERR_OUT_OF_RANGE", "err", "a negative integer", number);
  const { errno, messages } = require("internal/system_errors");
  return messages.get(number)?.[0] ?? Object.keys(errno).find((name) => errno[name] === -number) ?? `Unknown system error ${number}`;
}

function getSystemErrorMessage(number) {
  validate.integer(number, "err");
  if (number >= 0) throw nodeError("ERR_OUT_OF_RANGE", "err", "a negative integer", number);
  return require("internal/system_errors").messages.get(number)?.[1] ?? `Unknown system error ${number}`;
}

async function aborted(signal, resource) {
  if (signal === undefined) throw nodeError("ERR_INVALID_ARG_TYPE", "signal", "AbortSignal", signal);
  validate.abortSignal(signal, "signal");
  if (resource === null || typeof resource !== "object" && typeof resource !== "function") {
    throw nodeError("ERR_INVALID_ARG_TYPE", "resource", "Object", resource);
  }
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

const isObject = (value) => value !== null && typeof value === "object";
const legacy = {
  isArray: Array.isArray,
  isBoolean: (value) => typeof value === "boolean",
  isBuffer: (value) => require("buffer").Buffer.isBuffer(value),
  isDate: types.isDate,
  isError: (value) => types.isNativeError(value) || value instanceof Error,
  isFunction: (value) => typeof value === "function",
  isNull: (value) => value === null,
  isNullOrUndefined: (value) => value === null || value === undefined,
  isNumber: (value) => typeof value === "number",
  isObject,
  isPrimitive: (value) => !isObject(value) && typeof value !== "function",
  isRegExp: types.isRegExp,
  isString: (value) => typeof value === "string",
  isSymbol: (value) => typeof value === "symbol",
  isUndefined: (value) => value === undefined,
};

const util = {
  ...legacy,
  TextDecoder: globalThis.TextDecoder,
  TextEncoder: globalThis.TextEncoder,
  _errnoException(number, syscall, original) {
    const code = getSystemErrorName(number);
    const error = new Error(`${syscall} ${code}${original ? ` ${original}` : ""}`);
    return Object.assign(error, { errno: number, code, syscall });
  },
  _exceptionWithHostPort(number, syscall, address, port, additional) {
    const code = getSystemErrorName(number);
    const place = port && port > 0 ? ` ${address}:${port}` : address ? ` ${address}` : "";
    const error = new Error(`${syscall} ${code}${place}${additional ? ` - Local (${additional})` : ""}`);
    Object.assign(error, { errno: number, code, syscall, address });
    if (port) error.port = port;
    return error;
  },
  _extend(target, source) {
    return isObject(source) ? Object.assign(target, source) : target;
  },
  aborted,
  callbackify,
  convertProcessSignalToExitCode(signal) {
    const { signals } = require("os").constants;
    validate.oneOf(signal, "signalCode", Object.keys(signals));
    return 128 + signals[signal];
  },
  debug: debuglog,
  debuglog,
  deprecate,
  format: inspection.format,
  formatWithOptions: inspection.formatWithOptions,
  getSystemErrorMap() {
    return new Map(require("internal/system_errors").messages);
  },
  getSystemErrorMessage,
  getSystemErrorName,
  inherits,
  inspect,
  isDeepStrictEqual: (a, b) => require("packages/assert").isDeepStrictEqual(a, b),
  log(...args) {
    const now = new Date();
    const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map((n) => `${n}`.padStart(2, "0")).join(":");
    const month = now.toLocaleString("en", { month: "short" });
    globalThis.console.log("%s - %s", `${now.getDate()} ${month} ${time}`, inspection.format(...args));
  },
  promisify,
  setTraceSigInt() {},
  stripVTControlCharacters: inspection.stripVTControlCharacters,
  styleText,
  toUSVString: (value) => `${value}`.toWellFormed(),
  transferableAbortController: () => new AbortController(),
  transferableAbortSignal: (signal) => signal,
  types,
};
for (const [name, load] of [
  ["MIMEParams", () => require("internal/mime").MIMEParams],
  ["MIMEType", () => require("internal/mime").MIMEType],
  ["parseArgs", () => require("internal/parse_args").parseArgs],
  ["parseEnv", () => require("internal/parse_env").parseEnv],
]) {
  Object.defineProperty(util, name, {
    __proto__: null,
    get() {
      const value = load();
      Object.defineProperty(util, name, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
      return value;
    },
    enumerable: true,
    configurable: true,
  });
}

return util;
})
