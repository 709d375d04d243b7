// X509Certificate of node:crypto (RFC 5280): what a certificate says, whom it is for, and who signed it. Names and
// extensions are written as Node.js writes them.

(function (require) {
"use strict";

const { Buffer } = require("buffer");
const { nodeError, validate } = require("internal/errors");
const { bytesOf, KeyObject } = require("internal/crypto_keys");
const { elements, sequence, unsigned } = require("internal/crypto_der");
const { createPublicKey, pairOf } = require("internal/crypto_pairs");
const names = require("internal/crypto_x509_names");

const INSPECT = Symbol.for("nodejs.util.inspect.custom");
const PEM = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----([^]*?)-----END (?:X509 |TRUSTED )?CERTIFICATE-----/;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
// What OpenSSL calls ways to reach information (RFC 5280, section 4.2.2.1).
const ACCESS = { __proto__: null, "1.3.6.1.5.5.7.48.1": "OCSP", "1.3.6.1.5.5.7.48.2": "CA Issuers" };
const SIGNATURES = {
  __proto__: null,
  "1.2.840.113549.1.1.5": { kind: "rsa", hash: "sha1" },
  "1.2.840.113549.1.1.11": { kind: "rsa", hash: "sha256" },
  "1.2.840.113549.1.1.12": { kind: "rsa", hash: "sha384" },
  "1.2.840.113549.1.1.13": { kind: "rsa", hash: "sha512" },
  "1.2.840.113549.1.1.10": { kind: "rsa", hash: "sha1", isPss: true },
  "1.2.840.10045.4.1": { kind: "ec", hash: "sha1" },
  "1.2.840.10045.4.3.2": { kind: "ec", hash: "sha256" },
  "1.2.840.10045.4.3.3": { kind: "ec", hash: "sha384" },
  "1.2.840.10045.4.3.4": { kind: "ec", hash: "sha512" },
  "1.3.101.112": { kind: "ed25519", hash: null },
};
const HASHES = {
  __proto__: null,
  "1.3.14.3.2.26": "sha1",
  "2.16.840.1.101.3.4.2.1": "sha256",
  "2.16.840.1.101.3.4.2.2": "sha384",
  "2.16.840.1.101.3.4.2.3": "sha512",
};
const NIST = { __proto__: null, prime256v1: ["P-256", 256], secp384r1: ["P-384", 384], secp521r1: ["P-521", 521], secp256k1: [undefined, 256] };

const latin1 = (bytes) => Buffer.from(bytes).toString("latin1");
const hexOf = (bytes) => Buffer.from(bytes).toString("hex").toUpperCase();
const digest = (hash, data) => require("crypto").createHash(hash).update(data).digest();

function unreadable() {
  const error = new Error("error:0480006C:PEM routines::no start line");
  return Object.assign(error, { library: "PEM routines", reason: "no start line", code: "ERR_OSSL_PEM_NO_START_LINE" });
}

// The parts of a certificate that anything here asks for.
function parse(der) {
  const whole = elements(der)[0];
  const [signed, algorithm, signature] = sequence(der, 3);
  const fields = elements(signed.content);
  // The version is optional.
  if (fields[0].tag === 0xa0) fields.shift();
  const [serial, , issuer, validity, subject, key, ...optional] = fields;
  const [from, to] = elements(validity.content).map(timeOf);
  const extensions = { __proto__: null };
  const listed = optional.find(({ tag }) => tag === 0xa3);
  if (listed !== undefined) {
    for (const { content } of elements(elements(listed.content)[0].content)) {
      const [id, ...rest] = elements(content);
      extensions[names.oid(id.content)] = elements(rest[rest.length - 1].content)[0];
    }
  }
  return {
    raw: Buffer.from(whole.raw), signed: signed.raw, algorithm, signature: signature.content.subarray(1), serial: serial.content,
    issuer: names.parse(issuer.content), subject: names.parse(subject.content), from, to, spki: key.raw, extensions,
  };
}

function timeOf({ tag, content }) {
  const text = latin1(content);
  const [, year, month, day, hour, minute, second] = (tag === 0x17 ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/).exec(text) ?? [];
  if (MONTHS[month - 1] === undefined) return "Bad time value";
  const full = tag !== 0x17 ? year : `${year >= "50" ? 19 : 20}${year}`;
  return `${MONTHS[month - 1]} ${`${Number(day)}`.padStart(2)} ${hour}:${minute}:${second} ${Number(full)} GMT`;
}

function serialOf(bytes) {
  const isNegative = bytes[0] >= 0x80;
  let number = BigInt(`0x${Buffer.from(bytes).toString("hex") || "0"}`);
  if (isNegative) number = (1n << BigInt(bytes.length * 8)) - number;
  const digits = number.toString(16).toUpperCase();
  return `${isNegative ? "-" : ""}${digits.length % 2 === 1 && number !== 0n ? "0" : ""}${digits}`;
}

// A bit of a BIT STRING, the first one first.
const bitOf = (element, bit) => (element.content[1 + (bit >> 3)] & (0x80 >> (bit & 7))) !== 0;

class X509Certificate {
  #parts;
  #publicKey;

  constructor(buffer) {
    if (typeof buffer !== "string" && !ArrayBuffer.isView(buffer)) {
      throw nodeError("ERR_INVALID_ARG_TYPE", "buffer", ["string", "Buffer", "TypedArray", "DataView"], buffer);
    }
    let der = bytesOf(buffer, "buffer");
    const body = PEM.exec(latin1(der));
    if (body !== null) der = Buffer.from(body[1], "base64");
    try {
      this.#parts = parse(der);
    } catch {
      throw unreadable();
    }
  }

  get subject() {
    return names.text(this.#parts.subject);
  }

  get issuer() {
    return names.text(this.#parts.issuer);
  }

  get subjectAltName() {
    return names.alternatives(this.#parts.extensions);
  }

  get infoAccess() {
    return this.#access()?.map(([name, location]) => `${name} - ${names.general(location)}`).join("\n");
  }

  get validFrom() {
    return this.#parts.from;
  }

  get validTo() {
    return this.#parts.to;
  }

  get fingerprint() {
    return this.#fingerprint("sha1");
  }

  get fingerprint256() {
    return this.#fingerprint("sha256");
  }

  get fingerprint512() {
    return this.#fingerprint("sha512");
  }

  // As Node.js has it, what a certificate says under extended key usage.
  get keyUsage() {
    const extended = this.#parts.extensions["2.5.29.37"];
    return extended === undefined ? undefined : elements(extended.content).map(({ content }) => names.oid(content));
  }

  get serialNumber() {
    return serialOf(this.#parts.serial);
  }

  // Certificates come alone here, not from a connection.
  get issuerCertificate() {
    this.#parts;
    return undefined;
  }

  get raw() {
    return this.#parts.raw;
  }

  get publicKey() {
    return this.#publicKey ??= createPublicKey({ key: this.#parts.spki, format: "der", type: "spki" });
  }

  get ca() {
    const constraints = this.#parts.extensions["2.5.29.19"];
    if (constraints === undefined || !this.#maySign()) return false;
    const [first] = elements(constraints.content);
    return first?.tag === 0x01 && first.content[0] !== 0;
  }

  toString() {
    return `-----BEGIN CERTIFICATE-----\n${this.#parts.raw.toString("base64").match(/.{1,64}/g).join("\n")}\n-----END CERTIFICATE-----\n`;
  }

  toJSON() {
    return this.toString();
  }

  checkHost(name, options = {}) {
    validate.string(name, "name");
    const flags = flagsOf(options);
    return names.host(this.#parts, textOf(name, "name"), flags);
  }

  checkEmail(email, options = {}) {
    validate.string(email, "email");
    const { subject } = flagsOf(options);
    return names.email(this.#parts, textOf(email, "email"), subject) ? email : undefined;
  }

  checkIP(ip) {
    validate.string(ip, "ip");
    const bytes = names.bytesOfAddress(ip);
    if (bytes === undefined) throw invalid("IP");
    return names.address(this.#parts, bytes) ? ip : undefined;
  }

  checkIssued(other) {
    const issuer = partsOf(other, "otherCert");
    const own = this.#parts;
    if (!names.same(own.issuer, issuer.subject)) return false;
    const authority = own.extensions["2.5.29.35"];
    const identified = issuer.extensions["2.5.29.14"];
    for (const { tag, content } of authority === undefined ? [] : elements(authority.content)) {
      if (tag === 0x80 && identified !== undefined && Buffer.compare(content, identified.content) !== 0) return false;
      if (tag === 0x82 && Buffer.compare(unsigned(content), unsigned(issuer.serial)) !== 0) return false;
    }
    const { asymmetricKeyType } = other.publicKey;
    return this.#algorithm()?.kind === asymmetricKeyType.replace("-pss", "") && maySign(issuer);
  }

  checkPrivateKey(privateKey) {
    if (!(privateKey instanceof KeyObject)) throw nodeError("ERR_INVALID_ARG_TYPE", "pkey", "KeyObject", privateKey);
    if (privateKey.type !== "private") throw nodeError("ERR_INVALID_ARG_VALUE", "pkey", privateKey);
    return Buffer.compare(pairOf(privateKey).public, pairOf(this.publicKey).public) === 0;
  }

  verify(publicKey) {
    if (!(publicKey instanceof KeyObject)) throw nodeError("ERR_INVALID_ARG_TYPE", "pkey", "KeyObject", publicKey);
    if (publicKey.type !== "public") throw nodeError("ERR_INVALID_ARG_VALUE", "pkey", publicKey);
    const algorithm = this.#algorithm();
    if (algorithm === undefined || algorithm.kind !== publicKey.asymmetricKeyType.replace("-pss", "")) return false;
    const key = algorithm.isPss ? { key: publicKey, padding: 6 } : publicKey;
    return require("crypto").verify(algorithm.hash, this.#parts.signed, key, this.#parts.signature);
  }

  toLegacyObject() {
    const { extensions, subject, issuer, spki } = this.#parts;
    const key = this.publicKey;
    const legacy = { subject: names.object(subject), issuer: names.object(issuer) };
    if (extensions["2.5.29.17"] !== undefined) legacy.subjectaltname = this.subjectAltName;
    const access = this.#access();
    if (access !== undefined) {
      legacy.infoAccess = { __proto__: null };
      for (const [name, location] of access) {
        const [, kind, value] = /^(.*?):([^]*)$/.exec(names.general(location));
        (legacy.infoAccess[`${name} - ${kind}`] ??= []).push(value);
      }
    }
    legacy.ca = this.ca;
    if (key.asymmetricKeyType === "rsa") {
      const [n, e] = sequence(sequence(spki, 2)[1].content.subarray(1), 2).map(({ content }) => unsigned(content));
      const { modulusLength } = key.asymmetricKeyDetails;
      Object.assign(legacy, { modulus: hexOf(n), bits: modulusLength, exponent: `0x${BigInt(`0x${hexOf(e)}`).toString(16)}`, pubkey: Buffer.from(spki) });
    } else if (key.asymmetricKeyType === "ec") {
      const { namedCurve } = key.asymmetricKeyDetails;
      const [nistCurve, bits] = NIST[namedCurve];
      Object.assign(legacy, { bits, pubkey: Buffer.from(sequence(spki, 2)[1].content.subarray(1)), asn1Curve: namedCurve });
      if (nistCurve !== undefined) legacy.nistCurve = nistCurve;
    }
    const { fingerprint, fingerprint256, fingerprint512, keyUsage, serialNumber } = this;
    Object.assign(legacy, { valid_from: this.validFrom, valid_to: this.validTo, fingerprint, fingerprint256, fingerprint512 });
    if (keyUsage !== undefined) legacy.ext_key_usage = keyUsage;
    return Object.assign(legacy, { serialNumber, raw: this.raw });
  }

  [INSPECT](depth, options, inspect) {
    if (typeof depth === "number" && depth < 0) return this;
    const { subject, subjectAltName, issuer, infoAccess, validFrom, validTo, fingerprint, fingerprint256, fingerprint512, keyUsage, serialNumber } = this;
    const shown = { subject, subjectAltName, issuer, infoAccess, validFrom, validTo, fingerprint, fingerprint256, fingerprint512, keyUsage, serialNumber };
    return `X509Certificate ${inspect(shown, { ...options, depth: options.depth === null ? null : options.depth - 1 })}`;
  }

  #access() {
    const access = this.#parts.extensions["1.3.6.1.5.5.7.1.1"];
    return access === undefined ? undefined : elements(access.content).map(({ content }) => {
      const [method, location] = elements(content);
      const id = names.oid(method.content);
      return [ACCESS[id] ?? id, location];
    });
  }

  #fingerprint(hash) {
    return hexOf(digest(hash, this.#parts.raw)).match(/../g).join(":");
  }

  #maySign() {
    return maySign(this.#parts);
  }

  #algorithm() {
    const [id, parameters] = elements(this.#parts.algorithm.content);
    const found = SIGNATURES[names.oid(id.content)];
    if (found === undefined || !found.isPss) return found;
    // RFC 4055, section 3.1: the hash, SHA-1 unless it is named.
    const named = parameters === undefined ? undefined : elements(parameters.content).find(({ tag }) => tag === 0xa0);
    if (named === undefined) return found;
    const hash = HASHES[names.oid(elements(elements(named.content)[0].content)[0].content)];
    return hash === undefined ? undefined : { ...found, hash };
  }

  static parts(certificate) {
    return certificate.#parts;
  }
}
const { parts } = X509Certificate;
delete X509Certificate.parts;

function partsOf(certificate, name) {
  if (!(certificate instanceof X509Certificate)) throw nodeError("ERR_INVALID_ARG_TYPE", name, "X509Certificate", certificate);
  return parts(certificate);
}

// RFC 5280, section 4.2.1.3: keyCertSign, where usages are named.
function maySign({ extensions }) {
  const usage = extensions["2.5.29.15"];
  return usage === undefined || bitOf(usage, 5);
}

const invalid = (what) => Object.assign(new TypeError(`Invalid ${what}`), { code: "ERR_INVALID_ARG_VALUE" });

// As OpenSSL takes texts: one NUL at the end does not count, another one cannot be part of a name.
function textOf(value, what) {
  const text = value.length > 1 && value.endsWith("\0") ? value.slice(0, -1) : value;
  if (text.includes("\0")) throw invalid(what);
  return text;
}

function flagsOf(options) {
  validate.object(options, "options");
  const { subject = "default", wildcards = true, partialWildcards = true, multiLabelWildcards = false, singleLabelSubdomains = false } = options;
  validate.string(subject, "options.subject");
  for (const [name, value] of Object.entries({ wildcards, partialWildcards, multiLabelWildcards, singleLabelSubdomains })) {
    validate.boolean(value, `options.${name}`);
  }
  validate.oneOf(subject, "options.subject", ["default", "always", "never"]);
  return { subject, wildcards, partialWildcards, multiLabelWildcards, singleLabelSubdomains };
}

return { X509Certificate };
})
