export default defineEventHandler((event) => {
  const item = items.get(getRouterParam(event, "id")!);
  if (!item) throw createError({ statusCode: 404, statusMessage: "No such item", data: { known: [...items.keys()] } });
  return { ...item, query: getQuery(event) };
});
