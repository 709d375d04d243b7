// The entrypoint whose methods the cases call.

import { RpcTarget, WorkerEntrypoint } from "cloudflare:workers";

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
    return new Response(`${request.method} ${await request.text()}`, { status: 201, headers: { "x-rpc": request.headers.get("x-a") } });
  }
}

// An entrypoint that is no class.
export const Named = {
  fetch(request) {
    return new Response(new URL(request.url).pathname, { status: 202 });
  },
};
