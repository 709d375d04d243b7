// Bindings of other workers in arguments and results of calls (Workers; Deno has nothing of it).

import { attempts } from "../run.js";

// Promises of calls are promises only in that they have `then`.
const tries = (...bodies) => attempts(...bodies.map((body) => async () => await body()));

export default {
  "a binding as an argument": async ({ env }) => [await env.RPC.addBy(env.RPC, 40, 2), await env.RPC.fetchOf(env.NAMED, "/a"), await env.RPC.describe(env.NAMED)],
  "a binding that a method returns": async ({ env }) => {
    const binding = await env.RPC.binding();
    return [typeof binding, Object.prototype.toString.call(binding), binding.constructor.name, await (await binding.fetch("http://binding.example/b")).text(), typeof binding[Symbol.dispose]];
  },
  "bindings within a value": async ({ env }) => {
    const { itself, list, map } = await env.RPC.bindings();
    return [await itself.add(1, 2), await (await list[0].fetch("http://binding.example/c")).text(), await map.get("rpc").add(2, 3)];
  },
  "bindings without waiting": async ({ env }) => [await env.RPC.bindings().itself.add(1, 2), await (await env.RPC.binding().fetch("http://binding.example/d")).text()],
  "a binding there and back": async ({ env }) => {
    const binding = await env.RPC.echo(await env.RPC.echo(env.RPC));
    return [await binding.add(1, 2), await binding.counter().increment(4)];
  },
  "a target through a binding": async ({ env }) => {
    const binding = await env.RPC.echo(env.RPC);
    const counter = await binding.counter();
    return [await counter.increment(), await binding.incrementTwice(counter), await counter.current];
  },
  "a binding after its value was disposed of": async ({ env }) => {
    const value = await env.RPC.bindings();
    value[Symbol.dispose]();
    return await value.itself.add(1, 2);
  },
  "what a binding has not": ({ env }) => tries(async () => (await env.RPC.echo(env.RPC)).absent(), async () => env.RPC.echo(env.RPC).absent(), () => structuredClone(env.RPC)),
};
