// Wycheproof's vectors through `crypto.subtle`. A vector is `valid` (must succeed), `invalid` (must fail) or `acceptable`
// (either, but with the right result when it succeeds).

const { subtle } = crypto;
const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
const CURVES = { secp256r1: "P-256", secp384r1: "P-384", secp521r1: "P-521" };
const hashOf = (file) => file.algorithm.match(/SHA-?(1|256|384|512)$/)?.[1];

// Parameters that Web Cryptography has no place for: nothing is tested then.
class NotApplicable extends Error {}
const applies = (condition) => {
  if (!condition) throw new NotApplicable();
};

// For each type of group, the result of a vector in hexadecimal, and what it has to be.
const TYPES = {
  async AeadTest({ group, test }) {
    const algorithm = { name: "AES-GCM", iv: unhex(test.iv), additionalData: unhex(test.aad), tagLength: group.tagSize };
    const key = await subtle.importKey("raw", unhex(test.key), "AES-GCM", false, ["encrypt", "decrypt"]);
    if (test.result === "valid") {
      const sealed = hex(await subtle.encrypt(algorithm, key, unhex(test.msg)));
      if (sealed !== test.ct + test.tag) return [sealed, test.ct + test.tag];
    }
    return [hex(await subtle.decrypt(algorithm, key, unhex(test.ct + test.tag))), test.msg];
  },
  async IndCpaTest({ test }) {
    const algorithm = { name: "AES-CBC", iv: unhex(test.iv) };
    const key = await subtle.importKey("raw", unhex(test.key), "AES-CBC", false, ["encrypt", "decrypt"]);
    if (test.result === "valid") {
      const sealed = hex(await subtle.encrypt(algorithm, key, unhex(test.msg)));
      if (sealed !== test.ct) return [sealed, test.ct];
    }
    return [hex(await subtle.decrypt(algorithm, key, unhex(test.ct))), test.msg];
  },
  async KeywrapTest({ test }) {
    // What is wrapped is imported as an HMAC key, which may be of any length.
    const inner = { name: "HMAC", hash: "SHA-256" };
    const key = await subtle.importKey("raw", unhex(test.key), "AES-KW", false, ["wrapKey", "unwrapKey"]);
    const opened = await subtle.unwrapKey("raw", unhex(test.ct), key, "AES-KW", inner, true, ["sign"]);
    return [hex(await subtle.exportKey("raw", opened)), test.msg];
  },
  async MacTest({ file, group, test }) {
    applies(test.key.length > 0);
    const algorithm = { name: "HMAC", hash: `SHA-${hashOf(file)}` };
    const key = await subtle.importKey("raw", unhex(test.key), algorithm, false, ["sign", "verify"]);
    const mac = hex(await subtle.sign("HMAC", key, unhex(test.msg))).slice(0, group.tagSize / 4);
    if (test.result === "invalid" && mac !== test.tag) throw new Error("refused");
    return [mac, test.tag];
  },
  async HkdfTest({ file, test }) {
    const algorithm = { name: "HKDF", hash: `SHA-${hashOf(file)}`, salt: unhex(test.salt), info: unhex(test.info) };
    const key = await subtle.importKey("raw", unhex(test.ikm), "HKDF", false, ["deriveBits"]);
    return [hex(await subtle.deriveBits(algorithm, key, test.size * 8)), test.okm];
  },
  async PbkdfTest({ file, test }) {
    const algorithm = { name: "PBKDF2", hash: `SHA-${hashOf(file)}`, salt: unhex(test.salt), iterations: test.iterationCount };
    const key = await subtle.importKey("raw", unhex(test.password), "PBKDF2", false, ["deriveBits"]);
    return [hex(await subtle.deriveBits(algorithm, key, test.dkLen * 8)), test.dk];
  },
  async EcdsaP1363Verify({ group, test }) {
    const algorithm = { name: "ECDSA", namedCurve: CURVES[group.publicKey.curve], hash: group.sha };
    return await verified(group.publicKeyDer, algorithm, test);
  },
  async EddsaVerify({ group, test }) {
    return await verified(group.publicKeyDer, { name: "Ed25519" }, test);
  },
  async RsassaPkcs1Verify({ group, test }) {
    return await verified(group.publicKeyDer, { name: "RSASSA-PKCS1-v1_5", hash: group.sha }, test);
  },
  async RsassaPssVerify({ group, test }) {
    applies(group.sha === group.mgfSha);
    return await verified(group.publicKeyDer, { name: "RSA-PSS", hash: group.sha, saltLength: group.sLen }, test);
  },
  async RsaesOaepDecrypt({ group, test }) {
    applies(group.sha === group.mgfSha);
    const algorithm = { name: "RSA-OAEP", hash: group.sha };
    const key = await imported(`pkcs8 ${group.privateKeyPkcs8}`, () =>
      subtle.importKey("pkcs8", unhex(group.privateKeyPkcs8), algorithm, false, ["decrypt"]));
    return [hex(await subtle.decrypt({ ...algorithm, label: unhex(test.label) }, key, unhex(test.ct))), test.msg];
  },
  async EcdhTest({ group, test }) {
    const algorithm = { name: "ECDH", namedCurve: CURVES[group.curve] };
    const bits = { "P-256": 256, "P-384": 384, "P-521": 528 }[algorithm.namedCurve];
    const theirs = await subtle.importKey("spki", unhex(test.public), algorithm, false, []);
    const d = test.private.slice(-bits / 4).padStart(bits / 4, "0");
    const mine = await subtle.importKey("pkcs8", pkcs8(algorithm.namedCurve, d), algorithm, false, ["deriveBits"]);
    return [hex(await subtle.deriveBits({ ...algorithm, public: theirs }, mine, bits)), test.shared];
  },
  async XdhComp({ test }) {
    const theirs = await subtle.importKey("raw", unhex(test.public), "X25519", false, []);
    const der = unhex(`302e020100300506032b656e04220420${test.private}`);
    const mine = await subtle.importKey("pkcs8", der, "X25519", false, ["deriveBits"]);
    return [hex(await subtle.deriveBits({ name: "X25519", public: theirs }, mine, 256)), test.shared];
  },
};

