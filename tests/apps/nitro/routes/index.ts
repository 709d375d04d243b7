export default defineEventHandler((event) => {
  const { greeting } = useRuntimeConfig(event);
  return `<h1>${greeting}, ${event.context.user}</h1>`;
});
