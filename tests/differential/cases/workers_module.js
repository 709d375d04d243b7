// The module `cloudflare:workers`, bindings of services and what is called through them.

import { attempt, attempts } from "../run.js";

const workers = () => import("cloudflare:workers");

// Promises of calls are promises only in that they have `then`.
const tried = (body) => attempt(async () => await body());
const tries = (...bodies) => attempts(...bodies.map((body) => async () => await body()));

export default {
  "names": async () => {
    const { env, RpcTarget, waitUntil, WorkerEntrypoint } = await workers();
    return [typeof env, typeof RpcTarget, typeof waitUntil, typeof WorkerEntrypoint, RpcTarget.name, WorkerEntrypoint.name];
  },
  "env is that of the handler": async (context) => {
    const { env } = await workers();
    return [Object.keys(env).sort(), Object.keys(context.env).sort(), env.TEXT, env.JSON_VALUE];
  },
  "waitUntil": async () => {
    const { waitUntil } = await workers();
    return tries(() => waitUntil(Promise.resolve(1)), () => waitUntil(5), () => waitUntil());
  },
  "a WorkerEntrypoint has ctx and env": async () => {
    const { WorkerEntrypoint } = await workers();
    class Mine extends WorkerEntrypoint {}
    return tries(() => new Mine() instanceof WorkerEntrypoint, () => Object.getPrototypeOf(Mine.prototype) === WorkerEntrypoint.prototype);
  },
  "an RpcTarget is made": async () => {
    const { RpcTarget } = await workers();
    class Mine extends RpcTarget { a = 1; }
    return [new Mine().a, new Mine() instanceof RpcTarget];
  },
  "ctx": ({ ctx }) => ["waitUntil", "passThroughOnException"].map((name) => typeof ctx[name]),
  "fetch of a service": async ({ env }) => (await env.SELF.fetch("http://inner.example/inner?q", { method: "POST", body: "sent", headers: { "x-a": "1" } })).json(),
  "fetch of a service with a relative URL": ({ env }) => tried(() => env.SELF.fetch("/relative")),
  "fetch of a service streams": async ({ env }) => (await env.SELF.fetch("http://inner.example/stream")).text(),
  "a service's fetch is bound to it": async ({ env }) => {
    const { fetch } = env.SELF;
    return tried(() => fetch("http://inner.example/inner"));
  },
  "methods": async ({ env }) => [await env.RPC.add(1, 2), await env.RPC.echo({ a: [1, new Date(0), new Map([[1, 2]])], b: null }), await env.RPC.nothing()],
  "methods that throw": ({ env }) => tries(() => env.RPC.fail("TypeError"), () => env.RPC.fail("RangeError"), () => env.RPC.fail("Error")),
  "what cannot be called": ({ env }) => tries(() => env.RPC.own(), () => env.RPC.absent(), () => env.RPC.hasOwnProperty("x"), () => env.RPC.toString()),
  "constructor": ({ env }) => tried(() => env.RPC.constructor()),
  "what cannot be cloned": ({ env }) => tries(() => env.RPC.echo(Symbol()), () => env.RPC.echo(new WeakMap()), () => env.RPC.symbol()),
  "errors as values": async ({ env }) => {
    const error = await env.RPC.echo(new RangeError("given"));
    return [error instanceof RangeError, error.message];
  },
  "a thrown value's message": async ({ env }) => {
    try {
      await env.RPC.fail("RangeError");
    } catch (error) {
      return [error instanceof RangeError, error.message];
    }
  },
  "an entrypoint that is an object": async ({ env }) => {
    const response = await env.NAMED.fetch("http://named.example/path");
    return [response.status, await response.text()];
  },
  "an entrypoint without fetch": async ({ env }) => (await attempt(async () => (await env.RPC.fetch("http://rpc.example/")).status < 500)) === true,
};
