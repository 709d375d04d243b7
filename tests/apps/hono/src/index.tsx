import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { api } from "./api";
import { guarded } from "./guarded";
import { live } from "./live";
import { pages } from "./pages";

const app = new Hono();
app.route("/api", api);
app.route("/guarded", guarded);
app.route("/live", live);
app.route("/pages", pages);
app.get("/wild/*", (c) => c.text(`wild ${c.req.path}`));
app.get("/files/:name{.+\\.txt}", (c) => c.text(`file ${c.req.param("name")}`));
app.get("/optional/:name?", (c) => c.text(`hello ${c.req.param("name") ?? "nobody"}`));
app.notFound((c) => c.json({ error: `no ${c.req.method} ${c.req.path}` }, 404));
app.onError((error, c) => (error instanceof HTTPException ? error.getResponse() : c.json({ error: error.message }, 500)));
export default app;
