import { Hono } from "hono";
import { css, Style } from "hono/css";
import { html, raw } from "hono/html";
import type { FC, PropsWithChildren } from "hono/jsx";
import { createContext, Suspense, useContext } from "hono/jsx";
import { jsxRenderer } from "hono/jsx-renderer";
import { renderToReadableStream } from "hono/jsx/streaming";

const Language = createContext("en");
const Greeting: FC<{ name: string }> = ({ name }) => <p lang={useContext(Language)}>Hello, {name}!</p>;
const Layout: FC<PropsWithChildren<{ title: string }>> = ({ title, children }) => (
  <html>
    <head>
      <title>{title}</title>
      <Style />
    </head>
    <body>{children}</body>
  </html>
);
const Late: FC<{ word: string }> = async ({ word }) => {
  await new Promise((resolve) => setTimeout(resolve, 1));
  return <b>{word}</b>;
};

export const pages = new Hono();
pages.get("/plain", (c) =>
  c.html(
    <Language.Provider value="fr">
      <Greeting name={c.req.query("name") ?? "<world>"} />
      <ul>
        {[1, 2].map((n) => (
          <li key={n}>{n}</li>
        ))}
      </ul>
      <input type="checkbox" checked disabled={false} />
    </Language.Provider>,
  ),
);
pages.use(
  "/laid-out",
  jsxRenderer(({ children, title }) => <Layout title={title ?? "none"}>{children}</Layout>),
);
declare module "hono" {
  interface ContextRenderer {
    (content: string | Promise<string>, head?: { title?: string }): Response | Promise<Response>;
  }
}
pages.get("/laid-out", (c) => c.render(<p class={css`color: red;`}>styled</p>, { title: "A & B" }));
pages.get("/template", (c) => c.html(html`<p>${"<escaped>"} ${raw("<i>raw</i>")} ${Promise.resolve("later")}</p>`));
pages.get("/suspense", (c) => {
  const stream = renderToReadableStream(
    <main>
      <Suspense fallback={<i>waiting</i>}>
        <Late word="arrived" />
      </Suspense>
    </main>,
  );
  return c.body(stream, { headers: { "Content-Type": "text/html; charset=UTF-8" } });
});
