// Runs files of vectors that packages carry: POST a file's text to the path that names its kind. The answer says how many
// vectors there were and which did not give what the file says, each by a name that stays the same.

import * as url from "./url.js";
import { wycheproof } from "./wycheproof.js";

const kinds = { url: url.parsing, setters: url.setters, urlpattern: url.patterns, wycheproof };

export default {
  async fetch(request) {
    const kind = kinds[new URL(request.url).pathname.slice(1)];
    const failed = {};
    let count = 0;
    await kind(await request.json(), async (name, check) => {
      count++;
      try {
        const problem = await check();
        if (problem) failed[name] = problem;
      } catch (error) {
        failed[name] = `throws ${error.name}: ${error.message}`;
      }
    });
    return Response.json({ count, failed });
  },
};
