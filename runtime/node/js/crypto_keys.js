// Keys of node:crypto, and how its functions take and give bytes.

(function (require, internals) {
"use strict";

const { Buffer } = require("buffer");
const { nodeError, validate } = require("internal/errors");

const { importKey, keyMaterial } = internals.crypto;
// The class of keys of Web Cryptography.
const { CryptoKey } = globalThis;
// The forms of which a key of each type is imported.
const FORMATS = { __proto__: null, private: "pkcs8", public: "spki", secret: "raw" };

const secrets = new WeakMap();

const isCryptoKey = (value) => typeof value === "object" && value !== null && value instanceof CryptoKey;

// The bytes of a string or of any view.
function bytesOf(value, name, encoding, takesBuffers = name !== "data" && name !== "key") {
  if (typeof value === "string") return Buffer.from(value, encoding === "buffer" ? "utf8" : encoding);
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  throw nodeError("ERR_INVALID_ARG_TYPE", name, takesBuffers
    ? ["string", "ArrayBuffer", "Buffer", "TypedArray", "DataView"]
    : ["string", "Buffer", "TypedArray", "DataView"], value);
}

function output(bytes, encoding) {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return encoding && encoding !== "buffer" ? buffer.toString(encoding) : buffer;
}

class KeyObject {
  #type;

  // Keys in pairs are made by their own classes, which give a `pair`.
  constructor(type, bytes, pair = undefined) {
    validate.oneOf(type, "type", ["secret", "public", "private"]);
    if (type !== "secret" && pair === undefined) {
      throw nodeError("ERR_CRYPTO_UNSUPPORTED_OPERATION", "only secret keys can be made here");
    }
    this.#type = type;
    if (type === "secret") secrets.set(this, Uint8Array.from(bytes));
  }

  // The same key, for this module. A key that may not be exported is refused, wherever it is given.
  static from(key) {
    if (!isCryptoKey(key)) throw nodeError("ERR_INVALID_ARG_TYPE", "key", "CryptoKey", key);
    const { type, data } = keyMaterial(key);
    return type === "secret" ? new KeyObject("secret", data) : require("internal/crypto_pairs").keyFrom(type, data);
  }

  get symmetricKeySize() {
    return secrets.get(this)?.length;
  }

  get type() {
    return this.#type;
  }

  get [Symbol.toStringTag]() {
    return "KeyObject";
  }

  // The same key, for Web Cryptography.
  toCryptoKey(algorithm, extractable, keyUsages) {
    const data = this.type === "secret" ? secrets.get(this) : this.export({ format: "der", type: FORMATS[this.type] });
    if (typeof algorithm === "string") algorithm = { name: algorithm };
    return importKey(FORMATS[this.type], Uint8Array.from(data), algorithm, Boolean(extractable), keyUsages);
  }

  equals(other) {
    if (!(other instanceof KeyObject)) throw nodeError("ERR_INVALID_ARG_TYPE", "otherKeyObject", "KeyObject", other);
    return other.type === "secret" && Buffer.compare(secrets.get(this), secrets.get(other)) === 0;
  }

  export(options = {}) {
    validate.object(options, "options");
    const bytes = secrets.get(this);
    if (options.format === "jwk") return { kty: "oct", k: Buffer.from(bytes).toString("base64url") };
    if (options.format !== undefined) validate.oneOf(options.format, "options.format", [undefined, "buffer", "jwk"]);
    return Buffer.from(bytes);
  }
}

// The bytes of a secret key, in whichever form it is given.
function keyBytes(key, name, encoding) {
  if (key instanceof KeyObject) {
    if (key.type !== "secret") throw nodeError("ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", key.type, "secret");
    return secrets.get(key);
  }
  if (isCryptoKey(key)) {
    if (key.type !== "secret") throw nodeError("ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", key.type, "secret");
    return keyMaterial(key).data;
  }
  if (typeof key !== "string" && !ArrayBuffer.isView(key) && !(key instanceof ArrayBuffer)) {
    const kinds = ["ArrayBuffer", "Buffer", "TypedArray", "DataView", "string", "KeyObject", "CryptoKey"];
    throw nodeError("ERR_INVALID_ARG_TYPE", name, kinds, key);
  }
  return bytesOf(key, name, encoding);
}

return {
  KeyObject,
  bytesOf,
  isCryptoKey,
  createSecretKey: (key, encoding) => new KeyObject("secret", bytesOf(key, "key", encoding)),
  keyBytes,
  output,
};
})
