// Writes down what Node.js itself answers to the cases: `node answer.mjs`, with Node.js 20 or later.

import { writeFileSync } from "node:fs";
import { cases as crypto } from "./crypto.js";
import { cases as data } from "./data.js";
import { cases as text } from "./text.js";
import { answers } from "./show.js";

// First what has no hooks on promises.
const all = await answers({ ...text, ...data, ...crypto }, async (name) => (await import(`node:${name}`)).default);
writeFileSync(new URL("answers.json", import.meta.url), `${JSON.stringify(all, null, 1)}\n`);
console.log(Object.entries(all).map(([name, list]) => `${name} ${Object.keys(list).length}`).join(", "));
