//! What the snapshot holds, and what each isolate has of its own all the same.

use std::time::{SystemTime, UNIX_EPOCH};

use super::*;

#[tokio::test]
async fn isolates_share_no_randomness_and_no_clock() {
    let code = "
        const atTop = [crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(16))].join(), Math.random()];
        export default { fetch() {
            const key = crypto.randomUUID();
            return Response.json([...atTop, key, crypto.subtle === crypto.subtle, performance.timeOrigin, performance.now()]);
        } };";
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1e3;
    let mut seen = std::collections::BTreeSet::new();
    // From the third on they are copied from an image of the first two.
    for _ in 0..5 {
        // What waits has been restored before, but not before the first isolate of this process.
        let (isolate, _) = start(code);
        let answer: Vec<serde_json::Value> = serde_json::from_str(&ask(&isolate, "/").await).unwrap();
        for random in &answer[..4] {
            assert!(seen.insert(random.to_string()), "{random} was seen before");
        }
        assert_eq!(answer[4], true);
        let (origin, elapsed) = (answer[5].as_f64().unwrap(), answer[6].as_f64().unwrap());
        // The snapshot is at least as old as this program's own file.
        let built = std::env::current_exe().unwrap().metadata().unwrap().modified().unwrap();
        let built = built.duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1e3;
        assert!(origin > built && elapsed >= 0.0, "built {built}, origin {origin}, elapsed {elapsed}");
        assert!(origin + elapsed <= now() + 1_000.0, "origin {origin}, elapsed {elapsed}, now {}", now());
    }
}

/// The engine deserializes the snapshot for the first two isolates of a process and copies the others from an image of what
/// came of it (`third_party/v8`, patch 0011). What a collection moves, frees and marks must be as it is in the first.
#[tokio::test]
async fn isolates_that_are_copied_are_as_those_before_them() {
    let code = r"
        const natives = (object, seen = new Set()) => {
            // Everything that can be reached: types, texts of functions and names, as one text.
            const found = [], queue = [['globalThis', object]];
            while (queue.length > 0) {
                const [path, value] = queue.shift();
                if (seen.has(value)) continue;
                seen.add(value);
                found.push(`${path} ${typeof value} ${Object.prototype.toString.call(value)}`);
                if (typeof value === 'function') found.push(`${value.name} ${value.length} ${Function.prototype.toString.call(value)}`);
                const next = Object.getPrototypeOf(value);
                if (next !== null) queue.push([`${path}.__proto__`, next]);
                for (const key of Reflect.ownKeys(value)) {
                    const descriptor = Object.getOwnPropertyDescriptor(value, key);
                    for (const kind of ['value', 'get', 'set']) {
                        const inner = descriptor[kind];
                        if (typeof inner === 'function' || (typeof inner === 'object' && inner !== null)) {
                            queue.push([`${path}.${String(key)}.${kind}`, inner]);
                        } else if (typeof inner === 'string' || typeof inner === 'boolean') found.push(`${path}.${String(key)} ${inner}`);
                    }
                }
            }
            return found;
        };
        const collect = () => {
            // More than the young generation holds and most of what the old one may: both are collected.
            for (let round = 0; round < 6; round++) {
                const kept = [];
                for (let i = 0; i < 300; i++) kept.push(Array.from({ length: 4000 }, (_, at) => ({ at })));
            }
        };
        const platform = async () => {
            const bytes = new TextEncoder().encode('caf\u{e9} '.repeat(100));
            const packed = new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream('gzip')));
            const text = await new Response(packed.body.pipeThrough(new DecompressionStream('gzip'))).text();
            const digest = [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))].join();
            const key = await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, true, ['sign', 'verify']);
            const signed = await crypto.subtle.verify('HMAC', key, await crypto.subtle.sign('HMAC', key, bytes), bytes);
            const url = new URL('http://a.b/c?d=e#f');
            const matched = new URLPattern({ pathname: '/:x' }).exec(url).pathname.groups.x;
            const copy = structuredClone({ date: new Date(0), map: new Map([[1, /a/g]]), bytes: new Uint8Array(3) });
            const numbers = new Intl.NumberFormat('de').format(1234567.5) + [3, 1, 2].toSorted().join();
            const words = 'A-b c'.replace(/(\w)-(\w)/u, '$2$1').normalize('NFD');
            const weak = new WeakRef(copy).deref() === copy && new WeakMap([[copy, 1]]).get(copy);
            const proxy = new Proxy({}, { get: (_, name) => name }).anything;
            return [text.length, digest, signed, url.href, matched, copy.map.get(1).source, numbers, words, weak, proxy].join('|');
        };
        export default { async fetch() {
            const before = natives(globalThis);
            const first = await platform();
            collect();
            const second = await platform();
            collect();
            const after = natives(globalThis);
            return Response.json([before.length > 2000, before.join('\n') === after.join('\n'), first === second, first, before]);
        } };";
    let mut expected = None;
    for number in 0..5 {
        let (isolate, host) = start(code);
        let answer: serde_json::Value = serde_json::from_str(&ask(&isolate, "/").await).unwrap();
        for index in 0..3 {
            assert_eq!(answer[index], true, "{index} of isolate {number}: {answer} {}", host.text());
        }
        assert_eq!(expected.get_or_insert_with(|| answer.clone()), &answer, "isolate {number}");
    }
}

