import { json, text } from "@sveltejs/kit";

export function GET({ url, fetch, request, getClientAddress }) {
  if (url.searchParams.has("inner")) return fetch("/api?from=inside");
  return json({ query: Object.fromEntries(url.searchParams), agent: request.headers.get("user-agent"), address: getClientAddress() !== "" });
}

export async function POST({ request }) {
  return text((await request.text()).toUpperCase(), { status: 201 });
}
