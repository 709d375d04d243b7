// A server that was written for Node.js: Express on node:http, and requests by node:http.

import http from "node:http";
import express from "express";
import { httpServerHandler } from "cloudflare:node";

const app = express();
app.use(express.json(), express.urlencoded({ extended: true }), express.text());

const books = new Map([["1", { id: "1", title: "Erewhon" }]]);

app.get("/books/:id", (request, response, next) => {
  const book = books.get(request.params.id);
  if (!book) return next();
  response.json({ ...book, query: request.query.q, host: request.hostname });
});
app.post("/books", (request, response) => {
  response.status(201).location("/books/2").json({ title: request.body.title, length: request.get("content-length") });
});
app.post("/forms", (request, response) => response.send(request.body));
app.post("/texts", (request, response) => response.type("html").send(`<p>${request.body}</p>`));
app.get("/cookies", (request, response) => {
  response.cookie("a", "1", { httpOnly: true }).cookie("b", "2").send(request.get("cookie"));
});
app.get("/away", (request, response) => response.redirect("/books/1"));
app.get("/pieces", (request, response) => {
  response.type("text").write("one ");
  setTimeout(() => {
    response.write("two ");
    response.end("three");
  }, 1);
});
app.get("/nothing", (request, response) => response.status(204).end());
app.get("/late", (request, response) => {
  response.send("sent");
  try {
    response.set("x-late", "1");
  } catch (error) {
    console.log(error.code);
  }
});
app.get("/fail", () => {
  throw new TypeError("out of books");
});

// What the origin answers goes on as it comes.
app.get("/upstream", (request, response) => {
  const upstream = http.get(`${process.env.ORIGIN}/echo?q=1`, { headers: { "X-One": "1" } }, (answer) => {
    response.writeHead(answer.statusCode, { "x-type": answer.headers["content-type"] });
    answer.pipe(response);
  });
  upstream.on("error", (error) => response.status(502).send(error.code));
});
app.post("/upstream", async (request, response) => {
  const { hostname, port } = new URL(process.env.ORIGIN);
  const upstream = http.request({ hostname, port, path: "/echo", method: "POST", headers: { "content-type": "text/plain" } });
  const answer = await new Promise((resolve, reject) => {
    upstream.on("response", resolve).on("error", reject);
    upstream.write("first ");
    upstream.end(request.body);
  });
  let text = "";
  for await (const piece of answer.setEncoding("utf8")) text += piece;
  response.send(text);
});
app.get("/nowhere", (request, response) => {
  http.get("http://127.0.0.1:1/").on("error", (error) => response.status(502).send(error.constructor.name));
});

app.use((error, request, response, next) => {
  if (response.headersSent) return next(error);
  response.status(500).json({ error: error.message, status: error.status });
});

app.listen(8080);

export default httpServerHandler({ port: 8080 });
