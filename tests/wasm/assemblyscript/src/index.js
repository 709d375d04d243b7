// Output of AssemblyScript, with the bindings that its compiler writes.
import { instantiate } from "../build/index.js";
import module from "../build/index.wasm";

const messages = [];

export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const exports = await instantiate(module, { index: { log: (message) => messages.push(message) } });
    switch (pathname) {
      case "/count":
        return Response.json([exports.count(searchParams.get("text")), messages.splice(0)]);
      case "/primes":
        return Response.json(exports.primes(Number(searchParams.get("limit"))));
      default:
        try {
          exports.fail();
        } catch (error) {
          return new Response(error.message, { status: 500 });
        }
    }
  },
};
