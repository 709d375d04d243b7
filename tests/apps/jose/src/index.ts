import * as jose from "jose";
import { privatePem, publicPem } from "./rsa";

const encoder = new TextEncoder();
const claims = { sub: "ada", scope: ["read"] };

/** A key pair for an algorithm. */
async function keyPair(algorithm: string) {
  if (!algorithm.startsWith("R") && !algorithm.startsWith("P")) {
    return jose.generateKeyPair(algorithm, { extractable: true });
  }
  const [publicKey, privateKey] = await Promise.all([
    jose.importSPKI(publicPem, algorithm, { extractable: true }),
    jose.importPKCS8(privatePem, algorithm),
  ]);
  return { publicKey, privateKey };
}

/** Signs with a private key and verifies with its public half, for each algorithm. */
async function signatures(): Promise<Record<string, string>> {
  const verified: Record<string, string> = {};
  for (const algorithm of ["RS256", "PS256", "ES256", "ES384", "EdDSA"]) {
    const { publicKey, privateKey } = await keyPair(algorithm);
    const token = await new jose.SignJWT(claims)
      .setProtectedHeader({ alg: algorithm })
      .setIssuedAt()
      .setIssuer("urn:test")
      .setExpirationTime("5m")
      .sign(privateKey);
    const imported = await jose.importJWK(await jose.exportJWK(publicKey), algorithm);
    const { payload } = await jose.jwtVerify(token, imported, { issuer: "urn:test" });
    const spki = await jose.importSPKI(await jose.exportSPKI(publicKey), algorithm);
    await jose.jwtVerify(token, spki);
    const tampered = `${token.slice(0, -6)}AAAAAA`;
    const refused = await jose.jwtVerify(tampered, publicKey).catch((error) => error.code);
    verified[algorithm] = `${payload.sub} ${refused}`;
  }
  const secret = encoder.encode("a secret that is long enough for it");
  const token = await new jose.SignJWT(claims).setProtectedHeader({ alg: "HS256" }).setExpirationTime(1).sign(secret);
  verified.HS256 = await jose.jwtVerify(token, secret).catch((error) => error.code);
  return verified;
}

/** Encrypts to a public key and decrypts again, for each way of wrapping the content's key. */
async function encryption(): Promise<Record<string, string>> {
  const opened: Record<string, string> = {};
  for (const [algorithm, encoding] of [
    ["RSA-OAEP-256", "A256GCM"],
    ["ECDH-ES", "A128GCM"],
    ["ECDH-ES+A256KW", "A256CBC-HS512"],
  ]) {
    const { publicKey, privateKey } = await keyPair(algorithm);
    const sealed = await new jose.CompactEncrypt(encoder.encode("grüße"))
      .setProtectedHeader({ alg: algorithm, enc: encoding })
      .encrypt(publicKey);
    const { plaintext } = await jose.compactDecrypt(sealed, privateKey);
    opened[`${algorithm} ${encoding}`] = new TextDecoder().decode(plaintext);
  }
  const secret = await jose.generateSecret("A256GCM");
  const token = await new jose.EncryptJWT(claims).setProtectedHeader({ alg: "dir", enc: "A256GCM" }).encrypt(secret);
  opened.dir = (await jose.jwtDecrypt(token, secret)).payload.sub ?? "";
  const password = await new jose.CompactEncrypt(encoder.encode("by password"))
    .setProtectedHeader({ alg: "PBES2-HS256+A128KW", enc: "A128GCM" })
    .setKeyManagementParameters({ p2c: 1000 })
    .encrypt(encoder.encode("open sesame"));
  const key = encoder.encode("open sesame");
  const { plaintext } = await jose.compactDecrypt(password, key, { keyManagementAlgorithms: ["PBES2-HS256+A128KW"] });
  opened.password = new TextDecoder().decode(plaintext);
  return opened;
}

/** Verifies the request's token with the keys that the issuer publishes. */
async function remote(request: Request, issuer: string): Promise<object> {
  const keys = jose.createRemoteJWKSet(new URL("/jwks", issuer));
  const token = request.headers.get("authorization")?.replace("Bearer ", "") ?? "";
  try {
    const { payload, protectedHeader } = await jose.jwtVerify(token, keys, { audience: "atoll" });
    return { payload, kid: protectedHeader.kid };
  } catch (error) {
    return { error: error instanceof jose.errors.JOSEError ? error.code : String(error) };
  }
}

export default {
  async fetch(request: Request, env: { ISSUER: string }): Promise<Response> {
    switch (new URL(request.url).pathname) {
      case "/signatures":
        return Response.json(await signatures());
      case "/encryption":
        return Response.json(await encryption());
      case "/thumbprint": {
        const jwk = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
        return Response.json(await jose.calculateJwkThumbprint(jwk));
      }
      case "/remote":
        return Response.json(await remote(request, env.ISSUER));
      case "/issue": {
        // What the issuer would do: a key pair, the public half as it is published, and a token.
        const { publicKey, privateKey } = await jose.generateKeyPair("ES256", { extractable: true });
        const jwk = { ...(await jose.exportJWK(publicKey)), kid: "key-1", alg: "ES256", use: "sig" };
        const header = { alg: "ES256", kid: "key-1" };
        const sign = (audience: string) =>
          new jose.SignJWT(claims).setProtectedHeader(header).setAudience(audience).setExpirationTime("1h").sign(privateKey);
        return Response.json({ jwks: { keys: [jwk] }, good: await sign("atoll"), bad: await sign("elsewhere") });
      }
      default:
        return new Response("no such page", { status: 404 });
    }
  },
};
