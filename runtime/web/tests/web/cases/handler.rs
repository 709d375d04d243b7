//! Starting a worker, dispatch, answers, errors, `ctx`.

use atoll_web::event::*;
use atoll_web::requests;
use bytes::Bytes;
use http::Method;
use serde_json::json;

use crate::cases::cases;
use crate::support::*;

cases![
    hello,
    env_and_this,
    starts_that_fail,
    exceptions,
    no_response,
    pass_through,
    wait_until,
    request_fields,
    json_echo,
    many_at_once,
    types_that_come_again,
    unhandled,
    console,
    stale_slots,
    failing_from_outside,
];

async fn hello(source: Source) {
    let code = "export default { fetch(request) { return new Response('hello ' + new URL(request.url).pathname); } };";
    let mut isolate = Isolate::new(source, code).await;
    let answer = isolate.fetch(get("/x")).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "hello /x"));
    assert_eq!(answer.header("content-type"), "text/plain;charset=UTF-8");
    assert_eq!(isolate.finished().len(), 1);
    assert_eq!(isolate.in_flight(), 0);
}

async fn env_and_this(source: Source) {
    let code = "export default {
        greeting: 'hi',
        async fetch(request, env, ctx) { return Response.json([this.greeting, env.NAME, env.LIST, env.KEY, Object.keys(env), ctx.props]); }
    };";
    let env = vec![
        ("KEY".into(), Binding::Secret("s3cret".into())),
        ("LIST".into(), Binding::Json("[1,{\"a\":null}]".into())),
        ("NAME".into(), Binding::Text("Ada".into())),
    ];
    let mut isolate = Isolate::with(source, code, World::silent(), env).await;
    let answer = isolate.fetch(get("/")).await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json(), json!(["hi", "Ada", [1, { "a": null }], "s3cret", ["KEY", "LIST", "NAME"], {}]));
}

async fn starts_that_fail(source: Source) {
    for (code, expected) in [
        ("export const x = 1;", "has no default export"),
        ("export default 7;", "is a number, not an object"),
        ("export default {};", "has no fetch method"),
        ("export default () => new Response();", "is a function; it must be an object"),
    ] {
        let error = Isolate::start(source, code, World::silent(), Vec::new()).await.err().expect(code);
        assert!(error.starts_with("TypeError") && error.contains(expected), "{error}");
    }
    let class = "export default class { static fetch() { return new Response('static'); } };";
    assert_eq!(Isolate::new(source, class).await.get("/").await, "static");
}

async fn exceptions(source: Source) {
    let code = "export default { async fetch(request) {
        switch (new URL(request.url).pathname) {
            case '/sync': throw new RangeError('now');
            case '/later': await scheduler.wait(1); throw new Error('later');
            case '/string': throw 'just text';
            case '/odd': throw { toString() { throw 1; } };
            case '/getter': throw Object.defineProperty(new Error('x'), 'stack', { get() { throw 2; } });
        }
    } };";
    let mut isolate = Isolate::new(source, code).await;
    for (path, text, has_stack) in [
        ("/sync", "RangeError: now", true),
        ("/later", "Error: later", true),
        ("/string", "just text", false),
        ("/odd", "an exception that cannot be converted to a string", false),
        ("/getter", "Error: x", false),
    ] {
        match isolate.answer(get(path)).await {
            Err(HandlerError::Exception { message, stack, pass_through }) => {
                assert_eq!(message, text);
                assert_eq!(stack.contains("app:///index.js:"), has_stack, "{stack}");
                assert!(!pass_through);
            }
            other => panic!("{path}: {other:?}"),
        }
    }
    assert_eq!(isolate.finished().len(), 5);
    let lines = isolate.world.lines();
    assert!(
        lines.len() == 5 && lines[0].0 == "error" && lines[0].2.starts_with("Uncaught RangeError: now\n    at"),
        "{lines:?}"
    );
}

