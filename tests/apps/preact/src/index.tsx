import { createContext } from "preact";
import type { ComponentChildren } from "preact";
import { Suspense, lazy, memo, useContext, useMemo } from "preact/compat";
import { render, renderToStringAsync } from "preact-render-to-string";
import { renderToReadableStream } from "preact-render-to-string/stream";

const Theme = createContext("light");
const Item = memo(({ n }: { n: number }) => <li class={useContext(Theme)}>{useMemo(() => n * n, [n])}</li>);
const Late = lazy(() => new Promise<typeof import("./late")>((resolve) => setTimeout(() => resolve(import("./late")), 5)));
const Box = ({ children }: { children: ComponentChildren }) => <div style={{ color: "red", padding: 4 }}>{children}</div>;
const app = (
  <Box>
    <Theme.Provider value="dark">
      {[1, 2, 3].map((n) => (
        <Item key={n} n={n} />
      ))}
    </Theme.Provider>
    {"<escaped>"}
    <p dangerouslySetInnerHTML={{ __html: "<i>raw</i>" }} />
  </Box>
);
const late = (
  <main>
    <Suspense fallback={<p>waiting</p>}>
      <Late />
    </Suspense>
  </main>
);

export default {
  async fetch(request: Request): Promise<Response> {
    const html = { headers: { "content-type": "text/html; charset=utf-8" } };
    switch (new URL(request.url).pathname) {
      case "/":
        return new Response(render(app), html);
      case "/async":
        return new Response(await renderToStringAsync(late), html);
      case "/stream":
        return new Response(renderToReadableStream(late), html);
      default:
        return new Response("no such page", { status: 404 });
    }
  },
};
