import { AutoRouter, StatusError, cors, createResponse, error, html, json, text, withContent, withCookies, withParams } from "itty-router";
import type { IRequest } from "itty-router";

type Args = [env: { GREETING: string }, ctx: ExecutionContext];
declare interface ExecutionContext {
  waitUntil(work: Promise<unknown>): void;
}

const { preflight, corsify } = cors({ origin: "https://shop.example", credentials: true, allowMethods: "GET,POST" });
const yaml = createResponse("application/yaml", (value: object) =>
  Object.entries(value).map(([key, item]) => `${key}: ${item}`).join("\n"),
);
const withUser = (request: IRequest) => {
  const token = request.headers.get("authorization");
  if (!token) return error(401, "who are you?");
  request.user = token.replace("Bearer ", "");
};

const admin = AutoRouter<IRequest, Args>({ base: "/admin", before: [withUser] });
admin.get("/me", ({ user }) => ({ user }));

const router = AutoRouter<IRequest, Args>({ before: [preflight, withParams] });
router
  .get("/", (_request, env) => text(env.GREETING))
  .get("/users/:id/posts/:post?", ({ id, post, query }) => ({ id, post: post ?? null, query }))
  .get("/files/:path+", ({ path }) => text(path))
  .get("/images/:name.:extension", ({ name, extension }) => text(`${name} ${extension}`))
  .post("/things", withContent, ({ content }) => json({ made: content }, { status: 201 }))
  .get("/cookies", withCookies, ({ cookies }) => cookies)
  .get("/page", () => html("<h1>page</h1>"))
  .get("/shared", (request) => corsify(json({ shared: true }), request))
  .get("/yaml", () => yaml({ a: 1, b: "two" }))
  .get("/throws", () => {
    throw new StatusError(418, { error: "short", stout: true });
  })
  .get("/bug", () => {
    throw new Error("a bug");
  })
  .all("/admin/*", admin.fetch);
export default router;
