// Calls of node:crypto and node:zlib.

import { cases as agreement } from "./agreement.js";
import { cases as certificates } from "./certificates.js";
import { cases as classes } from "./classes.js";
import { cases as pairs } from "./pairs.js";
import { cases as pss } from "./pss.js";

const text = "The quick brown fox jumps over the lazy dog";
const key = (length) => Uint8Array.from({ length }, (_, i) => i * 7 + 1);
const collect = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
};

// What goes in comes out again, in one piece and in many.
const around = (compress, decompress) => (zlib) => {
  const large = text.repeat(3000);
  const [one, two] = [zlib[decompress](zlib[compress](text)), zlib[decompress](zlib[compress](large))];
  return [one.toString(), two.length, two.toString() === large, zlib[decompress](zlib[compress](""))];
};

function encrypt(crypto, name, iv, ...parts) {
  const cipher = crypto.createCipheriv(name, key(Number(name.split("-")[1]) / 8), iv === 0 ? null : key(iv));
  if (name.endsWith("gcm")) cipher.setAAD(Buffer.from("more"));
  const out = Buffer.concat([...parts.map((part) => cipher.update(part)), cipher.final()]);
  return name.endsWith("gcm") ? [out, cipher.getAuthTag()] : out;
}

function decrypt(crypto, name, iv, data, tag) {
  const decipher = crypto.createDecipheriv(name, key(Number(name.split("-")[1]) / 8), iv === 0 ? null : key(iv));
  if (tag) decipher.setAAD(Buffer.from("more")).setAuthTag(tag);
  return decipher.update(data, undefined, "utf8") + decipher.final("utf8");
}

