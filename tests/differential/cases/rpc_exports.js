// The worker's own entrypoints, as `ctx.exports` has them (Workers; Deno has nothing of it).

import { attempts } from "../run.js";

const workers = () => import("cloudflare:workers");

// Promises of calls are promises only in that they have `then`.
const tries = (...bodies) => attempts(...bodies.map((body) => async () => await body()));

export default {
  "exports of the context": async ({ ctx }) => {
    const workersExports = (await workers()).exports;
    const { Named, Rpc } = ctx.exports;
    return [
      Object.keys(ctx.exports).sort(),
      Object.keys(workersExports).sort(),
      ctx.exports === ctx.exports,
      ctx.exports.Rpc === Rpc,
      typeof Rpc,
      await Rpc.add(1, 2),
      await Rpc.props(),
      await (await Named.fetch("http://own.example/props")).text(),
      ctx.exports.absent,
    ];
  },
  "exports with props": async ({ ctx }) => {
    const { Named, Rpc } = ctx.exports;
    const given = { a: 1, list: [new Date(5)] };
    return [
      await Rpc({ props: given }).props(),
      await Rpc({}).props(),
      await (await Named({ props: { b: 2 } }).fetch("http://own.example/props")).text(),
      await Rpc({ props: {} }).counter().increment(),
      ...(await tries(() => Rpc(), () => Rpc({ props: 1 }), () => Rpc({ props: { method() {} } }).props(), () => Rpc({ props: given }).fail("RangeError"))),
    ];
  },
  "exports as values": async ({ ctx, env }) => [
    await env.RPC.addBy(ctx.exports.Rpc({ props: {} }), 1, 2),
    ...(await tries(() => env.RPC.addBy(ctx.exports.Rpc, 1, 2))),
  ],
};