#[tokio::test]
async fn what_is_taken_from_the_classes_of_crypto_does_not_come_back_with_lazy_scripts() {
    let (isolate, _) = start(
        "
        const names = () => [Crypto, CryptoKey, SubtleCrypto].flatMap((of) => Object.getOwnPropertyNames(of)).sort().join();
        const before = names();
        export default { fetch() {
            new WebSocketPair();
            new HTMLRewriter();
            return new Response(`${before === names()} ${crypto.getRandomValues(new Uint8Array(2)).length} ${before}`);
        } };",
    );
    let standard = "length,length,length,name,name,name,prototype,prototype,prototype,supports";
    assert_eq!(ask(&isolate, "/").await, format!("true 2 {standard}"));
}

#[tokio::test]
async fn crypto_is_made_whatever_code_has_done_to_objects_before() {
    let (isolate, host) = start(
        "
        const broken = () => { throw new Error('poison'); };
        const symbols = Object.getOwnPropertySymbols(new AbortController());
        for (const symbol of symbols) {
            Object.defineProperty(Object.prototype, symbol, { configurable: true, set: broken, get: () => undefined });
        }
        export default { async fetch() {
            const digest = await crypto.subtle.digest('SHA-256', new Uint8Array(1));
            return new Response([symbols.length > 0, digest.byteLength, crypto.randomUUID().length].join());
        } };",
    );
    assert_eq!(ask(&isolate, "/").await, "true,32,36", "{}", host.text());
}

#[tokio::test]
async fn what_the_snapshot_has_seen_of_objects_gives_way_to_what_an_app_makes_of_them() {
    // The shapes and calls are those of the snapshot's warm-up, so that its inline caches know them.
    let code = "
        const none = () => new Response(null, { status: 204 });
        const bare = () => new Response('a', { headers: { 'x-a': 'b' } });
        const parts = () => { const { hostname, pathname, search } = new URL('http://example.com/path?a=b');
            return hostname + pathname + search; };
        export default { async fetch(request) {
            const seen = [none().headers.get('x-c'), bare().status, parts()];
            Object.prototype.headers = { 'x-c': 'd' };
            seen.push(none().headers.get('x-c'));
            let read = 0;
            Object.defineProperty(Object.prototype, 'status', { configurable: true, get() { read++; return 418; } });
            seen.push(bare().status, read);
            delete Object.prototype.headers;
            delete Object.prototype.status;
            seen.push(none().headers.get('x-c'), bare().status);
            Object.defineProperty(URL.prototype, 'pathname', { get: () => '/mine' });
            seen.push(parts());
            Object.setPrototypeOf(URL.prototype, { get hostname() { return 'theirs'; } });
            delete URL.prototype.hostname;
            seen.push(parts());
            const then = Promise.prototype.then;
            let awaited = 0;
            Promise.prototype.then = function (...args) { awaited++; return then.apply(this, args); };
            seen.push(await new Response('text').text(), awaited);
            Promise.prototype.then = then;
            return Response.json(seen);
        } };";
    let expected = "[null,200,\"example.com/path?a=b\",\"d\",418,1,null,200,\"example.com/mine?a=b\",\"theirs/mine?a=b\",\"text\",0]";
    // The first two of a process are deserialized, those after them copied.
    for number in 0..5 {
        let (isolate, host) = start(code);
        assert_eq!(ask(&isolate, "/").await, expected, "isolate {number}: {}", host.text());
    }
}

