//! `fetch`: redirects, bodies, codings, limits, aborts.

use std::io::Write;
use std::sync::{Arc, Mutex};

use atoll_web::event::*;
use bytes::Bytes;
use futures::StreamExt;
use http::Method;
use serde_json::json;

use crate::cases::cases;
use crate::support::*;

cases![
    simple,
    redirects,
    redirect_modes,
    errors,
    upload,
    download_backpressure,
    codings,
    proxying,
    subrequest_limit,
    connections,
    aborts,
];

/// A world that writes down what it was asked and answers by path.
fn recording() -> (Arc<World>, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = seen.clone();
    let world = World::answering(move |request: OutboundRequest| {
        let list = list.clone();
        async move {
            let (method, url, headers) = (request.method, request.url, request.headers);
            let body = collect(request.body).await.unwrap();
            let mut names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
            names.sort_unstable();
            list.lock().unwrap().push(format!(
                "{method} {url} [{}] {}",
                names.join(","),
                String::from_utf8_lossy(&body)
            ));
            Ok(match url.path() {
                "/302" => response(302, &[("location", "/end#f")], Body::Empty),
                "/303" => response(303, &[("location", "/end")], Body::Empty),
                "/307" => response(307, &[("location", "/end")], chunks(["ignored"])),
                "/away" => response(302, &[("location", "https://other.example/end")], Body::Empty),
                "/loop" => response(302, &[("location", "/loop")], Body::Empty),
                "/ftp" => response(302, &[("location", "ftp://x/")], Body::Empty),
                "/echo" => response(200, &[("x-type", "echo")], Body::Full(body)),
                "/404" => response(404, &[], Body::Full(Bytes::from_static(b"no"))),
                "/204" => response(204, &[], Body::Empty),
                _ => response(200, &[("a", "1"), ("set-cookie", "x"), ("set-cookie", "y")], chunks(["hel", "lo"])),
            })
        }
    });
    (world, seen)
}

async fn simple(source: Source) {
    let code = "export default { async fetch(request) {
        const r = await fetch('http://origin.example/x#frag', { headers: { b: '2' } });
        const missing = await fetch(new URL('http://origin.example/404'));
        const none = await fetch('http://origin.example/204');
        return Response.json([r.status, r.ok, r.statusText, r.url, r.redirected, r.type, [...r.headers], await r.text(),
            missing.status, missing.ok, await missing.text(), none.body, r instanceof Response]);
    } };";
    let (world, seen) = recording();
    let mut isolate = Isolate::with(source, code, world, Vec::new()).await;
    let headers = json!([["a", "1"], ["set-cookie", "x"], ["set-cookie", "y"]]);
    assert_eq!(
        isolate.fetch(get("/")).await.json(),
        json!([
            200,
            true,
            "OK",
            "http://origin.example/x",
            false,
            "basic",
            headers,
            "hello",
            404,
            false,
            "no",
            null,
            true
        ])
    );
    assert_eq!(seen.lock().unwrap()[0], "GET http://origin.example/x [accept-encoding,b] ");
}

async fn redirects(source: Source) {
    let code = "export default { async fetch(request) {
        const go = async (path, init) => { const r = await fetch('http://origin.example' + path, init); return [r.url, r.redirected, await r.text()]; };
        const auth = { authorization: 'x', cookie: 'c', keep: 'k' };
        const out = [
            await go('/302', { method: 'POST', body: 'b', headers: auth }),
            await go('/303', { method: 'PUT', body: 'b' }),
            await go('/307', { method: 'POST', body: 'again' }),
            await go('/away', { headers: auth }),
        ];
        return Response.json(out);
    } };";
    let (world, seen) = recording();
    let mut isolate = Isolate::with_limits(source, code, world, 8, 2).await;
    let end = "http://origin.example/end";
    let json = isolate.fetch(get("/")).await.json();
    assert_eq!(json[0], json!([end, true, "hello"]));
    assert_eq!(json[3][0], "https://other.example/end");
    let seen = seen.lock().unwrap();
    assert_eq!(seen[1], format!("GET {end} [accept-encoding,authorization,cookie,keep] "));
    assert_eq!(seen[3], format!("GET {end} [accept-encoding] "));
    assert_eq!(seen[5], format!("POST {end} [accept-encoding,content-type] again"));
    assert_eq!(seen[7], "GET https://other.example/end [accept-encoding,keep] ");
}

