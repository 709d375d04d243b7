//! What Workers adds to the web platform, and what follows a request's asynchronous calls.

use std::sync::{Arc, Mutex};

use atoll_web::event::*;
use bytes::Bytes;
use http::Method;
use serde_json::json;

use crate::cases::cases;
use crate::support::*;

cases![
    digest_streams,
    timing_safe_equal,
    crypto_jobs_are_bounded,
    identity_streams,
    fixed_lengths,
    local_urls,
    wasm_streaming,
    event_source,
    event_source_from_a_stream,
    client_metadata,
    loop_marks,
    async_context,
];

async fn digest_streams(source: Source) {
    let code = "export default { async fetch(request) {
        const hex = (buffer) => [...new Uint8Array(buffer)].map((b) => b.toString(16).padStart(2, '0')).join('');
        const out = [];
        for (const name of ['SHA-1', 'sha-256', { name: 'SHA-384' }, 'SHA-512']) {
            const stream = new crypto.DigestStream(name);
            const writer = stream.getWriter();
            await writer.write(new TextEncoder().encode('a'));
            await writer.write(new DataView(new TextEncoder().encode('xbcx').buffer, 1, 2));
            await writer.close();
            const whole = await crypto.subtle.digest(name, new TextEncoder().encode('abc'));
            out.push(hex(await stream.digest) === hex(whole), Number(stream.bytesWritten));
        }
        const md5 = new crypto.DigestStream('md5');
        await new Response('abc').body.pipeTo(md5);
        out.push(hex(await md5.digest));
        const piped = new crypto.DigestStream('SHA-256');
        await new Response('abc').body.pipeTo(piped);
        out.push(hex(await piped.digest).slice(0, 8), piped instanceof WritableStream);
        for (const attempt of [
            () => new crypto.DigestStream('CRC-32'), () => new crypto.DigestStream(),
            async () => { const stream = new crypto.DigestStream('SHA-1'); await stream.abort(new RangeError('mine')); await stream.digest; },
            () => new crypto.DigestStream('SHA-1').getWriter().write('text'),
        ]) {
            try { await attempt(); out.push('no error'); } catch (error) { out.push(error.name); }
        }
        return Response.json(out);
    } };";
    let expected = json!([
        true,
        3,
        true,
        3,
        true,
        3,
        true,
        3,
        "900150983cd24fb0d6963f7d28e17f72",
        "ba7816bf",
        true,
        "NotSupportedError",
        "TypeError",
        "RangeError",
        "TypeError"
    ]);
    assert_eq!(Isolate::new(source, code).await.fetch(get("/")).await.json(), expected);
}

async fn timing_safe_equal(source: Source) {
    let code = "export default { async fetch(request) {
        const a = new Uint8Array([1, 2, 3]), { subtle } = crypto, out = [];
        out.push(subtle.timingSafeEqual(a, new Uint8Array([1, 2, 3]).buffer), subtle.timingSafeEqual(a, new Uint8Array([1, 2, 4])),
            subtle.timingSafeEqual(a, new DataView(new Uint8Array([0, 1, 2, 3]).buffer, 1)));
        for (const b of [new Uint8Array(2), 'abc', null]) {
            try { subtle.timingSafeEqual(a, b); } catch (error) { out.push(error.name); }
        }
        return Response.json(out);
    } };";
    let expected = json!([true, false, true, "TypeError", "TypeError", "TypeError"]);
    assert_eq!(Isolate::new(source, code).await.fetch(get("/")).await.json(), expected);
}

