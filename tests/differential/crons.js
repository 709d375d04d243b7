// The worker whose `scheduled` handler the cases set off: the cron says what to do and where to report it.

import { attempt, attempts, descriptor, pause, show } from "./run.js";

export const handlers = {
  "the controller": (controller) => [typeof controller.cron, controller.scheduledTime, Object.prototype.toString.call(controller), controller.constructor.name],
  "the type of the event": (controller) => controller.type,
  "where its attributes are": (controller) => [Object.keys(controller), ["cron", "scheduledTime", "noRetry"].map((name) => descriptor(Object.getPrototypeOf(controller), name))],
  "its attributes cannot be set": (controller) => attempts(
    () => { controller.cron = "x"; },
    () => { controller.scheduledTime = 5; },
  ),
  "methods and attributes of something else": (controller) => attempts(
    () => controller.noRetry.call({}),
    () => typeof Object.create(controller).cron,
    () => new controller.constructor(),
  ),
  "noRetry": (controller) => [attempt(() => controller.noRetry()), attempt(() => controller.noRetry())],
  "env and ctx": (_, { env, ctx }) => [env.TEXT, typeof ctx.waitUntil, typeof ctx.passThroughOnException],
  "what the handler gives back does not matter": () => new Response("ignored"),
  "the handler may wait": async () => {
    await pause(2);
    return "has waited";
  },
  "waitUntil goes on": (_, { ctx, tell }) => {
    ctx.waitUntil(pause(5).then(() => tell("later")));
    return "done";
  },
  "waitUntil of something else": (_, { ctx }) => attempts(() => ctx.waitUntil(5), () => ctx.waitUntil(), () => ctx.waitUntil.call({}, 1)),
  "the handler throws": async (_, { tell }) => {
    await tell("begun");
    throw new RangeError("of a scheduled handler");
  },
  "the handler throws something else": async (_, { tell }) => {
    await tell("begun");
    throw null;
  },
  "after noRetry the handler throws": async (controller, { tell }) => {
    controller.noRetry();
    await tell("begun");
    throw new Error("not again");
  },
  "the streams of a scheduled event": () => attempt(async () => await new Response(new Blob(["text"]).stream()).text()),
};

export default {
  fetch: () => new Response("this worker is set off by its crons"),
  async scheduled(controller, env, ctx) {
    const { name, mailbox } = JSON.parse(controller.cron);
    const tell = async (value) => void await (await fetch(mailbox, { method: "PUT", body: show(value) })).text();
    await tell(await handlers[name](controller, { env, ctx, tell }));
    return "ignored";
  },
};