async fn redirect_modes(source: Source) {
    let code = "export default { async fetch(request) {
        const attempt = async (path, init) => {
            try { const r = await fetch('http://origin.example' + path, init); return [r.status, r.headers.get('location')]; }
            catch (error) { return `${error.name} ${error.message}`; }
        };
        switch (new URL(request.url).pathname) {
            case '/1': return Response.json([await attempt('/302', { redirect: 'manual' }), await attempt('/302', { redirect: 'error' }),
                await attempt('/ftp'), await attempt('/307', { method: 'POST', body: new Blob(['x']).stream() })]);
            case '/2': return Response.json(await attempt('/loop'));
        }
    } };";
    let (world, _) = recording();
    let mut isolate = Isolate::with_limits(source, code, world, 100, 2).await;
    let json = isolate.fetch(get("/1")).await.json();
    assert_eq!(json[0], json!([302, "/end#f"]));
    for (n, expected) in
        [(1, "redirect mode is \"error\""), (2, "neither http: nor https:"), (3, "cannot be sent twice")]
    {
        let text = json[n].as_str().unwrap();
        assert!(text.starts_with("TypeError") && text.contains(expected), "{text}");
    }
    assert!(isolate.fetch(get("/2")).await.text().contains("more than 20 redirects"));
}

async fn errors(source: Source) {
    let code = "export default { async fetch(request) {
        const attempt = async (...args) => { try { await fetch(...args); return 'fine'; } catch (error) { return `${error.name}: ${error.message}`; } };
        return Response.json([await attempt('http://nobody.example/'), await attempt('/relative'), await attempt('file:///etc/passwd'),
            await attempt(), await attempt('http://x.example', { method: 'bad method' }), await attempt('http://x.example', { body: 'x' }),
            await attempt('http://x.example', { headers: { 'a b': 'c' } }), await attempt('http://x.example', { headers: { a: 'b\\nc' } })]);
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let json = isolate.fetch(get("/")).await.json();
    for (n, expected) in [
        "nobody is at http://nobody.example/",
        "\"/relative\" is not an absolute URL",
        "cannot fetch \"file:///etc/passwd\"",
        "1 argument required",
        "invalid method \"bad method\"",
        "method GET cannot have a body",
        "Invalid header name: \"a b\"",
        "Invalid header value: \"b\\nc\"",
    ]
    .into_iter()
    .enumerate()
    {
        let text = json[n].as_str().unwrap();
        assert!(text.starts_with("TypeError: ") && text.contains(expected), "{text} | {expected}");
    }
}

async fn upload(source: Source) {
    let code = "export default { async fetch(request) {
        const post = async (body) => await (await fetch('http://origin.example/echo', { method: 'POST', body })).text();
        return Response.json([
            await post('text'), await post(new Uint8Array([65, 66])), await post(new Blob(['blob'])), await post(request.body),
            await post(new ReadableStream({ async pull(c) { await scheduler.wait(1); c.enqueue(new TextEncoder().encode('streamed')); c.close(); } })),
        ]);
    } };";
    let (world, _) = recording();
    let mut isolate = Isolate::with(source, code, world, Vec::new()).await;
    let expected = json!(["text", "AB", "blob", "inbound", "streamed"]);
    assert_eq!(isolate.fetch(post("/", "inbound")).await.json(), expected);
    assert_eq!(isolate.fetch(request(Method::POST, "/", &[], chunks(["in", "bound"]))).await.json(), expected);
}

