// What Workers adds to the standards. Deno has nothing of it, so the answers to follow are workerd's.

import { attempt, attempts, bytes, hex, pause, utf8 } from "../run.js";

// Two ends that are accepted, and what each receives.
function connected() {
  const { 0: one, 1: two } = new WebSocketPair();
  const seen = [];
  for (const [name, end] of [["one", one], ["two", two]]) {
    end.accept();
    end.binaryType = "arraybuffer";
    end.addEventListener("message", ({ data }) => seen.push([name, typeof data === "string" ? data : hex(data)]));
    end.addEventListener("close", ({ code, reason, wasClean }) => seen.push([name, code, reason, wasClean]));
  }
  return { one, two, seen };
}
// Turns of the event loop, not time, are what messages between two ends take.
async function settle() {
  for (let turn = 0; turn < 10; turn++) await pause(2);
}
const rewrite = (html, prepare) => prepare(new HTMLRewriter()).transform(new Response(html)).text();

export default {
  "WebSocketPair has two ends": () => {
    const pair = new WebSocketPair();
    return [Object.keys(pair), pair[0] instanceof WebSocket, pair[1] instanceof EventTarget, pair[0] === pair[1]];
  },
  "messages reach the other end": async () => {
    const { one, two, seen } = connected();
    one.send("text");
    two.send(bytes(1, 2, 3));
    two.send(bytes(4, 5).buffer);
    await settle();
    return [seen.filter(([name]) => name === "one"), seen.filter(([name]) => name === "two")];
  },
  "messages wait for accept": async () => {
    const { 0: one, 1: two } = new WebSocketPair();
    const seen = [];
    one.accept();
    one.send("early");
    await settle();
    two.addEventListener("message", ({ data }) => seen.push(data));
    two.accept();
    await settle();
    return seen;
  },
  "send and close before accept": () => {
    const [one] = Object.values(new WebSocketPair());
    return attempts(() => one.send("a"), () => one.close());
  },
  "accept twice": () => {
    const [one] = Object.values(new WebSocketPair());
    one.accept();
    return attempts(() => one.accept());
  },
  "a close says code and reason": async () => {
    const { one, seen } = connected();
    one.close(4000, "as asked");
    await settle();
    return seen.filter(([name]) => name === "two");
  },
  "close codes": () =>
    attempts(...[999, 1000, 1001, 1004, 1005, 1006, 1011, 2999, 3000, 4999, 5000].map((code) => () => {
      const { one } = connected();
      one.close(code, "x");
    })),
  "a reason without a code, and one that is too long": () =>
    attempts(() => connected().one.close(undefined, "x"), () => connected().one.close(1000, "é".repeat(62))),
  "send after close": async () => {
    const { one } = connected();
    one.close(1000, "done");
    return attempts(() => one.send("late"));
  },
  "a Response with a webSocket": () =>
    attempts(
      () => new Response(null, { status: 101, webSocket: new WebSocketPair()[0] }).webSocket instanceof WebSocket,
      () => new Response(null, { status: 101 }),
      () => new Response(null, { status: 200, webSocket: new WebSocketPair()[0] }),
      () => new Response(null, { status: 101, webSocket: {} }),
    ),
  "HTMLRewriter changes elements": () =>
    rewrite("<div id=a class=b><p>one</p></div>", (rewriter) =>
      rewriter.on("div#a", {
        element(element) {
          element.setAttribute("data-x", "<&\"");
          element.removeAttribute("class");
          element.prepend("<b>", { html: true });
          element.append("<i>");
        },
      }).on("p", { element: (element) => element.replace("gone") })),
  "HTMLRewriter shows elements": async () => {
    const seen = [];
    await rewrite("<A HREF=x Y>t<br></A>", (rewriter) =>
      rewriter.on("a, br", {
        element: (element) => seen.push(element.tagName, [...element.attributes], element.getAttribute("HREF"), element.hasAttribute("y"), element.namespaceURI),
      }));
    return seen;
  },
  "HTMLRewriter shows text and comments": async () => {
    const seen = [];
    const out = await rewrite("<p>a&amp;b<!-- c --></p>", (rewriter) =>
      rewriter.on("p", {
        text: (text) => seen.push([text.text, text.lastInTextNode]),
        comments: (comment) => { seen.push(comment.text); comment.text = "d"; },
      }));
    return [seen, out];
  },
  "HTMLRewriter of a whole document": async () => {
    const seen = [];
    const out = await rewrite("<!doctype html><p>x", (rewriter) =>
      rewriter.onDocument({
        doctype: ({ name, publicId, systemId }) => seen.push(name, publicId, systemId),
        end: (end) => end.append("<!-- end -->", { html: true }),
      }));
    return [seen, out];
  },
  "HTMLRewriter's handlers may wait": () =>
    rewrite("<p>1</p><p>2</p>", (rewriter) =>
      rewriter.on("p", { async element(element) { await settle(); element.after("!"); } })),
  "HTMLRewriter's handlers may throw": () =>
    attempt(() => rewrite("<p>", (rewriter) => rewriter.on("p", { element() { throw new RangeError("no"); } }))),
  "HTMLRewriter refuses selectors": () =>
    attempts(...["", "p:hover", "p::before", "p >", "[a", "p + q", "p:nth-child(2)", "*"].map((selector) => () => {
      new HTMLRewriter().on(selector, {});
    })),
  "FixedLengthStream": async () => {
    const { readable, writable } = new FixedLengthStream(3);
    const text = new Response(readable).text();
    const writer = writable.getWriter();
    await writer.write(utf8("abc"));
    await writer.close();
    return text;
  },
  "IdentityTransformStream takes buffers, views and strings": async () => {
    const { readable, writable } = new IdentityTransformStream();
    const text = new Response(readable).text();
    const writer = writable.getWriter();
    for (const chunk of [utf8("a").buffer, new DataView(utf8("xbx").buffer, 1, 1), new Uint16Array(utf8("cd").buffer), "é\ud800", utf8("e")]) {
      await writer.write(chunk);
    }
    await writer.close();
    return text;
  },
  "FixedLengthStream with too few bytes": async () => {
    const { readable, writable } = new FixedLengthStream(3);
    const text = attempt(() => new Response(readable).text());
    const writer = writable.getWriter();
    await writer.write(utf8("a"));
    return [await attempt(() => writer.close()), await text];
  },
  "FixedLengthStream of no length": () => attempts(() => new FixedLengthStream(), () => new FixedLengthStream(-1), () => new FixedLengthStream("x")),
  "IdentityTransformStream takes bytes only": async () => {
    const { readable, writable } = new IdentityTransformStream();
    const text = attempt(() => new Response(readable).text());
    const writer = writable.getWriter();
    const written = await attempt(() => writer.write({}));
    await attempt(() => writer.abort());
    return written;
  },
  "DigestStream": async () => {
    const digests = [];
    for (const name of ["MD5", "SHA-1", "sha-256", { name: "SHA-512" }]) {
      const stream = new crypto.DigestStream(name);
      const writer = stream.getWriter();
      await writer.write(utf8("abc"));
      await writer.close();
      digests.push(hex(await stream.digest).slice(0, 16));
    }
    return digests;
  },
  "DigestStream of an unknown algorithm": () => attempts(() => new crypto.DigestStream("CRC-32"), () => new crypto.DigestStream()),
  "timingSafeEqual": () =>
    attempts(
      () => crypto.subtle.timingSafeEqual(bytes(1, 2), bytes(1, 2)),
      () => crypto.subtle.timingSafeEqual(bytes(1, 2), bytes(1, 3)),
      () => crypto.subtle.timingSafeEqual(bytes(1), bytes(1, 2)),
      () => crypto.subtle.timingSafeEqual("a", "a"),
    ),
  "scheduler.wait": async () => [await scheduler.wait(1), await attempt(() => scheduler.wait(1, { signal: AbortSignal.abort() }))],
  "the redirect mode of a request that came in": ({ request }) => request.redirect,
  "cf of a request that was made": () => attempts(
    () => new Request("http://a.example/", { cf: { mark: 1 } }).cf,
    () => new Request(new Request("http://a.example/", { cf: { mark: 1 } })).cf,
    () => new Request(new Request("http://a.example/", { cf: { mark: 1 } }), { cf: { mark: 2 } }).cf,
    () => new Request("http://a.example/", { cf: { mark: 1 } }).clone().cf,
    () => new Request("http://a.example/").cf,
    () => new Request("http://a.example/", { cf: 5 }).cf,
    () => new Request("http://a.example/", { cf: null }).cf,
    () => new Request("http://a.example/", { cf: { date: new Date(0), nothing: undefined } }).cf,
  ),
  "cf of a response": () => attempts(
    () => new Response("x", { cf: { mark: 1 } }).cf,
    () => new Response("x").cf,
    () => new Response("x", { cf: { mark: 1 } }).clone().cf,
    () => new Response("x", new Response("y", { cf: { mark: 1 } })).cf,
    () => Response.json({}, { cf: [1] }).cf,
    () => new HTMLRewriter().transform(new Response("x", { cf: { mark: 1 } })).cf,
    ...[5, "x", null, 1n, true].map((cf) => () => new Response("x", { cf }).cf),
    () => new Response("x", { cf: { date: new Date(0), nothing: undefined, toString() {} } }).cf,
    () => new Response("x", { cf: { big: 1n } }).cf,
  ),
  "cf of a response is nobody else's": () => {
    const given = { mark: 1 };
    const response = new Response("x", { cf: given });
    const copy = response.clone();
    given.mark = 2;
    copy.cf.mark = 3;
    return [response.cf, copy.cf, response.cf === response.cf, attempt(() => { response.cf = {}; })];
  },
  "navigator": () => [typeof navigator, Object.prototype.toString.call(navigator), attempt(() => new navigator.constructor()), attempt(() => { navigator.userAgent = "x"; }), navigator.userAgent === "x"],
};
