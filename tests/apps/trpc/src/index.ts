import { createTRPCClient, httpBatchLink, httpBatchStreamLink, httpLink } from "@trpc/client";
import { TRPCError, initTRPC, tracked } from "@trpc/server";
import { fetchRequestHandler } from "@trpc/server/adapters/fetch";
import { z } from "zod";

const t = initTRPC.context<{ user: string | null }>().create();
const signedIn = t.procedure.use(({ ctx, next }) => {
  if (!ctx.user) throw new TRPCError({ code: "UNAUTHORIZED", message: "sign in first" });
  return next({ ctx: { user: ctx.user } });
});
const notes = [{ id: 1, text: "first" }];
const router = t.router({
  greet: t.procedure.input(z.object({ name: z.string().min(2) })).query(({ input }) => `hello ${input.name}`),
  me: signedIn.query(({ ctx }) => ({ user: ctx.user })),
  notes: t.router({
    list: t.procedure.query(() => notes),
    add: signedIn.input(z.object({ text: z.string() })).mutation(({ input }) => {
      const note = { id: notes.length + 1, ...input };
      notes.push(note);
      return note;
    }),
  }),
  slow: t.procedure.input(z.number()).query(async function* ({ input }) {
    for (let n = 0; n < input; n++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      yield n;
    }
  }),
  ticks: t.procedure.subscription(async function* () {
    for (const id of ["a", "b"]) yield tracked(id, { tick: id });
  }),
});

const handle = (request: Request) =>
  fetchRequestHandler({
    endpoint: "/trpc",
    req: request,
    router,
    createContext: ({ req }) => ({ user: req.headers.get("authorization") }),
    onError: ({ error, path }) => console.warn(path, error.code),
  });

/** The client and the server in one isolate, with nothing but Request and Response between them. */
async function selfTest(): Promise<object> {
  const sent: string[] = [];
  const fetch = async (input: RequestInfo | URL, init?: object) => {
    const request = new Request(input, init as RequestInit);
    sent.push(`${request.method} ${new URL(request.url).pathname}`);
    return handle(request);
  };
  const url = "http://self/trpc";
  const headers = { authorization: "ada" };
  const batched = createTRPCClient<typeof router>({ links: [httpBatchLink({ url, fetch, headers })] });
  const streamed = createTRPCClient<typeof router>({ links: [httpBatchStreamLink({ url, fetch, headers })] });
  const single = createTRPCClient<typeof router>({ links: [httpLink({ url, fetch })] });
  const [hello, me] = await Promise.all([batched.greet.query({ name: "ada" }), batched.me.query()]);
  const made = await batched.notes.add.mutate({ text: "second" });
  const numbers: number[] = [];
  for await (const n of await streamed.slow.query(3)) numbers.push(n);
  const refused = await single.me.query().catch((error) => ({ message: error.message, code: error.data?.code }));
  const invalid = await single.greet.query({ name: "a" }).catch((error) => error.data?.code);
  return { hello, me, made, numbers, refused, invalid, sent };
}

export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/self-test") return Response.json(await selfTest());
    if (pathname.startsWith("/trpc/")) return handle(request);
    return new Response("no such page", { status: 404 });
  },
};