export const cases = {
  crypto: [
    ...agreement,
    ...certificates,
    ...classes,
    ...pairs,
    ...pss,
    ({ createHash }) =>
      ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "SHA256", "RSA-SHA256", "sha512-256", "sha3-256", "sha3-512"]
        .map((name) => createHash(name).update(text).digest("hex")),
    ({ createHash }) => createHash("sha256").update("a").update(Buffer.from("b")).update("63", "hex").digest("base64url"),
    ({ createHash }) => createHash("sha1").update("é", "latin1").digest(),
    ({ createHash }) => createHash("nope"),
    ({ createHash }) => createHash("md5").update(5),
    ({ createHash }) => {
      const hash = createHash("md5").update("a");
      return [hash.copy().update("b").digest("hex"), hash.digest("hex")];
    },
    ({ createHash }) => {
      const hash = createHash("md5");
      hash.digest();
      hash.update("x");
    },
    ({ createHash }) => {
      const hash = createHash("md5");
      hash.digest();
      hash.digest();
    },
    async ({ createHash }) => {
      const hash = createHash("sha256");
      hash.write("ab");
      hash.end("c");
      return collect(hash);
    },
    ({ createHmac }) =>
      ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"].map((name) => createHmac(name, "key").update(text).digest("hex")),
    ({ createHmac }) => createHmac("sha256", key(200)).update("").digest("base64"),
    ({ createHmac }) => createHmac("nope", "key"),
    ({ createHmac }) => createHmac("sha256", 5),
    ({ createHmac, createSecretKey }) => createHmac("sha256", createSecretKey(key(20))).update("x").digest("hex"),
    ({ createSecretKey }) => {
      const secret = createSecretKey("abc", "utf8");
      return [secret.type, secret.symmetricKeySize, secret.export(), secret.export({ format: "jwk" }), secret.equals(secret)];
    },
    ({ randomBytes }) => [randomBytes(5).length, randomBytes(0).length, randomBytes(16).equals(randomBytes(16))],
    ({ randomBytes }) => randomBytes(-1),
    async ({ randomBytes }) => new Promise((resolve) => randomBytes(3, (error, bytes) => resolve([error, bytes.length]))),
    ({ randomUUID }) => /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(randomUUID()),
    ({ randomInt }) => Array.from({ length: 100 }, () => randomInt(3, 6)).every((n) => n >= 3 && n < 6),
    ({ randomInt }) => randomInt(5, 5),
    ({ randomFillSync }) => randomFillSync(new Uint8Array(4), 1, 2).length,
    ({ timingSafeEqual }) => [timingSafeEqual(key(5), key(5)), timingSafeEqual(Buffer.from("a"), Buffer.from("b"))],
    ({ timingSafeEqual }) => timingSafeEqual(key(5), key(6)),
    ({ pbkdf2Sync }) =>
      ["sha1", "sha256", "sha512"].map((name) => pbkdf2Sync("password", "salt", 1000, 70, name).toString("hex")),
    ({ pbkdf2Sync }) => pbkdf2Sync("password", "salt", 0, 20, "sha1"),
    ({ pbkdf2Sync }) => pbkdf2Sync("password", "salt", 1, 20, "nope"),
    async ({ pbkdf2 }) => new Promise((resolve) => pbkdf2("p", "s", 1, 8, "sha256", (error, out) => resolve([error, out]))),
    ({ scryptSync }) => scryptSync("", "", 64, { N: 16, r: 1, p: 1 }).toString("hex"),
    ({ scryptSync }) => scryptSync("password", "NaCl", 32, { N: 1024, r: 8, p: 4 }).toString("hex"),
    ({ scryptSync }) => scryptSync("p", "s", 16, { N: 15 }),
    async ({ scrypt }) => new Promise((resolve) => scrypt("p", "s", 8, { N: 16 }, (error, out) => resolve([error, out]))),
    ({ hkdfSync }) => Buffer.from(hkdfSync("sha256", key(22), key(13), key(10), 82)),
    ({ hkdfSync }) => Buffer.from(hkdfSync("sha512", "ikm", "", "", 20)),
    (crypto) => ["aes-128-cbc", "aes-192-cbc", "aes-256-cbc"].map((name) => encrypt(crypto, name, 16, text)),
    (crypto) => ["aes-128-ctr", "aes-192-ctr", "aes-256-ctr"].map((name) => encrypt(crypto, name, 16, "a", text, "z")),
    (crypto) => ["aes-128-ecb", "aes-256-ecb"].map((name) => encrypt(crypto, name, 0, text, text)),
    (crypto) => ["aes-128-gcm", "aes-192-gcm", "aes-256-gcm"].map((name) => encrypt(crypto, name, 12, "a", text, "bc", text)),
    (crypto) => [1, 8, 16, 17, 60].map((iv) => encrypt(crypto, "aes-256-gcm", iv, text)),
    (crypto) => encrypt(crypto, "aes-256-gcm", 12),
    (crypto) =>
      [["aes-128-cbc", 16], ["aes-256-ctr", 16], ["aes-192-ecb", 0]].map(([name, iv]) =>
        decrypt(crypto, name, iv, encrypt(crypto, name, iv, text, "é"))
      ),
    (crypto) => decrypt(crypto, "aes-256-gcm", 12, ...encrypt(crypto, "aes-256-gcm", 12, text)),
    (crypto) => decrypt(crypto, "aes-256-gcm", 12, encrypt(crypto, "aes-256-gcm", 12, text)[0], key(16)),
    ({ createCipheriv, createDecipheriv }) => {
      const cipher = createCipheriv("aes-128-cbc", key(16), key(16)).setAutoPadding(false);
      const out = Buffer.concat([cipher.update("0123456789abcdef"), cipher.final()]);
      const decipher = createDecipheriv("aes-128-cbc", key(16), key(16)).setAutoPadding(false);
      return [out, Buffer.concat([decipher.update(out), decipher.final()]).toString()];
    },
    ({ createCipheriv }) => {
      const cipher = createCipheriv("aes-128-cbc", key(16), key(16));
      return cipher.update("abc", "utf8", "hex") + cipher.final("hex");
    },
    ({ createCipheriv }) => createCipheriv("nope", key(16), key(16)),
    ({ createCipheriv }) => createCipheriv("aes-128-cbc", key(5), key(16)),
    ({ createCipheriv }) => createCipheriv("aes-128-cbc", key(16), key(5)),
    async ({ createCipheriv }) => {
      const cipher = createCipheriv("aes-128-cbc", key(16), key(16));
      cipher.end(text);
      return collect(cipher);
    },
    ({ getHashes, getCiphers }) => [getHashes().includes("sha256"), getCiphers().includes("aes-256-gcm")],
    ({ webcrypto, subtle }) => [typeof webcrypto.getRandomValues, typeof subtle.digest],
    ({ createSecretKey, KeyObject }) => createSecretKey(key(3)) instanceof KeyObject,
  ],
  zlib: [
    (zlib) => {
      const { constants: { Z_FINISH, Z_SYNC_FLUSH, BROTLI_OPERATION_FINISH } } = zlib;
      const deflate = zlib.createDeflate();
      // As minizlib does it.
      const handle = deflate._handle;
      const { close } = handle;
      handle.close = () => {};
      const first = Buffer.from(deflate._processChunk(Buffer.from(text), Z_SYNC_FLUSH));
      deflate._handle = handle;
      handle.close = close;
      const packed = Buffer.concat([first, deflate._processChunk(Buffer.from(text), Z_FINISH)]);
      const other = zlib.createBrotliCompress()._processChunk(Buffer.from(text), BROTLI_OPERATION_FINISH);
      return [zlib.inflateSync(packed).toString(), zlib.createInflate()._processChunk(packed, Z_FINISH).toString(), zlib.brotliDecompressSync(other).toString(), deflate._closed];
    },
    ({ constants: { ZLIB_VERNUM, ...others }, codes }) => [others, Object.entries(codes).sort(([a], [b]) => a < b ? -1 : 1)],
    around("gzipSync", "gunzipSync"),
    around("deflateSync", "inflateSync"),
    around("deflateRawSync", "inflateRawSync"),
    around("brotliCompressSync", "brotliDecompressSync"),
    around("gzipSync", "unzipSync"),
    around("deflateSync", "unzipSync"),
    ({ gunzipSync }) => gunzipSync(Buffer.from("H4sIAAAAAAAAA8tIzcnJVyjPL8pJAQCFEUoNCwAAAA==", "base64")).toString(),
    ({ inflateSync }) => inflateSync(Buffer.from("eJzLSM3JyVcozy/KSQEAGgsEXQ==", "base64")).toString(),
    ({ brotliDecompressSync }) => brotliDecompressSync(Buffer.from("CwWAaGVsbG8gd29ybGQD", "base64")).toString(),
    ({ gunzipSync, gzipSync }) => gunzipSync(Buffer.concat([gzipSync("a"), gzipSync("b")])).toString(),
    ({ gunzipSync }) => gunzipSync("not compressed"),
    ({ inflateSync }) => inflateSync("not compressed"),
    ({ gunzipSync, gzipSync }) => gunzipSync(gzipSync("truncated data").subarray(0, 15)),
    ({ inflateSync, deflateSync }) => inflateSync(deflateSync("truncated data").subarray(0, 10)),
    ({ gunzipSync }) => gunzipSync(""),
    ({ gunzipSync, gzipSync }) => gunzipSync(gzipSync("x".repeat(1000)), { maxOutputLength: 10 }),
    ({ gzipSync }) => gzipSync(5),
    ({ gzipSync }) => gzipSync("x", { level: 99 }),
    ({ gzipSync }) => gzipSync("x").subarray(0, 4),
    async ({ gzip, gunzip }) =>
      new Promise((resolve) => gzip("abc", (_, data) => gunzip(data, (error, out) => resolve([error, out.toString()])))),
    async ({ gunzip }) => new Promise((resolve) => gunzip("nope", (error, out) => resolve([error.code, error.errno, out]))),
    async ({ createGzip, createGunzip }) => {
      const gzip = createGzip();
      gzip.write(text);
      gzip.end(text);
      return (await collect(gzip.pipe(createGunzip()))).toString();
    },
    async ({ createGunzip }) => {
      const stream = createGunzip();
      const error = new Promise((resolve) => stream.on("error", resolve));
      stream.end("nope");
      return (await error).code;
    },
    async ({ createDeflate, createInflate, constants }) => {
      const deflate = createDeflate({ level: constants.Z_BEST_SPEED });
      const inflate = createInflate();
      deflate.pipe(inflate);
      const first = new Promise((resolve) => inflate.once("data", resolve));
      deflate.write("flushed");
      deflate.flush();
      return String(await first);
    },
    ({ constants, Z_BEST_COMPRESSION }) => [constants.Z_FINISH, Z_BEST_COMPRESSION, constants.BROTLI_PARAM_QUALITY],
    ({ Gzip }) => Gzip() instanceof Gzip,
  ],
};
