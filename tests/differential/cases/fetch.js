// fetch (Fetch standard, sections 4 and 5.6) against an origin on loopback.

import { attempt, attempts, chunks, pause, streamOf, utf8 } from "../run.js";

const echo = async (...rest) => await (await fetch(...rest)).json();
const readHeader = (seen, name) => seen.headers[name] ?? null;

export default {
  "a response": async ({ origin }) => {
    const response = await fetch(`${origin}/json`);
    return [response.status, response.ok, response.type, response.redirected, response.url === `${origin}/json`, response.headers.get("content-type"), await response.json()];
  },
  "the status text": async ({ origin }) => (await fetch(`${origin}/json`)).statusText,
  "no argument": () => attempt(() => fetch()),
  "returns a promise that rejects": () => {
    const promise = fetch("nope");
    promise.catch(() => {});
    return promise instanceof Promise;
  },
  "a relative URL": () => attempts(() => fetch("/a"), () => fetch(""), () => fetch("a")),
  "an unknown scheme": () => attempts(() => fetch("ftp://a/"), () => fetch("chicken:x"), () => fetch("about:blank"), () => fetch("javascript:1"), () => fetch("blob:nothing")),
  "a URL with credentials": () => attempt(() => fetch("http://user:pass@127.0.0.1:1/").then(() => "sent")),
  "a port that is blocked": () => attempts(() => fetch("http://127.0.0.1:22/"), () => fetch("http://127.0.0.1:25/"), () => fetch("http://127.0.0.1:6667/")),
  "a port that nobody listens at": () => attempt(() => fetch("http://127.0.0.1:1/")),
  "a host that does not exist": () => attempt(() => fetch("http://does-not-exist.invalid/")),
  "a URL object": async ({ origin }) => (await fetch(new URL("/json", origin))).status,
  "a request": async ({ origin }) => (await echo(new Request(`${origin}/echo`, { method: "PUT", body: "x" }))).method,
  "a request and init": async ({ origin }) => {
    const seen = await echo(new Request(`${origin}/echo`, { method: "PUT", body: "x", headers: { a: "1" } }), { method: "POST", headers: { b: "2" } });
    return [seen.method, seen.body, readHeader(seen, "a"), readHeader(seen, "b")];
  },
  "the body of a request that was sent": async ({ origin }) => {
    const request = new Request(`${origin}/echo`, { method: "POST", body: "x" });
    await echo(request);
    return [request.bodyUsed, await attempt(() => fetch(request)), await attempt(() => request.text())];
  },
  "methods": async ({ origin }) => {
    const seen = [];
    for (const method of ["get", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "REPORT"]) seen.push((await echo(`${origin}/echo`, { method })).method);
    return seen;
  },
  "HEAD has no body": async ({ origin }) => {
    const response = await fetch(`${origin}/json`, { method: "HEAD" });
    return [response.status, await response.text()];
  },
  "headers that are sent": async ({ origin }) => {
    const seen = await echo(`${origin}/echo`, { headers: [["X-One", "1"], ["x-one", "2"], ["X-Two", " 3 "]] });
    return [readHeader(seen, "x-two"), readHeader(seen, "x-one")?.replace(", ", ",")];
  },
  "the accept header by default": async ({ origin }) => readHeader(await echo(`${origin}/echo`), "accept"),
  "a user agent of one's own": async ({ origin }) => readHeader(await echo(`${origin}/echo`, { headers: { "user-agent": "mine" } }), "user-agent"),
  "a string body": async ({ origin }) => {
    const seen = await echo(`${origin}/echo`, { method: "POST", body: "text" });
    return [seen.body, readHeader(seen, "content-type"), readHeader(seen, "content-length"), readHeader(seen, "transfer-encoding")];
  },
  "a POST without a body": async ({ origin }) => {
    const seen = await echo(`${origin}/echo`, { method: "POST" });
    return [seen.body, readHeader(seen, "content-length")];
  },
  "a GET without a body has no length": async ({ origin }) => {
    const seen = await echo(`${origin}/echo`);
    return [readHeader(seen, "content-length"), readHeader(seen, "transfer-encoding")];
  },
  "bytes as body": async ({ origin }) => (await echo(`${origin}/echo`, { method: "POST", body: utf8("bytes") })).body,
  "a blob as body": async ({ origin }) => {
    const seen = await echo(`${origin}/echo`, { method: "POST", body: new Blob(["blob"], { type: "a/b" }) });
    return [seen.body, readHeader(seen, "content-type"), readHeader(seen, "content-length")];
  },
  "URLSearchParams as body": async ({ origin }) => {
    const seen = await echo(`${origin}/echo`, { method: "POST", body: new URLSearchParams({ a: "b c" }) });
    return [seen.body, readHeader(seen, "content-type")];
  },
  "FormData as body": async ({ origin }) => {
    const form = new FormData();
    form.set("a", "1");
    const seen = await echo(`${origin}/echo`, { method: "POST", body: form });
    return [seen.body.includes('name="a"'), readHeader(seen, "content-type").startsWith("multipart/form-data; boundary=")];
  },
  "a stream as body": async ({ origin }) => {
    const seen = await echo(`${origin}/echo`, { method: "POST", body: streamOf(utf8("a"), utf8("b")), duplex: "half" });
    return [seen.body, readHeader(seen, "content-length"), readHeader(seen, "transfer-encoding")];
  },
  "a stream that fails as body": async ({ origin }) => {
    const body = new ReadableStream({ pull(controller) { controller.error(new RangeError("no")); } });
    return (await attempt(() => fetch(`${origin}/echo`, { method: "POST", body, duplex: "half" }).then((r) => r.status))) !== 200;
  },
  "a stream of buffers, views and strings as body": async ({ origin }) => {
    const parts = [utf8("a").buffer, new DataView(utf8("xbx").buffer, 1, 1), new Uint16Array(utf8("cd").buffer), "é\ud800", "", utf8("e")];
    const seen = await echo(`${origin}/echo`, { method: "POST", body: streamOf(...parts), duplex: "half" });
    return seen.body;
  },
  "a stream of something that is no bytes": async ({ origin }) =>
    (await attempt(() => fetch(`${origin}/echo`, { method: "POST", body: streamOf(1), duplex: "half" }).then((r) => r.status))) !== 200,
  "the body of one response as the body of a request": async ({ origin }) => {
    const first = await fetch(`${origin}/chunked`);
    return (await echo(`${origin}/echo`, { method: "POST", body: first.body, duplex: "half" })).body;
  },
  "a GET with a body": ({ origin }) => attempt(() => fetch(`${origin}/echo`, { body: "x" })),
  "the fragment is not sent": async ({ origin }) => {
    const response = await fetch(`${origin}/echo#part`);
    return [(await response.clone().json()).path, response.url.endsWith("/echo")];
  },
  "the query is sent as it is": async ({ origin }) => (await echo(`${origin}/echo?a=b%20c&d=%zz&e='`)).path,
  "repeated headers are combined": async ({ origin }) => (await fetch(`${origin}/headers`)).headers.get("x-a"),
  "cookies are a list": async ({ origin }) => (await fetch(`${origin}/headers`)).headers.getSetCookie(),
  "header values in Latin-1": async ({ origin }) => (await fetch(`${origin}/headers`)).headers.get("x-latin"),
  "a compressed body is decompressed": async ({ origin }) => (await (await fetch(`${origin}/gzip`)).text()).length,
  "the headers of a compressed body": async ({ origin }) => {
    const { headers } = await fetch(`${origin}/gzip`);
    return [headers.get("content-encoding"), headers.has("content-length")];
  },
  "a broken compressed body": async ({ origin }) => attempt(() => fetch(`${origin}/gzip-broken`).then((response) => response.text())),
  "a chunked body": async ({ origin }) => await (await fetch(`${origin}/chunked`)).text(),
  "a truncated body": async ({ origin }) => {
    const response = await fetch(`${origin}/truncated`);
    return [response.status, (await attempt(() => response.text())) !== "short"];
  },
  "statuses without a body": async ({ origin }) => {
    const seen = [];
    for (const status of [204, 304]) {
      const response = await fetch(`${origin}/status/${status}`);
      seen.push(response.status, response.body, await response.text());
    }
    return seen;
  },
  "statuses that are errors": async ({ origin }) => {
    const response = await fetch(`${origin}/status/500`);
    return [response.ok, response.status, await response.text()];
  },
  "redirects are followed": async ({ origin }) => {
    const response = await fetch(`${origin}/status/302?location=/json`);
    return [response.status, response.redirected, response.url === `${origin}/json`];
  },
  "301, 302 and 303 turn POST into GET": async ({ origin }) => {
    const seen = [];
    for (const status of [301, 302, 303]) {
      const { method, body, headers } = await echo(`${origin}/status/${status}?location=/echo`, { method: "POST", body: "x" });
      seen.push([method, body, headers["content-type"] ?? null]);
    }
    return seen;
  },
  "301 and 302 leave PUT": async ({ origin }) => {
    const seen = [];
    for (const status of [301, 302]) seen.push((await echo(`${origin}/status/${status}?location=/echo`, { method: "PUT", body: "x" })).method);
    return seen;
  },
  "303 turns PUT into GET and leaves HEAD": async ({ origin }) => [
    (await echo(`${origin}/status/303?location=/echo`, { method: "PUT", body: "x" })).method,
    (await fetch(`${origin}/status/303?location=/echo`, { method: "HEAD" })).status,
  ],
  "307 and 308 keep method and body": async ({ origin }) => {
    const seen = [];
    for (const status of [307, 308]) {
      const { method, body } = await echo(`${origin}/status/${status}?location=/echo`, { method: "POST", body: "x" });
      seen.push(method, body);
    }
    return seen;
  },
  "307 with a stream cannot be followed": async ({ origin }) =>
    attempt(() => fetch(`${origin}/status/307?location=/echo`, { method: "POST", body: streamOf(utf8("x")), duplex: "half" }).then((response) => response.status)),
  "redirect error": ({ origin }) => attempt(() => fetch(`${origin}/status/302?location=/json`, { redirect: "error" })),
  "redirect error without a redirect": async ({ origin }) => (await attempt(() => fetch(`${origin}/json`, { redirect: "error" }))).status,
  "redirect manual": async ({ origin }) => {
    const response = await fetch(`${origin}/status/302?location=/json`, { redirect: "manual" });
    return [response.type, response.status, response.headers.get("location"), response.redirected];
  },
  "a redirect without a location": async ({ origin }) => (await fetch(`${origin}/status/302`)).status,
  "a redirect to no URL": ({ origin }) => attempt(() => fetch(`${origin}/status/302?location=http://[`).then((response) => response.status)),
  "a redirect to another scheme": ({ origin }) => attempts(...["data:,x", "ftp://a/", "file:///etc/passwd"].map((location) => () =>
    fetch(`${origin}/status/302?location=${encodeURIComponent(location)}`).then((response) => response.status))),
  "a redirect loop ends": async ({ origin }) => {
    const loop = `${origin}/status/302?location=${encodeURIComponent("/loop")}`;
    return (await attempt(() => fetch(loop).then((response) => response.status)));
  },
  "redirects without an end": ({ origin }) => attempt(() => fetch(`${origin}/endless`).then((response) => response.status)),
  "the fragment survives a redirect": async ({ origin }) => new URL((await fetch(`${origin}/status/302?location=/json#x`)).url).hash,
  "authorization does not follow to another origin": async ({ origin }) => {
    const other = origin.replace("127.0.0.1", "localhost");
    const headers = { authorization: "secret", "x-kept": "1" };
    const here = await echo(`${origin}/status/302?location=${encodeURIComponent(`${origin}/echo`)}`, { headers });
    const there = await echo(`${origin}/status/302?location=${encodeURIComponent(`${other}/echo`)}`, { headers });
    return [readHeader(here, "authorization"), readHeader(there, "authorization"), readHeader(there, "x-kept")];
  },
  "an aborted signal": ({ origin }) => attempts(
    () => fetch(`${origin}/json`, { signal: AbortSignal.abort() }),
    () => fetch(`${origin}/json`, { signal: AbortSignal.abort(new RangeError()) }),
    () => fetch(`${origin}/json`, { signal: AbortSignal.abort("reason") }),
  ),
  "aborting while it waits": async ({ origin }) => {
    const controller = new AbortController();
    const promise = fetch(`${origin}/silent`, { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    return attempt(() => promise);
  },
  "a time limit": async ({ origin }) => attempt(() => fetch(`${origin}/silent`, { signal: AbortSignal.timeout(20) })),
  "aborting while the body comes": async ({ origin }) => {
    const controller = new AbortController();
    const response = await fetch(`${origin}/stalled`, { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    return attempt(() => response.text());
  },
  "aborting after the end": async ({ origin }) => {
    const controller = new AbortController();
    const response = await fetch(`${origin}/json`, { signal: controller.signal });
    const text = await response.text();
    controller.abort();
    return text;
  },
  "cancelling the body": async ({ origin }) => {
    const response = await fetch(`${origin}/stalled`);
    return await response.body.cancel("enough");
  },
  "many at once": async ({ origin }) => {
    const responses = await Promise.all(Array.from({ length: 20 }, (_, i) => echo(`${origin}/echo?${i}`)));
    return responses.map((seen) => seen.path.slice(6)).join();
  },
  "clone of a fetched response": async ({ origin }) => {
    const response = await fetch(`${origin}/chunked`);
    const clone = response.clone();
    return await Promise.all([response.text(), clone.text()]);
  },
  "chunks of a fetched body are bytes": async ({ origin }) => {
    const list = await chunks((await fetch(`${origin}/json`)).body);
    return list.every((chunk) => chunk instanceof Uint8Array);
  },
  "integrity, mode and cache are accepted": async ({ origin }) => (await fetch(`${origin}/json`, { mode: "cors", credentials: "omit", referrerPolicy: "no-referrer" })).status,
  "the shape": () => [fetch.length, fetch.name, Object.hasOwn(fetch, "prototype")],
  "an unused promise does no harm": async ({ origin }) => {
    fetch(`${origin}/silent`, { signal: AbortSignal.timeout(5) }).catch(() => {});
    await pause(30);
    return "fine";
  },
};
