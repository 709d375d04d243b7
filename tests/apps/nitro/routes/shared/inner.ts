// Asks another route of the same server, without a connection.
export default defineEventHandler(async () => ({ inner: await $fetch("/items/1", { query: { from: "inside" } }) }));
