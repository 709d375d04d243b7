// What node:crypto does with pairs of keys: signatures, RSA, agreeing on secrets, and making pairs.

(function (require, internals) {
"use strict";

const { Buffer } = require("buffer");
const { nodeError, validate } = require("internal/errors");
const { bytesOf, output } = require("internal/crypto_keys");
const { CURVES } = require("internal/crypto_ecdh");
const {
  makePair, makePssPair, native, pairFrom, pairOf, privateFrom, privateKey, pssParameters, publicKey, publicPart, scalarOf,
} = require("internal/crypto_pairs");
const { sequence, unsigned } = require("internal/crypto_der");
const { bitsOf, bytesOfNumber, numberOf, power } = require("internal/crypto_numbers");
const { Writable } = require("stream");

const { ecdhSecret, rsaEncrypt, rsaPrivate, sign: signBytes, verify: verifyBytes } = internals.crypto;

const PKCS1 = 1;
const NO_PADDING = 3;
const OAEP = 4;
const PSS = 6;
const NOTHING = new Uint8Array();
// What stands before the hash in a signature (RFC 8017, section 9.2). SAML and OAuth 1 sign with SHA-1, and the library only
// verifies such signatures.
const SHA1 = Buffer.from("3021300906052b0e03021a05000414", "hex");
// Kinds of keys that Node.js has and nobody here.
const ABSENT = ["dh", "dsa", "ed448", "x448"];
const PROMISIFY = Symbol.for("nodejs.util.promisify.custom");

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
  const isPss = pair.kind === "rsa-pss" || pair.kind === "rsa" && padding === PSS;
  // The salt is as long as the hash, unless the code insists on another one.
  if (isPss && saltLength !== undefined && saltLength >= 0 && ![32, 48, 64].includes(saltLength)) {
    throw nodeError("ERR_METHOD_NOT_IMPLEMENTED", "a salt of another length than that of the hash");
  }
  if (pair.kind === "rsa-pss" && padding !== undefined && padding !== PSS) {
    throw opensslError("illegal or unsupported padding mode", "1C8000A5");
  }
  if (pair.kind === "rsa" && padding !== undefined && padding !== PKCS1 && padding !== PSS) {
    throw nodeError("ERR_INVALID_ARG_VALUE", "options.padding", padding);
  }
  return { isPss, isFixed: dsaEncoding === "ieee-p1363" };
}

// A key of RSA-PSS may say which hash it is for.
function digestFor(pair, digest) {
  const { hashAlgorithm } = pair.kind === "rsa-pss" ? pssParameters(pair) : {};
  if (hashAlgorithm !== undefined && digest !== null && digest !== hashAlgorithm) throw opensslError("digest not allowed", "1C8000AE");
  return digest ?? hashAlgorithm ?? "sha256";
}

const optionsOf = (key) =>
  typeof key === "object" && key !== null && !ArrayBuffer.isView(key) && "key" in key ? key : undefined;

function signOnce(digest, data, key) {
  if (key === null || key === undefined) throw nodeError("ERR_CRYPTO_SIGN_KEY_REQUIRED");
  const pair = privateFrom(key, "key");
  const { isPss, isFixed } = form(optionsOf(key), pair);
  const { kind, private: pkcs8 } = native(pair);
  if (digest === "sha1" && kind === "rsa" && !isPss) {
    const hash = require("crypto").createHash("sha1").update(data).digest();
    return rsaPrivate(pkcs8, "block", NOTHING, Buffer.concat([SHA1, hash]));
  }
  return signBytes(kind, pkcs8, digestFor(pair, digest), isPss, isFixed, data);
}

function verifyOnce(digest, data, key, signature) {
  const pair = pairFrom(key, "key");
  const { isPss, isFixed } = form(optionsOf(key), pair);
  const { kind, public: spki } = native(pair);
  return verifyBytes(kind, spki, digestFor(pair, digest), isPss, isFixed, data, signature);
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
    throw nodeError("ERR_METHOD_NOT_IMPLEMENTED", "RSA with another padding than OAEP or PKCS #1 (which encrypts only)");
  }
  const label = options.oaepLabel === undefined ? new Uint8Array() : bytesOf(options.oaepLabel, "key.oaepLabel");
  return { label, hash: digestName(options.oaepHash ?? "sha1") };
}

function publicEncrypt(key, data) {
  if (optionsOf(key)?.padding === PKCS1) {
    const bytes = bytesOf(data, "buffer");
    return output(rsaEncrypt(rsa(pairFrom(key)).public, "", NOTHING, bytes));
  }
  const { hash, label } = oaepOptions(key);
  return output(rsaEncrypt(rsa(pairFrom(key)).public, hash, label, bytesOf(data, "buffer")));
}

function privateDecrypt(key, data) {
  if (optionsOf(key)?.padding === PKCS1) {
    const why = "RSA_PKCS1_PADDING is no longer supported for private decryption";
    throw Object.assign(new TypeError(why), { code: "ERR_INVALID_ARG_VALUE" });
  }
  const { hash, label } = oaepOptions(key);
  return output(rsaPrivate(rsa(privateFrom(key)).private, hash, label, bytesOf(data, "buffer")));
}

