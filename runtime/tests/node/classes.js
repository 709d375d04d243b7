// Calls that look at the classes of node:crypto, and calls with the keys of Web Cryptography.

import { CERTIFICATES } from "./certificates.js";
import { PEM } from "./pairs.js";

const data = new TextEncoder().encode("The quick brown fox jumps over the lazy dog");
const CLASSES = ["DiffieHellman", "DiffieHellmanGroup", "ECDH", "Sign", "Verify", "X509Certificate"];
const methods = (Class) => Object.getOwnPropertyNames(Class.prototype).filter((name) => !name.startsWith("_") && name !== "verifyError").sort();

// A new pair of keys of Web Cryptography, and the key objects that stand for them.
async function pair({ KeyObject, generateKeyPairSync, webcrypto: { subtle } }, algorithm, [own, other]) {
  let keys;
  if (algorithm === RSA) {
    // Web Cryptography makes such a pair in half a minute when it is not optimised.
    const made = generateKeyPairSync("rsa", { modulusLength: RSA.modulusLength });
    keys = {
      privateKey: await subtle.importKey("pkcs8", made.privateKey.export({ type: "pkcs8", format: "der" }), algorithm, true, [own]),
      publicKey: await subtle.importKey("spki", made.publicKey.export({ type: "spki", format: "der" }), algorithm, true, [other]),
    };
  } else {
    keys = await subtle.generateKey(algorithm, true, [own, other]);
  }
  const { privateKey, publicKey } = keys;
  return { privateKey, publicKey, objects: [KeyObject.from(privateKey), KeyObject.from(publicKey)] };
}

const EC = { name: "ECDSA", namedCurve: "P-256" };
const RSA = { name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" };

export const cases = [
  (crypto) => CLASSES.map((name) => [name, crypto[name].name, typeof crypto[name], typeof crypto[name].prototype]),
  ({ X509Certificate }) => ["ca", "checkHost", "fingerprint256", "issuer", "publicKey", "subject", "validTo", "verify"].map((name) => methods(X509Certificate).includes(name)),
  ({ ECDH, Sign, Verify }) => [
    ["computeSecret", "generateKeys", "getPrivateKey", "getPublicKey", "setPrivateKey"].map((name) => methods(ECDH).includes(name)), typeof ECDH.convertKey,
    ["sign", "update", "end", "write"].map((name) => name in Sign.prototype), ["verify", "update", "pipe"].map((name) => name in Verify.prototype),
  ],
  ({ ECDH, Sign, X509Certificate }) => [
    new ECDH("prime256v1").constructor === ECDH, new Sign("SHA256").constructor === Sign,
    new X509Certificate(CERTIFICATES.ca).constructor === X509Certificate, Object.getPrototypeOf(new X509Certificate(CERTIFICATES.ca)) === X509Certificate.prototype,
  ],
  ({ X509Certificate }) => {
    class Named extends X509Certificate {
      get common() {
        return /CN=(.*)/.exec(this.subject)[1];
      }
    }
    const named = new Named(CERTIFICATES.ca);
    return [named.common, named.serialNumber, named instanceof X509Certificate, named instanceof Named, named.constructor === Named, new X509Certificate(CERTIFICATES.ca) instanceof Named];
  },
  ({ Verify, Sign }) => {
    class Signing extends Sign {
      both(key) {
        return this.update("both").sign(key, "hex").length;
      }
    }
    return [new Signing("SHA256").both(PEM.rsa), new Signing("SHA256") instanceof Sign, new Signing("SHA256") instanceof Verify];
  },
  ({ X509Certificate }) => X509Certificate(CERTIFICATES.ca),
  ({ Sign }) => Sign.call({}, "SHA256") instanceof Sign,
  ({ Sign }) => {
    Sign.prototype.added = function () {
      return typeof this.sign;
    };
    const result = new Sign("SHA256").added();
    delete Sign.prototype.added;
    return [result, "added" in new Sign("SHA256")];
  },
  async (crypto) => {
    const { objects: [own, other], publicKey } = await pair(crypto, EC, ["sign", "verify"]);
    const jwk = await crypto.webcrypto.subtle.exportKey("jwk", publicKey);
    return [own.type, other.type, own.asymmetricKeyType, other.asymmetricKeyDetails, other.export({ format: "jwk" }).x === jwk.x, crypto.createPublicKey(own).equals(other)];
  },
  async (crypto) => {
    const { objects: [own, other], privateKey, publicKey } = await pair(crypto, RSA, ["sign", "verify"]);
    const signature = crypto.sign("sha256", data, own);
    return [
      await crypto.webcrypto.subtle.verify(RSA.name, publicKey, signature, data), crypto.verify("sha256", data, publicKey, new Uint8Array(await crypto.webcrypto.subtle.sign(RSA.name, privateKey, data))),
      crypto.createVerify("RSA-SHA256").update(data).verify(other, crypto.createSign("RSA-SHA256").update(data).sign(privateKey)),
    ];
  },
  async (crypto) => {
    const { objects: [own, other], privateKey, publicKey } = await pair(crypto, { name: "Ed25519" }, ["sign", "verify"]);
    return [own.asymmetricKeyType, crypto.verify(null, data, publicKey, crypto.sign(null, data, own)), crypto.verify(null, data, other, crypto.sign(null, data, privateKey))];
  },
  async ({ createHmac, createSecretKey, KeyObject, webcrypto }) => {
    const secret = await webcrypto.subtle.importKey("raw", data, { name: "HMAC", hash: "SHA-256" }, true, ["sign"]);
    const made = KeyObject.from(secret);
    return [made.type, made.symmetricKeySize, made.equals(createSecretKey(data)), createHmac("sha256", secret).update("x").digest("hex") === createHmac("sha256", made).update("x").digest("hex")];
  },
  async ({ createCipheriv, webcrypto }) => {
    const secret = await webcrypto.subtle.importKey("raw", data.subarray(0, 16), "AES-GCM", true, ["encrypt"]);
    return createCipheriv("aes-128-gcm", secret, data.subarray(0, 12)).update("text", "utf8", "hex");
  },
  async ({ createHmac, createSign, webcrypto }) => {
    const failed = (run) => {
      try {
        return run();
      } catch (error) {
        return error.code;
      }
    };
    const { privateKey } = await webcrypto.subtle.generateKey(EC, true, ["sign", "verify"]);
    const secret = await webcrypto.subtle.importKey("raw", data, { name: "HMAC", hash: "SHA-256" }, true, ["sign"]);
    return [failed(() => createHmac("sha256", privateKey)), failed(() => createSign("SHA256").update("x").sign(secret))];
  },
  ({ KeyObject }) => KeyObject.from("text"),
  ({ createSign, createVerify, sign, verify }) => {
    const signature = createSign("RSA-SHA1").update(data).sign(PEM.rsa);
    return [signature, createVerify("RSA-SHA1").update(data).verify(PEM.rsa, signature), sign("sha1", data, PEM.rsa).equals(signature), verify("sha1", data.subarray(1), PEM.rsa, signature)];
  },
  (crypto) => crypto.fips === false || crypto.fips === 0,
  ({ constants: { defaultCipherList, defaultCoreCipherList, OPENSSL_VERSION_NUMBER, ...others } }) => others,
];
