export default defineNitroPlugin((nitro) => {
  nitro.hooks.hook("request", (event) => {
    event.context.begun = true;
  });
  nitro.hooks.hook("beforeResponse", (event) => {
    setHeader(event, "x-plugin", String(event.context.begun));
  });
});
