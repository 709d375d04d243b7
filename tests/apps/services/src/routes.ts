import { Elysia, t } from "elysia";
import { CloudflareAdapter } from "elysia/adapter/cloudflare-worker";

export const routes = new Elysia({ adapter: CloudflareAdapter, aot: false })
  .get("/", () => "hello")
  .get("/items/:id", ({ params, query }) => ({ id: params.id, query }), { params: t.Object({ id: t.Number() }) })
  .post("/items", ({ body, cookie: { last } }) => {
    last.value = body.name;
    return body;
  }, { body: t.Object({ name: t.String() }) })
  .get("/words", function* () {
    yield "one ";
    yield "two";
  });
