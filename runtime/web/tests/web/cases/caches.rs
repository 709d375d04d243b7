//! The Cache API: what it takes and refuses, and how bodies get in and out.

use http::StatusCode;
use serde_json::json;

use crate::cases::cases;
use crate::support::*;

cases![keeps_responses, refuses, streams_and_passes_on, counts];

async fn keeps_responses(source: Source) {
    let code = "export default { async fetch(request) {
        const cache = caches.default, url = 'https://a.example/x?y#frag';
        const before = await cache.match(url);
        const put = await cache.put(url, new Response('text', { status: 203, headers: { 'x-a': 'b' } }));
        const hit = await cache.match(new Request(url.replace('#frag', '')));
        const named = await caches.open('mine');
        const elsewhere = await named.match(url);
        await named.put(new URL(url), new Response(new Uint8Array([65, 66])));
        let immutable;
        try { hit.headers.set('a', 'b'); } catch (error) { immutable = error.name; }
        return Response.json([before === undefined, put === undefined, hit.status, hit.headers.get('x-a'), hit.url,
            await hit.text(), immutable, elsewhere === undefined, await (await named.match(url)).text(),
            await cache.match(url, { ignoreMethod: true }) instanceof Response,
            await cache.match(new Request(url, { method: 'POST' })) === undefined,
            await (await cache.match(new Request(url, { method: 'HEAD' }), { ignoreMethod: true })).text(),
            await cache.delete(new Request(url, { method: 'POST' })), await cache.delete(url), await cache.delete(url),
            await cache.match(url) === undefined, Object.prototype.toString.call(caches) + cache]);
    } };";
    let mut isolate = Isolate::with_limits(source, code, World::silent(), 50, 2).await;
    assert_eq!(
        isolate.fetch(get("/")).await.json(),
        json!([
            true,
            true,
            203,
            "b",
            "https://a.example/x?y",
            "text",
            "TypeError",
            true,
            "AB",
            true,
            true,
            "text",
            false,
            true,
            false,
            true,
            "[object CacheStorage][object Cache]"
        ])
    );
}

async fn refuses(source: Source) {
    let code = "export default { async fetch(request) {
        const url = 'https://a.example/', cache = caches.default, out = [];
        const used = new Response('x');
        await used.text();
        const locked = new Response(new ReadableStream());
        locked.body.getReader();
        for (const attempt of [
            () => cache.match(), () => cache.match('/relative'), () => cache.match('ftp://a.example/'),
            () => cache.put(url), () => cache.put(url, 'text'), () => cache.put(url, Response.error()),
            () => cache.put(new Request(url, { method: 'POST' }), new Response('x')),
            () => cache.put(url, new Response('x', { status: 206 })),
            () => cache.put(url, new Response('x', { headers: { vary: 'accept, *' } })),
            () => cache.put(url, used), () => cache.put(url, locked), () => cache.match(url, 1),
            () => Cache.prototype.match.call({}, url), () => caches.open(), () => caches.open('x'.repeat(1025)),
            () => new Cache(), () => new CacheStorage(), () => cache.put(url, { get status() { throw 'getter' } }),
            () => cache.match({ toString() { throw new RangeError('mine') } }),
        ]) {
            try { await attempt(); out.push('no error'); } catch (error) { out.push(error.name); }
        }
        return new Response(out.join());
    } };";
    let mut isolate = Isolate::with_limits(source, code, World::silent(), 50, 2).await;
    let mut expected = vec!["TypeError"; 19];
    expected[18] = "RangeError";
    assert_eq!(isolate.get("/").await, expected.join(","));
}

async fn streams_and_passes_on(source: Source) {
    let code = "export default { async fetch(request, env, ctx) {
        const cache = caches.default, path = new URL(request.url).pathname;
        const found = await cache.match(request);
        if (found) return found;
        if (path === '/clone') {
            const response = await fetch('http://origin.example/');
            ctx.waitUntil(cache.put(request, response.clone()));
            return response;
        }
        if (path === '/direct') {
            await cache.put(request, await fetch('http://origin.example/'));
            return new Response(null, { status: 204 });
        }
        let chunks = ['a', 'b', 'c'];
        const stream = new ReadableStream({ pull(controller) {
            if (path === '/broken') controller.error(new Error('no more'));
            else if (chunks.length > 0) controller.enqueue(new TextEncoder().encode(chunks.shift()));
            else controller.close();
        } });
        try { await cache.put(request, new Response(stream)); } catch (error) { return new Response(error.name + ' ' + error.message); }
        return new Response('put');
    } };";
    let world = World::answering(|_| async { Ok(response(200, &[("x-o", "1")], chunks(["hel", "lo"]))) });
    let mut isolate = Isolate::with(source, code, world, Vec::new()).await;
    assert_eq!(isolate.get("/clone").await, "hello");
    isolate.run().await;
    assert_eq!(isolate.get("/clone").await, "hello");
    assert_eq!(isolate.fetch(get("/direct")).await.status, StatusCode::NO_CONTENT);
    let direct = isolate.fetch(get("/direct")).await;
    assert_eq!((direct.text().as_str(), direct.header("x-o")), ("hello", "1"));
    assert_eq!(isolate.get("/stream").await, "put");
    assert_eq!(isolate.get("/stream").await, "abc");
    assert_eq!(isolate.get("/broken").await, "TypeError Error: no more");
    assert_eq!(isolate.get("/broken").await, "TypeError Error: no more");
    isolate.finished();
    assert_eq!(isolate.in_flight(), 0);
}

async fn counts(source: Source) {
    let code = "export default { async fetch(request) {
        for (let n = 0; ; n++) {
            try { await caches.default.match('http://a.example/'); } catch (error) { return new Response(n + error); }
        }
    } };";
    let mut isolate = Isolate::with_limits(source, code, World::silent(), 5, 2).await;
    assert!(isolate.get("/").await.starts_with("5TypeError: too many subrequests"));
}
