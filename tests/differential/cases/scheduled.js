// The `scheduled` handler of Workers. The clock is what sets it off: `atoll dev` here, in workerd a worker that calls
// `scheduled()` of a service binding. Deno has no such handler, and no clock.

import { handlers } from "../crons.js";
import { pause } from "../run.js";

// How often each handler reports, where it is not once.
const REPORTS = { "waitUntil goes on": 2 };
const DUE = 1_234_567_000;

async function setOff(name, { origin, clock }) {
  if (clock === null) return "there is no clock";
  const mailbox = `${origin}/kept/${crypto.randomUUID()}`;
  const cron = encodeURIComponent(JSON.stringify({ name, mailbox }));
  const { ok } = await fetch(`${clock}?time=${DUE}&cron=${cron}`);
  for (;;) {
    const reports = await (await fetch(mailbox)).json();
    if (reports.length >= (REPORTS[name] ?? 1)) return [ok, reports.sort()];
    await pause(5);
  }
}

export default Object.fromEntries(Object.keys(handlers).map((name) => [name, (context) => setOff(name, context)]));
