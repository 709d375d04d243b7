// Packages that ask of the platform or of what puts them together what others do not.

import FormData from "form-data";
import got from "got";
import { Hono } from "hono";
import { env, getRuntimeKey } from "hono/adapter";
import pino from "pino";
import browserProcess from "process/browser.js";
import { Readable, Transform } from "readable-stream";
import { parseURL } from "whatwg-url";

const app = new Hono();

async function client(origin) {
  const api = got.extend({ prefixUrl: origin, retry: { backoffLimit: 1 }, headers: { "x-one": "1" } });
  const seen = [];
  const watched = api.extend({
    hooks: {
      beforeRequest: [({ method }) => { seen.push(method); }],
      afterResponse: [(response) => { seen.push(response.statusCode); return response; }],
    },
  });
  const echoed = await watched.post("echo", { json: { a: 1 }, searchParams: { q: "x y" } }).json();
  const missing = await api("missing").catch(({ code, name, response }) => [name, code, response.statusCode]);
  let text = "";
  for await (const chunk of api.stream("text")) text += chunk;
  const { retryCount, body } = await api("flaky");
  const late = await api("late", { timeout: { request: 20 }, retry: { limit: 0 } }).catch(({ code, name }) => [name, code]);
  const aborted = new AbortController();
  const call = api("late", { signal: aborted.signal });
  aborted.abort();
  const ended = await call.catch(({ name }) => name);
  return { echoed, seen, missing, text, flaky: [retryCount, body], late, ended };
}

app.get("/client", async (c) => c.json(await client(c.env.ORIGIN)));

// The platform that Hono finds decides where it looks for variables.
app.get("/variables", (c) => c.json([getRuntimeKey(), env(c).ORIGIN === c.env.ORIGIN, env(c) === c.env]));

// These require `process/`, `string_decoder/` and `punycode/`: packages that are named like modules of Node.js.
app.get("/named", async (c) => {
  const upper = new Transform({
    transform(chunk, encoding, done) {
      done(null, String(chunk).toUpperCase());
    },
  });
  let text = "";
  for await (const chunk of Readable.from(["a", "b"]).pipe(upper)) text += chunk;
  return c.json([text, parseURL("https://bücher.example/").host, browserProcess.title]);
});

// CommonJS that is imported when it is needed has its names.
app.get("/late", async (c) => {
  const { InteractionType, verifyKey } = await import("discord-interactions");
  const key = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  const hex = (bytes) => Buffer.from(bytes).toString("hex");
  const publicKey = hex(await crypto.subtle.exportKey("raw", key.publicKey));
  const signature = hex(await crypto.subtle.sign("Ed25519", key.privateKey, new TextEncoder().encode("1{}")));
  return c.json([InteractionType.PING, await verifyKey("{}", signature, "1", publicKey), await verifyKey("[]", signature, "1", publicKey)]);
});

app.get("/log", (c) => {
  pino({ base: null, timestamp: false }).child({ shop: 1 }).info({ sold: 3 }, "of %s", "them");
  return c.text("logged");
});

// CommonJS that takes the default export of an ES module, and a driver that looks for sockets where it would connect.
app.get("/mixed", async (c) => {
  const { connect, Made } = await import("./mixed.cjs");
  return c.json([new Made() instanceof Date, await connect()]);
});

app.get("/form", async (c) => {
  const form = new FormData();
  form.append("name", "ada");
  form.append("file", Buffer.from("content"), { filename: "a.txt", contentType: "text/plain" });
  const read = await new Response(form.getBuffer(), { headers: form.getHeaders() }).formData();
  return c.json([read.get("name"), read.get("file").name, await read.get("file").text()]);
});

export default app;
