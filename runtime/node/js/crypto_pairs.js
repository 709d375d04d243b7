// Private and public keys of node:crypto: their forms (PEM, DER, JWK, of PKCS #1, PKCS #8, SEC 1, SPKI and certificates) and
// the key objects. A private key is kept as PKCS #8, a public one as SubjectPublicKeyInfo.

(function (require, internals) {
"use strict";

const { Buffer } = require("buffer");
const { nodeError, validate } = require("internal/errors");
const { bytesOf, isCryptoKey, KeyObject } = require("internal/crypto_keys");

const { element, elements, sequence, unsigned, unsupported } = require("internal/crypto_der");

const { ecdhGenerate, ecdhPublic, keyCheck, keyFromSec1, keyGenerate, keyMaterial, keyPublic, keySec1 } = internals.crypto;

const INTEGER = 0x02;
const BITS = 0x03;
const OCTETS = 0x04;
const OID = 0x06;
const SEQUENCE = 0x30;

const RSA = "2a864886f70d010101";
const RSA_PSS = "2a864886f70d01010a";
const EC = "2a8648ce3d0201";
const ED25519 = "2b6570";
const X25519 = "2b656e";
// The curves of RFC 8410, in which a key is 32 bytes and no point.
const OKP = {
  __proto__: null,
  ed25519: { oid: ED25519, crv: "Ed25519" },
  x25519: { oid: X25519, crv: "X25519" },
};
// Object identifiers of curves, their names in OpenSSL and in JWK, and the length of a coordinate.
const CURVES = {
  __proto__: null,
  "2a8648ce3d030107": { name: "prime256v1", crv: "P-256", size: 32 },
  "2b81040022": { name: "secp384r1", crv: "P-384", size: 48 },
  "2b81040023": { name: "secp521r1", crv: "P-521", size: 66 },
  "2b8104000a": { name: "secp256k1", crv: "secp256k1", size: 32 },
};
const curveOf = (test) => {
  const oid = Object.keys(CURVES).find((key) => test(CURVES[key]));
  return oid === undefined ? undefined : { oid, ...CURVES[oid] };
};

function integer(bytes) {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  bytes = bytes.subarray(start);
  return bytes[0] & 0x80 ? element(INTEGER, "00", bytes) : element(INTEGER, bytes);
}

const algorithm = (oid, parameters) => element(SEQUENCE, element(OID, oid), parameters);
const spkiOf = (algorithm, key) => element(SEQUENCE, algorithm, element(BITS, "00", key));
const pkcs8Of = (algorithm, key) => element(SEQUENCE, "020100", algorithm, element(OCTETS, key));
const RSA_ALGORITHM = algorithm(RSA, Buffer.from("0500", "hex"));

// The kind of key that an AlgorithmIdentifier names.
function kindOf({ content }) {
  const [oid, parameters] = elements(content);
  switch (oid === undefined ? "" : Buffer.from(oid.content).toString("hex")) {
    case RSA:
      return "rsa";
    case RSA_PSS:
      return "rsa-pss";
    case ED25519:
      return "ed25519";
    case X25519:
      return "x25519";
    case EC: {
      const curve = CURVES[Buffer.from(parameters?.content ?? []).toString("hex")];
      if (curve !== undefined) return curve.name;
    }
  }
  throw unsupported();
}

function privatePair(der, type) {
  let pkcs8 = der;
  if (type === "pkcs1") {
    pkcs8 = pkcs8Of(RSA_ALGORITHM, der);
  } else if (type === "sec1") {
    const parameters = sequence(der, 2).find(({ tag }) => tag === 0xa0);
    const oid = parameters === undefined ? undefined : elements(parameters.content)[0];
    const curve = CURVES[Buffer.from(oid?.content ?? []).toString("hex")];
    if (curve === undefined) throw unsupported();
    return { kind: curve.name, ...complete(curve.name, keyFromSec1(curve.name, der)) };
  }
  const kind = kindOf(sequence(pkcs8, 3)[1]);
  return { kind, ...complete(kind, pkcs8) };
}

function complete(kind, pkcs8) {
  const own = { private: Uint8Array.from(pkcs8) };
  if (kind === "rsa-pss") {
    const plain = keyPublic("rsa", native({ kind, public: null, ...own }).private);
    return { ...own, public: spkiOf(sequence(pkcs8, 3)[1].raw, publicPart({ public: plain })) };
  }
  if (kind !== "x25519") return { ...own, public: keyPublic(kind, pkcs8) };
  return { ...own, public: spkiOf(algorithm(X25519, ""), ecdhPublic(kind, scalarOf({ kind, ...own }))) };
}

// The number that a private key of a curve is, of RFC 8410 or of RFC 5915.
const scalarOf = ({ kind, private: pkcs8 }) => {
  const part = privatePart({ private: pkcs8 });
  return OKP[kind] === undefined ? sequence(part, 2)[1].content : elements(part)[0].content;
};

// A pair as the library takes it, which knows no keys that are for RSA-PSS only.
function native(pair) {
  if (pair.kind !== "rsa-pss") return pair;
  return {
    kind: "rsa",
    public: pair.public === null ? null : spkiOf(RSA_ALGORITHM, publicPart(pair)),
    private: pair.private === null ? null : pkcs8Of(RSA_ALGORITHM, privatePart(pair)),
  };
}

// Hashes of RSA-PSS by their identifiers (RFC 4055, section 2.1).
const HASHES = {
  __proto__: null,
  "2b0e03021a": "sha1",
  "608648016503040204": "sha224",
  "608648016503040201": "sha256",
  "608648016503040202": "sha384",
  "608648016503040203": "sha512",
};
const MGF1 = "2a864886f70d010108";

// What a key says that it is for (RFC 4055, section 3.1): nothing, or all three with their defaults.
function pssParameters(pair) {
  const [, parameters] = elements(sequence(pair.public, 2)[0].content);
  if (parameters === undefined || parameters.tag !== SEQUENCE) return {};
  const part = (tag) => elements(parameters.content).find((one) => one.tag === tag)?.content;
  const hashIn = (bytes) => HASHES[Buffer.from(elements(bytes)[0].content).toString("hex")];
  const [hash, mask, salt] = [part(0xa0), part(0xa1), part(0xa2)];
  return {
    hashAlgorithm: hash === undefined ? "sha1" : hashIn(elements(hash)[0].content),
    mgf1HashAlgorithm: mask === undefined ? "sha1" : hashIn(elements(elements(mask)[0].content)[1].content),
    saltLength: salt === undefined ? 20 : Number(`0x${Buffer.from(elements(salt)[0].content).toString("hex")}`),
  };
}

const HASH_SIZES = { __proto__: null, sha1: 20, sha224: 28, sha256: 32, sha384: 48, sha512: 64 };

// A new pair for RSA-PSS, for what `settings` name.
function makePssPair(bits, settings) {
  const named = (hash) => element(SEQUENCE, element(OID, Object.keys(HASHES).find((id) => HASHES[id] === hash)), "0500");
  const parameters = () => {
    const { hash, mgf1, saltLength = HASH_SIZES[hash] } = settings;
    const salt = integer(Buffer.from([saltLength >>> 24, saltLength >>> 16, saltLength >>> 8, saltLength]));
    return element(
      SEQUENCE,
      hash === "sha1" ? "" : element(0xa0, named(hash)),
      mgf1 === "sha1" ? "" : element(0xa1, element(SEQUENCE, element(OID, MGF1), named(mgf1))),
      saltLength === 20 ? "" : element(0xa2, salt),
    );
  };
  const identified = element(SEQUENCE, element(OID, RSA_PSS), settings === undefined ? "" : parameters());
  return privatePair(pkcs8Of(identified, privatePart({ private: keyGenerate("rsa", bits) })), "pkcs8");
}

// A new pair of keys.
function makePair(kind, bits) {
  if (kind !== "x25519") return privatePair(keyGenerate(kind, bits), "pkcs8");
  return privatePair(pkcs8Of(algorithm(X25519, ""), element(OCTETS, ecdhGenerate(kind))), "pkcs8");
}

function publicPair(der, type) {
  const spki = type === "pkcs1" ? spkiOf(RSA_ALGORITHM, der) : der;
  const kind = kindOf(sequence(spki, 2)[0]);
  if (kind === "rsa-pss") keyCheck("rsa", native({ kind, public: spki, private: null }).public);
  else if (kind !== "x25519") keyCheck(kind, spki);
  else if (sequence(spki, 2)[1].content.length !== 33) throw unsupported();
  return { kind, private: null, public: Uint8Array.from(spki) };
}

// RFC 5280, section 4.1: the key after version, serial number, algorithm, issuer, validity and subject.
function certified(der) {
  const fields = elements(sequence(der, 3)[0].content);
  const at = fields[0]?.tag === 0xa0 ? 6 : 5;
  if (fields[at] === undefined) throw unsupported();
  return publicPair(fields[at].raw, "spki");
}

const LABELS = {
  __proto__: null,
  "CERTIFICATE": certified,
  "EC PRIVATE KEY": (der) => privatePair(der, "sec1"),
  "PRIVATE KEY": (der) => privatePair(der, "pkcs8"),
  "PUBLIC KEY": (der) => publicPair(der, "spki"),
  "RSA PRIVATE KEY": (der) => privatePair(der, "pkcs1"),
  "RSA PUBLIC KEY": (der) => publicPair(der, "pkcs1"),
};

function fromPem(text, passphrase) {
  for (const [, label, body] of text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----([^]*?)-----END \1-----/g)) {
    if (label === "ENCRYPTED PRIVATE KEY") return unsealed(Buffer.from(body, "base64"), passphrase);
    if (LABELS[label] !== undefined && body.includes("Proc-Type")) {
      return LABELS[label](require("internal/crypto_sealed").openLegacy(body, passphrase));
    }
    if (LABELS[label] !== undefined) return LABELS[label](Buffer.from(body, "base64"));
  }
  throw unsupported();
}

const unsealed = (der, passphrase) => privatePair(require("internal/crypto_sealed").open(der, passphrase), "pkcs8");

function fromJwk(jwk) {
  validate.object(jwk, "key.key");
  const part = (name) => {
    if (typeof jwk[name] !== "string") throw nodeError("ERR_INVALID_ARG_TYPE", `key.${name}`, "string", jwk[name]);
    return Buffer.from(jwk[name], "base64url");
  };
  const isPrivate = jwk.d !== undefined;
  if (jwk.kty === "RSA") {
    if (!isPrivate) return publicPair(element(SEQUENCE, integer(part("n")), integer(part("e"))), "pkcs1");
    const numbers = ["n", "e", "d", "p", "q", "dp", "dq", "qi"].map((name) => integer(part(name)));
    return privatePair(element(SEQUENCE, "020100", ...numbers), "pkcs1");
  }
  if (jwk.kty === "EC") {
    const curve = curveOf(({ crv }) => crv === jwk.crv);
    if (curve === undefined) throw nodeError("ERR_CRYPTO_INVALID_CURVE");
    const fixed = (name) => Buffer.concat([Buffer.alloc(curve.size), part(name)]).subarray(-curve.size);
    const point = Buffer.concat([Buffer.from([4]), fixed("x"), fixed("y")]);
    if (!isPrivate) return publicPair(spkiOf(algorithm(EC, element(OID, curve.oid)), point), "spki");
    const named = element(0xa0, element(OID, curve.oid));
    const sec1 = element(SEQUENCE, "020101", element(OCTETS, fixed("d")), named, element(0xa1, element(BITS, "00", point)));
    return privatePair(sec1, "sec1");
  }
  const okp = jwk.kty === "OKP" ? Object.values(OKP).find(({ crv }) => crv === jwk.crv) : undefined;
  if (okp !== undefined) {
    const named = element(SEQUENCE, element(OID, okp.oid));
    return isPrivate
      ? privatePair(pkcs8Of(named, element(OCTETS, part("d"))), "pkcs8")
      : publicPair(spkiOf(named, part("x")), "spki");
  }
  throw nodeError("ERR_CRYPTO_INVALID_JWK");
}

// The bytes of the public key within its SubjectPublicKeyInfo, and of the private one within its PKCS #8.
const publicPart = (pair) => sequence(pair.public, 2)[1].content.subarray(1);
const privatePart = (pair) => sequence(pair.private, 3)[2].content;

function toJwk(pair) {
  const text = (bytes) => Buffer.from(unsigned(bytes)).toString("base64url");
  const exact = (bytes) => Buffer.from(bytes).toString("base64url");
  if (pair.kind === "rsa") {
    if (pair.private === null) {
      const [n, e] = sequence(publicPart(pair), 2).map(({ content }) => text(content));
      return { kty: "RSA", n, e };
    }
    const [, n, e, d, p, q, dp, dq, qi] = sequence(privatePart(pair), 9).map(({ content }) => text(content));
    return { kty: "RSA", n, e, d, p, q, dp, dq, qi };
  }
  if (pair.kind === "rsa-pss") throw nodeError("ERR_CRYPTO_JWK_UNSUPPORTED_KEY_TYPE");
  const point = publicPart(pair);
  if (OKP[pair.kind] !== undefined) {
    const { crv } = OKP[pair.kind];
    const jwk = { crv, x: exact(point), kty: "OKP" };
    return pair.private === null ? jwk : { crv, d: exact(scalarOf(pair)), x: jwk.x, kty: "OKP" };
  }
  const { crv, size } = curveOf(({ name }) => name === pair.kind);
  const jwk = { kty: "EC", x: exact(point.subarray(1, 1 + size)), y: exact(point.subarray(1 + size)), crv };
  if (pair.private !== null) jwk.d = exact(sequence(privatePart(pair), 2)[1].content);
  return jwk;
}

const pairs = new WeakMap();
const pairOf = (key) => pairs.get(key);

class AsymmetricKeyObject extends KeyObject {
  constructor(type, pair) {
    super(type, undefined, pairs);
    pairs.set(this, pair);
  }

  get asymmetricKeyType() {
    const { kind } = pairs.get(this);
    return kind.startsWith("rsa") || OKP[kind] !== undefined ? kind : "ec";
  }

  get asymmetricKeyDetails() {
    const pair = pairs.get(this);
    if (OKP[pair.kind] !== undefined) return {};
    if (!pair.kind.startsWith("rsa")) return { namedCurve: pair.kind };
    const [n, e] = sequence(publicPart(pair), 2).map(({ content }) => unsigned(content));
    return {
      modulusLength: n.length * 8 - Math.clz32(n[0]) + 24,
      publicExponent: BigInt(`0x${Buffer.from(e).toString("hex")}`),
      ...(pair.kind === "rsa-pss" ? pssParameters(pair) : {}),
    };
  }

  equals(other) {
    if (!(other instanceof KeyObject)) throw nodeError("ERR_INVALID_ARG_TYPE", "otherKeyObject", "KeyObject", other);
    if (other.type !== this.type) return false;
    return Buffer.compare(pairs.get(this).public, pairs.get(other).public) === 0;
  }

  export(options) {
    validate.object(options, "options");
    const pair = pairs.get(this);
    const isPublic = this.type === "public";
    if (options.format === "jwk") return toJwk(pair);
    validate.oneOf(options.format, "options.format", ["pem", "der"]);
    const types = isPublic ? ["spki"] : ["pkcs8"];
    if (pair.kind === "rsa") types.push("pkcs1");
    else if (!isPublic && OKP[pair.kind] === undefined && pair.kind !== "rsa-pss") types.push("sec1");
    const { type } = options;
    if (!types.includes(type)) {
      throw nodeError("ERR_CRYPTO_INCOMPATIBLE_KEY_OPTIONS", `${type}`, `a key of the kind ${this.asymmetricKeyType}`);
    }
    let der = isPublic ? pair.public : pair.private;
    if (type === "pkcs1") der = isPublic ? publicPart(pair) : privatePart(pair);
    else if (type === "sec1") der = keySec1(pair.kind, pair.private);
    let word = type === "pkcs1" ? "RSA " : type === "sec1" ? "EC " : "";
    if (!isPublic && options.cipher !== undefined && options.cipher !== null) {
      if (type !== "pkcs8") throw nodeError("ERR_METHOD_NOT_IMPLEMENTED", `writing encrypted keys of the type ${type}`);
      der = require("internal/crypto_sealed").seal(der, options.cipher, options.passphrase);
      word = "ENCRYPTED ";
    }
    if (options.format === "der") return Buffer.from(der);
    const label = `${word}${isPublic ? "PUBLIC" : "PRIVATE"} KEY`;
    const lines = Buffer.from(der).toString("base64").match(/.{1,64}/g).join("\n");
    return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
  }
}

class PublicKeyObject extends AsymmetricKeyObject {}
class PrivateKeyObject extends AsymmetricKeyObject {}

const publicKey = (pair) => new PublicKeyObject("public", { ...pair, private: null });
const privateKey = (pair) => new PrivateKeyObject("private", pair);

const keyFrom = (type, der) => type === "public" ? publicKey(publicPair(der, "spki")) : privateKey(privatePair(der, "pkcs8"));

// The pair behind a key of Web Cryptography.
function pairOfCrypto(key) {
  if (key.type === "secret") throw nodeError("ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", key.type, "private");
  const { type, data } = keyMaterial(key);
  return pairOf(keyFrom(type, data));
}

// The pair behind whatever a function takes as a key.
function pairFrom(input, name = "key") {
  if (pairs.has(input)) return pairs.get(input);
  if (isCryptoKey(input)) return pairOfCrypto(input);
  const isData = (value) => typeof value === "string" || ArrayBuffer.isView(value) || value instanceof ArrayBuffer;
  const { key, format = "pem", passphrase, type } = isData(input) || input === null || typeof input !== "object" ? { key: input } : input;
  if (pairs.has(key)) return pairs.get(key);
  if (isCryptoKey(key)) return pairOfCrypto(key);
  const secret = [input, key].find((value) => value instanceof KeyObject);
  if (secret !== undefined) throw nodeError("ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", secret.type, "private");
  if (format === "jwk") return fromJwk(key);
  if (!isData(key)) {
    const kinds = ["ArrayBuffer", "Buffer", "TypedArray", "DataView", "string", "KeyObject", "CryptoKey"];
    throw nodeError("ERR_INVALID_ARG_TYPE", name, kinds, key);
  }
  const bytes = bytesOf(key, name);
  if (format === "pem") return fromPem(Buffer.from(bytes).toString("latin1"), passphrase);
  validate.oneOf(type, `${name}.type`, ["pkcs1", "pkcs8", "sec1", "spki"]);
  if (type === "spki") return publicPair(bytes, type);
  // Of an encrypted key the first element is a sequence, not a version.
  if (type === "pkcs8" && sequence(bytes, 2)[0].tag === SEQUENCE) return unsealed(bytes, passphrase);
  if (type !== "pkcs1") return privatePair(bytes, type);
  return sequence(bytes, 2).length > 2 ? privatePair(bytes, type) : publicPair(bytes, type);
}

function privateFrom(input, name) {
  const pair = pairFrom(input, name);
  if (pairs.has(input) && input.type !== "private") {
    throw nodeError("ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", input.type, "private");
  }
  if (pair.private === null) throw unsupported();
  return pair;
}

function createPrivateKey(input) {
  if (input instanceof KeyObject) {
    throw nodeError("ERR_INVALID_ARG_TYPE", "key", ["string", "ArrayBuffer", "Buffer", "TypedArray", "DataView"], input);
  }
  return privateKey(privateFrom(input));
}

function createPublicKey(input) {
  if (input instanceof KeyObject && input.type !== "private") {
    throw nodeError("ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", input.type, "private");
  }
  return publicKey(pairFrom(input));
}

return {
  createPrivateKey, createPublicKey, keyFrom, makePair, makePssPair, native, pairFrom, pairOf, privateFrom, privateKey, pssParameters, publicKey,
  publicPart, scalarOf,
};
})