const OIDS = { "P-256": "06082a8648ce3d030107", "P-384": "06052b81040022", "P-521": "06052b81040023" };
const der = (tag, content) => {
  const length = content.length / 2;
  const size = length < 128 ? length.toString(16).padStart(2, "0") : length < 256 ? `81${length.toString(16)}` : `82${length.toString(16).padStart(4, "0")}`;
  return tag + size + content;
};
// A private key of a curve (RFC 5208, RFC 5915) without its public part.
const pkcs8 = (curve, d) =>
  unhex(der("30", `020100${der("30", `06072a8648ce3d0201${OIDS[curve]}`)}${der("04", der("30", `020101${der("04", d)}`))}`));

// Keys of groups, which many vectors share.
const keys = new Map();
async function imported(name, make) {
  if (!keys.has(name)) keys.set(name, await make());
  return keys.get(name);
}

async function verified(spki, algorithm, test) {
  const key = await imported(`${algorithm.name} ${spki}`, () => subtle.importKey("spki", unhex(spki), algorithm, false, ["verify"]));
  const good = await subtle.verify(algorithm, key, unhex(test.sig), unhex(test.msg));
  if (!good) throw new Error("refused");
  return ["verified", "verified"];
}

export async function wycheproof(file, check) {
  for (const group of file.testGroups) {
    for (const test of group.tests) {
      await check(String(test.tcId), async () => {
        let result;
        try {
          result = await TYPES[group.type]({ file, group, test });
        } catch (error) {
          if (error instanceof NotApplicable) return null;
          return test.result === "valid" ? `${test.comment || test.flags}: ${error.name}: ${error.message}` : null;
        }
        if (test.result === "invalid") return `${test.comment || test.flags}: accepted`;
        return result[0] === result[1] ? null : `${test.comment || test.flags}: ${result[0]} instead of ${result[1]}`;
      });
    }
  }
}
