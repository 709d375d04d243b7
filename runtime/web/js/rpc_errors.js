// What a method throws, on its way to whoever called it: its class and message, and with `enhanced_error_serialization` its
// own properties as far as they can be cloned. Its stack stays behind.

(function () {
const { core, primordials } = __bootstrap;
const {
  AggregateError,
  ArrayIsArray,
  ArrayPrototypePush,
  Error,
  ErrorPrototype,
  EvalError,
  ObjectDefineProperty,
  ObjectGetOwnPropertyNames,
  ObjectPrototypeIsPrototypeOf,
  RangeError,
  ReferenceError,
  RegExpPrototypeExec,
  SafeRegExp,
  String,
  SyntaxError,
  TypeError,
  URIError,
} = primordials;
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { isOn } = core.loadExtScript("ext:atoll_web/compatibility.js");

const { prototype: DOMExceptionPrototype } = DOMException;
const STORAGE = { __proto__: null, forStorage: true };
// Causes of causes, and so on.
const DEEPEST = 16;

const CLASSES = { __proto__: null, Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
// `String(error)` of an error of the language, or of a value that cannot cross.
const THROWN = new SafeRegExp(/^(DataCloneError|Error|EvalError|RangeError|ReferenceError|SyntaxError|TypeError|URIError): ([^]*)$/);

const isError = (value) => ObjectPrototypeIsPrototypeOf(ErrorPrototype, value);
const isDOMException = (value) => ObjectPrototypeIsPrototypeOf(DOMExceptionPrototype, value);

// What was thrown, serialised; null when it crosses as text.
function serialiseThrown(value) {
  if (typeof value !== "object" || value === null || !isOn("wholeErrors")) return null;
  try {
    return core.serialize(outlined(value, 0, true), STORAGE);
  } catch {
    // Something in it cannot be cloned, or a getter throws.
  }
  try {
    return isError(value) ? core.serialize(outlined(value, 0, false), STORAGE) : null;
  } catch {
    return null;
  }
}

function outlined(value, depth, whole) {
  if (depth > DEEPEST) return ["value", undefined];
  if (isDOMException(value)) return ["exception", value.message, value.name];
  if (isError(value)) {
    const name = String(value.name);
    const members = [];
    const isKnown = CLASSES[name] !== undefined || name === "AggregateError";
    if (!isKnown) ArrayPrototypePush(members, ["name", ["value", name]]);
    const keys = whole ? ObjectGetOwnPropertyNames(value) : [];
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i];
      if (key === "stack" || key === "message" || key === "name") continue;
      ArrayPrototypePush(members, [key, outlined(value[key], depth + 1, whole)]);
    }
    return ["error", isKnown ? name : "Error", String(value.message), members];
  }
  if (ArrayIsArray(value)) {
    const list = [];
    for (let i = 0; i < value.length; i++) ArrayPrototypePush(list, outlined(value[i], depth + 1, whole));
    return ["list", list];
  }
  return ["value", value];
}

function define(target, key, value) {
  ObjectDefineProperty(target, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
}

function revived(outline) {
  switch (outline[0]) {
    case "exception":
      return new DOMException(outline[1], outline[2]);
    case "error": {
      const { 1: name, 2: message, 3: members } = outline;
      const error = name === "AggregateError" ? new AggregateError([], message) : new CLASSES[name](message);
      for (let i = 0; i < members.length; i++) define(error, members[i][0], revived(members[i][1]));
      return error;
    }
    case "list": {
      const list = [];
      for (let i = 0; i < outline[1].length; i++) ArrayPrototypePush(list, revived(outline[1][i]));
      return list;
    }
    default:
      return outline[1];
  }
}

// The caller's own copy of what `serialiseThrown` has made bytes of. It says where it comes from.
function thrown(bytes) {
  const value = revived(core.deserialize(bytes, STORAGE));
  define(value, "remote", true);
  return value;
}

// What another worker threw, as far as the text says that came of it.
function remote(error) {
  if (error?.name !== "Error") return error;
  const match = RegExpPrototypeExec(THROWN, error.message);
  const given = match === null
    ? error
    : match[1] === "DataCloneError" ? new DOMException(match[2], match[1]) : new CLASSES[match[1]](match[2]);
  define(given, "remote", true);
  return given;
}

return { remote, serialiseThrown, thrown };
})();
