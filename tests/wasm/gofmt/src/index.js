// Output of TinyGo, a reactor without imports, with the package's own glue code.
import { format } from "@wasm-fmt/gofmt/gofmt_binding.js";
import module from "@wasm-fmt/gofmt/gofmt.wasm";

const { exports } = new WebAssembly.Instance(module);
exports._initialize();

export default {
  async fetch(request) {
    try {
      return new Response(format(exports, await request.text()));
    } catch (error) {
      return new Response(error.message, { status: 400 });
    }
  },
};
