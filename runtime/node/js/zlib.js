// node:zlib.

(function (require, internals) {
"use strict";

const { Buffer } = require("buffer");
const { nodeError, validate } = require("internal/errors");
const { Transform } = require("stream");

const { close, finish, flush, open, write } = internals.zlib;

const PIECE = 16 * 1024;

const constants = Object.freeze({
  __proto__: null,
  Z_NO_FLUSH: 0, Z_PARTIAL_FLUSH: 1, Z_SYNC_FLUSH: 2, Z_FULL_FLUSH: 3, Z_FINISH: 4, Z_BLOCK: 5, Z_OK: 0,
  Z_STREAM_END: 1, Z_NEED_DICT: 2, Z_ERRNO: -1, Z_STREAM_ERROR: -2, Z_DATA_ERROR: -3, Z_MEM_ERROR: -4,
  Z_BUF_ERROR: -5, Z_VERSION_ERROR: -6, Z_NO_COMPRESSION: 0, Z_BEST_SPEED: 1, Z_BEST_COMPRESSION: 9,
  Z_DEFAULT_COMPRESSION: -1, Z_FILTERED: 1, Z_HUFFMAN_ONLY: 2, Z_RLE: 3, Z_FIXED: 4, Z_DEFAULT_STRATEGY: 0,
  ZLIB_VERNUM: 4880, DEFLATE: 1, INFLATE: 2, GZIP: 3, GUNZIP: 4, DEFLATERAW: 5, INFLATERAW: 6, UNZIP: 7,
  BROTLI_DECODE: 8, BROTLI_ENCODE: 9, Z_MIN_WINDOWBITS: 8, Z_MAX_WINDOWBITS: 15, Z_DEFAULT_WINDOWBITS: 15,
  Z_MIN_CHUNK: 64, Z_MAX_CHUNK: Infinity, Z_DEFAULT_CHUNK: PIECE, Z_MIN_MEMLEVEL: 1, Z_MAX_MEMLEVEL: 9,
  Z_DEFAULT_MEMLEVEL: 8, Z_MIN_LEVEL: -1, Z_MAX_LEVEL: 9, Z_DEFAULT_LEVEL: -1, BROTLI_OPERATION_PROCESS: 0,
  BROTLI_OPERATION_FLUSH: 1, BROTLI_OPERATION_FINISH: 2, BROTLI_OPERATION_EMIT_METADATA: 3, BROTLI_PARAM_MODE: 0,
  BROTLI_MODE_GENERIC: 0, BROTLI_MODE_TEXT: 1, BROTLI_MODE_FONT: 2, BROTLI_DEFAULT_MODE: 0, BROTLI_PARAM_QUALITY: 1,
  BROTLI_MIN_QUALITY: 0, BROTLI_MAX_QUALITY: 11, BROTLI_DEFAULT_QUALITY: 11, BROTLI_PARAM_LGWIN: 2,
  BROTLI_MIN_WINDOW_BITS: 10, BROTLI_MAX_WINDOW_BITS: 24, BROTLI_LARGE_MAX_WINDOW_BITS: 30, BROTLI_DEFAULT_WINDOW: 22,
  BROTLI_PARAM_LGBLOCK: 3, BROTLI_MIN_INPUT_BLOCK_BITS: 16, BROTLI_MAX_INPUT_BLOCK_BITS: 24,
  BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING: 4, BROTLI_PARAM_SIZE_HINT: 5, BROTLI_PARAM_LARGE_WINDOW: 6,
  BROTLI_PARAM_NPOSTFIX: 7, BROTLI_PARAM_NDIRECT: 8, BROTLI_DECODER_RESULT_ERROR: 0, BROTLI_DECODER_RESULT_SUCCESS: 1,
  BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT: 2, BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT: 3,
  BROTLI_DECODER_PARAM_DISABLE_RING_BUFFER_REALLOCATION: 0, BROTLI_DECODER_PARAM_LARGE_WINDOW: 1,
  BROTLI_DECODER_NO_ERROR: 0, BROTLI_DECODER_SUCCESS: 1, BROTLI_DECODER_NEEDS_MORE_INPUT: 2,
  BROTLI_DECODER_NEEDS_MORE_OUTPUT: 3, BROTLI_DECODER_ERROR_FORMAT_EXUBERANT_NIBBLE: -1,
  BROTLI_DECODER_ERROR_FORMAT_RESERVED: -2, BROTLI_DECODER_ERROR_FORMAT_EXUBERANT_META_NIBBLE: -3,
  BROTLI_DECODER_ERROR_FORMAT_SIMPLE_HUFFMAN_ALPHABET: -4, BROTLI_DECODER_ERROR_FORMAT_SIMPLE_HUFFMAN_SAME: -5,
  BROTLI_DECODER_ERROR_FORMAT_CL_SPACE: -6, BROTLI_DECODER_ERROR_FORMAT_HUFFMAN_SPACE: -7,
  BROTLI_DECODER_ERROR_FORMAT_CONTEXT_MAP_REPEAT: -8, BROTLI_DECODER_ERROR_FORMAT_BLOCK_LENGTH_1: -9,
  BROTLI_DECODER_ERROR_FORMAT_BLOCK_LENGTH_2: -10, BROTLI_DECODER_ERROR_FORMAT_TRANSFORM: -11,
  BROTLI_DECODER_ERROR_FORMAT_DICTIONARY: -12, BROTLI_DECODER_ERROR_FORMAT_WINDOW_BITS: -13,
  BROTLI_DECODER_ERROR_FORMAT_PADDING_1: -14, BROTLI_DECODER_ERROR_FORMAT_PADDING_2: -15,
  BROTLI_DECODER_ERROR_FORMAT_DISTANCE: -16, BROTLI_DECODER_ERROR_DICTIONARY_NOT_SET: -19,
  BROTLI_DECODER_ERROR_INVALID_ARGUMENTS: -20, BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES: -21,
  BROTLI_DECODER_ERROR_ALLOC_TREE_GROUPS: -22, BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MAP: -25,
  BROTLI_DECODER_ERROR_ALLOC_RING_BUFFER_1: -26, BROTLI_DECODER_ERROR_ALLOC_RING_BUFFER_2: -27,
  BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES: -30, BROTLI_DECODER_ERROR_UNREACHABLE: -31,
});
const CODES = { Z_BUF_ERROR: -5, Z_DATA_ERROR: -3, ERR_BROTLI_DECODER_ERROR: -2 };

function checkRange(value, name, min, max) {
  validate.number(value, name);
  if (!(value >= min && value <= max)) throw nodeError("ERR_OUT_OF_RANGE", name, `>= ${min} and <= ${max}`, value);
}

function failure(message, code) {
  return Object.assign(new Error(message), { errno: CODES[code], code });
}

function bytesOf(value) {
  if (typeof value === "string") return Buffer.from(value);
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  throw nodeError("ERR_INVALID_ARG_TYPE", "buffer", ["string", "Buffer", "TypedArray", "DataView", "ArrayBuffer"], value);
}

// One coder: what comes out for what goes in.
class Coder {
  #kind;
  #coder;
  #first = [];
  #isRecognised = false;
  #seen = false;

  constructor(kind, options = {}) {
    validate.object(options, "options");
    const isBrotli = kind.startsWith("brotli");
    let level;
    let window = 0;
    if (isBrotli) {
      level = options.params?.[constants.BROTLI_PARAM_QUALITY] ?? 11;
      window = options.params?.[constants.BROTLI_PARAM_LGWIN] ?? 22;
      validate.integer(level, "options.params[BROTLI_PARAM_QUALITY]", 0, 11);
      validate.integer(window, "options.params[BROTLI_PARAM_LGWIN]", 10, 24);
    } else {
      level = options.level ?? -1;
      checkRange(level, "options.level", -1, 9);
      if (level === -1) level = 6;
      if (options.windowBits !== undefined) checkRange(options.windowBits, "options.windowBits", kind === "gzip" ? 9 : 8, 15);
      if (options.memLevel !== undefined) checkRange(options.memLevel, "options.memLevel", 1, 9);
      if (options.strategy !== undefined) checkRange(options.strategy, "options.strategy", 0, 4);
      if (options.dictionary !== undefined) {
        throw nodeError("ERR_METHOD_NOT_IMPLEMENTED", "zlib option dictionary");
      }
    }
    this.#kind = kind;
    if (kind !== "unzip") this.#coder = open(kind, level, window);
  }

  // The header tells what is no compressed data, and which of the two formats `unzip` reads.
  #recognise(data) {
    const need = this.#kind === "gunzip" || this.#kind === "inflate" || this.#kind === "unzip" ? 2 : 0;
    for (let i = 0; i < data.length && this.#first.length < need; i++) this.#first.push(data[i]);
    if (this.#first.length < need) return;
    this.#isRecognised = true;
    const [a, b] = this.#first;
    const isGzip = a === 0x1f && b === 0x8b;
    if (this.#kind === "unzip") this.#coder = open(isGzip ? "gunzip" : "inflate", 6, 0);
    if (need === 2 && !isGzip && (this.#kind === "gunzip" || (a & 15) !== 8 || (a * 256 + b) % 31 !== 0)) {
      throw failure("incorrect header check", "Z_DATA_ERROR");
    }
  }

  #guard(step) {
    try {
      return step();
    } catch (error) {
      this.close();
      if (error.code !== undefined || error instanceof RangeError) throw error;
      if (this.#kind === "brotliDecompress") {
        throw error.message === "unexpected end of file"
          ? failure("unexpected end of file", "Z_BUF_ERROR")
          : failure("Decompression failed", "ERR_BROTLI_DECODER_ERROR");
      }
      throw failure(error.message, error.message === "unexpected end of file" ? "Z_BUF_ERROR" : "Z_DATA_ERROR");
    }
  }

  // Gives each chunk of output to `emit`.
  write(data, emit) {
    this.#guard(() => {
      if (!this.#isRecognised) {
        const before = this.#first.length;
        this.#recognise(data);
        if (!this.#isRecognised) return;
        // What `unzip` held back until it knew the format.
        if (this.#kind === "unzip" && before > 0) data = Buffer.concat([Uint8Array.from(this.#first.slice(0, before)), data]);
      }
      if (data.length > 0) this.#seen = true;
      for (let at = 0; at < data.length; at += PIECE) {
        const chunk = write(this.#coder, data.subarray(at, at + PIECE));
        if (chunk.length > 0) emit(chunk);
      }
    });
  }

  flush(emit) {
    this.#guard(() => {
      if (this.#coder === undefined) return;
      const chunk = flush(this.#coder);
      if (chunk.length > 0) emit(chunk);
    });
  }

  finish(emit) {
    this.#guard(() => {
      const decodes = /^(gunzip|inflate|inflateRaw|unzip|brotliDecompress)$/.test(this.#kind);
      if (decodes && !this.#seen) throw failure("unexpected end of file", "Z_BUF_ERROR");
      const chunk = finish(this.#coder);
      if (chunk.length > 0) emit(chunk);
    });
    this.close();
  }

  close() {
    if (this.#coder !== undefined) close(this.#coder);
  }
}

function runSync(kind, input, options = {}) {
  const data = bytesOf(input);
  const coder = new Coder(kind, options);
  const most = options.maxOutputLength ?? Infinity;
  const chunks = [];
  let length = 0;
  const emit = (chunk) => {
    length += chunk.length;
    if (length > most) throw nodeError("ERR_BUFFER_TOO_LARGE", most);
    chunks.push(chunk);
  };
  try {
    coder.write(data, emit);
    coder.finish(emit);
  } finally {
    coder.close();
  }
  return Buffer.concat(chunks, length);
}

class Zlib extends Transform {
  #coder;
  #isBrotli;

  constructor(kind, options = {}) {
    super({ ...options, decodeStrings: true });
    this.#coder = new Coder(kind, options);
    this.#isBrotli = kind.startsWith("brotli");
    this.bytesWritten = 0;
    // Packages that code at once put something else in its place, so that `_processChunk` does not end it.
    this._handle = { close: () => this.#coder.close() };
  }

  // The name of earlier versions of Node.js.
  get bytesRead() {
    return this.bytesWritten;
  }

  get _closed() {
    return this._handle === null;
  }

  // What comes out for a chunk, at once. Without a callback that ends it, as in Node.js.
  _processChunk(chunk, flush, callback) {
    const chunks = [];
    const emit = (out) => chunks.push(Buffer.from(out.buffer, out.byteOffset, out.length));
    this.bytesWritten += chunk.length;
    this.#coder.write(bytesOf(chunk), emit);
    if (flush === constants.Z_FINISH || this.#isBrotli && flush === constants.BROTLI_OPERATION_FINISH) this.#coder.finish(emit);
    else if (flush !== constants.Z_NO_FLUSH) this.#coder.flush(emit);
    if (typeof callback !== "function") {
      this._handle.close();
      this._handle = null;
      return Buffer.concat(chunks);
    }
    for (const piece of chunks) this.push(piece);
    queueMicrotask(callback);
    return undefined;
  }

  _transform(chunk, encoding, callback) {
    try {
      this.bytesWritten += chunk.length;
      this.#coder.write(bytesOf(chunk), (out) => this.push(Buffer.from(out.buffer, out.byteOffset, out.length)));
      callback();
    } catch (error) {
      callback(error);
    }
  }

  _flush(callback) {
    try {
      this.#coder.finish((out) => this.push(Buffer.from(out.buffer, out.byteOffset, out.length)));
      callback();
    } catch (error) {
      callback(error);
    }
  }

  _destroy(error, callback) {
    this.#coder.close();
    callback(error);
  }

  close(callback) {
    if (callback) this.once("close", callback);
    this.destroy();
  }

  flush(kind, callback) {
    if (typeof kind === "function") callback = kind;
    try {
      this.#coder.flush((out) => this.push(Buffer.from(out.buffer, out.byteOffset, out.length)));
    } catch (error) {
      this.destroy(error);
    }
    if (callback) queueMicrotask(callback);
  }

  params(level, strategy, callback) {
    queueMicrotask(() => callback?.());
  }

  reset() {}
}

let table;
function crc32(data, value = 0) {
  validate.number(value, "value", 0, 2 ** 32 - 1);
  table ??= Uint32Array.from({ length: 256 }, (_, n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? n >>> 1 ^ 0xedb88320 : n >>> 1;
    return n;
  });
  let crc = ~value;
  for (const byte of bytesOf(data)) crc = table[(crc ^ byte) & 255] ^ crc >>> 8;
  return ~crc >>> 0;
}

// Names of results by number, and numbers by name.
const codes = { __proto__: null };
for (const name of [
  "OK", "STREAM_END", "NEED_DICT", "ERRNO", "STREAM_ERROR", "DATA_ERROR", "MEM_ERROR", "BUF_ERROR", "VERSION_ERROR",
]) {
  const number = constants[`Z_${name}`];
  codes[number] = `Z_${name}`;
  codes[`Z_${name}`] = number;
}

const zlib = { codes: Object.freeze(codes), constants, crc32 };
for (const [name, value] of Object.entries(constants)) {
  if (!name.startsWith("BROTLI")) zlib[name] = value;
}
for (const kind of [
  "deflate", "inflate", "deflateRaw", "inflateRaw", "gzip", "gunzip", "unzip", "brotliCompress", "brotliDecompress",
]) {
  const name = kind[0].toUpperCase() + kind.slice(1);
  // As in Node.js, the constructors can be called without `new`.
  const Stream = function (options) {
    return Reflect.construct(Class, [options], new.target ?? Stream);
  };
  const Class = class extends Zlib {
    constructor(options) {
      super(kind, options);
    }
  };
  Object.defineProperty(Stream, "name", { __proto__: null, value: name, configurable: true });
  Stream.prototype = Object.create(Class.prototype, {
    constructor: { __proto__: null, value: Stream, writable: true, configurable: true },
  });
  zlib[name] = Stream;
  zlib[`create${name}`] = (options) => new Stream(options);
  zlib[`${kind}Sync`] = (input, options) => runSync(kind, input, options);
  zlib[kind] = (input, options, callback) => {
    if (typeof options === "function") [callback, options] = [options, {}];
    validate.func(callback, "callback");
    const data = bytesOf(input);
    let error = null;
    let result;
    try {
      result = runSync(kind, data, options);
    } catch (thrown) {
      error = thrown;
    }
    setTimeout(() => error === null ? callback(null, result) : callback(error), 0);
  };
}

return zlib;
})
