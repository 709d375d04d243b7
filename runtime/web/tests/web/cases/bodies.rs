//! Bodies in both directions: whole, streamed, forms, used twice, cloned, abandoned.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use atoll_web::event::*;
use bytes::Bytes;
use futures::StreamExt;
use http::Method;
use serde_json::json;

use crate::cases::cases;
use crate::support::*;

cases![
    every_way_to_read,
    streamed_request,
    request_backpressure,
    streamed_response,
    response_backpressure,
    passing_a_body_on,
    chunks_that_are_no_bytes,
    response_that_breaks_off,
    request_that_breaks_off,
    client_leaves_while_waiting,
    client_leaves_while_streaming,
    used_twice,
    cloning,
    forms,
    bodies_of_all_kinds,
];

async fn every_way_to_read(source: Source) {
    let code = "export default { async fetch(request) {
        const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
        switch (new URL(request.url).pathname) {
            case '/text': return new Response(await request.text());
            case '/bytes': return new Response(hex(await request.bytes()));
            case '/arrayBuffer': return new Response(hex(new Uint8Array(await request.arrayBuffer())));
            case '/blob': { const blob = await request.blob(); return new Response(`${blob.type} ${blob.size} ${await blob.text()}`); }
            case '/stream': { let s = ''; for await (const chunk of request.body) s += hex(chunk) + ' '; return new Response(s); }
            case '/byob': {
                const reader = request.body.getReader({ mode: 'byob' });
                let s = '';
                for (let view = new Uint8Array(3);;) {
                    const { done, value } = await reader.read(view);
                    if (done) break;
                    s += hex(value) + ' ';
                    view = new Uint8Array(value.buffer);
                }
                return new Response(s);
            }
        }
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let text = "\u{feff}aé😀";
    for (path, expected) in [
        ("/text", "aé😀"),
        ("/bytes", "efbbbf61c3a9f09f9880"),
        ("/arrayBuffer", "efbbbf61c3a9f09f9880"),
        ("/blob", "text/plain 10 aé😀"),
        ("/stream", "efbbbf61c3a9f09f9880 "),
        ("/byob", "efbbbf 61c3a9 f09f98 80 "),
    ] {
        let headers = [("content-type", "Text/Plain")];
        for body in [Body::Full(Bytes::from(text)), chunks(["\u{feff}a", "é", "", "😀"])] {
            let streamed = matches!(body, Body::Stream { .. });
            let answer = isolate.fetch(request(Method::POST, path, &headers, body)).await.text();
            match (path, streamed) {
                ("/stream", true) => assert_eq!(answer, "efbbbf61 c3a9 f09f9880 "),
                ("/byob", true) => assert_eq!(answer, "efbbbf 61 c3a9 f09f98 80 "),
                _ => assert_eq!(answer, expected, "{path} streamed {streamed}"),
            }
        }
    }
    assert_eq!(isolate.finished().len(), 12);
}

async fn streamed_request(source: Source) {
    let code = "export default { async fetch(request) {
        let seen = [];
        for await (const chunk of request.body.pipeThrough(new TextDecoderStream())) seen.push(chunk);
        return new Response(seen.join('|'));
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let answer = isolate.fetch(request(Method::PUT, "/", &[], chunks(["one", "two", "three"]))).await;
    assert_eq!(answer.text(), "one|two|three");
}

/// A stream that counts how often it was asked for a chunk.
fn counting(chunk: &'static [u8], most: usize) -> (Body, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let stream = futures::stream::unfold(0, move |n| {
        count.fetch_add(1, Ordering::Relaxed);
        async move { (n < most).then(|| (Ok(Bytes::from_static(chunk)), n + 1)) }
    });
    (Body::Stream { stream: Box::pin(stream), length: None, trailers: Default::default() }, asked)
}

async fn request_backpressure(source: Source) {
    let code = "export default { async fetch(request) {
        const reader = request.body.getReader();
        let n = 0;
        for (let i = 0; i < 3; i++) n += (await reader.read()).value.length;
        await scheduler.wait(5);
        return new Response(`${n}`);
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let (body, asked) = counting(b"12345", 1000);
    let answer = isolate.fetch(request(Method::POST, "/", &[], body)).await;
    assert_eq!(answer.text(), "15");
    assert_eq!(asked.load(Ordering::Relaxed), 3, "a chunk is taken when it is read");
}

