const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Numbers as server-sent events, one at a time. */
function countdown(from: number, pause: number): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let next = from;
  return new ReadableStream({
    async pull(controller) {
      if (next < from) await sleep(pause);
      controller.enqueue(encoder.encode(`data: ${next}\n\n`));
      next -= 1;
      if (next < 0) controller.close();
    },
  });
}

/** Letters in upper case, whatever the size of the chunks they come in. */
function upperCase(): TransformStream<string, string> {
  return new TransformStream({
    transform(chunk, controller) {
      controller.enqueue(chunk.toUpperCase());
    },
  });
}

export default {
  async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    switch (url.pathname) {
      case "/countdown": {
        const from = Math.min(Number(url.searchParams.get("from") ?? 5), 1000);
        const pause = Math.min(Number(url.searchParams.get("pause") ?? 100), 1000);
        return new Response(countdown(from, pause), {
          headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
        });
      }
      case "/upper": {
        if (!request.body) return new Response("POST some text\n", { status: 400 });
        const body = request.body
          .pipeThrough(new TextDecoderStream())
          .pipeThrough(upperCase())
          .pipeThrough(new TextEncoderStream());
        return new Response(body, { headers: { "content-type": "text/plain; charset=utf-8" } });
      }
      default:
        return new Response("try /countdown or POST to /upper\n", { status: 404 });
    }
  },
};
