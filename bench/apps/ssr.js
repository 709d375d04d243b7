// An app of about 1 MB: a page rendered on the server with React, and what a site of that kind has beside it. It counts its
// calls.
import { createElement as h } from "react";
import { renderToReadableStream } from "react-dom/server.edge";
import { StaticRouter, Route, Routes } from "react-router";
import { marked } from "marked";
import * as dates from "date-fns";
import * as jose from "jose";

let calls = 0;
const text = "# Articles\n\nSome *text* with [a link](/about).\n";

function Article({ index }) {
  const day = dates.format(dates.addDays(new Date(2026, 0, 1), index), "yyyy-MM-dd");
  return h("article", null, h("h2", null, `Article ${index}`), h("time", { dateTime: day }, day), h("p", null, "Some words."));
}

function Home() {
  return h(
    "main",
    null,
    h("div", { dangerouslySetInnerHTML: { __html: marked.parse(text) } }),
    Array.from({ length: 20 }, (_, index) => h(Article, { key: index, index })),
  );
}

function Page({ title, path }) {
  const routes = h(Routes, null, h(Route, { path: "/", element: h(Home) }), h(Route, { path: "*", element: h("p", null, "?") }));
  return h(
    "html",
    { lang: "en" },
    h("head", null, h("title", null, title)),
    h("body", null, h(StaticRouter, { location: path }, routes)),
  );
}

export default {
  async fetch(request) {
    calls += 1;
    const url = new URL(request.url);
    if (url.pathname === "/api/day") return Response.json(dates[url.searchParams.get("call")]?.(new Date()));
    if (url.pathname === "/api/token") return Response.json(await jose[url.searchParams.get("call")]?.(await request.text()));
    const page = await renderToReadableStream(h(Page, { title: `${APP_NAME} ${calls}\n`, path: url.pathname }));
    return new Response(page, { headers: { "content-type": "text/html; charset=utf-8" } });
  },
};
