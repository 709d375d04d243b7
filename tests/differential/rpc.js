// The entrypoint whose methods the cases call.

import { RpcTarget, WorkerEntrypoint } from "cloudflare:workers";

import { talk } from "./run.js";

class Counter extends RpcTarget {
  #count = 0;
  own = "kept for itself";

  get current() {
    return this.#count;
  }

  increment(by = 1) {
    return this.#count += by;
  }

  fail() {
    throw new RangeError("of a target");
  }
}

export class Rpc extends WorkerEntrypoint {
  own = () => "kept for itself";

  add(a, b) {
    return a + b;
  }

  echo(value) {
    return value;
  }

  nothing() {}

  symbol() {
    return Symbol("x");
  }

  fail(name) {
    throw new { Error, RangeError, TypeError }[name]("of a method");
  }

  failWith(kind) {
    const named = new Error("named", { cause: new TypeError("inner", { cause: "text" }) });
    named.name = "Mine";
    throw {
      properties: Object.assign(new RangeError("more"), { code: "E_MORE", detail: { list: [1] } }),
      named,
      aggregate: new AggregateError([new TypeError("one"), 2], "several"),
      exception: new DOMException("gone", "AbortError"),
      object: { a: 1 },
      text: "text",
      number: 7,
      callable: Object.assign(new Error("callable"), { method() {}, code: 1 }),
    }[kind];
  }

  binding() {
    return this.env.NAMED;
  }

  bindings() {
    return { itself: this.env.RPC, list: [this.env.NAMED], map: new Map([["rpc", this.env.RPC]]) };
  }

  async fetchOf(binding, path) {
    const response = await binding.fetch(`http://binding.example${path}`, { method: "POST", body: "sent" });
    return [response.status, await response.text()];
  }

  async addBy(binding, a, b) {
    return await binding.add(a, b);
  }

  // What a WebSocket gives back that the binding leads to.
  async talk(binding, ...texts) {
    const { status, webSocket } = await binding.fetch("http://binding.example/echo", { headers: { upgrade: "websocket" } });
    return [status, ...await talk(webSocket, texts)];
  }

  responseWithEnd() {
    return new Response(null, { status: 101, webSocket: new WebSocketPair()[0] });
  }

  describe(value) {
    return [typeof value, Object.prototype.toString.call(value), value?.constructor?.name];
  }

  props() {
    return [this.ctx.props, Object.keys(this.ctx.exports).sort()];
  }

  counter() {
    return new Counter();
  }

  counters() {
    return { one: new Counter(), list: [new Counter()], text: "beside" };
  }

  adder(a) {
    return (b) => a + b;
  }

  async apply(callback, ...args) {
    return await callback(...args);
  }

  async incrementTwice(counter) {
    await counter.increment();
    return await counter.increment();
  }

  stream(...texts) {
    const { readable, writable } = new IdentityTransformStream();
    (async () => {
      const writer = writable.getWriter();
      for (const text of texts) await writer.write(new TextEncoder().encode(text));
      await writer.close();
    })();
    return readable;
  }

  async read(stream) {
    return await new Response(stream).text();
  }

  async respond(request) {
    return new Response(`${request.method} ${await request.text()}`, { status: 201, headers: { "x-rpc": request.headers.get("x-a") }, cf: { of: request.cf } });
  }
}

// An entrypoint that is no class.
export const Named = {
  fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    if (pathname === "/echo") {
      const { 0: theirs, 1: own } = new WebSocketPair();
      own.accept();
      own.addEventListener("message", ({ data }) => own.send(`echo ${data}`));
      return new Response(null, { status: 101, webSocket: theirs, headers: { "x-echo": "yes" } });
    }
    return new Response(pathname === "/props" ? JSON.stringify(ctx.props) : pathname, { status: 202 });
  },
};
