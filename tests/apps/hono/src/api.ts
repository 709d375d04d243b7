import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import { etag } from "hono/etag";
import { HTTPException } from "hono/http-exception";
import { prettyJSON } from "hono/pretty-json";
import { requestId } from "hono/request-id";
import { secureHeaders } from "hono/secure-headers";
import { timing, startTime, endTime } from "hono/timing";
import { validator } from "hono/validator";
import { zValidator } from "@hono/zod-validator";
import { z } from "zod";

type Book = { id: number; title: string; tags: string[] };
const books: Book[] = [{ id: 1, title: "Erewhon", tags: ["satire"] }];
const bookSchema = z.object({ title: z.string().min(1).max(40), tags: z.array(z.string()).default([]) });
const searchSchema = z.object({ limit: z.coerce.number().int().positive().max(100).default(10), tag: z.string().optional() });

export const api = new Hono<{ Variables: { requestId: string } }>();
api.use(cors({ origin: ["https://shop.example"], allowMethods: ["GET", "POST"], maxAge: 600, credentials: true }));
api.use(secureHeaders());
api.use("/books/*", etag());
api.use("/pretty", prettyJSON());
api.use("/id", requestId());
api.use("/timed", timing());

api.get("/books", zValidator("query", searchSchema), (c) => {
  const { limit, tag } = c.req.valid("query");
  return c.json(books.filter((book) => !tag || book.tags.includes(tag)).slice(0, limit));
});
api.get("/books/:id{[0-9]+}", (c) => {
  const book = books.find(({ id }) => id === Number(c.req.param("id")));
  if (!book) throw new HTTPException(404, { message: "no such book" });
  return c.json(book);
});
api.post("/books", bodyLimit({ maxSize: 200 }), zValidator("json", bookSchema), (c) => {
  const book = { id: 2, ...c.req.valid("json") };
  return c.json(book, 201, { Location: `/api/books/${book.id}` });
});
api.post(
  "/form",
  validator("form", (value, c) => {
    if (typeof value.name !== "string") return c.text("name?", 400);
    return { name: value.name };
  }),
  async (c) => {
    const body = await c.req.parseBody();
    const file = body.file instanceof File ? `${body.file.name} ${body.file.type} ${await body.file.text()}` : "no file";
    return c.text(`${c.req.valid("form").name}: ${file}`);
  },
);
api.get("/pretty", (c) => c.json({ a: [1] }));
api.get("/id", (c) => c.text(c.get("requestId")));
api.get("/timed", (c) => {
  startTime(c, "work");
  endTime(c, "work");
  return c.text("timed");
});
api.get("/queries", (c) => c.json(c.req.queries("q")));
api.onError((error, c) => (error instanceof HTTPException ? error.getResponse() : c.text("api error", 500)));
api.get("/broken", () => {
  throw new Error("broken");
});