async fn no_response(source: Source) {
    let code = "export default { fetch(request) {
        const used = new Response('x');
        switch (new URL(request.url).pathname) {
            case '/undefined': return;
            case '/text': return 'hello';
            case '/fake': return { status: 200, body: 'x', headers: new Headers() };
            case '/error': return Response.error();
            case '/used': return used.text().then(() => used);
        }
    } };";
    let mut isolate = Isolate::new(source, code).await;
    for (path, expected) in [
        ("/undefined", "undefined"),
        ("/text", "a string"),
        ("/fake", "class Object"),
        ("/error", "Response.error()"),
        ("/used", "was used already"),
    ] {
        match isolate.answer(get(path)).await {
            Err(HandlerError::InvalidResponse(problem)) => assert!(problem.contains(expected), "{problem}"),
            other => panic!("{path}: {other:?}"),
        }
    }
    assert_eq!(isolate.finished().len(), 5);
}

async fn pass_through(source: Source) {
    let code = "export default { async fetch(request, env, ctx) { ctx.passThroughOnException(); await 1; throw new Error('x'); } };";
    let mut isolate = Isolate::new(source, code).await;
    let answer = isolate.answer(get("/")).await;
    assert!(matches!(answer, Err(HandlerError::Exception { pass_through: true, .. })), "{answer:?}");
}

async fn wait_until(source: Source) {
    let code = "export default { fetch(request, env, ctx) {
        const { waitUntil } = ctx;
        ctx.waitUntil(scheduler.wait(5).then(() => console.log('done')));
        ctx.waitUntil(Promise.reject(new Error('lost')));
        ctx.waitUntil('no promise');
        try { waitUntil(1); } catch (error) { return new Response(error.name); }
    } };";
    let mut isolate = Isolate::new(source, code).await;
    assert_eq!(isolate.get("/").await, "TypeError");
    assert_eq!(isolate.finished().len(), 0, "a promise is pending");
    assert_eq!(isolate.in_flight(), 1);
    isolate.run().await;
    assert_eq!(isolate.finished().len(), 1);
    let lines = isolate.world.lines();
    assert!(lines.iter().all(|line| line.1.as_deref() == Some("request-1")), "{lines:?}");
    assert!(lines[0].2.starts_with("Uncaught (in waitUntil) Error: lost"), "{lines:?}");
    assert_eq!((lines[1].0, lines[1].2.as_str()), ("log", "done"));
}

async fn request_fields(source: Source) {
    let code = "export default { async fetch(request) {
        const copy = new Request(request, { headers: { a: 'b' } });
        let immutable = false;
        try { request.headers.set('x', 'y'); } catch (error) { immutable = error instanceof TypeError; }
        return Response.json({
            method: request.method, url: request.url, body: request.body, used: request.bodyUsed,
            headers: [...request.headers], cookie: request.headers.get('Cookie'), cf: request.cf,
            same: request.headers === request.headers, copy: [copy.url, [...copy.headers], copy.cf], immutable,
            type: [Object.prototype.toString.call(request), request instanceof Request, request.redirect],
            aborted: request.signal.aborted,
        });
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let headers = [("x-two", "2"), ("cookie", "a=1"), ("x-two", "3"), ("accept", "*/*")];
    let mut event = request(Method::GET, "/p%20q?r=s", &headers, Body::Empty);
    event.head_mut().cf = Some("{\"country\":\"NL\"}".into());
    let cf = json!({ "country": "NL" });
    assert_eq!(
        isolate.fetch(event).await.json(),
        json!({
            "method": "GET", "url": "http://app.example/p%20q?r=s", "body": null, "used": false,
            "headers": [["accept", "*/*"], ["cookie", "a=1"], ["x-two", "2, 3"]], "cookie": "a=1", "cf": cf,
            "same": true, "copy": ["http://app.example/p%20q?r=s", [["a", "b"]], cf], "immutable": true,
            "type": ["[object Request]", true, "manual"], "aborted": false,
        })
    );
}

async fn json_echo(source: Source) {
    let code = "export default { async fetch(request) {
        const data = await request.json();
        return Response.json({ ...data, more: 'ü\u{1F600}' }, { status: 201, headers: { 'x-a': '1' } });
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let answer = isolate.fetch(post("/", "{\"a\":[1,2]}")).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-a")), (201, "1"));
    assert_eq!(answer.json(), json!({ "a": [1, 2], "more": "ü😀" }));
    assert!(isolate.answer(post("/", "{")).await.is_err());
}