async fn crypto_jobs_are_bounded(source: Source) {
    let code = "export default { async fetch(request) {
        const { subtle } = crypto, out = [];
        const salt = new Uint8Array(8);
        const key = await subtle.importKey('raw', salt, 'PBKDF2', false, ['deriveBits', 'deriveKey']);
        const pbkdf2 = (iterations) => ({ name: 'pbkdf2', hash: 'SHA-256', iterations, salt });
        let reads = 0;
        const sly = { name: 'PBKDF2', hash: 'SHA-256', salt, get iterations() { return reads++ === 0 ? 1 : 4e9; } };
        const named = { reads: 0, get name() { return this.reads++ === 0 ? 'HKDF' : 'PBKDF2'; }, hash: 'SHA-256', salt, info: salt, iterations: 4e9 };
        const types = [{ name: 'HMAC', hash: 'SHA-256', length: 2 ** 31 }, { name: 'HMAC', hash: 'SHA-256', length: 2 ** 20 }];
        for (const attempt of [
            () => subtle.deriveBits(pbkdf2(10), key, 256), () => subtle.deriveBits(pbkdf2('10'), key, 256), () => subtle.deriveBits(sly, key, 256),
            () => subtle.deriveBits(pbkdf2(1_000_001), key, 256), () => subtle.deriveBits(pbkdf2(1e6), key, 1e6), () => subtle.deriveBits(pbkdf2(1), key, 2 ** 30),
            () => subtle.deriveBits(named, key, 256), () => subtle.deriveKey(pbkdf2(1e6), key, types[1], false, ['sign']),
            () => subtle.deriveKey(pbkdf2(10), key, { name: 'AES-GCM', length: 256 }, true, ['encrypt']),
            () => subtle.generateKey(types[0], false, ['sign']), () => subtle.generateKey('Ed25519', false, ['sign']),
            () => subtle.generateKey({ name: 'RSA-OAEP', hash: 'SHA-256', modulusLength: 16384, publicExponent: new Uint8Array([1, 0, 1]) }, false, ['encrypt']),
            () => subtle.generateKey({ name: 'AES-GCM', length: 128 }, false, ['encrypt']), () => subtle.deriveBits(), () => subtle.generateKey({}),
            () => subtle.deriveBits.call({}, pbkdf2(1), key, 8),
        ]) {
            try { const made = await attempt(); out.push(made.byteLength ?? (made.type ?? 'pair')); } catch (error) { out.push(error.name); }
        }
        return Response.json([out, reads, subtle.deriveBits.length, subtle.deriveKey.length, subtle.generateKey.name]);
    } };";
    let expected = json!([
        [
            32,
            32,
            32,
            "NotSupportedError",
            "NotSupportedError",
            "NotSupportedError",
            "InvalidAccessError",
            "NotSupportedError",
            "secret",
            "NotSupportedError",
            "pair",
            "NotSupportedError",
            "secret",
            "TypeError",
            "TypeError",
            "TypeError"
        ],
        1,
        2,
        5,
        "generateKey"
    ]);
    assert_eq!(Isolate::new(source, code).await.fetch(get("/")).await.json(), expected);
}

async fn identity_streams(source: Source) {
    let code = "export default { async fetch(request) {
        const path = new URL(request.url).pathname, stream = new IdentityTransformStream(), encoder = new TextEncoder();
        if (path === '/answer') {
            (async () => {
                const writer = stream.writable.getWriter();
                for (const text of ['a', '', 'b', 'c']) await writer.write(encoder.encode(text));
                await writer.close();
            })();
            return new Response(stream.readable);
        }
        const out = [stream instanceof TransformStream, String(stream)];
        const writer = stream.writable.getWriter();
        let written = false;
        const write = writer.write(encoder.encode('hello')).then(() => { written = true; });
        await scheduler.wait(1);
        out.push(written);
        const reader = stream.readable.getReader({ mode: 'byob' });
        const { value } = await reader.read(new Uint8Array(3));
        await write;
        out.push(new TextDecoder().decode(value), written);
        const rest = await reader.read(new Uint8Array(9));
        out.push(new TextDecoder().decode(rest.value));
        const end = reader.read(new Uint8Array(9));
        await writer.close();
        out.push((await end).done);
        const other = new IdentityTransformStream();
        const text = other.writable.getWriter().write(7).catch((error) => error.name);
        out.push(await text);
        const cancelled = new IdentityTransformStream();
        const blocked = cancelled.writable.getWriter();
        const pending = blocked.write(encoder.encode('x')).catch((error) => error.name);
        await cancelled.readable.cancel(new RangeError('enough'));
        await pending;
        out.push(await blocked.write(encoder.encode('y')).catch((error) => error.message));
        const aborted = new IdentityTransformStream();
        const failing = aborted.readable.getReader().read().catch((error) => error.message);
        await aborted.writable.abort(new Error('broken'));
        out.push(await failing);
        return Response.json(out);
    } };";
    let mut isolate = Isolate::new(source, code).await;
    assert_eq!(isolate.get("/answer").await, "abc");
    let expected = json!([
        true,
        "[object IdentityTransformStream]",
        false,
        "hel",
        true,
        "lo",
        true,
        "TypeError",
        "enough",
        "broken"
    ]);
    assert_eq!(isolate.fetch(get("/")).await.json(), expected);
}

