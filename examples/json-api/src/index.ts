interface Env {
  ORIGIN: string;
}

interface Item {
  id: number;
  name: string;
  price: number;
}

async function fromOrigin<T>(env: Env, path: string): Promise<T> {
  const response = await fetch(new URL(path, env.ORIGIN), {
    headers: { accept: "application/json" },
    signal: AbortSignal.timeout(5000),
  });
  if (!response.ok) throw new OriginError(response.status);
  return response.json();
}

class OriginError extends Error {
  constructor(readonly status: number) {
    super(`the origin answered ${status}`);
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    try {
      if (pathname === "/summary") {
        const items = await fromOrigin<Item[]>(env, "/items");
        const total = items.reduce((sum, item) => sum + item.price, 0);
        return Response.json({ count: items.length, total });
      }
      const match = /^\/items\/(\d+)$/.exec(pathname);
      if (match) {
        const item = await fromOrigin<Item>(env, `/items/${match[1]}`);
        return Response.json({ ...item, label: `${item.name} (${item.price.toFixed(2)})` });
      }
      return Response.json({ error: "try /summary or /items/1" }, { status: 404 });
    } catch (error) {
      console.error("origin failed:", error);
      const status = error instanceof OriginError && error.status === 404 ? 404 : 502;
      return Response.json({ error: error instanceof OriginError ? error.message : "no answer" }, { status });
    }
  },
};