async fn download_backpressure(source: Source) {
    let code = "export default { async fetch(request) {
        const r = await fetch('http://origin.example/');
        const reader = r.body.getReader();
        const first = (await reader.read()).value.length + (await reader.read()).value.length;
        await scheduler.wait(3);
        await reader.cancel();
        return new Response(`${first}`);
    } };";
    let asked = Arc::new(Mutex::new(0));
    let count = asked.clone();
    let world = World::answering(move |_| {
        let count = count.clone();
        async move {
            let stream = futures::stream::repeat_with(move || {
                *count.lock().unwrap() += 1;
                Ok(Bytes::from_static(b"0123456789"))
            });
            Ok(response(
                200,
                &[],
                Body::Stream { stream: Box::pin(stream), length: None, trailers: Default::default() },
            ))
        }
    });
    let mut isolate = Isolate::with(source, code, world, Vec::new()).await;
    assert_eq!(isolate.get("/").await, "20");
    assert_eq!(*asked.lock().unwrap(), 2);
    isolate.run().await;
}

fn gzip(data: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap().into()
}

async fn codings(source: Source) {
    let code = "export default { async fetch(request) {
        const path = new URL(request.url).pathname;
        const r = await fetch('http://origin.example' + path);
        switch (path) {
            case '/read': return new Response(await r.text());
            case '/stream': { let n = 0; for await (const chunk of r.body) n += chunk.length; return new Response(`${n}`); }
            case '/bad': return new Response(await r.text().catch((error) => `${error.name}: ${error.message}`));
            case '/rewritten': return new Response((await r.text()).toUpperCase(), r);
            case '/pass': return r;
            case '/stripped': return new Response(r.body);
        }
    } };";
    let text = "hello ".repeat(20000);
    let coded = gzip(text.as_bytes());
    let body = coded.clone();
    let world = World::answering(move |request: OutboundRequest| {
        let coded = body.clone();
        async move {
            assert_eq!(request.headers["accept-encoding"], "gzip, br");
            let body = match request.url.path() {
                "/bad" => Body::Full(Bytes::from_static(b"no gzip")),
                "/stream" => {
                    let chunks: Vec<_> = coded.chunks(5).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
                    Body::Stream {
                        stream: Box::pin(futures::stream::iter(chunks)),
                        length: None,
                        trailers: Default::default(),
                    }
                }
                _ => Body::Full(coded),
            };
            Ok(response(200, &[("content-encoding", "gzip"), ("content-length", "7")], body))
        }
    });
    let mut isolate = Isolate::with(source, code, world, Vec::new()).await;
    assert_eq!(isolate.get("/read").await, text);
    assert_eq!(isolate.get("/stream").await, text.len().to_string());
    assert!(isolate.get("/bad").await.starts_with("TypeError: the body is not valid compressed data"));
    let answer = isolate.fetch(get("/rewritten")).await;
    assert_eq!((answer.text(), answer.header("content-encoding")), (text.to_uppercase(), ""));
    // Passed on as it came to a client that takes the coding, decoded to one that does not.
    let answer = isolate.fetch(request(Method::GET, "/pass", &[("accept-encoding", "gzip")], Body::Empty)).await;
    assert_eq!((&answer.body, answer.header("content-encoding")), (&coded, "gzip"));
    let answer = isolate.fetch(get("/pass")).await;
    assert_eq!((answer.text(), answer.header("content-encoding")), (text.clone(), ""));
    let answer = isolate.fetch(request(Method::GET, "/stripped", &[("accept-encoding", "gzip")], Body::Empty)).await;
    assert_eq!((answer.text(), answer.header("content-encoding")), (text, ""));
}

async fn proxying(source: Source) {
    let code = "export default { async fetch(request) { return fetch(request); } };";
    let seen = Arc::new(Mutex::new(String::new()));
    let note = seen.clone();
    let world = World::answering(move |request: OutboundRequest| {
        *note.lock().unwrap() = format!("{} {} {:?}", request.method, request.url, request.headers.get("x-a"));
        async move { Ok(response(202, &[("x-b", "2")], request.body)) }
    });
    let mut isolate = Isolate::with(source, code, world, Vec::new()).await;
    let body = chunks(["through", " and ", "back"]);
    let answer = isolate.fetch(request(Method::POST, "/p?q", &[("x-a", "1")], body)).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-b"), answer.text().as_str()), (202, "2", "through and back"));
    assert_eq!(*seen.lock().unwrap(), "POST http://app.example/p?q Some(\"1\")");
    isolate.run().await;
    assert_eq!(isolate.finished().len(), 1);
}