async fn fixed_lengths(source: Source) {
    let code = "export default { async fetch(request) {
        const path = new URL(request.url).pathname, bytes = new Uint8Array(5);
        if (path === '/upload') {
            const { readable, writable } = new FixedLengthStream(5n);
            const writer = writable.getWriter();
            const sent = writer.write(bytes).then(() => writer.close());
            const response = await fetch('http://origin.example/', { method: 'POST', body: readable });
            await sent;
            return response;
        }
        if (path === '/answer') {
            const { readable, writable } = new FixedLengthStream(10);
            (async () => {
                const writer = writable.getWriter();
                await writer.write(bytes);
                await writer.write(bytes);
                await writer.close();
            })();
            return new Response(readable);
        }
        const out = [];
        for (const length of [-1, 1.5, NaN, 'x', 2n ** 64n, undefined]) {
            try { new FixedLengthStream(length); out.push('no error'); } catch (error) { out.push(error.name); }
        }
        const long = new FixedLengthStream(4), reads = long.readable.getReader().read().catch((error) => error.name);
        out.push(await long.writable.getWriter().write(bytes).catch((error) => error.name), await reads);
        const short = new FixedLengthStream(6), writer = short.writable.getWriter(), reader = short.readable.getReader();
        writer.write(bytes);
        out.push((await reader.read()).value.length, await writer.close().catch((error) => error.name));
        out.push(await reader.read().catch((error) => error.name));
        return Response.json(out);
    } };";
    let world = World::answering(|request: OutboundRequest| async move {
        let Body::Stream { length, .. } = &request.body else { panic!("a stream was sent") };
        let length = format!("{length:?}");
        let body = collect(request.body).await.unwrap();
        Ok(response(200, &[], Body::Full(format!("{length} {}", body.len()).into())))
    });
    let mut isolate = Isolate::with(source, code, world, Vec::new()).await;
    assert_eq!(isolate.get("/upload").await, "Some(5) 5");
    let answer = isolate.answer(get("/answer")).await.unwrap();
    assert!(matches!(answer.body, Body::Stream { length: Some(10), .. }), "{:?}", answer.body);
    assert_eq!(isolate.run_until(collect(answer.body)).await.unwrap().len(), 10);
    let wrong = "TypeError";
    let expected = json!([wrong, wrong, wrong, wrong, wrong, wrong, wrong, wrong, 5, wrong, wrong]);
    assert_eq!(isolate.fetch(get("/")).await.json(), expected);
}

async fn local_urls(source: Source) {
    let code = "export default { async fetch(request) {
        const out = [];
        for (const url of ['data:,a%20b#frag', 'data:text/html;charset=utf-8;base64,PHA+', 'data:;base64,%59Q%3D%3D',
            'data:nonsense,x%zz', 'data:;charset=utf-8,%C3%A9', 'data:image/svg+xml ; BASE64,YQ']) {
            const response = await fetch(url);
            out.push([response.status, response.headers.get('content-type'), await response.text()]);
        }
        const blob = URL.createObjectURL(new Blob(['blob text'], { type: 'text/x' }));
        const response = await fetch(blob);
        out.push([response.headers.get('content-type'), response.headers.get('content-length'), await response.text()]);
        URL.revokeObjectURL(blob);
        for (const attempt of [() => fetch(blob), () => fetch(blob, { method: 'POST' }), () => fetch('data:nothing'),
            () => fetch('data:;base64,='), () => fetch('ftp://a.example/')]) {
            try { await attempt(); out.push('no error'); } catch (error) { out.push(error.name); }
        }
        return Response.json(out);
    } };";
    let expected = json!([
        [200, "text/plain;charset=US-ASCII", "a b"],
        [200, "text/html;charset=utf-8", "<p>"],
        [200, "text/plain;charset=US-ASCII", "a"],
        [200, "text/plain;charset=US-ASCII", "x%zz"],
        [200, "text/plain;charset=utf-8", "é"],
        [200, "image/svg+xml", "a"],
        ["text/x", "9", "blob text"],
        "TypeError",
        "TypeError",
        "TypeError",
        "TypeError",
        "TypeError"
    ]);
    assert_eq!(Isolate::new(source, code).await.fetch(get("/")).await.json(), expected);
}

