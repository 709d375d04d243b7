import { RouterContextProvider, createRequestHandler } from "react-router";

import { platform } from "../app/platform";

const handler = createRequestHandler(() => import("virtual:react-router/server-build"), import.meta.env.MODE);

export default {
  fetch(request, env, ctx) {
    const context = new RouterContextProvider();
    context.set(platform, { env, ctx });
    return handler(request, context);
  },
} satisfies ExportedHandler<{ GREETING: string }>;
