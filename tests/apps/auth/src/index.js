// Better Auth with passwords and sessions, and what it keeps in memory: a database of each request's own, because an app
// may run in several isolates.

import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";

const derive = (password, salt) => promisify(scrypt)(password, salt, 32, { N: 1024 });

// The package's own hash takes a hundred times as long.
const password = {
  async hash(password) {
    const salt = randomBytes(16);
    return `${salt.toString("hex")}:${(await derive(password, salt)).toString("hex")}`;
  },
  async verify({ hash, password }) {
    const [salt, key] = hash.split(":").map((part) => Buffer.from(part, "hex"));
    return timingSafeEqual(key, await derive(password, salt));
  },
};

const authOf = (origin) =>
  betterAuth({
    database: memoryAdapter({ account: [], session: [], user: [], verification: [] }),
    secret: "b7d1f0c52e6a4938b7d1f0c52e6a4938",
    baseURL: origin,
    emailAndPassword: { enabled: true, password },
  });

// Somebody who keeps cookies.
class Visitor {
  cookies = new Map();

  constructor(auth, origin) {
    this.auth = auth;
    this.origin = origin;
  }

  get cookie() {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  async ask(path, body) {
    const headers = { origin: this.origin, cookie: this.cookie, "content-type": "application/json" };
    const init = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
    const response = await this.auth.handler(new Request(`${this.origin}/api/auth/${path}`, init));
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (/max-age=0/i.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    const answer = await response.json().catch(() => undefined);
    return `${path} ${response.status} ${answer?.user?.name ?? answer?.code ?? JSON.stringify(answer)}`;
  }
}

async function story(auth, origin) {
  const visitor = new Visitor(auth, origin);
  const email = "ada@example.com";
  const lines = [
    await visitor.ask("sign-up/email", { email, password: "correct horse", name: "Ada" }),
    await visitor.ask("sign-up/email", { email, password: "correct horse", name: "Eve" }),
    await visitor.ask("update-user", { name: "Ada Lovelace" }),
    await visitor.ask("get-session"),
  ];
  const session = await auth.api.getSession({ headers: new Headers({ cookie: visitor.cookie }) });
  lines.push(`api ${session.user.email}`);
  const [name, value] = [...visitor.cookies].find(([name]) => name.endsWith("session_token"));
  visitor.cookies.set(name, value.replace(/^./, (first) => first === "a" ? "b" : "a"));
  lines.push(await visitor.ask("get-session"));
  visitor.cookies.set(name, value);
  lines.push(await visitor.ask("sign-out", {}), await visitor.ask("get-session"));
  lines.push(await visitor.ask("sign-in/email", { email, password: "wrong horse" }));
  lines.push(await visitor.ask("sign-in/email", { email, password: "correct horse" }), await visitor.ask("get-session"));
  return lines;
}

export default {
  async fetch(request) {
    const { origin, pathname } = new URL(request.url);
    const auth = authOf(origin);
    if (pathname === "/story") return Response.json(await story(auth, origin));
    return auth.handler(request);
  },
};