async fn wasm_streaming(source: Source) {
    let code = "const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
    const wasm = (init) => new Response(bytes, { headers: { 'content-type': 'application/wasm' }, ...init });
    export default { async fetch(request) {
        const module = await WebAssembly.compileStreaming(wasm());
        const { instance } = await WebAssembly.instantiateStreaming(Promise.resolve(wasm()), {});
        const out = [module instanceof WebAssembly.Module, instance instanceof WebAssembly.Instance];
        for (const wrong of [wasm({ headers: {} }), wasm({ status: 404 }), bytes, Promise.reject(new RangeError('mine')),
            wasm({ headers: { 'content-type': 'application/wasm; a=b' } }),
            new Response('no', { headers: { 'content-type': ' application/WASM ' } })]) {
            try { await WebAssembly.compileStreaming(wrong); out.push('no error'); } catch (error) { out.push(error.name); }
        }
        return Response.json(out);
    } };";
    let expected =
        json!([true, true, "TypeError", "TypeError", "TypeError", "RangeError", "TypeError", "CompileError"]);
    assert_eq!(Isolate::new(source, code).await.fetch(get("/")).await.json(), expected);
}

async fn event_source(source: Source) {
    let code = "export default { async fetch(request) {
        const out = [], log = (...values) => out.push(values.join(' '));
        const source = new EventSource('http://origin.example/events');
        await new Promise((resolve) => {
            source.onopen = () => log('open', source.readyState);
            source.onmessage = ({ data, lastEventId, origin }) => log('message', JSON.stringify(data), lastEventId, origin);
            source.addEventListener('special', ({ type, data }) => log(type, data));
            source.onerror = () => {
                log('error', source.readyState);
                if (source.readyState === EventSource.CLOSED) resolve();
            };
        });
        source.close();
        const refused = new EventSource('http://origin.example/refused');
        await new Promise((resolve) => refused.addEventListener('error', resolve));
        log(refused.readyState, refused.url, EventSource.OPEN, source.CONNECTING);
        try { new EventSource('relative'); } catch (error) { log(error.name); }
        return Response.json(out);
    } };";
    let seen = Arc::new(Mutex::new(Vec::new()));
    let asked = seen.clone();
    let world = World::answering(move |request: OutboundRequest| {
        let header = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        asked.lock().unwrap().push((header("accept"), header("last-event-id")));
        let count = asked.lock().unwrap().len();
        let stream = |chunks| Ok(response(200, &[("content-type", "text/event-stream; charset=utf-8")], chunks));
        let answer = match count {
            1 => stream(chunks([
                "\u{feff}retry: 1\n: comment\nid: 7\nda",
                "ta: one\r",
                "\ndata:two\n\nevent: special\ndata\r\r",
                "id\ndata: x\n\nid: 8\ndata: not dispatched",
            ])),
            2 => Err(FetchFailure { code: "connect", message: "gone".into() }),
            3 => stream(chunks(["data: again\n\n"])),
            _ => Ok(response(204, &[], Body::Empty)),
        };
        async move { answer }
    });
    let mut isolate = Isolate::with_limits(source, code, world, 50, 2).await;
    let expected = json!([
        "open 1",
        "message \"one\\ntwo\" 7 http://origin.example",
        "special ",
        "message \"x\"  http://origin.example",
        "error 0",
        "error 0",
        "open 1",
        "message \"again\"  http://origin.example",
        "error 0",
        "error 2",
        "2 http://origin.example/refused 1 0",
        "SyntaxError"
    ]);
    assert_eq!(isolate.fetch(get("/")).await.json(), expected);
    assert!(seen.lock().unwrap().iter().all(|(accept, _)| accept.as_deref() == Some("text/event-stream")));
}

async fn event_source_from_a_stream(source: Source) {
    let code = "export default { async fetch(request) {
        const events = new Response('id: 3\\ndata: a\\n\\ndata: b\\n\\n').body, out = [];
        const source = EventSource.from(events);
        out.push(source.readyState);
        source.onmessage = ({ data, lastEventId }) => out.push(data + lastEventId);
        await new Promise((resolve) => source.onerror = resolve);
        out.push(source.readyState);
        try { EventSource.from('text'); } catch (error) { out.push(error.name); }
        return Response.json(out);
    } };";
    let expected = json!([1, "a3", "b3", 2, "TypeError"]);
    assert_eq!(Isolate::new(source, code).await.fetch(get("/")).await.json(), expected);
}

async fn client_metadata(source: Source) {
    let code = "export default { async fetch(request) {
        return Response.json([request.cf, new Request(request).cf === request.cf, new Request('http://a/').cf === undefined]);
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let mut event = request(Method::GET, "/", &[("accept-encoding", "br, gzip")], Body::Empty);
    event.head_mut().cf = Some("{\"httpProtocol\":\"HTTP/2\"}".into());
    let expected = json!([{ "httpProtocol": "HTTP/2", "clientAcceptEncoding": "br, gzip" }, true, true]);
    assert_eq!(isolate.fetch(event).await.json(), expected);
}

