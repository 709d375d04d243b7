// Calls of node:crypto with whole numbers: Diffie-Hellman, primes, points of curves, and RSA as it was first written down.

import { PEM } from "./pairs.js";

const GROUPS = ["modp1", "modp2", "modp5", "modp14", "modp15", "modp16", "modp17", "modp18"];
const P256 = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
const P256_Y = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
const K256 = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const outcome = (call) => {
  try {
    return call();
  } catch (error) {
    return [error.name, error.code, error.message];
  }
};
const failing = (...calls) => calls.map(outcome);

export const cases = [
  ({ createHash, getDiffieHellman }) =>
    GROUPS.map((name) => {
      const group = getDiffieHellman(name);
      return [createHash("sha256").update(group.getPrime()).digest("hex"), group.getGenerator("hex"), group.verifyError, group.getPrime().length];
    }),
  ({ createDiffieHellman, getDiffieHellman }) => {
    const group = createDiffieHellman(getDiffieHellman("modp5").getPrime("hex"), "hex", Buffer.from([2]));
    group.setPrivateKey("05", "hex");
    const own = [group.getPrivateKey("hex"), group.generateKeys("hex"), group.verifyError];
    return [own, group.computeSecret("04", "hex", "hex"), group.computeSecret(Buffer.from([3])).length, group.getGenerator()];
  },
  ({ createDiffieHellman, createDiffieHellmanGroup, DiffieHellman, DiffieHellmanGroup, getDiffieHellman }) =>
    ["modp1", "modp5", "modp14"].map((name) => {
      const [one, two] = [getDiffieHellman(name), createDiffieHellman(createDiffieHellmanGroup(name).getPrime())];
      const [first, second] = [one.generateKeys(), two.generateKeys("base64")];
      const secret = one.computeSecret(second, "base64", "hex");
      return [secret === two.computeSecret(first, null, "hex"), secret.length, one instanceof DiffieHellmanGroup,
        two instanceof DiffieHellman, one instanceof DiffieHellman, one.setPrivateKey, typeof two.setPublicKey];
    }),
  ({ createDiffieHellman }) => [Buffer.from([23]), Buffer.from([15]), Buffer.from("ffffffffffffffc5", "hex"), "abc", Buffer.from([7])]
    .map((prime) => [5, 2, "x", 0].map((generator) => outcome(() => createDiffieHellman(prime, generator).verifyError))),
  ({ createDiffieHellman, DiffieHellman, getDiffieHellman }) => {
    const group = getDiffieHellman("modp2");
    const prime = group.getPrime();
    const missing = failing(() => group.getPublicKey(), () => group.getPrivateKey(), () => group.computeSecret(Buffer.from([5])));
    group.generateKeys();
    return [missing, typeof DiffieHellman(prime).getPrime().length, ...failing(
      () => createDiffieHellman(),
      () => createDiffieHellman(13.37),
      () => createDiffieHellman(1),
      () => createDiffieHellman(256),
      () => createDiffieHellman(20_000).getPrime().length === 0,
      () => createDiffieHellman(prime, 1),
      () => createDiffieHellman(prime, {}),
      () => createDiffieHellman(Buffer.from([23]), 5).generateKeys(),
      () => getDiffieHellman("modp99"),
      () => getDiffieHellman(5),
      () => group.computeSecret(Buffer.alloc(0)),
      () => group.computeSecret(Buffer.from([1])),
      () => group.computeSecret(prime),
      () => group.computeSecret({}),
    )];
  },
  ({ checkPrimeSync, generatePrimeSync }) => {
    const made = generatePrimeSync(96, { bigint: true });
    const safe = generatePrimeSync(64, { bigint: true, safe: true });
    return [made >> 95n, checkPrimeSync(made), checkPrimeSync(safe), checkPrimeSync((safe - 1n) / 2n), generatePrimeSync(33).byteLength,
      generatePrimeSync(16, { add: 8n, rem: 3n, bigint: true }) % 8n, generatePrimeSync(16, { add: 8n, bigint: true }) % 8n,
      generatePrimeSync(3, { safe: true, bigint: true }), new Uint8Array(generatePrimeSync(2)),
      generatePrimeSync(64, { safe: true, add: 24n, rem: 23n, bigint: true }) % 24n];
  },
  ({ checkPrimeSync }) => [0n, 1n, 2n, 3n, 4n, 7n, 561n, 4093n, 16769023n, 2n ** 89n - 1n, 2n ** 521n - 1n, 2n ** 523n - 1n, Buffer.from([8]),
    new Uint16Array([0x0700]), Buffer.from("0000000b", "hex").buffer.slice(0, 0)].map((candidate) => checkPrimeSync(candidate)),
  ({ checkPrime, checkPrimeSync, generatePrime, generatePrimeSync }) => failing(
    () => generatePrimeSync(0),
    () => generatePrimeSync("x"),
    () => generatePrimeSync(1),
    () => generatePrimeSync(4, { safe: true }),
    () => generatePrimeSync(8, 1),
    () => generatePrimeSync(8, { safe: 1 }),
    () => generatePrimeSync(8, { add: 5 }),
    () => generatePrimeSync(8, { add: -1n }),
    () => generatePrimeSync(8, { add: 257n }),
    () => generatePrimeSync(8, { add: 3n, rem: 4n }),
    () => generatePrime(8),
    () => checkPrimeSync("x"),
    () => checkPrimeSync(-7n),
    () => checkPrimeSync(7n, { checks: -1 }),
    () => checkPrime(7n),
  ),
  ({ checkPrime, generatePrime }) => new Promise((resolve) =>
    generatePrime(40, { bigint: true }, (error, prime) => checkPrime(prime, (failure, is) => resolve([error === null || error === undefined, prime >> 39n, is])))),
  ({ ECDH }) => [
    ECDH.convertKey(Buffer.from(`04${P256}${P256_Y}`, "hex"), "prime256v1", undefined, "hex", "compressed"),
    ...["compressed", "uncompressed", "hybrid", undefined].map((format) => ECDH.convertKey(`03${P256}`, "prime256v1", "hex", "hex", format)),
    ...["02", "03"].map((sign) => ECDH.convertKey(`${sign}${K256}`, "secp256k1", "hex", "hex", "uncompressed")),
    ...failing(
      () => ECDH.convertKey("03", "prime256v1", "hex", "hex", "uncompressed"),
      () => ECDH.convertKey(`04${P256}${P256}`, "prime256v1", "hex", "hex", "compressed"),
      () => ECDH.convertKey("03", "x", "hex"),
      () => ECDH.convertKey({}, "prime256v1"),
    ),
  ],
  ({ createECDH, ECDH }) => ["prime256v1", "secp256k1", "secp384r1", "secp521r1"].map((curve) => {
    const [one, two] = [createECDH(curve), createECDH(curve)];
    one.setPrivateKey("0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20".padStart(curve === "secp384r1" ? 96 : curve === "secp521r1" ? 132 : 64, "0"), "hex");
    two.generateKeys();
    const forms = ["compressed", "hybrid", "uncompressed"].map((format) => one.getPublicKey("hex", format));
    const short = ECDH.convertKey(two.getPublicKey(), curve, null, null, "compressed");
    return [forms, one.computeSecret(short).equals(two.computeSecret(forms[0], "hex")), one.getPrivateKey("hex"), one instanceof ECDH,
      outcome(() => one.getPublicKey("hex", "x"))];
  }),
  ({ createECDH }) => {
    const alice = createECDH("secp256k1");
    alice.setPrivateKey(Buffer.alloc(32, 7));
    const bob = createECDH("secp256k1");
    bob.setPrivateKey(Buffer.alloc(32, 9));
    return [alice.computeSecret(bob.getPublicKey(), null, "hex"), alice.getPublicKey("hex", "compressed"),
      outcome(() => alice.setPrivateKey(Buffer.alloc(32))), outcome(() => alice.computeSecret(Buffer.alloc(33, 2)))];
  },
  ({ createPrivateKey, createPublicKey, createSign, createVerify, Sign, Verify }) => {
    const signer = createSign("SHA256");
    const verifier = createVerify("SHA256");
    return [signer instanceof Sign, verifier instanceof Verify, Sign("SHA256") instanceof Sign, createPrivateKey(PEM.rsa).type, createPublicKey(PEM.rsa).type];
  },
  ({ privateDecrypt, publicEncrypt }) => {
    const first = publicEncrypt({ key: PEM.rsa, padding: 1 }, Buffer.from("text"));
    return [first.length, first.equals(publicEncrypt({ key: PEM.rsa, padding: 1 }, Buffer.from("text"))),
      outcome(() => publicEncrypt({ key: PEM.rsa, padding: 1 }, Buffer.alloc(246)).length === 0)[0],
      outcome(() => privateDecrypt({ key: PEM.rsa, padding: 1 }, Buffer.alloc(256)).length === 0)[0]];
  },
  ({ publicDecrypt }) => {
    // Encrypted with the private key.
    const block = "ix1oY9Bd6V3dMRMjgNBPoN60zD4o96I3JZu0heUONyOXPzTrRFi+brv5hqURVoTDwebgpZOvY3Rbx3IchiUDVFoUfdSrNzq+ZDBm6bxzN6gre5zLUcr3+Hg89C3XuyGc5l+SAARLJLgXylYALy9dCKknHn3EGW4eBhHDpG8m08qm1iIPzJUzIK/UuiXvlOS9izjRDZuRoVFeIyt6xCJw9Qr+w33jP5ViQdD9NGAc4Y5JvFK2X3R4rC9F5QmzHVHaamGRD82GCI6C2At2UWybctqVXEutXjrq6y6QnVHhBwklpaDio5ymbeDPIj6pv5JD/31dJLBEHPih05nf11uFgQ==";
    const damaged = Buffer.from(block, "base64");
    damaged[9] ^= 1;
    return [publicDecrypt(PEM.rsa, Buffer.from(block, "base64")).toString(), publicDecrypt({ key: PEM.rsa, padding: 3 }, Buffer.from(block, "base64")).subarray(0, 3),
      outcome(() => publicDecrypt(PEM.rsa, damaged))[0], outcome(() => publicDecrypt(PEM.rsa, Buffer.alloc(3)))[0]];
  },
  ({ generateKeySync }) => [generateKeySync("aes", { length: 192 }).symmetricKeySize, generateKeySync("hmac", { length: 67 }).export().length, ...failing(
    () => generateKeySync("aes"),
    () => generateKeySync("aes", { length: 100 }),
    () => generateKeySync("hmac", { length: 4 }),
    () => generateKeySync("x", { length: 4 }),
    () => generateKeySync(1, {}),
  )],
  ({ generateKey }) => new Promise((resolve) =>
    generateKey("aes", { length: 256 }, (error, key) => resolve([error === null || error === undefined, key.type, key.symmetricKeySize]))),
];
