export default defineEventHandler((event) => {
  const stream = createEventStream(event);
  (async () => {
    await stream.push("one");
    await stream.push({ id: "2", event: "named", data: "two" });
    await stream.close();
  })();
  return stream.send();
});