/// What a request says of the platforms it has passed goes along with every request it sets off.
async fn loop_marks(source: Source) {
    let code = "export default { async fetch(request) {
        const plain = await fetch('http://origin.example/');
        const hides = await fetch('http://origin.example/', { headers: { 'cdn-loop': 'other' } });
        await scheduler.wait(1);
        const later = await fetch('http://origin.example/');
        return Response.json([await plain.text(), await hides.text(), await later.text()]);
    } };";
    let world = World::answering(|request: OutboundRequest| async move {
        let marks = request.headers.get_all("cdn-loop").iter().map(|value| value.to_str().unwrap());
        let marks = marks.collect::<Vec<_>>().join("|");
        Ok(response(200, &[], Body::Full(Bytes::from(marks))))
    });
    let mut isolate = Isolate::with(source, code, world, Vec::new()).await;
    let marked = request(Method::GET, "/", &[("cdn-loop", "a"), ("cdn-loop", "atoll")], Body::Empty);
    assert_eq!(isolate.fetch(marked).await.json(), json!(["a|atoll", "a|atoll", "a|atoll"]));
    assert_eq!(isolate.fetch(get("/")).await.json(), json!(["", "other", ""]));
}

/// A variable of the asynchronous context is there after whatever the code waits for, and so is the request.
async fn async_context(source: Source) {
    let code = "const variable = new AsyncVariable();
    const run = (value, work) => { const previous = variable.enter(value); try { return work(); } finally { restore(previous); } };
    const once = (target, name) => new Promise((resolve) => target.addEventListener(name, () => resolve(variable.get())));
    export default { async fetch(request, env, ctx) {
        const name = new URL(request.url).pathname;
        const out = await run(name, async () => {
            const seen = [variable.get()];
            await null;
            seen.push(variable.get());
            await new Promise((resolve) => setTimeout(resolve, 2));
            seen.push(variable.get());
            seen.push(await new Promise((resolve) => setTimeout(() => resolve(variable.get()))));
            seen.push(await new Promise((resolve) => queueMicrotask(() => resolve(variable.get()))));
            await scheduler.wait(1);
            const response = await fetch('http://origin.example/');
            seen.push(variable.get());
            await response.text();
            seen.push(variable.get());
            const stream = new ReadableStream({ async pull(controller) {
                await scheduler.wait(1);
                seen.push(variable.get());
                controller.enqueue(new Uint8Array(1));
                controller.close();
            } });
            for await (const chunk of stream) seen.push(variable.get());
            seen.push(run('inner', () => variable.get()), variable.get());
            const controller = new AbortController(), aborted = once(controller.signal, 'abort');
            setTimeout(() => controller.abort());
            seen.push(await aborted);
            const { port1, port2 } = new MessageChannel();
            ctx.waitUntil((async () => {
                await scheduler.wait(3);
                console.log('waited', variable.get());
            })());
            try { await Promise.reject(new Error()); } catch { seen.push(variable.get()); }
            return seen;
        });
        out.push(variable.get() === undefined);
        console.log('end', name);
        return Response.json(out);
    } };";
    let world = World::answering(|_| async {
        tokio::task::yield_now().await;
        Ok(response(200, &[], chunks(["a", "b"])))
    });
    let mut isolate = Isolate::with(source, code, world, Vec::new()).await;
    let named = |name: &str| {
        let mut event = get(name);
        event.head_mut().request_id = format!("id{name}").into();
        event
    };
    let (one, two) = (isolate.send(named("/1")), isolate.send(named("/2")));
    for (pending, name) in [(one, "/1"), (two, "/2")] {
        let answer = isolate.run_until(pending.answer).await.unwrap().unwrap();
        let body = isolate.run_until(collect(answer.body)).await.unwrap();
        let mut expected = vec![json!(name); 14];
        expected[9] = json!("inner");
        expected[13] = json!(true);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap(), json!(expected));
    }
    isolate.run().await;
    let mut lines: Vec<_> =
        isolate.world.lines().into_iter().map(|(_, id, message)| format!("{} {message}", id.unwrap())).collect();
    lines.sort();
    assert_eq!(lines, ["id/1 end /1", "id/1 waited /1", "id/2 end /2", "id/2 waited /2"]);
}