function privateEncrypt(key, data) {
  const { padding = PKCS1 } = optionsOf(key) ?? {};
  if (padding !== PKCS1 && padding !== NO_PADDING) throw nodeError("ERR_INVALID_ARG_VALUE", "options.padding", padding);
  const pair = rsa(privateFrom(key));
  const bytes = bytesOf(data, "buffer");
  const [modulus] = sequence(publicPart(pair), 2).map(({ content }) => unsigned(content));
  if (bytes.length > modulus.length - (padding === PKCS1 ? 11 : 0)) throw rsaError("data too large for key size", "0200006E");
  if (padding === PKCS1) return output(rsaPrivate(pair.private, "block", NOTHING, bytes));
  if (bytes.length < modulus.length) throw rsaError("data too small for key size", "0200007A");
  if (Buffer.compare(bytes, modulus) >= 0) throw rsaError("data too large for modulus", "02000084");
  return output(rsaPrivate(pair.private, "bare", NOTHING, bytes));
}

// What was encrypted with a private key (RFC 8017, section 8.2: the block of type 1).
function publicDecrypt(key, data) {
  const { padding = PKCS1 } = optionsOf(key) ?? {};
  if (padding !== PKCS1 && padding !== NO_PADDING) throw nodeError("ERR_INVALID_ARG_VALUE", "options.padding", padding);
  const [n, e] = sequence(publicPart(rsa(pairFrom(key))), 2).map(({ content }) => numberOf(content));
  const size = (bitsOf(n) + 7) >> 3;
  const bytes = bytesOf(data, "buffer");
  const number = numberOf(bytes);
  if (bytes.length !== size || number >= n) throw rsaError("wrong final block length", "0200006D");
  const block = bytesOfNumber(power(number, e, n), size);
  if (padding === NO_PADDING) return block;
  const end = block.indexOf(0, 2);
  if (block[0] !== 0 || block[1] !== 1 || end < 10 || !block.subarray(2, end).every((byte) => byte === 255)) {
    throw rsaError("padding check failed", "02000072");
  }
  return Buffer.from(block.subarray(end + 1));
}

function opensslError(reason, number, library = "Provider routines", prefix = "") {
  const code = `ERR_OSSL_${prefix}${reason.toUpperCase().replaceAll(" ", "_")}`;
  return Object.assign(new Error(`error:${number}:${library}::${reason}`), { library, reason, code });
}

const rsaError = (reason, number) => opensslError(reason, number, "rsa routines", "RSA_");

function rsa(pair) {
  if (pair.kind !== "rsa") {
    throw opensslError("operation not supported for this keytype", "03000096", "digital envelope routines", "EVP_");
  }
  return pair;
}

// What a new key of RSA-PSS is for, if the options say it; what they do not name follows the hash.
function pssOptions({ hashAlgorithm, mgf1HashAlgorithm = hashAlgorithm, saltLength }) {
  for (const [name, value] of Object.entries({ hashAlgorithm, mgf1HashAlgorithm })) {
    if (value !== undefined) validate.string(value, `options.${name}`);
  }
  if (saltLength !== undefined) validate.integer(saltLength, "options.saltLength", 0, 2 ** 31 - 1);
  if (hashAlgorithm === undefined && mgf1HashAlgorithm === undefined && saltLength === undefined) return undefined;
  return { hash: digestName(hashAlgorithm ?? "sha1"), mgf1: digestName(mgf1HashAlgorithm ?? "sha1"), saltLength };
}

function generate(type, options) {
  validate.string(type, "type");
  let kind = type;
  let bits = 0;
  if (type === "rsa" || type === "rsa-pss") {
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
  } else if (ABSENT.includes(type)) {
    throw nodeError("ERR_METHOD_NOT_IMPLEMENTED", `keys of the type ${type} (rsa, rsa-pss, ec, ed25519 and x25519 are there)`);
  } else if (type !== "ed25519" && type !== "x25519") {
    throw nodeError("ERR_INVALID_ARG_VALUE", "type", type, "must be a supported key type");
  }
  const pair = type === "rsa-pss" ? makePssPair(bits, pssOptions(options)) : makePair(kind, bits);
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
  if (own.kind !== other.kind || own.kind.startsWith("rsa") || own.kind === "ed25519") {
    throw nodeError("ERR_CRYPTO_INCOMPATIBLE_KEY", "key types for Diffie-Hellman", `${own.kind} and ${other.kind}`);
  }
  return output(ecdhSecret(own.kind, scalarOf(own), publicPart(other)));
}

return {
  Sign,
  Verify,
  createSign: (algorithm, options) => new Sign(algorithm, options),
  createVerify: (algorithm, options) => new Verify(algorithm, options),
  diffieHellman,
  curves: ["prime256v1", "secp256k1", "secp384r1", "secp521r1"],
  generateKeyPair,
  generateKeyPairSync: generate,
  privateDecrypt,
  privateEncrypt,
  publicDecrypt,
  publicEncrypt,
  sign,
  verify,
};
})
