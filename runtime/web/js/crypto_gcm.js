// AES-GCM with initialisation vectors of any length (Web Cryptography, section 29; NIST SP 800-38D, section 5.2.1.1). The
// methods of deno_crypto know those of 12 and 16 bytes; others go through ops of our own.

(function () {
const { core, primordials } = __bootstrap;
const { op_atoll_gcm_open, op_atoll_gcm_seal } = core.ops;
const {
  ArrayBufferIsView,
  ArrayPrototypeIncludes,
  JSONParse,
  JSONStringify,
  ObjectDefineProperty,
  ObjectGetOwnPropertyDescriptor,
  ReflectApply,
  String,
  StringPrototypeToUpperCase,
  TypedArrayPrototypeGetBuffer,
  TypedArrayPrototypeGetByteLength,
  TypedArrayPrototypeSlice,
  TypeError,
  Uint8Array,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { viewBytes } = core.loadExtScript("ext:atoll_web/identity_streams.js");

const TAG_BITS = [32, 64, 96, 104, 112, 120, 128];

const isBufferSource = (value) => ArrayBufferIsView(value) || core.isAnyArrayBuffer(value);
const copied = (value) => TypedArrayPrototypeSlice(viewBytes(value, "AES-GCM"));

// Replaces the methods that encrypt and decrypt. `materialOf` gives `{ data }` of a CryptoKey, and throws for any other value.
function install({ CryptoKey, SubtleCrypto }, isSubtle, materialOf) {
  const { prototype } = SubtleCrypto;
  const { decrypt, encrypt, exportKey, importKey, unwrapKey, wrapKey } = prototype;
  const getter = (name) => ObjectGetOwnPropertyDescriptor(CryptoKey.prototype, name).get;
  const algorithmOf = getter("algorithm");
  const usagesOf = getter("usages");

  // What is to be given on in place of an algorithm, each member of which is read once; `ours` when it is for us.
  function read(algorithm) {
    if (typeof algorithm !== "object" || algorithm === null) return { given: algorithm, ours: null };
    const { name } = algorithm;
    if (name === undefined) return { given: { __proto__: null }, ours: null };
    const text = String(name);
    if (StringPrototypeToUpperCase(text) !== "AES-GCM") return { given: { __proto__: algorithm, name: text }, ours: null };
    let { additionalData, iv, tagLength } = algorithm;
    if (isBufferSource(iv)) iv = copied(iv);
    if (isBufferSource(additionalData)) additionalData = copied(additionalData);
    const given = { __proto__: null, name: text, iv, additionalData, tagLength };
    const size = isBufferSource(iv) ? TypedArrayPrototypeGetByteLength(iv) : 12;
    return { given, ours: size === 12 || size === 16 ? null : given };
  }

  // Calls an op with what the method was given.
  function run(that, op, { iv, additionalData, tagLength }, key, data, usage) {
    const prefix = `Failed to execute '${usage}' on 'SubtleCrypto'`;
    if (!isSubtle(that)) throw new TypeError("Illegal invocation");
    const aad = additionalData === undefined || additionalData === null
      ? new Uint8Array(0)
      : viewBytes(additionalData, prefix);
    const bits = tagLength === undefined
      ? 128
      : webidl.converters.octet(tagLength, prefix, "'tagLength' of 'AesGcmParams'", { enforceRange: true });
    // It throws for what is no key.
    const algorithm = ReflectApply(algorithmOf, key, []);
    const bytes = viewBytes(data, prefix);
    if (algorithm.name !== "AES-GCM") {
      throw new DOMException(`${prefix}: the key is one for ${algorithm.name}`, "InvalidAccessError");
    }
    if (!ArrayPrototypeIncludes(ReflectApply(usagesOf, key, []), usage)) {
      throw new DOMException(`${prefix}: the key's usages do not have "${usage}"`, "InvalidAccessError");
    }
    if (TypedArrayPrototypeGetByteLength(iv) === 0) {
      throw new DOMException(`${prefix}: the initialization vector must have at least one byte`, "OperationError");
    }
    if (!ArrayPrototypeIncludes(TAG_BITS, bits)) {
      throw new DOMException(`${prefix}: tagLength must be one of ${TAG_BITS}, not ${bits}`, "OperationError");
    }
    return op(materialOf(key).data, iv, aad, bits / 8, bytes);
  }

  const methods = {
    __proto__: null,
    async encrypt(algorithm, key, data) {
      if (arguments.length < 3) return await ReflectApply(encrypt, this, arguments);
      const { given, ours } = read(algorithm);
      if (ours === null) return await ReflectApply(encrypt, this, [given, key, data]);
      return TypedArrayPrototypeGetBuffer(run(this, op_atoll_gcm_seal, ours, key, data, "encrypt"));
    },
    async decrypt(algorithm, key, data) {
      if (arguments.length < 3) return await ReflectApply(decrypt, this, arguments);
      const { given, ours } = read(algorithm);
      if (ours === null) return await ReflectApply(decrypt, this, [given, key, data]);
      return TypedArrayPrototypeGetBuffer(run(this, op_atoll_gcm_open, ours, key, data, "decrypt"));
    },
    async wrapKey(format, key, wrappingKey, wrapAlgorithm) {
      if (arguments.length < 4) return await ReflectApply(wrapKey, this, arguments);
      const { given, ours } = read(wrapAlgorithm);
      if (ours === null) return await ReflectApply(wrapKey, this, [format, key, wrappingKey, given]);
      const exported = await ReflectApply(exportKey, this, [format, key]);
      const data = isBufferSource(exported) ? exported : core.encode(JSONStringify(exported));
      return TypedArrayPrototypeGetBuffer(run(this, op_atoll_gcm_seal, ours, wrappingKey, data, "wrapKey"));
    },
    async unwrapKey(format, wrappedKey, unwrappingKey, unwrapAlgorithm, unwrappedKeyAlgorithm, extractable, keyUsages) {
      if (arguments.length < 7) return await ReflectApply(unwrapKey, this, arguments);
      const { given, ours } = read(unwrapAlgorithm);
      if (ours === null) {
        const all = [format, wrappedKey, unwrappingKey, given, unwrappedKeyAlgorithm, extractable, keyUsages];
        return await ReflectApply(unwrapKey, this, all);
      }
      const opened = run(this, op_atoll_gcm_open, ours, unwrappingKey, wrappedKey, "unwrapKey");
      let material = opened;
      if (`${format}` === "jwk") {
        try {
          material = JSONParse(core.decode(opened));
        } catch {
          throw new DOMException("Failed to execute 'unwrapKey' on 'SubtleCrypto': the data is no JSON Web Key", "DataError");
        }
      }
      return await ReflectApply(importKey, this, [format, material, unwrappedKeyAlgorithm, extractable, keyUsages]);
    },
  };
  const names = ["encrypt", "decrypt", "wrapKey", "unwrapKey"];
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    const property = { __proto__: null, value: methods[name], writable: true, enumerable: true, configurable: true };
    ObjectDefineProperty(prototype, name, property);
  }
}

return { install };
})();