async fn streamed_response(source: Source) {
    let code = "export default { fetch(request) {
        const { readable, writable } = new TransformStream();
        (async () => {
            const writer = writable.getWriter();
            for (let i = 0; i < 5; i++) { await scheduler.wait(1); await writer.write(new TextEncoder().encode(`${i};`)); }
            await writer.close();
        })();
        return new Response(readable, { headers: { 'content-type': 'text/event-stream' } });
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let response = isolate.answer(get("/")).await.unwrap();
    let Body::Stream { mut stream, length: None, .. } = response.body else { panic!("{:?}", response.body) };
    for i in 0..5 {
        let chunk = isolate.run_until(stream.next()).await.unwrap().unwrap();
        assert_eq!(chunk, format!("{i};"));
        assert_eq!(isolate.finished().len(), 0);
    }
    assert!(isolate.run_until(stream.next()).await.is_none());
    isolate.run().await;
    assert_eq!(isolate.finished().len(), 1, "finished with the body");
}

async fn response_backpressure(source: Source) {
    let code = "let pulled = 0; export default { fetch(request) {
        if (new URL(request.url).pathname === '/pulled') return new Response(`${pulled}`);
        return new Response(new ReadableStream({ pull(c) { pulled++; c.enqueue(new Uint8Array(1000)); } }, { highWaterMark: 0 }));
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let response = isolate.answer(get("/")).await.unwrap();
    let Body::Stream { mut stream, .. } = response.body else { panic!("{:?}", response.body) };
    // Two chunks wait in the pipe; the source is not asked for more before one is taken.
    let mut pulled = 0;
    for taken in 0..10 {
        for _ in 0..20 {
            pulled = isolate.get("/pulled").await.parse().unwrap();
        }
        assert!(pulled <= taken + 2, "{pulled} pulled, {taken} taken");
        assert_eq!(isolate.run_until(stream.next()).await.unwrap().unwrap().len(), 1000);
    }
    assert!(pulled >= 9);
    drop(stream);
    isolate.run().await;
    assert_eq!(isolate.finished().len(), 201);
}

async fn passing_a_body_on(source: Source) {
    let code = "export default { fetch(request) {
        return new Response(request.body, { headers: { 'x-locked': `${request.body.locked}` } });
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let answer = isolate.fetch(post("/", "whole")).await;
    assert_eq!((answer.text().as_str(), answer.header("x-locked")), ("whole", "false"));
    let (body, asked) = counting(b"chunk", 3);
    let response = isolate.answer(request(Method::POST, "/", &[], body)).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert_eq!(collect(response.body).await.unwrap(), "chunkchunkchunk", "no turn of the isolate is needed");
    isolate.run().await;
    assert_eq!(isolate.finished().len(), 2);
}

async fn chunks_that_are_no_bytes(source: Source) {
    let code = "export default { fetch(request) {
        let cancelled = null;
        const stream = new ReadableStream({ start(c) { c.enqueue(new Uint8Array([65])); c.enqueue(7); }, cancel(r) { console.log('cancelled', r.name); } });
        return new Response(stream);
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let response = isolate.answer(get("/")).await.unwrap();
    let body = isolate.run_until(collect(response.body)).await;
    assert!(matches!(&body, Err(BodyError::Failed(m)) if m.contains("strings, not number")), "{body:?}");
    isolate.run().await;
    assert_eq!(isolate.finished().len(), 1);
    let lines = isolate.world.lines();
    assert!(lines.iter().any(|line| line.2 == "cancelled TypeError"), "{lines:?}");
    assert!(lines.iter().any(|line| line.0 == "error" && line.2.contains("strings, not number")), "{lines:?}");
}

async fn response_that_breaks_off(source: Source) {
    let code = "export default { fetch(request) {
        return new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array(1)); setTimeout(() => c.error(new Error('broke')), 1); } }));
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let response = isolate.answer(get("/")).await.unwrap();
    let body = isolate.run_until(collect(response.body)).await;
    assert!(matches!(&body, Err(BodyError::Failed(m)) if m == "Error: broke"), "{body:?}");
    isolate.run().await;
    assert_eq!(isolate.finished().len(), 1);
}

async fn request_that_breaks_off(source: Source) {
    let code = "export default { async fetch(request) {
        const way = new URL(request.url).pathname;
        try {
            if (way === '/text') await request.text(); else for await (const _ of request.body);
        } catch (error) { return new Response(`${error.name}: ${error.message}`); }
    } };";
    let mut isolate = Isolate::new(source, code).await;
    for path in ["/text", "/stream"] {
        let stream = futures::stream::iter([Ok(Bytes::from_static(b"a")), Err(BodyError::TooLarge { limit: 5 })]);
        let body = Body::Stream { stream: Box::pin(stream), length: None, trailers: Default::default() };
        let answer = isolate.fetch(request(Method::POST, path, &[], body)).await;
        assert_eq!(answer.text(), "TypeError: the body is larger than the limit of 5 bytes");
    }
}

