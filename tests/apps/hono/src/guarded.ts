import { Hono } from "hono";
import { basicAuth } from "hono/basic-auth";
import { bearerAuth } from "hono/bearer-auth";
import { deleteCookie, getCookie, getSignedCookie, setCookie, setSignedCookie } from "hono/cookie";
import { csrf } from "hono/csrf";
import { ipRestriction } from "hono/ip-restriction";
import { jwt, sign } from "hono/jwt";
import type { JwtVariables } from "hono/jwt";

type Env = { Bindings: { JWT_SECRET: string }; Variables: JwtVariables };
export const guarded = new Hono<Env>();

guarded.use("/basic/*", basicAuth({ username: "ada", password: "lovelace" }));
guarded.get("/basic/in", (c) => c.text("basic"));
guarded.use("/bearer/*", bearerAuth({ token: "token-1" }));
guarded.get("/bearer/in", (c) => c.text("bearer"));

guarded.get("/token", async (c) => {
  const exp = Math.floor(Date.now() / 1000) + (c.req.query("expired") ? -60 : 60);
  return c.text(await sign({ sub: "ada", role: "author", exp }, c.env.JWT_SECRET, "HS256"));
});
guarded.use("/jwt/*", (c, next) => jwt({ secret: c.env.JWT_SECRET, alg: "HS256" })(c, next));
guarded.get("/jwt/in", (c) => c.json(c.get("jwtPayload")));

guarded.use("/form/*", csrf({ origin: "https://shop.example" }));
guarded.post("/form/in", (c) => c.text("same site"));

guarded.get("/cookies/set", async (c) => {
  setCookie(c, "plain", "a b", { path: "/", httpOnly: true, sameSite: "Lax", maxAge: 60 });
  setCookie(c, "safe", "1", { prefix: "secure" });
  await setSignedCookie(c, "signed", "value", c.env.JWT_SECRET);
  deleteCookie(c, "gone");
  return c.text("set");
});
guarded.get("/cookies/get", async (c) =>
  c.json({ plain: getCookie(c, "plain"), signed: await getSignedCookie(c, c.env.JWT_SECRET, "signed") }),
);
guarded.use("/ip/*", ipRestriction(() => "10.1.2.3", { denyList: ["10.0.0.0/8"] }));
guarded.get("/ip/in", (c) => c.text("ip"));
