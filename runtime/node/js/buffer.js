// node:buffer. Encodings are the engine's and the platform's own; the rest is arithmetic on bytes.

(function (require, internals) {
"use strict";

const { byteLength: utf8Length, textOf, types: { isAnyArrayBuffer }, writeText } = internals;
const { nodeError, validate } = require("internal/errors");
const numbers = require("internal/buffer_numbers");

const customInspect = Symbol.for("nodejs.util.inspect.custom");
const MOST_BYTES = 2 ** 32;
const LONGEST_STRING = 2 ** 29 - 24;

// The numbers that the platform's operations know the encodings by.
const UTF8 = 0;
const LATIN1 = 1;
const ASCII = 2;
const HEX = 3;
const BASE64 = 4;
const BASE64URL = 5;
const UTF16LE = 6;

const ENCODINGS = {
  __proto__: null,
  "utf8": UTF8,
  "utf-8": UTF8,
  "latin1": LATIN1,
  "binary": LATIN1,
  "ascii": ASCII,
  "hex": HEX,
  "base64": BASE64,
  "base64url": BASE64URL,
  "ucs2": UTF16LE,
  "ucs-2": UTF16LE,
  "utf16le": UTF16LE,
  "utf-16le": UTF16LE,
};

const knownEncoding = (name) => ENCODINGS[name] ?? ENCODINGS[`${name}`.toLowerCase()];

function encodingOf(name) {
  const encoding = knownEncoding(name);
  if (encoding === undefined) throw nodeError("ERR_UNKNOWN_ENCODING", name);
  return encoding;
}

class FastBuffer extends Uint8Array {
  constructor(bufferOrLength, byteOffset, length) {
    super(bufferOrLength, byteOffset, length);
  }
}

function Buffer(value, encodingOrOffset, length) {
  if (typeof value === "number") {
    if (typeof encodingOrOffset === "string") throw nodeError("ERR_INVALID_ARG_TYPE", "string", "string", value);
    return Buffer.alloc(value);
  }
  return Buffer.from(value, encodingOrOffset, length);
}
Object.setPrototypeOf(Buffer, Uint8Array);
Buffer.prototype = FastBuffer.prototype;
const proto = Buffer.prototype;
Object.defineProperty(proto, "constructor", { __proto__: null, value: Buffer, writable: true, configurable: true });
Object.defineProperty(Buffer, Symbol.species, {
  __proto__: null,
  get: () => FastBuffer,
  enumerable: false,
  configurable: true,
});

const isUint8Array = (value) => value instanceof Uint8Array;

function checkSize(size) {
  validate.number(size, "size", 0, MOST_BYTES);
  return size;
}

// How many bytes a string takes in an encoding; for base64 and hex, the most it can take.
function lengthOf(string, encoding) {
  switch (encoding) {
    case UTF8:
      return utf8Length(string);
    case HEX:
      return string.length >>> 1;
    case BASE64:
    case BASE64URL: {
      let { length } = string;
      if (string.charCodeAt(length - 1) === 0x3d) length--;
      if (length > 1 && string.charCodeAt(length - 1) === 0x3d) length--;
      return length * 3 >>> 2;
    }
    case UTF16LE:
      return string.length * 2;
    default:
      return string.length;
  }
}

function fromString(string, encodingName) {
  const encoding = typeof encodingName !== "string" || encodingName.length === 0 ? UTF8 : encodingOf(encodingName);
  if (string.length === 0) return new FastBuffer();
  const buffer = new FastBuffer(lengthOf(string, encoding));
  const written = writeText(string, buffer, encoding);
  return written === buffer.length ? buffer : new FastBuffer(buffer.buffer, 0, written);
}

function fromArrayBuffer(value, byteOffset, length) {
  if (byteOffset === undefined) {
    byteOffset = 0;
  } else {
    byteOffset = +byteOffset || 0;
  }
  const most = value.byteLength - byteOffset;
  if (most < 0) throw nodeError("ERR_BUFFER_OUT_OF_BOUNDS", "offset");
  if (length === undefined) {
    length = most;
  } else {
    length = +length;
    if (!(length > 0)) length = 0;
    else if (length > most) throw nodeError("ERR_BUFFER_OUT_OF_BOUNDS", "length");
  }
  return new FastBuffer(value, byteOffset, length);
}

function fromArrayLike(value) {
  if (!(value.length > 0)) return new FastBuffer();
  if (value.length > MOST_BYTES) throw nodeError("ERR_BUFFER_TOO_LARGE", MOST_BYTES);
  const buffer = new FastBuffer(value.length);
  buffer.set(value, 0);
  return buffer;
}

function fromObject(value) {
  if (value.length !== undefined || isAnyArrayBuffer(value.buffer)) {
    return typeof value.length === "number" ? fromArrayLike(value) : new FastBuffer();
  }
  if (value.type === "Buffer" && Array.isArray(value.data)) return fromArrayLike(value.data);
  return undefined;
}

// Functions and no methods where packages call one with `new`, as a `Uint8Array` of another make.
const statics = {
  alloc: function alloc(size, fill, encoding) {
    checkSize(size);
    if (fill !== undefined && fill !== 0 && size > 0) return fillWith(new FastBuffer(size), fill, encoding);
    return new FastBuffer(size);
  },
  allocUnsafe: function allocUnsafe(size) {
    return new FastBuffer(checkSize(size));
  },
  allocUnsafeSlow: function allocUnsafeSlow(size) {
    return new FastBuffer(checkSize(size));
  },
  byteLength(value, encoding) {
    if (typeof value !== "string") {
      if (ArrayBuffer.isView(value) || isAnyArrayBuffer(value)) return value.byteLength;
      throw nodeError("ERR_INVALID_ARG_TYPE", "string", ["string", "Buffer", "ArrayBuffer"], value);
    }
    return lengthOf(value, encoding ? knownEncoding(encoding) ?? UTF8 : UTF8);
  },
  compare(a, b) {
    if (!isUint8Array(a)) throw nodeError("ERR_INVALID_ARG_TYPE", "buf1", ["Buffer", "Uint8Array"], a);
    if (!isUint8Array(b)) throw nodeError("ERR_INVALID_ARG_TYPE", "buf2", ["Buffer", "Uint8Array"], b);
    return compareBytes(a, b);
  },
  concat(list, length) {
    validate.array(list, "list");
    if (list.length === 0) return new FastBuffer();
    if (length === undefined) {
      length = 0;
      for (let i = 0; i < list.length; i++) if (list[i].length) length += list[i].length;
    } else {
      validate.integer(length, "length", 0, MOST_BYTES);
    }
    const result = Buffer.allocUnsafe(length);
    let at = 0;
    for (let i = 0; i < list.length; i++) {
      const item = list[i];
      if (!isUint8Array(item)) throw nodeError("ERR_INVALID_ARG_TYPE", `list[${i}]`, ["Buffer", "Uint8Array"], item);
      if (at >= length) break;
      result.set(item.length > length - at ? item.subarray(0, length - at) : item, at);
      at += item.length;
    }
    return result;
  },
  copyBytesFrom(view, offset, length) {
    if (!ArrayBuffer.isView(view) || view instanceof DataView) {
      throw nodeError("ERR_INVALID_ARG_TYPE", "view", ["TypedArray"], view);
    }
    if (offset !== undefined) validate.integer(offset, "offset", 0);
    if (length !== undefined) validate.integer(length, "length", 0);
    const from = Math.min(offset ?? 0, view.length);
    const part = view.subarray(from, length === undefined ? undefined : from + length);
    return fromArrayLike(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  },
  from(value, encodingOrOffset, length) {
    if (typeof value === "string") return fromString(value, encodingOrOffset);
    if (typeof value === "object" && value !== null) {
      if (isAnyArrayBuffer(value)) return fromArrayBuffer(value, encodingOrOffset, length);
      const primitive = value.valueOf && value.valueOf();
      if (
        primitive !== null && primitive !== undefined && primitive !== value &&
        (typeof primitive === "string" || typeof primitive === "object")
      ) {
        return Buffer.from(primitive, encodingOrOffset, length);
      }
      const buffer = fromObject(value);
      if (buffer) return buffer;
      if (typeof value[Symbol.toPrimitive] === "function") {
        const text = value[Symbol.toPrimitive]("string");
        if (typeof text === "string") return fromString(text, encodingOrOffset);
      }
    }
    throw nodeError(
      "ERR_INVALID_ARG_TYPE",
      "first argument",
      ["string", "Buffer", "ArrayBuffer", "Array", "Array-like Object"],
      value,
    );
  },
  isBuffer(value) {
    return value instanceof Buffer;
  },
  isEncoding(encoding) {
    return typeof encoding === "string" && encoding.length !== 0 && knownEncoding(encoding) !== undefined;
  },
  of(...items) {
    const buffer = Buffer.allocUnsafe(items.length);
    for (let i = 0; i < items.length; i++) buffer[i] = items[i];
    return buffer;
  },
};
Object.assign(Buffer, statics);
Buffer.poolSize = 8 * 1024;

function compareBytes(a, b) {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
  }
  return a.length === b.length ? 0 : a.length < b.length ? -1 : 1;
}

function toText(buffer, encoding, start = 0, end = buffer.length) {
  const part = start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end);
  const text = textOf(part, encoding);
  if (text === null) throw nodeError("ERR_STRING_TOO_LONG", LONGEST_STRING);
  return text;
}

function writeAt(buffer, string, offset, length, encoding) {
  return writeText(string, offset === 0 && length === buffer.length ? buffer : buffer.subarray(offset, offset + length), encoding);
}

function fillWith(buffer, value, offset, end, encoding) {
  if (typeof value === "string") {
    if (offset === undefined || typeof offset === "string") {
      encoding = offset;
      offset = 0;
      end = buffer.length;
    } else if (typeof end === "string") {
      encoding = end;
      end = buffer.length;
    }
    const known = encoding === undefined || encoding === null || encoding === "" ? UTF8 : knownEncoding(encoding);
    if (known === undefined) {
      if (typeof encoding !== "string") throw nodeError("ERR_INVALID_ARG_TYPE", "encoding", "string", encoding);
      throw nodeError("ERR_UNKNOWN_ENCODING", encoding);
    }
    if (value.length === 0) {
      value = 0;
    } else {
      const bytes = fromString(value, encoding);
      if (bytes.length === 0) throw nodeError("ERR_INVALID_ARG_VALUE", "value", value);
      value = bytes;
    }
  } else if (typeof value === "boolean") {
    value = +value;
  }
  if (offset === undefined) {
    offset = 0;
    end = buffer.length;
  } else {
    validate.number(offset, "offset");
    if (!(offset >= 0 && offset <= MOST_BYTES)) {
      throw nodeError("ERR_OUT_OF_RANGE", "offset", `>= 0 && <= ${MOST_BYTES}`, offset);
    }
    if (end === undefined) end = buffer.length;
    else validate.number(end, "end", 0, buffer.length);
    if (offset >= end) return buffer;
  }
  if (isUint8Array(value)) {
    if (value.length === 0) throw nodeError("ERR_INVALID_ARG_VALUE", "value", value);
    if (value.length === 1) return Uint8Array.prototype.fill.call(buffer, value[0], offset, end);
    for (let at = offset; at < end; at += value.length) {
      buffer.set(value.length > end - at ? value.subarray(0, end - at) : value, at);
    }
    return buffer;
  }
  return Uint8Array.prototype.fill.call(buffer, value & 255, offset, end);
}

function search(buffer, value, byteOffset, encoding, forward) {
  if (typeof byteOffset === "string") {
    encoding = byteOffset;
    byteOffset = undefined;
  } else if (byteOffset > 0x7fffffff) {
    byteOffset = 0x7fffffff;
  } else if (byteOffset < -0x80000000) {
    byteOffset = -0x80000000;
  }
  byteOffset = +byteOffset;
  if (Number.isNaN(byteOffset)) byteOffset = forward ? 0 : buffer.length;
  byteOffset = Math.trunc(byteOffset);
  if (typeof value === "number") {
    const byte = value & 255;
    return forward
      ? Uint8Array.prototype.indexOf.call(buffer, byte, byteOffset)
      : byteOffset < 0 && byteOffset + buffer.length < 0
      ? -1
      : Uint8Array.prototype.lastIndexOf.call(buffer, byte, byteOffset);
  }
  let known = UTF8;
  if (typeof value === "string") {
    if (encoding !== undefined) known = encodingOf(encoding);
    value = fromString(value, encoding);
  } else if (!isUint8Array(value)) {
    throw nodeError("ERR_INVALID_ARG_TYPE", "value", ["number", "string", "Buffer", "Uint8Array"], value);
  }
  return indexOfBytes(buffer, value, byteOffset, known === UTF16LE ? 2 : 1, forward);
}

function indexOfBytes(buffer, needle, offset, step, forward) {
  const { length } = buffer;
  if (offset < 0) offset += length;
  if (offset < 0) {
    if (!forward) return -1;
    offset = 0;
  }
  if (needle.length === 0) return Math.min(offset, length);
  if (length < needle.length) return -1;
  const last = length - needle.length;
  const matches = (at) => {
    for (let i = 0; i < needle.length; i++) if (buffer[at + i] !== needle[i]) return false;
    return true;
  };
  if (!forward) {
    for (let at = Math.min(offset, last); at >= 0; at -= 1) {
      if ((step === 1 || at % 2 === 0) && matches(at)) return at;
    }
    return -1;
  }
  for (let at = offset; at <= last; at++) {
    at = Uint8Array.prototype.indexOf.call(buffer, needle[0], at);
    if (at === -1 || at > last) return -1;
    if ((step === 1 || at % 2 === 0) && matches(at)) return at;
  }
  return -1;
}

function swap(buffer, size) {
  if (buffer.length % size !== 0) throw nodeError("ERR_INVALID_BUFFER_SIZE", `${size * 8}-bits`);
  for (let i = 0; i < buffer.length; i += size) buffer.subarray(i, i + size).reverse();
  return buffer;
}

const methods = {
  compare(target, targetStart = 0, targetEnd = target?.length, sourceStart = 0, sourceEnd = this.length) {
    if (!isUint8Array(target)) throw nodeError("ERR_INVALID_ARG_TYPE", "target", ["Buffer", "Uint8Array"], target);
    validate.integer(targetStart, "targetStart", 0);
    validate.integer(targetEnd, "targetEnd", 0, target.length);
    validate.integer(sourceStart, "sourceStart", 0);
    validate.integer(sourceEnd, "sourceEnd", 0, this.length);
    if (sourceStart >= sourceEnd) return targetStart >= targetEnd ? 0 : -1;
    if (targetStart >= targetEnd) return 1;
    return compareBytes(this.subarray(sourceStart, sourceEnd), target.subarray(targetStart, targetEnd));
  },
  copy(target, targetStart, sourceStart, sourceEnd) {
    if (!isUint8Array(target)) throw nodeError("ERR_INVALID_ARG_TYPE", "target", ["Buffer", "Uint8Array"], target);
    const place = (value, fallback, name, most) => {
      if (value === undefined) return fallback;
      value = Number.isInteger(value) ? value : Math.trunc(Number(value)) || 0;
      if (value < 0 || most !== undefined && value > most) {
        throw nodeError("ERR_OUT_OF_RANGE", name, most === undefined ? ">= 0" : `>= 0 && <= ${most}`, value);
      }
      return value;
    };
    targetStart = place(targetStart, 0, "targetStart");
    sourceStart = place(sourceStart, 0, "sourceStart", this.length);
    sourceEnd = place(sourceEnd, this.length, "sourceEnd");
    if (targetStart >= target.length || sourceStart >= sourceEnd) return 0;
    const amount = Math.min(sourceEnd - sourceStart, target.length - targetStart, this.length - sourceStart);
    target.set(this.subarray(sourceStart, sourceStart + amount), targetStart);
    return amount;
  },
  equals(other) {
    if (!isUint8Array(other)) {
      throw nodeError("ERR_INVALID_ARG_TYPE", "otherBuffer", ["Buffer", "Uint8Array"], other);
    }
    return this === other || this.byteLength === other.byteLength && compareBytes(this, other) === 0;
  },
  fill(value, offset, end, encoding) {
    return fillWith(this, value, offset, end, encoding);
  },
  includes(value, byteOffset, encoding) {
    return this.indexOf(value, byteOffset, encoding) !== -1;
  },
  indexOf(value, byteOffset, encoding) {
    return search(this, value, byteOffset, encoding, true);
  },
  lastIndexOf(value, byteOffset, encoding) {
    return search(this, value, byteOffset, encoding, false);
  },
  slice(start, end) {
    return this.subarray(start, end);
  },
  subarray(start, end) {
    const { length } = this;
    const place = (value, fallback) => {
      if (value === undefined) return fallback;
      value = Math.trunc(+value) || 0;
      return value < 0 ? Math.max(value + length, 0) : Math.min(value, length);
    };
    const from = place(start, 0);
    const to = place(end, length);
    return new FastBuffer(this.buffer, this.byteOffset + from, Math.max(to - from, 0));
  },
  swap16() {
    return swap(this, 2);
  },
  swap32() {
    return swap(this, 4);
  },
  swap64() {
    return swap(this, 8);
  },
  toJSON() {
    return { type: "Buffer", data: Array.from(this) };
  },
  toString(encoding, start, end) {
    if (arguments.length === 0) return toText(this, UTF8);
    const { length } = this;
    if (start <= 0) start = 0;
    else if (start >= length) return "";
    else start = Math.trunc(start) || 0;
    if (end === undefined || end > length) end = length;
    else end = Math.trunc(end) || 0;
    if (end <= start) return "";
    return toText(this, encoding === undefined ? UTF8 : encodingOf(encoding), start, end);
  },
  write(string, offset, length, encoding) {
    const text = (known) => {
      if (typeof string !== "string") throw nodeError("ERR_INVALID_ARG_TYPE", null);
      return writeAt(this, string, offset, length, known);
    };
    if (offset === undefined || typeof offset === "string" && length === undefined) {
      encoding = offset;
      offset = 0;
      ({ length } = this);
      return text(encoding ? encodingOf(encoding) : UTF8);
    }
    validate.integer(offset, "offset", 0, this.length);
    const rest = this.length - offset;
    if (length === undefined) {
      length = rest;
    } else if (typeof length === "string") {
      encoding = length;
      length = rest;
    } else {
      validate.integer(length, "length", 0, this.length);
      if (length > rest) length = rest;
    }
    return text(encoding ? encodingOf(encoding) : UTF8);
  },
  [customInspect](depth, options) {
    const most = exports.INSPECT_MAX_BYTES;
    let shown = toText(this, HEX, 0, Math.min(most, this.length)).replace(/(.{2})/g, "$1 ").trim();
    const rest = this.length - most;
    if (rest > 0) shown += ` ... ${rest} more byte${rest > 1 ? "s" : ""}`;
    if (options) {
      let extras = false;
      const own = { __proto__: null };
      for (const key of Object.keys(this)) {
        if (/^\d+$/.test(key)) continue;
        extras = true;
        own[key] = this[key];
      }
      if (extras) {
        if (this.length !== 0) shown += ", ";
        shown += require("packages/inspect").inspect(own, { ...options, breakLength: Infinity, compact: true }).slice(27, -2);
      }
    }
    return `<${this.constructor?.name ?? "Buffer"} ${shown}>`;
  },
};
methods.inspect = methods[customInspect];
methods.toLocaleString = methods.toString;
for (const [name, encoding] of Object.entries({
  ascii: ASCII,
  base64: BASE64,
  base64url: BASE64URL,
  hex: HEX,
  latin1: LATIN1,
  ucs2: UTF16LE,
  utf8: UTF8,
})) {
  methods[`${name}Slice`] = function (start = 0, end = this.length) {
    return toText(this, encoding, Math.max(start, 0), Math.min(end, this.length));
  };
  methods[`${name}Write`] = function (string, offset = 0, length = this.length - offset) {
    return writeAt(this, string, offset, length, encoding);
  };
}
for (const [name, value] of [...Object.entries(methods), ...Object.entries(numbers.methods), [customInspect, methods[customInspect]]]) {
  Object.defineProperty(proto, name, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
}
for (const [name, property] of [["parent", "buffer"], ["offset", "byteOffset"]]) {
  Object.defineProperty(proto, name, {
    __proto__: null,
    get() {
      return this instanceof Buffer ? this[property] : undefined;
    },
    enumerable: true,
    configurable: true,
  });
}

function SlowBuffer(length) {
  return Buffer.allocUnsafeSlow(length);
}
SlowBuffer.prototype = Buffer.prototype;
Object.setPrototypeOf(SlowBuffer, Uint8Array);

function bytesOf(value, name) {
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (isAnyArrayBuffer(value)) return new Uint8Array(value);
  throw nodeError("ERR_INVALID_ARG_TYPE", name, ["ArrayBuffer", "Buffer", "TypedArray"], value);
}

const exports = {
  Blob: globalThis.Blob,
  Buffer,
  File: globalThis.File,
  INSPECT_MAX_BYTES: 50,
  SlowBuffer,
  atob: globalThis.atob,
  btoa: globalThis.btoa,
  constants: { __proto__: null, MAX_LENGTH: MOST_BYTES, MAX_STRING_LENGTH: LONGEST_STRING },
  isAscii(input) {
    return bytesOf(input, "input").every((byte) => byte < 128);
  },
  isUtf8(input) {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytesOf(input, "input"));
      return true;
    } catch (error) {
      if (error.code === "ERR_INVALID_ARG_TYPE") throw error;
      return false;
    }
  },
  kMaxLength: MOST_BYTES,
  kStringMaxLength: LONGEST_STRING,
  resolveObjectURL() {
    return undefined;
  },
  transcode(source, from, to) {
    if (!isUint8Array(source)) throw nodeError("ERR_INVALID_ARG_TYPE", "source", ["Buffer", "Uint8Array"], source);
    if (source.length === 0) return new FastBuffer();
    const [old, target] = [encodingOf(from), encodingOf(to)];
    const text = toText(source, old);
    if (target !== ASCII && target !== LATIN1) return fromString(text, to);
    const most = target === ASCII ? 0x7f : 0xff;
    return fromString(Array.from(text, (c) => c.codePointAt(0) > most ? "?" : c).join(""), "latin1");
  },
};
return exports;
})
