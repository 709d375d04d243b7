export default defineEventHandler((event) => {
  event.context.user = getCookie(event, "user") ?? "nobody";
});
