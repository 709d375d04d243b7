// A JSON API of twenty routes: bodies are parsed, header fields are read, answers are built.
import { Hono } from "hono";

const app = new Hono();
const products = Array.from({ length: 20 }, (_, index) => ({ id: index + 1, name: `Product ${index + 1}`, price: 100 + index }));

app.get("/", (c) => c.text("shop"));
app.get("/health", (c) => c.json({ ok: true }));
app.get("/products", (c) => c.json({ products, locale: c.req.header("accept-language") }));
app.get("/products/:id", (c) => {
  const product = products[Number(c.req.param("id")) - 1];
  if (!product) return c.json({ error: "no such product" }, 404);
  c.header("cache-control", "no-store");
  return c.json({ ...product, currency: c.req.query("currency") ?? "EUR" });
});
app.put("/products/:id", async (c) => c.json({ id: c.req.param("id"), ...(await c.req.json()) }));
app.delete("/products/:id", (c) => c.body(null, 204));
app.get("/products/:id/reviews", (c) => c.json({ product: c.req.param("id"), reviews: [] }));
app.post("/products/:id/reviews", async (c) => c.json(await c.req.json(), 201));
app.get("/customers", (c) => c.json([]));
app.post("/customers", async (c) => c.json(await c.req.json(), 201));
app.get("/customers/:id", (c) => c.json({ id: c.req.param("id") }));
app.patch("/customers/:id", async (c) => c.json({ id: c.req.param("id"), ...(await c.req.json()) }));
app.get("/customers/:id/orders", (c) => c.json({ customer: c.req.param("id"), orders: [] }));
app.get("/customers/:id/addresses/:address", (c) => c.json(c.req.param()));
app.get("/orders", (c) => c.json({ page: Number(c.req.query("page") ?? 1), orders: [] }));
app.post("/orders", async (c) => {
  const order = await c.req.json();
  const total = order.lines.reduce((sum, line) => sum + line.price * line.quantity, 0);
  c.header("x-request-id", c.req.header("x-request-id"));
  c.header("location", `/orders/${order.id}`);
  return c.json({ id: order.id, customer: c.req.header("x-customer"), lines: order.lines.length, total, note: order.note }, 201);
});
app.get("/orders/:id", (c) => c.json({ id: c.req.param("id") }));
app.post("/orders/:id/cancel", (c) => c.json({ id: c.req.param("id"), cancelled: true }));
app.get("/search/:kind{products|orders}", (c) => c.json({ kind: c.req.param("kind"), q: c.req.query("q") }));
app.get("/files/*", (c) => c.text(c.req.path));

export default app;
