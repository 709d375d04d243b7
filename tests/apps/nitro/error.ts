export default defineNitroErrorHandler((error, event) => {
  setResponseStatus(event, error.statusCode, error.statusMessage);
  return send(event, JSON.stringify({ status: error.statusCode, message: error.statusMessage, data: error.data ?? null }), "application/json");
});