async fn subrequest_limit(source: Source) {
    let code = "export default { async fetch(request) {
        let n = 0;
        try { for (;;) { await scheduler.wait(0); await fetch('http://origin.example/204'); n++; } }
        catch (error) { return new Response(`${n} ${error.name}: ${error.message}`); }
    } };";
    let (world, _) = recording();
    let mut isolate = Isolate::with(source, code, world, Vec::new()).await;
    let expected = "5 TypeError: too many subrequests: a request may make at most 5 outbound requests";
    let pending = [isolate.send(get("/")), isolate.send(get("/"))];
    for pending in pending {
        let response = isolate.run_until(pending.answer).await.unwrap().unwrap();
        assert_eq!(collect(response.body).await.unwrap(), expected, "each request has its own count");
    }
}

async fn connections(source: Source) {
    let code = "export default { async fetch(request) {
        const urls = [1, 2, 3, 4, 5].map((n) => 'http://origin.example/' + n);
        const responses = await Promise.all(urls.map((url) => fetch(url)));
        return new Response((await Promise.all(responses.map((r) => r.text()))).join());
    } };";
    let under_way = Arc::new(Mutex::new((0, 0)));
    let count = under_way.clone();
    let world = World::answering(move |request: OutboundRequest| {
        let count = count.clone();
        async move {
            {
                let mut count = count.lock().unwrap();
                count.0 += 1;
                count.1 = count.1.max(count.0);
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            count.lock().unwrap().0 -= 1;
            let text: &'static str = ["a", "b", "c", "d", "e"][request.url.path()[1..].parse::<usize>().unwrap() - 1];
            Ok(response(200, &[], chunks([text])))
        }
    });
    // Two at once, and bodies that nobody reads yet keep nobody waiting.
    let mut isolate = Isolate::with_limits(source, code, world, 50, 2).await;
    assert_eq!(isolate.get("/").await, "a,b,c,d,e");
    assert_eq!(under_way.lock().unwrap().1, 2);
}

async fn aborts(source: Source) {
    let code = "export default { async fetch(request) {
        const attempt = async (f) => { try { await f(); return 'fine'; } catch (error) { return error.name ?? error; } };
        const timeout = () => fetch('http://origin.example/never', { signal: AbortSignal.timeout(2) });
        const before = () => fetch('http://origin.example/never', { signal: AbortSignal.abort('why') });
        const body = async () => {
            const controller = new AbortController();
            const r = await fetch('http://origin.example/slow', { signal: controller.signal });
            setTimeout(() => controller.abort(), 1);
            await r.text();
        };
        const streamed = async () => {
            const controller = new AbortController();
            const r = await fetch('http://origin.example/slow', { signal: controller.signal });
            const reader = r.body.getReader();
            await reader.read();
            controller.abort(new RangeError('stop'));
            await reader.read();
        };
        return Response.json([await attempt(timeout), await attempt(before), await attempt(body), await attempt(streamed)]);
    } };";
    let world = World::answering(|request: OutboundRequest| async move {
        if request.url.path() == "/never" {
            futures::future::pending::<()>().await;
        }
        let first = futures::stream::iter([Ok(Bytes::from_static(b"first"))]);
        Ok(response(
            200,
            &[],
            Body::Stream {
                stream: Box::pin(first.chain(futures::stream::pending())),
                length: None,
                trailers: Default::default(),
            },
        ))
    });
    let mut isolate = Isolate::with(source, code, world, Vec::new()).await;
    let expected = json!(["TimeoutError", "why", "AbortError", "RangeError"]);
    assert_eq!(isolate.fetch(get("/")).await.json(), expected);
    isolate.run().await;
}
