import { createHash } from "node:crypto";

export default defineEventHandler((event) => ({
  variable: event.context.cloudflare.env.GREETING,
  waits: typeof event.context.cloudflare.context.waitUntil,
  digest: createHash("sha256").update("a").digest("hex").slice(0, 8),
  method: event.method,
}));
