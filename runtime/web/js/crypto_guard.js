// Finishes what deno_crypto brings along: its classes have static methods for runtimes that build on them, which would show
// code the material of keys that it may not export, nothing bounds how long a job takes, and its `crypto` is made by what
// has to be taken away before an app runs; here it is made when an app first asks for it. Jobs run on a second thread of
// the isolate, one after another; none can be interrupted. The host charges their time to requests by what ends here.

(function () {
const { core, primordials } = __bootstrap;
const { op_atoll_job_ended, op_crypto_random_uuid_batch } = core.ops;
const {
  Number,
  ObjectDefineProperty,
  ObjectGetOwnPropertyDescriptor,
  ObjectHasOwn,
  ReflectApply,
  ReflectDeleteProperty,
  String,
  StringPrototypeSlice,
  StringPrototypeStartsWith,
  StringPrototypeToUpperCase,
  Symbol,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { currentSlot } = core.loadExtScript("ext:atoll_web/context.js");
const gcm = core.loadExtScript("ext:atoll_web/crypto_gcm.js");
const { refuseClone } = core.loadExtScript("ext:atoll_web/shapes.js");

// About a second or two each.
const MOST_ITERATIONS = 1_000_000;
const MOST_HASHES = 4_000_000;
const MOST_RSA_BITS = 4096;
const MOST_BITS = 2 ** 20;

function refuse(what, value, limit) {
  throw new DOMException(`${what} must be at most ${limit} here, not ${value}`, "NotSupportedError");
}

const KEY_OBJECT = Symbol("key object");

const number = (value) => value === undefined ? undefined : Number(value);

// What stands in the place of an algorithm that the code gives: whatever says how long the job takes is read once.
function bounded(algorithm) {
  if ((typeof algorithm !== "object" && typeof algorithm !== "function") || algorithm === null) return algorithm;
  const { name } = algorithm;
  if (name === undefined) return { __proto__: null };
  const text = String(name);
  const upper = StringPrototypeToUpperCase(text);
  if (upper === "PBKDF2") {
    const { hash, iterations, salt } = algorithm;
    const count = number(iterations);
    if (count > MOST_ITERATIONS) refuse("The iterations of PBKDF2", count, MOST_ITERATIONS);
    return { __proto__: null, name: text, hash, iterations: count, salt };
  }
  if (upper === "HMAC") {
    const { hash, length } = algorithm;
    const bits = number(length);
    if (bits > MOST_BITS) refuse("The length of an HMAC key in bits", bits, MOST_BITS);
    return { __proto__: null, name: text, hash, length: bits };
  }
  if (StringPrototypeStartsWith(upper, "RSA")) {
    const { hash, modulusLength, publicExponent } = algorithm;
    const bits = number(modulusLength);
    if (bits > MOST_RSA_BITS) refuse("The modulusLength of RSA", bits, MOST_RSA_BITS);
    return { __proto__: null, name: text, hash, modulusLength: bits, publicExponent };
  }
  return { __proto__: algorithm, name: text };
}

// Each iteration is there for every 160 bits, or more, that are derived.
function boundLength(algorithm, bits) {
  if (bits > MOST_BITS) refuse("The length in bits", bits, MOST_BITS);
  if (typeof algorithm !== "object" || algorithm === null || !ObjectHasOwn(algorithm, "iterations")) return;
  const hashes = (algorithm.iterations ?? 0) * (bits ?? 512) / 160;
  if (hashes > MOST_HASHES) refuse("PBKDF2's iterations times what is derived, in units of 160 bits,", hashes, MOST_HASHES);
}

function bound(prototype) {
  const { deriveBits: bits, deriveKey: key, generateKey: generate } = prototype;
  const methods = {
    __proto__: null,
    async deriveBits(algorithm, baseKey, length = undefined) {
      if (arguments.length > 0) arguments[0] = bounded(algorithm);
      if (typeof length === "object" && length !== null) arguments[2] = length = Number(length);
      if (arguments.length > 2) boundLength(arguments[0], length);
      return await ReflectApply(bits, this, arguments);
    },
    async deriveKey(algorithm, baseKey, derivedKeyType, extractable, keyUsages) {
      if (arguments.length > 2) {
        const source = arguments[0] = bounded(algorithm);
        const type = arguments[2] = bounded(derivedKeyType);
        if (typeof type === "object" && type !== null && ObjectHasOwn(type, "length")) boundLength(source, type.length);
      }
      return await ReflectApply(key, this, arguments);
    },
    async generateKey(algorithm, extractable, keyUsages) {
      if (arguments.length > 0) arguments[0] = bounded(algorithm);
      return await ReflectApply(generate, this, arguments);
    },
  };
  const names = ["deriveBits", "deriveKey", "generateKey"];
  for (let i = 0; i < names.length; i++) {
    const value = methods[names[i]];
    const property = { __proto__: null, value, writable: true, enumerable: true, configurable: true };
    ObjectDefineProperty(prototype, names[i], property);
  }
}

// The methods whose work is done on the second thread.
const JOBS = [
  "decapsulateBits", "decapsulateKey", "decrypt", "deriveBits", "deriveKey", "digest", "encapsulateBits", "encapsulateKey",
  "encrypt", "exportKey", "generateKey", "sign", "unwrapKey", "verify", "wrapKey",
];

function charge(prototype) {
  for (let i = 0; i < JOBS.length; i++) {
    const name = JOBS[i];
    const method = prototype[name];
    const { [name]: value } = {
      async [name]() {
        const slot = currentSlot();
        try {
          return await ReflectApply(method, this, arguments);
        } finally {
          op_atoll_job_ended(slot);
        }
      },
    };
    ObjectDefineProperty(value, "length", { __proto__: null, value: method.length, configurable: true });
    ObjectDefineProperty(prototype, name, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
  }
}

// The one Crypto of the isolate and its SubtleCrypto, which a snapshot cannot hold.
let single, subtle;
// What makes them, and tells keys by which symbols they are known: functions of deno_crypto that are taken off its classes.
let createCrypto, createSubtle, registerSymbols;

// What every key needs before it is made. Without a symbol for the key objects of Node.js, keys are not marked as what can
// be cloned.
let registered = false;
function register() {
  if (!registered) registerSymbols(webidl.brand, KEY_OBJECT);
  registered = true;
}

// Marks `object` as one of its interface, whatever an app may have done to `Object.prototype` by now.
function stamp(object) {
  const brand = { __proto__: null, value: webidl.brand, writable: true, enumerable: true, configurable: true };
  ObjectDefineProperty(object, webidl.brand, brand);
}

function getCrypto() {
  if (single === undefined) {
    register();
    subtle = createSubtle();
    stamp(subtle);
    single = createCrypto(subtle);
    stamp(single);
  }
  return single;
}

// As many UUIDs are drawn at a time as the engine gives, which are 36 characters each.
const UUID_LENGTH = 36;
let uuids = "", nextUuid = 0;
let refuseReceiver;
const { randomUUID } = {
  randomUUID() {
    if (single === undefined || this !== single) return ReflectApply(refuseReceiver, this, []);
    if (nextUuid === uuids.length) {
      uuids = op_crypto_random_uuid_batch();
      nextUuid = 0;
    }
    return StringPrototypeSlice(uuids, nextUuid, nextUuid += UUID_LENGTH);
  },
};

// For `node:crypto`: what a key is made of that may be exported, and a key that is made at once.
let importSync, isExtractable, materialOf;
const keys = {
  __proto__: null,
  import: (format, data, algorithm, extractable, usages) => importSync(format, data, algorithm, extractable, usages),
  material(key) {
    if (!ReflectApply(isExtractable, key, [])) throw new TypeError("The key cannot be used here: it is not extractable");
    return materialOf(key);
  },
};

// Takes function `name` off `holder`, to be called as its method all the same.
function take(holder, name) {
  const method = holder[name];
  ReflectDeleteProperty(holder, name);
  return (...args) => ReflectApply(method, holder, args);
}

// Once, for the snapshot.
function prepare({ Crypto, CryptoKey, SubtleCrypto }) {
  ({ get: isExtractable } = ObjectGetOwnPropertyDescriptor(CryptoKey.prototype, "extractable"));
  createCrypto = take(Crypto, "create");
  createSubtle = take(SubtleCrypto, "create");
  registerSymbols = take(Crypto, "registerSymbols");
  const importNow = take(CryptoKey, "importSync");
  importSync = (...args) => {
    register();
    return importNow(...args);
  };
  const fromCloneData = take(CryptoKey, "fromCloneData");
  core.getCloneableDeserializers().CryptoKey = (data) => {
    register();
    return fromCloneData(data);
  };
  materialOf = take(CryptoKey, "exportNodeMaterial");
  bound(SubtleCrypto.prototype);
  gcm.install({ CryptoKey, SubtleCrypto }, (value) => subtle !== undefined && value === subtle, materialOf);
  charge(SubtleCrypto.prototype);
  refuseReceiver = Crypto.prototype.randomUUID;
  const uuid = { __proto__: null, value: randomUUID, writable: true, enumerable: true, configurable: true };
  ObjectDefineProperty(Crypto.prototype, "randomUUID", uuid);
  refuseClone(Crypto);
  refuseClone(SubtleCrypto);
}

return { getCrypto, keys, prepare };
})();
