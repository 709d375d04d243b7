//! What the platform is made of does not show: in the text of its functions, and in stacks.

use super::*;

#[tokio::test]
async fn functions_of_the_platform_are_native_code() {
    let body = r#"
        const text = Function.prototype.toString;
        const functions = {
            fetch, atob, setTimeout, structuredClone, Response, Headers, URL, ReadableStream, EventSource, DOMException,
            get: Headers.prototype.get, clone: Request.prototype.clone, digest: crypto.subtle.digest, log: console.log,
            split: String.prototype.split, toString: text, push: Array.prototype.push,
        };
        const odd = Object.entries(functions).filter(([name, f]) =>
            text.call(f) !== `function ${name}() { [native code] }` || `${f}` !== text.call(f));
        // As lodash has it.
        const native = RegExp(`^${text.call(Object.prototype.hasOwnProperty).replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")
            .replace(/hasOwnProperty|(function).*?(?=\\\()| for .+?(?=\\\])/g, "$1.*?")}$`);
        function mine(a) { return a + 1; }
        class Mine { static x = 1 }
        let refused;
        try { text.call({}); } catch (error) { refused = error instanceof TypeError; }
        const own = Object.getOwnPropertyDescriptor(Function.prototype, "toString");
        return Response.json([
            odd.map(([name, f]) => text.call(f)), native.test(text.call(fetch)), native.test(text.call(mine)),
            String(mine), String(Mine), `${(a) => a}`, String(mine.bind(null)), String(new Proxy(fetch, {})),
            refused, own.enumerable, text.length, text.name, "prototype" in text,
            String(Object.getOwnPropertyDescriptor(Request.prototype, "url").get).endsWith("{ [native code] }"),
        ]);"#;
    let (isolate, _) = handler(body);
    let expected = serde_json::json!([
        [],
        true,
        false,
        "function mine(a) { return a + 1; }",
        "class Mine { static x = 1 }",
        "(a) => a",
        "function () { [native code] }",
        "function () { [native code] }",
        true,
        false,
        0,
        "toString",
        false,
        true,
    ]);
    let got: serde_json::Value = serde_json::from_str(&ask(&isolate, "/").await).unwrap();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn code_that_changes_what_is_behind_texts_and_stacks_finds_nothing() {
    let body = r#"
        const seen = [];
        const { toString } = Function.prototype;
        Function.prototype.call = Reflect.apply = String.prototype.startsWith = function () { seen.push("called"); };
        const text = toString + "";
        Function.prototype.toString = () => "mine";
        Error.prepareStackTrace = (error, sites) => {
            for (const site of sites) seen.push(site.getFileName(), typeof site.getThis());
            throw new Error("again");
        };
        let thrown;
        try { new Response("", { status: 1 }); } catch (error) { thrown = error; }
        try { seen.push(typeof thrown.stack); } catch (error) { seen.push("threw"); }
        Error.prepareStackTrace = undefined;
        return new Response(JSON.stringify([text, ...seen]));"#;
    let (isolate, _) = handler(body);
    let got = ask(&isolate, "/").await;
    assert!(got.starts_with("[\"function toString() { [native code] }\""), "{got}");
    assert!(got.contains("/index.js") && !got.contains("ext:"), "{got}");
}

#[tokio::test]
async fn stacks_have_no_frames_of_the_platform() {
    let body = r#"
        const stacks = [];
        const note = (error) => { stacks.push(error.stack); console.error(error); console.log("text", error); };
        note(new Error("plain"));
        try { new Response("", { status: 1 }); } catch (error) { note(error); }
        try { structuredClone(() => {}); } catch (error) { note(error); }
        await fetch("http://[/").catch(note);
        await new Promise((resolve) => setTimeout(function later() { note(new Error("later")); resolve(); }, 1));
        const events = new EventTarget();
        events.addEventListener("x", function listener() { note(new Error("heard")); });
        events.dispatchEvent(new Event("x"));
        Error.prepareStackTrace = (error, sites) => sites.map((site) => site.getFileName()).join();
        try { new Headers([[]]); } catch (error) { stacks.push(error.stack); }
        return Response.json(stacks);"#;
    let (isolate, host) = handler(body);
    let stacks: Vec<String> = serde_json::from_str(&ask(&isolate, "/").await).unwrap();
    assert_eq!(stacks.len(), 7, "{stacks:?}");
    for stack in &stacks {
        assert!(!stack.contains("ext:") && stack.contains("/index.js"), "{stack}");
    }
    assert!(stacks[0].starts_with("Error: plain\n    at "), "{}", stacks[0]);
    assert!(stacks[4].contains("later") && stacks[5].contains("listener"), "{stacks:?}");
    let log = host.text();
    assert!(log.contains("error: Error: plain\n    at ") && !log.contains("ext:"), "{log}");
}
