import { Form, createCookieSessionStorage, data, redirect } from "react-router";
import type { ActionFunctionArgs, LoaderFunctionArgs } from "react-router";

import { platform } from "../platform";

const sessions = createCookieSessionStorage<{ user: string }>({
  cookie: { name: "session", secrets: ["secret"], path: "/", httpOnly: true },
});

export const meta = () => [{ title: "Home" }];
export const headers = () => ({ "X-Page": "home" });

export async function loader({ context, request }: LoaderFunctionArgs) {
  const session = await sessions.getSession(request.headers.get("cookie"));
  return { greeting: context.get(platform).env.GREETING, user: session.get("user") ?? "nobody" };
}

export async function action({ request }: ActionFunctionArgs) {
  const user = (await request.formData()).get("user");
  if (!user) return data({ problem: "a name is needed" }, { status: 422 });
  const session = await sessions.getSession();
  session.set("user", String(user));
  return redirect("/", { headers: { "Set-Cookie": await sessions.commitSession(session) } });
}

interface Props {
  loaderData: Awaited<ReturnType<typeof loader>>;
  actionData?: { problem?: string };
}

export default function Home({ loaderData, actionData }: Props) {
  return (
    <Form method="post">
      <h1>{`${loaderData.greeting}, ${loaderData.user}`}</h1>
      <input name="user" />
      <p>{actionData?.problem}</p>
    </Form>
  );
}
