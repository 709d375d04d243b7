export default defineEventHandler(async (event) => {
  const body = await readBody(event);
  setResponseStatus(event, 201);
  setCookie(event, "user", body.name, { httpOnly: true });
  return { made: shout(body.name) };
});
