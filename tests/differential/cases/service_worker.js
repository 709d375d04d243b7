// The syntax of service workers: `addEventListener("fetch", …)`. The worker is `classic.js`, behind a service binding; Deno
// has nothing of it.

import { attempt } from "../run.js";

const URLS = "http://classic.example/";

async function ask({ env }, name, init) {
  const response = await env.CLASSIC.fetch(URLS + encodeURIComponent(name), init);
  return [response.status, response.headers.get("x-a"), await response.text()];
}

const NAMES = [
  "a response", "a promise of a response", "the event", "the listener's this", "respondWith twice", "respondWith when the listener has returned",
  "respondWith of nothing", "later listeners are not called", "waitUntil", "bindings are on the global", "constructors of events",
];
// What fails is a rejection in workerd and an answer of the platform here: only that it fails is compared.
const FAIL = ["respondWith of no response", "the listener throws", "the promise rejects"];

const cases = {
  "all of them are cases": async (context) => {
    const [, , names] = await ask(context, "names");
    return JSON.parse(names).filter((name) => !NAMES.includes(name) && !FAIL.includes(name) && name !== "the request's body");
  },
  "the request's body": (context) => attempt(() => ask(context, "the request's body", { method: "POST", body: "sent" })),
  "the listener that answers": (context) => attempt(() => ask(context, "second")),
};
for (const name of NAMES) cases[name] = (context) => attempt(() => ask(context, name));
for (const name of FAIL) {
  cases[name] = async (context) => {
    const outcome = await attempt(() => ask(context, name));
    return Array.isArray(outcome) ? outcome[0] < 500 : false;
  };
}

export default cases;
