import type { ActionFunctionArgs, LoaderFunctionArgs } from "react-router";

export const loader = ({ request }: LoaderFunctionArgs) => Response.json([...new URL(request.url).searchParams]);

export async function action({ request }: ActionFunctionArgs) {
  return new Response((await request.text()).toUpperCase(), { status: 201 });
}