#[tokio::test]
async fn isolates_that_share_what_is_read_only_do_not_see_each_other() {
    // Names that the platform has and names that it does not, put together so that they have to be looked up; more operations,
    // one after another and at once, than the engine has room for in the list that isolates share until they write to it; and
    // functions of the platform that compare what they never compared before, and are called again after collections in which
    // byte code that rests is given up.
    let code = r"
        const name = (...parts) => parts.join('');
        const collect = () => {
            for (let round = 0; round < 10; round++) {
                const kept = [];
                for (let i = 0; i < 100; i++) kept.push(Array.from({ length: 4000 }, (_, at) => ({ at })));
            }
        };
        let own = 0;
        export default { async fetch(request) {
            const number = new URL(request.url).searchParams.get('number');
            const bag = JSON.parse(`{ '${name('hea', 'ders')}': 1, '${name('own', number)}': 2 }`.replaceAll(`'`, '\x22'));
            const seen = [bag.headers, bag['own' + number], name('get', 'Reader') in ReadableStream.prototype,
                name('own', number + 1) in bag, Object.keys(bag).join(), ({ [name('sta', 'tus')]: 3 }).status,
                Symbol.for(name('a', number)) === Symbol.for('a' + number)];
            const digest = async (text) => new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))[0];
            const once = await Promise.all(Array.from({ length: 50 }, (_, at) => digest('x' + at)));
            for (let at = 0; at < 4200; at++) own += await digest('x' + at % 50) === once[at % 50] ? 1 : 0;
            let refused = 0;
            for (const odd of [1n, 1.5, -0, 'x', '', true, null, undefined, Symbol.iterator, {}, [], () => {}]) {
                for (const call of [() => new Response(odd, { status: odd }), () => new Headers([[odd, odd]]), () => new URL(odd, odd),
                    () => new Blob([odd], { type: odd }).slice(odd, odd), () => new TextDecoder(odd), () => btoa(odd), () => atob(odd),
                    () => new URLSearchParams(odd), () => new Event(odd, odd), () => new AbortController().abort(odd),
                    () => structuredClone(odd), () => new Request('http://a.b', { method: odd, body: odd }),
                    () => new FormData().append(odd, odd), () => new ReadableStream({}, { highWaterMark: odd }),
                    () => new TransformStream(odd), () => clearTimeout(odd), () => queueMicrotask(odd)]) {
                    try { call(); } catch { refused++; }
                }
            }
            collect();
            seen.push(refused > 50);
            const form = new FormData();
            form.append('a', 'b');
            const parsed = await new Response(form).formData();
            const copy = new Response(new Blob(['c']).stream().pipeThrough(new TransformStream()));
            seen.push(own, parsed.get('a'), await copy.text(), new URL('?d=e', request.url).searchParams.get('d'));
            return Response.json(seen);
        } };";
    let isolates: Vec<_> = (0..4).map(|_| start(code)).collect();
    let answers = isolates.iter().enumerate().map(|(number, (isolate, _))| async move {
        // At the same time, each on a thread of its own.
        (number, ask(isolate, &format!("/?number={number}")).await)
    });
    for (number, answer) in join_all(answers).await {
        let expected = format!("[1,2,true,false,\"headers,own{number}\",3,true,true,4200,\"b\",\"c\",\"e\"]");
        assert_eq!(answer, expected, "isolate {number}: {}", isolates[number].1.text());
    }
}

