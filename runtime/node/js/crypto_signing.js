// What node:crypto does with pairs of keys: signatures, RSA-OAEP, ECDH, and making pairs.

(function (require, internals) {
"use strict";

const { Buffer } = require("buffer");
const { nodeError, validate } = require("internal/errors");
const { bytesOf, output } = require("internal/crypto_keys");
const { makePair, pairFrom, pairOf, privateFrom, privateKey, publicKey, publicPart, scalarOf } = require("internal/crypto_pairs");
const { Writable } = require("stream");

const { ecdhGenerate, ecdhPublic, ecdhSecret, rsaDecrypt, rsaEncrypt, sign: signBytes, verify: verifyBytes } = internals.crypto;

const PSS = 6;
const OAEP = 4;
const PROMISIFY = Symbol.for("nodejs.util.promisify.custom");
const CURVES = {
  __proto__: null, "P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1", prime256v1: "prime256v1",
  secp256k1: "secp256k1", secp256r1: "prime256v1", secp384r1: "secp384r1", secp521r1: "secp521r1",
};

// `RSA-SHA256`, `sha256WithRSAEncryption`, `ecdsa-with-SHA256` and `SHA-256` are all sha256 here: the key says the rest.
function digestName(algorithm) {
  const match = /sha-?(1|224|256|384|512)(?![\d/])/i.exec(algorithm);
  if (match === null) throw nodeError("ERR_CRYPTO_INVALID_DIGEST", algorithm);
  return `sha${match[1]}`;
}

// What the options beside a key say of the signature.
function form(options, pair) {
  const { dsaEncoding = "der", padding, saltLength } = options ?? {};
  validate.oneOf(dsaEncoding, "options.dsaEncoding", ["der", "ieee-p1363"]);
  const isPss = pair.kind === "rsa" && padding === PSS;
  // The salt is as long as the hash, unless the code insists on another one.
  if (isPss && saltLength !== undefined && saltLength >= 0 && ![32, 48, 64].includes(saltLength)) {
    throw nodeError("ERR_METHOD_NOT_IMPLEMENTED", "a salt of another length than that of the hash");
  }
  if (pair.kind === "rsa" && padding !== undefined && padding !== 1 && padding !== PSS) {
    throw nodeError("ERR_INVALID_ARG_VALUE", "options.padding", padding);
  }
  return { isPss, isFixed: dsaEncoding === "ieee-p1363" };
}

const optionsOf = (key) =>
  typeof key === "object" && key !== null && !ArrayBuffer.isView(key) && "key" in key ? key : undefined;

function signOnce(digest, data, key) {
  if (key === null || key === undefined) throw nodeError("ERR_CRYPTO_SIGN_KEY_REQUIRED");
  const pair = privateFrom(key, "key");
  if (digest === null) digest = "sha256";
  const { isPss, isFixed } = form(optionsOf(key), pair);
  return signBytes(pair.kind, pair.private, digest, isPss, isFixed, data);
}

function verifyOnce(digest, data, key, signature) {
  const pair = pairFrom(key, "key");
  if (digest === null) digest = "sha256";
  const { isPss, isFixed } = form(optionsOf(key), pair);
  return verifyBytes(pair.kind, pair.public, digest, isPss, isFixed, data, signature);
}

// Data that comes piece by piece is kept until the end.
class Signer extends Writable {
  #digest;
  #parts = [];
  #finished = false;

  constructor(algorithm, options) {
    super(options);
    validate.string(algorithm, "algorithm");
    this.#digest = digestName(algorithm);
  }

  static take(signer) {
    if (signer.#finished) throw nodeError("ERR_CRYPTO_HASH_FINALIZED");
    signer.#finished = true;
    return { digest: signer.#digest, data: Buffer.concat(signer.#parts) };
  }

  update(data, encoding) {
    if (this.#finished) throw nodeError("ERR_CRYPTO_HASH_FINALIZED");
    this.#parts.push(Buffer.from(bytesOf(data, "data", encoding)));
    return this;
  }

  _write(chunk, encoding, callback) {
    this.update(chunk, encoding);
    callback();
  }
}
const { take } = Signer;
delete Signer.take;

class Sign extends Signer {
  sign(key, encoding) {
    const { data, digest } = take(this);
    return output(signOnce(digest, data, key), encoding);
  }
}

class Verify extends Signer {
  verify(key, signature, encoding) {
    const { data, digest } = take(this);
    return verifyOnce(digest, data, key, bytesOf(signature, "signature", encoding));
  }
}

// Calls back later, as if it had been done elsewhere.
function maybeLater(callback, compute) {
  if (callback === undefined) return compute();
  validate.func(callback, "callback");
  let result;
  try {
    const value = compute();
    result = () => callback(null, value);
  } catch (error) {
    result = () => callback(error);
  }
  setTimeout(result, 0);
}

// Without one, the default of the key; Ed25519 has its own in any case.
const digestOr = (algorithm) => algorithm === null || algorithm === undefined ? null : digestName(algorithm);

function sign(algorithm, data, key, callback) {
  const bytes = bytesOf(data, "data");
  return maybeLater(callback, () => output(signOnce(digestOr(algorithm), bytes, key)));
}

function verify(algorithm, data, key, signature, callback) {
  const bytes = bytesOf(data, "data");
  const signed = bytesOf(signature, "signature");
  return maybeLater(callback, () => verifyOnce(digestOr(algorithm), bytes, key, signed));
}

function oaepOptions(key) {
  const options = optionsOf(key) ?? {};
  if (options.padding !== undefined && options.padding !== OAEP) {
    throw nodeError("ERR_METHOD_NOT_IMPLEMENTED", "RSA with another padding than OAEP");
  }
  const label = options.oaepLabel === undefined ? new Uint8Array() : bytesOf(options.oaepLabel, "key.oaepLabel");
  return { label, hash: digestName(options.oaepHash ?? "sha1") };
}

function publicEncrypt(key, data) {
  const { hash, label } = oaepOptions(key);
  return output(rsaEncrypt(rsa(pairFrom(key)).public, hash, label, bytesOf(data, "buffer")));
}

function privateDecrypt(key, data) {
  const { hash, label } = oaepOptions(key);
  return output(rsaDecrypt(rsa(privateFrom(key)).private, hash, label, bytesOf(data, "buffer")));
}

function rsa(pair) {
  if (pair.kind !== "rsa") throw nodeError("ERR_CRYPTO_INVALID_KEYTYPE");
  return pair;
}

function generate(type, options) {
  validate.string(type, "type");
  let kind = type;
  let bits = 0;
  if (type === "rsa") {
    validate.object(options, "options");
    bits = options.modulusLength;
    validate.integer(bits, "options.modulusLength", 0, 2 ** 32 - 1);
    if (options.publicExponent !== undefined && options.publicExponent !== 0x10001) {
      throw nodeError("ERR_METHOD_NOT_IMPLEMENTED", "an exponent other than 65537");
    }
  } else if (type === "ec") {
    validate.object(options, "options");
    validate.string(options.namedCurve, "options.namedCurve");
    kind = CURVES[options.namedCurve];
    if (kind === undefined) throw nodeError("ERR_CRYPTO_INVALID_CURVE");
  } else if (type !== "ed25519" && type !== "x25519") {
    throw nodeError("ERR_INVALID_ARG_VALUE", "type", type, "must be a supported key type");
  }
  const pair = makePair(kind, bits);
  const encoded = (key, encoding) => encoding === undefined ? key : key.export(encoding);
  return {
    publicKey: encoded(publicKey(pair), options?.publicKeyEncoding),
    privateKey: encoded(privateKey(pair), options?.privateKeyEncoding),
  };
}

function generateKeyPair(type, options, callback) {
  if (typeof options === "function") [callback, options] = [options, undefined];
  validate.func(callback, "callback");
  maybeLater((error, keys) => error ? callback(error) : callback(null, keys.publicKey, keys.privateKey), () =>
    generate(type, options));
}
Object.defineProperty(generateKeyPair, PROMISIFY, {
  value: (type, options) =>
    new Promise((resolve, reject) => {
      generateKeyPair(type, options, (error, publicKey, privateKey) =>
        error ? reject(error) : resolve({ publicKey, privateKey }));
    }),
});

// What two keys have in common (ECDH, X25519).
function diffieHellman(options) {
  validate.object(options, "options");
  const { privateKey: mine, publicKey: theirs } = options;
  const own = pairOf(mine);
  if (own === undefined) throw nodeError("ERR_INVALID_ARG_VALUE", "options.privateKey", mine);
  const other = pairOf(theirs);
  if (other === undefined) throw nodeError("ERR_INVALID_ARG_VALUE", "options.publicKey", theirs);
  if (mine.type !== "private") throw nodeError("ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", mine.type, "private");
  if (theirs.type === "secret") throw nodeError("ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", theirs.type, "private or public");
  if (own.kind !== other.kind || own.kind === "rsa" || own.kind === "ed25519") {
    throw nodeError("ERR_CRYPTO_INCOMPATIBLE_KEY", "key types for Diffie-Hellman", `${own.kind} and ${other.kind}`);
  }
  return output(ecdhSecret(own.kind, scalarOf(own), publicPart(other)));
}

class ECDH {
  #curve;
  #private = null;

  constructor(curve) {
    validate.string(curve, "curve");
    this.#curve = CURVES[curve];
    if (this.#curve === undefined) throw nodeError("ERR_CRYPTO_INVALID_CURVE");
  }

  generateKeys(encoding, format) {
    this.#private = ecdhGenerate(this.#curve);
    return this.getPublicKey(encoding, format);
  }

  getPrivateKey(encoding) {
    this.#require();
    return output(Uint8Array.from(this.#private), encoding);
  }

  getPublicKey(encoding, format = "uncompressed") {
    this.#require();
    const point = ecdhPublic(this.#curve, this.#private);
    if (format !== "compressed") return output(point, encoding);
    const size = (point.length - 1) / 2;
    return output(Uint8Array.from([2 + (point.at(-1) & 1), ...point.subarray(1, 1 + size)]), encoding);
  }

  setPrivateKey(key, encoding) {
    const bytes = Uint8Array.from(bytesOf(key, "key", encoding));
    try {
      ecdhPublic(this.#curve, bytes);
    } catch {
      throw nodeError("ERR_CRYPTO_INVALID_KEYTYPE", "Private key is not valid for specified curve.");
    }
    this.#private = bytes;
    return this;
  }

  computeSecret(key, inputEncoding, outputEncoding) {
    this.#require();
    const bytes = bytesOf(key, "otherPublicKey", inputEncoding);
    try {
      return output(ecdhSecret(this.#curve, this.#private, bytes), outputEncoding);
    } catch {
      throw nodeError("ERR_CRYPTO_ECDH_INVALID_PUBLIC_KEY");
    }
  }

  #require() {
    if (this.#private === null) throw new Error("Failed to get ECDH private key");
  }
}

return {
  ECDH,
  Sign,
  Verify,
  createECDH: (curve) => new ECDH(curve),
  createSign: (algorithm, options) => new Sign(algorithm, options),
  createVerify: (algorithm, options) => new Verify(algorithm, options),
  diffieHellman,
  curves: ["prime256v1", "secp256k1", "secp384r1", "secp521r1"],
  generateKeyPair,
  generateKeyPairSync: generate,
  privateDecrypt,
  publicEncrypt,
  sign,
  verify,
};
})
