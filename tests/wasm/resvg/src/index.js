// Output of Rust's wasm-bindgen, as its own glue code starts it.
import { initWasm, Resvg } from "@resvg/resvg-wasm";
import module from "@resvg/resvg-wasm/index_bg.wasm";

const ready = initWasm(module);

export default {
  async fetch(request) {
    await ready;
    const svg = await request.text();
    const rendered = new Resvg(svg, { fitTo: { mode: "width", value: 16 } }).render();
    return new Response(rendered.asPng(), {
      headers: { "content-type": "image/png", "x-size": `${rendered.width}x${rendered.height}` },
    });
  },
};