#[tokio::test]
async fn what_code_puts_on_classes_stays_when_lazy_scripts_are_loaded() {
    let (isolate, _) = start(
        "
        const classes = [Crypto, CryptoKey, SubtleCrypto];
        const given = [];
        // The engine looks for classes by these names; it must not find one here.
        for (const name of ['Crypto', 'CryptoKey', 'SubtleCrypto', 'DOMPoint', 'DOMMatrix', 'Console', 'ImageData']) {
            class Decoy {}
            given.push([name, Decoy]);
            Object.defineProperty(Object.prototype, name, { value: Decoy, configurable: true });
        }
        const mine = function () { return 'mine'; };
        for (const kind of Object.getOwnPropertyNames(globalThis).filter((name) => /^[A-Z]/.test(name)).sort()) {
            const descriptor = Object.getOwnPropertyDescriptor(globalThis, kind);
            if ('value' in descriptor && descriptor.value?.prototype) classes.push(descriptor.value);
        }
        for (const { prototype } of classes) {
            for (const key of Reflect.ownKeys(prototype)) {
                const { configurable, value } = Object.getOwnPropertyDescriptor(prototype, key);
                if (configurable && key !== 'constructor' && typeof value === 'function') given.push([prototype, key, value]);
            }
        }
        const native = given.filter((entry) => entry.length === 3);
        for (const [prototype, key] of native) if (prototype.constructor.name.includes('rypto')) prototype[key] = mine;
        export default { fetch() {
            new WebSocketPair();
            new HTMLRewriter();
            new FileReader();
            const back = native.filter(([prototype, key, value]) => prototype.constructor.name.includes('rypto')
                ? prototype[key] !== mine
                : prototype[key] !== value);
            const decoys = given.filter(([, Decoy, ...rest]) => rest.length === 0
                && (Reflect.ownKeys(Decoy).length !== 3 || Reflect.ownKeys(Decoy.prototype).length !== 1));
            return Response.json([native.length > 300, back.map(([, key]) => String(key)), decoys.map(([name]) => name)]);
        } };",
    );
    assert_eq!(ask(&isolate, "/").await, "[true,[],[]]");
}

#[tokio::test]
async fn the_platform_works_in_a_poisoned_realm() {
    let (isolate, host) = start(
        "
        const broken = () => { throw new Error('poison'); };
        for (const name of ['create', 'subtle', 'crypto', 'default']) {
            Object.defineProperty(Object.prototype, name, { __proto__: null, configurable: true, set: broken, get: () => undefined });
        }
        const all = [
            [Array.prototype, ['push', 'map', 'slice', 'forEach', 'indexOf']],
            [Function.prototype, ['call', 'apply', 'bind']],
            [String.prototype, ['slice', 'indexOf', 'toUpperCase', 'charCodeAt', 'startsWith']],
            [Map.prototype, ['get', 'set', 'has']],
            [RegExp.prototype, ['exec', 'test', Symbol.replace]],
            [Object.getPrototypeOf(Uint8Array.prototype), ['slice', 'set', 'subarray']],
        ];
        for (let i = 0; i < all.length; i++) {
            for (let j = 0; j < all[i][1].length; j++) all[i][0][all[i][1][j]] = broken;
        }
        export default { async fetch() {
            const compressed = new Response('a').body.pipeThrough(new CompressionStream('gzip'));
            const text = await new Response(compressed.pipeThrough(new DecompressionStream('gzip'))).text();
            const form = new FormData();
            form.append('b', 'c');
            const { port1, port2 } = new MessageChannel();
            port1.close(); port2.close();
            const matched = new URLPattern({ pathname: '/:d' }).exec('http://e.f/g').pathname.groups.d;
            const stream = new IdentityTransformStream();
            const clone = structuredClone({ h: 1 }).h;
            const id = crypto.randomUUID();
            const kinds = [typeof performance.now(), typeof caches.default, typeof stream.readable];
            return new Response(`${text} ${form.get('b')} ${matched} ${clone} ${kinds} ${id.length > 0}`);
        } };",
    );
    assert_eq!(ask(&isolate, "/").await, "a c g 1 number,object,object true", "{}", host.text());
}

