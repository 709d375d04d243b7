// Calls between workers with functions, targets and streams (Workers; Deno has nothing of it).

import { attempt, attempts, utf8 } from "../run.js";

const workers = () => import("cloudflare:workers");

// Promises of calls are promises only in that they have `then`.
const tried = (body) => attempt(async () => await body());
const tries = (...bodies) => attempts(...bodies.map((body) => async () => await body()));

export default {
  "a target that a method returns": async ({ env }) => {
    const counter = await env.RPC.counter();
    return [await counter.increment(), await counter.increment(5), await counter.current, typeof counter];
  },
  "what a target keeps for itself": async ({ env }) => {
    const counter = await env.RPC.counter();
    return tries(() => counter.own, () => counter.own(), () => counter.absent(), () => counter.constructor(), () => counter.hasOwnProperty("own"));
  },
  "a target's method that throws": async ({ env }) => {
    const counter = await env.RPC.counter();
    return tries(() => counter.fail(), () => counter.increment());
  },
  "calls without waiting": async ({ env }) => [await env.RPC.counter().increment(3), await env.RPC.counter().current, await env.RPC.counters().one.increment(), await env.RPC.counters().text],
  "targets within a value": async ({ env }) => {
    const { one, list, text } = await env.RPC.counters();
    return [await one.increment(), await list[0].increment(7), text];
  },
  "a function that a method returns": async ({ env }) => {
    const add = await env.RPC.adder(40);
    return [await add(2), await add(-40), await env.RPC.adder(1)(1)];
  },
  "a function as an argument": async ({ env }) => {
    const seen = [];
    const result = await env.RPC.apply((...args) => {
      seen.push(args);
      return args.length;
    }, "a", { b: [1] });
    return [result, seen];
  },
  "a function that throws": ({ env }) => tries(() => env.RPC.apply(() => { throw new RangeError("of a callback"); }), () => env.RPC.apply(async () => { throw new TypeError("of a callback"); })),
  "a target as an argument": async ({ env }) => {
    const { RpcTarget } = await workers();
    class Mine extends RpcTarget {
      count = 0;
      increment() {
        return ++this.count;
      }
    }
    const mine = new Mine();
    return [await env.RPC.incrementTwice(mine), mine.count];
  },
  "a target of theirs as an argument": async ({ env }) => {
    const counter = await env.RPC.counter();
    return [await env.RPC.incrementTwice(counter), await counter.current];
  },
  "a function comes back": async ({ env }) => {
    const echoed = await env.RPC.echo((x) => x + 1);
    return await echoed(1);
  },
  "a stream that a method returns": async ({ env }) => new Response(await env.RPC.stream("one ", "two")).text(),
  "a stream as an argument": async ({ env }) => {
    const stream = new ReadableStream({
      type: "bytes",
      start(controller) {
        controller.enqueue(utf8("one "));
        controller.enqueue(utf8("two"));
        controller.close();
      },
    });
    return [await env.RPC.read(stream), stream.locked];
  },
  "requests and responses": async ({ env }) => {
    const response = await env.RPC.respond(new Request("http://rpc.example/", { method: "POST", body: "sent", headers: { "x-a": "1" }, cf: { a: [1] } }));
    return [response instanceof Response, response.status, response.headers.get("x-rpc"), await response.text(), response.cf];
  },
  "headers": async ({ env }) => {
    const headers = await env.RPC.echo(new Headers({ "x-a": "1" }));
    return [headers instanceof Headers, [...headers]];
  },
  "disposing": async ({ env }) => {
    const counter = await env.RPC.counter();
    counter[Symbol.dispose]();
    return tried(() => counter.increment());
  },
  "a duplicate outlives it": async ({ env }) => {
    const counter = await env.RPC.counter();
    const other = counter.dup();
    counter[Symbol.dispose]();
    return tries(() => other.increment(), () => counter.increment());
  },
  "results can be disposed of": async ({ env }) => {
    const values = await Promise.all([env.RPC.echo({ a: 1 }), env.RPC.counters()]);
    return values.map((value) => typeof value[Symbol.dispose]);
  },
  "classes of one's own do not cross": ({ env }) => {
    class Mine { a = 1; }
    return tried(() => env.RPC.echo(new Mine()));
  },
  "a property of an entrypoint": ({ env }) => tries(() => env.RPC.absentProperty, async () => typeof await env.RPC.add),
  "stubs are functions": async ({ env }) => [typeof await env.RPC.counter(), typeof env.RPC.add, typeof env.RPC.counter()],
};
