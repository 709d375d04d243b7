// WebSockets through bindings of other workers that crossed as values (Workers; Deno has nothing of it).

import { attempts, talk } from "../run.js";

const tries = (...bodies) => attempts(...bodies.map((body) => async () => await body()));

export default {
  "a WebSocket through a binding that is an argument": ({ env }) => env.RPC.talk(env.NAMED, "one", "two"),
  "a WebSocket through a binding that a method returns": async ({ env }) => {
    const binding = await env.RPC.binding();
    const response = await binding.fetch("http://binding.example/echo", { headers: { upgrade: "websocket" } });
    return [response.status, response.headers.get("x-echo"), await talk(response.webSocket, ["one"])];
  },
  "two WebSockets through a binding there and back": async ({ env }) => {
    const binding = await env.RPC.echo(env.NAMED);
    return await Promise.all([env.RPC.talk(binding, "one"), env.RPC.talk(binding, "two")]);
  },
  "a WebSocket's end of one's own does not cross": ({ env }) => tries(() => env.RPC.responseWithEnd(), () => env.RPC.echo(new WebSocketPair()[0])),
};
