import { getAssetFromKV, mapRequestToAsset, MethodNotAllowedError, NotFoundError, serveSinglePageApp } from "@cloudflare/kv-asset-handler";

// What `site` uploads: a namespace of files under hashed names, and the manifest that leads to them.
const files: Record<string, string> = {
  "index.abc123.html": "<h1>home</h1>",
  "docs/index.def456.html": "<h1>docs</h1>",
  "app.789abc.js": "console.log('app');",
  "picture.001122.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
  "grüße.334455.txt": "grüße",
};
const manifest = Object.fromEntries(Object.keys(files).map((name) => [name.replace(/\.[0-9a-f]{6}\./, "."), name]));
const namespace = {
  async get(key: string, type: string): Promise<ArrayBuffer | null> {
    if (type !== "arrayBuffer") throw new TypeError(`get as ${type}`);
    return key in files ? new TextEncoder().encode(files[key]).buffer : null;
  },
};

export default {
  async fetch(request: Request, _env: unknown, ctx: { waitUntil(work: Promise<unknown>): void }): Promise<Response> {
    const url = new URL(request.url);
    const event = { request, waitUntil: (work: Promise<unknown>) => ctx.waitUntil(work) };
    const options = { ASSET_NAMESPACE: namespace, ASSET_MANIFEST: JSON.stringify(manifest) };
    try {
      if (url.pathname.startsWith("/spa/")) {
        return await getAssetFromKV(event, { ...options, mapRequestToAsset: serveSinglePageApp });
      }
      if (url.pathname.startsWith("/static/")) {
        const strip = (original: Request) => {
          const stripped = new URL(original.url);
          stripped.pathname = stripped.pathname.slice("/static".length);
          return mapRequestToAsset(new Request(stripped, original));
        };
        const cacheControl = { browserTTL: 60, bypassCache: true };
        return await getAssetFromKV(event, { ...options, mapRequestToAsset: strip, cacheControl });
      }
      return await getAssetFromKV(event, options);
    } catch (error) {
      if (error instanceof NotFoundError || error instanceof MethodNotAllowedError) {
        return new Response(error.message, { status: error.status });
      }
      throw error;
    }
  },
};
