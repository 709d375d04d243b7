import { error } from "@sveltejs/kit";
import { find } from "$lib/items.server.js";

export function load({ params }) {
  const item = find(params.id);
  if (!item) error(404, "no such item");
  // What is not awaited is streamed after the page.
  return { item, later: new Promise((resolve) => setTimeout(() => resolve("came later"), 20)) };
}
