// Response (Fetch standard, section 5.5).

import { attempt, attempts, chunks, descriptor, pause, streamOf, utf8 } from "../run.js";

export default {
  "the defaults": () => {
    const response = new Response();
    return [response.status, response.statusText, response.ok, response.type, response.url, response.redirected, response.body, [...response.headers]];
  },
  "status codes": () => attempts(...[200, 299, 300, 404, 599, "201", 200.9].map((status) => () => [new Response(null, { status }).status, new Response(null, { status }).ok])),
  "invalid status codes": () => attempts(...[0, 99, 100, 101, 199, 600, 1000, -1, NaN, "x", null, {}].map((status) => () => new Response(null, { status }).status)),
  "status 65736 wraps around": () => attempt(() => new Response(null, { status: 65536 + 200 }).status),
  "status undefined": () => new Response(null, { status: undefined }).status,
  "a body with a null body status": () => attempts(...[204, 205, 304].map((status) => () => new Response("", { status }).status)),
  "no body with a null body status": () => [204, 205, 304].map((status) => new Response(null, { status }).status),
  "statusText": () => attempts(...["OK", "", "a b\tc", "\xe9", "\n", "\u0100", "a\0"].map((statusText) => () => new Response(null, { statusText }).statusText)),
  "a body of undefined": () => new Response(undefined).body,
  "bodies": async () => {
    const texts = [];
    for (const body of ["text", 5, true, { a: 1 }, [1, 2], new URLSearchParams({ a: "b c" }), new Blob(["blob"]), utf8("bytes"), utf8("buffer").buffer, new DataView(utf8("view").buffer, 1, 2)]) {
      texts.push(await new Response(body).text());
    }
    return texts;
  },
  "content types that bodies bring along": () =>
    ["x", new URLSearchParams(), new Blob([], { type: "a/b" }), new Blob([]), utf8("x"), streamOf()].map((body) => new Response(body).headers.get("content-type")),
  "a symbol as body": () => attempt(() => new Response(Symbol())),
  "a body whose toString throws": () => attempt(() => new Response({ toString() { throw new RangeError(); } })),
  "headers of init": () => [...new Response(null, { headers: [["B", "1"], ["a", "2"]] }).headers],
  "headers of init from a Headers": () => {
    const headers = new Headers({ a: "1" });
    const response = new Response(null, { headers });
    headers.set("a", "2");
    return [response.headers.get("a"), response.headers === headers];
  },
  "init that is no object": () => attempts(() => new Response("", 1).status, () => new Response("", "x").status, () => new Response("", null).status),
  "init that is a response": () => {
    const response = new Response("b", new Response("a", { status: 404, statusText: "gone", headers: { x: "y" } }));
    return [response.status, response.statusText, response.headers.get("x")];
  },
  "Response.json": async () => {
    const response = Response.json({ a: [1, null, "é"] });
    return [response.status, response.headers.get("content-type"), await response.text()];
  },
  "Response.json with init": () => {
    const response = Response.json(null, { status: 201, headers: { "content-type": "a/b", x: "y" } });
    return [response.status, response.headers.get("content-type"), response.headers.get("x")];
  },
  "Response.json of what is no JSON": () => {
    const loop = {};
    loop.loop = loop;
    return attempts(() => Response.json(undefined), () => Response.json(() => {}), () => Response.json(Symbol()), () => Response.json(loop), () => Response.json(1n));
  },
  "Response.json without argument": () => attempt(() => Response.json()),
  "Response.json with a null body status": () => attempts(...[204, 304].map((status) => () => Response.json({}, { status }))),
  "Response.json with toJSON": async () => await Response.json({ toJSON: () => "t" }).text(),
  "Response.error": () => {
    const response = Response.error();
    return [response.type, response.status, response.ok, response.statusText, response.body, [...response.headers]];
  },
  "Response.redirect": () => {
    const response = Response.redirect("http://a/b c");
    return [response.status, response.headers.get("location"), response.body, response.type];
  },
  "Response.redirect's codes": () => attempts(...[301, 302, 303, 307, 308, 200, 300, 304, 305, 306, 309].map((code) => () => Response.redirect("http://a/", code).status)),
  "Response.redirect to no URL": () => attempts(() => Response.redirect("/a"), () => Response.redirect("http://"), () => Response.redirect()),
  "clone": async () => {
    const response = new Response("text", { status: 404, statusText: "no", headers: { a: "1" } });
    const clone = response.clone();
    clone.headers.set("a", "2");
    return [clone.status, clone.statusText, response.headers.get("a"), await response.text(), await clone.text()];
  },
  "clone of a used response": async () => {
    const response = new Response("text");
    await response.text();
    return attempt(() => response.clone());
  },
  "clone of a locked response": () => {
    const response = new Response("text");
    response.body.getReader();
    return attempt(() => response.clone());
  },
  "clone of a response without a body": async () => {
    const response = new Response();
    const clone = response.clone();
    return [clone.body, await clone.text()];
  },
  "clone of a clone": async () => {
    const first = new Response(streamOf(utf8("a"), utf8("b")));
    const second = first.clone();
    const third = second.clone();
    return [await third.text(), await first.text(), await second.text()];
  },
  "a clone's chunks are its own": async () => {
    const chunk = utf8("abc");
    const first = new Response(streamOf(chunk));
    const second = first.clone();
    const [mine] = await chunks(first.body);
    const [other] = await chunks(second.body);
    return [mine.buffer === other.buffer, mine, other];
  },
  "cancelling one clone leaves the other": async () => {
    const first = new Response(streamOf(utf8("a"), utf8("b")));
    const second = first.clone();
    const cancelled = first.body.cancel();
    const text = await second.text();
    return [text, await Promise.race([cancelled, pause(200)])];
  },
  "the body is the same stream each time": () => {
    const response = new Response("x");
    return [response.body === response.body, response.body instanceof ReadableStream];
  },
  "a stream body is the given stream": () => {
    const stream = streamOf();
    return new Response(stream).body === stream;
  },
  "a locked stream as body": () => {
    const stream = streamOf();
    stream.getReader();
    return attempt(() => new Response(stream));
  },
  "a disturbed stream as body": async () => {
    const stream = streamOf(utf8("x"));
    await stream.cancel();
    return attempt(() => new Response(stream));
  },
  "the body of a used response as another's body": async () => {
    const response = new Response("x");
    await response.text();
    return attempt(() => new Response(response.body));
  },
  "an async iterable as body": async () => {
    async function* parts() {
      yield utf8("a");
      yield utf8("b");
    }
    return attempt(() => new Response(parts()).text());
  },
  "an iterable with its own toString as body": () => new Response({ toString: () => "own", *[Symbol.iterator]() {} }).text(),
  "without new": () => attempt(() => Response()),
  "getters on something else": () =>
    attempts(...["status", "ok", "url", "headers", "type", "redirected", "statusText", "body", "bodyUsed"].map((name) => () =>
      Object.getOwnPropertyDescriptor(Response.prototype, name).get.call({}))),
  "methods on something else": () => attempts(() => Response.prototype.clone.call({}), () => Response.prototype.text.call({}), () => Response.prototype.arrayBuffer.call(new Request("http://a/"))),
  "the shape": () => [
    ["status", "statusText", "ok", "type", "url", "redirected", "headers", "body", "bodyUsed", "clone", "text", "json", "arrayBuffer", "blob", "bytes", "formData", Symbol.toStringTag]
      .map((name) => descriptor(Response.prototype, name)),
    ["json", "error", "redirect"].map((name) => [descriptor(Response, name), Response[name].length]),
    Response.length,
    Object.prototype.toString.call(new Response()),
  ],
  "a subclass": async () => {
    class Mine extends Response {
      get status() {
        return 999;
      }
    }
    const mine = new Mine("x", { status: 201 });
    return [mine.status, mine instanceof Response, new Response(null, mine).status === 201, await mine.clone().text()];
  },
  "a response in response's place": () => attempt(() => new Response(new Response("inner")).text()),
  "init's getter that throws": () => attempt(() => new Response("", { get status() { throw new RangeError(); } })),
  "the order in which init is read": () => {
    const seen = [];
    new Response("", new Proxy({}, { get: (_, key) => void seen.push(String(key)) }));
    return ["headers", "status", "statusText"].map((key) => seen.includes(key));
  },
  "a large body": async () => (await new Response("x".repeat(1 << 20)).text()).length,
  "a huge status text": () => new Response(null, { statusText: "x".repeat(100_000) }).statusText.length,
  "JSON of it": () => JSON.stringify(new Response("x")),
};
