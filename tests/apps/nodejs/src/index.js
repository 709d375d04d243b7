// Packages that were written for Node.js.

import { generateKeyPairSync } from "node:crypto";
import axios from "axios";
import bcrypt from "bcryptjs";
import jwt from "jsonwebtoken";
import { parse, serialize } from "pg-protocol";
import winston from "winston";

const attempt = (call) => {
  try {
    return call();
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
};

function tokens() {
  const pairs = {
    RS256: generateKeyPairSync("rsa", { modulusLength: 2048 }),
    PS384: generateKeyPairSync("rsa", { modulusLength: 2048 }),
    ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
    ES512: generateKeyPairSync("ec", { namedCurve: "P-521" }),
  };
  const answers = {};
  for (const [algorithm, { privateKey, publicKey }] of Object.entries(pairs)) {
    const pem = privateKey.export({ type: "pkcs8", format: "pem" });
    const token = jwt.sign({ sub: "ada" }, pem, { algorithm, keyid: "1", noTimestamp: true });
    const spki = publicKey.export({ type: "spki", format: "pem" });
    const [head, body, signature] = token.split(".");
    const forged = `${head}.${Buffer.from('{"sub":"eve"}').toString("base64url")}.${signature}`;
    answers[algorithm] = [
      jwt.verify(token, spki, { algorithms: [algorithm] }).sub,
      jwt.decode(token, { complete: true }).header.kid,
      attempt(() => jwt.verify(forged, spki)),
    ];
  }
  // RFC 7515, appendix A.1.
  const key = Buffer.from("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow", "base64url");
  const known = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
  answers.HS256 = [
    jwt.verify(known, key, { ignoreExpiration: true }).iss,
    attempt(() => jwt.verify(known, key)),
    attempt(() => jwt.verify(known, "other")),
  ];
  return answers;
}

async function database() {
  const sent = [serialize.startup({ user: "ada", database: "db" }), serialize.query("select 1")];
  const { Readable } = await import("node:stream");
  const messages = [];
  // DataRow and CommandComplete, as PostgreSQL sends them.
  const bytes = Buffer.from("440000000b00010000000131" + "430000000d53454c454354203100", "hex");
  await parse(Readable.from([bytes.subarray(0, 7), bytes.subarray(7)]), (message) => messages.push(message));
  return { sent: sent.map((buffer) => buffer.toString("hex")), messages: messages.map(({ name, fields, text }) => [name, fields ?? text]) };
}

async function log() {
  const { Writable } = await import("node:stream");
  const lines = [];
  const stream = new Writable({
    write(chunk, _, done) {
      lines.push(chunk.toString().trim());
      done();
    },
  });
  const logger = winston.createLogger({
    level: "info",
    format: winston.format.combine(winston.format.errors({ stack: false }), winston.format.splat(), winston.format.json()),
    defaultMeta: { service: "shop" },
    transports: [new winston.transports.Stream({ stream })],
  });
  logger.debug("unseen");
  logger.info("sold %d of %s", 3, "them");
  logger.error(new Error("out of stock"));
  await new Promise((resolve) => logger.on("finish", resolve).end());
  return lines.map((line) => JSON.parse(line));
}

async function client(env) {
  const api = axios.create({ baseURL: env.ORIGIN, adapter: "fetch", headers: { "x-one": "1" } });
  const { data, headers, status } = await api.post("/echo", { a: 1 }, { params: { q: "x y" } });
  const missing = await api.get("/missing").catch((error) => [error.name, error.response?.status]);
  return { data, status, type: headers["content-type"] ?? null, missing };
}

export default {
  async fetch(request, env) {
    switch (new URL(request.url).pathname) {
      case "/tokens":
        return Response.json(tokens());
      case "/passwords": {
        const hash = await bcrypt.hash("secret", 4);
        return Response.json([
          await bcrypt.compare("secret", hash),
          await bcrypt.compare("other", hash),
          bcrypt.compareSync("abc", "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"),
        ]);
      }
      case "/database":
        return Response.json(await database());
      case "/log":
        return Response.json(await log());
      case "/client":
        return Response.json(await client(env));
    }
    return new Response("?", { status: 404 });
  },
};
