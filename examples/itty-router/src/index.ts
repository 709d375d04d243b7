import { AutoRouter, error, json, type IRequest } from "itty-router";

const router = AutoRouter();

const todos = new Map<string, string>([
  ["1", "write a router"],
  ["2", "deploy it"],
]);

router
  .get("/todos", () => [...todos].map(([id, text]) => ({ id, text })))
  .get("/todos/:id", ({ id }: IRequest) => {
    const text = todos.get(id);
    return text === undefined ? error(404, `no todo ${id}`) : { id, text };
  })
  .post("/todos", async (request: IRequest) => {
    const { text } = (await request.json()) as { text?: unknown };
    return typeof text === "string" ? json({ text }, { status: 201 }) : error(400, "a todo needs a text");
  });

export default router;
