import { Hono } from "hono";
import { nanoid } from "nanoid";
import note from "./note.txt";
import add from "./add.wasm";

type Env = { Bindings: { GREETING: string } };
const sum = (a: number, b: number) =>
  (new WebAssembly.Instance(add).exports.add as (a: number, b: number) => number)(a, b);

const app = new Hono<Env>();
app.get("/", (c) => c.text(`${c.env.GREETING}: ${note.trim()}`));
app.get("/add/:a/:b", (c) => c.json({ sum: sum(Number(c.req.param("a")), Number(c.req.param("b"))) }));
app.get("/id", (c) => c.text(nanoid(10)));
app.get("/lazy", async (c) => c.text((await import("./lazy")).default));
app.get("/throws", () => {
  throw new Error("thrown on purpose");
});
app.onError((error, c) => c.text(error.stack ?? "", 500));
export default app;
