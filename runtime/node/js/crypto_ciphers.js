// The ciphers of node:crypto.

(function (require, internals) {
"use strict";

const { Buffer } = require("buffer");
const { nodeError, validate } = require("internal/errors");
const { bytesOf, keyBytes, output } = require("internal/crypto_keys");
const { StringDecoder } = require("string_decoder");
const { Transform } = require("stream");

const { cipherAad, cipherFinish, cipherOpen, cipherUpdate, equal } = internals.crypto;

const BLOCK = 16;
const KEYS = { __proto__: null, 128: 16, 192: 24, 256: 32 };
const ciphers = [128, 192, 256].flatMap((bits) => ["cbc", "ctr", "ecb", "gcm"].map((mode) => `aes-${bits}-${mode}`));

function parse(algorithm) {
  const plain = `${algorithm}`.toLowerCase().replace(/^id-aes(\d+)-gcm$/, "aes-$1-gcm").replace(/^aes(\d+)$/, "aes-$1-cbc");
  if (!ciphers.includes(plain)) return undefined;
  const [, bits, mode] = plain.split("-");
  return { name: plain, mode, keyLength: KEYS[bits] };
}

class Base extends Transform {
  #cipher;
  #decrypts;
  #decoder;
  #mode;
  #finished = false;
  #padding = true;
  #tag;
  #tagLength;
  // Decrypting without padding: how much came in.
  #length = 0;

  constructor(decrypts, algorithm, key, iv, options) {
    super(options);
    validate.string(algorithm, "cipher");
    const found = parse(algorithm);
    const bytes = keyBytes(key, "key");
    if (iv !== null) iv = bytesOf(iv, "iv");
    if (found === undefined) throw nodeError("ERR_CRYPTO_UNKNOWN_CIPHER");
    if (bytes.length !== found.keyLength) throw nodeError("ERR_CRYPTO_INVALID_KEYLEN");
    const { mode } = found;
    const wanted = mode === "ecb" ? 0 : mode === "gcm" ? undefined : BLOCK;
    if (iv === null ? wanted !== 0 : wanted === undefined ? iv.length === 0 : iv.length !== wanted) {
      throw nodeError("ERR_CRYPTO_INVALID_IV");
    }
    this.#mode = mode;
    this.#decrypts = decrypts;
    this.#tagLength = options?.authTagLength ?? BLOCK;
    this.#cipher = cipherOpen(mode, bytes, iv ?? new Uint8Array(), decrypts);
  }

  #text(bytes, encoding, isLast) {
    if (!encoding || encoding === "buffer") return output(bytes);
    this.#decoder ??= new StringDecoder(encoding);
    const text = this.#decoder.write(output(bytes));
    return isLast ? text + this.#decoder.end() : text;
  }

  update(data, inputEncoding, outputEncoding) {
    const bytes = bytesOf(data, "data", inputEncoding);
    if (this.#finished) throw nodeError("ERR_CRYPTO_INVALID_STATE", "update");
    this.#length += bytes.length;
    return this.#text(cipherUpdate(this.#cipher, bytes), outputEncoding, false);
  }

  final(outputEncoding) {
    if (this.#finished) throw nodeError("ERR_CRYPTO_INVALID_STATE", "final");
    this.#finished = true;
    return this.#text(this.#end(), outputEncoding, true);
  }

  #end() {
    if (this.#mode === "gcm") {
      const tag = cipherFinish(this.#cipher);
      if (!this.#decrypts) {
        this.#tag = tag.subarray(0, this.#tagLength);
      } else if (this.#tag === undefined || !equal(tag.subarray(0, this.#tag.length), this.#tag)) {
        throw new Error("Unsupported state or unable to authenticate data");
      }
      return new Uint8Array();
    }
    const isBlocks = this.#mode === "cbc" || this.#mode === "ecb";
    if (isBlocks && !this.#padding) {
      if (this.#length % BLOCK !== 0) {
        throw failure("ERR_OSSL_WRONG_FINAL_BLOCK_LENGTH", "wrong final block length");
      }
      // The last block comes out when another follows it; what that one becomes nobody sees.
      return this.#decrypts && this.#length > 0 ? cipherUpdate(this.#cipher, new Uint8Array(BLOCK)) : new Uint8Array();
    }
    if (isBlocks && this.#decrypts && (this.#length === 0 || this.#length % BLOCK !== 0)) {
      throw failure("ERR_OSSL_WRONG_FINAL_BLOCK_LENGTH", "wrong final block length");
    }
    try {
      return cipherFinish(this.#cipher);
    } catch {
      throw failure("ERR_OSSL_BAD_DECRYPT", "bad decrypt");
    }
  }

  setAutoPadding(padding = true) {
    if (this.#finished) throw nodeError("ERR_CRYPTO_INVALID_STATE", "setAutoPadding");
    this.#padding = Boolean(padding);
    return this;
  }

  setAAD(data) {
    if (this.#finished || this.#mode !== "gcm") throw nodeError("ERR_CRYPTO_INVALID_STATE", "setAAD");
    cipherAad(this.#cipher, bytesOf(data, "buffer"));
    return this;
  }

  getAuthTag() {
    if (this.#mode !== "gcm" || this.#tag === undefined || this.#decrypts) {
      throw nodeError("ERR_CRYPTO_INVALID_STATE", "getAuthTag");
    }
    return Buffer.from(this.#tag);
  }

  setAuthTag(tag, encoding) {
    if (this.#mode !== "gcm" || this.#finished || !this.#decrypts) {
      throw nodeError("ERR_CRYPTO_INVALID_STATE", "setAuthTag");
    }
    const bytes = bytesOf(tag, "buffer", encoding);
    if (![4, 8, 12, 13, 14, 15, 16].includes(bytes.length)) {
      throw nodeError("ERR_CRYPTO_INVALID_AUTH_TAG", `Invalid authentication tag length: ${bytes.length}`);
    }
    this.#tag = Uint8Array.from(bytes);
    return this;
  }

  _transform(chunk, encoding, callback) {
    this.push(this.update(chunk, encoding));
    callback();
  }

  _flush(callback) {
    try {
      this.push(this.final());
      callback();
    } catch (error) {
      callback(error);
    }
  }
}

// As OpenSSL's errors look in Node.js.
function failure(code, reason) {
  const error = new Error(`error:1C80006B:Provider routines::${reason}`);
  return Object.assign(error, { library: "Provider routines", reason, code });
}

class Cipheriv extends Base {
  constructor(algorithm, key, iv, options) {
    super(false, algorithm, key, iv, options);
  }
}
Cipheriv.prototype.setAuthTag = undefined;

class Decipheriv extends Base {
  constructor(algorithm, key, iv, options) {
    super(true, algorithm, key, iv, options);
  }
}
Decipheriv.prototype.getAuthTag = undefined;

function getCipherInfo(algorithm) {
  const found = parse(algorithm);
  if (found === undefined) return undefined;
  const { mode, name, keyLength } = found;
  const info = { name, mode, keyLength };
  if (mode === "cbc" || mode === "ecb") info.blockSize = BLOCK;
  if (mode !== "ecb") info.ivLength = mode === "gcm" ? 12 : BLOCK;
  return info;
}

return { Cipheriv, Decipheriv, ciphers, getCipherInfo };
})
