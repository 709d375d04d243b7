//! The rest of the platform: what is there, what is not, and that it works.

use serde_json::json;

use crate::cases::cases;
use crate::support::*;

cases![
    globals,
    nothing_leaks,
    guards,
    clones,
    digests,
    compression,
    decompression_on_demand,
    off_heap_memory,
    patterns_and_urls,
    timers,
    encodings,
    headers_rules,
    late
];

/// A worker that answers with what an expression gives.
async fn eval(source: Source, expression: &str) -> serde_json::Value {
    let code = format!(
        "export default {{ async fetch(request, env, ctx) {{ return Response.json(await (async () => {expression})()); }} }};"
    );
    Isolate::new(source, &code).await.fetch(get("/")).await.json()
}

async fn globals(source: Source) {
    let names = "AbortController AbortSignal Blob ByteLengthQueuingStrategy CompressionStream CountQueuingStrategy Crypto \
        CryptoKey CustomEvent DOMException DecompressionStream ErrorEvent Event EventTarget File FormData Headers \
        MessageChannel MessageEvent MessagePort Performance PromiseRejectionEvent ReadableByteStreamController ReadableStream \
        ReadableStreamBYOBReader ReadableStreamBYOBRequest ReadableStreamDefaultController ReadableStreamDefaultReader Request \
        Response SubtleCrypto TextDecoder TextDecoderStream TextEncoder TextEncoderStream TransformStream \
        TransformStreamDefaultController URL URLPattern URLSearchParams WebAssembly WritableStream \
        WritableStreamDefaultController WritableStreamDefaultWriter atob btoa clearInterval clearTimeout console crypto fetch \
        globalThis navigator performance queueMicrotask reportError scheduler self setInterval setTimeout structuredClone";
    let expression = format!(
        "{{
            const missing = '{names}'.split(/ +/).filter((name) => globalThis[name] === undefined);
            const misnamed = '{names}'.split(/ +/).filter((name) => typeof globalThis[name] === 'function' && globalThis[name].name !== name);
            return [missing, misnamed, navigator.userAgent, self === globalThis, Object.keys(globalThis).includes('Response'),
                typeof performance.now(), Math.abs(performance.timeOrigin - Date.now()) < 3600e3];
        }}"
    );
    assert_eq!(eval(source, &expression).await, json!([[], [], "Cloudflare-Workers", true, false, "number", true]));
}

async fn nothing_leaks(source: Source) {
    let expression = "{
        const known = new Set(Object.getOwnPropertyNames(globalThis));
        return ['Deno', '__bootstrap', '__atoll__', '__infra', '__timers', 'SharedArrayBuffer', 'require', 'process', 'global', 'window']
            .filter((name) => known.has(name) || name in globalThis);
    }";
    assert_eq!(eval(source, expression).await, json!([]));
}

async fn guards(source: Source) {
    let expression = "{
        const attempt = (f) => { try { return f(); } catch (error) { return error.name; } };
        const long = 'x'.repeat(2 ** 28);
        return [
            attempt(() => long.split('').length), attempt(() => long.split(['']).length),
            attempt(() => long.split({ toString: () => '' }).length), attempt(() => String.prototype.split.call(null, '')),
            'a,b,c'.split(','), 'abc'.split(''), 'abc'.split('', 2), 'abc'.split(), 'a1b'.split(/\\d/), 'a1b2c'.split(/\\d/, 2), 'null'.split(null),
            'abc'.split(undefined, 0), String.prototype.split.name, String.prototype.split.length, `${String.prototype.split}`,
        ];
    }";
    let r = "RangeError";
    assert_eq!(
        eval(source, expression).await,
        json!([
            r,
            r,
            r,
            "TypeError",
            ["a", "b", "c"],
            ["a", "b", "c"],
            ["a", "b"],
            ["abc"],
            ["a", "b"],
            ["a", "b"],
            ["", ""],
            [],
            "split",
            2,
            "function split() { [native code] }"
        ])
    );
}

