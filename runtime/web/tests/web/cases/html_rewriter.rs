//! HTMLRewriter: documents stream through handlers.

use serde_json::{Value, json};

use crate::cases::cases;
use crate::support::*;

cases![
    as_workerd_answers,
    output_comes_before_the_input_ends,
    a_handler_that_waits_holds_the_input_back,
    nothing_is_read_that_nobody_wants,
    a_reader_that_leaves_stops_it,
    an_input_that_breaks_off,
    handlers_know_their_request,
    too_many_and_too_long,
];

/// Where Atoll answers otherwise than workerd, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    // workerd calls only the handler that was registered last; here each is called.
    ("endTagOrder", "[1,2,3]"),
    // workerd leaves a length there that is wrong, and does not send it.
    ("headers", r#"[404,"Nope",[["content-type","text/html"],["etag","\"x\""],["set-cookie","a=b"]],"<p>"]"#),
    // Lone surrogates become U+FFFD, as wherever a string becomes bytes.
    ("surrogate", "\"<p a=\\\"\u{fffd}\\\">\u{fffd}x</p>\""),
    // lol_html 3.0.3 takes the element itself for HTML; what is in it is so for both.
    (
        "svgNamespace",
        r#"["svg","http://www.w3.org/2000/svg","a","http://www.w3.org/2000/svg",
            "foreignobject","http://www.w3.org/1999/xhtml","p","http://www.w3.org/1999/xhtml",
            "math","http://www.w3.org/1998/Math/MathML","mi","http://www.w3.org/1998/Math/MathML"]"#,
    ),
];

async fn as_workerd_answers(source: Source) {
    let mut isolate = Isolate::new(source, include_str!("html/documents.js")).await;
    let mine: Value = serde_json::from_str(&isolate.get("/").await).unwrap();
    let mut expected: Value = serde_json::from_str(include_str!("html/workerd.json")).unwrap();
    for (name, answer) in DIFFERENCES {
        let theirs = std::mem::replace(&mut expected[name], serde_json::from_str(answer).unwrap());
        assert_ne!(theirs, expected[name], "{name} is no difference any more");
    }
    for (name, answer) in expected.as_object().unwrap() {
        assert_eq!(&mine[name], answer, "{name}");
    }
    assert_eq!(mine.as_object().unwrap().len(), expected.as_object().unwrap().len());
}

/// A worker that answers with the events that `body` pushed to `seen`.
async fn events(source: Source, body: &str) -> Value {
    let code = format!(
        "export default {{ async fetch(request) {{
            const seen = [];
            const text = (bytes) => new TextDecoder().decode(bytes);
            const html = (body) => new Response(body, {{ headers: {{ 'content-type': 'text/html' }} }});
            const turns = async () => {{ for (let i = 0; i < 5; i++) await scheduler.wait(1); }};
            {body}
            return Response.json(seen);
        }} }};"
    );
    let mut isolate = Isolate::new(source, &code).await;
    serde_json::from_str(&isolate.get("/").await).unwrap()
}

async fn output_comes_before_the_input_ends(source: Source) {
    let seen = events(
        source,
        "const { readable, writable } = new TransformStream();
         const writer = writable.getWriter();
         const response = new HTMLRewriter()
            .on('p', { element(e) { e.append('!'); } }).transform(html(readable));
         const reader = response.body.getReader();
         for (const chunk of ['<p>one', '</p><p', '>two</p', '>']) {
            writer.write(new TextEncoder().encode(chunk));
            seen.push(text((await reader.read()).value));
         }
         writer.close();
         seen.push((await reader.read()).done);",
    )
    .await;
    // What may become a tag is held back.
    assert_eq!(seen, json!(["<p>one", "!</p>", "<p>two", "!</p>", true]));
}

async fn a_handler_that_waits_holds_the_input_back(source: Source) {
    let seen = events(
        source,
        "let pulls = 0;
         const input = new ReadableStream({
            pull(c) { pulls++; c.enqueue(new TextEncoder().encode('<p>x</p>'.repeat(10))); if (pulls === 5) c.close(); },
         }, { highWaterMark: 0 });
         let go, first = true;
         const gate = new Promise((resolve) => { go = resolve; });
         const response = new HTMLRewriter().on('p', { async element(e) {
            if (first) { first = false; seen.push('begins'); await gate; seen.push('ends'); }
         } }).transform(html(input));
         const all = response.text();
         await turns();
         seen.push(pulls);
         go();
         seen.push((await all).length, pulls);",
    )
    .await;
    assert_eq!(seen, json!(["begins", 1, "ends", 400, 5]));
}

async fn nothing_is_read_that_nobody_wants(source: Source) {
    let seen = events(
        source,
        "let pulls = 0;
         const input = new ReadableStream({
            pull(c) { pulls++; c.enqueue(new TextEncoder().encode('<p>x</p>')); },
         }, { highWaterMark: 0 });
         const response = new HTMLRewriter().on('p', { element() {} }).transform(html(input));
         await turns();
         seen.push(pulls <= 2);
         const reader = response.body.getReader();
         for (let i = 0; i < 20; i++) await reader.read();
         await turns();
         seen.push(pulls <= 22, pulls >= 20);
         const byob = new HTMLRewriter().transform(html('<p>abc</p>')).body.getReader({ mode: 'byob' });
         let out = '';
         for (let view = new Uint8Array(3);;) {
            const { done, value } = await byob.read(view);
            if (done) break;
            out += text(value);
            view = new Uint8Array(value.buffer);
         }
         seen.push(out);",
    )
    .await;
    assert_eq!(seen, json!([true, true, true, "<p>abc</p>"]));
}

