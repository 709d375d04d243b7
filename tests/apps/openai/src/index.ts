import OpenAI from "openai";

export default {
  async fetch(request: Request, env: { ORIGIN: string }): Promise<Response> {
    const client = new OpenAI({ apiKey: "key-1", baseURL: `${env.ORIGIN}/v1`, maxRetries: 1 });
    const messages = [{ role: "user" as const, content: "Say hello" }];
    switch (new URL(request.url).pathname) {
      case "/complete": {
        const completion = await client.chat.completions.create({ model: "small", messages });
        return Response.json({ text: completion.choices[0]?.message.content, request: completion._request_id });
      }
      case "/stream": {
        const stream = await client.chat.completions.create({ model: "small", messages, stream: true });
        const words: string[] = [];
        for await (const chunk of stream) words.push(chunk.choices[0]?.delta.content ?? "");
        return Response.json(words);
      }
      case "/relay": {
        // Passed on as it comes.
        const stream = await client.chat.completions.create({ model: "small", messages, stream: true });
        const encoder = new TextEncoder();
        const text = new ReadableStream<Uint8Array>({
          async start(controller) {
            for await (const chunk of stream) controller.enqueue(encoder.encode(chunk.choices[0]?.delta.content ?? ""));
            controller.close();
          },
        });
        return new Response(text, { headers: { "content-type": "text/plain; charset=utf-8" } });
      }
      case "/raw": {
        const stream = await client.chat.completions.create({ model: "small", messages, stream: true });
        return new Response(stream.toReadableStream(), { headers: { "content-type": "application/x-ndjson" } });
      }
      case "/helper": {
        const runner = client.chat.completions.stream({ model: "small", messages });
        let events = 0;
        runner.on("content", () => events++);
        return Response.json({ text: await runner.finalContent(), events });
      }
      case "/upload": {
        const file = new File(["{}\n"], "batch.jsonl", { type: "application/jsonl" });
        return Response.json(await client.files.create({ file, purpose: "batch" }));
      }
      case "/fails":
        try {
          await client.models.retrieve("absent");
          return new Response("found");
        } catch (error) {
          if (!(error instanceof OpenAI.NotFoundError)) throw error;
          return Response.json({ status: error.status, code: error.code, message: error.message });
        }
      case "/retries":
        return Response.json(await client.models.retrieve("flaky"));
      default:
        return new Response("no such page", { status: 404 });
    }
  },
};
