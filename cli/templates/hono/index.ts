import { Hono } from "hono";

type Bindings = { GREETING: string };

const app = new Hono<{ Bindings: Bindings }>();

app.get("/", (c) => c.text(`${c.env.GREETING} from Hono\n`));
app.get("/hello/:name", (c) => c.json({ hello: c.req.param("name") }));

export default app;