async fn a_reader_that_leaves_stops_it(source: Source) {
    let seen = events(
        source,
        "const input = new ReadableStream({
            pull(c) { c.enqueue(new TextEncoder().encode('<p>x</p>')); },
            cancel(reason) { seen.push(reason); },
         }, { highWaterMark: 0 });
         let handled = 0;
         const response = new HTMLRewriter().on('p', { async element() { handled++; await 1; } }).transform(html(input));
         const reader = response.body.getReader();
         await reader.read();
         await reader.cancel('enough');
         await turns();
         const before = handled;
         await turns();
         seen.push(before === handled);",
    )
    .await;
    assert_eq!(seen, json!(["enough", true]));
}

async fn an_input_that_breaks_off(source: Source) {
    let seen = events(
        source,
        "const after = (error) => { let n = 0; return new ReadableStream({
            pull(c) { if (n++ === 0) c.enqueue(new TextEncoder().encode('<p>x</p>')); else throw error; },
            cancel(reason) { seen.push(`cancelled ${reason}`); },
         }, { highWaterMark: 0 }); };
         const rewriter = () => new HTMLRewriter().on('p', { element(e) { if (e.getAttribute('a') !== null) throw 'handler'; } });
         await rewriter().transform(html(after(new RangeError('gone')))).text().catch((e) => seen.push(e.message));
         const numbers = new ReadableStream({ start(c) { c.enqueue('<p>'); c.enqueue(7); }, cancel() { seen.push('cancelled'); } });
         await rewriter().transform(html(numbers)).text().catch((e) => seen.push(e.name));
         const bad = new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode('<p a>')); },
            cancel(reason) { seen.push(reason); } });
         await rewriter().transform(html(bad)).text().catch((e) => seen.push(e));
         const inserted = rewriter().on('p', { element(e) { e.append(after('inside')); } });
         await inserted.transform(html('<p></p>')).text().catch((e) => seen.push(e));",
    )
    .await;
    assert_eq!(seen, json!(["gone", "cancelled", "TypeError", "handler", "handler", "inside"]));
}

async fn handlers_know_their_request(source: Source) {
    let code = "let n = 0;
        export default { async fetch(request) {
            const id = new URL(request.url).pathname;
            return new HTMLRewriter().on('p', { async element(e) {
                console.log(id); await scheduler.wait(1); e.append(String(++n)); console.log(id);
            } }).transform(new Response('<p></p><p></p>'));
        } };";
    let mut isolate = Isolate::new(source, code).await;
    let (mut a, mut b) = (get("/a"), get("/b"));
    (a.head_mut().request_id, b.head_mut().request_id) = ("a".into(), "b".into());
    let (first, second) = (isolate.send(a), isolate.send(b));
    for pending in [first, second] {
        let response = isolate.run_until(pending.answer).await.unwrap().unwrap();
        let body = isolate.run_until(collect(response.body)).await.unwrap();
        assert_eq!(body.len(), "<p>1</p><p>2</p>".len());
    }
    let lines = isolate.world.lines();
    assert_eq!(lines.len(), 8, "{lines:?}");
    for (_, request, message) in lines {
        assert_eq!(format!("/{}", request.unwrap()), message.trim());
    }
}

async fn too_many_and_too_long(source: Source) {
    let seen = events(
        source,
        "const caught = async (f) => { try { await f(); seen.push('nothing'); } catch (e) { seen.push(e.name); } };
         const many = new HTMLRewriter();
         for (let i = 0; i < 1024; i++) many.on('p', { element(e) { e.setAttribute('a' + i % 3, 'b'); } });
         seen.push(await many.transform(html('<p></p>'.repeat(50))).text() === '<p a0=\"b\" a1=\"b\" a2=\"b\"></p>'.repeat(50));
         many.on('b', {});
         await caught(() => many.transform(html('')));
         await caught(() => new HTMLRewriter().on('a'.repeat(5000), {}));
         await caught(() => new HTMLRewriter().on(':not('.repeat(1e5), {}));
         const large = (part, times) => { let n = 0; const chunk = new TextEncoder().encode(part); return html(new ReadableStream({
            pull(c) { if (n++ === times) c.close(); else c.enqueue(chunk.slice()); } })); };
         const deep = new HTMLRewriter().on('p', { element() {} });
         await caught(async () => { for await (const _ of deep.transform(large('<a>'.repeat(10000), 10)).body); });
         await caught(async () => { for await (const _ of deep.transform(large('<p ' + 'a'.repeat(1 << 20), 10)).body); });
         seen.push((await deep.transform(large('x'.repeat(1 << 20), 10)).arrayBuffer()).byteLength >> 20);
         seen.push((await deep.transform(large('<p>' + '<b></b>'.repeat(10000) + '</p>', 10)).arrayBuffer()).byteLength);",
    )
    .await;
    assert_eq!(seen, json!([true, "TypeError", "TypeError", "TypeError", "TypeError", "TypeError", 10, 700_070]));
}
