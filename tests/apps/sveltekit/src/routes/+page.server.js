import { fail, redirect } from "@sveltejs/kit";
import { add, all } from "$lib/items.server.js";

export function load({ locals, platform, url }) {
  return { items: all(), user: locals.user, greeting: platform.env.GREETING, query: url.searchParams.get("q") };
}

export const actions = {
  add: async ({ request }) => {
    const name = (await request.formData()).get("name");
    if (!name) return fail(422, { missing: true });
    add(name);
    redirect(303, "/");
  },
  enter: async ({ request, cookies }) => {
    cookies.set("user", (await request.formData()).get("user"), { path: "/" });
    return { entered: true };
  },
};
