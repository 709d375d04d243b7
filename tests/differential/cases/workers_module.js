// The module `cloudflare:workers`, bindings of services and what is called through them.

import { attempt, attempts, pause } from "../run.js";

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
  "withEnv": async (context) => {
    const { env, withEnv } = await workers();
    const within = withEnv({ A: 1 }, () => [Object.keys(env), env.A, env.TEXT, "A" in env, "TEXT" in env, context.env.TEXT]);
    const later = withEnv({ A: 2 }, async () => {
      await pause(1);
      return [env.A, withEnv({ A: 3 }, () => env.A), env.A];
    });
    return [within, await later, env.A, env.TEXT, withEnv(undefined, () => env.TEXT), withEnv({ A: 1 }, () => withEnv(5, () => env.TEXT))];
  },
  "what withEnv puts there can be changed": async (context) => {
    const { env, withEnv } = await workers();
    const other = {};
    withEnv(other, () => {
      env.B = 1;
      Object.defineProperty(env, "C", { value: 2, enumerable: true, configurable: true, writable: true });
    });
    env.NEW = 1;
    return [other, env.B, context.env.NEW, delete env.NEW, "NEW" in context.env];
  },
  "withEnv with what is frozen": async () => {
    const { env, withEnv } = await workers();
    return withEnv(Object.freeze({ A: 1 }), () => [{ ...env }, Object.keys(env), Object.getOwnPropertyDescriptor(env, "A").value]);
  },
  "withEnv and what is thrown": async () => {
    const { env, withEnv } = await workers();
    return [await tries(() => withEnv({}, () => { throw new RangeError("x"); }), () => withEnv({}), () => withEnv({}, 5), () => withEnv()), env.TEXT];
  },
  "withExports": async ({ ctx }) => {
    const { exports, env, withExports, withEnvAndExports } = await workers();
    return [
      withExports({ X: 1 }, () => [Object.keys(exports), exports.X, Object.keys(ctx.exports).sort()]),
      withEnvAndExports({ A: 1 }, { X: 1 }, () => [Object.keys(env), Object.keys(exports)]),
      withEnvAndExports({ A: 1 }, undefined, () => [Object.keys(env), Object.keys(exports).sort()]),
      Object.keys(exports).sort(),
    ];
  },
  "cache": async ({ ctx }) => {
    const { cache } = await workers();
    return [cache, ctx.cache, ctx.access];
  },
  "spans": async ({ ctx }) => {
    const { tracing } = await workers();
    const span = tracing.startSpan("a");
    return [
      tracing.startActiveSpan("a", (active, ...rest) => [active === tracing.getActiveSpan(), active.isTraced, rest], 1, 2),
      await tracing.enterSpan("a", async (active) => {
        await pause(1);
        return active === tracing.getActiveSpan();
      }),
      tracing.withActiveSpan(span, (...rest) => [tracing.getActiveSpan() === span, rest], 1),
      tracing.getActiveSpan() === span, span instanceof tracing.Span, tracing.getActiveSpan() instanceof tracing.Span,
      [span.setAttribute("a", 1), span.setAttributes({ b: true, c: undefined }), span.updateName("b"), span.setStatus({ code: "ok" })].map((one) => one === span),
      span.recordException(new Error("x")), span.end(), span.end(), span.spanContext(), ctx.tracing instanceof tracing.constructor,
    ];
  },
  "what spans refuse": async () => {
    const { tracing } = await workers();
    const span = tracing.startSpan("a");
    const { startSpan } = tracing;
    return tries(
      () => tracing.startActiveSpan(), () => tracing.startActiveSpan("a"), () => tracing.startActiveSpan("a", () => { throw new RangeError("x"); }),
      () => tracing.startSpan(), () => startSpan("a"), () => tracing.withActiveSpan({}, () => 1), () => span.setAttribute(), () => span.setAttributes(5),
      () => span.setStatus({ code: "bad" }), () => span.setStatus(5), () => span.recordException(), () => span.updateName(), () => new tracing.Span(), () => new tracing.constructor(),
    );
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
