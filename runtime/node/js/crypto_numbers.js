// Whole numbers of any size for node:crypto: bytes, powers, primes. They are BigInts: what takes long is charged to the
// worker and can be interrupted, and how long it takes depends on the numbers.

(function (require, internals) {
"use strict";

const { Buffer } = require("buffer");
const { nodeError, validate } = require("internal/errors");

const { fillRandom } = internals.crypto;

// What is searched beyond it takes minutes.
const MOST_PRIME_BITS = 8192;
const SIEVE = 4096;

const numberOf = (bytes) => bytes.length === 0 ? 0n : BigInt(`0x${Buffer.from(bytes).toString("hex")}`);

const bitsOf = (number) => number === 0n ? 0 : number.toString(2).length;

// The bytes of a number, the first one first, with zeros before them up to `length`.
function bytesOfNumber(number, length = 0) {
  const digits = number.toString(16);
  return Buffer.from(digits.padStart(Math.max(length * 2, digits.length + digits.length % 2), "0"), "hex");
}

function randomBits(bits) {
  const bytes = new Uint8Array((bits + 7) >> 3);
  fillRandom(bytes);
  return BigInt.asUintN(bits, numberOf(bytes));
}

// `base` to the power of `exponent`, four bits of it at a time.
function power(base, exponent, modulus) {
  base %= modulus;
  const table = [1n % modulus];
  for (let i = 1; i < 16; i++) table.push(table[i - 1] * base % modulus);
  let result = table[0];
  for (const digit of exponent.toString(16)) {
    result = result * result % modulus;
    result = result * result % modulus;
    result = result * result % modulus;
    result = result * result % modulus;
    result = result * table[Number.parseInt(digit, 16)] % modulus;
  }
  return result;
}

let small;
function smallPrimes() {
  if (small !== undefined) return small;
  const composite = new Uint8Array(SIEVE);
  small = [];
  for (let i = 3; i < SIEVE; i += 2) {
    if (composite[i]) continue;
    small.push(i);
    for (let j = i * i; j < SIEVE; j += i) composite[j] = 1;
  }
  return small;
}

// Miller-Rabin. As many random bases as OpenSSL takes for numbers that somebody else may have chosen.
function isPrime(number, rounds = bitsOf(number) > 2048 ? 128 : 64) {
  if (number < 4n) return number === 2n || number === 3n;
  if ((number & 1n) === 0n) return false;
  for (const prime of smallPrimes()) {
    if (number === BigInt(prime)) return true;
    if (number % BigInt(prime) === 0n) return false;
  }
  const least = number - 1n;
  let odd = least;
  let twos = 0;
  for (; (odd & 1n) === 0n; odd >>= 1n) twos++;
  const size = bitsOf(number) + 64;
  next: for (let round = 0; round < rounds; round++) {
    let value = power(randomBits(size) % (number - 3n) + 2n, odd, number);
    if (value === 1n || value === least) continue;
    for (let i = 1; i < twos; i++) {
      value = value * value % number;
      if (value === least) continue next;
    }
    return false;
  }
  return true;
}

const fewRounds = (bits) => bits > 1024 ? 5 : bits > 256 ? 12 : 30;

// A random prime of exactly so many bits, its two highest set; with `add`, one that leaves `rem` when it is divided by it.
// A safe one is twice a prime and one.
function randomPrime(bits, isSafe, add, rem) {
  if (bits < 2 || (isSafe && bits < 6 && bits !== 3)) throw new Error("error:01800076:bignum routines::bits too small");
  const highest = bits > 2 ? 3n << BigInt(bits - 2) : 1n << BigInt(bits - 1);
  const step = add ?? (isSafe ? 4n : 2n);
  const rest = add === undefined ? step - 1n : rem ?? (isSafe ? 3n : 1n);
  const steps = smallPrimes().map((prime) => Number(step % BigInt(prime)));
  const rounds = fewRounds(bits);
  const few = bits < 26;
  for (;;) {
    let candidate = highest | randomBits(bits);
    candidate += ((rest - candidate) % step + step) % step;
    const residues = few ? [] : small.map((prime) => Number(candidate % BigInt(prime)));
    for (let tries = 0; tries < SIEVE && candidate >> BigInt(bits) === 0n; tries++, candidate += step) {
      let isCandidate = true;
      for (let i = 0; i < residues.length; i++) {
        if (residues[i] === 0 || (isSafe && residues[i] === 1)) isCandidate = false;
        residues[i] = (residues[i] + steps[i]) % small[i];
      }
      if (!isCandidate || !isPrime(candidate, 1)) continue;
      if (isSafe && !(isPrime(candidate >> 1n, rounds))) continue;
      if (isPrime(candidate, rounds)) return candidate;
    }
  }
}

function given(value, name) {
  if (typeof value === "bigint") {
    if (value < 0n) throw nodeError("ERR_OUT_OF_RANGE", name, ">= 0", value);
    return value;
  }
  if (ArrayBuffer.isView(value)) return numberOf(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  if (value instanceof ArrayBuffer) return numberOf(new Uint8Array(value));
  const kinds = ["bigint", "ArrayBuffer", "TypedArray", "Buffer", "DataView"];
  throw nodeError("ERR_INVALID_ARG_TYPE", name, kinds, value);
}

// Calls back later with what `compute` gives; the arguments have been checked.
function later(callback, compute) {
  setTimeout(() => {
    let value;
    try {
      value = compute();
    } catch (error) {
      return callback(error);
    }
    callback(null, value);
  }, 0);
}

function primeJob(size, options) {
  validate.integer(size, "size", 1, 2 ** 31 - 1);
  validate.object(options, "options");
  const { safe = false, bigint = false } = options;
  validate.boolean(safe, "options.safe");
  validate.boolean(bigint, "options.bigint");
  const add = options.add === undefined ? undefined : given(options.add, "options.add");
  const rem = options.rem === undefined ? undefined : given(options.rem, "options.rem");
  const wrong = (message) => Object.assign(new RangeError(message), { code: "ERR_OUT_OF_RANGE" });
  if (size > MOST_PRIME_BITS) throw wrong(`primes of more than ${MOST_PRIME_BITS} bits are not made here`);
  if (add !== undefined && (add === 0n || bitsOf(add) > size)) throw wrong("invalid options.add");
  if (rem !== undefined && add !== undefined && add <= rem) throw wrong("invalid options.rem");
  return () => {
    const prime = randomPrime(size, safe, add, rem);
    if (bigint) return prime;
    return Uint8Array.from(bytesOfNumber(prime, (size + 7) >> 3)).buffer;
  };
}

const generatePrimeSync = (size, options = {}) => primeJob(size, options)();

function generatePrime(size, options, callback) {
  if (typeof options === "function") [callback, options] = [options, {}];
  validate.func(callback, "callback");
  later(callback, primeJob(size, options ?? {}));
}

function checkJob(candidate, options) {
  const number = given(candidate, "candidate");
  validate.object(options, "options");
  const { checks = 0 } = options;
  validate.integer(checks, "options.checks", 0, 2 ** 31 - 1);
  return () => isPrime(number, checks === 0 ? undefined : checks);
}

const checkPrimeSync = (candidate, options = {}) => checkJob(candidate, options)();

function checkPrime(candidate, options, callback) {
  if (typeof options === "function") [callback, options] = [options, {}];
  validate.func(callback, "callback");
  later(callback, checkJob(candidate, options ?? {}));
}

return {
  bitsOf,
  bytesOfNumber,
  checkPrime,
  checkPrimeSync,
  generatePrime,
  generatePrimeSync,
  isPrime,
  numberOf,
  power,
  randomBits,
  randomPrime,
};
})
