import * as Sentry from "@sentry/cloudflare";

import { answer } from "./ai";
import { users } from "./database";
import { routes } from "./routes";
import { customers, webhook } from "./payments";

interface Env {
  /** Where all the services are. */
  ORIGIN: string;
}

const settings = (env: Env) => ({ dsn: `${env.ORIGIN.replace("//", "//key@")}/42`, tracesSampleRate: 1 });

export default Sentry.withSentry(settings, {
  async fetch(request, env, ctx): Promise<Response> {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/customers":
        return Response.json(await customers(env.ORIGIN));
      case "/webhook":
        return Response.json(await webhook(env.ORIGIN, await request.text()));
      case "/users":
        return Response.json(await users(env.ORIGIN));
      case "/fails":
        throw new RangeError("told to the service");
      case "/text":
      case "/messages":
        return answer(env.ORIGIN, pathname === "/messages");
      default:
        return routes.fetch(request);
    }
  },
} satisfies ExportedHandler<Env>);
