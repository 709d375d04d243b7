import { addMonths, differenceInCalendarDays, format, formatDistance, formatISO, intervalToDuration, isWeekend, parse, parseISO } from "date-fns";
import { de, ja } from "date-fns/locale";
import { customAlphabet, nanoid, urlAlphabet } from "nanoid";
import { z } from "zod";
import * as mini from "zod/mini";

const person = z
  .object({
    name: z.string().trim().min(1),
    email: z.email(),
    age: z.coerce.number().int().nonnegative().optional(),
    role: z.enum(["author", "reader"]).default("reader"),
    born: z.iso.date().transform((text) => new Date(text)),
    site: z.url().nullable(),
    tags: z.set(z.string()).or(z.array(z.string()).transform((list) => new Set(list))),
  })
  .strict()
  .refine(({ name, email }) => email.startsWith(name.toLowerCase()), { error: "not your address", path: ["email"] });
const shape = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("circle"), radius: z.number() }),
  z.object({ kind: z.literal("square"), side: z.number() }),
]);

const routes: Record<string, (request: Request) => unknown> = {
  "/zod": async (request) => {
    const parsed = await person.safeParseAsync(await request.json());
    if (!parsed.success) return { issues: parsed.error.issues.map(({ code, path, message }) => ({ code, path, message })) };
    const { born, tags, ...rest } = parsed.data;
    return { ...rest, born: born.getUTCFullYear(), tags: [...tags] };
  },
  "/zod/more": () => ({
    area: shape.parse({ kind: "square", side: 3 }),
    wrong: z.prettifyError(shape.safeParse({ kind: "line" }).error!),
    schema: z.toJSONSchema(z.object({ a: z.string().max(3), b: z.array(z.int()) })),
    mini: mini.safeParse(mini.array(mini.number()), [1, "2"]).success,
    codec: z.codec(z.iso.datetime(), z.date(), { decode: (text) => new Date(text), encode: (date) => date.toISOString() }).decode("2026-11-21T12:00:00Z").getTime(),
  }),
  "/nanoid": () => {
    const ids = Array.from({ length: 500 }, () => nanoid());
    return {
      unique: new Set(ids).size,
      wellFormed: ids.every((id) => id.length === 21 && [...id].every((char) => urlAlphabet.includes(char))),
      custom: /^[01]{8}$/.test(customAlphabet("01", 8)()),
    };
  },
  "/date-fns": () => {
    const day = new Date(Date.UTC(2026, 0, 31, 15, 4, 5));
    return {
      format: format(day, "yyyy-MM-dd'T'HH:mm:ss EEEE do"),
      german: format(day, "PPPP", { locale: de }),
      japanese: formatDistance(day, addMonths(day, 3), { locale: ja, addSuffix: true }),
      month: formatISO(addMonths(day, 1), { representation: "date" }),
      days: differenceInCalendarDays(parseISO("2026-12-25"), parseISO("2026-11-21")),
      parsed: parse("21.11.2026", "dd.MM.yyyy", new Date(0)).toISOString(),
      weekend: isWeekend(parseISO("2026-11-21")),
      duration: intervalToDuration({ start: day, end: addMonths(day, 14) }),
    };
  },
};

export default {
  async fetch(request: Request): Promise<Response> {
    const route = routes[new URL(request.url).pathname];
    return route ? Response.json(await route(request)) : new Response("no such tool", { status: 404 });
  },
};
