import { Suspense } from "react";
import { Await, type LoaderFunctionArgs } from "react-router";

export function loader({ params }: LoaderFunctionArgs) {
  if (params.id !== "1") throw new Response("no such item", { status: 404 });
  const later = new Promise<string>((resolve) => setTimeout(resolve, 20, "came later"));
  return { made: new Date(0), sizes: new Map([["small", 1n]]), later };
}

export default function Item({ loaderData }: { loaderData: ReturnType<typeof loader> }) {
  return (
    <main>
      <h1>{`${loaderData.made.toISOString()} ${loaderData.sizes.get("small")}`}</h1>
      <Suspense fallback={<i>waiting</i>}>
        <Await resolve={loaderData.later}>{(text) => <b>{text}</b>}</Await>
      </Suspense>
    </main>
  );
}