async fn clones(source: Source) {
    let expression = "{
        const buffer = new ArrayBuffer(2);
        const cyclic = { when: new Date(5), set: new Set([1]), error: new RangeError('r'), re: /x/g, big: 5n };
        cyclic.self = cyclic;
        const copy = structuredClone(cyclic);
        const moved = structuredClone(buffer, { transfer: [buffer] });
        let failure; try { structuredClone(() => {}); } catch (error) { failure = [error.name, error instanceof DOMException]; }
        const { port1, port2 } = new MessageChannel();
        const message = new Promise((resolve) => port2.onmessage = (event) => resolve(event.data));
        port1.postMessage({ a: [1] });
        const received = await message;
        port1.close();
        return [copy.self === copy, copy.when.getTime(), copy.set.has(1), copy.error.name, copy.re.flags, `${copy.big}`, moved.byteLength, buffer.byteLength, failure, received];
    }";
    assert_eq!(
        eval(source, expression).await,
        json!([true, 5, true, "RangeError", "g", "5", 2, 0, ["DataCloneError", true], { "a": [1] }])
    );
}

async fn digests(source: Source) {
    let expression = "{
        const hex = (buffer) => Array.from(new Uint8Array(buffer), (b) => b.toString(16).padStart(2, '0')).join('');
        const data = new TextEncoder().encode('abc');
        const key = await crypto.subtle.importKey('raw', data, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']);
        const signature = await crypto.subtle.sign('HMAC', key, data);
        const failed = await crypto.subtle.digest('MD0', data).catch((error) => [error.name, error instanceof DOMException]);
        return [hex(await crypto.subtle.digest('SHA-256', data)), await crypto.subtle.verify('HMAC', key, signature, data),
            crypto.randomUUID().length, crypto.getRandomValues(new Uint8Array(8)).length, failed, key instanceof CryptoKey, crypto instanceof Crypto];
    }";
    let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(eval(source, expression).await, json!([sha, true, 36, 8, ["NotSupportedError", true], true, true]));
}

async fn compression(source: Source) {
    let expression = "{
        const text = 'squeeze '.repeat(10000);
        const out = [];
        for (const format of ['gzip', 'deflate', 'deflate-raw', 'brotli']) {
            const squeezed = await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream(format))).arrayBuffer();
            const back = await new Response(new Blob([squeezed]).stream().pipeThrough(new DecompressionStream(format))).text();
            out.push(squeezed.byteLength < 1000, back === text);
        }
        const gunzip = (...parts) => new Response(new Blob(parts).stream().pipeThrough(new DecompressionStream('gzip'))).text()
            .then(() => 'fine', (error) => error.name);
        const squeezed = await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream('gzip'))).bytes();
        out.push(await gunzip('garbage'), await gunzip(squeezed.slice(0, 20)), await gunzip(squeezed, 'rest'), await gunzip());
        let format; try { new DecompressionStream('zip'); } catch (error) { format = error.name; }
        const stream = new DecompressionStream('gzip');
        const writer = stream.writable.getWriter();
        writer.write(squeezed).catch(() => {});
        await stream.readable.cancel('enough');
        out.push(format, await writer.closed.catch((reason) => reason));
        return out;
    }";
    let t = "TypeError";
    assert_eq!(
        eval(source, expression).await,
        json!([true, true, true, true, true, true, true, true, t, t, t, t, t, "enough"])
    );
}

/// 1 GiB of zeros in 1 MiB: only what is read comes into being.
async fn decompression_on_demand(source: Source) {
    let expression = "{
        let squeezed = new Blob([new Uint8Array(2 ** 24)]);
        squeezed = await new Response(squeezed.stream().pipeThrough(new CompressionStream('gzip'))).bytes();
        const reader = new Blob(Array(64).fill(squeezed)).stream().pipeThrough(new DecompressionStream('gzip')).getReader();
        let longest = 0;
        for (let i = 0; i < 20; i++) longest = Math.max(longest, (await reader.read()).value.length);
        await reader.cancel();
        return longest;
    }";
    assert_eq!(eval(source, expression).await, json!(64 << 10));
}

/// What blobs hold is counted, once, and no longer than they live.
async fn off_heap_memory(source: Source) {
    let code = "let kept; export default { async fetch(request) {
        kept = new Blob([new Uint8Array(1e6)]);
        kept = [kept, kept.slice(10), kept.slice(20, 30)];
        return new Response();
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let before = atoll_web::off_heap(&isolate.runtime.op_state().borrow());
    isolate.get("/").await;
    assert_eq!(atoll_web::off_heap(&isolate.runtime.op_state().borrow()), before + 1_000_000);
}

