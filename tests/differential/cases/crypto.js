// crypto and crypto.subtle (Web Cryptography API). The algorithms themselves are shown by the vectors.

import { attempt, attempts, bytes, descriptor, hex, unhex, utf8 } from "../run.js";

const { subtle } = crypto;
const data = utf8("some data");
const aes = (usages = ["encrypt", "decrypt"], name = "AES-GCM") => subtle.importKey("raw", new Uint8Array(16), name, true, usages);

export default {
  "getRandomValues": () => {
    const array = new Uint8Array(64);
    return [crypto.getRandomValues(array) === array, array.some((byte) => byte !== 0)];
  },
  "getRandomValues for views": () => attempts(...[Int8Array, Uint8ClampedArray, Uint32Array, BigInt64Array, Float32Array, Float64Array].map((View) => () => crypto.getRandomValues(new View(2)).length), () => crypto.getRandomValues(new DataView(new ArrayBuffer(2)))),
  "getRandomValues beyond its quota": () => [crypto.getRandomValues(new Uint8Array(65536)).length, attempt(() => crypto.getRandomValues(new Uint8Array(65537)))],
  "getRandomValues of something else": () => attempts(() => crypto.getRandomValues(), () => crypto.getRandomValues([]), () => crypto.getRandomValues(new ArrayBuffer(1)), () => crypto.getRandomValues(null)),
  "randomUUID": () => [/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID()), crypto.randomUUID() !== crypto.randomUUID()],
  "digests": async () => {
    const seen = [];
    for (const name of ["SHA-1", "SHA-256", "SHA-384", "SHA-512", "sha-256", { name: "SHA-256" }]) seen.push(hex(await subtle.digest(name, data)).slice(0, 16));
    return seen;
  },
  "digests of views": async () => {
    const { buffer } = utf8("abcd");
    return [hex(await subtle.digest("SHA-1", buffer)) === hex(await subtle.digest("SHA-1", new DataView(buffer))), hex(await subtle.digest("SHA-1", new Uint16Array(buffer, 2))) === hex(await subtle.digest("SHA-1", utf8("cd")))];
  },
  "digests that are unknown": () => attempts(() => subtle.digest("SHA-3", data), () => subtle.digest("", data), () => subtle.digest({}, data), () => subtle.digest(null, data), () => subtle.digest("SHA-256", "text"), () => subtle.digest("SHA-256")),
  "HMAC": async () => {
    const key = await subtle.importKey("raw", utf8("key"), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
    const mac = await subtle.sign("HMAC", key, data);
    return [hex(mac), await subtle.verify("HMAC", key, mac, data), await subtle.verify("HMAC", key, mac, utf8("other")), await subtle.verify("HMAC", key, bytes(1), data)];
  },
  "HMAC keys": async () => {
    const seen = [];
    for (const hash of ["SHA-1", "SHA-256", "SHA-384", "SHA-512"]) {
      const key = await subtle.generateKey({ name: "HMAC", hash }, true, ["sign"]);
      seen.push((await subtle.exportKey("raw", key)).byteLength, key.algorithm);
    }
    return seen;
  },
  "a key": async () => {
    const key = await aes();
    return [key instanceof CryptoKey, key.type, key.extractable, key.algorithm, key.usages, Object.prototype.toString.call(key)];
  },
  "a key's usages in their order": async () => (await aes(["decrypt", "encrypt", "decrypt"])).usages,
  "AES-GCM": async () => {
    const key = await aes();
    const iv = new Uint8Array(12);
    const box = await subtle.encrypt({ name: "AES-GCM", iv, additionalData: utf8("aad") }, key, data);
    return [hex(box), new TextDecoder().decode(await subtle.decrypt({ name: "AES-GCM", iv, additionalData: utf8("aad") }, key, box)), await attempt(() => subtle.decrypt({ name: "AES-GCM", iv }, key, box))];
  },
  "AES-GCM tag lengths": async () => {
    const key = await aes();
    return attempts(...[128, 96, 32, 100, 0, 256].map((tagLength) => async () => (await subtle.encrypt({ name: "AES-GCM", iv: new Uint8Array(12), tagLength }, key, data)).byteLength));
  },
  "AES-GCM nonces": async () => {
    const key = await aes();
    return attempts(...[1, 12, 16, 0].map((length) => async () => (await subtle.encrypt({ name: "AES-GCM", iv: new Uint8Array(length) }, key, data)).byteLength));
  },
  "AES-CBC": async () => {
    const key = await aes(undefined, "AES-CBC");
    const iv = new Uint8Array(16);
    const box = await subtle.encrypt({ name: "AES-CBC", iv }, key, data);
    return [hex(box), hex(await subtle.decrypt({ name: "AES-CBC", iv }, key, box)), await attempt(() => subtle.decrypt({ name: "AES-CBC", iv }, key, bytes(1, 2))), await attempt(() => subtle.encrypt({ name: "AES-CBC", iv: bytes(1) }, key, data))];
  },
  "AES-CTR": async () => {
    const key = await aes(undefined, "AES-CTR");
    const counter = new Uint8Array(16);
    const box = await subtle.encrypt({ name: "AES-CTR", counter, length: 64 }, key, data);
    return [hex(box), hex(await subtle.decrypt({ name: "AES-CTR", counter, length: 64 }, key, box)), await attempt(() => subtle.encrypt({ name: "AES-CTR", counter, length: 0 }, key, data))];
  },
  "AES-KW": async () => {
    const kek = await subtle.importKey("raw", new Uint8Array(16), "AES-KW", false, ["wrapKey", "unwrapKey"]);
    const wrapped = await subtle.wrapKey("raw", await aes(), kek, "AES-KW");
    const key = await subtle.unwrapKey("raw", wrapped, kek, "AES-KW", "AES-GCM", true, ["encrypt"]);
    return [hex(wrapped), hex(await subtle.exportKey("raw", key))];
  },
  "key lengths": () => attempts(...[128, 192, 256, 64, 0].map((length) => async () => (await subtle.generateKey({ name: "AES-GCM", length }, true, ["encrypt"])).algorithm.length)),
  "raw keys of wrong length": () => attempts(...[0, 15, 17, 33].map((length) => () => subtle.importKey("raw", new Uint8Array(length), "AES-GCM", true, ["encrypt"]))),
  "usages that do not fit": () => attempts(() => aes(["sign"]), () => aes([]), () => aes(["nope"]), () => subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, []), () => subtle.importKey("raw", utf8("k"), { name: "HMAC", hash: "SHA-1" }, true, ["encrypt"])),
  "a key without the usage": async () => {
    const key = await aes(["encrypt"]);
    return attempts(() => subtle.decrypt({ name: "AES-GCM", iv: new Uint8Array(12) }, key, new Uint8Array(32)), () => subtle.encrypt({ name: "AES-CBC", iv: new Uint8Array(16) }, key, data));
  },
  "a key that is not to be exported": async () => {
    const key = await subtle.importKey("raw", new Uint8Array(16), "AES-GCM", false, ["encrypt"]);
    return attempt(() => subtle.exportKey("raw", key));
  },
  "JWK": async () => {
    const jwk = await subtle.exportKey("jwk", await aes());
    const key = await subtle.importKey("jwk", jwk, "AES-GCM", true, ["encrypt", "decrypt"]);
    return [jwk, hex(await subtle.exportKey("raw", key))];
  },
  "JWKs that do not fit": () => attempts(...[{}, { kty: "oct" }, { kty: "RSA", k: "AAAA" }, { kty: "oct", k: "!" }, { kty: "oct", k: "AAAAAAAAAAAAAAAAAAAAAA", alg: "A256GCM" }, { kty: "oct", k: "AAAAAAAAAAAAAAAAAAAAAA", ext: false }, { kty: "oct", k: "AAAAAAAAAAAAAAAAAAAAAA", key_ops: ["sign"] }]
    .map((jwk) => () => subtle.importKey("jwk", jwk, "AES-GCM", true, ["encrypt"]))),
  "unknown formats and algorithms": () => attempts(() => subtle.importKey("nope", data, "AES-GCM", true, []), () => subtle.importKey("raw", data, "NOPE", true, []), () => subtle.generateKey("NOPE", true, []), () => subtle.generateKey({}, true, []), () => subtle.importKey("raw", "text", "AES-GCM", true, ["encrypt"])),
  "ECDSA": async () => {
    const seen = [];
    for (const [namedCurve, hash] of [["P-256", "SHA-256"], ["P-384", "SHA-384"]]) {
      const { privateKey, publicKey } = await subtle.generateKey({ name: "ECDSA", namedCurve }, false, ["sign", "verify"]);
      const signature = await subtle.sign({ name: "ECDSA", hash }, privateKey, data);
      seen.push(signature.byteLength, await subtle.verify({ name: "ECDSA", hash }, publicKey, signature, data), publicKey.extractable, privateKey.extractable, publicKey.usages);
    }
    return seen;
  },
  "ECDSA P-521": () => attempt(async () => {
    const { privateKey, publicKey } = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-521" }, false, ["sign", "verify"]);
    const signature = await subtle.sign({ name: "ECDSA", hash: "SHA-512" }, privateKey, data);
    return [signature.byteLength, await subtle.verify({ name: "ECDSA", hash: "SHA-512" }, publicKey, signature, data)];
  }),
  "ECDH": async () => {
    const generate = () => subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits", "deriveKey"]);
    const [a, b] = [await generate(), await generate()];
    const ab = hex(await subtle.deriveBits({ name: "ECDH", public: b.publicKey }, a.privateKey, 256));
    const ba = hex(await subtle.deriveBits({ name: "ECDH", public: a.publicKey }, b.privateKey, 256));
    return [ab === ba, ab.length, await attempt(() => subtle.deriveBits({ name: "ECDH", public: b.publicKey }, a.privateKey, 512))];
  },
  "Ed25519": async () => {
    const { privateKey, publicKey } = await subtle.generateKey("Ed25519", true, ["sign", "verify"]);
    const signature = await subtle.sign("Ed25519", privateKey, data);
    return [signature.byteLength, await subtle.verify("Ed25519", publicKey, signature, data), (await subtle.exportKey("raw", publicKey)).byteLength, (await subtle.exportKey("jwk", publicKey)).crv];
  },
  "X25519": async () => {
    const generate = () => subtle.generateKey("X25519", true, ["deriveBits"]);
    const [a, b] = [await generate(), await generate()];
    return hex(await subtle.deriveBits({ name: "X25519", public: b.publicKey }, a.privateKey, 256)) === hex(await subtle.deriveBits({ name: "X25519", public: a.publicKey }, b.privateKey, 256));
  },
  "RSA": async () => {
    const parameters = { modulusLength: 1024, publicExponent: bytes(1, 0, 1), hash: "SHA-256" };
    const pss = await subtle.generateKey({ name: "RSA-PSS", ...parameters }, true, ["sign", "verify"]);
    const signature = await subtle.sign({ name: "RSA-PSS", saltLength: 32 }, pss.privateKey, data);
    return [signature.byteLength, await subtle.verify({ name: "RSA-PSS", saltLength: 32 }, pss.publicKey, signature, data), pss.publicKey.algorithm.modulusLength, pss.publicKey.algorithm.publicExponent, Object.keys(await subtle.exportKey("jwk", pss.publicKey)).sort()];
  },
  "RSA exponents that cannot be": () => attempts(() => subtle.generateKey({ name: "RSA-PSS", modulusLength: 1024, publicExponent: bytes(2), hash: "SHA-256" }, true, ["sign"]), () => subtle.generateKey({ name: "RSA-PSS", modulusLength: 1024, publicExponent: bytes(), hash: "SHA-256" }, true, ["sign"])),
  "PBKDF2": async () => {
    const key = await subtle.importKey("raw", utf8("password"), "PBKDF2", false, ["deriveBits"]);
    return [
      hex(await subtle.deriveBits({ name: "PBKDF2", salt: utf8("salt"), iterations: 2, hash: "SHA-1" }, key, 160)),
      await attempt(() => subtle.deriveBits({ name: "PBKDF2", salt: utf8("salt"), iterations: 0, hash: "SHA-1" }, key, 160)),
      await attempt(() => subtle.deriveBits({ name: "PBKDF2", salt: utf8("salt"), iterations: 1, hash: "SHA-1" }, key, 7)),
    ];
  },
  "HKDF": async () => {
    const key = await subtle.importKey("raw", utf8("secret"), "HKDF", false, ["deriveBits"]);
    return [
      hex(await subtle.deriveBits({ name: "HKDF", salt: utf8("salt"), info: utf8("info"), hash: "SHA-256" }, key, 256)),
      await attempt(() => subtle.deriveBits({ name: "HKDF", salt: utf8("salt"), info: utf8("info"), hash: "SHA-256" }, key, 255 * 256 + 8)),
    ];
  },
  "deriveKey": async () => {
    const base = await subtle.importKey("raw", utf8("password"), "PBKDF2", false, ["deriveKey"]);
    const key = await subtle.deriveKey({ name: "PBKDF2", salt: utf8("salt"), iterations: 1, hash: "SHA-256" }, base, { name: "AES-GCM", length: 256 }, true, ["encrypt"]);
    return [key.algorithm, hex(await subtle.exportKey("raw", key)).slice(0, 16)];
  },
  "SPKI and PKCS #8": async () => {
    const { privateKey, publicKey } = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
    const [spki, pkcs8] = [await subtle.exportKey("spki", publicKey), await subtle.exportKey("pkcs8", privateKey)];
    const again = await subtle.importKey("spki", spki, { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]);
    return [spki.byteLength, pkcs8.byteLength > 100, again.type, await attempt(() => subtle.importKey("spki", bytes(1, 2), { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]))];
  },
  "methods reject, they never throw": () => {
    const seen = [];
    for (const method of ["digest", "encrypt", "importKey", "generateKey", "sign", "deriveBits"]) {
      try {
        const promise = subtle[method]();
        promise.catch(() => {});
        seen.push(promise instanceof Promise);
      } catch {
        seen.push("threw");
      }
    }
    return seen;
  },
  "constructors": () => attempts(() => new Crypto(), () => new SubtleCrypto(), () => new CryptoKey()),
  "on something else": () => attempts(() => Crypto.prototype.randomUUID.call({}), () => SubtleCrypto.prototype.digest.call({}, "SHA-1", data), () => Object.getOwnPropertyDescriptor(CryptoKey.prototype, "type").get.call({})),
  "the shape": () => [
    ["getRandomValues", "randomUUID", "subtle", Symbol.toStringTag].map((name) => descriptor(Crypto.prototype, name)),
    ["digest", "encrypt", "importKey", "wrapKey", Symbol.toStringTag].map((name) => descriptor(SubtleCrypto.prototype, name)),
    ["type", "algorithm", "usages", "extractable"].map((name) => descriptor(CryptoKey.prototype, name)),
    crypto.subtle === crypto.subtle,
    Object.prototype.toString.call(crypto),
  ],
  "no class has methods of its own but the standard's": () =>
    [Crypto, CryptoKey, SubtleCrypto].flatMap((Class) => Object.getOwnPropertyNames(Class)).filter((name) => !["length", "name", "prototype", "supports"].includes(name)),
  "known answers": async () => [
    hex(await subtle.digest("SHA-256", unhex(""))),
    hex(await subtle.sign("HMAC", await subtle.importKey("raw", unhex("0b".repeat(20)), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]), utf8("Hi There"))),
  ],
};
