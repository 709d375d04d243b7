import { WASI } from "atoll:wasi";
import upper from "./upper.wasm";

const files = { "notes/hello.txt": "hello from a file\n" };

export default {
  async fetch(request) {
    const { searchParams } = new URL(request.url);
    const wasi = new WASI({ args: ["upper", ...searchParams.getAll("file")], stdin: await request.bytes(), files });
    const code = wasi.start(await WebAssembly.instantiate(upper, wasi.getImportObject()));
    if (code !== 0) return new Response(wasi.stderr, { status: 404, headers: { "x-exit-code": String(code) } });
    return new Response(wasi.stdout);
  },
};