async fn client_leaves_while_waiting(source: Source) {
    let code = "export default { async fetch(request) {
        const early = request.signal;
        early.addEventListener('abort', () => console.log('event', early.reason.name, early.aborted));
        await scheduler.wait(10000, { signal: request.signal }).catch((error) => console.log('rejected', error.name));
        return new Response();
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let pending = isolate.send(get("/"));
    let state = isolate.runtime.op_state();
    assert!(!atoll_web::requests::abandoned(&state.borrow(), pending.slot));
    drop(pending.answer);
    assert!(atoll_web::requests::abandoned(&state.borrow(), pending.slot));
    isolate.abort(pending.slot);
    isolate.abort(pending.slot);
    isolate.abort(12345);
    isolate.run().await;
    assert_eq!(isolate.finished(), [pending.slot]);
    let lines: Vec<String> = isolate.world.lines().into_iter().map(|line| line.2).collect();
    assert!(
        lines.contains(&"event AbortError true".into()) && lines.contains(&"rejected AbortError".into()),
        "{lines:?}"
    );
}

async fn client_leaves_while_streaming(source: Source) {
    let code = "export default { fetch(request) {
        request.signal.onabort = () => console.log('aborted');
        return new Response(new ReadableStream({
            start(c) { c.enqueue(new Uint8Array(1)); },
            cancel(reason) { console.log('cancelled', reason.name); },
        }));
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let response = isolate.answer(get("/")).await.unwrap();
    let Body::Stream { mut stream, .. } = response.body else { panic!("{:?}", response.body) };
    isolate.run_until(stream.next()).await.unwrap().unwrap();
    drop(stream);
    isolate.run().await;
    assert_eq!(isolate.finished().len(), 1);
    let lines: Vec<String> = isolate.world.lines().into_iter().map(|line| line.2).collect();
    assert_eq!(lines, ["aborted", "cancelled AbortError"]);
}

async fn used_twice(source: Source) {
    let code = "export default { async fetch(request) {
        const out = [request.bodyUsed];
        const attempt = async (f) => { try { return await f(); } catch (error) { return error.name; } };
        out.push(await request.text(), request.bodyUsed, await attempt(() => request.text()), await attempt(() => request.json()));
        out.push(await attempt(() => new Request(request)), await attempt(() => request.clone()), request.body.locked);
        const response = new Response('x');
        response.body.getReader();
        out.push(await attempt(() => response.text()), response.bodyUsed);
        out.push(await attempt(() => new Response(response.body)));
        out.push(await attempt(() => Response.prototype.text.call({})), await attempt(() => Request.prototype.url));
        return Response.json(out);
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let t = "TypeError";
    let expected = json!([false, "body", true, t, t, t, t, false, t, false, t, t, t]);
    assert_eq!(isolate.fetch(post("/", "body")).await.json(), expected);
}

async fn cloning(source: Source) {
    let code = "export default { async fetch(request) {
        const copy = request.clone();
        const text = new Response('text'), twin = text.clone();
        const streamed = new Response(new Blob(['blob']).stream()), other = streamed.clone();
        const moved = new Request('http://x.example/', { method: 'POST', body: 'moved' });
        const target = new Request(moved);
        return Response.json([
            await request.text(), await copy.text(), await text.text(), await twin.text(),
            await streamed.text(), await other.text(), moved.bodyUsed, await target.text(), target.method,
        ]);
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let expected = json!(["ab", "ab", "text", "text", "blob", "blob", true, "moved", "POST"]);
    assert_eq!(isolate.fetch(post("/", "ab")).await.json(), expected);
    assert_eq!(isolate.fetch(request(Method::POST, "/", &[], chunks(["a", "b"]))).await.json(), expected);
}

