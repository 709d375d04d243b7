interface Env {
  GREETING: string;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    return new Response(`${env.GREETING} from ${pathname}\n`);
  },
};
