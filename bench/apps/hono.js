// An app of about 100 KB: Hono with the middleware of a typical API. It counts its calls.
import { Hono } from "hono";
import { basicAuth } from "hono/basic-auth";
import { cors } from "hono/cors";
import { etag } from "hono/etag";
import { jwt } from "hono/jwt";
import { requestId } from "hono/request-id";
import { secureHeaders } from "hono/secure-headers";
import { validator } from "hono/validator";

const app = new Hono();
let calls = 0;

app.use(cors(), secureHeaders(), requestId());
app.use("/assets/*", etag());
app.use("/admin/*", basicAuth({ username: "admin", password: "admin" }));
app.use("/api/*", jwt({ secret: "secret", alg: "HS256" }));
app.get("/", (c) => {
  calls += 1;
  return c.text(`${APP_NAME} ${calls}\n`);
});
for (const name of ["users", "posts", "comments", "tags", "files"]) {
  app.get(`/api/${name}`, (c) => c.json([]));
  app.get(`/api/${name}/:id`, (c) => c.json({ id: c.req.param("id") }));
  app.post(`/api/${name}`, validator("json", (value) => value), (c) => c.json(c.req.valid("json"), 201));
}

export default app;
