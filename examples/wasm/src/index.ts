import add from "./add.wasm";

const instance = new WebAssembly.Instance(add);
const sum = instance.exports.add as (a: number, b: number) => number;

export default {
  async fetch(request: Request): Promise<Response> {
    const { searchParams } = new URL(request.url);
    const [a, b] = ["a", "b"].map((name) => Number.parseInt(searchParams.get(name) ?? "", 10));
    if (Number.isNaN(a) || Number.isNaN(b)) {
      return Response.json({ error: "give two whole numbers: ?a=1&b=2" }, { status: 400 });
    }
    return Response.json({ a, b, sum: sum(a, b) });
  },
};