async fn forms(source: Source) {
    let code = r#"export default { async fetch(request) {
        switch (new URL(request.url).pathname) {
            case '/write': {
                const form = new FormData();
                form.append('a', '1'); form.append('a', 'two\nlines'); form.append('q"uote', 'x');
                form.append('file', new Blob(['content'], { type: 'text/x' }), 'n"ame.txt');
                form.set('last', new File(['%'], 'f')); form.append('gone', 1); form.delete('gone');
                return new Response(form);
            }
            case '/read': {
                const form = await request.formData();
                const out = [];
                for (const [name, value] of form) {
                    out.push([name, value instanceof File ? [value.name, value.type, await value.text()] : value]);
                }
                return Response.json({ out, all: form.getAll('a'), has: form.has('a'), none: form.get('none') });
            }
        }
    } };"#;
    let mut isolate = Isolate::new(source, code).await;
    let written = isolate.fetch(get("/write")).await;
    let content_type = written.header("content-type").to_owned();
    assert!(content_type.starts_with("multipart/form-data; boundary=----AtollFormBoundary"), "{content_type}");
    let headers = [("content-type", content_type.as_str())];
    let expected = json!({
        "out": [
            ["a", "1"], ["a", "two\r\nlines"], ["q\"uote", "x"], ["file", ["n\"ame.txt", "text/x", "content"]],
            ["last", ["f", "application/octet-stream", "%"]],
        ],
        "all": ["1", "two\r\nlines"], "has": true, "none": null,
    });
    let body = Body::Full(written.body.clone());
    assert_eq!(isolate.fetch(request(Method::POST, "/read", &headers, body)).await.json(), expected);
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let body = Body::Full(Bytes::from_static(b"a=1&b=%C3%BC+x&a=2"));
    assert_eq!(
        isolate.fetch(request(Method::POST, "/read", &headers, body)).await.json(),
        json!({ "out": [["a", "1"], ["b", "ü x"], ["a", "2"]], "all": ["1", "2"], "has": true, "none": null })
    );
    for (content_type, body) in
        [("text/plain", "x"), ("multipart/form-data", "x"), ("multipart/form-data; boundary=b", "x")]
    {
        let headers = [("content-type", content_type)];
        let answer = isolate.answer(request(Method::POST, "/read", &headers, Body::Full(body.into()))).await;
        assert!(
            matches!(&answer, Err(HandlerError::Exception { message, .. }) if message.starts_with("TypeError")),
            "{answer:?}"
        );
    }
}

async fn bodies_of_all_kinds(source: Source) {
    let code = "export default { fetch(request) {
        switch (new URL(request.url).pathname) {
            case '/null': return new Response(null, { status: 204 });
            case '/empty': return new Response('');
            case '/view': return new Response(new Uint16Array([0x4141, 0x4242]).subarray(1));
            case '/dataview': return new Response(new DataView(new Uint8Array([65, 66, 67]).buffer, 1, 1));
            case '/buffer': { const b = new Uint8Array([67]); const r = new Response(b.buffer); b[0] = 68; return r; }
            case '/params': return new Response(new URLSearchParams({ a: 'b c' }));
            case '/blob': return new Response(new Blob(['bl', 'ob'], { type: 'a/b' }));
            case '/surrogate': return new Response('a\\ud800b');
            case '/object': return new Response({ toString: () => 'object' });
            case '/redirect': return Response.redirect('http://x.example/y', 307);
            case '/cookies': {
                const headers = new Headers({ 'Set-Cookie': 'a=1' });
                headers.append('set-cookie', 'b=2'); headers.append('X-Y', '1'); headers.append('x-y', '2');
                return new Response([...headers].join(';') + headers.getSetCookie().length, { headers });
            }
            case '/coded': return new Response('plain', { headers: { 'content-encoding': 'gzip' } });
            case '/compressed': {
                const stream = new Blob(['compressed']).stream().pipeThrough(new CompressionStream('gzip'));
                const response = new Response(stream);
                response.headers.set('content-encoding', 'gzip');
                return new Response(response.body, response);
            }
            case '/manual': return new Response('\\u001f', { encodeBody: 'manual', headers: { 'content-encoding': 'gzip' } });
        }
    } };";
    let mut isolate = Isolate::new(source, code).await;
    for (path, status, content_type, body) in [
        ("/null", 204, "", ""),
        ("/empty", 200, "text/plain;charset=UTF-8", ""),
        ("/view", 200, "", "BB"),
        ("/dataview", 200, "", "B"),
        ("/buffer", 200, "", "C"),
        ("/params", 200, "application/x-www-form-urlencoded;charset=UTF-8", "a=b+c"),
        ("/blob", 200, "a/b", "blob"),
        ("/surrogate", 200, "text/plain;charset=UTF-8", "a\u{fffd}b"),
        ("/object", 200, "text/plain;charset=UTF-8", "object"),
        ("/redirect", 307, "", ""),
    ] {
        let answer = isolate.fetch(get(path)).await;
        let seen = (answer.status.as_u16(), answer.header("content-type"), answer.text());
        assert_eq!(seen, (status, content_type, body.to_owned()), "{path}");
    }
    assert_eq!(isolate.fetch(get("/redirect")).await.header("location"), "http://x.example/y");
    let answer = isolate.fetch(get("/cookies")).await;
    assert_eq!(answer.headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!(answer.text(), "set-cookie,a=1;set-cookie,b=2;x-y,1, 22");
    assert_eq!(isolate.fetch(get("/coded")).await.header("content-encoding"), "");
    let compressed = isolate.fetch(get("/compressed")).await;
    assert_eq!((compressed.header("content-encoding"), &compressed.body[..2]), ("gzip", &[0x1f, 0x8b][..]));
    assert_eq!(isolate.fetch(get("/manual")).await.header("content-encoding"), "gzip");
}
