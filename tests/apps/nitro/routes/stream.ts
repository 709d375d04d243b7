export default defineEventHandler((event) => {
  setHeader(event, "content-type", "text/plain");
  const parts = ["one ", "two ", "three"];
  return sendStream(event, new ReadableStream({
    async pull(controller) {
      const part = parts.shift();
      if (part === undefined) return controller.close();
      await new Promise((resolve) => setTimeout(resolve, 1));
      controller.enqueue(new TextEncoder().encode(part));
    },
  }));
});
