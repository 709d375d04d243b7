// Finite-field Diffie-Hellman of node:crypto: groups that code brings along, and those of RFC 2409 and RFC 3526.

(function (require) {
"use strict";

const { Buffer } = require("buffer");
const { nodeError, validate } = require("internal/errors");
const { bytesOf, output } = require("internal/crypto_keys");
const { bitsOf, bytesOfNumber, isPrime, numberOf, power, randomBits, randomPrime } = require("internal/crypto_numbers");

const NOT_PRIME = 1;
const NOT_SAFE = 2;
const NOT_SUITABLE = 8;
const TOO_SMALL = 128;
const TOO_LARGE = 256;
const LEAST_BITS = 512;
const MOST_BITS = 10_000;

// Bits of the prime, what is added to the digits of pi in it, and bits of a private key: twice the strength of the group.
const GROUPS = {
  __proto__: null,
  modp1: [768, 149686n, 0],
  modp2: [1024, 129093n, 0],
  modp5: [1536, 741804n, 200],
  modp14: [2048, 124476n, 225],
  modp15: [3072, 1690314n, 275],
  modp16: [4096, 240904n, 325],
  modp17: [6144, 929484n, 375],
  modp18: [8192, 4743158n, 400],
};

// The whole part of pi times two to the power of `bits`, after Machin.
function pi(bits) {
  const guard = 64n;
  const one = 1n << (bits + guard);
  const arctan = (inverse) => {
    const square = inverse * inverse;
    let sum = 0n;
    let sign = 1n;
    for (let term = one / inverse, odd = 1n; term > 0n; term /= square, odd += 2n, sign = -sign) sum += sign * (term / odd);
    return sum;
  };
  return 4n * (4n * arctan(5n) - arctan(239n)) >> guard;
}

const primes = new Map();
// RFC 3526: 2^n - 2^(n-64) - 1 + 2^64 * ([2^(n-130) pi] + c).
function primeOf(name) {
  if (primes.has(name)) return primes.get(name);
  const [size, added] = GROUPS[name];
  const bits = BigInt(size);
  const prime = (1n << bits) - (1n << (bits - 64n)) - 1n + ((pi(bits - 130n) + added) << 64n);
  primes.set(name, prime);
  return prime;
}

const groupOf = (prime, generator) =>
  generator === 2n ? Object.keys(GROUPS).find((name) => GROUPS[name][0] === bitsOf(prime) && primeOf(name) === prime) : undefined;

function failure(reason, number) {
  const error = new Error(`error:${number}:Diffie-Hellman routines::${reason}`);
  const code = `ERR_OSSL_DH_${reason.toUpperCase().replaceAll(" ", "_")}`;
  return Object.assign(error, { library: "Diffie-Hellman routines", reason, code });
}

function stateError(message) {
  return Object.assign(new Error(message), { code: "ERR_CRYPTO_INVALID_STATE" });
}

// A new prime for a group with that generator.
function safePrime(bits, generator) {
  if (bits < LEAST_BITS) throw failure("modulus too small", "0280007E");
  if (bits > MOST_BITS) throw failure("modulus too large", "02800067");
  // As OpenSSL chooses: so that 2 and 5 generate half of the numbers.
  const [add, rem] = generator === 2n ? [24n, 23n] : generator === 5n ? [60n, 59n] : [12n, 11n];
  return randomPrime(bits, true, add, rem);
}

// A pair of keys in a group.
class Agreement {
  #prime;
  #generator;
  #group;
  #private;
  #public;
  #verifyError;

  constructor(prime, generator, group) {
    this.#prime = prime;
    this.#generator = generator;
    this.#group = group ?? groupOf(prime, generator);
  }

  // Why the group should not be trusted: the bits that OpenSSL has for it.
  get verifyError() {
    return this.#verifyError ??= this.#check();
  }

  #check() {
    if (this.#group !== undefined) return 0;
    const bits = bitsOf(this.#prime);
    let found = bits < LEAST_BITS ? TOO_SMALL : bits > MOST_BITS ? TOO_LARGE : 0;
    if (this.#generator <= 1n || this.#generator >= this.#prime - 1n) found |= NOT_SUITABLE;
    if (bits > MOST_BITS) return found;
    if (!isPrime(this.#prime)) found |= NOT_PRIME;
    else if (!isPrime(this.#prime >> 1n)) found |= NOT_SAFE;
    return found;
  }

  generateKeys(encoding) {
    const bits = bitsOf(this.#prime);
    if (bits < LEAST_BITS) throw failure("modulus too small", "0280007E");
    if (bits > MOST_BITS) throw failure("modulus too large", "02800067");
    if (this.#private === undefined) {
      const size = GROUPS[this.#group]?.[2] || bits - 1;
      do this.#private = randomBits(size);
      while (this.#private < 2n);
    }
    this.#public = power(this.#generator, this.#private, this.#prime);
    return this.getPublicKey(encoding);
  }

  computeSecret(other, inputEncoding, outputEncoding) {
    const theirs = numberOf(bytesOf(other, "key", inputEncoding, true));
    if (this.#private === undefined) throw nodeError("ERR_CRYPTO_INVALID_KEYTYPE");
    if (theirs <= 1n) throw nodeError("ERR_CRYPTO_INVALID_KEYLEN", "Supplied key is too small");
    if (theirs >= this.#prime - 1n) throw nodeError("ERR_CRYPTO_INVALID_KEYLEN", "Supplied key is too large");
    const secret = power(theirs, this.#private, this.#prime);
    return output(bytesOfNumber(secret, (bitsOf(this.#prime) + 7) >> 3), outputEncoding);
  }

  getPrime(encoding) {
    return output(bytesOfNumber(this.#prime), encoding);
  }

  getGenerator(encoding) {
    return output(bytesOfNumber(this.#generator), encoding);
  }

  getPublicKey(encoding) {
    if (this.#public === undefined) throw stateError("No public key - did you forget to generate one?");
    return output(bytesOfNumber(this.#public), encoding);
  }

  getPrivateKey(encoding) {
    if (this.#private === undefined) throw stateError("No private key - did you forget to generate one?");
    return output(bytesOfNumber(this.#private), encoding);
  }

  static set(agreement, isPrivate, value) {
    if (isPrivate) agreement.#private = value;
    else agreement.#public = value;
  }
}
const { set } = Agreement;
delete Agreement.set;

class DiffieHellman extends Agreement {
  constructor(sizeOrKey, keyEncoding, generator, generatorEncoding) {
    const kinds = ["number", "string", "ArrayBuffer", "Buffer", "TypedArray", "DataView"];
    const isData = (value) => typeof value === "string" || ArrayBuffer.isView(value) || value instanceof ArrayBuffer;
    if (typeof sizeOrKey !== "number" && !isData(sizeOrKey)) throw nodeError("ERR_INVALID_ARG_TYPE", "sizeOrKey", kinds, sizeOrKey);
    if (typeof sizeOrKey === "number") validate.integer(sizeOrKey, "sizeOrKey", -(2 ** 31), 2 ** 31 - 1);
    // The encoding of the prime may be left out.
    if (keyEncoding && keyEncoding !== "buffer" && !Buffer.isEncoding(keyEncoding)) {
      [generator, generatorEncoding, keyEncoding] = [keyEncoding, generator, undefined];
    }
    let base = 2n;
    if (typeof generator === "number") base = BigInt(generator);
    else if (generator) {
      if (!isData(generator)) throw nodeError("ERR_INVALID_ARG_TYPE", "generator", kinds, generator);
      base = numberOf(bytesOf(generator, "generator", generatorEncoding));
    }
    if (base === 0n) base = 2n;
    if (base <= 1n) throw failure("bad generator", "02800065");
    super(typeof sizeOrKey === "number" ? safePrime(sizeOrKey, base) : numberOf(bytesOf(sizeOrKey, "sizeOrKey", keyEncoding)), base);
  }

  setPublicKey(key, encoding) {
    set(this, false, numberOf(bytesOf(key, "key", encoding)));
  }

  setPrivateKey(key, encoding) {
    set(this, true, numberOf(bytesOf(key, "key", encoding)));
  }
}

class DiffieHellmanGroup extends Agreement {
  constructor(name) {
    if (typeof name !== "string") {
      throw Object.assign(new TypeError("Group name must be a string"), { code: "ERR_INVALID_ARG_TYPE" });
    }
    const group = name.toLowerCase();
    if (GROUPS[group] === undefined) {
      throw Object.assign(new Error("Unknown DH group"), { code: "ERR_CRYPTO_UNKNOWN_DH_GROUP" });
    }
    super(primeOf(group), 2n, group);
  }
}

const createDiffieHellman = (sizeOrKey, keyEncoding, generator, generatorEncoding) =>
  new DiffieHellman(sizeOrKey, keyEncoding, generator, generatorEncoding);
const getDiffieHellman = (name) => new DiffieHellmanGroup(name);

return { DiffieHellman, DiffieHellmanGroup, createDiffieHellman, createDiffieHellmanGroup: getDiffieHellman, getDiffieHellman };
})
