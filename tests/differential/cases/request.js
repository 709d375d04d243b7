// Request (Fetch standard, section 5.4).

import { attempt, attempts, chunks, descriptor, streamOf, utf8 } from "../run.js";

const make = (...rest) => new Request("http://host.example/a", ...rest);

export default {
  "the defaults": () => {
    const request = make();
    return [request.method, request.url, [...request.headers], request.body, request.bodyUsed, request.redirect];
  },
  "the attributes that a server has no use for": () => {
    const request = make();
    return ["cache", "credentials", "destination", "duplex", "integrity", "keepalive", "mode", "referrer", "referrerPolicy"]
      .map((name) => request[name]);
  },
  "the signal is an AbortSignal": () => [make().signal instanceof AbortSignal, make().signal.aborted],
  "the same signal each time": () => {
    const request = make();
    return request.signal === request.signal;
  },
  "the URL is parsed": () => new Request("HTTP://EXAMPLE.com:80/a/../b c?d e#f").url,
  "a URL object": () => new Request(new URL("http://a/b")).url,
  "anything with toString": () => new Request({ toString: () => "http://a/b" }).url,
  "a relative URL": () => attempt(() => new Request("/a")),
  "an empty URL": () => attempt(() => new Request("")),
  "no URL at all": () => attempt(() => new Request()),
  "a URL with credentials": () => attempt(() => new Request("http://user:pass@a/").url),
  "a URL that is no http": () => attempts(() => new Request("data:,x").url, () => new Request("about:blank").url, () => new Request("ftp://a/").url),
  "the fragment is kept": () => new Request("http://a/#b").url,
  "methods are upper-cased if they are standard": () =>
    ["get", "Post", "put", "delete", "head", "options"].map((method) => make({ method }).method),
  "methods that are not standard are upper-cased if they are known": () => [make({ method: "patch" }).method, make({ method: "PATCH" }).method, make({ method: "Patch" }).method, make({ method: "propfind" }).method],
  "a method of one's own": () => make({ method: "Chicken" }).method,
  "forbidden methods": () => attempts(...["CONNECT", "trace", "TRACK"].map((method) => () => make({ method }).method)),
  "invalid methods": () => attempts(...["", "a b", "a\n", "é", "\ud800"].map((method) => () => make({ method }).method)),
  "a method that is undefined": () => make({ method: undefined }).method,
  "a method that is null": () => attempt(() => make({ method: null }).method),
  "init that is null or undefined": () => [make(null).method, make(undefined).method],
  "init that is no object": () => attempts(() => make(1), () => make("x"), () => make(true)),
  "headers of init": () => [...make({ headers: { A: "1" } }).headers],
  "headers of init that are invalid": () => attempt(() => make({ headers: { "a b": "1" } })),
  "headers of init replace those of the request": () => [...new Request(make({ headers: { a: "1" } }), { headers: { b: "2" } }).headers],
  "headers of a request are copied": () => {
    const first = make({ headers: { a: "1" } });
    const second = new Request(first);
    first.headers.set("a", "2");
    return second.headers.get("a");
  },
  "a body with GET or HEAD": () => attempts(() => make({ body: "x" }), () => make({ method: "HEAD", body: "x" }), () => make({ method: "get", body: "" })),
  "a null body with GET": () => make({ body: null }).body,
  "a string body": async () => {
    const request = make({ method: "POST", body: "häh" });
    return [request.headers.get("content-type"), request.bodyUsed, await request.text(), request.bodyUsed];
  },
  "an empty string is a body": async () => {
    const request = make({ method: "POST", body: "" });
    return [request.body === null, request.headers.get("content-type"), await request.text()];
  },
  "content types that bodies bring along": () => {
    const form = new FormData();
    return [
      "x",
      new URLSearchParams("a=b"),
      new Blob(["x"]),
      new Blob(["x"], { type: "Text/Plain" }),
      new ArrayBuffer(1),
      new Uint8Array(1),
      streamOf(utf8("x")),
      form,
      5,
      { a: 1 },
    ].map((body) => make({ method: "POST", body, duplex: "half" }).headers.get("content-type")?.replace(/boundary=.*/, "boundary"));
  },
  "a content type that is there is kept": () => make({ method: "POST", body: "x", headers: { "Content-Type": "a/b" } }).headers.get("content-type"),
  "a stream as body needs duplex": () => attempt(() => make({ method: "POST", body: streamOf() }).method),
  "a stream as body with duplex half": () => make({ method: "POST", body: streamOf(), duplex: "half" }).method,
  "an unknown duplex": () => attempt(() => make({ method: "POST", body: "x", duplex: "full" }).method),
  "a locked stream as body": () => {
    const stream = streamOf();
    stream.getReader();
    return attempt(() => make({ method: "POST", body: stream, duplex: "half" }));
  },
  "a disturbed stream as body": async () => {
    const stream = streamOf(utf8("x"));
    const reader = stream.getReader();
    await reader.read();
    reader.releaseLock();
    return attempt(() => make({ method: "POST", body: stream, duplex: "half" }));
  },
  "redirect modes": () => attempts(...["follow", "manual", "error", "other", "", undefined, null].map((redirect) => () => make({ redirect }).redirect)),
  "signals of init": () => {
    const controller = new AbortController();
    const request = make({ signal: controller.signal });
    const before = request.signal.aborted;
    controller.abort("why");
    return [before, request.signal.aborted, request.signal.reason];
  },
  "a signal that is aborted already": () => {
    const request = make({ signal: AbortSignal.abort("why") });
    return [request.signal.aborted, request.signal.reason];
  },
  "a signal that is null": () => make({ signal: null }).signal.aborted,
  "a signal that is none": () => attempts(() => make({ signal: {} }), () => make({ signal: 1 })),
  "a request made from a request follows its signal": () => {
    const controller = new AbortController();
    const second = new Request(make({ signal: controller.signal }));
    controller.abort();
    return second.signal.aborted;
  },
  "a request made from a request, with signal null": () => {
    const controller = new AbortController();
    const second = new Request(make({ signal: controller.signal }), { signal: null });
    controller.abort();
    return second.signal.aborted;
  },
  "a clone follows the signal": () => {
    const controller = new AbortController();
    const clone = make({ signal: controller.signal }).clone();
    controller.abort();
    return clone.signal.aborted;
  },
  "a request made from a request": () => {
    const first = make({ method: "PUT", headers: { a: "1" }, redirect: "manual" });
    const second = new Request(first);
    return [second.method, second.url, second.headers.get("a"), second.redirect, second !== first];
  },
  "the body moves into a request made from it": async () => {
    const first = make({ method: "POST", body: "text" });
    const second = new Request(first);
    return [first.bodyUsed, second.bodyUsed, await second.text(), await attempt(() => first.text())];
  },
  "the body stays when another is given": async () => {
    const first = make({ method: "POST", body: "text" });
    const second = new Request(first, { body: "other" });
    return [first.bodyUsed, await second.text(), await first.text()];
  },
  "a request whose body was used cannot be made into another": async () => {
    const first = make({ method: "POST", body: "text" });
    await first.text();
    return attempts(() => new Request(first), async () => new Request(first, { body: "new" }).text());
  },
  "a POST made into a GET keeps its body and fails": () => attempt(() => new Request(make({ method: "POST", body: "x" }), { method: "GET" })),
  "clone": async () => {
    const first = make({ method: "POST", body: "text", headers: { a: "1" } });
    const second = first.clone();
    return [second.method, second.url, second.headers.get("a"), await first.text(), await second.text()];
  },
  "clone of a used request": async () => {
    const request = make({ method: "POST", body: "text" });
    await request.text();
    return attempt(() => request.clone());
  },
  "clone of a locked request": () => {
    const request = make({ method: "POST", body: "text" });
    request.body.getReader();
    return attempt(() => request.clone());
  },
  "clone of a stream body": async () => {
    const first = make({ method: "POST", body: streamOf(utf8("a"), utf8("b")), duplex: "half" });
    const second = first.clone();
    return [await second.text(), await first.text()];
  },
  "the body is a stream of bytes": async () => {
    const request = make({ method: "POST", body: "abc" });
    return [request.body instanceof ReadableStream, await chunks(request.body), request.bodyUsed];
  },
  "the body is the same stream each time": () => {
    const request = make({ method: "POST", body: "abc" });
    return request.body === request.body;
  },
  "the order in which init is read": () => {
    const seen = [];
    const init = new Proxy({}, { get: (_, key) => void seen.push(String(key)) });
    make(init);
    return ["body", "headers", "method", "redirect", "signal"].map((key) => seen.includes(key));
  },
  "init's getter that throws": () => attempt(() => make({ get method() { throw new RangeError(); } })),
  "the request that came": ({ request }) => [request.method, request instanceof Request, new URL(request.url).pathname, request.body, request.bodyUsed],
  "the request that came, changed": ({ request, origin }) => {
    const changed = new Request(`${origin}/x`, request);
    return [changed.method, new URL(changed.url).pathname, changed.headers.get("host") === request.headers.get("host")];
  },
  "without new": () => attempt(() => Request("http://a/")),
  "attributes cannot be set": () => {
    "use strict";
    const request = make();
    return attempts(() => { request.method = "POST"; }, () => { request.url = ""; });
  },
  "getters on something else": () =>
    attempts(...["method", "url", "headers", "signal", "redirect", "cache", "mode", "body", "bodyUsed"].map((name) => () =>
      Object.getOwnPropertyDescriptor(Request.prototype, name).get.call({}))),
  "methods on something else": () => attempts(() => Request.prototype.clone.call({}), () => Request.prototype.text.call({}), () => Request.prototype.json.call(undefined)),
  "the shape": () => [
    ["method", "url", "headers", "signal", "redirect", "body", "bodyUsed", "clone", "text", "json", "arrayBuffer", "blob", "bytes", "formData", Symbol.toStringTag]
      .map((name) => descriptor(Request.prototype, name)),
    Request.length,
    Request.name,
    Object.prototype.toString.call(make()),
  ],
  "a subclass": async () => {
    class Mine extends Request {
      get method() {
        return `mine ${super.method}`;
      }
    }
    const mine = new Mine("http://a/", { method: "POST", body: "x" });
    return [mine.method, mine instanceof Request, new Request(mine).method, await new Request(mine.clone()).text()];
  },
  "keepalive, credentials and so on are accepted": () =>
    attempts(() => make({ keepalive: true, credentials: "include", referrer: "", referrerPolicy: "origin", integrity: "" }).method),
  "an invalid mode": () => attempts(() => make({ mode: "navigate" }).mode, () => make({ mode: "nope" }).mode),
  "an invalid cache": () => attempts(() => make({ cache: "nope" }).cache),
  "an invalid credentials": () => attempts(() => make({ credentials: "nope" }).credentials),
  "cache modes": () => attempts(...["default", "no-store", "no-cache", "reload"].map((cache) => () => make({ cache }).cache)),
};