async fn many_at_once(source: Source) {
    let code = "export default { async fetch(request) {
        const n = Number(new URL(request.url).pathname.slice(1));
        console.log(n);
        await scheduler.wait(n % 7);
        console.log(n);
        return new Response(`${n}`);
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let mut pending = Vec::new();
    for n in 0..200 {
        let mut event = get(&format!("/{n}"));
        event.head_mut().request_id = format!("id-{n}").into();
        pending.push(isolate.send(event));
    }
    for (n, pending) in pending.into_iter().enumerate() {
        let response = isolate.run_until(pending.answer).await.unwrap().unwrap();
        assert_eq!(collect(response.body).await.unwrap(), n.to_string());
    }
    isolate.run().await;
    assert_eq!(isolate.finished().len(), 200);
    let lines = isolate.world.lines();
    assert_eq!(lines.len(), 400);
    assert!(
        lines.iter().all(|(_, id, message)| id.as_deref() == Some(&format!("id-{message}"))),
        "ids follow the code"
    );
}

async fn types_that_come_again(source: Source) {
    let code = "export default { fetch(request) {
        const { type, more } = Object.fromEntries(new URL(request.url).searchParams);
        const headers = type === undefined ? {} : { 'content-type': type };
        if (more !== undefined) headers.more = more;
        return new Response(`${type} ${more}`, { headers });
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let (long, plain) = ("x".repeat(300), "text/plain;charset=UTF-8");
    let steps =
        [(None, None), (Some("a/b"), None), (Some("a/b"), Some("1")), (Some(&*long), None), (Some("c/d"), None)];
    // Each comes so often that it is remembered, and then again after another.
    for (asked, more) in steps.iter().flat_map(|step| [step; 4]).chain(&steps).chain(steps.iter().rev()) {
        let query: Vec<String> = [("type", asked), ("more", more)]
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| format!("{name}={value}")))
            .collect();
        let answer = isolate.fetch(get(&format!("/?{}", query.join("&")))).await;
        assert_eq!(answer.header("content-type"), asked.unwrap_or(plain));
        assert_eq!(answer.header("more"), more.unwrap_or_default());
        let text = |value: &Option<&str>| value.unwrap_or("undefined").to_owned();
        assert_eq!(answer.text(), format!("{} {}", text(asked), text(more)));
    }
}

async fn unhandled(source: Source) {
    let code = "export default { async fetch(request) {
        const path = new URL(request.url).pathname;
        if (path === '/prevent') {
            addEventListener('unhandledrejection', (event) => { event.preventDefault(); console.log('event', event.reason.message); });
            self.onerror = (message) => { console.log('onerror', message); return true; };
        }
        Promise.reject(new Error('rejected'));
        setTimeout(() => { throw new Error('timer'); }, 1);
        queueMicrotask(() => { throw new Error('microtask'); });
        const target = new EventTarget();
        target.addEventListener('x', () => { throw new Error('listener'); });
        target.dispatchEvent(new Event('x'));
        reportError(new Error('reported'));
        return new Response('still here');
    } };";
    let mut isolate = Isolate::new(source, code).await;
    assert_eq!(isolate.get("/").await, "still here");
    isolate.run().await;
    let messages = |isolate: &Isolate| -> Vec<String> {
        let mut lines: Vec<String> =
            isolate.world.lines().into_iter().map(|line| line.2.lines().next().unwrap().to_owned()).collect();
        lines.sort();
        lines
    };
    assert_eq!(
        messages(&isolate),
        [
            "Uncaught (in promise) Error: rejected",
            "Uncaught Error: listener",
            "Uncaught Error: microtask",
            "Uncaught Error: reported",
            "Uncaught Error: timer",
        ]
    );
    isolate.world.log.lock().unwrap().clear();
    assert_eq!(isolate.get("/prevent").await, "still here");
    isolate.run().await;
    assert_eq!(
        messages(&isolate),
        [
            "event rejected",
            "onerror Error: listener",
            "onerror Error: microtask",
            "onerror Error: reported",
            "onerror Error: timer",
        ]
    );
}

