import type { APIRoute } from "astro";

export const GET: APIRoute = ({ url, locals }) =>
  Response.json({ query: Object.fromEntries(url.searchParams), user: locals.user });

export const POST: APIRoute = async ({ request }) =>
  new Response((await request.text()).toUpperCase(), { status: 201 });

export const DELETE: APIRoute = () => {
  throw new Error("not for strangers");
};
