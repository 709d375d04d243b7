import { Hono } from "hono";
import { upgradeWebSocket } from "hono/cloudflare-workers";
import { compress } from "hono/compress";
import { stream, streamSSE, streamText } from "hono/streaming";

export const live = new Hono();
live.use("/compressed/*", compress());
live.get("/compressed/text", (c) => c.text("all the same ".repeat(500)));
live.get("/compressed/small", (c) => c.text("small", 200, { "Content-Length": "5" }));
live.get("/stream", (c) =>
  stream(c, async (out) => {
    await out.write(new Uint8Array([0x61, 0x62]));
    await out.pipe(new Blob(["cd", "ef"]).stream());
    await out.write("gh");
  }),
);
live.get(
  "/socket/:name",
  upgradeWebSocket((c) => {
    const name = c.req.param("name");
    return {
      onMessage(event, socket) {
        if (event.data === "protocol") socket.send(String(socket.protocol));
        else socket.send(`${name}: ${event.data}`);
      },
    };
  }),
);
live.get("/text", (c) =>
  streamText(c, async (out) => {
    for (const word of ["one", "two", "three"]) {
      await out.writeln(word);
      await out.sleep(1);
    }
  }),
);
live.get("/events", (c) =>
  streamSSE(
    c,
    async (out) => {
      for (let id = 0; id < 3; id++) {
        await out.writeSSE({ data: JSON.stringify({ id }), event: "tick", id: String(id) });
        await out.sleep(1);
      }
      await out.writeSSE({ data: "two\nlines" });
      throw new Error("enough");
    },
    async (error, out) => {
      await out.writeSSE({ event: "failed", data: error.message });
    },
  ),
);
