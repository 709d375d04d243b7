/** @type {import("@sveltejs/kit").Handle} */
export async function handle({ event, resolve }) {
  event.locals.user = event.cookies.get("user") ?? "nobody";
  const response = await resolve(event);
  response.headers.set("x-hook", event.route.id ?? "none");
  return response;
}

export function handleError({ status }) {
  return { message: `error ${status}` };
}
