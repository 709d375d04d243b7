// Private keys that a passphrase protects: PKCS #8 with PBES2 (RFC 8018, sections 6.2 and A.4), which is also written, and the
// older form of PEM with its header `DEK-Info` (RFC 1421), which is read only.

(function (require) {
"use strict";

const { Buffer } = require("buffer");
const { nodeError } = require("internal/errors");
const { bytesOf } = require("internal/crypto_keys");
const { element, elements, sequence, unsigned, unsupported } = require("internal/crypto_der");

const PBES2 = "2a864886f70d01050d";
const PBKDF2 = "2a864886f70d01050c";
const HMACS = {
  __proto__: null,
  "2a864886f70d0207": "sha1",
  "2a864886f70d0209": "sha256",
  "2a864886f70d020a": "sha384",
  "2a864886f70d020b": "sha512",
};
const CIPHERS = {
  __proto__: null,
  "608648016503040102": { name: "aes-128-cbc", length: 16 },
  "608648016503040116": { name: "aes-192-cbc", length: 24 },
  "60864801650304012a": { name: "aes-256-cbc", length: 32 },
};
// As OpenSSL writes.
const ITERATIONS = 2048;
// About a second's worth.
const MOST_ITERATIONS = 10_000_000;

const hex = (bytes) => Buffer.from(bytes).toString("hex");

function failed(code, reason) {
  return Object.assign(new Error(`error:${code}:Provider routines::${reason}`), {
    library: "Provider routines",
    reason,
    code: `ERR_OSSL_${reason.toUpperCase().replaceAll(" ", "_")}`,
  });
}

function phrase(passphrase) {
  if (passphrase === undefined || passphrase === null) {
    const error = new TypeError("Passphrase required for encrypted key");
    throw Object.assign(error, { code: "ERR_MISSING_PASSPHRASE" });
  }
  return bytesOf(passphrase, "key.passphrase");
}

function deciphered(cipher, key, iv, data) {
  const { createDecipheriv } = require("crypto");
  try {
    const decipher = createDecipheriv(cipher, key, iv);
    return Buffer.concat([decipher.update(data), decipher.final()]);
  } catch {
    throw failed("1C800064", "bad decrypt");
  }
}

// PKCS #8 out of an EncryptedPrivateKeyInfo.
function open(der, passphrase) {
  const { pbkdf2Sync } = require("crypto");
  const secret = phrase(passphrase);
  const [scheme, sealed] = sequence(der, 2);
  const [method, parameters] = elements(scheme.content);
  if (hex(method.content) !== PBES2 || parameters === undefined) throw unsupported();
  const [derivation, encryption] = elements(parameters.content);
  const [kdf, settings] = elements(derivation.content);
  const [cipherId, iv] = elements(encryption.content);
  const cipher = CIPHERS[hex(cipherId.content)];
  if (hex(kdf.content) !== PBKDF2 || cipher === undefined || iv === undefined) throw unsupported();
  const [salt, count, ...rest] = elements(settings.content);
  const iterations = Number(`0x${hex(unsigned(count.content))}`);
  if (!(iterations >= 1 && iterations <= MOST_ITERATIONS)) throw unsupported();
  // The key's length may be there, and the hash when it is not SHA-1.
  const named = rest.find(({ tag }) => tag === 0x30);
  const hash = named === undefined ? "sha1" : HMACS[hex(elements(named.content)[0].content)];
  if (hash === undefined) throw unsupported();
  const key = pbkdf2Sync(secret, salt.content, iterations, cipher.length, hash);
  return deciphered(cipher.name, key, iv.content, sealed.content);
}

// An EncryptedPrivateKeyInfo of PKCS #8.
function seal(pkcs8, name, passphrase) {
  const { createCipheriv, pbkdf2Sync, randomBytes } = require("crypto");
  const id = Object.keys(CIPHERS).find((key) => CIPHERS[key].name === `${name}`.toLowerCase());
  if (id === undefined) throw nodeError("ERR_CRYPTO_UNKNOWN_CIPHER");
  const [salt, iv] = [randomBytes(16), randomBytes(16)];
  const key = pbkdf2Sync(phrase(passphrase), salt, ITERATIONS, CIPHERS[id].length, "sha256");
  const cipher = createCipheriv(CIPHERS[id].name, key, iv);
  const sealed = Buffer.concat([cipher.update(pkcs8), cipher.final()]);
  const hash = element(0x30, element(0x06, "2a864886f70d0209"), "0500");
  const settings = element(0x30, element(0x04, salt), element(0x02, "0800"), hash);
  const derivation = element(0x30, element(0x06, PBKDF2), settings);
  const encryption = element(0x30, element(0x06, id), element(0x04, iv));
  const scheme = element(0x30, element(0x06, PBES2), element(0x30, derivation, encryption));
  return element(0x30, scheme, element(0x04, sealed));
}

// The content of older PEM, whose key comes from MD5 of the passphrase and the first bytes of the vector.
function openLegacy(body, passphrase) {
  const { createHash } = require("crypto");
  const secret = phrase(passphrase);
  const [, name, vector] = /DEK-Info: *([A-Z0-9-]+),([0-9A-Fa-f]+)/.exec(body) ?? [];
  const cipher = Object.values(CIPHERS).find((one) => one.name === name?.toLowerCase());
  if (cipher === undefined) throw unsupported();
  const iv = Buffer.from(vector, "hex");
  let key = Buffer.alloc(0);
  for (let last = Buffer.alloc(0); key.length < cipher.length; key = Buffer.concat([key, last])) {
    last = createHash("md5").update(last).update(secret).update(iv.subarray(0, 8)).digest();
  }
  const text = body.slice(body.search(/\r?\n\r?\n/));
  return deciphered(cipher.name, key.subarray(0, cipher.length), iv, Buffer.from(text, "base64"));
}

return { open, openLegacy, seal };
})
