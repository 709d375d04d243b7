//! What Workers adds to the web platform, as far as the node has a part in it.

use atoll_runtime::Engine;

use crate::support::{config, get, http1, node, request, send};

/// An app finds what it put into a cache, with conditions and ranges answered; another app does not.
pub async fn keeps_what_apps_cache(engine: Engine) {
    let code = "export default { async fetch(request, env, ctx) {
        const found = await caches.default.match(request);
        if (found) return found;
        const headers = { 'cache-control': 'max-age=600', etag: '\"v1\"', 'x-made': crypto.randomUUID() };
        const response = new Response('0123456789', { headers });
        await caches.default.put(request, response.clone());
        return response;
    } };";
    let node = node(config(), &engine, &[("one", code), ("two", code)]).await;
    let made = async |app: &str| get(&node, app, "/x").await.headers["x-made"].clone();
    let first = made("one").await;
    assert_eq!(made("one").await, first);
    assert_ne!(made("two").await, first);
    let hit = get(&node, "one", "/x").await;
    assert_eq!((&hit.headers["cf-cache-status"], hit.body.as_str()), (&"HIT".parse().unwrap(), "0123456789"));
    assert!(hit.headers.contains_key("age"));
    let ask = async |name: &str, value: &str| {
        let asked = request(&node, "one", "/x").header(name, value).body(Default::default()).unwrap();
        send(&http1(), asked).await
    };
    let part = ask("range", "bytes=2-4").await;
    assert_eq!((part.status.as_u16(), part.body.as_str()), (206, "234"));
    assert_eq!(part.headers["content-range"], "bytes 2-4/10");
    let same = ask("if-none-match", "W/\"v1\"").await;
    assert_eq!((same.status.as_u16(), same.body.as_str()), (304, ""));
}

/// A large body streams into the cache while the app makes it, and one that breaks off is not kept.
pub async fn keeps_large_bodies_as_they_come(engine: Engine) {
    let code = "export default { async fetch(request) {
        const found = await caches.default.match(request);
        if (found) return found;
        let left = 300;
        const body = new ReadableStream({ pull(controller) {
            if (left-- > 0) controller.enqueue(new Uint8Array(10_000).fill(97 + left % 26));
            else if (request.url.endsWith('/breaks')) controller.error(new Error('broken'));
            else controller.close();
        } });
        try {
            await caches.default.put(request, new Response(body, { headers: { 'cache-control': 'max-age=600' } }));
            return new Response('put');
        } catch {
            return new Response('not put');
        }
    } };";
    let node = node(config(), &engine, &[("one", code)]).await;
    for _ in 0..2 {
        assert_eq!(get(&node, "one", "/breaks").await.body, "not put");
    }
    assert_eq!(get(&node, "one", "/x").await.body, "put");
    let content: String =
        (0..300_u32).rev().map(|left| char::from(97 + (left % 26) as u8).to_string().repeat(10_000)).collect();
    assert!(get(&node, "one", "/x").await.body == content);
}

/// A developer sets off the scheduled handler by a path; elsewhere the path is the app's own.
pub async fn sets_off_scheduled_handlers(engine: Engine) {
    let code = "let seen = 'nothing'; export default {
        async scheduled(controller) {
            if (controller.cron === 'fail') throw new Error('it fails');
            seen = `${controller.cron} at ${controller.scheduledTime}`;
        },
        fetch(request) { return new Response(seen + ' ' + new URL(request.url).pathname); },
    };";
    let mut config = config();
    config.scheduled_endpoint = true;
    config.isolates.max_per_version = 1;
    let node = node(config, &engine, &[("app", code)]).await;
    let ran = get(&node, "app", "/__scheduled?cron=*+*+*+*+*&time=7").await;
    assert_eq!((ran.status.as_u16(), ran.body.as_str()), (200, "Ran scheduled event"));
    assert_eq!(get(&node, "app", "/x").await.body, "* * * * * at 7 /x");
    assert_eq!(get(&node, "app", "/cdn-cgi/handler/scheduled?cron=daily&time=8").await.body, "ok");
    assert_eq!(get(&node, "app", "/x").await.body, "daily at 8 /x");
    let failed = get(&node, "app", "/cdn-cgi/handler/scheduled?cron=fail").await;
    assert_eq!((failed.status.as_u16(), failed.error()), (500, "handler-exception"));
}

/// Nobody but the operator of a node in development opens that door.
pub async fn keeps_scheduled_handlers_to_itself(engine: Engine) {
    let code = "export default { scheduled() {}, fetch() { return new Response('mine'); } };";
    let node = node(config(), &engine, &[("app", code)]).await;
    for path in ["/__scheduled", "/cdn-cgi/handler/scheduled"] {
        assert_eq!(get(&node, "app", path).await.body, "mine");
    }
}
