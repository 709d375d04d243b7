// node:crypto. Web cryptography is the platform's; hashes, HMAC, key derivation and ciphers are operations of its own.

(function (require, internals) {
"use strict";

const { Buffer } = require("buffer");
const { nodeError, validate } = require("internal/errors");
const { bytesOf, keyBytes, KeyObject, createSecretKey, output } = require("internal/crypto_keys");
const { Cipheriv, Decipheriv, ciphers, getCipherInfo } = require("internal/crypto_ciphers");
const { Transform } = require("stream");

const {
  equal, fillRandom, hashCopy, hashFinish, hashOpen, hashUpdate, pbkdf2Open, pbkdf2Step, scrypt: scryptKey,
} = internals.crypto;

const HASHES = [
  "md5", "sha1", "sha224", "sha256", "sha3-256", "sha3-384", "sha3-512", "sha384", "sha512", "sha512-256",
];
const NOTHING = new Uint8Array();
const MOST_RANDOM = 2 ** 31 - 1;

function hashName(name) {
  const plain = `${name}`.toLowerCase().replace(/^rsa-/, "").replace(/^sha-(?=\d)/, "sha").replace("/", "-");
  return HASHES.includes(plain) ? plain : undefined;
}

class Hash extends Transform {
  #hasher;
  #done = false;

  constructor(algorithm, options, hasher) {
    super(options);
    if (hasher === undefined) {
      validate.string(algorithm, "algorithm");
      const name = hashName(algorithm);
      if (name === undefined) throw new Error("Digest method not supported");
      hasher = hashOpen(name, false, NOTHING);
    }
    this.#hasher = hasher;
  }

  copy(options) {
    if (this.#done) throw nodeError("ERR_CRYPTO_HASH_FINALIZED");
    return new Hash(undefined, options, hashCopy(this.#hasher));
  }

  digest(encoding) {
    if (this.#done) throw nodeError("ERR_CRYPTO_HASH_FINALIZED");
    this.#done = true;
    return output(hashFinish(this.#hasher), encoding);
  }

  update(data, encoding) {
    if (this.#done) throw nodeError("ERR_CRYPTO_HASH_FINALIZED");
    hashUpdate(this.#hasher, bytesOf(data, "data", encoding));
    return this;
  }

  _transform(chunk, encoding, callback) {
    this.update(chunk, encoding);
    callback();
  }

  _flush(callback) {
    this.push(this.digest());
    callback();
  }
}

class Hmac extends Transform {
  #hasher;
  #done = false;

  constructor(algorithm, key, options) {
    super(options);
    validate.string(algorithm, "hmac");
    const name = hashName(algorithm);
    const bytes = keyBytes(key, "key", options?.encoding);
    if (name === undefined) throw nodeError("ERR_CRYPTO_INVALID_DIGEST", algorithm);
    this.#hasher = hashOpen(name, true, bytes);
  }

  digest(encoding) {
    // As in Node.js, a second digest is empty.
    if (this.#done) return encoding && encoding !== "buffer" ? "" : Buffer.alloc(0);
    this.#done = true;
    return output(hashFinish(this.#hasher), encoding);
  }

  update(data, encoding) {
    if (this.#done) throw nodeError("ERR_CRYPTO_HASH_FINALIZED");
    hashUpdate(this.#hasher, bytesOf(data, "data", encoding));
    return this;
  }

  _transform(chunk, encoding, callback) {
    this.update(chunk, encoding);
    callback();
  }

  _flush(callback) {
    this.push(this.digest());
    callback();
  }
}

function hmacOnce(name, key, ...parts) {
  const hasher = hashOpen(name, true, key);
  for (const part of parts) hashUpdate(hasher, part);
  return hashFinish(hasher);
}

// Calls back later with what `compute` gives, as if it had been computed elsewhere.
function later(callback, compute) {
  validate.func(callback, "callback");
  let error = null;
  let value;
  try {
    value = compute();
  } catch (thrown) {
    error = thrown;
  }
  setTimeout(() => error === null ? callback(null, value) : callback(error), 0);
}

function randomBytes(size, callback) {
  validate.number(size, "size", 0, MOST_RANDOM);
  const fill = () => randomFillSync(Buffer.alloc(size));
  if (callback === undefined) return fill();
  return later(callback, fill);
}

function randomFillSync(target, offset = 0, size = undefined) {
  if (!ArrayBuffer.isView(target) && !(target instanceof ArrayBuffer)) {
    throw nodeError("ERR_INVALID_ARG_TYPE", "buf", ["ArrayBuffer", "ArrayBufferView"], target);
  }
  const unit = target.BYTES_PER_ELEMENT ?? 1;
  validate.number(offset, "offset", 0, target.byteLength / unit);
  const start = offset * unit;
  const length = size === undefined ? target.byteLength - start : size * unit;
  validate.number(length, "size", 0, target.byteLength - start);
  const bytes = ArrayBuffer.isView(target)
    ? new Uint8Array(target.buffer, target.byteOffset + start, length)
    : new Uint8Array(target, start, length);
  fillRandom(bytes);
  return target;
}

function randomFill(target, offset, size, callback) {
  if (typeof offset === "function") [callback, offset, size] = [offset, 0, undefined];
  else if (typeof size === "function") [callback, size] = [size, undefined];
  return later(callback, () => randomFillSync(target, offset, size));
}

function randomInt(min, max, callback) {
  if (max === undefined || typeof max === "function") [min, max, callback] = [0, min, max];
  if (!Number.isSafeInteger(min)) throw nodeError("ERR_INVALID_ARG_TYPE", "min", "a safe integer", min);
  if (!Number.isSafeInteger(max)) throw nodeError("ERR_INVALID_ARG_TYPE", "max", "a safe integer", max);
  if (max <= min) throw nodeError("ERR_OUT_OF_RANGE", "max", `greater than the value of "min" (${min})`, max);
  const range = max - min;
  if (range > 2 ** 48 - 1) throw nodeError("ERR_OUT_OF_RANGE", "max - min", `<= ${2 ** 48 - 1}`, range);
  const draw = () => {
    // What would make some numbers likelier than others is drawn again.
    const limit = 2 ** 48 - 2 ** 48 % range;
    for (;;) {
      const value = randomBytes(6).readUIntBE(0, 6);
      if (value < limit) return min + value % range;
    }
  };
  if (callback === undefined) return draw();
  return later(callback, draw);
}

function pbkdf2Sync(password, salt, iterations, keylen, digest) {
  validate.string(digest, "digest");
  password = bytesOf(password, "password");
  salt = bytesOf(salt, "salt");
  validate.integer(iterations, "iterations", 1, MOST_RANDOM);
  validate.integer(keylen, "keylen", 0, MOST_RANDOM);
  const name = hashName(digest);
  if (name === undefined || name.includes("-") || name === "md5") throw nodeError("ERR_CRYPTO_INVALID_DIGEST", digest);
  const state = pbkdf2Open(name, password, salt, iterations, keylen);
  for (;;) {
    const key = pbkdf2Step(state);
    if (key !== null) return output(key);
  }
}

function pbkdf2(password, salt, iterations, keylen, digest, callback) {
  if (typeof digest === "function") validate.string(undefined, "digest");
  return later(callback, () => pbkdf2Sync(password, salt, iterations, keylen, digest));
}

function scryptSync(password, salt, keylen, options = {}) {
  password = bytesOf(password, "password");
  salt = bytesOf(salt, "salt");
  validate.integer(keylen, "keylen", 0, MOST_RANDOM);
  const N = options.N ?? options.cost ?? 16384;
  const r = options.r ?? options.blockSize ?? 8;
  const p = options.p ?? options.parallelization ?? 1;
  const maxmem = options.maxmem ?? 32 * 1024 * 1024;
  validate.integer(N, "N", 0, 2 ** 32 - 1);
  validate.integer(r, "r", 0, MOST_RANDOM);
  validate.integer(p, "p", 0, MOST_RANDOM);
  validate.integer(maxmem, "maxmem", 0);
  if (N < 2 || (N & N - 1) !== 0 || r === 0 || p === 0) throw nodeError("ERR_CRYPTO_INVALID_SCRYPT_PARAMS");
  if (128 * N * r > maxmem) throw nodeError("ERR_CRYPTO_INVALID_SCRYPT_PARAMS", "memory limit exceeded");
  return output(scryptKey(password, salt, N, r, p, keylen));
}

function scrypt(password, salt, keylen, options, callback) {
  if (typeof options === "function") [callback, options] = [options, {}];
  return later(callback, () => scryptSync(password, salt, keylen, options));
}

// RFC 5869.
function hkdfSync(digest, key, salt, info, keylen) {
  validate.string(digest, "digest");
  const name = hashName(digest);
  key = keyBytes(key, "ikm");
  salt = bytesOf(salt, "salt");
  info = bytesOf(info, "info");
  validate.integer(keylen, "length", 0, MOST_RANDOM);
  if (name === undefined || name.includes("-")) throw nodeError("ERR_CRYPTO_INVALID_DIGEST", digest);
  const secret = hmacOnce(name, salt, key);
  if (keylen > 255 * secret.length) throw nodeError("ERR_CRYPTO_INVALID_KEYLEN");
  const result = new Uint8Array(keylen);
  let block = NOTHING;
  for (let at = 0, count = 1; at < keylen; at += block.length, count++) {
    block = hmacOnce(name, secret, block, info, Uint8Array.of(count));
    result.set(block.subarray(0, Math.min(block.length, keylen - at)), at);
  }
  return result.buffer;
}

function hkdf(digest, key, salt, info, keylen, callback) {
  return later(callback, () => hkdfSync(digest, key, salt, info, keylen));
}

function timingSafeEqual(a, b) {
  for (const [name, value] of [["buf1", a], ["buf2", b]]) {
    if (!ArrayBuffer.isView(value) && !(value instanceof ArrayBuffer)) {
      throw nodeError("ERR_INVALID_ARG_TYPE", name, ["ArrayBuffer", "Buffer", "TypedArray", "DataView"], value);
    }
  }
  if (a.byteLength !== b.byteLength) throw nodeError("ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH");
  return equal(bytesOf(a, "buf1"), bytesOf(b, "buf2"));
}

function secretKey(type, options) {
  validate.string(type, "type");
  validate.object(options, "options");
  const { length } = options;
  if (type === "hmac") validate.integer(length, "options.length", 8, MOST_RANDOM);
  else if (type === "aes") validate.oneOf(length, "options.length", [128, 192, 256]);
  else throw nodeError("ERR_INVALID_ARG_VALUE", "type", type, "must be a supported key type");
  return () => createSecretKey(randomBytes(length >> 3));
}

const generateKeySync = (type, options) => secretKey(type, options)();

function generateKey(type, options, callback) {
  validate.func(callback, "callback");
  later(callback, secretKey(type, options));
}

const crypto = {
  Cipheriv,
  Decipheriv,
  Hash,
  Hmac,
  KeyObject,
  constants: Object.freeze({
    __proto__: null,
    OPENSSL_VERSION_NUMBER: 805306672, SSL_OP_ALL: 2147485776, SSL_OP_ALLOW_NO_DHE_KEX: 1024,
    SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION: 262144, SSL_OP_CIPHER_SERVER_PREFERENCE: 4194304,
    SSL_OP_CISCO_ANYCONNECT: 32768, SSL_OP_COOKIE_EXCHANGE: 8192, SSL_OP_CRYPTOPRO_TLSEXT_BUG: 2147483648,
    SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS: 2048, SSL_OP_LEGACY_SERVER_CONNECT: 4, SSL_OP_NO_COMPRESSION: 131072,
    SSL_OP_NO_ENCRYPT_THEN_MAC: 524288, SSL_OP_NO_QUERY_MTU: 4096, SSL_OP_NO_RENEGOTIATION: 1073741824,
    SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION: 65536, SSL_OP_NO_SSLv2: 0, SSL_OP_NO_SSLv3: 33554432,
    SSL_OP_NO_TICKET: 16384, SSL_OP_NO_TLSv1: 67108864, SSL_OP_NO_TLSv1_1: 268435456, SSL_OP_NO_TLSv1_2: 134217728,
    SSL_OP_NO_TLSv1_3: 536870912, SSL_OP_PRIORITIZE_CHACHA: 2097152, SSL_OP_TLS_ROLLBACK_BUG: 8388608,
    ENGINE_METHOD_RSA: 1, ENGINE_METHOD_DSA: 2, ENGINE_METHOD_DH: 4, ENGINE_METHOD_RAND: 8, ENGINE_METHOD_EC: 2048,
    ENGINE_METHOD_CIPHERS: 64, ENGINE_METHOD_DIGESTS: 128, ENGINE_METHOD_PKEY_METHS: 512,
    ENGINE_METHOD_PKEY_ASN1_METHS: 1024, ENGINE_METHOD_ALL: 65535, ENGINE_METHOD_NONE: 0,
    DH_CHECK_P_NOT_SAFE_PRIME: 2, DH_CHECK_P_NOT_PRIME: 1, DH_UNABLE_TO_CHECK_GENERATOR: 4,
    DH_NOT_SUITABLE_GENERATOR: 8, RSA_PKCS1_PADDING: 1, RSA_NO_PADDING: 3, RSA_PKCS1_OAEP_PADDING: 4,
    RSA_X931_PADDING: 5, RSA_PKCS1_PSS_PADDING: 6, RSA_PSS_SALTLEN_DIGEST: -1, RSA_PSS_SALTLEN_MAX_SIGN: -2,
    RSA_PSS_SALTLEN_AUTO: -2, TLS1_VERSION: 769, TLS1_1_VERSION: 770, TLS1_2_VERSION: 771, TLS1_3_VERSION: 772,
    POINT_CONVERSION_COMPRESSED: 2, POINT_CONVERSION_UNCOMPRESSED: 4, POINT_CONVERSION_HYBRID: 6,
  }),
  createCipheriv: (algorithm, key, iv, options) => new Cipheriv(algorithm, key, iv, options),
  createDecipheriv: (algorithm, key, iv, options) => new Decipheriv(algorithm, key, iv, options),
  createHash: (algorithm, options) => new Hash(algorithm, options),
  createHmac: (algorithm, key, options) => new Hmac(algorithm, key, options),
  createSecretKey,
  generateKey,
  generateKeySync,
  getCipherInfo,
  getCiphers: () => ciphers.slice(),
  getCurves: () => require("internal/crypto_signing").curves.slice(),
  getFips: () => 0,
  getHashes: () => HASHES.slice(),
  getRandomValues: (array) => globalThis.crypto.getRandomValues(array),
  hash(algorithm, data, encoding = "hex") {
    return new Hash(algorithm).update(data).digest(encoding);
  },
  hkdf,
  hkdfSync,
  pbkdf2,
  pbkdf2Sync,
  pseudoRandomBytes: randomBytes,
  randomBytes,
  randomFill,
  randomFillSync,
  randomInt,
  randomUUID: () => globalThis.crypto.randomUUID(),
  scrypt,
  scryptSync,
  secureHeapUsed: () => ({ total: 0, used: 0, utilization: 0, min: 0 }),
  timingSafeEqual,
};
// Keys in pairs are loaded when they are used first.
const PROMISIFY = Symbol.for("nodejs.util.promisify.custom");
const PAIRS = {
  "internal/crypto_pairs": ["createPrivateKey", "createPublicKey"],
  "internal/crypto_signing": [
    "createSign", "createVerify", "diffieHellman", "generateKeyPair", "generateKeyPairSync", "privateDecrypt", "privateEncrypt",
    "publicDecrypt", "publicEncrypt", "sign", "verify",
  ],
  "internal/crypto_dh": ["createDiffieHellman", "createDiffieHellmanGroup", "getDiffieHellman"],
  "internal/crypto_ecdh": ["createECDH"],
  "internal/crypto_numbers": ["checkPrime", "checkPrimeSync", "generatePrime", "generatePrimeSync"],
};
const CLASSES = {
  "internal/crypto_dh": ["DiffieHellman", "DiffieHellmanGroup"],
  "internal/crypto_ecdh": ["ECDH"],
  "internal/crypto_signing": ["Sign", "Verify"],
  "internal/crypto_x509": ["X509Certificate"],
};
for (const [module, names] of Object.entries(PAIRS)) {
  for (const name of names) {
    const lazy = { [name]: (...args) => require(module)[name](...args) };
    crypto[name] = lazy[name];
  }
}
Object.defineProperty(crypto.generateKeyPair, PROMISIFY, {
  value: (type, options) => require("internal/crypto_signing").generateKeyPair[PROMISIFY](type, options),
});
// A class is not loaded before something is asked of it: what stands for it is the class in all that code can see.
function lazyClass(module, name) {
  let loaded;
  const load = () => {
    if (loaded === undefined) {
      loaded = require(module)[name];
      Object.defineProperty(loaded.prototype, "constructor", { __proto__: null, value: proxy, writable: true, configurable: true });
    }
    return loaded;
  };
  const { [name]: target } = { [name]: function () {} };
  const proxy = new Proxy(target, {
    // Those of Node.js that are classes need `new`.
    apply: (_, self, args) => module === "internal/crypto_x509" ? Reflect.apply(load(), self, args) : new (load())(...args),
    construct: (_, args, newTarget) => Reflect.construct(load(), args, newTarget === proxy ? load() : newTarget),
    defineProperty: (_, key, descriptor) => Reflect.defineProperty(load(), key, descriptor),
    deleteProperty: (_, key) => Reflect.deleteProperty(load(), key),
    get: (_, key) => key === "name" ? name : Reflect.get(load(), key),
    getOwnPropertyDescriptor(_, key) {
      const own = Reflect.getOwnPropertyDescriptor(load(), key);
      // That of the target cannot be removed, and can be written to.
      return key === "prototype" ? { ...own, writable: true } : own;
    },
    getPrototypeOf: () => Reflect.getPrototypeOf(load()),
    has: (_, key) => Reflect.has(load(), key),
    ownKeys: () => Reflect.ownKeys(load()),
    set: (_, key, value) => Reflect.set(load(), key, value),
  });
  return proxy;
}
for (const [module, names] of Object.entries(CLASSES)) {
  for (const name of names) crypto[name] = lazyClass(module, name);
}
for (const [name, get] of [["subtle", () => globalThis.crypto.subtle], ["webcrypto", () => globalThis.crypto], ["fips", () => 0]]) {
  Object.defineProperty(crypto, name, { __proto__: null, get, enumerable: true, configurable: true });
}

return crypto;
})