#[tokio::test]
async fn what_the_snapshot_holds_looks_as_it_does_everywhere() {
    let (isolate, _) = handler(
        "
        const names = ['crypto', 'performance', 'caches', 'Crypto', 'CompressionStream', 'FormData', 'MessageChannel', 'URLPattern'];
        const plain = names.filter((name) => {
            const { value, enumerable, writable, configurable } = Object.getOwnPropertyDescriptor(globalThis, name);
            return value !== undefined && !enumerable && writable && configurable;
        });
        const internal = [Crypto, CryptoKey, SubtleCrypto].flatMap((kind) => Object.getOwnPropertyNames(kind)).filter((name) =>
            !['length', 'name', 'prototype', 'arguments', 'caller', 'supports'].includes(name));
        const own = [crypto instanceof Crypto, crypto.subtle instanceof SubtleCrypto, performance instanceof Performance];
        let refused = 0;
        for (const value of [crypto, crypto.subtle]) try { structuredClone(value); } catch { refused++; }
        globalThis.crypto = 1;
        const replaced = crypto === 1 && delete globalThis.crypto && typeof crypto === 'undefined';
        return Response.json([plain.length === names.length, internal, own, refused, replaced]);",
    );
    assert_eq!(ask(&isolate, "/").await, "[true,[],[true,true,true],2,true]");
}

#[tokio::test]
async fn code_runs_from_the_text_of_its_bundle() {
    // One module is read in place, the other is not ASCII and cannot be. Both are long enough to be kept compiled.
    let filler = "// filler\n".repeat(2_000);
    let ascii = format!("{filler}export const plain = function () {{ return 'plain'; }};");
    let other = format!("{filler}export const caf\u{e9} = () => '\u{20ac} caf\u{e9}';");
    let main = "import { plain } from './plain.js'; import { caf\u{e9} } from './other.js';
        export default { async fetch() {
            const { late } = await import('./late.js');
            return new Response([plain, plain(), caf\u{e9}(), late().stack.split('\\n')[1].trim()].join('; '));
        } };";
    let late = format!("{filler}export const late = () => new Error('late');");
    let bundle = bundle(&[
        ("index.js", ModuleKind::EsModule, main.as_bytes()),
        ("late.js", ModuleKind::EsModule, late.as_bytes()),
        ("other.js", ModuleKind::EsModule, other.as_bytes()),
        ("plain.js", ModuleKind::EsModule, ascii.as_bytes()),
    ]);
    for _ in 0..3 {
        // From the second on with compiled code.
        let (isolate, _) = start_with(bundle.clone(), patient());
        assert_eq!(
            ask(&isolate, "/").await,
            "function () { return 'plain'; }; plain; \u{20ac} caf\u{e9}; at late (file:///late.js:2001:27)"
        );
        isolate.stop("the next one begins");
        isolate.ended().await;
    }
}

#[tokio::test]
async fn requests_share_what_the_start_has_left_of_its_cpu_time() {
    let spin = "let sum = 0; for (let i = 0; i < 4e7; i++) sum = (sum + i) | 0; return new Response(`${sum}`)";
    let code = format!("export default {{ async fetch() {{ {spin} }} }}");
    let bundle = bundle(&[("index.js", ModuleKind::EsModule, code.as_bytes())]);
    let (isolate, _) = start_with(bundle, Limits { cpu: Duration::from_millis(10), ..patient() });
    assert_eq!(isolate.fetch(get("/")).await.unwrap().status, 200);
    // The limits are named that applied: the start's as long as something of it was left.
    let worker = "the worker used more than its 10 ms of CPU time for one request";
    for _ in 0..100 {
        if let Err(error) = isolate.fetch(get("/")).await {
            assert_eq!(error.code(), "cpu-limit", "{error}");
            let HandlerError::CpuLimit { start_ms, .. } = error else { panic!("{error}") };
            let named =
                if start_ms > 0 { format!(", and the {start_ms} ms that its start had left") } else { "".into() };
            assert!(start_ms <= 400 && error.to_string() == format!("{worker}{named}"), "{error}");
            return;
        }
    }
    panic!("there is more than that");
}

#[tokio::test]
async fn a_request_that_takes_all_is_told_what_the_start_had_left_for_it() {
    let bundle = bundle(&[("index.js", ModuleKind::EsModule, b"export default { fetch() { for (;;); } }")]);
    let (isolate, _) = start_with(bundle.clone(), Limits { cpu: Duration::from_millis(10), ..patient() });
    let error = isolate.fetch(get("/")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the worker used more than its 10 ms of CPU time for one request, and the 400 ms that its start had left"
    );
}
