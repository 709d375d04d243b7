import { Hono } from "hono";
import { etag } from "hono/etag";
import { HTTPException } from "hono/http-exception";
import { books, type Book } from "./books";
import { Page } from "./page";

type Bindings = { TITLE: string };

const app = new Hono<{ Bindings: Bindings }>();

app.use("/api/*", etag());

app.get("/", (c) => c.html(<Page title={c.env.TITLE} books={books} />));

app.get("/api/books", (c) => c.json(books));

app.get("/api/books/:id{[0-9]+}", (c) => {
  const id = Number(c.req.param("id"));
  const book = books.find((candidate) => candidate.id === id);
  if (!book) throw new HTTPException(404, { message: `no book ${id}` });
  return c.json(book);
});

app.post("/api/books", async (c) => {
  const book = await c.req.json<Omit<Book, "id">>();
  if (typeof book.title !== "string") return c.json({ error: "a book needs a title" }, 400);
  return c.json({ id: books.length + 1, ...book }, 201);
});

app.onError((error, c) =>
  error instanceof HTTPException ? c.json({ error: error.message }, error.status) : c.json({ error: "internal" }, 500),
);

export default app;
