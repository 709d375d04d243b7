// Agreement on curves (ECDH) of node:crypto, and the forms of points.

(function (require, internals) {
"use strict";

const { nodeError, validate } = require("internal/errors");
const { bytesOf, output } = require("internal/crypto_keys");
const { bytesOfNumber, numberOf, power } = require("internal/crypto_numbers");

const { ecdhGenerate, ecdhPublic, ecdhSecret } = internals.crypto;

const CURVES = {
  __proto__: null, "P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1", prime256v1: "prime256v1",
  secp256k1: "secp256k1", secp256r1: "prime256v1", secp384r1: "secp384r1", secp521r1: "secp521r1",
};

// The prime of each field, a and b: y^2 = x^3 + ax + b (SEC 2). All primes leave 3 when they are divided by 4.
const FIELDS = {
  __proto__: null,
  prime256v1: [2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n, -3n,
    0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn],
  secp256k1: [2n ** 256n - 2n ** 32n - 977n, 0n, 7n],
  secp384r1: [2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n, -3n,
    0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn],
  secp521r1: [2n ** 521n - 1n, -3n,
    0x51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n],
};

// Bytes of a coordinate, and of a private key.
const sizeOf = (curve) => (FIELDS[curve][0].toString(16).length + 1) >> 1;

// A point with both coordinates, if there is one on the curve that the bytes are.
function whole(bytes, curve) {
  const [prime, a, b] = FIELDS[curve];
  const size = sizeOf(curve);
  const form = bytes[0];
  const isShort = form === 2 || form === 3;
  if (bytes.length !== (isShort ? 1 + size : 1 + 2 * size) || (!isShort && ![4, 6, 7].includes(form))) return undefined;
  const x = numberOf(bytes.subarray(1, 1 + size));
  const square = (((x * x + a) * x + b) % prime + prime) % prime;
  let y = isShort ? power(square, (prime + 1n) / 4n, prime) : numberOf(bytes.subarray(1 + size));
  if (isShort && (y & 1n) !== BigInt(form & 1)) y = prime - y;
  if (x >= prime || y >= prime || y * y % prime !== square || (form > 4 && (y & 1n) !== BigInt(form & 1))) return undefined;
  return Uint8Array.from([4, ...bytesOfNumber(x, size), ...bytesOfNumber(y, size)]);
}

function formed(point, format) {
  if (format === undefined || format === "uncompressed") return point;
  const isOdd = point.at(-1) & 1;
  if (format === "compressed") return Uint8Array.from([2 + isOdd, ...point.subarray(1, (point.length + 1) / 2)]);
  if (format === "hybrid") return Uint8Array.from([6 + isOdd, ...point.subarray(1)]);
  throw Object.assign(new TypeError(`Invalid ECDH format: ${format}`), { code: "ERR_CRYPTO_ECDH_INVALID_FORMAT" });
}

class ECDH {
  #curve;
  #private = null;

  constructor(curve) {
    validate.string(curve, "curve");
    this.#curve = CURVES[curve];
    if (this.#curve === undefined) throw nodeError("ERR_CRYPTO_INVALID_CURVE");
  }

  // The same point in another form.
  static convertKey(key, curve, inputEncoding, outputEncoding, format) {
    validate.string(curve, "curve");
    const bytes = bytesOf(key, "key", inputEncoding, true);
    const name = CURVES[curve];
    if (name === undefined) throw nodeError("ERR_CRYPTO_INVALID_CURVE");
    const point = whole(bytes, name);
    if (point === undefined) {
      throw Object.assign(new Error("Failed to convert Buffer to EC_POINT"), { code: "ERR_CRYPTO_OPERATION_FAILED" });
    }
    return output(formed(point, format ?? "uncompressed"), outputEncoding);
  }

  generateKeys(encoding, format) {
    this.#private = ecdhGenerate(this.#curve);
    return this.getPublicKey(encoding, format);
  }

  getPrivateKey(encoding) {
    this.#require();
    return output(bytesOfNumber(numberOf(this.#private)), encoding);
  }

  getPublicKey(encoding, format = "uncompressed") {
    this.#require();
    return output(formed(ecdhPublic(this.#curve, this.#private), format), encoding);
  }

  setPrivateKey(key, encoding) {
    const bytes = bytesOfNumber(numberOf(bytesOf(key, "key", encoding)), sizeOf(this.#curve));
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

return { CURVES, ECDH, createECDH: (curve) => new ECDH(curve) };
})
