// node:string_decoder: takes any view, as Node.js does.

(function (require) {
"use strict";

const { nodeError } = require("internal/errors");
const { Buffer } = require("buffer");
const packaged = require("packages/string_decoder").StringDecoder;

function bytesOf(chunk) {
  if (typeof chunk === "string" || Buffer.isBuffer(chunk)) return chunk;
  if (!ArrayBuffer.isView(chunk)) {
    throw nodeError("ERR_INVALID_ARG_TYPE", "buf", ["Buffer", "TypedArray", "DataView"], chunk);
  }
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

function StringDecoder(encoding) {
  if (encoding !== undefined && encoding !== null && !Buffer.isEncoding(encoding)) {
    throw nodeError("ERR_UNKNOWN_ENCODING", encoding);
  }
  packaged.call(this, encoding);
  // The package gives each decoder its encoding's methods.
  for (const name of ["write", "end"]) {
    const method = this[name];
    Object.defineProperty(this, name, {
      __proto__: null,
      value(chunk) {
        if (typeof chunk === "string") return chunk;
        return Reflect.apply(method, this, chunk === undefined && name === "end" ? [] : [bytesOf(chunk)]);
      },
      writable: true,
      enumerable: false,
      configurable: true,
    });
  }
}
Object.setPrototypeOf(StringDecoder.prototype, packaged.prototype);

return { StringDecoder };
})