async fn patterns_and_urls(source: Source) {
    let expression = "{
        const pattern = new URLPattern({ pathname: '/users/:id' });
        const url = new URL('../x?b=2#h', 'https://u:p@ex\u{e4}mple.com:8443/a/b');
        url.searchParams.append('c', '3 4');
        return [pattern.exec('https://x.example/users/7').pathname.groups.id, pattern.test('https://x.example/other'), url.href,
            URL.canParse('nope'), [...new URLSearchParams('a=1&a=2')], new URL('http://x').origin];
    }";
    assert_eq!(
        eval(source, expression).await,
        json!([
            "7",
            false,
            "https://u:p@xn--exmple-cua.com:8443/x?b=2&c=3+4#h",
            false,
            [["a", "1"], ["a", "2"]],
            "http://x"
        ])
    );
}

async fn timers(source: Source) {
    let expression = "{
        const out = [];
        const cleared = setTimeout(() => out.push('never'), 1);
        clearTimeout(cleared);
        await new Promise((resolve) => {
            setTimeout((...args) => { out.push(...args); }, 3, 'b', 'c');
            setTimeout(() => out.push('a'), 1);
            let n = 0;
            const id = setInterval(() => { if (++n === 3) { clearInterval(id); setTimeout(resolve, 5); } }, 1);
        });
        queueMicrotask(() => out.push('micro'));
        await null;
        await scheduler.wait(1);
        const aborted = await scheduler.wait(1000, { signal: AbortSignal.timeout(1) }).catch((error) => error.name);
        return [out, aborted, typeof cleared];
    }";
    assert_eq!(eval(source, expression).await, json!([["a", "b", "c", "micro"], "TimeoutError", "number"]));
}

async fn encodings(source: Source) {
    let expression = "{
        let invalid; try { atob('*'); } catch (error) { invalid = error.name; }
        let fatal; try { new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255])); } catch (error) { fatal = error.name; }
        const event = new CustomEvent('x', { detail: 5 });
        let heard; addEventListener('x', (e) => heard = [e.detail, e.target === globalThis], { once: true });
        dispatchEvent(event);
        return [btoa('hi'), atob('aGk='), invalid, fatal, new TextDecoder('latin1').decode(new Uint8Array([233])),
            new TextEncoder().encode('\u{20ac}').length, heard, await new File(['x'], 'n.txt').text(), new Blob(['ab']).slice(1).size];
    }";
    assert_eq!(
        eval(source, expression).await,
        json!(["aGk=", "hi", "InvalidCharacterError", "TypeError", "é", 3, [5, true], "x", 1])
    );
}

async fn headers_rules(source: Source) {
    let expression = "{
        const attempt = (f) => { try { f(); return 'fine'; } catch (error) { return error.name; } };
        const h = new Headers([['B', ' x '], ['a', '1']]);
        h.append('b', 'y');
        const during = [];
        for (const [name] of h) { during.push(name); if (name === 'a') h.set('c', 'late'); }
        const seen = [];
        h.forEach((value, name) => seen.push(`${name}=${value}`));
        return [h.get('b'), h.has('B'), during, seen, [...h.keys()], [...new Headers(h).values()],
            attempt(() => new Headers({ 'a b': 'x' })), attempt(() => h.set('x', '\\u0100')), attempt(() => new Headers([['x']])),
            attempt(() => new Headers(5)), attempt(() => h.get()), attempt(() => Headers.prototype.get.call({}, 'x')),
            attempt(() => new Response('', { status: 600 })), attempt(() => new Response('x', { status: 204 })),
            Object.prototype.toString.call(h.entries()), Object.keys(Headers.prototype).includes('get')];
    }";
    let t = "TypeError";
    assert_eq!(
        eval(source, expression).await,
        json!([
            "x, y",
            true,
            ["a", "b", "c"],
            ["a=1", "b=x, y", "c=late"],
            ["a", "b", "c"],
            ["1", "x, y", "late"],
            t,
            t,
            t,
            t,
            t,
            t,
            "RangeError",
            t,
            "[object Headers Iterator]",
            true
        ])
    );
}

/// Rare scripts are loaded on first use, also after code has replaced what they are made of.
async fn late(source: Source) {
    let expression = "{
        Array.prototype.push = () => { throw new Error('replaced'); };
        Object.defineProperty = undefined;
        Promise.prototype.then = () => {};
        return new URLPattern({ pathname: '/:x' }).test('http://x/1') && new FormData() instanceof FormData;
    }";
    let code = format!("export default {{ fetch() {{ return Response.json((() => {expression})()); }} }};");
    assert_eq!(Isolate::new(source, &code).await.fetch(get("/")).await.json(), json!(true));
}
