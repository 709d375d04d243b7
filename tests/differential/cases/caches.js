// The Cache API (Service Workers standard, 5.4 and 5.5), as far as Workers has it. Every case has a cache or URLs of its own.

import { attempt, attempts, descriptor, utf8 } from "../run.js";

const LASTING = { headers: { "cache-control": "max-age=300" } };
const at = (path) => `http://cached.example/${path}`;
const open = () => caches.open(`case ${crypto.randomUUID()}`);

// What a cache holds, as text, or undefined.
const held = async (cache, input, options) => (await cache.match(input, options))?.text();

export default {
  "caches": () => [Object.prototype.toString.call(caches), typeof CacheStorage, typeof Cache, caches instanceof CacheStorage, attempt(() => new CacheStorage()), attempt(() => new Cache())],
  "a cache": async () => {
    const cache = await open();
    return [cache instanceof Cache, Object.prototype.toString.call(cache), ["match", "put", "delete"].map((name) => descriptor(Cache.prototype, name))];
  },
  "put and match": async () => {
    const cache = await open();
    const put = await cache.put(at("a"), new Response("one", LASTING));
    const found = await cache.match(at("a"));
    return [put, found.status, await found.text(), found.headers.get("cache-control"), await cache.match(at("b"))];
  },
  "caches have names": async () => {
    const [one, other] = [await open(), await open()];
    await one.put(at("named"), new Response("one", LASTING));
    return [await held(one, at("named")), await held(other, at("named"))];
  },
  "a cache that is opened again": async () => {
    const name = `again ${crypto.randomUUID()}`;
    await (await caches.open(name)).put(at("again"), new Response("kept", LASTING));
    return await held(await caches.open(name), at("again"));
  },
  "put replaces": async () => {
    const cache = await open();
    for (const text of ["one", "two"]) await cache.put(at("twice"), new Response(text, LASTING));
    return await held(cache, at("twice"));
  },
  "match gives each time a body of its own": async () => {
    const cache = await open();
    await cache.put(at("bodies"), new Response("body", LASTING));
    return [await held(cache, at("bodies")), await held(cache, at("bodies"))];
  },
  "put takes the body": async () => {
    const cache = await open();
    const response = new Response("body", LASTING);
    const before = response.bodyUsed;
    await cache.put(at("used"), response);
    return [before, response.bodyUsed, await attempt(() => cache.put(at("used"), response))];
  },
  "put of a clone": async () => {
    const cache = await open();
    const response = new Response("body", LASTING);
    await cache.put(at("clone"), response.clone());
    return [await response.text(), await held(cache, at("clone"))];
  },
  "put of a stream": async () => {
    const cache = await open();
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(utf8("one "));
        controller.enqueue(utf8("two"));
        controller.close();
      },
    });
    await cache.put(at("stream"), new Response(body, LASTING));
    return await held(cache, at("stream"));
  },
  "put without a body": async () => {
    const cache = await open();
    await cache.put(at("empty"), new Response(null, LASTING));
    const found = await cache.match(at("empty"));
    return [found.status, await found.text()];
  },
  "put refuses other methods": async () => {
    const cache = await open();
    return attempts(...["HEAD", "POST", "PUT", "DELETE"].map((method) => () => cache.put(new Request(at("method"), { method }), new Response("x", LASTING))));
  },
  "put refuses parts": async () => {
    const cache = await open();
    return attempts(() => cache.put(at("part"), new Response("x", { status: 206, headers: { "content-range": "bytes 0-0/2" } })));
  },
  "put refuses what varies by anything": async () => {
    const cache = await open();
    return attempts(...["*", "accept, *", " * "].map((vary) => () => cache.put(at("vary"), new Response("x", { headers: { vary, "cache-control": "max-age=300" } }))));
  },
  "put refuses URLs that are not http": async () => {
    const cache = await open();
    return attempts(...["ftp://cached.example/", "data:,x", "about:blank", "not a URL", ""].map((url) => () => cache.put(url, new Response("x", LASTING))));
  },
  "put refuses what is no response": async () => {
    const cache = await open();
    return attempts(() => cache.put(at("x")), () => cache.put(), () => cache.put(at("x"), {}), () => cache.put(at("x"), null), () => cache.put(at("x"), "text"));
  },
  "match of other methods": async () => {
    const cache = await open();
    await cache.put(at("methods"), new Response("found", LASTING));
    const ask = (method, options) => () => held(cache, new Request(at("methods"), { method }), options);
    return attempts(ask("GET"), ask("POST"), ask("PUT"), ask("POST", { ignoreMethod: true }), ask("POST", { ignoreMethod: false }), ask("POST", { ignoreMethod: 1 }));
  },
  "match with strange arguments": async () => {
    const cache = await open();
    return attempts(() => cache.match(), () => cache.match("not a URL"), () => cache.match(at("x"), null), () => cache.match(at("x"), undefined), () => cache.match(at("x"), 5), () => cache.match("ftp://cached.example/"));
  },
  "match by URL objects and requests": async () => {
    const cache = await open();
    await cache.put(new URL(at("url")), new Response("found", LASTING));
    return [await held(cache, new URL(at("url"))), await held(cache, new Request(at("url"))), await held(cache, at("url"))];
  },
  "fragments do not count, queries do": async () => {
    const cache = await open();
    await cache.put(at("fragment#one"), new Response("found", LASTING));
    return [await held(cache, at("fragment#two")), await held(cache, at("fragment")), await held(cache, at("fragment?q"))];
  },
  "delete": async () => {
    const cache = await open();
    await cache.put(at("delete"), new Response("x", LASTING));
    return [await cache.delete(at("delete")), await cache.delete(at("delete")), await cache.match(at("delete"))];
  },
  "delete of other methods": async () => {
    const cache = await open();
    await cache.put(at("delete"), new Response("x", LASTING));
    const post = new Request(at("delete"), { method: "POST" });
    return [await cache.delete(post), await cache.delete(post, { ignoreMethod: true })];
  },
  "delete without a URL": async () => {
    const cache = await open();
    return attempts(() => cache.delete(), () => cache.delete("not a URL"));
  },
  "what is kept of a response": async () => {
    const cache = await open();
    const headers = { "cache-control": "max-age=300", "x-mine": "1", "content-type": "text/x", etag: '"e"' };
    await cache.put(at("kept"), new Response("x", { status: 404, statusText: "Nowhere", headers }));
    const found = await cache.match(at("kept"));
    return [found.status, found.ok, ["x-mine", "content-type", "etag"].map((name) => found.headers.get(name)), attempt(() => found.headers.set("x-mine", "2"))];
  },
  "set-cookie": async () => {
    const cache = await open();
    await attempt(() => cache.put(at("cookie"), new Response("x", { headers: { "set-cookie": "a=1", "cache-control": "max-age=300" } })));
    return await held(cache, at("cookie"));
  },
  "set-cookie that is private": async () => {
    const cache = await open();
    const headers = { "set-cookie": "a=1", "cache-control": "private=set-cookie, max-age=300" };
    await attempt(() => cache.put(at("private cookie"), new Response("x", { headers })));
    return await held(cache, at("private cookie"));
  },
  "no-store": async () => {
    const cache = await open();
    await attempt(() => cache.put(at("no-store"), new Response("x", { headers: { "cache-control": "no-store" } })));
    return await held(cache, at("no-store"));
  },
  "max-age of nothing": async () => {
    const cache = await open();
    await attempt(() => cache.put(at("old"), new Response("x", { headers: { "cache-control": "max-age=0" } })));
    return await held(cache, at("old"));
  },
  "vary": async () => {
    const cache = await open();
    const put = (language) => cache.put(new Request(at("language"), { headers: { "accept-language": language } }), new Response(language, { headers: { vary: "accept-language", "cache-control": "max-age=300" } }));
    await put("de");
    const ask = (language) => held(cache, new Request(at("language"), { headers: { "accept-language": language } }));
    return [await ask("de"), await ask("fr"), await held(cache, at("language"))];
  },
  "range": async () => {
    const cache = await open();
    await cache.put(at("range"), new Response("0123456789", { headers: { "content-length": "10", "cache-control": "max-age=300" } }));
    const found = await cache.match(new Request(at("range"), { headers: { range: "bytes=2-4" } }));
    return [found.status, found.headers.get("content-range"), await found.text()];
  },
  "conditions": async () => {
    const cache = await open();
    await cache.put(at("etag"), new Response("x", { headers: { etag: '"e"', "cache-control": "max-age=300" } }));
    const ask = async (headers) => (await cache.match(new Request(at("etag"), { headers })))?.status;
    return [await ask({ "if-none-match": '"e"' }), await ask({ "if-none-match": '"f"' })];
  },
  "caches.default": async () => {
    const url = at(`default ${crypto.randomUUID()}`);
    await caches.default.put(url, new Response("x", LASTING));
    return [caches.default === caches.default, caches.default instanceof Cache, await held(caches.default, url), await held(await open(), url)];
  },
  "open": () => attempts(() => caches.open(), async () => (await caches.open("")) instanceof Cache, async () => (await caches.open(5)) instanceof Cache, () => caches.open(Symbol())),
};
