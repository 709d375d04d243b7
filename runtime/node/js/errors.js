// Errors with the codes and messages that Node.js gives them, and checks of arguments that throw them.

(function (require) {
"use strict";

const KINDS = ["string", "function", "number", "object", "Function", "Object", "boolean", "bigint", "symbol"];
const CLASS = /^([A-Z][a-z0-9]*)+$/;

const inspect = (value) => require("packages/inspect").inspect(value);

function list(items) {
  if (items.length <= 2) return items.join(" or ");
  return `${items.slice(0, -1).join(", ")}, or ${items.at(-1)}`;
}

// How a message says which value was there instead.
function received(value) {
  if (value === null || value === undefined) return ` Received ${value}`;
  if (typeof value === "function") return ` Received function ${value.name}`;
  if (typeof value === "object") {
    const name = value.constructor?.name;
    if (name) return ` Received an instance of ${name}`;
    return ` Received ${require("packages/inspect").inspect(value, { depth: -1 })}`;
  }
  let shown = require("packages/inspect").inspect(value, { colors: false });
  if (shown.length > 28) shown = `${shown.slice(0, 25)}...`;
  return ` Received type ${typeof value} (${shown})`;
}

function invalidArgType(name, expected, actual) {
  if (name === null) return "argument must be a string";
  if (!Array.isArray(expected)) expected = [expected];
  let message = "The ";
  if (name.endsWith(" argument")) message += `${name} `;
  else message += `"${name}" ${name.includes(".") ? "property" : "argument"} `;
  message += "must be ";
  const types = [];
  const instances = [];
  const other = [];
  for (const value of expected) {
    if (KINDS.includes(value)) types.push(value.toLowerCase());
    else if (CLASS.test(value)) instances.push(value);
    else other.push(value);
  }
  if (instances.length > 0 && types.includes("object")) {
    types.splice(types.indexOf("object"), 1);
    instances.push("Object");
  }
  if (types.length > 0) {
    message += `${types.length > 1 ? "one of type" : "of type"} ${list(types)}`;
    if (instances.length > 0 || other.length > 0) message += " or ";
  }
  if (instances.length > 0) {
    message += `an instance of ${list(instances)}`;
    if (other.length > 0) message += " or ";
  }
  if (other.length > 0) {
    if (other.length > 1) message += `one of ${list(other)}`;
    else message += `${other[0].toLowerCase() !== other[0] ? "an " : ""}${other[0]}`;
  }
  return `${message}.${received(actual)}`;
}

function separated(digits) {
  let result = "";
  let end = digits.length;
  const start = digits[0] === "-" ? 1 : 0;
  for (; end >= start + 4; end -= 3) result = `_${digits.slice(end - 3, end)}${result}`;
  return `${digits.slice(0, end)}${result}`;
}

function outOfRange(name, range, input, replace = false) {
  let shown;
  if (Number.isInteger(input) && Math.abs(input) > 2 ** 32) {
    shown = separated(String(input));
  } else if (typeof input === "bigint") {
    shown = String(input);
    if (input > 2n ** 32n || input < -(2n ** 32n)) shown = separated(shown);
    shown += "n";
  } else {
    shown = inspect(input);
  }
  const start = replace ? name : `The value of "${name}" is out of range.`;
  return `${start} It must be ${range}. Received ${shown}`;
}

function invalidArgValue(name, value, reason = "is invalid") {
  let shown = inspect(value);
  if (shown.length > 128) shown = `${shown.slice(0, 128)}...`;
  return `The ${name.includes(".") ? "property" : "argument"} '${name}' ${reason}. Received ${shown}`;
}

const MESSAGES = {
  __proto__: null,
  ERR_AMBIGUOUS_ARGUMENT: [TypeError, (name, reason) => `The "${name}" argument is ambiguous. ${reason}`],
  ERR_ASYNC_CALLBACK: [TypeError, (name) => `${name} must be a function`],
  ERR_ASYNC_TYPE: [TypeError, (type) => `Invalid name for async "type": ${type}`],
  ERR_BUFFER_OUT_OF_BOUNDS: [RangeError, (name) =>
    name ? `"${name}" is outside of buffer bounds` : "Attempt to access memory outside buffer bounds"],
  ERR_BUFFER_TOO_LARGE: [RangeError, (bytes) => `Cannot create a Buffer larger than ${bytes} bytes`],
  ERR_CRYPTO_ECDH_INVALID_PUBLIC_KEY: [Error, () => "Public key is not valid for specified curve"],
  ERR_CRYPTO_HASH_FINALIZED: [Error, () => "Digest already called"],
  ERR_CRYPTO_HASH_UPDATE_FAILED: [Error, () => "Hash update failed"],
  ERR_CRYPTO_INCOMPATIBLE_KEY: [Error, (name, expected) => `Incompatible ${name}: ${expected}`],
  ERR_CRYPTO_INCOMPATIBLE_KEY_OPTIONS: [Error, (encoding, reason) =>
    `The selected key encoding ${encoding} ${reason}.`],
  ERR_CRYPTO_INVALID_AUTH_TAG: [TypeError, (reason) => reason],
  ERR_CRYPTO_INVALID_CURVE: [TypeError, () => "Invalid EC curve name"],
  ERR_CRYPTO_INVALID_DIGEST: [TypeError, (name) => `Invalid digest: ${name}`],
  ERR_CRYPTO_INVALID_IV: [TypeError, () => "Invalid initialization vector"],
  ERR_CRYPTO_JWK_UNSUPPORTED_KEY_TYPE: [Error, () => "Unsupported JWK Key Type."],
  ERR_CRYPTO_INVALID_JWK: [TypeError, () => "Invalid JWK data"],
  ERR_CRYPTO_INVALID_KEYLEN: [RangeError, (reason = "Invalid key length") => reason],
  ERR_CRYPTO_INVALID_KEYTYPE: [RangeError, (reason = "Invalid key type") => reason],
  ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE: [TypeError, (actual, expected) =>
    `Invalid key object type ${actual}, expected ${expected}.`],
  ERR_CRYPTO_INVALID_SCRYPT_PARAMS: [RangeError, (reason) => `Invalid scrypt params${reason ? `: ${reason}` : ""}`],
  ERR_CRYPTO_INVALID_STATE: [Error, (method) => `Invalid state for operation ${method}`],
  ERR_CRYPTO_SIGN_KEY_REQUIRED: [Error, () => "No key provided to sign"],
  ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH: [RangeError, () => "Input buffers must have the same byte length"],
  ERR_CRYPTO_UNKNOWN_CIPHER: [Error, () => "Unknown cipher"],
  ERR_CRYPTO_UNSUPPORTED_OPERATION: [Error, (what = "Unsupported crypto operation") => what],
  ERR_EVENT_RECURSION: [Error, (name) => `The event "${name}" is already being dispatched`],
  ERR_FALSY_VALUE_REJECTION: [Error, () => "Promise was rejected with falsy value"],
  ERR_INCOMPATIBLE_OPTION_PAIR: [TypeError, (a, b) => `Option "${a}" cannot be used in combination with option "${b}"`],
  ERR_INVALID_ARG_TYPE: [TypeError, invalidArgType],
  ERR_INVALID_ARG_VALUE: [TypeError, invalidArgValue],
  ERR_INVALID_BUFFER_SIZE: [RangeError, (size) => `Buffer size must be a multiple of ${size}`],
  ERR_INVALID_CALLBACK: [TypeError, (value) => `Callback must be a function. Received ${inspect(value)}`],
  ERR_INVALID_FILE_URL_HOST: [TypeError, (platform) => `File URL host must be "localhost" or empty on ${platform}`],
  ERR_INVALID_FILE_URL_PATH: [TypeError, (reason) => `File URL path ${reason}`],
  ERR_INVALID_MIME_SYNTAX: [TypeError, (what, input, at) =>
    `The MIME syntax for a ${what} in ${JSON.stringify(input)} is invalid${at === -1 ? "" : ` at ${at}`}`],
  ERR_INVALID_STATE: [Error, (state) => `Invalid state: ${state}`],
  ERR_INVALID_THIS: [TypeError, (type) => `Value of "this" must be of type ${type}`],
  ERR_INVALID_URL: [TypeError, () => "Invalid URL"],
  ERR_INVALID_URL_SCHEME: [TypeError, (expected) => `The URL must be of scheme ${expected}`],
  ERR_METHOD_NOT_IMPLEMENTED: [Error, (name) => `The ${name} method is not implemented`],
  ERR_MISSING_ARGS: [TypeError, (...names) => {
    const shown = names.map((name) => `"${name}"`);
    const what = shown.length === 1 ? shown[0] : shown.length === 2
      ? `${shown[0]} and ${shown[1]}`
      : `${shown.slice(0, -1).join(", ")}, and ${shown.at(-1)}`;
    return `The ${what} argument${shown.length === 1 ? "" : "s"} must be specified`;
  }],
  ERR_OUT_OF_RANGE: [RangeError, outOfRange],
  ERR_PARSE_ARGS_INVALID_OPTION_VALUE: [TypeError, (message) => message],
  ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL: [TypeError, (positional) =>
    `Unexpected argument '${positional}'. This command does not take positional arguments`],
  ERR_PARSE_ARGS_UNKNOWN_OPTION: [TypeError, (option, positionals) =>
    `Unknown option '${option}'${
      positionals
        ? `. To specify a positional argument starting with a '-', place it at the end of the command after '--', as in '-- ${
          JSON.stringify(option)
        }`
        : ""
    }`],
  ERR_SOCKET_BAD_PORT: [RangeError, (name, port) =>
    `${name} should be >= 0 and < 65536. Received type ${typeof port} (${inspect(port)}).`],
  ERR_STRING_TOO_LONG: [Error, (limit) => `Cannot create a string longer than 0x${limit.toString(16)} characters`],
  ERR_UNHANDLED_ERROR: [Error, (value) => value === undefined ? "Unhandled error." : `Unhandled error. (${value})`],
  ERR_UNKNOWN_BUILTIN_MODULE: [Error, (name) => `No such built-in module: ${name}`],
  ERR_UNKNOWN_ENCODING: [TypeError, (name) => `Unknown encoding: ${name}`],
  ERR_UNKNOWN_SIGNAL: [TypeError, (name) => `Unknown signal: ${name}`],
  ERR_ZLIB_INITIALIZATION_FAILED: [Error, () => "Initialization failed"],
};

// An error of that code; the arguments are those of its message.
function nodeError(code, ...args) {
  const [Base, message] = MESSAGES[code];
  const error = new Base(message(...args));
  Object.defineProperties(error, {
    code: { __proto__: null, value: code, writable: true, enumerable: true, configurable: true },
    toString: {
      __proto__: null,
      value() {
        return `${this.name} [${code}]: ${this.message}`;
      },
      writable: true,
      enumerable: false,
      configurable: true,
    },
  });
  // The stack's first line names the code, once.
  const { name } = error;
  Object.defineProperty(error, "name", { __proto__: null, value: `${name} [${code}]`, configurable: true, writable: true });
  Error.captureStackTrace?.(error, nodeError);
  void error.stack;
  delete error.name;
  return error;
}

class AbortError extends Error {
  constructor(message = "The operation was aborted", options = undefined) {
    super(message, options);
    this.code = "ABORT_ERR";
    this.name = "AbortError";
  }
}

function check(condition, code, ...args) {
  if (!condition) throw nodeError(code, ...args);
}

const validate = {
  abortSignal(signal, name) {
    const is = signal === undefined || signal !== null && typeof signal === "object" && "aborted" in signal;
    check(is, "ERR_INVALID_ARG_TYPE", name, "AbortSignal", signal);
  },
  array(value, name) {
    check(Array.isArray(value), "ERR_INVALID_ARG_TYPE", name, "Array", value);
  },
  boolean(value, name) {
    check(typeof value === "boolean", "ERR_INVALID_ARG_TYPE", name, "boolean", value);
  },
  func(value, name) {
    check(typeof value === "function", "ERR_INVALID_ARG_TYPE", name, "Function", value);
  },
  integer(value, name, min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER) {
    check(typeof value === "number", "ERR_INVALID_ARG_TYPE", name, "number", value);
    check(Number.isInteger(value), "ERR_OUT_OF_RANGE", name, "an integer", value);
    check(value >= min && value <= max, "ERR_OUT_OF_RANGE", name, `>= ${min} && <= ${max}`, value);
  },
  number(value, name, min = undefined, max = undefined) {
    check(typeof value === "number", "ERR_INVALID_ARG_TYPE", name, "number", value);
    const fits = (min === undefined || value >= min) && (max === undefined || value <= max);
    if (fits && !((min !== undefined || max !== undefined) && Number.isNaN(value))) return;
    const range = `${min === undefined ? "" : `>= ${min}`}${min !== undefined && max !== undefined ? " && " : ""}${
      max === undefined ? "" : `<= ${max}`
    }`;
    throw nodeError("ERR_OUT_OF_RANGE", name, range, value);
  },
  object(value, name) {
    check(value !== null && typeof value === "object" && !Array.isArray(value), "ERR_INVALID_ARG_TYPE", name, "Object", value);
  },
  oneOf(value, name, allowed) {
    if (allowed.includes(value)) return;
    const shown = allowed.map((item) => typeof item === "string" ? `'${item}'` : String(item)).join(", ");
    throw nodeError("ERR_INVALID_ARG_VALUE", name, value, `must be one of: ${shown}`);
  },
  string(value, name) {
    check(typeof value === "string", "ERR_INVALID_ARG_TYPE", name, "string", value);
  },
};

return { AbortError, nodeError, received, validate };
})
