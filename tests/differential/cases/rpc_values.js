// What methods of other workers throw, what can be done with results, and stubs of one's own (Workers; Deno has nothing of it).

import { attempt } from "../run.js";

const workers = () => import("cloudflare:workers");

// Promises of calls are promises only in that they have `then`.
const tried = (body) => attempt(async () => await body());

export default {
  "errors with properties": async ({ env }) => {
    const list = [];
    for (const kind of ["properties", "named", "aggregate", "exception", "object", "text", "number", "callable"]) {
      try {
        await env.RPC.failWith(kind);
      } catch (error) {
        const { cause, code, constructor, detail, errors, message, name, remote } = error;
        const inner = cause && [cause.name, cause.message, cause.cause];
        list.push([constructor.name, name, message, remote, code, detail, inner, errors?.map(String), Object.keys(error).filter((key) => !["code", "message", "name", "stack"].includes(key)).sort()]);
      }
    }
    // Members that are not there are left out.
    return list.map((one) => one.map((value) => value ?? "none"));
  },
  "errors of callbacks with properties": async ({ env }) => {
    try {
      await env.RPC.apply(() => { throw Object.assign(new RangeError("of a callback"), { code: "E" }); });
    } catch (error) {
      return [error.name, error.message, error.code, error.remote];
    }
  },
  "errors of fetch": async ({ env }) => {
    try {
      await env.SELF.fetch("http://inner.example/throw");
    } catch (error) {
      return [error.name, error.message, error.remote];
    }
  },
  "every object that is a result can be disposed of": async ({ env }) => {
    const values = [{}, [], new Map(), new Date(0), new Uint8Array(1), /x/, new Headers(), null, 5, "text"];
    const results = [];
    for (const value of values) results.push(typeof (await env.RPC.echo(value))?.[Symbol.dispose]);
    return results;
  },
  "classes of stubs": async ({ env }) => {
    const { RpcPromise, RpcProperty, RpcStub, ServiceStub } = await workers();
    const counter = await env.RPC.counter();
    return [
      counter instanceof RpcStub,
      counter.constructor === RpcStub,
      Object.getPrototypeOf(counter) === RpcStub.prototype,
      env.RPC.counter() instanceof RpcPromise,
      env.RPC.counter instanceof RpcProperty,
      env.RPC instanceof ServiceStub,
      env.RPC instanceof RpcStub,
      attempt(() => new RpcPromise()),
      attempt(() => new RpcProperty()),
      attempt(() => new RpcStub(5)),
    ];
  },
  "stubs of one's own": async ({ env }) => {
    const { RpcStub, RpcTarget } = await workers();
    let disposed = 0;
    class Mine extends RpcTarget {
      count = 0;
      increment(by = 1) {
        return this.count += by;
      }
      keeps(value) {
        value.changed = true;
        return value;
      }
      itself() {
        return this;
      }
      [Symbol.dispose]() {
        disposed += 1;
      }
    }
    const mine = new Mine();
    const stub = new RpcStub(mine);
    const other = stub.dup();
    const given = {};
    const results = [await stub.increment(), await other.increment(2), mine.count, await stub.keeps(given), given, await stub.itself().increment(), await env.RPC.incrementTwice(stub)];
    stub[Symbol.dispose]();
    results.push(await tried(() => stub.increment()), await other.increment(), disposed);
    const add = new RpcStub((a) => (b) => a + b);
    return [...results, await add(1)(2), typeof stub, await new RpcStub({ a: 1 }).a];
  },
  "onRpcBroken is a name as any other": async ({ env }) => {
    const counter = await env.RPC.counter();
    return [typeof counter.onRpcBroken, await tried(() => counter.onRpcBroken(() => {}))];
  },
};
