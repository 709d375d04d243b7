import {
  H3,
  HTTPError,
  createEventStream,
  defineHandler,
  deleteCookie,
  getCookie,
  getQuery,
  getRequestURL,
  getRouterParam,
  getValidatedQuery,
  handleCors,
  html,
  onError,
  onRequest,
  onResponse,
  readBody,
  readValidatedBody,
  redirect,
  requireBasicAuth,
  setCookie,
  toRequest,
  withBase,
} from "h3";
import { z } from "zod";

const inner = new H3().get("/ping", () => "pong");

export const app = new H3()
  .use(onRequest((event) => void event.res.headers.set("x-seen", event.url.pathname)))
  .use(onResponse((response) => void response.headers.append("vary", "x-test")))
  .use(onError((error) => console.warn("failed", error.status)))
  .use("/cors", (event) => {
    const handled = handleCors(event, { origin: ["https://shop.example"], preflight: { statusCode: 204 }, methods: ["PUT"] });
    if (handled !== false) return handled;
  })
  .get("/", () => "h3")
  .get("/json/:name", (event) => ({ name: getRouterParam(event, "name", { decode: true }), query: getQuery(event) }))
  .get("/rest/**:path", (event) => event.context.params)
  .post("/echo", async (event) => ({ body: await readBody(event), type: event.req.headers.get("content-type") }))
  .post("/valid", async (event) => readValidatedBody(event, z.object({ count: z.number().int() })))
  .get("/valid", async (event) => getValidatedQuery(event, z.object({ page: z.coerce.number().min(1) })))
  .get("/html", () => html`<p>${"<tag>"}</p>`)
  .get("/none", (event) => {
    event.res.status = 204;
    return null;
  })
  .get("/redirect", () => redirect("/json/there", 307))
  .get("/cookies", (event) => {
    setCookie(event, "visits", String(Number(getCookie(event, "visits") ?? 0) + 1), { httpOnly: true, path: "/" });
    deleteCookie(event, "old");
    return { url: getRequestURL(event).pathname };
  })
  .get(
    "/secret",
    defineHandler({
      middleware: [async (event) => void (await requireBasicAuth(event, { username: "ada", password: "lovelace" }))],
      handler: () => "inside",
    }),
  )
  .get("/error", () => {
    throw new HTTPError({ status: 409, message: "conflict", data: { field: "id" } });
  })
  .get("/bug", () => {
    throw new Error("not for strangers");
  })
  .get("/stream", () => new Blob(["str", "eam"]).stream())
  .get("/events", (event) => {
    const events = createEventStream(event);
    const work = async () => {
      await events.push("one");
      await events.push({ event: "named", id: "2", data: "two" });
      await events.close();
    };
    event.waitUntil(work());
    return events.send();
  })
  .get("/web", async () => new Response("web", { status: 203, headers: { "x-web": "yes" } }))
  .get("/again", async (event) => app.fetch(toRequest("/json/inner", { headers: event.req.headers })))
  .use("/base/**", withBase("/base", inner));

export default app;