async fn console(source: Source) {
    let code = "export default { fetch() {
        console.log('a', 1, { b: [2], c: new Map([[1, 'x']]) });
        console.info('info %s %d', 'x', 5);
        console.warn('warn');
        console.error(new Error('shown'));
        console.debug('debug');
        console.assert(1 > 2, 'asserted');
        console.trace('traced');
        console.group('g'); console.log('inside'); console.groupEnd();
        console.table([{ a: 1 }]);
        console.log(new Response('x'), new Headers({ q: 'r' }));
        console.log('');
        console.log('x'.repeat(100000));
        return new Response(Object.getOwnPropertySymbols(console).map(String).join());
    } };";
    let mut isolate = Isolate::new(source, code).await;
    assert_eq!(isolate.get("/").await, "Symbol(Symbol.toStringTag)");
    let lines = isolate.world.lines();
    let line = |n: usize| (lines[n].0, lines[n].2.as_str());
    assert_eq!(line(0), ("log", "a 1 { b: [ 2 ], c: Map(1) { 1 => \"x\" } }"));
    assert_eq!(line(1), ("info", "info x 5"));
    assert_eq!(line(2), ("warn", "warn"));
    assert!(line(3).0 == "error" && line(3).1.starts_with("Error: shown\n    at"), "{:?}", line(3));
    assert_eq!(line(4), ("debug", "debug"));
    assert_eq!(line(5), ("error", "Assertion failed: asserted"));
    assert!(line(6).0 == "debug" && line(6).1.starts_with("Trace: traced"), "{:?}", line(6));
    assert_eq!(line(8), ("log", "  inside"));
    assert!(line(9).1.contains("│     0 │ 1 │"), "{:?}", line(9));
    assert!(line(10).1.contains("Headers { q: \"r\" }") && line(10).1.starts_with("Response {"), "{:?}", line(10));
    assert_eq!(line(11), ("log", ""));
    assert!(line(12).1.len() <= 16 << 10 && line(12).1.ends_with("(shortened)"));
}

async fn stale_slots(source: Source) {
    let code = "let kept; export default { async fetch(request, env, ctx) {
        if (new URL(request.url).pathname === '/keep') { kept = { request, ctx }; return new Response(); }
        kept.ctx.waitUntil(Promise.resolve()); kept.ctx.passThroughOnException();
        return Response.json([[...kept.request.headers], await kept.request.text().catch((error) => error.name)]);
    } };";
    let mut isolate = Isolate::new(source, code).await;
    isolate.fetch(request(Method::POST, "/keep", &[("a", "b")], Body::Full(Bytes::from_static(b"x")))).await;
    assert_eq!(isolate.finished().len(), 1);
    let answer = isolate.fetch(request(Method::POST, "/", &[("c", "d")], Body::Full(Bytes::from_static(b"y")))).await;
    assert_eq!(answer.json(), json!([[], "TypeError"]));
}

async fn failing_from_outside(source: Source) {
    let code = "export default { async fetch(request) {
        if (new URL(request.url).pathname === '/stream') {
            return new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array(3)); } }));
        }
        await new Promise(() => {});
    } };";
    let mut isolate = Isolate::new(source, code).await;
    let first = isolate.send(get("/"));
    let second = isolate.send(get("/"));
    let streaming = isolate.answer(get("/stream")).await.unwrap();
    let state = isolate.runtime.op_state();
    assert!(!requests::responded(&state.borrow(), first.slot));
    requests::fail(&mut state.borrow_mut(), first.slot, HandlerError::WallClock { limit_ms: 7 });
    assert!(matches!(first.answer.await, Ok(Err(HandlerError::WallClock { limit_ms: 7 }))));
    assert!(requests::responded(&state.borrow(), first.slot));
    assert_eq!(isolate.in_flight(), 2);
    requests::fail_all(&mut state.borrow_mut(), HandlerError::Stopped("test".into()));
    assert!(matches!(second.answer.await, Ok(Err(HandlerError::Stopped(_)))));
    let body = collect(streaming.body).await;
    assert!(matches!(&body, Err(BodyError::Failed(message)) if message.contains("test")), "{body:?}");
    assert_eq!(isolate.in_flight(), 0);
    assert_eq!(isolate.finished().len(), 0);
}
