import { Suspense, createContext, lazy, use, useId, useState } from "react";
import type { ReactNode } from "react";
import { renderToReadableStream, renderToString } from "react-dom/server";
import { prerender } from "react-dom/static";

const Theme = createContext("light");
const wait = <T,>(value: T) => new Promise<T>((resolve) => setTimeout(() => resolve(value), 20));
const Lazy = lazy(() => import("./lazy"));

function Page({ title, children }: { title: string; children: ReactNode }) {
  return (
    <html lang="en">
      <head>
        <title>{title}</title>
        <link rel="stylesheet" href="/style.css" precedence="default" />
      </head>
      <body>{children}</body>
    </html>
  );
}
function Counter() {
  const [count] = useState(3);
  const id = useId();
  return (
    <label htmlFor={id} className={use(Theme)} style={{ fontWeight: "bold", marginTop: 4 }}>
      count: {count}
      <input id={id} defaultValue={count} readOnly />
    </label>
  );
}
function Quote({ text }: { text: Promise<string> }) {
  return <blockquote>{use(text)}</blockquote>;
}
function Broken(): ReactNode {
  throw new Error("broken component");
}

export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const html = { headers: { "content-type": "text/html; charset=utf-8" } };
    if (pathname === "/string") return new Response(renderToString(<Counter />), html);
    if (pathname === "/static") {
      const { prelude } = await prerender(
        <Page title="static">
          <Quote text={wait("made before")} />
        </Page>,
      );
      return new Response(prelude, html);
    }
    const errors: string[] = [];
    const text = wait("late & <good>");
    const stream = await renderToReadableStream(
      <Page title={searchParams.get("title") ?? "streamed"}>
        <Theme.Provider value="dark">
          <Counter />
        </Theme.Provider>
        <Suspense fallback={<p>waiting for the quote</p>}>
          <Quote text={text} />
        </Suspense>
        <Suspense fallback={<p>waiting for the code</p>}>
          <Lazy />
        </Suspense>
        {pathname === "/broken" && (
          <Suspense fallback={<p>sorry</p>}>
            <Broken />
          </Suspense>
        )}
        {pathname === "/fails" && <Broken />}
      </Page>,
      {
        bootstrapScripts: ["/main.js"],
        signal: request.signal,
        onError(error) {
          errors.push((error as Error).message);
          return "digest-1";
        },
      },
    ).catch((error: Error) => error);
    if (stream instanceof Error) return new Response(`${stream.message} (${errors.length})`, { status: 500 });
    if (searchParams.has("whole")) await stream.allReady;
    return new Response(stream, html);
  },
};
